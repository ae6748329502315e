package patch

import "time"

const (
	// MaxBatch is how many instances one command may name. Source: SSM SendCommand InstanceIds, read 2026-11.
	MaxBatch = 50
	// MaxCommandSeconds bounds the time that one command may take as a whole, so
	// that SSM starts nothing long after everybody has left.
	MaxCommandSeconds = 5 * 3600
	// cancelGrace is how long a cancelled command may take to say so.
	cancelGrace = 5 * time.Minute
)

// Batch is a part of a target that is sent as one command.
type Batch struct {
	Size           int // instances
	Slots          int // how many of them at once
	TimeoutSeconds int // of the command as a whole
}

// NextBatch cuts the next batch out of waiting instances when free of them may
// be disrupted at once. A batch runs in as many rounds as fit into
// MaxCommandSeconds; it is empty when nothing may be sent.
func NextBatch(waiting, free, commandTimeoutSeconds int) Batch {
	if waiting <= 0 || free <= 0 {
		return Batch{}
	}
	slots := min(free, MaxBatch, waiting)
	rounds := max(MaxCommandSeconds/commandTimeoutSeconds, 1)
	size := min(waiting, MaxBatch, slots*rounds)
	return Batch{Size: size, Slots: slots, TimeoutSeconds: (size + slots - 1) / slots * commandTimeoutSeconds}
}

// Free is how many more instances of the target may be disrupted. Instances
// whose invocation ended badly keep their place: nobody knows that they serve.
func (t *TargetRow) Free() int {
	used := t.Failures
	for _, c := range t.Open {
		used += min(c.Slots, c.Instances-c.Done)
	}
	return max(t.Concurrency-used, 0)
}

// Waiting is how many planned instances have not been put into a batch.
func (t *TargetRow) Waiting() int {
	n := t.Planned - t.Next
	for _, g := range t.Requeue {
		n += len(g.IDs)
	}
	return n
}

// WorthSending tells whether enough room is free for another command: all of
// it, half of it, or enough for everything that waits. Many small commands
// would each ramp up from one instance.
func (t *TargetRow) WorthSending() bool {
	free, waiting := t.Free(), t.Waiting()
	if free == 0 || waiting == 0 {
		return false
	}
	return len(t.Open) == 0 || free*2 >= t.Concurrency || free >= waiting
}

// OverBudget tells whether the target's own errors exceed what SSM's MaxErrors allows.
func (t *TargetRow) OverBudget() bool { return t.Failures > t.ErrorLimit }

// Overdue tells whether the command is past its deadline, and whether it is past
// the grace that its cancellation was given.
func (c OpenCommand) Overdue(now time.Time) (late, lost bool) {
	late = !now.Before(c.Deadline)
	lost = !c.Cancelled.IsZero() && !now.Before(c.Cancelled.Add(cancelGrace))
	return late, lost
}

const (
	// maxPollGap is the longest gap between two polls of a target that has polls to spare.
	maxPollGap = 5 * time.Minute
	// minPollGap is the shortest gap of a target that is on its way.
	minPollGap = time.Minute
	// firstPoll is the first look at a new command.
	firstPoll = 2 * time.Minute
	// LongestPollGap is the gap of a target that must save polls.
	LongestPollGap = 15 * time.Minute
	// LeaseTerm is how long a lease is taken for: 15 minutes past the longest gap
	// between two polls, so that only a dead run loses it.
	LeaseTerm = LongestPollGap + 15*time.Minute
)

// NextPoll foresees when a look at the target is worth its cost: when the next
// instance should be through, and after that in steps of a quarter of the time
// that the former ones took. took is how long an instance needed on average, 0 if
// none has ended; sinceMoved is how long ago the target last moved.
func NextPoll(interval, sinceSent, sinceMoved, took time.Duration) time.Duration {
	low := max(interval, minPollGap)
	if took <= 0 {
		return clamp(sinceSent/2, max(interval, firstPoll), maxPollGap)
	}
	return clamp(max(took-sinceMoved, took/4), low, maxPollGap)
}

func clamp(d, low, high time.Duration) time.Duration { return max(low, min(d, high)) }
