package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ec2patch/internal/patch"
)

// Send is the task of SendSsmCommand: it sends the next batch of a target, at
// most once.
type Send struct {
	Table     Table
	Objects   Objects
	Spokes    Spokes
	Sender    Sender
	Decisions Verifier
	Now       Clock

	HubAccount   patch.AccountID
	PollInterval time.Duration

	approved map[string]bool // approvals that this process has verified, by id and digest
	plan     plan
}

// TargetInput is the payload of Send and Poll.
type TargetInput struct {
	patch.Target
	Waited int `json:"waited"` // seconds that the state machine has waited on this target
}

// Handle carries out one step of the target.
func (s *Send) Handle(ctx context.Context, in TargetInput) (Answer, error) {
	answer, err := s.step(ctx, in)
	return answer.after(in.Waited), err
}

func (s *Send) step(ctx context.Context, in TargetInput) (Answer, error) {
	st, err := loadState(ctx, s.Table, in)
	if err != nil {
		return Answer{}, err
	}
	if st.row.Pending != 0 {
		return s.reconcile(ctx, st)
	}
	if why := st.mustStop(s.Now()); why != "" && st.row.Closed == "" {
		return s.close(ctx, st, why)
	}
	if st.row.Closed != "" || !st.row.WorthSending() {
		return s.rest(st), nil
	}
	if err := s.checkApproval(ctx, st); err != nil {
		return Answer{}, err
	}
	if st.overAccount() { // known only now
		return s.close(ctx, st, patch.ReasonBudget)
	}
	if !st.holdsLease() {
		if st.row.Fence != 0 {
			st.row.Reason = st.heldBy()
			return s.close(ctx, st, patch.ReasonLease) // another run took it over: ours is dead to it
		}
		if held, err := s.takeLease(ctx, st); err != nil || !held {
			return s.busy(ctx, st, err)
		}
	}
	return s.sendNext(ctx, st)
}

// state is what every step of a target reads first, in one call.
type state struct {
	target patch.Target
	row    patch.TargetRow
	run    patch.RunRow
	wave   patch.WaveRow
	whole  patch.WaveRow
	counts patch.Counters // of the wave
	total  patch.Counters // of the run
	own    patch.Counters // of the account in the wave
	waited int            // seconds, by the state machine
	abort  *patch.Abort

	lease      patch.Lease
	leaseFound bool
}

func loadState(ctx context.Context, table Table, in TargetInput) (*state, error) {
	t := in.Target
	st := &state{target: t, waited: in.Waited}
	var abort patch.Abort
	target := &Row{Key: patch.TargetKey(t), Into: &st.row}
	stop := &Row{Key: patch.AbortKey(t.Run), Into: &abort}
	lease := &Row{Key: patch.LeaseKey(t.Account, t.Region), Into: &st.lease}
	err := table.Load(ctx, target, stop, lease,
		&Row{Key: patch.RunKey(t.Run), Into: &st.run},
		&Row{Key: patch.WaveKey(t.Run, t.Wave), Into: &st.wave},
		&Row{Key: patch.WaveKey(t.Run, patch.WholeRun), Into: &st.whole},
		&Row{Key: patch.CountersKey(t.Run, t.Wave), Into: &st.counts},
		&Row{Key: patch.AccountCountersKey(t), Into: &st.own},
		&Row{Key: patch.CountersKey(t.Run, patch.WholeRun), Into: &st.total})
	if err != nil {
		return nil, err
	}
	if !target.Found {
		return nil, fmt.Errorf("%w: %s/%s is no target of wave %s", patch.ErrInternal, t.Account, t.Region, t.Wave)
	}
	if stop.Found {
		st.abort = &abort
	}
	st.leaseFound = lease.Found
	return st, nil
}

// mustStop says why nothing more may be sent, or nothing.
func (st *state) mustStop(now time.Time) string {
	switch {
	case st.abort != nil:
		return patch.ReasonAbort
	case st.run.Status != patch.RunRunning, st.wave.Verdict != "", st.row.Steps() >= st.row.MaxPolls:
		return patch.ReasonStopped
	case st.row.OverBudget(), st.overAccount(), st.counts.Failures > st.wave.FailLimit, st.total.Failures > st.whole.FailLimit:
		return patch.ReasonBudget
	case !st.row.Busy.IsZero() && now.Sub(st.row.Busy) > leasePatience:
		return patch.ReasonLease
	}
	return ""
}

