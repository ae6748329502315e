package task

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ec2patch/internal/patch"
)

// missed is the status with which a new run closes those whose end nobody told.
const missed = "MISSED"

// closeRun ends a run whose execution ended without its report: stopped by
// hand, timed out, or failed where nobody could catch it. Nothing more is sent,
// what is still at work is cancelled, leases are released, and the report is
// written. It is harmless for a run that closed itself, and does nothing while
// the execution goes on: the event of an end may come before Step Functions shows
// that end (it is eventually consistent; Source: SFN API, DescribeExecution, read
// 2026-11), or after a redrive, which keeps the execution's name and will end again.
func (v *Verify) closeRun(ctx context.Context, in VerifyInput) (any, error) {
	var run patch.RunRow
	row := &Row{Key: patch.RunKey(in.Run), Into: &run}
	if err := v.Table.Load(ctx, row); err != nil {
		return nil, err
	}
	if row.Found && !run.Ended.IsZero() {
		if run.Digest != "" {
			// A run that reported itself may still have given up a target with commands at work.
			if err := v.abandon(ctx, in.Run); err != nil {
				return nil, err
			}
		}
		return ReportOutput{Next: "done", Status: run.Status}, nil
	}
	running, err := v.goesOn(ctx, run)
	switch {
	case err != nil:
		return nil, err
	case running && in.Status != missed:
		// Step Functions said that it ended, and may not show it yet. Lambda calls again in a minute, and in two more.
		return nil, fmt.Errorf("%w: the execution of %s ended %s, and is still shown as running", patch.ErrUnavailable, in.Run, in.Status)
	case running:
		return ReportOutput{Next: "done", Status: run.Status}, nil
	}
	if row.Found && run.Status == patch.RunRunning {
		if err := v.markEnded(ctx, &run, in.Status); err != nil {
			return nil, err
		}
	}
	return v.report(ctx, in)
}

// goesOn tells whether the run's execution is running. A run that never wrote
// down its execution cannot have been redriven past its plan.
func (v *Verify) goesOn(ctx context.Context, run patch.RunRow) (bool, error) {
	if run.ExecutionARN == "" {
		return false, nil
	}
	return v.Runs.Running(ctx, run.ExecutionARN)
}

// markEnded makes it durable that the run goes on no more, before anything is
// folded: from here on every sender refuses.
func (v *Verify) markEnded(ctx context.Context, run *patch.RunRow, status string) error {
	if status == missed && run.ExecutionARN != "" {
		var err error
		if status, _, err = v.Runs.Ended(ctx, run.ExecutionARN); err != nil {
			return err
		}
	}
	was := run.Version
	run.Version++
	run.Status, run.StatusReason = endedStatus(status)
	entry, head := run.Audit.Append(patch.RunChain(run.Run), "close", "RunClosing", run.StatusReason, v.Now())
	run.Audit = head
	return v.Table.Write(ctx,
		Write{How: Audit, Key: entry.Key(), Item: entry},
		Write{How: Replace, Key: patch.RunKey(run.Run), Item: *run, Was: was})
}

// endedStatus says how a run ended whose execution ended so without a report of its own.
func endedStatus(execution string) (patch.RunStatus, string) {
	switch execution {
	case "ABORTED":
		return patch.RunAborted, "the execution was stopped by hand"
	case "TIMED_OUT":
		return patch.RunFailed, "the execution took longer than an execution may"
	case "", missed:
		return patch.RunFailed, "the execution ended, and nobody knows how: Step Functions keeps executions for 90 days"
	}
	return patch.RunFailed, "the execution ended " + execution
}

// abandon cancels what is at work and releases the leases of every target that
// was not verified.
func (v *Verify) abandon(ctx context.Context, run patch.RunID) error {
	rows, err := loadTargets(ctx, v.Table, run, "")
	if err != nil {
		return err
	}
	targets := make([]patch.Target, 0, len(rows))
	heads := map[string]patch.ChainHead{} // of the account-regions' chains, which a run's waves go on with in turn
	for t, row := range rows {
		if chain := patch.TargetChain(t); row.Audit.Seq > heads[chain].Seq {
			heads[chain] = row.Audit
		}
		if abandoned(row) {
			targets = append(targets, t)
		}
	}
	slices.SortFunc(targets, func(a, b patch.Target) int {
		return slices.Compare([]string{a.Wave, string(a.Account), string(a.Region)}, []string{b.Wave, string(b.Account), string(b.Region)})
	})
	var failed error // one account that does not answer keeps nobody else's commands
	for _, t := range targets {
		failed = errors.Join(failed, v.abandonTarget(ctx, t, heads))
	}
	return failed
}

