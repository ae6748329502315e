package inventory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/inventory"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// A discovery that comes again changes nothing, whatever the account shows by
// then: after one that died on its way, beside another, or when the plan is frozen.
func TestDiscover_again(t *testing.T) {
	s := site.Undiscovered(t, 1)
	out, err := s.Discover()
	require.NoError(t, err)
	assert.Equal(t, inventory.DiscoverOutput{Planned: 10, Status: "found"}, out)
	assert.Equal(t, 10, s.Row().Planned)
	rows, objects := s.Table.Snapshot(), s.Objects()

	delete(s.SSM.Known, site.Instance(3))
	again := func(want inventory.DiscoverOutput) {
		t.Helper()
		out, err := s.Discover()
		require.NoError(t, err)
		assert.Equal(t, want, out)
		assert.Equal(t, rows, s.Table.Snapshot())
		assert.Equal(t, objects, s.Objects())
	}
	again(out)

	_, err = s.Freeze()
	require.NoError(t, err)
	site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Status, r.Fence = target.TargetPatching, 1 })
	rows, objects = s.Table.Snapshot(), s.Objects()
	again(inventory.DiscoverOutput{Status: "over"})
}

// A discovery that was under way when the plan was frozen without it writes no rows.
func TestDiscover_frozenMeanwhile(t *testing.T) {
	s := site.Undiscovered(t, 1)
	s.Table.Fail = func(writes []store.Write) error {
		s.Table.Fail = nil
		_, err := s.Freeze()
		require.NoError(t, err)
		return nil
	}
	_, err := s.Discover()
	require.ErrorIs(t, err, patch.ErrConflict)
	assert.NotContains(t, s.Table.Rows, store.TargetKey(s.Target))
	out, err := s.Discover()
	require.NoError(t, err)
	assert.Equal(t, "over", out.Status)
	var x plan.Index
	site.DecodeJSON(t, s.Bucket.Objects[store.IndexObject(site.Run)], &x)
	assert.Equal(t, "discovery failed", x.Unreachable[0].Reason)
}

// A discovery that dies between its writes is finished by the next one, with
// what the first one saw.
func TestDiscover_dies(t *testing.T) {
	s := site.Undiscovered(t, 100) // as many waves as there may be
	writes := 0
	s.Table.Fail = func([]store.Write) error {
		if writes++; writes == 2 {
			return patch.ErrUnavailable
		}
		return nil
	}
	_, err := s.Discover()
	require.ErrorIs(t, err, patch.ErrUnavailable)
	delete(s.SSM.Known, site.Instance(3))
	out, err := s.Discover()
	require.NoError(t, err)
	assert.Equal(t, 10, out.Planned)
	for n := range 100 {
		s.Target.Wave = fmt.Sprintf("w%d", n)
		assert.Equal(t, map[bool]int{true: 10}[n == 0], s.Row().Planned)
		assert.Equal(t, target.TargetPlanned, s.Row().Status)
	}
	require.True(t, slices.ContainsFunc(s.Bucket.Stored, func(k string) bool {
		return strings.HasSuffix(k,
			"plan/w0/111111111111/us-east-1.json")
	}))
}

// A run that was closed is looked at no more.
func TestDiscover_closed(t *testing.T) {
	s := site.Undiscovered(t, 1)
	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Status = patch.RunAborted })
	before := s.Objects()
	out, err := s.Discover()
	require.NoError(t, err)
	assert.Equal(t, "over", out.Status)
	assert.Equal(t, before, s.Objects())
}
