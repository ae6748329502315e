package inventory_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
)

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
			s := site.Discovered(t, test.guards)
			_, err := s.Freeze()
			if test.why == "" {
				require.NoError(t, err)
				assert.Len(t, s.Run().Digest, 64)
				return
			}
			assert.Equal(t, patch.ErrRefused, patch.KindOf(err))
			assert.ErrorContains(t, err, test.why)
			assert.Equal(t, patch.RunRefused, s.Run().Status)
			assert.Contains(t, s.Run().StatusReason, test.why)
			assert.Empty(t, s.Run().Digest)
			assert.NotContains(t, s.Bucket.Objects, store.IndexObject(site.Run), "nothing is frozen")
		})
	}
}

func TestFreeze_unreachable(t *testing.T) {
	s := site.Discovered(t, `,"onUnreachable":"stop"`)
	delete(s.Table.Rows, store.TargetKey(s.Target)) // never discovered
	_, err := s.Freeze()
	assert.Equal(t, patch.ErrRefused, patch.KindOf(err))
	assert.ErrorContains(t, err, "onUnreachable")

	s = site.Discovered(t, ``)
	delete(s.Table.Rows, store.TargetKey(s.Target))
	_, err = s.Freeze()
	require.NoError(t, err)
	var x plan.Index
	require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.IndexObject(site.Run)], &x))
	assert.Equal(t, []plan.UnreachableAccount{{Account: "111111111111", Region: "us-east-1",
		Reason: "discovery failed"}}, x.Unreachable)
}

// A second freeze, and one after a crash at any write, seals the same plan.
func TestFreeze_again(t *testing.T) {
	plain := site.Discovered(t, "")
	want, err := plain.Freeze()
	require.NoError(t, err)
	digest := plain.Run().Digest
	before := plain.Table.Snapshot()
	again, err := plain.Freeze()
	require.NoError(t, err)
	assert.Equal(t, want, again)
	assert.Equal(t, before, plain.Table.Snapshot())

	for at := range 3 {
		s := site.Discovered(t, "")
		n := 0
		s.Table.Lose = func([]store.Write) error {
			if n++; n == at+1 {
				return patch.ErrUnavailable
			}
			return nil
		}
		if _, err := s.Freeze(); err != nil {
			got, err := s.Freeze()
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		assert.Equal(t, digest, s.Run().Digest)
		assert.Len(t, s.Table.About(t, store.RunSubject(site.Run)), 1, "frozen once")
	}
}