// abandoned tells whether a target was begun and not brought to its end.
func abandoned(row patch.TargetRow) bool {
	return row.Status == patch.TargetPatching || row.Fence != 0 && row.Status != patch.TargetVerified
}

// abandonTarget does it for one target: the audit entry first, then the cancels.
func (v *Verify) abandonTarget(ctx context.Context, t patch.Target, heads map[string]patch.ChainHead) error {
	st, err := loadState(ctx, v.Table, TargetInput{Target: t})
	if err != nil {
		return err
	}
	chain := patch.TargetChain(t)
	if heads[chain].Seq > st.row.Audit.Seq {
		st.row.Audit = heads[chain]
	}
	defer func() { heads[chain] = st.row.Audit }()
	st.row.Closed = orElse(st.row.Closed, patch.ReasonAbort)
	if len(st.row.Open) == 0 && st.row.Pending == 0 {
		var writes []Write
		if release, ok := st.releaseLease(); ok {
			writes = append(writes, release)
		}
		return st.save(ctx, v.Table, writes...)
	}
	if err := v.letGo(ctx, st); err != nil {
		return err
	}
	spoke, err := v.Spokes.Spoke(ctx, t)
	if err != nil {
		return accept(err, patch.ErrAccessDenied)
	}
	left, err := st.atWork(ctx, v.Table, spoke, v.Now())
	if err != nil {
		return accept(err, patch.ErrAccessDenied)
	}
	return v.takeBack(ctx, st, spoke, left)
}

// maxCancels bounds the commands that one audit entry names. What is left of more is stopped by Run Command itself,
// which delivers none of our commands after a quarter of an hour.
const maxCancels = 200

// takeBack cancels what no agent has taken. What runs is left to end: a cancel would kill its package manager, and
// whoever takes the lease over waits for it.
func (v *Verify) takeBack(ctx context.Context, st *state, spoke Spoke, left []working) error {
	var cancels []patch.Cancel
	for _, w := range left {
		why := st.row.Closed
		if w.late {
			why = patch.ReasonExpired
		}
		if w.cancelled() {
			cancels = append(cancels, patch.Cancel{InstanceID: w.instance, Command: w.command, Why: why})
		}
	}
	if len(cancels) == 0 {
		return nil
	}
	for _, group := range byReason(cancels) {
		if err := v.tellAndCancel(ctx, st, spoke, group); err != nil {
			return err
		}
	}
	return nil
}

// tellAndCancel writes down what is cancelled, and cancels it.
func (v *Verify) tellAndCancel(ctx context.Context, st *state, spoke Spoke, cancels []patch.Cancel) error {
	for some := range slices.Chunk(cancels, maxCancels) {
		st.row.Looks++
		look := patch.Look{At: v.Now().UTC(), Cancels: some}
		err := st.save(ctx, v.Table,
			st.audit("close", "CancelCommand", cancelText(some), v.Now()),
			Write{How: Create, Key: patch.LookKey(st.target, st.row.Looks), Item: look})
		if err != nil {
			return err
		}
		cancelAll(ctx, spoke, st.target, some)
	}
	return nil
}

// letGo closes the target and lets its lease run out at once. The lease is not
// free: whoever takes it over first follows the commands of the target that it names,
// and those that may still appear.
func (v *Verify) letGo(ctx context.Context, st *state) error {
	if !st.holdsLease() {
		return st.save(ctx, v.Table)
	}
	now := v.Now()
	expire := st.renewLease(now)
	st.lease.Expires = now.UTC()
	expire.Item = st.lease
	return st.save(ctx, v.Table, expire)
}

// accept drops an error of that kind.
func accept(err error, kind patch.Kind) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}
