package target

import (
	"math/bits"
	"slices"
	"time"

	"ec2patch/internal/store"
)

const (
	// MaxSends bounds the commands that one step of Send sends: at four a second they take about a minute,
	// well within the function's two. Each is a command of one instance.
	MaxSends = 250
	// MaxDoubts bounds the intents of a target that hold a send whose answer was lost. Further sends wait until they
	// are looked for, so that a service that loses every answer is met by few.
	MaxDoubts = 20
	// deliveryLimit is how long Run Command may try to deliver a command. Nothing is ever queued behind another
	// instance, so an agent that does not take it by then is away; a short limit means that nothing starts late.
	deliveryLimit = 15 * time.Minute
	// CancelGrace is how long a cancelled command may take to say so.
	CancelGrace = 5 * time.Minute
)

// DeliverySeconds is how long Run Command may try to deliver a command, which may run for timeout seconds.
func DeliverySeconds(timeout int) int { return min(timeout, int(deliveryLimit.Seconds())) }

// Bits is a set of small numbers: of the sends of one intent, by their place in it.
type Bits []byte

// Has tells whether i is in the set.
func (b Bits) Has(i int) bool { return i/8 < len(b) && b[i/8]&(1<<(i%8)) != 0 }

// Add puts i into the set.
func (b *Bits) Add(i int) {
	for i/8 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i/8] |= 1 << (i % 8)
}

// Remove takes i out of the set.
func (b *Bits) Remove(i int) {
	if b.Has(i) {
		(*b)[i/8] &^= 1 << (i % 8)
	}
}

// Count is the size of the set.
func (b Bits) Count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// OpenIntent tells which commands of an intent are not known to have ended. The life of a command, from when it takes a
// slot with Hold:
//
//	held ── start ──> at work ── end ──> ended: its slot is free, and it is forgotten
//	  └── expire ──> late: it counts as failed, and is cut
//	  └── cut ──> cancelled: its slot is free, and it is followed until it ends or CancelGrace is over
type OpenIntent struct {
	N     int        `json:"n"`
	Left  Bits       `json:"l"`           // the sends that hold a slot or are still followed
	Ran   Bits       `json:"r,omitempty"` // of those, the ones whose agent was seen at work
	Cut   Bits       `json:"c,omitempty"` // of those, the ones that a cancel was asked for
	CutAt store.Mark `json:"t,omitzero"`  // when a cancel was last asked for
	Late  Bits       `json:"d,omitempty"` // of those, the ones past their deadline: they count as failed already
}

// forget takes one send of the intent out of all sets.
func (o *OpenIntent) forget(i int) {
	o.Left.Remove(i)
	o.Ran.Remove(i)
	o.Cut.Remove(i)
	o.Late.Remove(i)
}

// OpenOf finds an intent among the open ones, nil if nothing of it is open.
func (t *TargetRow) OpenOf(n int) *OpenIntent {
	for i := range t.Open {
		if t.Open[i].N == n {
			return &t.Open[i]
		}
	}
	return nil
}

// Hold gives a slot to the send at place i of intent n.
func (t *TargetRow) Hold(n, i int) {
	o := t.OpenOf(n)
	if o == nil {
		t.Open = append(t.Open, OpenIntent{N: n})
		o = &t.Open[len(t.Open)-1]
	}
	o.Left.Add(i)
}

// Release gives the slot of a send back, and forgets an intent with nothing open.
func (t *TargetRow) Release(n, i int) {
	if o := t.OpenOf(n); o != nil {
		o.forget(i)
		if o.Left.Count() == 0 {
			t.Open = slices.DeleteFunc(t.Open, func(o OpenIntent) bool { return o.N == n })
		}
	}
}

// start notes that a command's agent was seen at work. It is false if that is known.
func (t *TargetRow) start(n, i int) bool {
	o := t.OpenOf(n)
	if o.Ran.Has(i) {
		return false
	}
	o.Ran.Add(i)
	return true
}

// expire notes that a command is past its deadline: it counts as failed from here on. The cancel that follows frees its
// slot, and a failure that counted later would let one more begin in its place.
func (t *TargetRow) expire(n, i int) {
	if o := t.OpenOf(n); !o.Late.Has(i) {
		t.tally(true, true, false)
		o.Late.Add(i)
	}
}

