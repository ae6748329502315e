package target

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Poll is the task of PollSsmCommand: it follows the commands of a target,
// keeps the books, and enforces deadlines, budgets and aborts.
type Poll struct {
	Table  store.Table
	Spokes port.Spokes
	Alarms port.Alarms
	Now    port.Clock

	PollInterval time.Duration
}

const (
	// maxReads bounds the invocations that one poll reads: what they find must fit into one row, and the reads into
	// half of the function's time.
	maxReads = 400
	// noRoom is why a target that took too many steps is closed.
	noRoom = "the history of the target's execution has no room for more commands and polls"
)

// Handle carries out one look.
func (p *Poll) Handle(ctx context.Context, in TargetInput) (Answer, error) {
	answer, err := p.step(ctx, in)
	if answer.Next != "wait" {
		answer.Failures = in.Failures // a poll that hands over to a send or a verification which fails gets the target no further
	}
	return answer.after(in.Waited), err
}

func (p *Poll) step(ctx context.Context, in TargetInput) (Answer, error) {
	st, err := loadState(ctx, p.Table, in)
	if err != nil {
		return Answer{}, err
	}
	if len(st.wave.Alarms) > 0 {
		if err := watchAlarms(ctx, p.Table, p.Alarms, st, p.Now()); err != nil {
			slog.Warn("alarms not known", "run", string(in.Run), "wave", in.Wave, "err", err) // what runs is followed all the same
		}
	}
	if st.row.Pending != 0 {
		return send(), nil // only the sender may look for what it sent
	}
	k := &look{state: st, now: p.Now().UTC()}
	k.row.Polls++
	k.found.At = k.now
	if len(k.row.Open)+len(k.row.Doubts) > 0 {
		if k.intents, err = st.loadOpen(ctx, p.Table); err != nil {
			return Answer{}, err
		}
		spoke, err := p.Spokes.Spoke(ctx, in.Target)
		if err == nil {
			err = p.follow(ctx, spoke, k)
		}
		if err != nil {
			if err = k.locked(err); err != nil {
				return Answer{}, err
			}
		}
	}
	k.judge()
	if err := p.save(ctx, k); err != nil {
		return Answer{}, err
	}
	p.cancel(ctx, k)
	return p.next(k), nil
}

// look is one poll in the making.
type look struct {
	*state
	now     time.Time
	intents map[int]*Intent // those with open sends
	found   Look
	asked   []Cancel // asked for before, and not seen to have worked: they are asked for again
	failed  int      // new failures
	reads   int
	more    bool // some were left to the next look
}

// follow reads which commands are still executing, and the invocations of the others.
func (p *Poll) follow(ctx context.Context, spoke port.Spoke, k *look) error {
	executing := map[patch.CommandID]bool{}
	if since, any := k.oldest(); any {
		var err error
		if executing, err = spoke.Executing(ctx, since.Add(-outcome.ListMargin)); err != nil {
			return err
		}
	}
	stop := k.stop()
	return k.each(func(o *OpenIntent, i int, in *Intent, x Sent) error {
		if x.Command == "" {
			return nil // it is looked for, or was given up
		}
		late := passed(in, x, k.now, k.waited) >= k.timeout(in)
		unknown := stopping(stop) && !o.Ran.Has(i) && !o.Cut.Has(i) // whether its agent has begun
		if executing[x.Command] && !late && !unknown && !o.Cut.Has(i) && !k.cancelsAll() {
			return nil
		}
		if k.reads == maxReads {
			k.more = true
			return nil
		}
		k.reads++
		v, found, err := spoke.Invocation(ctx, x.Command)
		if err != nil {
			return err
		}
		if !found || v.InstanceID != in.IDs[i] {
			v = outcome.Invocation{} // not listed yet: whatever SSM says of others is not our business
		}
		k.fold(o, i, in, x, v, stop)
		return nil
	})
}

