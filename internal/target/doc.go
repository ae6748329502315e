// Package target is the life of one account and region in a wave: sends, polls, the lease, and the look that gives
// every instance its one outcome. It never sees who approved, but for the decisions that it verifies itself.
//
// Its calls run one way, and layers_test.go holds them to it:
//
//   - The handlers each carry out one step, and never call each other: Send (send.go, approved.go, order.go,
//     takeover.go, reconcile.go), Poll (poll.go), Verify (verify.go, newcomers.go) and Abandon (abandon.go).
//   - What they share reads and writes: state.go loads and saves what every step needs; lease.go, watch.go, intents.go,
//     facts.go, survey.go, cancel.go, frozen.go and results.go each have one subject.
//   - The rules are arithmetic on the rows of rows.go, and know neither tables nor handlers: life.go has the phases of
//     a target and every change of its row, slots.go the life of one command, polling.go the gaps between polls,
//     clock.go how much time has passed, answer.go what a step says.
//
// It has more files than a package should: the handlers change one row under one lease, and the layers test keeps them
// apart as well as packages would.
package target
