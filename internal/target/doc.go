// Package target is the life of one account and region in a wave: sends, polls, the lease, and the look that gives every
// instance its one outcome. It never sees who approved, but for the decisions that it verifies itself.
package target
