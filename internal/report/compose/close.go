package compose

import (
	"context"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// missed is the status with which a new run closes those whose end nobody told.
const missed = "MISSED"

// Close ends a run whose execution ended without its report: stopped by
// hand, timed out, or failed where nobody could catch it. Nothing more is sent,
// what is still at work is cancelled, leases are released, and the report is
// written. It is harmless for a run that closed itself, and does nothing while
// the execution goes on: the event of an end may come before Step Functions shows
// that end (it is eventually consistent; Source: SFN API, DescribeExecution, read
// 2026-11), or after a redrive, which keeps the execution's name and will end again.
func (v *Reports) Close(ctx context.Context, in ReportInput) (ReportOutput, error) {
	var run store.RunRow
	row := &store.Row{Key: store.RunKey(in.Run), Into: &run}
	if err := v.Table.Load(ctx, row); err != nil {
		return ReportOutput{}, err
	}
	if row.Found && !run.Ended.IsZero() {
		if run.Digest != "" {
			// A run that reported itself may still have given up a target with commands at work.
			if err := v.Targets.Run(ctx, in.Run); err != nil {
				return ReportOutput{}, err
			}
		}
		return ReportOutput{Next: patch.NextDone, Status: run.Status}, nil
	}
	running, err := v.goesOn(ctx, run)
	switch {
	case err != nil:
		return ReportOutput{}, err
	case running && in.Status != missed:
		// Step Functions said that it ended, and may not show it yet. Lambda calls again in a minute, and in two more.
		return ReportOutput{},
			fmt.Errorf("%w: the execution of %s ended %s, and is still shown as running", patch.ErrUnavailable, in.Run,
				in.Status)
	case running:
		return ReportOutput{Next: patch.NextDone, Status: run.Status}, nil
	}
	if row.Found && run.Status == patch.RunRunning {
		if err := v.markEnded(ctx, &run, in.Status); err != nil {
			return ReportOutput{}, err
		}
	}
	return v.Write(ctx, in)
}

// goesOn tells whether the run's execution is running. A run that never wrote
// down its execution cannot have been redriven past its plan.
func (v *Reports) goesOn(ctx context.Context, run store.RunRow) (bool, error) {
	if run.ExecutionARN == "" {
		return false, nil
	}
	return v.Runs.Running(ctx, run.ExecutionARN)
}

// markEnded makes it durable that the run goes on no more, before anything is
// folded: from here on every sender refuses.
func (v *Reports) markEnded(ctx context.Context, run *store.RunRow, status string) error {
	if status == missed && run.ExecutionARN != "" {
		var err error
		if status, _, err = v.Runs.Ended(ctx, run.ExecutionARN); err != nil {
			return err
		}
	}
	was := run.Version
	run.Version++
	run.Status, run.StatusReason = endedStatus(status)
	entry,
		err := run.Heads.Append(store.Verify, store.RunSubject(run.Run), "close", "RunClosing", run.StatusReason, v.Now()).
		Signed(ctx, v.Auditor)
	if err != nil {
		return err
	}
	return v.Table.Write(ctx,
		entry.Write(),
		store.Write{How: store.Replace, Key: store.RunKey(run.Run), Item: *run, Was: was})
}

// endedStatus says how a run ended whose execution ended so without a report of its own.
func endedStatus(execution string) (patch.RunStatus, string) {
	switch execution {
	case "ABORTED":
		return patch.RunAborted, "the execution was stopped by hand"
	case "TIMED_OUT":
		return patch.RunFailed, "the execution took longer than an execution may"
	case "", missed:
		return patch.RunFailed, "the execution ended, and it is not known how: Step Functions keeps executions for 90 days"
	}
	return patch.RunFailed, "the execution ended " + execution
}
