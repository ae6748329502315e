package target

import (
	"context"
	"log/slog"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// Poll is the task of PollSsmCommand: it follows the commands of a target,
// keeps the books, and enforces deadlines, budgets and aborts.
type Poll struct {
	Table   store.Table
	Spokes  port.Spokes
	Alarms  port.Alarms
	Auditor store.Signer
	Now     port.Clock

	PollInterval time.Duration
}

// Handle carries out one look.
func (p *Poll) Handle(ctx context.Context, in TargetInput) (Answer, error) {
	answer, err := p.step(ctx, in)
	if answer.Next != patch.NextWait {
		answer.Failures = in.Failures // handing over to a send or a verification that fails is no progress
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
			// What runs is followed all the same.
			slog.Warn("alarms not known", "run", string(in.Run), "wave", in.Wave, "err", err)
		}
	}
	if st.row.Phase() == PhaseSending {
		return send(), nil // only the sender may look for what it sent
	}
	st.Now = p.Now().UTC()
	k := &look{state: st, before: st.row.Failures, gap: st.row.NextPoll(p.PollInterval)}
	k.row.poll()
	k.found.At = k.Now
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
	intents map[int]*Intent // those with open sends
	before  int             // failures of the target before this look
	gap     time.Duration   // what may have passed since the look before this one
	found   Look
	asked   []Cancel // asked for before, and not seen to have worked: they are asked for again
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
		late := k.late(in, x)
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
			v = outcome.Invocation{} // not listed yet: what SSM says of others does not matter here
		}
		k.fold(o, i, in, v, stop)
		return nil
	})
}

// each calls f for every open send. f may end it.
func (k *look) each(f func(o *OpenIntent, i int, in *Intent, x Sent) error) error {
	for n := len(k.row.Open) - 1; n >= 0; n-- { // backwards: an intent with nothing open is taken out
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

// ages is how long the last and the first of the open commands have been at work.
func (k *look) ages() (youngest, oldest time.Duration) {
	youngest = time.Duration(-1)
	for _, o := range k.row.Open {
		in := k.intents[o.N]
		for i, x := range in.Sends {
			if age := k.age(in, x); o.Left.Has(i) && x.Command != "" {
				oldest = max(oldest, age)
				if youngest < 0 || age < youngest {
					youngest = age
				}
			}
		}
	}
	return max(youngest, 0), oldest
}

// failed is how many more failures this look has counted.
func (k *look) failed() int { return k.row.Failures - k.before }

// fold takes over what the invocation says, and decides on cancelling it.
func (k *look) fold(o *OpenIntent, i int, in *Intent, v outcome.Invocation, stop outcome.Reason) {
	n, id, x := in.Batch, in.IDs[i], in.Sends[i]
	if v.Terminal() {
		v.Ran, v.Seen = o.Ran.Has(i), k.Now
		k.found.Found = append(k.found.Found, v)
		k.row.Learn(k.age(in, x), k.gap, v.Status == "Success")
		k.row.end(n, i, v.Bad(), v.Error())
		return
	}
	if v.Running() && k.row.start(n, i) {
		v.Ran = true
		k.found.Found = append(k.found.Found, v)
	}
	late := k.late(in, x)
	if late {
		k.row.expire(n, i)
	}
	why := k.why(v, late, stop)
	switch {
	case o.Cut.Has(i) && k.Since(o.CutAt) >= CancelGrace: // it has had its time to say so
		k.row.end(n, i, true, true)
	case o.Cut.Has(i):
		k.asked = append(k.asked, Cancel{InstanceID: id, Command: x.Command})
	case why != "":
		k.row.cut(n, i, k.Mark())
		k.found.Cancels = append(k.found.Cancels, Cancel{InstanceID: id, Command: x.Command, Why: why})
	}
}

// why is why an open command must be cancelled, if it must. A cancel kills the package manager of what runs: it is
// asked for past the command's own deadline, or where an abort says so, and else only for what no agent has taken.
func (k *look) why(v outcome.Invocation, late bool, stop outcome.Reason) outcome.Reason {
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

// stop is why nothing more may be sent.
func (k *look) stop() outcome.Reason {
	if k.row.Closed != "" {
		return k.row.Closed
	}
	return k.mustStop(k.Now)
}

// judge closes the target if it may send no more.
func (k *look) judge() {
	k.fail(k.failed())
	k.giveUpLost()
	if k.lostLease() {
		k.row.close(outcome.ReasonLease, k.heldBy())
	}
	k.row.close(k.mustStop(k.Now), "")
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
			if o.Left.Has(i) && x.Lost && (k.late(in, x) || followed == 0 && !k.row.willSend()) {
				over = append(over, [2]int{o.N, i})
			}
		}
	}
	for _, at := range over {
		k.row.Release(at[0], at[1])
	}
}

// locked deals with an account whose role cannot be assumed: its commands count as failed once they are past their
// deadline. Sends whose answers were lost are given up elsewhere.
func (k *look) locked(err error) error {
	if patch.KindOf(err) != patch.ErrAccessDenied {
		return err
	}
	k.row.lock(err)
	return k.each(func(_ *OpenIntent, i int, in *Intent, x Sent) error {
		if x.Command != "" && k.late(in, x) {
			k.row.end(in.Batch, i, true, true)
		}
		return nil
	})
}

// save writes everything that this look changed, all or none.
func (p *Poll) save(ctx context.Context, k *look) error {
	var writes []store.Write
	if len(k.found.Cancels) > 0 {
		if err := k.followUp(ctx, p.Table, store.Poll); err != nil {
			return err
		}
		entry, err := k.signed(ctx, p.Auditor, store.Poll, "CancelCommand", cancelText(k.found.Cancels), k.Now)
		if err != nil {
			return err
		}
		writes = append(writes, entry)
	}
	if len(k.found.Found)+len(k.found.Cancels) > 0 {
		writes = append(writes, store.Write{How: store.Create, Key: store.LookKey(k.target, k.row.look()), Item: k.found})
	}
	add := map[string]int{}
	if n := k.failed(); n != 0 {
		add["failures"] = n
	}
	writes = append(writes, k.counted(add)...)
	if k.holdsLease() && k.leaseIsOld(k.Now) {
		writes = append(writes, k.renewLease(k.Now))
	}
	return k.state.save(ctx, p.Table, writes...)
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

// next decides where the target goes.
func (p *Poll) next(k *look) Answer {
	doubts := time.Duration(-1)
	for _, n := range k.row.Doubts {
		if left := k.unlisted(k.intents[n]); doubts < 0 || left < doubts {
			doubts = left
		}
	}
	switch phase := k.row.Phase(); {
	case doubts == 0, phase.canSend():
		return send()
	case !phase.follows():
		return verify()
	case len(k.found.Cancels) > 0 || k.more:
		return wait(p.PollInterval)
	}
	youngest, oldest := k.ages()
	gap := max(k.row.NextPoll(p.PollInterval), k.row.patience(youngest), k.row.foresight(oldest))
	if doubts > 0 {
		gap = min(gap, doubts)
	}
	return wait(gap)
}
