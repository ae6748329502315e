package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Send is the task of SendSsmCommand: it fills the free slots of a target, each with a command of one instance, and
// sends each instance a command at most once.
type Send struct {
	Table     store.Table
	Objects   store.Objects
	Spokes    port.Spokes
	Sender    port.Sender
	Alarms    port.Alarms
	Decisions port.Verifier
	Seals     port.Verifier // of the key that plans are sealed with
	Auditor   store.Signer
	People    decision.People // who counts as whom, of those who decide
	Now       port.Clock

	HubAccount   patch.AccountID
	PollInterval time.Duration
	Policy       runinput.Policy // what the hub demands of every run

	approved map[string]bool // approvals that this process has verified, by id and digest
	ordered  map[string]bool // waves whose turn has come, by name and digest
	plan     frozen
	seals    *decision.Seals
}

const (
	// sendLimit bounds a send, so that none can come after it was looked for.
	sendLimit = 30 * time.Second
	// stepLimit is when a step, from its beginning on, makes no further send: with the last one it stays well below the
	// function's timeout of 120 seconds.
	stepLimit = 75 * time.Second
	// lookAgain is after how many sends of a step the limits, the abort flag and the run are read again.
	lookAgain = 25
	// quickScan is what a scan takes that is quick: to look too often for a few minutes costs less than to look too late.
	quickScan = time.Minute
	// throttlePause lets a throttled account breathe.
	throttlePause = 30 * time.Second
	// leaseRetry is how often a target looks whether another run still holds the account-region.
	leaseRetry = 2 * time.Minute
)

// Handle carries out one step of the target.
func (s *Send) Handle(ctx context.Context, in TargetInput) (Answer, error) {
	answer, err := s.step(ctx, in)
	return answer.after(in.Waited), err
}

func (s *Send) step(ctx context.Context, in TargetInput) (Answer, error) {
	began := s.Now()
	st, err := loadState(ctx, s.Table, in)
	if err != nil {
		return Answer{}, err
	}
	st.Now = began
	if len(st.wave.Alarms) > 0 {
		if err := watchAlarms(ctx, s.Table, s.Alarms, st, s.Now()); err != nil {
			return Answer{}, err
		}
	}
	if st.row.Phase() == PhaseSending {
		return s.recover(ctx, st)
	}
	if len(st.row.Doubts) > 0 {
		if err := s.resolve(ctx, st); err != nil {
			return Answer{}, err
		}
	}
	if why := st.mustStop(s.Now()); why != "" && st.row.Closed == "" {
		return s.close(ctx, st, why, "")
	}
	if !st.row.Phase().canSend() {
		return s.rest(st), nil
	}
	if err := s.checkApproval(ctx, st, in.Started.Sealed); err != nil {
		return Answer{}, err
	}
	if st.overAccount() { // known only now
		return s.close(ctx, st, outcome.ReasonBudget, "")
	}
	if st.lostLease() {
		return s.close(ctx, st, outcome.ReasonLease, st.heldBy())
	}
	if !st.holdsLease() {
		if held, err := s.takeLease(ctx, st); err != nil || !held {
			return s.busy(ctx, st, err)
		}
	}
	return s.fill(ctx, st)
}

// close sends nothing more; what is in flight is followed to its end.
func (s *Send) close(ctx context.Context, st *state, why outcome.Reason, detail string) (Answer, error) {
	st.row.close(why, detail)
	if err := st.save(ctx, s.Table, st.count(nil)...); err != nil {
		return Answer{}, err
	}
	return s.rest(st), nil
}

// rest is the answer when nothing is sent now.
func (s *Send) rest(st *state) Answer {
	if st.row.Phase().follows() {
		return wait(st.row.NextPoll(s.PollInterval))
	}
	return verify()
}

