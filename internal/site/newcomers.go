package site

import (
	"encoding/json"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

func (s *Site) Inventory(inv plan.Inventory) {
	s.T.Helper()
	data, err := patch.Canonical(inv)
	require.NoError(s.T, err)
	s.Bucket.Objects[store.InventoryObject(Run, s.Target.Account, s.Target.Region)] = data
}

// Came lists the newcomers of the stored result.
func (s *Site) Came() map[patch.InstanceID]string {
	s.T.Helper()
	var result target.TargetResult
	require.NoError(s.T, json.Unmarshal(s.Bucket.Objects[s.ResultKey()], &result))
	all := map[patch.InstanceID]string{}
	for _, n := range result.Newcomers {
		assert.Equal(s.T, outcome.Newcomer, n.Outcome)
		assert.Equal(s.T, "w", n.Wave)
		all[n.InstanceID] = n.Reason
	}
	assert.Len(s.T, all, len(result.Newcomers), "each once")
	return all
}