// cut notes that a cancel was asked for: the slot is free, and the command is followed until it has ended, or has had
// its time to.
func (t *TargetRow) cut(n, i int, at store.Mark) {
	o := t.OpenOf(n)
	o.Cut.Add(i)
	o.CutAt = at
}

// end counts how a command ended, and gives its slot back.
func (t *TargetRow) end(n, i int, failed, isError bool) {
	t.tally(failed, isError, t.OpenOf(n).Late.Has(i))
	t.Release(n, i)
}

// tally counts how a command ended. One that counted as failed when its time was over, and ended well after all, is
// taken back.
func (t *TargetRow) tally(failed, isError, counted bool) {
	for _, c := range []struct {
		is bool
		n  *int
	}{{failed, &t.Failures}, {isError, &t.Errors}} {
		if c.is {
			*c.n++
		}
		if counted {
			*c.n--
		}
	}
}

// InFlight is how many slots are taken. A slot is free when its command has ended, or when a cancel was asked for:
// that happens past the command's own deadline, whatever CancelCommand answers, or when nothing more is sent anyway.
func (t *TargetRow) InFlight() int {
	n := 0
	for _, o := range t.Open {
		n += o.Left.Count() - o.Cut.Count()
	}
	return n
}

const (
	// slowShare is the part of its concurrency with which a target begins that starts slowly: a tenth.
	slowShare = 10
	// slowGrowth is how many may be at work for each instance that has ended well.
	slowGrowth = 4
)

// SlowLimit is how many instances may be in flight in a target that starts slowly, once good of them ended well: a
// bad patch is met by a tenth of the concurrency, and a good one is held up for a round at most.
func SlowLimit(concurrency, good int) int {
	return min(concurrency, max(concurrency/slowShare, 1, slowGrowth*good))
}

// Free is how many more commands of the target may be sent now.
func (t *TargetRow) Free() int {
	limit := t.Concurrency
	if t.SlowStart {
		limit = SlowLimit(limit, t.Good)
	}
	return max(limit-t.InFlight(), 0)
}

// Waiting is how many planned instances have not been put into an intent.
func (t *TargetRow) Waiting() int { return t.Planned - t.Next }

// WorthSending tells whether a slot is free for something that waits.
func (t *TargetRow) WorthSending() bool {
	return t.Free() > 0 && t.Waiting() > 0 && len(t.Doubts) < MaxDoubts
}

// Events in an execution's history of a poll, with its wait and its choice, and of a send with its choice.
// Source: Step Functions, GetExecutionHistory, counted in the rehearsal.
const (
	pollEvents = 9
	sendEvents = 7
)

// Steps is how much room in the execution's history the target has taken, in polls.
func (t *TargetRow) Steps() int {
	return (pollEvents*t.Polls + sendEvents*t.Batches + pollEvents - 1) / pollEvents
}

// OverBudget tells whether the target's own errors exceed ssm.maxErrors.
func (t *TargetRow) OverBudget() bool { return t.Errors > t.ErrorLimit }

// Refusals is how many first sends, all of them refused, close a target: the account takes no commands there.
const Refusals = 10

// Refused tells whether the account-region takes no command at all: its first ten sends, or all of fewer, were
// refused and none was accepted.
func (t *TargetRow) Refused() bool {
	return t.Sent == 0 && t.Denied > 0 && len(t.Doubts) == 0 && (t.Denied >= Refusals || t.Waiting() == 0)
}

// Learn takes over that a command ended on its instance, took after it was accepted. What an instance takes is
// averaged, so that one slow instance tells little. It ended within the gap before took.
func (t *TargetRow) Learn(took, gap time.Duration, well bool) {
	if well {
		t.Good++
	}
	seconds := max(int(took.Seconds()), 1)
	if least := max(int((took - gap).Seconds()), 1); t.QuickestSeconds == 0 || least < t.QuickestSeconds {
		t.QuickestSeconds = least
	}
	if t.TookSeconds > 0 {
		seconds = (7*t.TookSeconds + seconds) / 8
	}
	t.TookSeconds = max(seconds, 1)
}
