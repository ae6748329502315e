package task_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// matchingSpoke selects every machine that it has.
type matchingSpoke struct{ *spoke }

func (s matchingSpoke) Matching(context.Context, patch.Filters) ([]task.Machine, error) {
	var all []task.Machine
	for _, id := range task.SortedKeys(s.machines) {
		all = append(all, s.machines[id])
	}
	return all, nil
}

// undiscovered is a run of ten instances that nobody has looked at, in so many
// waves over one account and region.
func undiscovered(t *testing.T, waves int) *site {
	t.Helper()
	s := discovered(t, "")
	var all []string
	for n := range waves {
		all = append(all, fmt.Sprintf(`{"name":"w%d","accounts":["111111111111"],"regions":["us-east-1"]}`, n))
	}
	in, err := patch.ParseInput([]byte(`{"waves":[`+strings.Join(all, ",")+`],"approval":"none"}`), patch.HubDefaults())
	require.NoError(t, err)
	data, err := patch.Canonical(in)
	require.NoError(t, err)
	s.bucket.localObjects = localObjects{patch.InputObject(siteRun): data}
	delete(s.table.rows, patch.TargetKey(s.target))
	s.target.Wave = "w0"
	return s
}

func (s *site) discover() (task.DiscoverOutput, error) {
	v := &task.Inventory{Table: s.table, Objects: s.bucket, Spokes: spokesFunc(func() task.Spoke { return matchingSpoke{s.spoke} }), Alarms: s, Now: s.clock, Bucket: "data", RegionConcurrency: 4}
	out, err := v.Handle(s.t.Context(), task.InventoryInput{Task: "discover", Run: siteRun, Account: s.target.Account, Region: s.target.Region})
	found, _ := out.(task.DiscoverOutput)
	return found, err
}

type spokesFunc func() task.Spoke

func (f spokesFunc) Spoke(context.Context, patch.Target) (task.Spoke, error) { return f(), nil }

// objects is everything that is stored, as text.
func (s *site) objects() string {
	var b strings.Builder
	for _, key := range task.SortedKeys(s.bucket.localObjects) {
		fmt.Fprintf(&b, "%s %s\n", key, s.bucket.localObjects[key])
	}
	return b.String()
}

// A discovery that comes again changes nothing, whatever the account shows by
// then: after one that died on its way, beside another, or when the plan is frozen.
func TestDiscover_again(t *testing.T) {
	s := undiscovered(t, 1)
	out, err := s.discover()
	require.NoError(t, err)
	assert.Equal(t, task.DiscoverOutput{Planned: 10, Status: "found"}, out)
	assert.Equal(t, 10, s.row().Planned)
	rows, objects := s.table.snapshot(), s.objects()

	delete(s.spoke.machines, instance(3))
	again := func(want task.DiscoverOutput) {
		t.Helper()
		out, err := s.discover()
		require.NoError(t, err)
		assert.Equal(t, want, out)
		assert.Equal(t, rows, s.table.snapshot())
		assert.Equal(t, objects, s.objects())
	}
	again(out)

	_, err = s.freeze()
	require.NoError(t, err)
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Status, r.Fence = patch.TargetPatching, 1 })
	rows, objects = s.table.snapshot(), s.objects()
	again(task.DiscoverOutput{Status: "over"})
}

// A discovery that was under way when the plan was frozen without it writes no rows.
func TestDiscover_frozenMeanwhile(t *testing.T) {
	s := undiscovered(t, 1)
	s.table.fail = func(writes []task.Write) error {
		s.table.fail = nil
		_, err := s.freeze()
		require.NoError(t, err)
		return nil
	}
	_, err := s.discover()
	require.ErrorIs(t, err, patch.ErrConflict)
	assert.NotContains(t, s.table.rows, patch.TargetKey(s.target))
	out, err := s.discover()
	require.NoError(t, err)
	assert.Equal(t, "over", out.Status)
	var x patch.Index
	decodeJSON(t, s.bucket.localObjects[patch.IndexObject(siteRun)], &x)
	assert.Equal(t, "discovery failed", x.Unreachable[0].Reason)
}

// A discovery that dies between its writes is finished by the next one, with
// what the first one saw.
func TestDiscover_dies(t *testing.T) {
	s := undiscovered(t, 100) // as many waves as there may be
	writes := 0
	s.table.fail = func([]task.Write) error {
		if writes++; writes == 2 {
			return patch.ErrUnavailable
		}
		return nil
	}
	_, err := s.discover()
	require.ErrorIs(t, err, patch.ErrUnavailable)
	delete(s.spoke.machines, instance(3))
	out, err := s.discover()
	require.NoError(t, err)
	assert.Equal(t, 10, out.Planned)
	for n := range 100 {
		s.target.Wave = fmt.Sprintf("w%d", n)
		assert.Equal(t, map[bool]int{true: 10}[n == 0], s.row().Planned)
		assert.Equal(t, patch.TargetPlanned, s.row().Status)
	}
	require.True(t, slices.ContainsFunc(s.bucket.stored, func(k string) bool { return strings.HasSuffix(k, "plan/w0/111111111111/us-east-1.json") }))
}

// A run that was closed is looked at no more.
func TestDiscover_closed(t *testing.T) {
	s := undiscovered(t, 1)
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Status = patch.RunAborted })
	before := s.objects()
	out, err := s.discover()
	require.NoError(t, err)
	assert.Equal(t, "over", out.Status)
	assert.Equal(t, before, s.objects())
}

func decodeJSON(t *testing.T, data []byte, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, into))
}
