// Package patch is the domain of ec2patch: runs, waves, targets, plans,
// outcomes and the rules that decide. It does no I/O and imports the standard
// library only.
package patch
