package target

import (
	"context"
	"fmt"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// checkApproval refuses to send what is not in the plan that was sealed, and unless the wave's question was answered
// with
// an approval of this very plan. What must be asked follows from the terms of the seal. A verified answer is final, so
// it
// is looked at once a process.
func (s *Send) checkApproval(ctx context.Context, st *state, sealed bool) error {
	wave, err := s.plan.bind(ctx, s.Objects, st)
	if err != nil {
		return err
	}
	if err := s.inOrder(ctx, st); err != nil {
		return err
	}
	seal, scope := decision.SealOf(s.plan.last, s.HubAccount), wave.AskScope
	if sealed {
		if err := s.checkSeal(ctx, st, seal); err != nil {
			return err
		}
		scope = s.plan.last.Asks(seal.Terms.Approval, wave)
	}
	if scope == patch.NoScope {
		return nil
	}
	id := decision.ApprovalID(st.target.Run, scope)
	if s.approved[id+st.run.Digest] {
		return nil
	}
	var rec decision.Approval
	row := &store.Row{Key: store.ApprovalKey(id), Into: &rec}
	if err := s.Table.Load(ctx, row); err != nil {
		return err
	}
	if !row.Found || scope == "" {
		return fmt.Errorf("%w: wave %s was never approved", patch.ErrTampered, st.target.Wave)
	}
	if !rec.OnTerms(seal) {
		return fmt.Errorf("%w: approval %s was not asked on the terms of the plan", patch.ErrTampered, rec.ID)
	}
	status, err := decision.Verify(ctx, s.Table, s.Decisions, s.People, rec, st.run.Digest)
	if err != nil {
		return err
	}
	if status != decision.ApprovalApproved {
		return fmt.Errorf("%w: wave %s is %s, not approved", patch.ErrTampered, st.target.Wave, status)
	}
	if s.approved == nil {
		s.approved = map[string]bool{}
	}
	s.approved[id+st.run.Digest] = true
	return nil
}

// checkSeal compares the plan with its seal, and its terms with what this function's own hub demands.
func (s *Send) checkSeal(ctx context.Context, st *state, is decision.Seal) error {
	if s.seals == nil {
		s.seals = &decision.Seals{Table: s.Table, Keys: s.Seals}
	}
	seal, err := s.seals.Bound(ctx, st.target.Run, st.run.Digest)
	if err != nil {
		return err
	}
	if !seal.Says(is) {
		return fmt.Errorf("%w: the plan of run %s has other terms than its seal", patch.ErrTampered, st.target.Run)
	}
	if why := s.plan.last.Below(s.Policy); why != "" {
		return fmt.Errorf("%w: the plan of run %s is weaker than the hub demands: %s", patch.ErrTampered, st.target.Run,
			why)
	}
	return nil
}

// leaf reads the target's plan. It must do what its wave says, to as many instances: that is what people have seen.
func (s *Send) leaf(ctx context.Context, st *state) (plan.Leaf, error) {
	leaf, err := plan.LoadLeaf(ctx, s.Objects, st.target, st.row.LeafDigest)
	if err != nil {
		return leaf, err
	}
	wave, _ := s.plan.last.Wave(st.target.Wave)
	if leaf.Operation != wave.Operation || leaf.RebootOption != wave.RebootOption ||
		len(leaf.Instances) != wave.PlannedAt(st.target) {
		return leaf, fmt.Errorf("%w: %s/%s would be sent more than wave %s says", patch.ErrTampered, st.target.Account,
			st.target.Region, st.target.Wave)
	}
	return leaf, nil
}