// fill writes an intent for as many instances as there are free slots, sends to each, and writes down what became of
// them.
func (s *Send) fill(ctx context.Context, st *state) (Answer, error) {
	leaf, err := s.leaf(ctx, st)
	if err != nil {
		return Answer{}, err
	}
	st.row.prepare(leaf.SlowStart, expectedOf(leaf))
	chosen, skips, err := s.choose(ctx, st, leaf.Instances[st.row.Next:])
	if err != nil {
		return s.unreachable(ctx, st, err)
	}
	in := Intent{
		Batch: st.row.Batches + 1, From: st.row.Next, IDs: remaining(chosen, skips), Skipped: skips,
		TimeoutSeconds: leaf.CommandTimeoutSeconds, Fence: st.row.Fence, Written: s.Now().UTC(), Waited: st.Waited,
	}
	in.Marker = plan.Marker(st.target, in.Batch)
	if err := s.intend(ctx, st, &in); err != nil {
		return Answer{}, err
	}
	if len(in.IDs) == 0 {
		return send(), nil
	}
	sends, answer, why := s.sendAll(ctx, st, leaf, in)
	closed := errors.Is(why, patch.ErrAccessDenied)
	if closed {
		st.row.close(outcome.ReasonAccount, why.Error())
	}
	err = s.settle(ctx, st, leaf, in, sends, &answer) // whatever went wrong: what was accepted is written down
	if err == nil && !closed && !errors.Is(why, patch.ErrThrottled) {
		err = why
	}
	return answer, err
}

// recheckMore is how many further instances are looked at where none of those before can be sent to. A machine that
// went down since the plan must not cost the others a step each.
const recheckMore = 50

// choose takes the next instances that can be sent to, as many as there are free slots, and those that are skipped on
// the way: together they are the next of the plan, without a gap.
func (s *Send) choose(
	ctx context.Context, st *state, waiting []outcome.PlannedInstance,
) (chosen []outcome.PlannedInstance, skips []Skip, err error) {
	free := min(st.row.Free(), MaxSends)
	waiting = waiting[:min(len(waiting), MaxSends)]
	for size := free; len(waiting) > 0 && len(skips) == len(chosen); size = recheckMore {
		some := waiting[:min(size, len(waiting))]
		waiting = waiting[len(some):]
		skipped, err := s.recheck(ctx, st, some)
		if err != nil {
			return nil, nil, err
		}
		if ids := remaining(some, skipped); len(ids) > free {
			end := slices.IndexFunc(some, func(p outcome.PlannedInstance) bool { return p.ID == ids[free] })
			some = some[:end]
			skipped = skippedBefore(skipped, some)
		}
		chosen, skips = append(chosen, some...), append(skips, skipped...)
	}
	return chosen, skips, nil
}

// recheck looks at the chosen instances once more. It only removes.
func (s *Send) recheck(ctx context.Context, st *state, chosen []outcome.PlannedInstance) ([]Skip, error) {
	spoke, err := s.Spokes.Spoke(ctx, st.target)
	if err != nil {
		return nil, err
	}
	ids := plannedIDs(chosen)
	machines, err := spoke.Machines(ctx, ids)
	if err != nil {
		return nil, err
	}
	agents, err := spoke.Agents(ctx, ids)
	if err != nil {
		return nil, err
	}
	var skips []Skip
	for _, id := range ids {
		if why := whyNot(machines[id], agents[id]); why != "" {
			skips = append(skips, Skip{ID: id, Reason: why})
		}
	}
	return skips, nil
}

// whyNot says why an instance of the plan is not sent to after all.
func whyNot(m port.Machine, a port.Agent) outcome.Reason {
	switch {
	case plan.OptedOut(m.Tags):
		return outcome.ReasonOptedOut
	case m.State != "running" || !a.Online:
		return outcome.ReasonOffline // a terminated one is told apart when it is judged
	}
	return ""
}

// intend makes the sends durable before they happen: audit, intent and row, all or
// none. It holds only while the run may still send.
func (s *Send) intend(ctx context.Context, st *state, in *Intent) error {
	st.row.intend(in)
	create := store.Write{How: store.Create, Key: store.SendKey(st.target, in.Batch), Item: *in}
	writes := append(st.stillMaySend(), st.renewLease(s.Now()), create)
	if len(in.IDs) > 0 {
		detail := fmt.Sprintf("%s, %s, fence %d: %v", in.Marker, words.BareCount(len(in.IDs), "instance"), in.Fence, in.IDs)
		entry := st.audit(store.Send, "SendCommand", detail, s.Now())
		if in.From+len(in.IDs)+len(in.Skipped) >= st.row.Planned { // as far as can be known: the last one
			var err error
			if entry, err = entry.Signed(ctx, s.Auditor); err != nil {
				return err
			}
		}
		writes = append(writes, entry.Write())
	}
	return st.save(ctx, s.Table, writes...)
}

