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

// maxLanes is about how many commands share a target's concurrency.
const maxLanes = 10

// lane is how many instances one command disrupts at once. SSM ramps each
// command up from one instance, so many narrow commands are faster than one wide
// one: a lane of one never ramps.
// Source: Run Command, rate controls, read 2026-11.
func lane(concurrency int) int { return max((concurrency+maxLanes-1)/maxLanes, 1) }

// NextBatch cuts the next batch out of waiting instances when free of the
// target's concurrency is not in use. A batch runs in as many rounds as fit into
// MaxCommandSeconds, and leaves its share to the other lanes; it is empty when
// nothing may be sent.
func NextBatch(waiting, free, concurrency, commandTimeoutSeconds int) Batch {
	if waiting <= 0 || free <= 0 {
		return Batch{}
	}
	slots := min(free, lane(concurrency), MaxBatch, waiting)
	rounds := max(MaxCommandSeconds/commandTimeoutSeconds, 1)
	lanes := max(free/slots, 1)
	size := min(slots*rounds, MaxBatch, max((waiting+lanes-1)/lanes, 1))
	slots = min(slots, size)
	return Batch{Size: size, Slots: slots, TimeoutSeconds: (size + slots - 1) / slots * commandTimeoutSeconds}
}

// Free is how many more instances of the target may be disrupted. Instances
// that failed after they began keep their place until their agent is heard of again.
func (t *TargetRow) Free() int {
	used := t.Held - t.Healed
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

// WorthSending tells whether a whole lane is free, or room for all that waits.
func (t *TargetRow) WorthSending() bool {
	free, waiting := t.Free(), t.Waiting()
	return free > 0 && waiting > 0 && (free >= min(lane(t.Concurrency), waiting) || len(t.Open) == 0)
}

// Steps is how many polls, and sends, which take about as much room in the
// execution's history, the target has taken.
func (t *TargetRow) Steps() int { return t.Polls + t.Batches }

// OverBudget tells whether the target's own errors exceed what SSM's MaxErrors allows.
func (t *TargetRow) OverBudget() bool { return t.Failures > t.ErrorLimit }

// Time is the time as the command sees it: its times are compared with this one
// and not with the clock, so that a machine with shortened waits meets them, too.
func (c OpenCommand) Time(now time.Time, waited int) time.Time {
	return c.Sent.Add(Mark{At: c.Sent, Waited: c.Waited}.Since(now, waited))
}

// Stalled tells whether what is at work has had its time: whatever runs began
// when the last instance ended, or before.
func (c OpenCommand) Stalled(now time.Time) bool {
	return c.Each > 0 && !now.Before(c.Moved.Add(time.Duration(c.Each)*time.Second))
}

// Overdue tells whether the command is past its deadline, and whether it is past
// the grace that its cancellation was given.
func (c OpenCommand) Overdue(now time.Time) (late, lost bool) {
	late = !now.Before(c.Deadline)
	lost = !c.Cancelled.IsZero() && !now.Before(c.Cancelled.Add(cancelGrace))
	return late, lost
}

const (
	// maxPollGap is the longest gap between two polls of a target that has polls to spare.
	maxPollGap = 10 * time.Minute
	// minPollGap is the shortest gap of a target that is on its way.
	minPollGap = time.Minute
	// lastPollGap is the longest gap once everything is sent.
	lastPollGap = 4 * time.Minute
	// firstPoll is the first look at a new command.
	firstPoll = 2 * time.Minute
	// LongestPollGap is the gap of a target that must save polls.
	LongestPollGap = 15 * time.Minute
	// LeaseTerm is how long a lease is taken for: 15 minutes past the longest gap
	// between two polls, so that only a dead run loses it.
	LeaseTerm = LongestPollGap + 15*time.Minute
)

// NextPoll foresees when a look at the target is worth its cost: when the first
// of its commands should be through, and after that in steps of a quarter of what
// an instance needs. Near the end, when nothing waits any more, it looks oftener.
func (t *TargetRow) NextPoll(interval time.Duration, now time.Time, waited int) time.Duration {
	low, high := max(interval, minPollGap), maxPollGap
	switch {
	case len(t.Open) == 0:
		return low
	case t.Steps() > t.MaxPolls/2:
		return LongestPollGap
	case t.Waiting() == 0:
		high = lastPollGap
	}
	took := time.Duration(t.TookSeconds) * time.Second
	if took == 0 {
		return clamp(t.Open[0].Time(now, waited).Sub(t.Open[0].Sent)/2, max(interval, firstPoll), high)
	}
	next := maxPollGap
	for _, c := range t.Open {
		rounds := time.Duration((c.Instances + c.Slots - 1) / c.Slots)
		left := c.Sent.Add(rounds * took).Sub(c.Time(now, waited))
		if left <= 0 {
			left = took / 4
		}
		next = min(next, left)
	}
	return clamp(next, low, high)
}

// Moved takes over that a command has come further: done of its instances have
// ended. What a round took is averaged, so that one slow instance tells little.
func (t *TargetRow) Moved(c *OpenCommand, done int, now time.Time) {
	c.Asked = time.Time{}
	c.Done, c.Moved = done, now
	rounds := max((done+c.Slots-1)/c.Slots, 1)
	took := int(now.Sub(c.Sent).Seconds()) / rounds
	if t.TookSeconds > 0 {
		took = (3*t.TookSeconds + took) / 4
	}
	t.TookSeconds = max(took, 1)
}

func clamp(d, low, high time.Duration) time.Duration { return max(low, min(d, high)) }
