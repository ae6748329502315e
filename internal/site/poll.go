package site

import (
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// Serial sends to one instance at a time.
func Serial(leaf *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
	leaf.Concurrency = 1
}

// Tolerant of n errors.
func Tolerant(n int) func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow) {
	return func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) { l.ErrorLimit = n }
}
