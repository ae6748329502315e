// Package approval asks people whether a wave may start or a run may continue: the request by mail, the page behind the
// link, the operator's route, and the decision that is recorded, signed and told.
package approval
