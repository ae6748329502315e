package inventory_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// put replaces an object by what the test says, as if it had been written before.
func put(s *site.Site, key string, v any) []byte {
	s.T.Helper()
	data, err := patch.Canonical(v)
	require.NoError(s.T, err)
	s.Bucket.Objects[key] = data
	return data
}

// Whoever was first with a leaf has decided: its digest and its numbers are those of the row.
func TestDiscover_firstLeafCounts(t *testing.T) {
	s := site.Undiscovered(t, 1)
	first := plan.Leaf{
		Target: s.Target, Document: patch.Document, Operation: patch.Install, RebootOption: patch.RebootIfNeeded,
		Concurrency: 1,
		Instances:   []outcome.PlannedInstance{{ID: site.Instance(3), Wave: "w0", Platform: patch.Windows}},
	}
	data := put(s, store.LeafObject(s.Target), first)
	_, err := s.Discover()
	require.NoError(t, err)
	assert.Equal(t, data, []byte(s.Bucket.Objects[store.LeafObject(s.Target)]))
	row := s.Row()
	assert.Equal(t, patch.Digest(data), row.LeafDigest)
	assert.Equal(t, 1, row.Planned)
	assert.Equal(t, 1, row.Concurrency)
	assert.Equal(t, map[patch.Platform]int{patch.Windows: 1}, row.Platforms)

	s = site.Undiscovered(t, 1)
	first.Account = "222222222222"
	put(s, store.LeafObject(s.Target), first)
	_, err = s.Discover()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err), "another target's")

	s = site.Undiscovered(t, 1)
	s.Bucket.Objects[store.LeafObject(s.Target)] = []byte("no plan")
	_, err = s.Discover()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
}

// A second freeze that would come to another plan keeps the first one.
func TestFreeze_firstIndexCounts(t *testing.T) {
	freeze := func(s *site.Site) plan.Index {
		_, err := s.Freeze()
		require.NoError(t, err)
		var x plan.Index
		require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.IndexObject(site.Run)], &x))
		return x
	}
	other := freeze(site.Discovered(t, ""))
	other.Previous = "another-run"
	require.NoError(t, other.Seal())
	s := site.Discovered(t, "")
	put(s, store.IndexObject(site.Run), other)
	assert.Equal(t, other.Digest, freeze(s).Digest)
	assert.Equal(t, other.Digest, s.Run().Digest)

	tests := map[string]struct {
		change func(*site.Site, *plan.Index)
		want   patch.Kind
	}{
		"it is larger than the input allows": {func(s *site.Site, x *plan.Index) { x.Waves[0].Planned = 12 },
			patch.ErrRefused},
		"it has another wave": {func(s *site.Site, x *plan.Index) { x.Waves[0].Name = "x" },
			patch.ErrTampered},
		"its digest is not its own": {func(s *site.Site, x *plan.Index) { x.Digest = other.Digest[1:] + "0" },
			patch.ErrTampered},
		"a wave has other accounts": {func(s *site.Site, x *plan.Index) {
			put(s, store.WaveAccountsObject(site.Run, "w"), []plan.AccountItem{{Account: "222222222222"}})
		}, patch.ErrTampered},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, x := site.Discovered(t, `,"guards":{"maxInstances":11}`), other
			x.Waves = append([]plan.IndexWave{}, other.Waves...)
			was := x.Digest
			test.change(s, &x)
			if x.Digest == was {
				require.NoError(t, x.Seal())
			}
			put(s, store.IndexObject(site.Run), x)
			_, err := s.Freeze()
			assert.Equal(t, test.want, patch.KindOf(err))
			assert.Empty(t, s.Run().Digest)
		})
	}
}

// A frozen plan is given out as it was frozen, whatever became of the targets' rows.
func TestFreeze_afterTheRowsChanged(t *testing.T) {
	s := site.Discovered(t, "")
	want, err := s.Freeze()
	require.NoError(t, err)
	site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Planned = 0 })
	again, err := s.Freeze()
	require.NoError(t, err)
	assert.Equal(t, want, again)
}

// A second Plan keeps the input of the first, whose accounts are being looked at.
func TestPlan_firstInputCounts(t *testing.T) {
	s := site.New(t, 1)
	input := `{"waves":[{"name":"w","accounts":["111111111111"],"regions":["us-east-1"]}]}`
	require.NoError(t, s.Plan("other", input))
	first := s.Bucket.Objects[store.InputObject("other")]
	require.NoError(t, s.Plan("other", `{"waves":[{"name":"w","accounts":["222222222222"],"regions":["us-east-1"]}]}`))
	assert.Equal(t, string(first), string(s.Bucket.Objects[store.InputObject("other")]))
	assert.Contains(t, string(s.Bucket.Objects[store.AccountsObject("other")]), "111111111111")
}
