package approval_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// whole makes the stand's plan one that says of each wave what its terms say.
func whole(_ *decision.Approval, _ *store.RunRow, x *plan.Index) {
	for i, w := range x.Waves {
		x.Waves[i].AskScope = patch.ScopeOfWave(w.Name)
	}
}

// toSeal is a run whose plan was frozen and not sealed yet.
func toSeal(t *testing.T, change ...func(*decision.Approval, *store.RunRow, *plan.Index)) *asker {
	t.Helper()
	a := newAsker(t, append([]func(*decision.Approval, *store.RunRow, *plan.Index){whole}, change...)...)
	delete(a.table.Rows, store.SealKey(fake.StandRun))
	a.Requests.Policy = terms().Hub
	return a
}

func (a *asker) sealPlan(t *testing.T) error {
	t.Helper()
	_, err := a.Requests.Handle(t.Context(), approval.RequestInput{Task: "seal", Run: fake.StandRun})
	return err
}

func (a *asker) sealed(t *testing.T) (seal decision.Seal, found bool) {
	t.Helper()
	row := &store.Row{Key: store.SealKey(fake.StandRun), Into: &seal}
	require.NoError(t, a.table.Load(t.Context(), row))
	return seal, row.Found
}

func TestRequests_sealPlan(t *testing.T) {
	a := toSeal(t)
	require.NoError(t, a.sealPlan(t))
	seal, found := a.sealed(t)
	require.True(t, found)
	assert.True(t, seal.Says(decision.SealOf(&a.index, fake.StandHub)))
	assert.Equal(t, runinput.ApprovePerWave, seal.Terms.Approval)
	seals := decision.Seals{Table: a.table, Keys: &fake.Key{Secret: "seal key"}}
	_, err := seals.Bound(t.Context(), fake.StandRun, a.index.Digest)
	require.NoError(t, err)
	require.NoError(t, a.ask(t, "token"), "and people are asked on its terms")

	before := a.table.Snapshot()
	require.NoError(t, a.sealPlan(t), "a second attempt finds the first one's")
	assert.Equal(t, before, a.table.Snapshot())
}

// What is not whole, or asks less than the hub demands, is not sealed.
func TestRequests_sealPlan_refuses(t *testing.T) {
	tests := map[string]func(*decision.Approval, *store.RunRow, *plan.Index){
		"a wave asks nobody": func(_ *decision.Approval, _ *store.RunRow,
			x *plan.Index) {
			x.Waves[1].AskScope = "none"
		},
		"its terms are weaker": func(_ *decision.Approval, _ *store.RunRow, x *plan.Index) { none(x) },
		"it has another hub's terms": func(_ *decision.Approval, _ *store.RunRow,
			x *plan.Index) {
			x.Terms.Hub.MinimumDistinct = 0
		},
		"a wave hides instances": func(_ *decision.Approval, _ *store.RunRow,
			x *plan.Index) {
			x.Waves[1].Targets[0].Planned = 301
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			a := toSeal(t, change)
			assert.ErrorIs(t, a.sealPlan(t), patch.ErrTampered)
			_, found := a.sealed(t)
			assert.False(t, found)
			assert.ErrorIs(t, a.ask(t, "token"), patch.ErrTampered, "and nobody is asked about it")
			assert.Empty(t, a.mails.Sent)
		})
	}
	t.Run("more instances than the hub allows", func(t *testing.T) {
		a := toSeal(t, func(_ *decision.Approval, _ *store.RunRow, x *plan.Index) { x.Terms.Hub.MaxInstances = 400 })
		a.Requests.Policy.MaxInstances = 400
		assert.ErrorContains(t, a.sealPlan(t), "the plan has 412 instances, MaxInstances of the hub allows 400")
	})
	t.Run("the run has another digest", func(t *testing.T) {
		a := toSeal(t)
		var run store.RunRow
		require.NoError(t, a.table.Load(t.Context(), &store.Row{Key: store.RunKey(fake.StandRun), Into: &run}))
		run.Digest = patch.Digest([]byte("other"))
		a.table.Put(store.RunKey(fake.StandRun), run)
		assert.ErrorIs(t, a.sealPlan(t), patch.ErrTampered)
	})
}

func none(x *plan.Index) {
	x.Terms.Approval = runinput.ApproveNone
	for i := range x.Waves {
		x.Waves[i].AskScope = "none"
	}
}

// A seal is written once: another plan of the same run gets none, nor does one whose seal somebody put.
func TestRequests_sealPlan_once(t *testing.T) {
	a := toSeal(t)
	require.NoError(t, a.sealPlan(t))
	first, _ := a.sealed(t)
	b := toSeal(t, func(_ *decision.Approval, _ *store.RunRow, x *plan.Index) { x.FailLimit = 400 })
	b.table.Put(store.SealKey(fake.StandRun), first)
	assert.ErrorIs(t, b.sealPlan(t), patch.ErrTampered)
	kept, _ := b.sealed(t)
	assert.Equal(t, first.Digest, kept.Digest)

	first.MAC[0]++
	c := toSeal(t)
	c.table.Put(store.SealKey(fake.StandRun), first)
	assert.ErrorIs(t, c.sealPlan(t), patch.ErrTampered)
}
