package target

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// ways is the table of life.go: where each transition leads from a phase. What ends while a slot is free leaves it so.
func ways() map[Phase]map[string][]Phase {
	shut := []Phase{PhaseClosing, PhaseSpent}
	return map[Phase]map[string][]Phase{
		PhasePlanned: {"acquire": {PhaseFilling}, "queue": {PhaseQueued}, "close": {PhaseSpent}, "abandon": {PhaseSpent}},
		PhaseQueued:  {"acquire": {PhaseFilling}, "queue": {PhaseQueued}, "close": {PhaseSpent}, "abandon": {PhaseSpent}},
		PhaseFilling: {
			"intend": {PhaseSending}, "skip": {PhaseFilling, PhaseFollowing, PhaseSpent},
			"end": {PhaseFilling}, "cut": {PhaseFilling}, "resolve": {PhaseFilling},
			"close": shut, "lock": shut, "abandon": shut,
		},
		PhaseSending: {
			"settle": {PhaseFilling, PhaseFollowing, PhaseClosing, PhaseSpent},
			"close":  {PhaseSending}, "abandon": {PhaseSending},
		},
		PhaseFollowing: {
			"end": {PhaseFilling, PhaseFollowing, PhaseSpent}, "cut": {PhaseFilling, PhaseFollowing},
			"resolve": {PhaseFilling, PhaseFollowing},
			"close":   {PhaseClosing}, "lock": {PhaseClosing}, "abandon": {PhaseClosing},
		},
		PhaseClosing: {
			"end": {PhaseClosing, PhaseSpent}, "cut": {PhaseClosing}, "resolve": {PhaseClosing},
			"close": {PhaseClosing}, "lock": {PhaseClosing}, "abandon": {PhaseClosing},
		},
		PhaseSpent:     {"beginVerify": {PhaseVerifying}, "close": {PhaseSpent}, "abandon": {PhaseSpent}},
		PhaseVerifying: {"beginVerify": {PhaseVerifying}, "verify": {PhaseVerified}, "close": {PhaseVerifying}},
		PhaseVerified:  {"close": {PhaseVerified}},
	}
}

// life is a target that lives at random, by its transitions.
type life struct {
	*testing.T
	*rand.Rand
	row    TargetRow
	in     Intent
	doubts bool // every answer is lost, and nothing is looked for before it must be
}

// open draws one of the sends that hold a slot or are still followed, and of which is known what became of it.
func (l *life) open() (n, i int, any bool) {
	var all [][2]int
	for _, o := range l.row.Open {
		for i := range 8 * len(o.Left) {
			if o.Left.Has(i) && !slices.Contains(l.row.Doubts, o.N) {
				all = append(all, [2]int{o.N, i})
			}
		}
	}
	if len(all) == 0 {
		return 0, 0, false
	}
	at := all[l.IntN(len(all))]
	return at[0], at[1], true
}

// sends draws what became of a step: it may have stopped before the last.
func (l *life) sends() []Sent {
	if l.doubts {
		return []Sent{{}}
	}
	kinds := []Sent{
		{Command: "c"}, {Command: "d"}, {}, {Lost: true},
		{Refused: string(patch.ErrAccessDenied)}, {Refused: string(patch.ErrInvalidInstance)},
	}
	sends := make([]Sent, l.IntN(len(l.in.IDs)+1))
	for i := range sends {
		sends[i] = kinds[l.IntN(len(kinds))]
	}
	return sends
}

// how draws one of the transitions that the phase knows. Few lives are cut short.
func (l *life) how(all map[string][]Phase) string {
	var calm, short []string
	for how := range all {
		if slices.Contains([]string{"close", "lock", "abandon"}, how) {
			short = append(short, how)
		} else {
			calm = append(calm, how)
		}
	}
	slices.Sort(calm)
	slices.Sort(short)
	if len(calm) == 0 || len(short) > 0 && l.IntN(20) == 0 {
		return short[l.IntN(len(short))]
	}
	if l.doubts && slices.Contains(calm, "intend") {
		return "intend"
	}
	return calm[l.IntN(len(calm))]
}

