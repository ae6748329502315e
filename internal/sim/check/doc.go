// Package check holds rehearsals against the rules of docs/safety.md. It looks at a stage from the outside, and starts
// nothing.
//
// What it knows of a run is exported, so that the tests of whole rehearsals can say what a world is to have brought
// about.
package check