// sendAll is the one place that sends. It stops at the first send that shows that the next would not fare better: it
// was throttled, its answer was lost, or nothing may be sent any more. The error is why no session could be opened.
func (s *Send) sendAll(ctx context.Context, st *state, leaf plan.Leaf, in Intent) ([]Sent, Answer, error) {
	var sends []Sent
	var session port.Session
	accepted, denied := 0, 0
	for i, id := range in.IDs {
		if i > 0 && (s.Now().Sub(st.Now) > stepLimit || st.row.Sent+accepted == 0 && st.row.Denied+denied >= Refusals) {
			return sends, send(), nil
		}
		if i%port.SessionInstances == 0 {
			some := in.IDs[i:min(i+port.SessionInstances, len(in.IDs))]
			var err error
			if session, err = s.Sender.Session(ctx, st.target, some); err != nil {
				return sends, wait(throttlePause), err
			}
		}
		if i > 0 && !s.mayGoOn(ctx, st, in, i, sends[i-1]) {
			return sends, send(), nil
		}
		limited, cancel := context.WithTimeout(ctx, sendLimit)
		command, err := session.Send(limited, port.Command{
			Instance: id, Operation: leaf.Operation, RebootOption: leaf.RebootOption, SnapshotID: leaf.SnapshotID,
			Marker: plan.SendMarker(in.Marker, i), DeliverySeconds: DeliverySeconds(in.TimeoutSeconds),
		})
		cancel()
		now := s.Now().UTC()
		switch kind := patch.KindOf(err); {
		case err == nil:
			sends = append(sends, Sent{Command: command, At: now})
			accepted++
		case kind == patch.ErrThrottled:
			return sends, wait(throttlePause), nil
		case kind == patch.ErrAccessDenied, kind == patch.ErrRefusedCommand, kind == patch.ErrInvalidInstance:
			sends = append(sends, Sent{At: now, Refused: string(kind)}) // this instance alone: the others are sent to
			if kind != patch.ErrInvalidInstance {
				denied++
			}
		default:
			return append(sends, Sent{At: now}), wait(throttlePause), nil // it is not known: it is looked for
		}
	}
	return sends, send(), nil
}

// mayGoOn keeps the journal, and looks now and then whether the rest of the step may still be sent. Whatever stands in
// its way, the step ends with what it has sent, and the next one finds out why.
func (s *Send) mayGoOn(ctx context.Context, st *state, in Intent, i int, before Sent) bool {
	if i%lookAgain == 0 {
		is, err := st.again(ctx, s.Table)
		if err != nil || is.mustStop(s.Now()) != "" || is.row.Version != st.row.Version || !is.holdsLease() {
			return false
		}
	}
	try := store.Write{How: store.Create, Key: store.TryKey(st.target, in.Batch, i), Item: Try{Before: before}}
	return s.Table.Write(ctx, try) == nil
}

// settle writes down what became of the sends of an intent. If one of the rows was changed meanwhile, by another
// region of the account or by what closes the run, it does so once more by what stands there now. The intent is not
// settled without the writes that go with it.
func (s *Send) settle(
	ctx context.Context, st *state, leaf plan.Leaf, in Intent, sends []Sent, answer *Answer, with ...store.Write,
) error {
	err := s.book(ctx, st, leaf, in, sends, answer, with)
	if !errors.Is(err, patch.ErrConflict) {
		return err
	}
	now, lost := st.again(ctx, s.Table)
	if lost != nil || now.row.Pending != in.Batch {
		return err
	}
	now.row.closeAs(&st.row)
	*st = *now
	return s.book(ctx, st, leaf, in, sends, answer, with)
}

