package patch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"ec2patch/internal/patch"
)

func TestNextBatch(t *testing.T) {
	tests := []struct {
		name                               string
		waiting, free, concurrency, second int
		want                               patch.Batch
	}{
		{"nothing waits", 0, 5, 5, 7200, patch.Batch{}},
		{"nothing is free", 5, 0, 5, 7200, patch.Batch{}},
		{"less than nothing is free", 5, -1, 5, 7200, patch.Batch{}},
		{"one of one", 1, 1, 1, 7200, patch.Batch{Size: 1, Slots: 1, TimeoutSeconds: 7200}},
		{"two rounds of a lane of one", 10, 1, 1, 7200, patch.Batch{Size: 2, Slots: 1, TimeoutSeconds: 14400}},
		{"short commands make more rounds", 100, 1, 1, 1800, patch.Batch{Size: 10, Slots: 1, TimeoutSeconds: 18000}},
		{"a command longer than five hours is one round", 10, 1, 1, 6 * 3600, patch.Batch{Size: 1, Slots: 1, TimeoutSeconds: 6 * 3600}},
		{"lanes share what waits", 20, 10, 10, 7200, patch.Batch{Size: 2, Slots: 1, TimeoutSeconds: 14400}},
		{"wide targets have wide lanes", 1000, 100, 100, 7200, patch.Batch{Size: 20, Slots: 10, TimeoutSeconds: 14400}},
		{"no command names more than fifty", 10000, 1000, 1000, 600, patch.Batch{Size: 50, Slots: 50, TimeoutSeconds: 600}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, patch.NextBatch(test.waiting, test.free, test.concurrency, test.second))
		})
	}
}

// However much waits and is free, a batch never takes more than that, never
// more than SSM names in a command, and never runs longer than it may.
func TestNextBatch_bounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		waiting, free := rapid.IntRange(1, 5000).Draw(rt, "waiting"), rapid.IntRange(1, 1000).Draw(rt, "free")
		concurrency := rapid.IntRange(free, 1000).Draw(rt, "concurrency")
		seconds := rapid.IntRange(30, 2*patch.MaxCommandSeconds).Draw(rt, "seconds")
		b := patch.NextBatch(waiting, free, concurrency, seconds)
		assert.GreaterOrEqual(rt, b.Size, 1, "nothing is sent although it could be")
		assert.LessOrEqual(rt, b.Size, min(waiting, patch.MaxBatch))
		assert.GreaterOrEqual(rt, b.Slots, 1)
		assert.LessOrEqual(rt, b.Slots, min(free, b.Size), "more at once than is free")
		rounds := (b.Size + b.Slots - 1) / b.Slots
		assert.Equal(rt, rounds*seconds, b.TimeoutSeconds)
		assert.LessOrEqual(rt, b.TimeoutSeconds, max(patch.MaxCommandSeconds, seconds))
	})
}

// A target whose commands all end is through after a bounded number of
// batches, and is never over its concurrency on the way.
func TestTargetRow_progress(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		row := patch.TargetRow{Planned: rapid.IntRange(1, 800).Draw(rt, "planned")}
		row.Concurrency = rapid.IntRange(1, row.Planned).Draw(rt, "concurrency")
		seconds := rapid.IntRange(60, 20000).Draw(rt, "seconds")
		for step := 0; row.Waiting() > 0; step++ {
			if step > 2*row.Planned {
				rt.Fatalf("%d of %d instances wait after %d steps", row.Waiting(), row.Planned, step)
			}
			if row.WorthSending() {
				b := patch.NextBatch(row.Waiting(), row.Free(), row.Concurrency, seconds)
				row.Next += b.Size
				row.Open = append(row.Open, patch.OpenCommand{Instances: b.Size, Slots: b.Slots})
				used := 0
				for _, c := range row.Open {
					used += min(c.Slots, c.Instances)
				}
				assert.LessOrEqual(rt, used, row.Concurrency)
				continue
			}
			if len(row.Open) == 0 {
				rt.Fatalf("nothing is open, %d wait, and nothing is worth sending", row.Waiting())
			}
			n := rapid.IntRange(0, len(row.Open)-1).Draw(rt, "ends")
			row.Open = append(row.Open[:n], row.Open[n+1:]...)
		}
	})
}