// overAccount tells whether more of the account's planned instances have failed in
// this wave than may. How many are planned is what the sealed plan says.
func (st *state) overAccount() bool {
	return st.row.InAccount > 0 && st.own.Failures > st.wave.PerAccount.Limit(st.row.InAccount)
}

// goesOn makes conditions of what mustStop reads of the run and the wave: whoever
// read them before they changed writes nothing, and so sends nothing.
func (st *state) goesOn() []Write {
	return []Write{
		{How: Require, Key: patch.RunKey(st.target.Run), Field: "runStatus", Value: string(patch.RunRunning)},
		{How: Require, Key: patch.AbortKey(st.target.Run), Field: "pk"},
		{How: Require, Key: patch.WaveKey(st.target.Run, st.target.Wave), Field: "verdict"},
	}
}

// save writes the target's row, and with it whatever must not happen without it.
func (st *state) save(ctx context.Context, table Table, more ...Write) error {
	was := st.row.Version
	st.row.Version++
	writes := append([]Write{{How: Replace, Key: patch.TargetKey(st.target), Item: st.row, Was: was}}, more...)
	return table.Write(ctx, writes...)
}

// count adds to the counters of the account, the wave and the run.
func (st *state) count(add map[string]int) []Write {
	t := st.target
	keys := []patch.Key{patch.AccountCountersKey(t), patch.CountersKey(t.Run, t.Wave), patch.CountersKey(t.Run, patch.WholeRun)}
	writes := make([]Write, len(keys))
	for i, k := range keys {
		writes[i] = Write{How: Add, Key: k, Add: add}
	}
	return writes
}

// audit makes the next entry of the target's chain.
func (st *state) audit(actor, action, detail string, now time.Time) Write {
	entry, head := st.row.Audit.Append(patch.TargetChain(st.target), actor, action, detail, now)
	st.row.Audit = head
	return Write{How: Audit, Key: entry.Key(), Item: entry}
}

// close sends nothing more; what is in flight is followed to its end.
func (s *Send) close(ctx context.Context, st *state, why string) (Answer, error) {
	st.row.Closed = why
	if st.row.Steps() >= st.row.MaxPolls {
		st.row.Reason = orElse(st.row.Reason, noRoom)
	}
	if err := st.save(ctx, s.Table); err != nil {
		return Answer{}, err
	}
	return s.rest(st), nil
}

// rest is the answer when nothing is sent now. While failures hold every slot,
// the poll looks whether one of them serves again.
func (s *Send) rest(st *state) Answer {
	if len(st.row.Open) == 0 && (st.row.Closed != "" || st.row.Waiting() == 0) {
		return verify()
	}
	return wait(st.row.NextPoll(s.PollInterval, s.Now(), st.waited))
}

// sendNext cuts a batch, writes its intent, sends it and keeps its id.
func (s *Send) sendNext(ctx context.Context, st *state) (Answer, error) {
	leaf, err := s.leaf(ctx, st)
	if err != nil {
		return Answer{}, err
	}
	batch, chosen, group := st.choose(leaf)
	skips, err := s.recheck(ctx, st, chosen)
	if err != nil {
		return s.unreachable(ctx, st, err)
	}
	ids := remaining(chosen, skips)
	in := patch.Intent{
		Batch: st.row.Batches + 1, IDs: ids, Skipped: skips, Slots: min(batch.Slots, max(len(ids), 1)),
		Fence: st.row.Fence, Written: s.Now().UTC(), Waited: st.waited, Ended: len(ids) == 0,
	}
	in.Marker = patch.Marker(st.target, in.Batch)
	in.TimeoutSeconds = max((len(ids)+in.Slots-1)/in.Slots, 1) * leaf.CommandTimeoutSeconds
	if err := s.intend(ctx, st, &in, group); err != nil {
		return Answer{}, err
	}
	if len(ids) == 0 {
		return send(), nil
	}
	return s.sendIntent(ctx, st, leaf, in)
}

// plan is the frozen plan that a process has read last. One is enough: a run
// has many targets, and few runs go on at once.
type plan struct{ last *patch.Index }

