package target

import (
	"context"
	"fmt"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// checkApproval refuses to send what is not in the plan, and unless the wave's
// question was answered with an approval of this very plan. What must be asked
// stands in the plan itself. A verified answer is final, so it is looked at once a process.
func (s *Send) checkApproval(ctx context.Context, st *state) error {
	wave, err := s.plan.bind(ctx, s.Objects, st)
	if err != nil {
		return err
	}
	if err := s.inOrder(ctx, st); err != nil {
		return err
	}
	if wave.AskScope == "none" {
		return nil
	}
	id := decision.ApprovalID(st.target.Run, wave.AskScope)
	if s.approved[id+st.run.Digest] {
		return nil
	}
	var rec decision.Approval
	row := &store.Row{Key: store.ApprovalKey(id), Into: &rec}
	if err := s.Table.Load(ctx, row); err != nil {
		return err
	}
	if !row.Found || wave.AskScope == "" {
		return fmt.Errorf("%w: wave %s was never approved", patch.ErrTampered, st.target.Wave)
	}
	if !rec.OnTerms(s.plan.last) {
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
