package check

import (
	"slices"
	"time"
)

// Job is one instance as a dispatcher sees it: how long it holds its slot, after
// how long it is back in service, and whether it ended well.
type Job struct {
	Holds, Back time.Duration
	Good        bool
}

// Dispatch gives jobs to slots in their order, each the moment that one is free, and
// returns when the last job that comes back is back. A slow start has a tenth of the
// slots until more ended well, then four times as many as ended well. Source: the design, section 3.
func Dispatch(jobs []Job, slots int, slow bool) time.Duration {
	slots = max(slots, 1)
	limit := slots
	if slow {
		limit = max(slots/10, 1)
	}
	var running []freed // sorted by time
	var now, last time.Duration
	good := 0
	for _, j := range jobs {
		for len(running) >= limit {
			now = running[0].at
			if running[0].good {
				good++
			}
			running = running[1:]
			if slow {
				limit = min(max(slots/10, 4*good, 1), slots)
			}
		}
		end := freed{now + j.Holds, j.Good}
		at, _ := slices.BinarySearchFunc(running, end, func(a, b freed) int { return int(a.at - b.at) })
		running = slices.Insert(running, at, end)
		last = max(last, now+j.Back)
	}
	return last
}

// freed is when a slot is free again.
type freed struct {
	at   time.Duration
	good bool
}

// Lanes is how long tasks take of which so many run at once, in their order.
func Lanes(tasks []time.Duration, n int) time.Duration {
	jobs := make([]Job, len(tasks))
	for i, d := range tasks {
		jobs[i] = Job{Holds: d, Back: d}
	}
	return Dispatch(jobs, n, false)
}
