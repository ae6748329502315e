package task

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"ec2patch/internal/patch"
)

// closeRun ends a run whose execution ended without its report: stopped by
// hand, timed out, or failed where nobody could catch it. Nothing more is sent,
// what is still at work is cancelled, leases are released, and the report is
// written. It is harmless for a run that closed itself.
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
	if row.Found && run.Status == patch.RunRunning {
		if err := v.markEnded(ctx, &run, in.Status); err != nil {
			return nil, err
		}
	}
	return v.report(ctx, in)
}

// markEnded makes it durable that the run goes on no more, before anything is
// folded: from here on every sender refuses.
func (v *Verify) markEnded(ctx context.Context, run *patch.RunRow, status string) error {
	was := run.Version
	run.Version++
	run.Status, run.StatusReason = patch.RunFailed, "the execution ended "+status
	if status == "ABORTED" {
		run.Status, run.StatusReason = patch.RunAborted, "the execution was stopped by hand"
	}
	entry, head := run.Audit.Append(patch.RunChain(run.Run), "close", "RunClosing", run.StatusReason, v.Now())
	run.Audit = head
	return v.Table.Write(ctx,
		Write{How: Audit, Key: entry.Key(), Item: entry},
		Write{How: Replace, Key: patch.RunKey(run.Run), Item: *run, Was: was})
}

// abandon cancels what is at work and releases the leases of every target that
// was not verified.
func (v *Verify) abandon(ctx context.Context, run patch.RunID) error {
	rows, err := loadTargets(ctx, v.Table, run, "")
	if err != nil {
		return err
	}
	targets := make([]patch.Target, 0, len(rows))
	for t, row := range rows {
		if abandoned(row) {
			targets = append(targets, t)
		}
	}
	slices.SortFunc(targets, func(a, b patch.Target) int {
		return slices.Compare([]string{a.Wave, string(a.Account), string(a.Region)}, []string{b.Wave, string(b.Account), string(b.Region)})
	})
	for _, t := range targets {
		if err := v.abandonTarget(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// abandoned tells whether a target was begun and not brought to its end.
func abandoned(row patch.TargetRow) bool {
	return row.Status == patch.TargetPatching || row.Fence != 0 && row.Status != patch.TargetVerified
}

// abandonTarget does it for one target: the audit entry first, then the cancels.
func (v *Verify) abandonTarget(ctx context.Context, t patch.Target) error {
	st, err := loadState(ctx, v.Table, TargetInput{Target: t, AccountLimit: math.MaxInt})
	if err != nil {
		return err
	}
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
	for _, c := range st.row.Open {
		if err := spoke.Cancel(ctx, c.ID, nil); err != nil {
			return err
		}
	}
	return nil
}

// maxCancels bounds the commands that one transaction tells of.
const maxCancels = 40

// letGo writes down what is cancelled, and lets the lease run out at once. It is
// not free: whoever takes it over first follows the commands that it lists.
func (v *Verify) letGo(ctx context.Context, st *state) error {
	now := v.Now()
	if st.holdsLease() {
		expire := st.renewLease(now)
		st.lease.Expires = now.UTC()
		expire.Item = st.lease
		if err := st.save(ctx, v.Table, expire); err != nil {
			return err
		}
	}
	for open := st.row.Open; len(open) > 0; {
		n := min(len(open), maxCancels)
		var entries []Write
		for _, c := range open[:n] {
			entries = append(entries, st.audit("close", "CancelCommand", fmt.Sprintf("%s, the execution has ended", c.ID), now))
		}
		if err := st.save(ctx, v.Table, entries...); err != nil {
			return err
		}
		open = open[n:]
	}
	return nil
}

// accept drops an error of that kind.
func accept(err error, kind patch.Kind) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}