// bind finds a target's wave in the plan that its run was frozen with. It refuses
// a target whose row is not of that plan, and notes in the row what those must
// know of the plan who do not read it.
func (p *plan) bind(ctx context.Context, objects Objects, st *state) (patch.IndexWave, error) {
	if p.last == nil || p.last.Digest != st.run.Digest {
		x, err := loadPlan(ctx, objects, st.target.Run, st.run.Digest)
		if err != nil {
			return patch.IndexWave{}, err
		}
		p.last = &x
	}
	t := st.target
	wave, ok := p.last.Wave(t.Wave)
	if !ok || st.row.LeafDigest == "" || p.last.Leaf(t) != st.row.LeafDigest {
		return wave, fmt.Errorf("%w: %s/%s in wave %s is not what the plan of run %s says", patch.ErrTampered, t.Account, t.Region, t.Wave, t.Run)
	}
	st.row.InAccount = plannedIn(wave, t.Account)
	return wave, nil
}

// leaf reads the target's plan and refuses one that is not the approved one.
func (s *Send) leaf(ctx context.Context, st *state) (patch.Leaf, error) {
	return loadLeaf(ctx, s.Objects, st.target, st.row.LeafDigest)
}

func loadLeaf(ctx context.Context, objects Objects, t patch.Target, digest string) (patch.Leaf, error) {
	var leaf patch.Leaf
	data, found, err := objects.Fetch(ctx, patch.LeafObject(t))
	if err != nil {
		return leaf, err
	}
	if !found || patch.Digest(data) != digest {
		return leaf, fmt.Errorf("%w: plan of %s/%s in wave %s does not have its digest", patch.ErrTampered, t.Account, t.Region, t.Wave)
	}
	if err := json.Unmarshal(data, &leaf); err != nil {
		return leaf, fmt.Errorf("%w: plan of %s/%s: %w", patch.ErrTampered, t.Account, t.Region, err)
	}
	return leaf, nil
}

// choose cuts the next batch: first what SSM refused as part of a larger one,
// then the plan's next instances. group is 1 for a refused group, else 0.
func (st *state) choose(leaf patch.Leaf) (patch.Batch, []patch.PlannedInstance, int) {
	if len(st.row.Requeue) > 0 {
		ids := st.row.Requeue[0].IDs
		b := patch.NextBatch(len(ids), st.row.Free(), leaf.Concurrency, leaf.CommandTimeoutSeconds)
		return b, pick(leaf, ids[:b.Size]), 1
	}
	waiting := leaf.Instances[st.row.Next:]
	b := patch.NextBatch(len(waiting), st.row.Free(), leaf.Concurrency, leaf.CommandTimeoutSeconds)
	return b, waiting[:b.Size], 0
}

// recheck looks at the chosen instances once more. It only removes.
func (s *Send) recheck(ctx context.Context, st *state, chosen []patch.PlannedInstance) ([]patch.Skip, error) {
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
	var skips []patch.Skip
	for _, id := range ids {
		if why := whyNot(machines[id], agents[id]); why != "" {
			skips = append(skips, patch.Skip{ID: id, Reason: why})
		}
	}
	return skips, nil
}

// whyNot says why an instance of the plan is not sent to after all.
func whyNot(m Machine, a Agent) string {
	switch {
	case optedOut(m.Tags):
		return patch.ReasonOptedOut
	case m.State != "running" || !a.Online:
		return patch.ReasonOffline // a terminated one is told apart when it is judged
	}
	return ""
}

// intend makes the send durable before it happens: audit, intent and row, all or
// none. It holds only while the run goes on.
func (s *Send) intend(ctx context.Context, st *state, in *patch.Intent, group int) error {
	if group == 0 {
		st.row.Next += len(in.IDs) + len(in.Skipped)
	} else {
		st.row.Requeue[0].IDs = st.row.Requeue[0].IDs[len(in.IDs)+len(in.Skipped):]
		if len(st.row.Requeue[0].IDs) == 0 {
			st.row.Requeue = st.row.Requeue[1:]
		}
	}
	st.row.Batches = in.Batch
	st.row.Skipped += len(in.Skipped)
	st.row.Status = patch.TargetPatching
	renew := st.renewLease(s.Now())
	st.lease.Marker, st.lease.MarkedAt = in.Marker, in.Written
	renew.Item = st.lease
	writes := append(st.goesOn(), renew, Write{How: Create, Key: patch.SendKey(st.target, in.Batch), Item: *in})
	if len(in.IDs) > 0 {
		st.row.Pending = in.Batch
		writes = append(writes, st.audit("send", "SendCommand", fmt.Sprintf("%s, %s, fence %d: %v", in.Marker, patch.Count(len(in.IDs), "instance"), in.Fence, in.IDs), s.Now()))
	}
	return st.save(ctx, s.Table, writes...)
}

