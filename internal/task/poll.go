package task

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ec2patch/internal/patch"
)

// Poll is the task of PollSsmCommand: it follows the commands of a target,
// keeps the books, and enforces deadlines, budgets and aborts.
type Poll struct {
	Table  Table
	Spokes Spokes
	Now    Clock

	PollInterval time.Duration
}

// Handle carries out one look.
func (p *Poll) Handle(ctx context.Context, in TargetInput) (Answer, error) {
	answer, err := p.step(ctx, in)
	return answer.after(in.Waited), err
}

func (p *Poll) step(ctx context.Context, in TargetInput) (Answer, error) {
	t := in.Target
	st, err := loadState(ctx, p.Table, in)
	if err != nil {
		return Answer{}, err
	}
	if st.row.Pending != 0 {
		return send(), nil // only the sender may look for what it sent
	}
	now := p.Now().UTC()
	st.row.Polls++
	look := &look{state: st, now: now}
	if len(st.row.Open) > 0 || look.holding() {
		spoke, err := p.Spokes.Spoke(ctx, t)
		if err == nil {
			err = p.follow(ctx, spoke, look)
		}
		if err == nil && look.holding() {
			err = p.heal(ctx, spoke, look)
		}
		if err != nil {
			if err = look.locked(err); err != nil {
				return Answer{}, err
			}
		}
	}
	look.judge()
	if err := p.save(ctx, look); err != nil {
		return Answer{}, err
	}
	if err := p.cancel(ctx, look); err != nil {
		return Answer{}, err
	}
	return p.next(look), nil
}

// look is one poll in the making.
type look struct {
	*state
	now     time.Time
	intents []*patch.Intent // those that changed
	writes  []Write
	failed  int // new failures
	held    int // of them, those that keep their slot
	cancels []cancellation
	folded  int  // commands whose invocations were read
	more    bool // some were left to the next look
}

// cancellation is asked for after it was written down.
type cancellation struct {
	id  patch.CommandID
	ids []patch.InstanceID // empty: all
}

// follow reads the counters of each open command, and its invocations only if
// something has changed.
func (p *Poll) follow(ctx context.Context, spoke Spoke, k *look) error {
	all, err := progressOf(ctx, spoke, k.row.Open)
	if err != nil {
		return err
	}
	for i := range k.row.Open {
		if k.folded == maxFolded {
			k.more = true
			break
		}
		c := &k.row.Open[i]
		progress, found := all[c.ID]
		now := c.Time(k.now, k.waited)
		late, lost := c.Overdue(now)
		stop := k.stopping() && !c.Cut
		if !(found && (progress.Ended || progress.Completed > c.Done)) && !late && !lost && !stop && !c.Stalled(now) {
			continue
		}
		invocations, err := spoke.Invocations(ctx, c.ID)
		if err != nil {
			return err
		}
		if err := p.fold(ctx, k, c, invocations, progress.Ended, lost); err != nil {
			return err
		}
	}
	k.row.Open = slices.DeleteFunc(k.row.Open, func(c patch.OpenCommand) bool { return c.Ended })
	return nil
}

// progressOf reads the counters of all open commands in one call.
func progressOf(ctx context.Context, spoke Spoke, open []patch.OpenCommand) (map[patch.CommandID]Progress, error) {
	if len(open) == 0 {
		return nil, nil
	}
	since := open[0].Sent
	ids := make([]patch.CommandID, len(open))
	for i, c := range open {
		ids[i] = c.ID
		if c.Sent.Before(since) {
			since = c.Sent
		}
	}
	return spoke.Progress(ctx, since.Add(-patch.ListMargin), ids)
}

// maxFolded bounds the commands that one look writes down: each is an intent and
// perhaps an audit entry, and a transaction takes a hundred.
const maxFolded = 40

// fold takes over what the invocations say, and decides on cancelling.
func (p *Poll) fold(ctx context.Context, k *look, c *patch.OpenCommand, listed []patch.Invocation, ended, lost bool) error {
	k.folded++
	in := &patch.Intent{}
	row := &Row{Key: patch.SendKey(k.target, c.Batch), Into: in}
	if err := p.Table.Load(ctx, row); err != nil {
		return err
	}
	if !row.Found {
		return fmt.Errorf("%w: batch %d has no intent", patch.ErrTampered, c.Batch)
	}
	before := len(in.Invocations)
	changed := k.merge(in, listed)
	done := 0
	for _, v := range in.Invocations {
		if v.Terminal() {
			done++
		}
	}
	if done > c.Done {
		k.row.Moved(c, done, c.Time(k.now, k.waited))
	}
	switch {
	case done == c.Instances && ended, lost:
		in.Ended, c.Ended, changed = true, true, true
		if lost {
			k.lose(in)
		}
	default:
		changed = k.consider(c, in) || changed
	}
	if changed || before == 0 {
		k.intents = append(k.intents, in)
	}
	return nil
}