func (l *life) step(how string) {
	row := &l.row
	switch how {
	case "acquire":
		row.acquire(1)
		assert.True(l, row.Busy.IsZero())
	case "queue":
		was := row.Busy
		assert.Equal(l, was.IsZero(), row.queue(time.Unix(int64(row.Polls+1), 0), "another"))
		assert.True(l, was.IsZero() || was.Equal(row.Busy), "since when is said once")
	case "intend", "skip":
		l.in = Intent{Batch: row.Batches + 1, From: row.Next}
		for i := range 1 + l.IntN(min(row.Free(), row.Waiting())) {
			id := patch.InstanceID(strconv.Itoa(row.Next + i))
			if how == "skip" {
				l.in.Skipped = append(l.in.Skipped, Skip{ID: id})
				continue
			}
			l.in.IDs = append(l.in.IDs, id)
		}
		row.intend(&l.in)
		assert.Equal(l, how == "skip", l.in.Settled)
	case "settle":
		l.in.Sends = l.sends()
		row.settle(&l.in, l.in.From+len(l.in.Sends))
	case "end":
		if n, i, any := l.open(); any {
			row.end(n, i, l.IntN(2) == 0, false)
		}
	case "cut":
		if n, i, any := l.open(); any {
			row.expire(n, i)
			row.cut(n, i, store.Mark{})
		}
	case "resolve":
		row.resolve(nil, 0, 0, time.Time{})
	case "close":
		row.close([]outcome.Reason{outcome.ReasonStopped, outcome.ReasonBudget}[l.IntN(2)], "")
	case "lock":
		row.lock(errors.New("denied"))
	case "abandon":
		row.abandon()
	case "beginVerify":
		assert.Equal(l, !row.Verifying.Set(), row.beginVerify(store.Mark{At: time.Unix(int64(row.Polls+1), 0)}))
	case "verify":
		row.verify(outcome.Counts{}, time.Unix(9, 0), "hash")
	}
}

// Whatever happens to a target, it goes the ways of the table and no others, its first reason stays, and it never sends
// more than was planned, or than there are slots.
func TestTargetRow_life(t *testing.T) {
	table := ways()
	went := map[string]bool{}
	for seed := range uint64(1000) {
		l := &life{T: t, Rand: rand.New(rand.NewPCG(seed, 0)), doubts: seed%10 == 0}
		l.row = TargetRow{Status: TargetPlanned, MaxPolls: 1000, Planned: 1 + l.IntN(9), Concurrency: 1 + l.IntN(4)}
		if l.doubts {
			l.row.Planned, l.row.Concurrency = 3*MaxDoubts, 2*MaxDoubts
		}
		require.Equal(t, PhasePlanned, l.row.Phase())
		for range 60 {
			from, why := l.row.Phase(), l.row.Closed
			how := l.how(table[from])
			l.step(how)
			to := l.row.Phase()
			require.Contains(t, table[from][how], to, "seed %d: %s from %s", seed, how, from)
			require.True(t, why == "" || why == l.row.Closed, "seed %d: %s was %s", seed, l.row.Closed, why)
			require.LessOrEqual(t, l.row.Next, l.row.Planned, "seed %d", seed)
			require.LessOrEqual(t, l.row.InFlight(), l.row.Concurrency, "seed %d", seed)
			went[how+": "+string(from)+" > "+string(to)] = true
		}
	}
	for from, hows := range table {
		for how, all := range hows {
			for _, to := range all {
				assert.True(t, went[how+": "+string(from)+" > "+string(to)], "%s never led from %s to %s", how, from, to)
			}
		}
	}
}

// An unreachable target is nobody's, and a step that dies leaves a phase that says whose work is left.
func TestTargetRow_Phase(t *testing.T) {
	mark := store.Mark{At: time.Unix(1, 0)}
	tests := []struct {
		want Phase
		row  TargetRow
	}{
		{PhaseUnreachable, TargetRow{Status: TargetUnreachable}},
		{PhaseSpent, TargetRow{Status: TargetPlanned, Concurrency: 1}}, // nothing was planned
		{PhaseSending, TargetRow{Status: TargetPatching, Planned: 2, Pending: 1, Closed: outcome.ReasonAbort}},
		{PhaseSending, TargetRow{Status: TargetPatching, Pending: 1, Verifying: mark}},
		{PhaseVerified, TargetRow{Status: TargetVerified, Pending: 1, Verifying: mark}},
		{PhaseFollowing, TargetRow{Fence: 1, Planned: 9, Concurrency: 9, Doubts: make([]int, MaxDoubts)}},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, test.row.Phase(), "%+v", test.row)
		assert.Equal(t, test.want == PhaseFollowing, test.row.Phase().follows())
		assert.False(t, test.row.Phase().canSend())
	}
}

// A target that has no room for more steps says so, unless something else is to be said.
func TestTargetRow_close(t *testing.T) {
	full := TargetRow{MaxPolls: 1, Polls: 2}
	row := full
	row.close("", "")
	assert.Empty(t, row.Closed, "no reason closes nothing")
	assert.Empty(t, row.Reason)
	row.close(outcome.ReasonStopped, "")
	assert.Equal(t, noRoom, row.Reason)
	row.lock(errors.New("denied"))
	assert.Equal(t, outcome.ReasonStopped, row.Closed)
	assert.Equal(t, "denied", row.Reason, "the newest error is told")
	other := full
	other.closeAs(&row)
	assert.Equal(t, outcome.ReasonStopped, other.Closed)
	assert.Equal(t, "denied", other.Reason)
	other.closeAs(&full)
	assert.Equal(t, outcome.ReasonStopped, other.Closed, "it is not opened again")
	row = full
	row.close(outcome.ReasonLease, "held by another")
	assert.Equal(t, "held by another", row.Reason)
}
