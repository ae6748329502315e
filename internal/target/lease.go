package target

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// holdsLease tells whether the account-region is still this run's, under the
// fence that it was taken with.
func (st *state) holdsLease() bool {
	return st.row.Fence != 0 && st.lease.Run == st.target.Run && st.lease.Fence == st.row.Fence
}

// heldBy says who has the account-region, for people.
func (st *state) heldBy() string {
	return fmt.Sprintf("the account-region was held by run %s", st.lease.Run)
}

// leaseIsOld tells whether the lease must be renewed to last past the longest
// gap between polls.
func (st *state) leaseIsOld(now time.Time) bool {
	return st.lease.Expires.Before(now.Add(LeaseTerm - LongestPollGap/3))
}

// renewLease extends the lease. It holds only if nobody touched the lease since it was read.
func (st *state) renewLease(now time.Time) store.Write {
	was := st.lease.Version
	st.lease.Version++
	st.lease.Expires = now.Add(LeaseTerm).UTC()
	return store.Write{How: store.Replace, Key: store.LeaseKey(st.target.Account, st.target.Region), Item: st.lease, Was: was}
}

// takeLease takes the account-region for this run. held is false while another run has it.
func (s *Send) takeLease(ctx context.Context, st *state) (held bool, err error) {
	now := s.Now()
	foreign := st.lease.Run != "" && (st.lease.Run != st.target.Run || st.lease.Wave != st.target.Wave)
	if st.lease.Run != st.target.Run && foreign && now.Before(st.lease.Expires) {
		return false, nil // an earlier wave of this run is over: what it gave up is followed at once
	}
	if st.row.Audit.Seq == 0 {
		if st.row.Audit, err = s.Table.LastAudit(ctx, store.TargetChain(st.target)); err != nil {
			return false, err
		}
	}
	if foreign {
		if still, err := s.followOld(ctx, st); err != nil || still {
			return false, err
		}
	}
	action := "LeaseTaken"
	if foreign {
		action = "LeaseTakenOver"
	}
	st.lease.Run, st.lease.Wave = st.target.Run, st.target.Wave
	st.lease.Fence++
	take := st.renewLease(now)
	if !st.leaseFound {
		take.How = store.Create
	}
	st.row.Fence, st.row.Busy, st.row.Reason = st.lease.Fence, time.Time{}, ""
	entry := st.audit("send", action, fmt.Sprintf("fence %d", st.lease.Fence), now)
	if err := st.save(ctx, s.Table, append(st.goesOn(), take, entry)...); err != nil {
		return false, err
	}
	return true, nil
}

// patience is how long the target waits for the lease: for a run that is alive a while, and for what a dead run, or an
// earlier wave, left at work as long as that may take.
func (st *state) patience(now time.Time) time.Duration {
	if now.Before(st.lease.Expires) {
		return leasePatience
	}
	return followPatience
}

// followOld looks at what a dead run left in the account-region: none of its commands may still be at work when the
// lease is taken over. What no agent has taken is cancelled, and what is past its own deadline; what runs within its
// time is left to end, since a cancel would kill its package manager.
func (s *Send) followOld(ctx context.Context, st *state) (still bool, err error) {
	old := &state{target: st.target}
	old.target.Run, old.target.Wave = st.lease.Run, st.lease.Wave
	row := &store.Row{Key: store.TargetKey(old.target), Into: &old.row}
	if err := s.Table.Load(ctx, row); err != nil {
		return false, err
	}
	if !row.Found || len(old.row.Open) == 0 && old.row.Pending == 0 {
		return false, nil
	}
	spoke, err := s.Spokes.Spoke(ctx, st.target)
	if err != nil {
		return false, err
	}
	left, err := old.atWork(ctx, s.Table, spoke, s.Now())
	if err != nil {
		return false, err
	}
	var cancels []Cancel
	for _, w := range left {
		still = still || !w.over
		if w.cancelled() && len(cancels) < MaxSends {
			cancels = append(cancels, Cancel{InstanceID: w.instance, Command: w.command, Why: "left by run " + string(st.lease.Run)})
		}
	}
	if len(cancels) == 0 {
		return still, nil
	}
	if err := st.save(ctx, s.Table, st.audit("send", "CancelCommand", cancelText(cancels), s.Now())); err != nil {
		return false, err
	}
	cancelAll(ctx, spoke, st.target, cancels)
	return still, nil
}

