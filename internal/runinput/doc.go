// Package runinput reads the JSON input of a run: its fields with their limits and defaults, every problem at once with
// place and remedy, what is allowed but unwise, and the JSON schema.
package runinput