// each calls f for every open send. f may end it.
func (k *look) each(f func(o *OpenIntent, i int, in *Intent, x Sent) error) error {
	for n := len(k.row.Open) - 1; n >= 0; n-- { // backwards: an intent of which nothing is open is taken out
		number := k.row.Open[n].N
		in := k.intents[number]
		for i, x := range in.Sends {
			o := k.row.OpenOf(number)
			if o == nil {
				break
			}
			if !o.Left.Has(i) {
				continue
			}
			if err := f(o, i, in, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// oldest is when the first of the open commands was accepted.
func (k *look) oldest() (oldest time.Time, any bool) {
	for _, o := range k.row.Open {
		in := k.intents[o.N]
		for i, x := range in.Sends {
			if o.Left.Has(i) && x.Command != "" && (!any || x.At.Before(oldest)) {
				oldest, any = x.At, true
			}
		}
	}
	return oldest, any
}

func (k *look) timeout(in *Intent) time.Duration {
	return time.Duration(in.TimeoutSeconds) * time.Second
}

// fold takes over what the invocation says, and decides on cancelling it.
func (k *look) fold(o *OpenIntent, i int, in *Intent, x Sent, v outcome.Invocation, stop string) {
	id, after := in.IDs[i], passed(in, x, k.now, k.waited)
	if v.Terminal() {
		v.Ran, v.Seen = o.Ran.Has(i), k.now
		k.found.Found = append(k.found.Found, v)
		k.book(v.Bad(), v.Error(), o.Late.Has(i))
		k.row.Learn(after, v.Status == "Success")
		k.row.Release(in.Batch, i)
		return
	}
	if v.Running() && !o.Ran.Has(i) {
		o.Ran.Add(i)
		v.Ran = true
		k.found.Found = append(k.found.Found, v)
	}
	late := after >= k.timeout(in)
	if late && !o.Late.Has(i) {
		// Its slot is free from here on: a failure that counts later would let one more begin in its place.
		k.book(true, true, false)
		o.Late.Add(i)
	}
	why := k.why(v, late, stop)
	switch {
	case o.Cut.Has(i) && o.CutAt.Since(k.now, k.waited) >= CancelGrace: // it has had its time to say so
		k.book(true, true, o.Late.Has(i))
		k.row.Release(in.Batch, i)
	case o.Cut.Has(i):
		k.asked = append(k.asked, Cancel{InstanceID: id, Command: x.Command})
	case why != "":
		o.Cut.Add(i)
		o.CutAt = store.Mark{At: k.now, Waited: k.waited}
		k.found.Cancels = append(k.found.Cancels, Cancel{InstanceID: id, Command: x.Command, Why: why})
	}
}

// book counts how a command ended. One that counted as failed when its time was over, and ended well after all, is
// taken back.
func (k *look) book(bad, isError, counted bool) {
	for _, c := range []struct {
		is bool
		n  *int
	}{{bad, &k.failed}, {isError, &k.row.Errors}} {
		if c.is {
			*c.n++
		}
		if counted {
			*c.n--
		}
	}
}

// why is why an open command must be cancelled, if it must. A cancel kills the package manager of what runs: it is
// asked for past the command's own deadline, or where an abort says so, and else only for what no agent has taken.
func (k *look) why(v outcome.Invocation, late bool, stop string) string {
	switch {
	case k.cancelsAll():
		return outcome.ReasonAbort
	case late:
		return outcome.ReasonExpired
	case stopping(stop) && untaken(v):
		return stop
	}
	return ""
}

// cancelsAll tells whether an abort asks to cancel what runs, too.
func (k *look) cancelsAll() bool { return k.abort != nil && k.abort.CancelInFlight }

// untaken tells whether SSM says that no agent has taken the command yet. One whose invocation it does not list may run.
// Source: SSM CommandInvocation.Status, read 2026-11.
func untaken(v outcome.Invocation) bool { return v.Status == "Pending" || v.Status == "Delayed" }

// stop is why nothing more may be sent.
func (k *look) stop() string {
	if k.row.Closed != "" {
		return k.row.Closed
	}
	return k.mustStop(k.now)
}

// stopping tells whether what no agent has taken must be taken back. An account
// whose role can no longer be assumed leaves nothing to cancel with.
func stopping(why string) bool {
	switch why {
	case outcome.ReasonBudget, outcome.ReasonAbort, outcome.ReasonStopped, outcome.ReasonLease:
		return true
	}
	return false
}

// judge closes the target if it may send no more.
func (k *look) judge() {
	k.row.Failures += k.failed
	k.fail(k.failed)
	k.giveUpLost()
	switch {
	case k.row.Closed != "":
	case k.row.Fence != 0 && !k.holdsLease():
		k.row.Closed, k.row.Reason = outcome.ReasonLease, k.heldBy()
	default:
		k.row.Closed = k.mustStop(k.now)
		if k.row.Steps() >= k.row.MaxPolls {
			k.row.Reason = words.OrElse(k.row.Reason, noRoom)
		}
	}
}

// giveUpLost gives back the slots of sends of which nothing is known: past the time in which they could be at work, or
// once there is nothing else to follow or to send.
func (k *look) giveUpLost() {
	followed := 0
	for _, o := range k.row.Open {
		for i, x := range k.intents[o.N].Sends {
			if o.Left.Has(i) && !x.Lost {
				followed++
			}
		}
	}
	var over [][2]int
	for _, o := range k.row.Open {
		in := k.intents[o.N]
		for i, x := range in.Sends {
			if o.Left.Has(i) && x.Lost && (passed(in, x, k.now, k.waited) >= k.timeout(in) || followed == 0 && !k.sends()) {
				over = append(over, [2]int{o.N, i})
			}
		}
	}
	for _, at := range over {
		k.row.Release(at[0], at[1])
	}
}

// sends tells whether the target has anything left to send.
func (k *look) sends() bool { return k.row.Closed == "" && k.row.Waiting() > 0 }

// locked deals with an account that lets us in no more: its commands are
// followed until they are past help. Sends whose answers were lost have their own way.
func (k *look) locked(err error) error {
	if patch.KindOf(err) != patch.ErrAccessDenied {
		return err
	}
	if k.row.Closed == "" {
		k.row.Closed = outcome.ReasonAccount
	}
	k.row.Reason = err.Error()
	return k.each(func(o *OpenIntent, i int, in *Intent, x Sent) error {
		if x.Command != "" && passed(in, x, k.now, k.waited) >= k.timeout(in) {
			k.book(true, true, o.Late.Has(i))
			k.row.Release(in.Batch, i)
		}
		return nil
	})
}

// save writes everything that this look changed, all or none.
func (p *Poll) save(ctx context.Context, k *look) error {
	var writes []store.Write
	for _, some := range byReason(k.found.Cancels) {
		writes = append(writes, k.audit("poll", "CancelCommand", cancelText(some), k.now))
	}
	if len(k.found.Found)+len(k.found.Cancels) > 0 {
		k.row.Looks++
		writes = append(writes, store.Write{How: store.Create, Key: store.LookKey(k.target, k.row.Looks), Item: k.found})
	}
	add := map[string]int{}
	if k.failed != 0 {
		add["failures"] = k.failed
	}
	writes = append(writes, k.counted(add)...)
	if k.holdsLease() && k.leaseIsOld(k.now) {
		writes = append(writes, k.renewLease(k.now))
	}
	return k.state.save(ctx, p.Table, writes...)
}

// byReason sorts cancels into groups of one reason each: an entry of the audit names one.
func byReason(cancels []Cancel) [][]Cancel {
	groups := map[string][]Cancel{}
	for _, c := range cancels {
		groups[c.Why] = append(groups[c.Why], c)
	}
	var all [][]Cancel
	for _, why := range slices.Sorted(maps.Keys(groups)) {
		all = append(all, groups[why])
	}
	return all
}

// cancelText names what is cancelled, and why: all for the same reason.
func cancelText(cancels []Cancel) string {
	names := make([]string, len(cancels))
	for i, c := range cancels {
		names[i] = string(c.Command) + "/" + string(c.InstanceID)
	}
	return fmt.Sprintf("%s, %s: %v", cancels[0].Why, words.BareCount(len(cancels), "command"), names)
}

// cancel asks SSM, after it was written down. Whatever it answers decides nothing: it refuses a cancel for a machine
// that is gone or whose agent is down, and what was asked before is asked again until the command has ended.
func (p *Poll) cancel(ctx context.Context, k *look) {
	all := append(k.asked, k.found.Cancels...)
	if len(all) == 0 {
		return
	}
	spoke, err := p.Spokes.Spoke(ctx, k.target)
	if err != nil {
		slog.Warn("not cancelled", "account", k.target.Account, "region", k.target.Region, "commands", len(all), "err", err)
		return
	}
	cancelAll(ctx, spoke, k.target, all)
}

// cancelAll asks to cancel each command, and notes what was refused.
func cancelAll(ctx context.Context, spoke port.Spoke, t patch.Target, all []Cancel) {
	for _, c := range all {
		if err := spoke.Cancel(ctx, c.Command, c.InstanceID); err != nil {
			slog.Warn("not cancelled", "account", t.Account, "region", t.Region, "instance", c.InstanceID, "command", c.Command, "err", err)
		}
	}
}

// next decides where the target goes.
func (p *Poll) next(k *look) Answer {
	doubts := time.Duration(-1)
	for _, n := range k.row.Doubts {
		if left := k.visible(k.intents[n]); doubts < 0 || left < doubts {
			doubts = left
		}
	}
	switch {
	case doubts == 0, k.row.Closed == "" && k.row.WorthSending():
		return send()
	case len(k.row.Open) == 0 && !k.sends():
		return verify()
	case len(k.found.Cancels) > 0 || k.more:
		return wait(p.PollInterval)
	}
	gap := k.row.NextPoll(p.PollInterval)
	if doubts > 0 {
		gap = min(gap, doubts)
	}
	return wait(gap)
}
