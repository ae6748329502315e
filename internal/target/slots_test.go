package target_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

func TestDeliverySeconds(t *testing.T) {
	assert.Equal(t, 900, target.DeliverySeconds(7200), "nothing starts late")
	assert.Equal(t, 300, target.DeliverySeconds(300))
}

// Bits is the set that a map of the same numbers is, and survives a row.
func TestBits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var b target.Bits
		set := map[int]bool{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, target.MaxSends-1)).Draw(rt, "steps") {
			if set[i] {
				b.Remove(i)
				delete(set, i)
				continue
			}
			b.Add(i)
			set[i] = true
		}
		data, err := json.Marshal(b)
		require.NoError(rt, err)
		var read target.Bits
		require.NoError(rt, json.Unmarshal(data, &read))
		assert.Equal(rt, len(set), read.Count())
		for i := range target.MaxSends + 9 {
			assert.Equal(rt, set[i], read.Has(i), "%d", i)
		}
		assert.LessOrEqual(rt, len(b), (target.MaxSends+7)/8)
	})
}

func TestTargetRow_slots(t *testing.T) {
	row := target.TargetRow{Concurrency: 5, Planned: 10}
	assert.Nil(t, row.OpenOf(1))
	row.Release(1, 0) // of what nothing is open
	row.Hold(1, 0)
	row.Hold(1, 9)
	row.Hold(2, 0)
	row.Hold(1, 9)
	assert.Equal(t, 3, row.InFlight())
	assert.Equal(t, 2, row.Free())
	row.OpenOf(1).Cut.Add(9)
	assert.Equal(t, 2, row.InFlight(), "a cancel was asked for: its slot is free")
	row.Release(1, 9)
	assert.Equal(t, 2, row.InFlight())
	assert.Zero(t, row.OpenOf(1).Cut.Count())
	row.Release(1, 0)
	assert.Nil(t, row.OpenOf(1), "nothing of it is open")
	assert.Len(t, row.Open, 1)
	row.Release(2, 0)
	assert.Empty(t, row.Open)
}

func TestSlowLimit(t *testing.T) {
	tests := []struct{ concurrency, good, want int }{
		{100, 0, 10}, {100, 2, 10}, {100, 3, 12}, {100, 25, 100}, {100, 5000, 100},
		{5, 0, 1}, {5, 1, 4}, {5, 2, 5}, {1, 0, 1},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, target.SlowLimit(test.concurrency, test.good), "%d at once, %d good", test.concurrency,
			test.good)
	}
}

func TestTargetRow_Free(t *testing.T) {
	open := func(n, cut int) []target.OpenIntent {
		o := target.OpenIntent{N: 1}
		for i := range n {
			o.Left.Add(i)
			if i < cut {
				o.Cut.Add(i)
			}
		}
		return []target.OpenIntent{o}
	}
	tests := []struct {
		name string
		row  target.TargetRow
		want int
	}{
		{"nothing open", target.TargetRow{Concurrency: 5}, 5},
		{"each open one has a slot", target.TargetRow{Concurrency: 5, Open: open(3, 0)}, 2},
		{"but for those that a cancel was asked for", target.TargetRow{Concurrency: 5, Open: open(5, 2)}, 2},
		{"never less than none", target.TargetRow{Concurrency: 1, Open: open(3, 0)}, 0},
		{"a slow start", target.TargetRow{Concurrency: 50, SlowStart: true, Open: open(3, 0)}, 2},
		{"goes on with what ended well", target.TargetRow{Concurrency: 50, SlowStart: true, Good: 3, Open: open(3, 0)}, 9},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.Free()) })
	}
}

func TestTargetRow_WorthSending(t *testing.T) {
	tests := []struct {
		name string
		row  target.TargetRow
		want bool
	}{
		{"all waits, all is free", target.TargetRow{Planned: 100, Concurrency: 20}, true},
		{"nothing waits", target.TargetRow{Planned: 100, Next: 100, Concurrency: 20}, false},
		{"nothing is free", target.TargetRow{Planned: 100, Concurrency: 1,
			Open: []target.OpenIntent{{N: 1, Left: target.Bits{1}}}}, false},
		{"some doubts", target.TargetRow{Planned: 100, Concurrency: 20, Doubts: make([]int, target.MaxDoubts-1)}, true},
		{"many doubts", target.TargetRow{Planned: 100, Concurrency: 20, Doubts: make([]int, target.MaxDoubts)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.WorthSending()) })
	}
}

func TestTargetRow_OverBudget(t *testing.T) {
	assert.False(t, (&target.TargetRow{Errors: 2, ErrorLimit: 2}).OverBudget(), "stops when errors exceed the limit")
	assert.True(t, (&target.TargetRow{Errors: 3, ErrorLimit: 2}).OverBudget())
	assert.True(t, (&target.TargetRow{Errors: 1}).OverBudget(), "none is tolerated")
	assert.False(t, (&target.TargetRow{Failures: 5, Errors: 1, ErrorLimit: 1}).OverBudget(),
		"what no command reached is no error")
}

func TestTargetRow_Refused(t *testing.T) {
	tests := []struct {
		name string
		row  target.TargetRow
		want bool
	}{
		{"nothing was sent", target.TargetRow{Planned: 50}, false},
		{"nine of fifty", target.TargetRow{Planned: 50, Next: 9, Denied: 9}, false},
		{"ten of fifty", target.TargetRow{Planned: 50, Next: 10, Denied: 10}, true},
		{"ten, after one was accepted", target.TargetRow{Planned: 50, Next: 11, Denied: 10, Sent: 1}, false},
		{"ten, and one in doubt", target.TargetRow{Planned: 50, Next: 11, Denied: 10, Doubts: []int{1}}, false},
		{"all of three", target.TargetRow{Planned: 3, Next: 3, Denied: 3}, true},
		{"two of three", target.TargetRow{Planned: 3, Next: 2, Denied: 2}, false},
		{"all were skipped", target.TargetRow{Planned: 3, Next: 3, Skipped: 3}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.Refused()) })
	}
}

func TestTargetRow_Learn(t *testing.T) {
	var row target.TargetRow
	row.Learn(8*time.Minute, 5*time.Second, true)
	assert.Equal(t, 480, row.TookSeconds)
	row.Learn(24*time.Minute, 5*time.Second, false)
	assert.Equal(t, (7*480+1440)/8, row.TookSeconds, "one slow instance moves the average by an eighth")
	assert.Equal(t, 1, row.Good, "what failed opens nothing")
	var at target.TargetRow
	at.Learn(0, 0, true)
	assert.Equal(t, 1, at.TookSeconds, "never zero, which means unknown")
	assert.Equal(t, 1, at.QuickestSeconds)
	assert.Equal(t, 475, row.QuickestSeconds, "it ended at some moment of the gap before it was seen")
}

// The row of a target stays far below what a row may have, 400 KB, whatever is open.
func TestTargetRow_size(t *testing.T) {
	row := target.TargetRow{Planned: 1_000_000, Concurrency: 1_000_000}
	for n := range 1250 { // as many steps as a history has room for
		for i := range target.MaxSends {
			row.Hold(n+1, i)
			row.OpenOf(n + 1).Ran.Add(i)
			row.OpenOf(n + 1).Cut.Add(i)
		}
		row.OpenOf(n + 1).CutAt = store.Mark{At: time.Date(2026, 12, 1, 0, 0, 0, 1, time.UTC), Waited: 100_000}
	}
	data, err := json.Marshal(row)
	require.NoError(t, err)
	assert.Less(t, len(data), 400_000)
}
