package target_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// Whoever can write plans and runs rewrites both so that nobody is asked: the index has its own digest, and the run has
// it, too.
func TestSend_planAndRunRewritten(t *testing.T) {
	s := site.New(t, 3, func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, r *store.RunRow) {
		w.AskScope, r.Approval = "run", runinput.ApproveOnce
	})
	s.Index.Waves[0].AskScope = "none"
	s.Index.Terms.Approval = runinput.ApproveNone
	require.NoError(t, s.Index.Seal())
	s.StoreIndex(false)
	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) {
		r.Digest, r.Approval = s.Index.Digest,
			runinput.ApproveNone
	})
	_, err := s.Send()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
	assert.Empty(t, s.Sent)
}

// Nothing is sent of a plan that has no seal of this hub, or another's, or that says other than its seal.
func TestSend_seal(t *testing.T) {
	edit := func(change func(*decision.Seal), sign bool) func(*site.Site) {
		return func(s *site.Site) {
			site.Edit(s, store.SealKey(site.Run), func(seal *decision.Seal) {
				change(seal)
				if sign {
					var err error
					seal.MAC, err = s.Sealer.MAC(s.T.Context(), seal.Message())
					require.NoError(s.T, err)
				}
			})
		}
	}
	tests := []struct {
		name string
		set  func(*site.Site)
		want patch.Kind // empty: it is sent
	}{
		{"sealed", func(*site.Site) {}, ""},
		{"no seal", func(s *site.Site) { delete(s.Table.Rows, store.SealKey(site.Run)) }, patch.ErrTampered},
		{"the key does not answer", func(s *site.Site) { s.Sealer.Err = patch.ErrUnavailable }, patch.ErrUnavailable},
		{"a seal that nobody signed", edit(func(seal *decision.Seal) { seal.MAC = nil }, false), patch.ErrTampered},
		{"a seal that was changed", edit(func(seal *decision.Seal) { seal.Terms.Approval = runinput.ApproveOnce },
			false), patch.ErrTampered},
		{"another run's seal", edit(func(seal *decision.Seal) { seal.Run = "run-2" }, true), patch.ErrTampered},
		{"a seal of another plan", edit(func(seal *decision.Seal) { seal.Digest = patch.Digest([]byte("other")) },
			true), patch.ErrTampered},
		{"a seal of other terms than the plan's", edit(func(seal *decision.Seal) { seal.Terms.Distinct = 2 }, true),
			patch.ErrTampered},
		{"a seal of fewer instances", edit(func(seal *decision.Seal) { seal.Instances = 2 }, true), patch.ErrTampered},
		{"a seal of another requester", edit(func(seal *decision.Seal) { seal.RequestedBy = "eve" }, true),
			patch.ErrTampered},
		{"the run's row has another digest", func(s *site.Site) {
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Digest = patch.Digest([]byte("other")) })
		}, patch.ErrTampered},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 3)
			test.set(s)
			_, err := s.Send()
			if test.want == "" {
				require.NoError(t, err)
				assert.Len(t, s.Sent, 3)
				return
			}
			assert.Equal(t, test.want, patch.KindOf(err))
			assert.Empty(t, s.Sent)
		})
	}
}

// A run that an earlier release began has no seal. Its own state machine starts its targets, and says nothing of seals:
// it is approved as it was, on the terms of its plan.
func TestSend_runOfAnEarlierRelease(t *testing.T) {
	s := site.New(t, 3)
	delete(s.Table.Rows, store.SealKey(site.Run))
	s.Unsealed, s.Policy.MinimumApproval = true, runinput.ApproveOnce
	s.SendAll()
	assert.Len(t, s.Sent, 3)

	s = site.New(t, 3, func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, r *store.RunRow) {
		w.AskScope, r.Approval = "run", runinput.ApproveOnce
	})
	delete(s.Table.Rows, store.SealKey(site.Run))
	s.Unsealed = true
	_, err := s.Send()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err), "nobody approved")
	assert.Empty(t, s.Sent)
}