// sendIntent is the one place that sends.
func (s *Send) sendIntent(ctx context.Context, st *state, leaf patch.Leaf, in patch.Intent) (Answer, error) {
	limited, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	id, err := s.Sender.Send(limited, st.target, Command{
		IDs: in.IDs, Operation: leaf.Operation, RebootOption: leaf.RebootOption, SnapshotID: leaf.SnapshotID, Marker: in.Marker,
		MaxConcurrency: in.Slots, MaxErrors: max(st.row.ErrorLimit-st.row.Failures, 0), TimeoutSeconds: in.TimeoutSeconds,
	})
	switch kind := patch.KindOf(err); {
	case err == nil:
		return s.adopt(ctx, st, in, id)
	case kind == patch.ErrThrottled, kind == patch.ErrInvalidInstance, kind == patch.ErrAccessDenied, kind == patch.ErrRefusedCommand:
		return s.rejected(ctx, st, in, kind, err)
	}
	// Nobody knows whether it was accepted: the next step looks for it.
	return wait(visibility), nil
}

// adopt keeps the id of an accepted command.
func (s *Send) adopt(ctx context.Context, st *state, in patch.Intent, id patch.CommandID) (Answer, error) {
	now := s.Now().UTC()
	was := in.Version
	in.Version++
	in.CommandID, in.Sent = id, now
	st.row.Pending = 0
	st.row.Sent += len(in.IDs)
	if st.row.FirstSent.IsZero() {
		st.row.FirstSent = now
	}
	st.row.Open = append(st.row.Open, patch.OpenCommand{
		Batch: in.Batch, ID: id, Sent: in.Written, Waited: in.Waited, Moved: in.Written, Instances: len(in.IDs), Slots: in.Slots,
		Each:     in.TimeoutSeconds / max((len(in.IDs)+in.Slots-1)/in.Slots, 1),
		Deadline: in.Written.Add(time.Duration(in.TimeoutSeconds) * time.Second),
	})
	writes := []Write{
		{How: Replace, Key: patch.SendKey(st.target, in.Batch), Item: in, Was: was},
		{How: Add, Key: patch.CountersKey(st.target.Run, st.target.Wave), Add: map[string]int{"sent": len(in.IDs)}},
	}
	if st.holdsLease() {
		writes = append(writes, st.renewLease(now))
	}
	if err := st.save(ctx, s.Table, writes...); err != nil {
		return Answer{}, err
	}
	if st.row.WorthSending() {
		return send(), nil
	}
	return wait(st.row.NextPoll(s.PollInterval, s.Now(), st.waited)), nil
}

// rejected writes a definite refusal down; only then may its instances be sent again.
func (s *Send) rejected(ctx context.Context, st *state, in patch.Intent, kind patch.Kind, cause error) (Answer, error) {
	was := in.Version
	in.Version++
	in.Rejected, in.Ended = string(kind), true
	st.row.Pending = 0
	answer := send()
	switch {
	case kind == patch.ErrThrottled:
		st.row.Requeue = append([]patch.Group{{IDs: in.IDs}}, st.row.Requeue...)
		answer = wait(throttlePause)
	case kind == patch.ErrInvalidInstance && len(in.IDs) > 1:
		half := len(in.IDs) / 2
		st.row.Requeue = append([]patch.Group{{IDs: in.IDs[:half]}, {IDs: in.IDs[half:]}}, st.row.Requeue...)
	case kind == patch.ErrInvalidInstance:
		// The one that SSM does not take. It is judged by what EC2 says of it.
	default:
		st.row.Closed, st.row.Reason = patch.ReasonAccount, cause.Error()
		answer = s.rest(st)
	}
	err := st.save(ctx, s.Table, Write{How: Replace, Key: patch.SendKey(st.target, in.Batch), Item: in, Was: was})
	return answer, err
}