// book is settle's one attempt. What was not tried waits again: it is the next of the leaf.
func (s *Send) book(
	ctx context.Context, st *state, leaf plan.Leaf, in Intent, sends []Sent, answer *Answer, with []store.Write,
) error {
	now := s.Now().UTC()
	was := in.Version
	in.Version++
	in.Settled, in.Sends = true, sends
	next := in.From + len(in.IDs) + len(in.Skipped)
	if len(sends) < len(in.IDs) {
		for next = in.From; leaf.Instances[next].ID != in.IDs[len(sends)]; {
			next++
		}
		in.Skipped = skippedBefore(in.Skipped, leaf.Instances[in.From:next])
	}
	accepted, lost := st.row.settle(&in, next)
	booked, err := s.booked(ctx, st, accepted, lost, in.Marker)
	if err != nil {
		return err
	}
	writes := append(booked, store.Write{How: store.Replace, Key: store.SendKey(st.target, in.Batch), Item: in, Was: was})
	writes = append(writes, with...)
	if st.holdsLease() {
		writes = append(writes, st.renewLease(now))
	}
	if err := st.save(ctx, s.Table, writes...); err != nil {
		return err
	}
	if answer.Next == patch.NextSend && st.row.Closed == "" && !st.row.WorthSending() && !st.row.Refused() {
		gap := st.row.NextPoll(s.PollInterval)
		if len(st.row.Open) == 1 { // all that is open was sent just now
			gap = max(gap, st.row.foresight(0))
		}
		*answer = wait(gap)
	}
	return nil
}

// booked counts for the account, the wave and the run what the target's row has counted: commands that were accepted,
// and sends that are given up.
func (s *Send) booked(ctx context.Context, st *state, accepted, lost int, marker string) ([]store.Write, error) {
	add := map[string]int{}
	if accepted > 0 {
		add["sent"] = accepted
	}
	if lost > 0 {
		add["failures"] = lost
	}
	writes := st.count(add)
	if lost > 0 {
		detail := fmt.Sprintf("%s, %s", marker, words.BareCount(lost, "send"))
		entry, err := st.signed(ctx, s.Auditor, store.Send, "SendLost", detail, s.Now())
		if err != nil {
			return nil, err
		}
		writes = append(writes, entry)
	}
	return writes, nil
}

// skippedBefore keeps those that stand among the instances.
func skippedBefore(skips []Skip, instances []outcome.PlannedInstance) []Skip {
	var kept []Skip
	for _, x := range skips {
		for _, p := range instances {
			if p.ID == x.ID {
				kept = append(kept, x)
			}
		}
	}
	return kept
}

// expectedOf is what an instance of the target takes, typically, in seconds: what polls go by until some have ended.
func expectedOf(leaf plan.Leaf) int {
	if leaf.Operation == patch.Scan {
		return int(quickScan.Seconds())
	}
	var sum time.Duration
	for _, p := range leaf.Instances {
		sum += plan.ExpectedTime(leaf.Operation, leaf.RebootOption, p.Platform)
	}
	return max(int(sum.Seconds())/max(len(leaf.Instances), 1), 1)
}

// unreachable closes a target whose account's role can no longer be assumed.
func (s *Send) unreachable(ctx context.Context, st *state, cause error) (Answer, error) {
	if patch.KindOf(cause) != patch.ErrAccessDenied {
		return Answer{}, cause
	}
	return s.close(ctx, st, outcome.ReasonAccount, cause.Error())
}

// busy notes since when another run has been in the way.
func (s *Send) busy(ctx context.Context, st *state, err error) (Answer, error) {
	if err != nil && !errors.Is(err, patch.ErrConflict) {
		return s.unreachable(ctx, st, err)
	}
	if err == nil && st.row.queue(s.Now().UTC(), st.heldBy()) {
		if err := st.save(ctx, s.Table); err != nil {
			return Answer{}, err
		}
	}
	return wait(leaseRetry), nil
}

func plannedIDs(planned []outcome.PlannedInstance) []patch.InstanceID {
	ids := make([]patch.InstanceID, len(planned))
	for i, p := range planned {
		ids[i] = p.ID
	}
	return ids
}

func remaining(chosen []outcome.PlannedInstance, skips []Skip) []patch.InstanceID {
	skip := map[patch.InstanceID]bool{}
	for _, x := range skips {
		skip[x.ID] = true
	}
	var ids []patch.InstanceID
	for _, p := range chosen {
		if !skip[p.ID] {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
