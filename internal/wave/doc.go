// Package wave judges a wave: whether what its targets came to, and its alarms, let the next wave start, want people
// to be asked, or stop the run.
package wave
