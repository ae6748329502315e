// Package fleetfile is the description of a fleet: the file that a rehearsal reads, how it is checked, what a plausible
// one is where none is given, and the fates that a machine can have.
package fleetfile
