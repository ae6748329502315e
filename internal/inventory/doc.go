// Package inventory makes the plan of a run. Plan reads the input and opens the run, discover classifies what the waves
// match in one account and region, and freeze puts the one plan together that everything after it is bound to.
package inventory