// working is a command of another target that may be at work.
type working struct {
	command  patch.CommandID // empty: a send whose command nobody knows, and SSM need not list yet
	instance patch.InstanceID
	untaken  bool // no agent has taken it
	late     bool // it is past its deadline
	over     bool // it is past its deadline and the time that a cancel may take: it is followed no further
}

// cancelled tells whether a cancel does no harm: one that runs within its time is left to end.
func (w working) cancelled() bool { return w.command != "" && (w.untaken || w.late) }

// atWork lists the commands of a target that have not ended, by what SSM says now, those too whose id nobody kept.
func (st *state) atWork(ctx context.Context, table store.Table, spoke port.Spoke, now time.Time) ([]working, error) {
	intents, err := st.loadOpen(ctx, table)
	if err != nil {
		return nil, err
	}
	var unknown []string
	since := now
	for _, in := range intents {
		if in.Written.Before(since) {
			since = in.Written
		}
		if !in.Settled || in.Doubtful() {
			unknown = append(unknown, in.Marker)
		}
	}
	since = since.Add(-outcome.ListMargin)
	marked := map[string]port.Accepted{}
	if len(unknown) > 0 {
		if marked, err = spoke.Marked(ctx, unknown, since); err != nil {
			return nil, err
		}
	}
	executing, err := spoke.Executing(ctx, since)
	if err != nil {
		return nil, err
	}
	look := survey{spoke: spoke, now: now, marked: marked, executing: executing}
	for _, n := range slices.Sorted(maps.Keys(intents)) {
		if err := look.intent(ctx, st, intents[n]); err != nil {
			return nil, err
		}
	}
	return look.all, nil
}

// survey is a look at the commands of a target that somebody else has begun.
type survey struct {
	spoke     port.Spoke
	now       time.Time
	marked    map[string]port.Accepted // those whose ids nobody kept
	executing map[patch.CommandID]bool // as SSM lists them
	reads     int
	all       []working
}

func (k *survey) intent(ctx context.Context, st *state, in *Intent) error {
	o := st.row.OpenOf(in.Batch)
	for i, id := range in.IDs {
		var x Sent
		switch {
		case i < len(in.Sends):
			x = in.Sends[i]
		case in.Settled:
			continue // never tried
		}
		if in.Settled && (o == nil || !o.Left.Has(i)) || x.Lost {
			continue // it has ended, or was never accepted
		}
		if x.Command == "" {
			a, listed := k.marked[plan.SendMarker(in.Marker, i)]
			if !listed {
				if k.now.Before(in.Written.Add(visibility)) {
					k.all = append(k.all, working{instance: id})
				}
				continue
			}
			x.Command, x.At = a.ID, a.At
		}
		w, open, err := k.command(ctx, x, time.Duration(in.TimeoutSeconds)*time.Second)
		if err != nil {
			return err
		}
		if open {
			w.instance = id
			k.all = append(k.all, w)
		}
	}
	return nil
}

// command says how far a command is; open is false if it has ended. That it is not listed among those that execute is
// no end: its invocation tells. More than one look can read are taken to be at work until their time is over.
func (k *survey) command(ctx context.Context, x Sent, timeout time.Duration) (w working, open bool, err error) {
	age := k.now.Sub(x.At)
	w = working{command: x.Command, late: age >= timeout, over: age >= timeout+CancelGrace}
	if w.over && !k.executing[x.Command] {
		return w, false, nil
	}
	if k.reads == maxReads {
		return w, true, nil
	}
	k.reads++
	v, found, err := k.spoke.Invocation(ctx, x.Command)
	w.untaken = found && untaken(v)
	return w, !found || !v.Terminal(), err
}

// releaseLease frees the account-region if it is still this run's. The fence stays and only grows.
func (st *state) releaseLease() (store.Write, bool) {
	if !st.holdsLease() {
		return store.Write{}, false
	}
	was := st.lease.Version
	st.lease.Version++
	st.lease.Run, st.lease.Wave = "", ""
	return store.Write{How: store.Replace, Key: store.LeaseKey(st.target.Account, st.target.Region), Item: st.lease, Was: was}, true
}
