package patch_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ec2patch/internal/patch"
)

func TestDeliverySeconds(t *testing.T) {
	assert.Equal(t, 900, patch.DeliverySeconds(7200), "nothing starts late")
	assert.Equal(t, 300, patch.DeliverySeconds(300))
}

// Bits is the set that a map of the same numbers is, and survives a row.
func TestBits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var b patch.Bits
		set := map[int]bool{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, patch.MaxSends-1)).Draw(rt, "steps") {
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
		var read patch.Bits
		require.NoError(rt, json.Unmarshal(data, &read))
		assert.Equal(rt, len(set), read.Count())
		for i := range patch.MaxSends + 9 {
			assert.Equal(rt, set[i], read.Has(i), "%d", i)
		}
		assert.LessOrEqual(rt, len(b), (patch.MaxSends+7)/8)
	})
}

func TestTargetRow_slots(t *testing.T) {
	row := patch.TargetRow{Concurrency: 5, Planned: 10}
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
		assert.Equal(t, test.want, patch.SlowLimit(test.concurrency, test.good), "%d at once, %d good", test.concurrency, test.good)
	}
}

func TestTargetRow_Free(t *testing.T) {
	open := func(n, cut int) []patch.OpenIntent {
		o := patch.OpenIntent{N: 1}
		for i := range n {
			o.Left.Add(i)
			if i < cut {
				o.Cut.Add(i)
			}
		}
		return []patch.OpenIntent{o}
	}
	tests := []struct {
		name string
		row  patch.TargetRow
		want int
	}{
		{"nothing open", patch.TargetRow{Concurrency: 5}, 5},
		{"each open one has a slot", patch.TargetRow{Concurrency: 5, Open: open(3, 0)}, 2},
		{"but for those that a cancel was asked for", patch.TargetRow{Concurrency: 5, Open: open(5, 2)}, 2},
		{"never less than none", patch.TargetRow{Concurrency: 1, Open: open(3, 0)}, 0},
		{"a slow start", patch.TargetRow{Concurrency: 50, SlowStart: true, Open: open(3, 0)}, 2},
		{"goes on with what ended well", patch.TargetRow{Concurrency: 50, SlowStart: true, Good: 3, Open: open(3, 0)}, 9},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.Free()) })
	}
}

func TestTargetRow_WorthSending(t *testing.T) {
	tests := []struct {
		name string
		row  patch.TargetRow
		want bool
	}{
		{"all waits, all is free", patch.TargetRow{Planned: 100, Concurrency: 20}, true},
		{"nothing waits", patch.TargetRow{Planned: 100, Next: 100, Concurrency: 20}, false},
		{"nothing is free", patch.TargetRow{Planned: 100, Concurrency: 1, Open: []patch.OpenIntent{{N: 1, Left: patch.Bits{1}}}}, false},
		{"some doubts", patch.TargetRow{Planned: 100, Concurrency: 20, Doubts: make([]int, patch.MaxDoubts-1)}, true},
		{"many doubts", patch.TargetRow{Planned: 100, Concurrency: 20, Doubts: make([]int, patch.MaxDoubts)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.WorthSending()) })
	}
}

func TestTargetRow_OverBudget(t *testing.T) {
	assert.False(t, (&patch.TargetRow{Errors: 2, ErrorLimit: 2}).OverBudget(), "stops when errors exceed the limit")
	assert.True(t, (&patch.TargetRow{Errors: 3, ErrorLimit: 2}).OverBudget())
	assert.True(t, (&patch.TargetRow{Errors: 1}).OverBudget(), "none is tolerated")
	assert.False(t, (&patch.TargetRow{Failures: 5, Errors: 1, ErrorLimit: 1}).OverBudget(), "what no command reached is no error")
}

func TestTargetRow_Refused(t *testing.T) {
	tests := []struct {
		name string
		row  patch.TargetRow
		want bool
	}{
		{"nothing was sent", patch.TargetRow{Planned: 50}, false},
		{"nine of fifty", patch.TargetRow{Planned: 50, Next: 9, Denied: 9}, false},
		{"ten of fifty", patch.TargetRow{Planned: 50, Next: 10, Denied: 10}, true},
		{"ten, after one was accepted", patch.TargetRow{Planned: 50, Next: 11, Denied: 10, Sent: 1}, false},
		{"ten, and one in doubt", patch.TargetRow{Planned: 50, Next: 11, Denied: 10, Doubts: []int{1}}, false},
		{"all of three", patch.TargetRow{Planned: 3, Next: 3, Denied: 3}, true},
		{"two of three", patch.TargetRow{Planned: 3, Next: 2, Denied: 2}, false},
		{"all were skipped", patch.TargetRow{Planned: 3, Next: 3, Skipped: 3}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, test.row.Refused()) })
	}
}

func TestTargetRow_Learn(t *testing.T) {
	var row patch.TargetRow
	row.Learn(8*time.Minute, true)
	assert.Equal(t, 480, row.TookSeconds)
	row.Learn(24*time.Minute, false)
	assert.Equal(t, (7*480+1440)/8, row.TookSeconds, "one slow instance moves the average by an eighth")
	assert.Equal(t, 1, row.Good, "what failed opens nothing")
	var at patch.TargetRow
	at.Learn(0, true)
	assert.Equal(t, 1, at.TookSeconds, "never zero, which means unknown")
}

// The row of a target stays far below what a row may have, 400 KB, whatever is open.
func TestTargetRow_size(t *testing.T) {
	row := patch.TargetRow{Planned: 1_000_000, Concurrency: 1_000_000}
	for n := range 1250 { // as many steps as a history has room for
		for i := range patch.MaxSends {
			row.Hold(n+1, i)
			row.OpenOf(n + 1).Ran.Add(i)
			row.OpenOf(n + 1).Cut.Add(i)
		}
		row.OpenOf(n + 1).CutAt = patch.Mark{At: time.Date(2026, 12, 1, 0, 0, 0, 1, time.UTC), Waited: 100_000}
	}
	data, err := json.Marshal(row)
	require.NoError(t, err)
	assert.Less(t, len(data), 400_000)
}
