package site

import (
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// Found is the inventory that a discovery left.
func (s *Site) Found() plan.Inventory {
	s.T.Helper()
	var inv plan.Inventory
	DecodeJSON(s.T, s.Bucket.Objects[store.InventoryObject(Run, s.Target.Account, s.Target.Region)], &inv)
	return inv
}

// Planned is the leaf that a discovery left, and the order of its instances.
func (s *Site) Planned() (plan.Leaf, []patch.InstanceID) {
	s.T.Helper()
	var leaf plan.Leaf
	DecodeJSON(s.T, s.Bucket.Objects[store.LeafObject(s.Target)], &leaf)
	var ids []patch.InstanceID
	for _, p := range leaf.Instances {
		ids = append(ids, p.ID)
	}
	return leaf, ids
}

// Ran leaves an earlier run of the wave, with what it found and how long it took.
func (s *Site) Ran(run patch.RunID, op patch.Operation, instances ...outcome.InstanceReport) {
	s.T.Helper()
	at := patch.Target{Run: run, Wave: "w0", Account: s.Target.Account, Region: s.Target.Region}
	leaf := plan.Leaf{Target: at, Operation: op}
	for _, r := range instances {
		leaf.Instances = append(leaf.Instances, outcome.PlannedInstance{ID: r.InstanceID, Wave: "w0",
			Platform: patch.Linux})
	}
	data, err := patch.Canonical(leaf)
	require.NoError(s.T, err)
	s.Bucket.Objects[store.LeafObject(at)] = data
	result, err := patch.Canonical(target.TargetResult{Target: at, Instances: instances})
	require.NoError(s.T, err)
	hash := patch.Digest(result)
	s.Bucket.Objects[store.ResultObject(at, hash)] = result
	s.Table.Put(store.TargetKey(at), target.TargetRow{Status: target.TargetVerified, LeafDigest: patch.Digest(data),
		ResultHash: hash})
}
