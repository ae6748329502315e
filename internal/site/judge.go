package site

import (
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/wave"
)

func (s *Site) Judge() wave.JudgeOutput {
	s.T.Helper()
	out, err := s.Verify("judge")
	require.NoError(s.T, err)
	return out.(wave.JudgeOutput)
}

func (s *Site) Wave() store.WaveRow {
	var w store.WaveRow
	s.Read(store.WaveKey(Run, "w"), &w)
	return w
}

// Doubt is the digest of what the judge asks about.
func (s *Site) Doubt() string {
	digest, err := s.Wave().Doubt.Digest()
	require.NoError(s.T, err)
	return digest
}

func Gate(seconds int, alarms ...string) func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow) {
	return func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		w.SoakSeconds, w.Alarms = seconds, alarms
	}
}

// ApproveDoubt lets the run go on after the wave.
func (s *Site) ApproveDoubt() {
	rec := decision.Approval{ID: decision.ApprovalID(Run, patch.ScopeOfSoak("w")), Run: Run, Scope: patch.ScopeOfSoak("w"),
		Digest: s.Index.Digest, HubAccount: fake.StandHub, RequireDistinct: 1, Status: decision.ApprovalApproved,
		Expires: s.Now.Add(time.Hour), Doubt: s.Doubt()}
	s.Table.Put(store.ApprovalKey(rec.ID), rec)
	d := decision.Decision{Approval: rec.ID, Decision: decision.Approve, Identity: "link", At: s.Now}
	mac, err := s.Key.MAC(s.T.Context(), rec.DecisionMessage(d))
	require.NoError(s.T, err)
	d.MAC = mac
	s.Table.Put(store.DecisionKey(rec.ID, "link"), d)
}

// AddWave puts a second wave into the plan.
func (s *Site) AddWave() {
	s.Index.Waves = append(s.Index.Waves,
		plan.IndexWave{Name: "next", Operation: patch.Install, Planned: 1,
			Targets: []plan.IndexTarget{{Account: "222222222222", Region: "us-east-1", Planned: 1}}})
	require.NoError(s.T, s.Index.Seal())
	data, err := patch.Canonical(s.Index)
	require.NoError(s.T, err)
	s.Bucket.Objects[store.IndexObject(Run)] = data
	s.Seal()
	Edit(s, store.RunKey(Run), func(r *store.RunRow) { r.Digest = s.Index.Digest })
}

// StoreIndex writes the index over the one that was frozen, and vouches for it.
func (s *Site) StoreIndex(seal bool) {
	s.T.Helper()
	if seal {
		require.NoError(s.T, s.Index.Seal())
	}
	data, err := patch.Canonical(s.Index)
	require.NoError(s.T, err)
	s.Bucket.Objects[store.IndexObject(Run)] = data
	if seal {
		s.Seal()
	}
}