// noRoom is why a target that took too many steps is closed.
const noRoom = "the history of the account's execution has no room for more commands and polls"

const (
	// askGap is how long a cancel of what runs may take before it is asked for again.
	askGap = 10 * time.Minute
	// healGap is how often instances that failed are looked at while they hold every slot.
	healGap = 2 * time.Minute
	// healPatience is how long that goes on: three pings of an agent.
	healPatience = 15 * time.Minute
)

// holding tells whether failures keep slots that waiting instances could use.
func (k *look) holding() bool {
	return k.row.Closed == "" && k.row.Waiting() > 0 && k.row.Held+k.held > k.row.Healed
}

// heal gives back the slots of instances whose command failed while their agent
// went on: it has been heard of since, so the instance is up. Everything else that
// ended badly keeps its slot.
func (p *Poll) heal(ctx context.Context, spoke Spoke, k *look) error {
	intents, err := loadIntents(ctx, p.Table, k.target)
	if err != nil {
		return err
	}
	seen := map[patch.InstanceID]time.Time{}
	var ids []patch.InstanceID
	for _, in := range intents {
		for _, v := range in.Invocations {
			if v.Details == "Failed" && !v.Seen.IsZero() {
				seen[v.InstanceID] = v.Seen
				ids = append(ids, v.InstanceID)
			}
		}
	}
	agents, err := spoke.Agents(ctx, ids)
	if err != nil {
		return err
	}
	k.row.Healed = 0
	for _, id := range ids {
		if a := agents[id]; a.Online && a.LastPing.After(seen[id]) {
			k.row.Healed++
		}
	}
	return nil
}

// merge updates the intent's invocations. A final status never changes, and one
// that was seen running stays so. It counts what newly ended badly.
func (k *look) merge(in *patch.Intent, listed []patch.Invocation) (changed bool) {
	at := map[patch.InstanceID]int{}
	for i, v := range in.Invocations {
		at[v.InstanceID] = i
	}
	for _, v := range listed {
		if !slices.Contains(in.IDs, v.InstanceID) {
			continue // not ours: whatever SSM says of others is not our business
		}
		i, ok := at[v.InstanceID]
		if !ok {
			in.Invocations = append(in.Invocations, patch.Invocation{InstanceID: v.InstanceID})
			i = len(in.Invocations) - 1
			at[v.InstanceID] = i
		}
		old := in.Invocations[i]
		if old.Terminal() {
			continue
		}
		v.Ran = old.Ran || v.Running()
		if v == old {
			continue
		}
		if v.Terminal() && v.Bad() {
			k.failed++
			v.Seen = k.now
			if v.Disrupts() {
				k.held++
			}
		}
		in.Invocations[i] = v
		changed = true
	}
	return changed
}

// lose counts what never ended as failed: it was cancelled, and did not even say so.
func (k *look) lose(in *patch.Intent) {
	ended := 0
	for _, v := range in.Invocations {
		if v.Terminal() {
			ended++
		}
	}
	k.failed += len(in.IDs) - ended
	k.held += len(in.IDs) - ended
}

// consider decides whether the command, or a part of it, must be cancelled. It
// tells whether it changed the intent.
func (k *look) consider(c *patch.OpenCommand, in *patch.Intent) (changed bool) {
	now := c.Time(k.now, k.waited)
	late, _ := c.Overdue(now)
	all := late || !c.Cancelled.IsZero() || (k.abort != nil && k.abort.CancelInFlight)
	switch {
	case all:
		ids := unfinished(in, func(patch.Invocation) bool { return true })
		if c.Cancelled.IsZero() {
			c.Cancelled = now
			k.note(c, ids, "past its deadline or aborted")
		}
		k.cancels = append(k.cancels, cancellation{id: c.ID, ids: ids})
		if late {
			return because(in, patch.ReasonExpired)
		}
		return because(in, patch.ReasonAbort)
	case k.stopping():
		ids := unfinished(in, func(v patch.Invocation) bool { return !v.Ran && !v.Running() })
		if len(ids) == 0 {
			c.Cut = true
			return false
		}
		k.note(c, ids, "not started: "+orDash(k.stop()))
		k.cancels = append(k.cancels, cancellation{id: c.ID, ids: ids})
		return because(in, k.stop())
	case c.Stalled(now):
		// An agent that died would keep its slot, and what is queued behind it, until the whole command is late.
		ids := unfinished(in, patch.Invocation.Running)
		if len(ids) == 0 || now.Sub(c.Asked) < askGap {
			return false
		}
		c.Asked = now
		k.note(c, ids, "past the command timeout")
		k.cancels = append(k.cancels, cancellation{id: c.ID, ids: ids})
	}
	return false
}

// because keeps why what has not started is cancelled: the first reason is the
// one that counts.
func because(in *patch.Intent, why string) (changed bool) {
	if in.Cancelled != "" {
		return false
	}
	in.Cancelled = why
	return true
}

