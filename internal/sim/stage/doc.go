// Package stage is what a rehearsal plays on: a simulated AWS with our templates deployed into it, the state machines
// out of the template, the handlers of the Lambdas behind their adapters, and the faults that strike their calls.
package stage
