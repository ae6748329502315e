package target

import (
	"cmp"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// Phase is where a target stands in its life. No field holds it: the row as a whole says it. Most go this way:
//
//	planned ─ acquire ─> filling ─ intend ─> sending ─ settle ─> following ─ end ─> spent ─ beginVerify ─> verifying
//	                        └<─────────── a slot comes free ─────────┘                     verified <─ verify ─┘
//
// Every way there is:
//
//	phase       | what is true                                          | step of | and what leads on
//	unreachable | discovery could not read the account                  | nobody  |
//	planned     | something waits to be sent; no lease was taken yet    | Send    | acquire: filling; queue: queued
//	queued      | the same, and another run holds the account-region    | Send    | acquire: filling
//	filling     | something waits to be sent, and a slot is free for it | Send    | intend: sending; if all are skipped:
//	            |                                                       |         | filling, following, spent
//	sending     | an intent is written, and its sends are not settled   | Send    | settle: filling, following, closing,
//	            |                                                       |         | spent
//	following   | no slot is free, or nothing waits to be sent          | Poll    | end, cut, resolve: filling, spent
//	closing     | nothing more is sent; what is open is followed        | Poll    | end: spent
//	spent       | nothing is open, and nothing more is sent             | Verify  | beginVerify: verifying
//	verifying   | verify has looked, and looks again at what may change | Verify  | verify: verified
//	verified    | every instance has its one outcome                    | nobody  |
//
// close, lock and abandon lead from every phase before spent to closing, or to spent if nothing is open; while an
// intent is not settled they only note the reason. A closed target is never opened again, and what a settled intent has
// tried never waits again: a target that was spent stays so, and nothing is open in the phases that follow.
type Phase string

// The phases of a target.
const (
	PhaseUnreachable Phase = "unreachable"
	PhasePlanned     Phase = "planned"
	PhaseQueued      Phase = "queued"
	PhaseFilling     Phase = "filling"
	PhaseSending     Phase = "sending"
	PhaseFollowing   Phase = "following"
	PhaseClosing     Phase = "closing"
	PhaseSpent       Phase = "spent"
	PhaseVerifying   Phase = "verifying"
	PhaseVerified    Phase = "verified"
)

// Phase is where the target stands.
func (t *TargetRow) Phase() Phase {
	switch {
	case t.Status == TargetUnreachable:
		return PhaseUnreachable
	case t.Status == TargetVerified:
		return PhaseVerified
	case t.Pending != 0:
		return PhaseSending
	case t.Verifying.Set():
		return PhaseVerifying
	case len(t.Open) == 0 && !t.willSend():
		return PhaseSpent
	case t.Closed != "":
		return PhaseClosing
	case !t.WorthSending():
		return PhaseFollowing
	case t.Fence != 0:
		return PhaseFilling
	case !t.Busy.IsZero():
		return PhaseQueued
	}
	return PhasePlanned
}

// canSend tells whether a slot is free for something that waits, and nothing forbids to fill it.
func (p Phase) canSend() bool { return p == PhasePlanned || p == PhaseQueued || p == PhaseFilling }

// follows tells whether all that there is to do is to follow commands.
func (p Phase) follows() bool { return p == PhaseFollowing || p == PhaseClosing }

// willSend tells whether the target has anything left to send, now or later.
func (t *TargetRow) willSend() bool { return t.Closed == "" && t.Waiting() > 0 }

// mayRun tells whether a command of the target may be at work.
func (t *TargetRow) mayRun() bool { return len(t.Open) > 0 || t.Pending != 0 }

// unfinished tells whether the target was begun, and not brought to its end.
func (t *TargetRow) unfinished() bool {
	return (t.Status == TargetPatching || t.Fence != 0) && t.Phase() != PhaseVerified
}

// bind notes how many instances the sealed plan has in the account's part of the wave.
func (t *TargetRow) bind(inAccount int) { t.InAccount = inAccount }

// queue notes since when another run has been in the way, and which. It is false if that is known.
func (t *TargetRow) queue(since time.Time, holder string) bool {
	if !t.Busy.IsZero() {
		return false
	}
	t.Busy, t.Reason = since, holder
	return true
}

// acquire takes over the fence under which the account-region was leased.
func (t *TargetRow) acquire(fence int) { t.Fence, t.Busy, t.Reason = fence, time.Time{}, "" }

// prepare notes what the plan says of the pace, until a first command is accepted and teaches better.
func (t *TargetRow) prepare(slowStart bool, tookSeconds int) {
	if t.FirstSent.IsZero() {
		t.SlowStart, t.TookSeconds = slowStart, tookSeconds
	}
}

// intend announces the sends of an intent. One that only skips instances is settled at once.
func (t *TargetRow) intend(in *Intent) {
	t.Status, t.Batches = TargetPatching, in.Batch
	if len(in.IDs) > 0 {
		t.Pending = in.Batch
		return
	}
	in.Settled = true
	t.pass(in.From+len(in.Skipped), in.Skipped)
}

// pass moves on to the next place of the leaf.
func (t *TargetRow) pass(next int, skipped []Skip) {
	t.Next = next
	t.Skipped += len(skipped)
}

// settle takes over what became of the sends of an intent: each that was accepted, or may have been, holds a slot. What
// was not tried waits again, from next on.
func (t *TargetRow) settle(in *Intent, next int) (accepted, lost int) {
	t.Pending = 0
	t.pass(next, in.Skipped)
	for i, x := range in.Sends {
		switch {
		case x.Refused == string(patch.ErrInvalidInstance):
			continue // SSM does not take it; it is judged by what EC2 says of it
		case x.Refused != "":
			t.Denied++
			continue
		case x.Command != "":
			accepted++
		case x.Lost:
			lost++
		default:
			t.Doubts = append(t.Doubts, in.Batch)
		}
		t.Hold(in.Batch, i)
	}
	t.count(accepted, lost, in.Written)
	return accepted, lost
}

// resolve takes over what was found of doubtful sends, the first of them of an intent written then. later are the
// intents that still cannot be looked for.
func (t *TargetRow) resolve(later []int, accepted, lost int, written time.Time) {
	t.Doubts = later
	t.count(accepted, lost, written)
}

// count counts commands that were accepted, and sends that are given up: the instances of those are unknown until the
// host's own evidence says otherwise, and count as failures.
func (t *TargetRow) count(accepted, lost int, written time.Time) {
	if t.FirstSent.IsZero() && accepted > 0 {
		t.FirstSent = written
	}
	t.Sent += accepted
	t.Failures += lost
	t.Errors += lost
}

// poll begins a poll.
func (t *TargetRow) poll() { t.Polls++ }

// look numbers the next row of what was found or asked for.
func (t *TargetRow) look() int {
	t.Looks++
	return t.Looks
}

// noRoom is why a target that took too many steps is closed.
const noRoom = "the history of the target's execution has no room for more commands and polls"

// close ends the sending for good. The first reason stays, and detail says more of it to people. An empty reason closes
// nothing.
func (t *TargetRow) close(why outcome.Reason, detail string) {
	if why == "" || t.Closed != "" {
		return
	}
	t.Closed, t.Reason = why, cmp.Or(detail, t.Reason)
	if t.Steps() >= t.MaxPolls {
		t.Reason = cmp.Or(t.Reason, noRoom)
	}
}

// lock closes a target whose account's role cannot be assumed, and notes it of one that is closed already.
func (t *TargetRow) lock(cause error) {
	t.close(outcome.ReasonAccount, "")
	t.Reason = cause.Error()
}

// closeAs closes the target as another reading of its row was closed, unless somebody has closed it since.
func (t *TargetRow) closeAs(other *TargetRow) {
	if t.Closed == "" {
		t.Closed, t.Reason = other.Closed, other.Reason
	}
}

// abandon closes a target whose run has ended.
func (t *TargetRow) abandon() { t.Closed = cmp.Or(t.Closed, outcome.ReasonAbort) }

// beginVerify marks the first look of Verify. It is false for a later one.
func (t *TargetRow) beginVerify(m store.Mark) bool {
	if t.Verifying.Set() {
		return false
	}
	t.Verifying = m
	return true
}

// found notes the hash of what Verify has found so far.
func (t *TargetRow) found(hash string) { t.LooksHash = hash }

// verify is the end: every instance has its outcome, and the result its hash.
func (t *TargetRow) verify(n outcome.Counts, at time.Time, hash string) {
	t.Outcomes, t.Bad, t.CutShort = n.Outcomes, n.Failures, n.CutShort
	t.Status, t.Ended, t.ResultHash = TargetVerified, at, hash
}

// chain moves the head of one of the account-region's audit chains, which the waves of a run extend in turn, and never
// back.
func (t *TargetRow) chain(w store.Writer, head store.ChainHead) { t.Heads.Move(w, head) }
