package target

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// Abandon frees the targets of a run that has ended: nothing more is sent, what no agent has taken is cancelled, and
// no lease outlives its run.
type Abandon struct {
	Table   store.Table
	Spokes  port.Spokes
	Auditor store.Signer
	Now     port.Clock
}

// Run cancels what is at work and releases the leases of every target that
// was not verified.
func (a *Abandon) Run(ctx context.Context, run patch.RunID) error {
	rows, err := LoadTargets(ctx, a.Table, run, "")
	if err != nil {
		return err
	}
	targets := make([]patch.Target, 0, len(rows))
	heads := map[string]store.ChainHead{} // of the account-regions' chains, which the waves of a run extend in turn
	Bind(heads, rows)
	for t, row := range rows {
		if row.unfinished() {
			targets = append(targets, t)
		}
	}
	slices.SortFunc(targets, func(a, b patch.Target) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
	})
	var failed error // an account that does not answer must not keep the commands of others
	for _, t := range targets {
		failed = errors.Join(failed, a.abandonTarget(ctx, t, heads))
	}
	return failed
}

// abandonTarget does it for one target: the audit entry first, then the cancels.
func (a *Abandon) abandonTarget(ctx context.Context, t patch.Target, heads map[string]store.ChainHead) error {
	st, err := loadState(ctx, a.Table, TargetInput{Target: t})
	if err != nil {
		return err
	}
	chain := store.Verify.Chain(store.TargetSubject(t))
	st.row.chain(store.Verify, heads[chain])
	defer func() { heads[chain] = st.row.Heads[store.Verify] }()
	st.row.abandon()
	if !st.row.mayRun() {
		var writes []store.Write
		if release, ok := st.releaseLease(); ok {
			writes = append(writes, release)
		}
		return st.save(ctx, a.Table, writes...)
	}
	if err := a.letGo(ctx, st); err != nil {
		return err
	}
	spoke, err := a.Spokes.Spoke(ctx, t)
	if err != nil {
		return patch.Without(err, patch.ErrAccessDenied)
	}
	left, err := st.atWork(ctx, a.Table, spoke, a.Now())
	if err != nil {
		return patch.Without(err, patch.ErrAccessDenied)
	}
	return a.takeBack(ctx, st, spoke, left)
}

// maxCancels bounds the commands that one audit entry names. What is left of more is stopped by Run Command itself,
// which delivers none of our commands after a quarter of an hour.
const maxCancels = 200

// takeBack cancels what no agent has taken. What runs is left to end: a cancel would kill its package manager, and
// the run that takes the lease over waits for it.
func (a *Abandon) takeBack(ctx context.Context, st *state, spoke port.Spoke, left []working) error {
	var cancels []Cancel
	for _, w := range left {
		why := st.row.Closed
		if w.late {
			why = outcome.ReasonExpired
		}
		if w.cancelled() {
			cancels = append(cancels, Cancel{InstanceID: w.instance, Command: w.command, Why: why})
		}
	}
	if len(cancels) == 0 {
		return nil
	}
	return a.tellAndCancel(ctx, st, spoke, cancels)
}

// tellAndCancel writes down what is cancelled, and cancels it.
func (a *Abandon) tellAndCancel(ctx context.Context, st *state, spoke port.Spoke, cancels []Cancel) error {
	for some := range slices.Chunk(cancels, maxCancels) {
		number, look := st.row.look(), Look{At: a.Now().UTC(), Cancels: some}
		entry, err := st.signed(ctx, a.Auditor, store.Verify, "CancelCommand", cancelText(some), a.Now())
		if err != nil {
			return err
		}
		write := store.Write{How: store.Create, Key: store.LookKey(st.target, number), Item: look}
		if err := st.save(ctx, a.Table, entry, write); err != nil {
			return err
		}
		cancelAll(ctx, spoke, st.target, some)
	}
	return nil
}

// letGo closes the target and ends its lease at once. The lease is not free: the run that takes it over first follows
// the commands of the target that it names, and those that may still appear.
func (a *Abandon) letGo(ctx context.Context, st *state) error {
	if !st.holdsLease() {
		return st.save(ctx, a.Table)
	}
	now := a.Now()
	expire := st.renewLease(now)
	st.lease.Expires = now.UTC()
	expire.Item = st.lease
	return st.save(ctx, a.Table, expire)
}