func TestTargetRow_Free(t *testing.T) {
	tests := []struct {
		name string
		row  patch.TargetRow
		want int
	}{
		{"nothing open", patch.TargetRow{Concurrency: 5}, 5},
		{"an open command takes its slots", patch.TargetRow{Concurrency: 5, Open: []patch.OpenCommand{{Slots: 2, Instances: 8, Done: 3}}}, 3},
		{"its last instances take fewer", patch.TargetRow{Concurrency: 5, Open: []patch.OpenCommand{{Slots: 2, Instances: 8, Done: 7}}}, 4},
		{"a failure keeps its slot", patch.TargetRow{Concurrency: 5, Held: 2}, 3},
		{"until its agent is heard of", patch.TargetRow{Concurrency: 5, Held: 2, Healed: 1}, 4},
		{"never less than none", patch.TargetRow{Concurrency: 1, Held: 3}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.Free()) })
	}
}

func TestTargetRow_Waiting(t *testing.T) {
	row := patch.TargetRow{Planned: 10, Next: 7, Requeue: []patch.Group{{IDs: []patch.InstanceID{"i-1", "i-2"}}, {IDs: []patch.InstanceID{"i-3"}}}}
	assert.Equal(t, 6, row.Waiting())
}

func TestTargetRow_WorthSending(t *testing.T) {
	tests := []struct {
		name string
		row  patch.TargetRow
		want bool
	}{
		{"all waits, all is free", patch.TargetRow{Planned: 100, Concurrency: 20}, true},
		{"nothing waits", patch.TargetRow{Planned: 100, Next: 100, Concurrency: 20}, false},
		{"failures hold everything", patch.TargetRow{Planned: 100, Concurrency: 2, Held: 2}, false},
		{"less than a lane is free and something is open", patch.TargetRow{Planned: 100, Next: 19, Concurrency: 20, Open: []patch.OpenCommand{{Slots: 19, Instances: 19}}}, false},
		{"less than a lane is free and nothing is open", patch.TargetRow{Planned: 100, Concurrency: 20, Held: 19}, true},
		{"less than a lane is free, as much waits", patch.TargetRow{Planned: 20, Next: 19, Concurrency: 20, Open: []patch.OpenCommand{{Slots: 19, Instances: 19}}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.WorthSending()) })
	}
}

func TestTargetRow_OverBudget(t *testing.T) {
	assert.False(t, (&patch.TargetRow{Failures: 2, ErrorLimit: 2}).OverBudget(), "stops when failures exceed the limit")
	assert.True(t, (&patch.TargetRow{Failures: 3, ErrorLimit: 2}).OverBudget())
	assert.True(t, (&patch.TargetRow{Failures: 1}).OverBudget(), "none is tolerated")
}

func TestOpenCommand_Time(t *testing.T) {
	c := patch.OpenCommand{Sent: sentAt(), Waited: 100}
	assert.Equal(t, sentAt().Add(time.Hour), c.Time(sentAt().Add(time.Hour), 160), "by the clock")
	assert.Equal(t, sentAt().Add(time.Hour), c.Time(sentAt().Add(time.Minute), 3700), "by shortened waits")
}

func TestOpenCommand_Overdue(t *testing.T) {
	deadline := sentAt().Add(time.Hour)
	tests := []struct {
		name       string
		cancelled  time.Time
		now        time.Time
		late, lost bool
	}{
		{"in time", time.Time{}, deadline.Add(-time.Second), false, false},
		{"at its deadline", time.Time{}, deadline, true, false},
		{"cancelled early, within its grace", deadline.Add(-30 * time.Minute), deadline.Add(-26 * time.Minute), false, false},
		{"cancelled early, past its grace", deadline.Add(-30 * time.Minute), deadline.Add(-25 * time.Minute), false, true},
		{"late and never cancelled is not lost", time.Time{}, deadline.Add(24 * time.Hour), true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			late, lost := patch.OpenCommand{Deadline: deadline, Cancelled: test.cancelled}.Overdue(test.now)
			assert.Equal(t, test.late, late, "late")
			assert.Equal(t, test.lost, lost, "lost")
		})
	}
}