func (k *look) note(c *patch.OpenCommand, ids []patch.InstanceID, why string) {
	k.writes = append(k.writes, k.audit("poll", "CancelCommand", fmt.Sprintf("%s, %s, %s: %v", c.ID, patch.Count(len(ids), "instance"), why, ids), k.now))
}

// stop is why nothing more may be sent.
func (k *look) stop() string {
	if k.row.Closed != "" {
		return k.row.Closed
	}
	return k.mustStop(k.now)
}

// stopping tells whether what SSM has queued must be taken back. An account
// that lets us in no more, or a lease of another run, leaves us no say.
func (k *look) stopping() bool {
	switch k.stop() {
	case patch.ReasonBudget, patch.ReasonAbort, patch.ReasonStopped, patch.ReasonLease:
		return true
	}
	return false
}

// judge closes the target if it may send no more.
func (k *look) judge() {
	k.row.Failures += k.failed
	k.row.Held += k.held
	k.own.Failures += k.failed
	k.counts.Failures += k.failed
	k.total.Failures += k.failed
	if k.row.Closed != "" {
		return
	}
	stuck := len(k.row.Open) == 0 && k.row.Waiting() > 0 && k.row.Free() == 0
	if !stuck {
		k.row.Stuck = patch.Mark{}
	} else if !k.row.Stuck.Set() {
		k.row.Stuck = patch.Mark{At: k.now, Waited: k.waited}
	}
	switch {
	case stuck && k.row.Stuck.Since(k.now, k.waited) >= healPatience:
		k.row.Closed, k.row.Reason = patch.ReasonBudget, "instances that failed and are not back hold the whole concurrency"
	case k.row.Fence != 0 && !k.holdsLease():
		k.row.Closed, k.row.Reason = patch.ReasonLease, k.heldBy()
	case k.row.Steps() >= k.row.MaxPolls:
		k.row.Closed, k.row.Reason = patch.ReasonStopped, noRoom
	default:
		k.row.Closed = k.mustStop(k.now)
	}
}

// locked deals with an account that lets us in no more: its commands are
// followed until they are past help.
func (k *look) locked(err error) error {
	if patch.KindOf(err) != patch.ErrAccessDenied {
		return err
	}
	if k.row.Closed == "" {
		k.row.Closed = patch.ReasonAccount
	}
	k.row.Reason = err.Error()
	for i := range k.row.Open {
		c := &k.row.Open[i]
		if late, _ := c.Overdue(c.Time(k.now, k.waited)); late {
			c.Ended = true
			k.failed += c.Instances - c.Done
			k.held += c.Instances - c.Done
		}
	}
	k.row.Open = slices.DeleteFunc(k.row.Open, func(c patch.OpenCommand) bool { return c.Ended })
	return nil
}

// save writes everything that this look changed, all or none.
func (p *Poll) save(ctx context.Context, k *look) error {
	writes := k.writes
	for _, in := range k.intents {
		was := in.Version
		in.Version++
		writes = append(writes, Write{How: Replace, Key: patch.SendKey(k.target, in.Batch), Item: *in, Was: was})
	}
	if k.failed > 0 {
		writes = append(writes, k.count(map[string]int{"failures": k.failed})...)
	}
	if k.holdsLease() && k.leaseIsOld(k.now) {
		writes = append(writes, k.renewLease(k.now))
	}
	return k.state.save(ctx, p.Table, writes...)
}

// cancel asks SSM, after it was written down. What was asked before is asked
// again until it shows: cancelling is best effort.
func (p *Poll) cancel(ctx context.Context, k *look) error {
	if len(k.cancels) == 0 {
		return nil
	}
	spoke, err := p.Spokes.Spoke(ctx, k.target)
	if err != nil {
		return err
	}
	for _, c := range k.cancels {
		if err := spoke.Cancel(ctx, c.id, c.ids); err != nil {
			return err
		}
	}
	return nil
}

// next decides where the target goes.
func (p *Poll) next(k *look) Answer {
	if k.row.Closed == "" && k.row.WorthSending() {
		return send()
	}
	if len(k.row.Open) == 0 {
		if k.row.Closed == "" && k.row.Waiting() > 0 {
			return wait(healGap)
		}
		return verify()
	}
	if len(k.cancels) > 0 || k.more {
		return wait(p.PollInterval)
	}
	return wait(k.row.NextPoll(p.PollInterval, k.now, k.waited))
}

// unfinished lists the instances of a batch that have not ended and are wanted.
// One that SSM has not listed yet counts as not started.
func unfinished(in *patch.Intent, want func(patch.Invocation) bool) []patch.InstanceID {
	known := map[patch.InstanceID]patch.Invocation{}
	for _, v := range in.Invocations {
		known[v.InstanceID] = v
	}
	var ids []patch.InstanceID
	for _, id := range in.IDs {
		if v := known[id]; !v.Terminal() && want(v) {
			ids = append(ids, id)
		}
	}
	return ids
}
