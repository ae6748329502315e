// Package core is what every service of the simulated AWS stands on: the virtual clock, random numbers out of the seed,
// roles and policies, and the way that a call takes through faults, IAM, its effect and the ledger. It knows no
// service.
package core
