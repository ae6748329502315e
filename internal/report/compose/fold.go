package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/words"
)

// fold makes one part of the report. It starts from the plan, so no instance is
// missing because some row or some object is.
func (f *folder) fold(ctx context.Context, pieces []piece) (*part, error) {
	var targets []patch.Target
	for _, p := range pieces {
		targets = append(targets, p.targets(f.in.Run)...)
	}
	rows, err := target.LoadRows(ctx, f.Table, targets)
	if err != nil {
		return nil, err
	}
	all := &part{partHead: partHead{Accounts: []accountTally{}}}
	for _, p := range pieces {
		wave, _ := f.index.Wave(p.wave)
		instances, excluded, err := f.piece(ctx, p, rows)
		if err != nil {
			return nil, err
		}
		var first time.Time
		for _, t := range p.targets(f.in.Run) {
			if s := rows[t].FirstSent; !s.IsZero() && (first.IsZero() || s.Before(first)) {
				first = s.UTC()
			}
		}
		if err := f.explain(ctx, p, rows, instances); err != nil {
			return nil, err
		}
		all.add(wave, p.account, first, instances, excluded)
	}
	return all, nil
}

// piece reads a piece's results: the roll-up, then what it lacks, and for a
// target without a result what the plan and the intents tell.
func (f *folder) piece(ctx context.Context, p piece, rows map[patch.Target]target.TargetRow) ([]outcome.InstanceReport,
	[]plan.ExcludedInstance, error) {
	up, err := f.rolledUp(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	have := map[string][]byte{} // results by their hash
	for _, data := range up.Results {
		have[patch.Digest(data)] = data
	}
	var all []outcome.InstanceReport
	var newcomers []plan.ExcludedInstance
	for _, t := range p.targets(f.in.Run) {
		result, err := f.target(ctx, t, rows[t], have[rows[t].ResultHash])
		if err != nil {
			return nil, nil, err
		}
		all, newcomers = append(all, result.Instances...), append(newcomers, result.Newcomers...)
	}
	excluded := up.Excluded
	if len(excluded) != p.excluded {
		if excluded, err = excludedIn(ctx, f.Objects, f.in.Run, p); err != nil {
			return nil, nil, err
		}
	}
	return all, append(excluded, newcomers...), nil
}

// rolledUp reads an account's roll-up. One that is missing or cannot be read is
// made up for by what it was made of.
func (f *folder) rolledUp(ctx context.Context, p piece) (AccountResult, error) {
	var up AccountResult
	if !p.whole || len(p.regions) == 0 {
		return up, nil
	}
	data, found, err := f.Objects.Fetch(ctx, store.RollUpObject(f.in.Run, p.wave, p.account))
	if err != nil || !found {
		return up, err
	}
	if err := json.Unmarshal(data, &up); err != nil || up.Run != f.in.Run || up.Wave != p.wave || up.Account != p.account {
		return AccountResult{}, nil
	}
	return up, nil
}

// target reads a target's result: the one with the hash in its row and no other.
func (f *folder) target(ctx context.Context, t patch.Target, row target.TargetRow, data []byte) (target.TargetResult,
	error) {
	if data == nil {
		var found bool
		var err error
		if data, found, err = target.FetchProven(ctx, f.Objects, t, row.ResultHash); err != nil {
			return target.TargetResult{}, err
		}
		if !found {
			instances, err := f.unjudged(ctx, t, row)
			return target.TargetResult{Instances: instances}, err
		}
	}
	return target.DecodeResult(data)
}

// unjudged reports a target without a result that is known to be its own: what
// was not sent is NotSent, and of the rest nobody knows.
func (f *folder) unjudged(ctx context.Context, t patch.Target, row target.TargetRow) ([]outcome.InstanceReport, error) {
	why := "the run ended before the instance was verified"
	if row.ResultHash != "" {
		why = "its result is lost: the object in the bucket is missing, or is not the one that was verified"
	}
	leaf, err := plan.LoadLeaf(ctx, f.Objects, t, row.LeafDigest)
	if errors.Is(err, patch.ErrTampered) {
		leaf, err = f.discovered(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	if row.Closed == "" {
		row.Closed = f.whyNotSent()
	}
	return target.Unverified(ctx, f.Table, f.run, row, leaf, why)
}

// discovered makes up for a plan that somebody has edited or removed: a run has
// a report whatever became of its files. Nothing is ever sent by it.
func (f *folder) discovered(ctx context.Context, t patch.Target) (plan.Leaf, error) {
	leaf := plan.Leaf{Target: t}
	inv, err := plan.LoadInventory(ctx, f.Objects, t.Run, t.Account, t.Region)
	for _, p := range inv.Planned {
		if p.Wave == t.Wave {
			leaf.Instances = append(leaf.Instances, p)
		}
	}
	return leaf, err
}

// whyNotSent is the reason of instances whose turn never came.
func (f *folder) whyNotSent() outcome.Reason {
	if f.abort != nil {
		return outcome.ReasonAbort
	}
	for _, a := range f.asked {
		switch a.Status {
		case decision.ApprovalRejected:
			return outcome.ReasonRejected
		case decision.ApprovalExpired:
			return outcome.ReasonExpired
		}
	}
	return outcome.ReasonStopped
}

// explain adds to what was not sent which limit was hit. That it was named in a
// command is no contradiction when this ended before it began there.
func (f *folder) explain(ctx context.Context, p piece, rows map[patch.Target]target.TargetRow,
	instances []outcome.InstanceReport) error {
	var own *store.Counters // of the account, read when it is needed
	stops := map[patch.Target]string{}
	for i := range instances {
		r := &instances[i]
		if r.NotSent() == "" {
			continue
		}
		t := patch.Target{Run: f.in.Run, Wave: r.Wave, Account: r.Account, Region: r.Region}
		if r.Detail == "" && r.NotSent() == rows[t].Closed {
			r.Detail = rows[t].Reason
		}
		if r.NotSent() == outcome.ReasonBudget {
			if own == nil {
				own = &store.Counters{}
				if err := f.Table.Load(ctx, &store.Row{Key: store.AccountCountersKey(t), Into: own}); err != nil {
					return err
				}
			}
			r.Detail = words.Joined(r.Detail, f.exceeded(t, rows[t], *own))
		}
		if r.NotSent() == outcome.ReasonStopped && r.Detail == "" {
			why, known := stops[t]
			if !known {
				var err error
				if why, err = f.stopped(ctx, t); err != nil {
					return err
				}
				stops[t] = why
			}
			r.Detail = why
		}
		if r.CommandID != "" {
			r.Detail = words.Joined(r.Detail,
				fmt.Sprintf("its command ended as %s before it began on this instance", cmp.Or(r.Status, "never taken")))
		}
	}
	return nil
}

// stopped names what stopped a target: an earlier wave, or alarms of its own.
func (f *folder) stopped(ctx context.Context, t patch.Target) (string, error) {
	for _, w := range f.index.Waves {
		if w.Name == t.Wave {
			break
		}
		if f.waves[w.Name].Verdict == patch.VerdictStop {
			return "wave " + w.Name + " stopped the run", nil
		}
	}
	var watch store.Watch
	if err := f.Table.Load(ctx, &store.Row{Key: store.WatchKey(t.Run, t.Wave), Into: &watch}); err != nil {
		return "", err
	}
	text := ""
	for _, a := range watch.Seen {
		text = words.Joined(text, fmt.Sprintf("alarm %s was %s while the wave was patched", a.ARN, a.State))
	}
	return text, nil
}

// exceeded names every limit of a target that is exceeded, in the words in which the run gives its own causes.
func (f *folder) exceeded(t patch.Target, row target.TargetRow, own store.Counters) string {
	const instances = "budget.maxFailedInstances"
	wave, whole := f.waves[t.Wave], f.waves[store.WholeRun]
	index, _ := f.index.Wave(t.Wave)
	planned := plan.PlannedIn(index, t.Account)
	perAccount := wave.PerAccount.Limit(planned)
	text := ""
	for _, c := range []doubt.Cause{
		{Kind: doubt.CauseFailed, Scope: doubt.ScopeTarget, Account: t.Account, Region: t.Region, Count: row.Errors,
			Limit: row.ErrorLimit,
			Field: "ssm.maxErrors", Of: patch.LimitText(wave.MaxErrors, row.Planned, row.ErrorLimit)},
		{Kind: doubt.CauseFailed, Scope: doubt.ScopeAccount, Account: t.Account, Count: own.Failures, Limit: perAccount,
			Field: "budget.perAccount", Of: patch.LimitText(wave.PerAccount, planned, perAccount)},
		{Kind: doubt.CauseFailed, Scope: doubt.ScopeOfWave, Wave: t.Wave, Count: f.counts[t.Wave].Failures,
			Limit: wave.FailLimit,
			Field: instances, Of: patch.LimitText(wave.MaxFailed, wave.Planned, wave.FailLimit)},
		{Kind: doubt.CauseAccounts, Scope: doubt.ScopeOfWave, Wave: t.Wave, Count: f.counts[t.Wave].AccountsOver,
			Limit: wave.AccountsMax,
			Field: "budget.maxFailedAccounts", Of: patch.LimitText(wave.MaxAccounts, wave.Accounts, wave.AccountsMax)},
		{Kind: doubt.CauseFailed, Scope: doubt.ScopeRun, Count: f.counts[store.WholeRun].Failures, Limit: whole.FailLimit,
			Field: instances, Of: patch.LimitText(whole.MaxFailed, whole.Planned, whole.FailLimit)},
	} {
		if c.Count > c.Limit {
			text = words.Joined(text, c.Text())
		}
	}
	return text
}
