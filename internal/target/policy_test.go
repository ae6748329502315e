package target_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// A plan that asks less than the hub demands is not sent, whoever froze it.
func TestSend_weakerThanTheHub(t *testing.T) {
	asked := func(scope patch.Scope) func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow) {
		return func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, r *store.RunRow) {
			w.AskScope, r.Approval = scope, map[patch.Scope]runinput.ApprovalMode{"none": runinput.ApproveNone,
				"run": runinput.ApproveOnce, "wave:w": runinput.ApprovePerWave}[scope]
		}
	}
	scan := func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		l.Operation, l.RebootOption = patch.Scan, patch.NoReboot
	}
	tests := []struct {
		name   string
		policy runinput.Policy
		scope  patch.Scope
		scans  bool
		why    string // empty: it is sent
	}{
		{"nothing is demanded", runinput.Policy{MinimumApproval: runinput.ApproveNone, MinimumDistinct: 1}, "none",
			false, ""},
		{"nobody was to be asked", runinput.Policy{MinimumApproval: runinput.ApproveOnce}, "none", false,
			"approval of wave w is none, MinimumApproval of the hub is once"},
		{"a scan asks nobody", runinput.Policy{MinimumApproval: runinput.ApprovePerWave, MinimumDistinct: 2}, "none",
			true, ""},
		{"once is enough", runinput.Policy{MinimumApproval: runinput.ApproveOnce, MinimumDistinct: 1}, "run", false,
			""},
		{"each wave is more than once", runinput.Policy{MinimumApproval: runinput.ApproveOnce}, "wave:w", false, ""},
		{"each wave was to be asked for", runinput.Policy{MinimumApproval: runinput.ApprovePerWave}, "run", false,
			"approval of wave w is once, MinimumApproval of the hub is perWave"},
		{"another wave's question", runinput.Policy{MinimumApproval: runinput.ApproveOnce}, "wave:x", false,
			"approval of wave w is none"},
		{"two had to approve", runinput.Policy{MinimumApproval: runinput.ApproveOnce, MinimumDistinct: 2}, "run", false,
			"1 must approve, MinimumDistinct of the hub is 2"},
		{"as many as may be", runinput.Policy{MaxInstances: 3}, "none", false, ""},
		{"more than may be", runinput.Policy{MaxInstances: 2}, "none", false,
			"the plan has 3 instances, MaxInstances of the hub allows 2"},
		{"more than may be, to be scanned", runinput.Policy{MaxInstances: 2}, "none", true,
			"MaxInstances of the hub allows 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changes := []func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow){asked(test.scope)}
			if test.scans {
				changes = append(changes, scan)
			}
			s := site.New(t, 3, changes...)
			s.Policy = test.policy
			approve(s, test.scope)
			_, err := s.Send()
			if test.why == "" {
				require.NoError(t, err)
				assert.Len(t, s.Sent, 3)
				return
			}
			assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
			assert.ErrorContains(t, err, test.why)
			assert.Empty(t, s.Sent)
		})
	}
}

// approve answers a question of the site's run.
func approve(s *site.Site, scope patch.Scope) {
	rec := decision.Approval{
		ID: decision.ApprovalID(site.Run, scope), Run: site.Run, Scope: scope, Digest: s.Index.Digest,
		HubAccount: fake.StandHub,
		Instances:  3, RequireDistinct: 1, Status: decision.ApprovalApproved, Expires: s.Now.Add(time.Hour),
	}
	d := decision.Decision{Approval: rec.ID, Decision: decision.Approve, Identity: "link", At: s.Now}
	var err error
	d.MAC, err = s.Key.MAC(s.T.Context(), rec.DecisionMessage(d))
	require.NoError(s.T, err)
	s.Table.Put(store.ApprovalKey(rec.ID), rec)
	s.Table.Put(store.DecisionKey(rec.ID, d.Identity), d)
}

// People see a wave as the index has it: a leaf that does more than its wave says is not sent, although it has its
// digest.
func TestSend_leafBeyondItsWave(t *testing.T) {
	tests := map[string]func(*plan.IndexWave){
		"it installs where the plan scans":      func(w *plan.IndexWave) { w.Operation = patch.Scan },
		"it restarts what the plan leaves up":   func(w *plan.IndexWave) { w.RebootOption = patch.NoReboot },
		"it has instances that nobody was told": func(w *plan.IndexWave) { w.Planned, w.Targets[0].Planned = 2, 2 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := site.New(t, 3)
			change(&s.Index.Waves[0])
			s.StoreIndex(true)
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Digest = s.Index.Digest })
			_, err := s.Send()
			assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
			assert.Empty(t, s.Sent)
		})
	}
}
