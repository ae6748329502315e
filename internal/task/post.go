package task

import (
	"context"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/target"
	"ec2patch/internal/wave"
)

// PostVerify is PostEC2Verify: it verifies targets, rolls accounts up, judges waves, and reports and closes runs.
type PostVerify struct {
	Targets target.Verify
	Waves   wave.Judge
	Reports compose.Reports
}

// VerifyInput is the payload of all its steps.
type VerifyInput struct {
	Task    patch.Task      `json:"task"` // verify, rollup, judge, report, close, rebuild
	Run     patch.RunID     `json:"run"`
	Wave    string          `json:"wave"`
	Account patch.AccountID `json:"account"`
	Region  patch.Region    `json:"region"`
	Waited  int             `json:"waited"` // seconds that the state machine has waited here
	Cursor  int             `json:"cursor"` // the slice of the report to continue with
	Failure compose.Failure `json:"failure"`
	Status  string          `json:"status"` // of an execution that ended, for close
}

// Handle carries out one step.
func (p *PostVerify) Handle(ctx context.Context, in VerifyInput) (any, error) {
	if _, err := patch.ParseRunID(string(in.Run)); err != nil {
		return nil, fmt.Errorf("%w: %w", patch.ErrInvalidInput, err)
	}
	about := compose.ReportInput{
		Task: in.Task, Run: in.Run, Wave: in.Wave, Account: in.Account, Cursor: in.Cursor, Failure: in.Failure,
		Status: in.Status,
	}
	switch in.Task {
	case patch.TaskVerify:
		return p.Targets.Handle(ctx, target.TargetInput{
			Target: patch.Target{Run: in.Run, Wave: in.Wave, Account: in.Account, Region: in.Region},
			Waited: in.Waited,
		})
	case patch.TaskRollUp:
		return p.Reports.RollUp(ctx, about)
	case patch.TaskJudge:
		return p.Waves.Handle(ctx, in.Run, in.Wave, in.Waited)
	case patch.TaskReport, patch.TaskRebuild:
		return p.Reports.Write(ctx, about)
	case patch.TaskClose:
		return p.Reports.Close(ctx, about)
	}
	return nil,
		fmt.Errorf("%w: task %q is none of verify, rollup, judge, report, close, rebuild", patch.ErrInvalidInput, in.Task)
}
