package compose

import (
	"context"
	"errors"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/store"
)

// foldApprovals tells what people were asked, and everything that they said.
func (f *folder) foldApprovals(ctx context.Context, r *report.Report) error {
	for _, a := range f.asked {
		var all []decision.Decision
		err := f.Table.Scan(ctx, store.ApprovalKey(a.ID).PK, "DECISION#", func(_ string, decode func(any) error) error {
			var d decision.Decision
			err := decode(&d)
			all = append(all, d)
			return err
		})
		if err != nil {
			return err
		}
		decision.SortDecisions(all) // they stand by identity
		ar := report.ApprovalReport{
			Scope: a.Scope, Status: a.Status, Asked: a.Asked.UTC(), PlanCount: a.Instances, Needed: max(a.RequireDistinct, 1),
			Decisions: []report.DecisionReport{},
		}
		if !a.Decided.IsZero() {
			ar.Decided = a.Decided.UTC()
		}
		if err := f.hear(ctx, a, all, &ar); err != nil {
			return err
		}
		r.Approvals = append(r.Approvals, ar)
	}
	return nil
}

// hear goes through the decisions as they were counted, and finds the one that
// settled the question.
func (f *folder) hear(ctx context.Context, a decision.Approval, all []decision.Decision,
	ar *report.ApprovalReport) error {
	settled, counted := false, []decision.Decision(nil)
	for _, d := range all {
		ignored, err := f.ignored(ctx, a, d)
		if err != nil {
			return err
		}
		if ignored == "" && d.Decision == decision.Approve {
			ignored = a.Uncounted(f.People, counted, d.Identity)
		}
		if ignored == "" && settled {
			ignored = "the request was already decided"
		}
		ar.Decisions = append(ar.Decisions, report.DecisionReport{
			Decision: d.Decision, Identity: d.Identity, Name: d.Name, Reason: d.Reason, At: d.At.UTC(), Counted: ignored == "",
			Ignored: ignored,
		})
		if ignored != "" {
			continue
		}
		counted = append(counted, d)
		if d.Decision == decision.Reject || a.Approvals(f.People, counted) >= ar.Needed {
			settled = true
			ar.Identity, ar.Name, ar.Reason = d.Identity, d.Name, d.Reason
		}
	}
	return nil
}

// ignored says why a decision does not count, or nothing.
func (f *folder) ignored(ctx context.Context, a decision.Approval, d decision.Decision) (string, error) {
	switch {
	case d.Decision != decision.Approve && d.Decision != decision.Reject:
		return "it is neither of the two answers", nil
	case !d.At.Before(a.Expires):
		return "it is later than the deadline", nil
	}
	signed, err := decision.Sealed(ctx, f.Decisions, a, d)
	switch {
	case errors.Is(err, patch.ErrThrottled), errors.Is(err, patch.ErrUnavailable):
		return "", err
	case err != nil:
		return "its signature could not be checked", nil // a report is written whatever became of the key
	case !signed:
		return "it is not signed by this hub", nil
	}
	return "", nil
}

// terms says when people are asked and who wanted it so, if the plan's seal vouches for it. A plan of an earlier
// release has neither.
func (f *folder) terms(ctx context.Context) ([]plan.Line, error) {
	lines := f.index.Lines()
	if lines == nil {
		return nil, nil
	}
	seals := decision.Seals{Table: f.Table, Keys: f.Seals}
	seal, found, err := seals.Of(ctx, f.in.Run)
	switch {
	case errors.Is(err, patch.ErrThrottled), errors.Is(err, patch.ErrUnavailable):
		return nil, err
	case err == nil && !found:
		return []plan.Line{{Name: "Approval", Text: "not asked, the plan was never sealed"}}, nil
	case err != nil || !seal.Says(decision.SealOf(&f.index, seal.HubAccount)):
		return []plan.Line{{Name: "Approval", Text: "not known, the plan does not have this hub's seal"}}, nil
	}
	return lines, nil
}
