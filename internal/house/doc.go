// Package house holds the house rules that are tests: which package may import
// which, where the clock is read, and what the state machine must say of every
// error. It has no code of its own.
package house