const (
	// sendLimit bounds a send, so that none can come after it was looked for.
	sendLimit = 45 * time.Second
	// visibility is how long after its intent a command may appear: the time that
	// the function may run, and how long SSM may take to list what it accepted.
	// Source: field reports of up to a minute; no figure is published, read 2026-11.
	visibility = (120 + 90) * time.Second
	// throttlePause lets a throttled account breathe.
	throttlePause = 30 * time.Second
	// leasePatience is how long a target waits for another run.
	leasePatience = 30 * time.Minute
	// leaseRetry is how often it looks meanwhile.
	leaseRetry = 2 * time.Minute
)

// reconcile finishes a send whose answer never came. It never sends again.
func (s *Send) reconcile(ctx context.Context, st *state) (Answer, error) {
	var in patch.Intent
	row := &Row{Key: patch.SendKey(st.target, st.row.Pending), Into: &in}
	if err := s.Table.Load(ctx, row); err != nil {
		return Answer{}, err
	}
	if !row.Found {
		return Answer{}, fmt.Errorf("%w: batch %d has no intent", patch.ErrTampered, st.row.Pending)
	}
	// Only the machine's own waits count: the clocks of two functions may differ by
	// more than the window. After a redrive they may count from nothing again.
	waited := st.waited - in.Waited
	if waited < 0 {
		waited = st.waited
	}
	if left := visibility - time.Duration(waited)*time.Second; left > 0 {
		return wait(left), nil
	}
	spoke, err := s.Spokes.Spoke(ctx, st.target)
	if err != nil {
		return s.lost(ctx, st, in, err)
	}
	id, found, err := spoke.ByMarker(ctx, in.Marker, in.Written.Add(-patch.ListMargin))
	if err != nil {
		return s.lost(ctx, st, in, err)
	}
	if found {
		return s.adopt(ctx, st, in, id)
	}
	return s.lost(ctx, st, in, nil)
}

// lost gives a send up. Its instances are unknown until the host's own evidence
// says otherwise; they keep their slots.
func (s *Send) lost(ctx context.Context, st *state, in patch.Intent, cause error) (Answer, error) {
	if cause != nil && patch.KindOf(cause) != patch.ErrAccessDenied {
		return Answer{}, cause
	}
	was := in.Version
	in.Version++
	in.Lost, in.Ended = true, true
	st.row.Pending = 0
	st.row.Failures += len(in.IDs)
	st.row.Held += len(in.IDs)
	entry := st.audit("send", "SendLost", in.Marker, s.Now())
	writes := append(st.count(map[string]int{"failures": len(in.IDs)}), entry,
		Write{How: Replace, Key: patch.SendKey(st.target, in.Batch), Item: in, Was: was})
	return send(), st.save(ctx, s.Table, writes...)
}

// unreachable closes a target whose account no longer lets us in.
func (s *Send) unreachable(ctx context.Context, st *state, cause error) (Answer, error) {
	if patch.KindOf(cause) != patch.ErrAccessDenied {
		return Answer{}, cause
	}
	st.row.Reason = cause.Error()
	return s.close(ctx, st, patch.ReasonAccount)
}

// busy notes since when another run has been in the way.
func (s *Send) busy(ctx context.Context, st *state, err error) (Answer, error) {
	if errors.Is(err, patch.ErrConflict) || (err == nil && !st.row.Busy.IsZero()) {
		return wait(leaseRetry), nil
	}
	if err != nil {
		return s.unreachable(ctx, st, err)
	}
	st.row.Busy, st.row.Reason = s.Now().UTC(), st.heldBy()
	if err := st.save(ctx, s.Table); err != nil {
		return Answer{}, err
	}
	return wait(leaseRetry), nil
}

func plannedIDs(planned []patch.PlannedInstance) []patch.InstanceID {
	ids := make([]patch.InstanceID, len(planned))
	for i, p := range planned {
		ids[i] = p.ID
	}
	return ids
}

func pick(leaf patch.Leaf, ids []patch.InstanceID) []patch.PlannedInstance {
	want := map[patch.InstanceID]bool{}
	for _, id := range ids {
		want[id] = true
	}
	var out []patch.PlannedInstance
	for _, p := range leaf.Instances {
		if want[p.ID] {
			out = append(out, p)
		}
	}
	return out
}

func remaining(chosen []patch.PlannedInstance, skips []patch.Skip) []patch.InstanceID {
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
