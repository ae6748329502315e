// Package hub is what a person's command line asks of a deployed hub: it starts
// runs, reads how they stand out of Step Functions, and fetches their reports.
// It writes nothing but the start of a run. docs/cli.md describes the commands.
package hub
