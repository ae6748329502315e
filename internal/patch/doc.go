// Package patch is the vocabulary of ec2patch: ids of runs, accounts, regions and instances, what a target is,
// operations, statuses, thresholds, scopes and the kinds of errors. It does no I/O.
package patch
