package task_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// discovered is a run whose one target of ten was discovered, and nothing frozen yet.
func discovered(t *testing.T, more string) *site {
	t.Helper()
	s := newSite(t, 10)
	in, err := patch.ParseInput([]byte(`{"waves":[{"name":"w","accounts":["111111111111"],"regions":["us-east-1"]}],"approval":"none"`+more+`}`), patch.HubDefaults())
	require.NoError(t, err)
	data, err := patch.Canonical(in)
	require.NoError(t, err)
	s.bucket.localObjects[patch.InputObject(siteRun)] = data
	delete(s.bucket.localObjects, patch.IndexObject(siteRun))
	s.table.put(patch.SeriesKey(in), patch.Series{Run: "last-month", Planned: 5})
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest, r.Planned = "", 0 })
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Running = 16 })
	return s
}

func (s *site) freeze() (task.FreezeOutput, error) {
	v := &task.Inventory{Table: s.table, Objects: s.bucket, Spokes: s, Alarms: s, Now: s.clock, Bucket: "data", RegionConcurrency: 4}
	out, err := v.Handle(s.t.Context(), task.InventoryInput{Task: "freeze", Run: siteRun})
	frozen, _ := out.(task.FreezeOutput)
	return frozen, err
}

func (s *site) run() patch.RunRow {
	var run patch.RunRow
	s.load(patch.RunKey(siteRun), &run)
	return run
}

func TestFreeze_guards(t *testing.T) {
	tests := []struct {
		name, guards string
		why          string // empty: frozen
	}{
		{"no guard is tripped", `,"guards":{"maxInstances":10}`, ""},
		{"more than allowed", `,"guards":{"maxInstances":9}`, "guards.maxInstances allows 9"},
		{"grown as much as allowed", `,"guards":{"maxGrowth":"100%"}`, ""},
		{"grown more than allowed", `,"guards":{"maxGrowth":"50%"}`, "guards.maxGrowth 50% allows 7"},
		{"a share as large as allowed", `,"guards":{"maxShare":"63%"}`, ""},
		{"a share larger than allowed", `,"guards":{"maxShare":"50%"}`, "guards.maxShare 50% allows 8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := discovered(t, test.guards)
			_, err := s.freeze()
			if test.why == "" {
				require.NoError(t, err)
				assert.Len(t, s.run().Digest, 64)
				return
			}
			assert.Equal(t, patch.ErrRefused, patch.KindOf(err))
			assert.ErrorContains(t, err, test.why)
			assert.Equal(t, patch.RunRefused, s.run().Status)
			assert.Contains(t, s.run().StatusReason, test.why)
			assert.Empty(t, s.run().Digest)
			assert.NotContains(t, s.bucket.localObjects, patch.IndexObject(siteRun), "nothing is frozen")
		})
	}
}

func TestFreeze_unreachable(t *testing.T) {
	s := discovered(t, `,"onUnreachable":"stop"`)
	delete(s.table.rows, patch.TargetKey(s.target)) // never discovered
	_, err := s.freeze()
	assert.Equal(t, patch.ErrRefused, patch.KindOf(err))
	assert.ErrorContains(t, err, "onUnreachable")

	s = discovered(t, ``)
	delete(s.table.rows, patch.TargetKey(s.target))
	_, err = s.freeze()
	require.NoError(t, err)
	var x patch.Index
	require.NoError(t, json.Unmarshal(s.bucket.localObjects[patch.IndexObject(siteRun)], &x))
	assert.Equal(t, []patch.UnreachableAccount{{Account: "111111111111", Region: "us-east-1", Reason: "discovery failed"}}, x.Unreachable)
}

// A second freeze, and one after a crash at any write, seals the same plan.
func TestFreeze_again(t *testing.T) {
	plain := discovered(t, "")
	want, err := plain.freeze()
	require.NoError(t, err)
	digest := plain.run().Digest
	before := plain.table.snapshot()
	again, err := plain.freeze()
	require.NoError(t, err)
	assert.Equal(t, want, again)
	assert.Equal(t, before, plain.table.snapshot())

	for at := range 3 {
		s := discovered(t, "")
		n := 0
		s.table.lose = func([]task.Write) error {
			if n++; n == at+1 {
				return patch.ErrUnavailable
			}
			return nil
		}
		if _, err := s.freeze(); err != nil {
			got, err := s.freeze()
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		assert.Equal(t, digest, s.run().Digest)
		assert.Len(t, s.table.chain(t, patch.RunChain(siteRun)), 1, "frozen once")
	}
}
