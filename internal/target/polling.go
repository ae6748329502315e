package target

import "time"

const (
	// longGap is the longest gap between two polls while instances wait for a slot: a slot that comes free is used
	// after 55 seconds in the median.
	longGap = 110 * time.Second
	// lastGap is the longest gap once everything is sent: nobody waits for what ends.
	lastGap = 4 * time.Minute
	// shortGap is the shortest gap, whatever the interval that was configured: a scan takes a minute.
	shortGap = 5 * time.Second
	// LongestPollGap is the gap of a target that must save polls.
	LongestPollGap = 15 * time.Minute
	// LeaseTerm is how long a lease is taken for: 15 minutes past the longest gap between two polls, so that only a
	// dead run loses it.
	LeaseTerm = LongestPollGap + 15*time.Minute
	// idleShare is the part of a slot's time that may pass between an end and the next send.
	idleShare = 0.04
	// secondsPerSlot is what a look and the send that follows it spend on one slot that came free: the calls are made
	// one after the other, and a target with many slots must look sooner to use them as soon.
	secondsPerSlot = 0.3
	// stepTime is what a look and a send take themselves before a slot that came free is used.
	stepTime = 2 * time.Second
	// quickestShare is the part of the quickest command's time in which no other is expected to end.
	quickestShare = 0.8
	// spareLooks is how many of its longest gaps a target may lose as a whole besides.
	spareLooks = 2
)

// NextPoll is when a look at the target is worth its cost. A slot that comes free is found after half a gap on
// average. The gap is made so that this is a small part of what an instance takes, and no shorter: each look is
// three transitions. Where few rounds are left to lose time in, it is longer.
func (t *TargetRow) NextPoll(interval time.Duration) time.Duration {
	low, high := clamp(interval, shortGap, longGap), longGap
	if t.Waiting() == 0 {
		high = lastGap
	}
	took := time.Duration(t.TookSeconds) * time.Second
	if took < time.Duration(spareLooks)*time.Minute {
		low = shortGap
	}
	rounds := float64(t.Planned) / float64(max(t.Concurrency, 1))
	if took > 0 {
		high = time.Duration(float64(high) / (1 + float64(t.Concurrency)*secondsPerSlot/took.Seconds()))
	}
	gap := high
	if lost := 0.5 - spareLooks/max(rounds, 1); lost > 0 && took > 0 {
		gap = time.Duration(max(idleShare*float64(took)-float64(stepTime), 0) / lost)
	}
	return max(clamp(gap, low, high), t.sparing(took)).Round(time.Second)
}

// patience is the gap that suffices once all that is open has been at work for so long: what takes longer than was
// expected is looked at as often as that still matters. A scan that hangs does not use up the polls of its target.
func (t *TargetRow) patience(youngest time.Duration) time.Duration {
	high := longGap
	if t.Waiting() == 0 {
		high = lastGap
	}
	return clamp(time.Duration(idleShare*float64(youngest)), 0, high).Round(time.Second)
}

// foresight is the gap in which nothing will end, if nothing open is much quicker than the quickest that ended here.
// Where commands are short, and gaps with them, most polls would find nothing; they are three transitions each.
func (t *TargetRow) foresight(oldest time.Duration) time.Duration {
	if time.Duration(t.TookSeconds)*time.Second >= spareLooks*time.Minute {
		return 0
	}
	soon := time.Duration(quickestShare * float64(t.QuickestSeconds) * float64(time.Second))
	return max(soon-oldest, 0).Truncate(time.Second)
}

// sparing is the gap with which the polls and sends that are left to the target suffice for what is left to do: none
// while there are plenty. It never lets the lease run out.
func (t *TargetRow) sparing(took time.Duration) time.Duration {
	left := t.MaxPolls - t.Steps() - reserve
	if left <= 0 {
		return LongestPollGap
	}
	rounds := float64(t.Waiting())/float64(max(t.Concurrency, 1)) + 1
	gap := time.Duration(rounds * float64(took) * stepsPerLook / float64(left))
	return min(gap, LongestPollGap)
}

const (
	// reserve is how many steps are kept for the end of a target: for what takes longer than all before.
	reserve = 40
	// stepsPerLook is a poll and the send that mostly follows it, in polls.
	stepsPerLook = float64(pollEvents+sendEvents) / pollEvents
)

func clamp(d, low, high time.Duration) time.Duration { return max(low, min(d, high)) }
