package target_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"ec2patch/internal/target"
)

func TestTargetRow_NextPoll(t *testing.T) {
	const interval = 15 * time.Second
	tests := []struct {
		name string
		row  target.TargetRow
		want time.Duration
	}{
		{"an hour each, many rounds: a slot is idle for 55 s",
			target.TargetRow{Planned: 1000, Concurrency: 10, MaxPolls: 9000, TookSeconds: 3600}, 110 * time.Second},
		{"twelve minutes each", target.TargetRow{Planned: 1000, Concurrency: 10, MaxPolls: 9000, TookSeconds: 720},
			56 * time.Second},
		{"a minute each", target.TargetRow{Planned: 1000, Concurrency: 10, MaxPolls: 9000, TookSeconds: 60}, 5 * time.Second},
		{"few rounds: little to lose", target.TargetRow{Planned: 40, Concurrency: 10, MaxPolls: 9000, TookSeconds: 720},
			110 * time.Second},
		{"nothing waits", target.TargetRow{Planned: 40, Next: 40, Concurrency: 10, MaxPolls: 9000, TookSeconds: 720},
			239 * time.Second},
		{"nothing is known", target.TargetRow{Planned: 1000, Concurrency: 10, MaxPolls: 9000}, 110 * time.Second},
		{"no steps are left", target.TargetRow{Planned: 1000, Concurrency: 10, MaxPolls: 100, Polls: 40, Batches: 30,
			TookSeconds: 720}, target.LongestPollGap},
		{"few steps are left", target.TargetRow{Planned: 100, Next: 90, Concurrency: 10, MaxPolls: 100, Polls: 40,
			TookSeconds: 720}, 128 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.NextPoll(interval)) })
	}
}

// No gap is shorter than five seconds or long enough to lose the lease.
func TestTargetRow_NextPoll_bounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		planned := rapid.IntRange(1, 100_000).Draw(rt, "planned")
		row := target.TargetRow{
			Planned: planned, Next: rapid.IntRange(0, planned).Draw(rt, "next"),
			Concurrency: rapid.IntRange(0, planned).Draw(rt, "concurrency"),
			MaxPolls:    rapid.IntRange(0, 3000).Draw(rt, "max"), Polls: rapid.IntRange(0, 3000).Draw(rt, "polls"),
			Batches: rapid.IntRange(0, 3000).Draw(rt, "batches"), TookSeconds: rapid.IntRange(0, 1_000_000).Draw(rt, "took"),
		}
		gap := row.NextPoll(time.Duration(rapid.IntRange(0, 1000).Draw(rt, "interval")) * time.Second)
		assert.GreaterOrEqual(rt, gap, 5*time.Second)
		assert.LessOrEqual(rt, gap, target.LongestPollGap)
		assert.Less(rt, gap, target.LeaseTerm-10*time.Minute, "the lease would not outlast the gap")
	})
}

// The steps of a target suffice, however long its instances take: here each of them ends at any time, and a look that
// finds free slots is followed by a send.
func TestTargetRow_NextPoll_suffices(t *testing.T) {
	tests := []struct{ planned, concurrency, seconds, maxPolls int }{
		{5000, 50, 720, 1222}, {5000, 50, 3600, 1222}, {5000, 50, 60, 1222}, {5000, 500, 1200, 1222},
		{5000, 5000, 7000, 1222},
		{1000, 10, 3600, 1222}, {1000, 100, 3600, 305}, {25, 2, 900, 76}, {25, 1, 900, 305},
	}
	for _, test := range tests {
		row := target.TargetRow{Planned: test.planned, Concurrency: test.concurrency, MaxPolls: test.maxPolls,
			TookSeconds: 720}
		var now time.Duration
		var ends []time.Duration // of what is in flight, after its start
		next := uint32(1)
		fill := func() {
			if row.Waiting() == 0 || len(ends) == row.Concurrency {
				return
			}
			row.Batches++
			for n := 0; row.Waiting() > 0 && len(ends) < row.Concurrency && n < target.MaxSends; n++ {
				next = next*1664525 + 1013904223
				row.Next++
				took := time.Duration(test.seconds/2+int(next>>8)%max(test.seconds, 1)) * time.Second
				ends = append(ends, now+took)
			}
		}
		for row.Waiting() > 0 || len(ends) > 0 {
			fill()
			now += row.NextPoll(15 * time.Second)
			row.Polls++
			ends = slices.DeleteFunc(ends, func(end time.Duration) bool {
				if end <= now {
					row.Learn(time.Duration(test.seconds)*time.Second, 5*time.Second, true)
				}
				return end <= now
			})
			if row.Steps() >= row.MaxPolls {
				break
			}
		}
		assert.Less(t, row.Steps(), row.MaxPolls, "%+v: %d wait", test, row.Waiting())
		t.Logf("%+v: %d steps, %s, at best %s", test, row.Steps(), now,
			time.Duration(test.planned/test.concurrency*test.seconds)*time.Second)
	}
}
