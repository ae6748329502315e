package site

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/inventory"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// Discovered is a run whose one target of ten was discovered, and nothing frozen yet.
func Discovered(t *testing.T, more string) *Site {
	t.Helper()
	s := New(t, 10)
	in, err := runinput.ParseInput([]byte(`{"waves":[{"name":"w","accounts":["111111111111"],"regions":["us-east-1"]}],"approval":"none"`+more+`}`), runinput.HubDefaults())
	require.NoError(t, err)
	data, err := patch.Canonical(in)
	require.NoError(t, err)
	s.Bucket.Objects[store.InputObject(Run)] = data
	delete(s.Bucket.Objects, store.IndexObject(Run))
	s.Table.Put(store.SeriesKey(in), store.Series{Run: "last-month", Planned: 5})
	Edit(s, store.RunKey(Run), func(r *store.RunRow) { r.Digest, r.Planned = "", 0 })
	Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Running = 16 })
	return s
}

func (s *Site) Freeze() (inventory.FreezeOutput, error) {
	v := &inventory.Inventory{Table: s.Table, Objects: s.Bucket, Spokes: s, Alarms: s, Now: s.Clock, Bucket: "data",
		RegionConcurrency: 4, Auditor: s.Auditor, Policy: s.Policy}
	out, err := v.Handle(s.T.Context(), inventory.InventoryInput{Task: patch.TaskFreeze, Run: Run})
	frozen, _ := out.(inventory.FreezeOutput)
	return frozen, err
}

func (s *Site) Run() store.RunRow {
	var run store.RunRow
	s.Read(store.RunKey(Run), &run)
	return run
}
