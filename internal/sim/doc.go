// Package sim rehearses a whole run: the state machine out of the template, the
// handlers of the Lambdas and their adapters, against a simulated AWS. One seed,
// one clock, one thread.
package sim