func TestTargetRow_NextPoll(t *testing.T) {
	open := func(ago time.Duration) []patch.OpenCommand {
		return []patch.OpenCommand{{Sent: sentAt().Add(-ago), Instances: 10, Slots: 5}}
	}
	tests := []struct {
		name string
		row  patch.TargetRow
		want time.Duration
	}{
		{"nothing open: soon", patch.TargetRow{}, time.Minute},
		{"just sent: the first look", patch.TargetRow{Planned: 20, Next: 10, MaxPolls: 100, Open: open(0)}, 2 * time.Minute},
		{"nothing ended for an hour", patch.TargetRow{Planned: 20, Next: 10, MaxPolls: 100, Open: open(time.Hour)}, 10 * time.Minute},
		{"nothing ended for an hour, nothing waits", patch.TargetRow{Planned: 10, Next: 10, MaxPolls: 100, Open: open(time.Hour)}, 4 * time.Minute},
		{"two rounds of four minutes foreseen", patch.TargetRow{Planned: 20, Next: 10, MaxPolls: 100, TookSeconds: 240, Open: open(0)}, 8 * time.Minute},
		{"past what was foreseen: a quarter round", patch.TargetRow{Planned: 20, Next: 10, MaxPolls: 100, TookSeconds: 480, Open: open(time.Hour)}, 2 * time.Minute},
		{"half of the polls are used up", patch.TargetRow{Planned: 10, Next: 10, MaxPolls: 100, Polls: 51, Open: open(0)}, patch.LongestPollGap},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.NextPoll(15*time.Second, sentAt(), 0)) })
	}
}

// What is foreseen is met by shortened waits as by the clock.
func TestTargetRow_NextPoll_waited(t *testing.T) {
	row := patch.TargetRow{
		Planned: 20, Next: 10, MaxPolls: 100, TookSeconds: 240,
		Open: []patch.OpenCommand{{Sent: sentAt(), Waited: 30, Instances: 10, Slots: 5}},
	}
	assert.Equal(t, 3*time.Minute, row.NextPoll(15*time.Second, sentAt().Add(time.Second), 330))
}

// No gap is shorter than a minute or long enough to lose the lease.
func TestTargetRow_NextPoll_bounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		row := patch.TargetRow{
			Planned: 500, Next: rapid.IntRange(0, 500).Draw(rt, "next"), MaxPolls: 1000,
			Polls: rapid.IntRange(0, 1000).Draw(rt, "polls"), TookSeconds: rapid.IntRange(0, 40000).Draw(rt, "took"),
		}
		for range rapid.IntRange(0, 12).Draw(rt, "open") {
			n := rapid.IntRange(1, 50).Draw(rt, "instances")
			row.Open = append(row.Open, patch.OpenCommand{
				Instances: n, Slots: rapid.IntRange(1, n).Draw(rt, "slots"), Done: rapid.IntRange(0, n).Draw(rt, "done"),
				Sent: sentAt().Add(-time.Duration(rapid.IntRange(0, 40000).Draw(rt, "ago")) * time.Second),
			})
		}
		gap := row.NextPoll(time.Duration(rapid.IntRange(1, 60).Draw(rt, "interval"))*time.Second, sentAt(), 0)
		assert.GreaterOrEqual(rt, gap, time.Minute)
		assert.LessOrEqual(rt, gap, patch.LongestPollGap)
		assert.Less(rt, gap, patch.LeaseTerm-10*time.Minute, "the lease would not outlast the gap")
	})
}

func TestTargetRow_Moved(t *testing.T) {
	var row patch.TargetRow
	c := patch.OpenCommand{Sent: sentAt(), Instances: 10, Slots: 5}
	row.Moved(&c, 5, sentAt().Add(8*time.Minute))
	assert.Equal(t, 5, c.Done)
	assert.Equal(t, 480, row.TookSeconds, "one round took eight minutes")
	row.Moved(&c, 10, sentAt().Add(24*time.Minute))
	assert.Equal(t, (3*480+720)/4, row.TookSeconds, "a slow second round moves the average by a quarter")
	var at patch.TargetRow
	at.Moved(&patch.OpenCommand{Sent: sentAt(), Instances: 1, Slots: 1}, 1, sentAt())
	assert.Equal(t, 1, at.TookSeconds, "never zero, which means unknown")
}
