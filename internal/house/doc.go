// Package house holds the house rules that are tests: what no Lambda may
// contain, where there may be threads, and what the state machine must say of
// every state and error. It has no code of its own.
package house
