package site

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/fake"
	"ec2patch/internal/inventory"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// MatchingSpoke selects every machine that it has.
type MatchingSpoke struct{ *Spoke }

func (s MatchingSpoke) Matching(context.Context, runinput.Filters) ([]port.Machine, error) {
	var all []port.Machine
	for _, id := range words.SortedKeys(s.Known) {
		all = append(all, s.Known[id])
	}
	return all, nil
}

// Undiscovered is a run of ten instances that nobody has looked at, in so many
// waves over one account and region.
func Undiscovered(t *testing.T, waves int) *Site {
	t.Helper()
	s := Discovered(t, "")
	var all []string
	for n := range waves {
		all = append(all, fmt.Sprintf(`{"name":"w%d","accounts":["111111111111"],"regions":["us-east-1"]}`, n))
	}
	in, err := runinput.ParseInput([]byte(`{"waves":[`+strings.Join(all, ",")+`],"approval":"none"}`), runinput.HubDefaults())
	require.NoError(t, err)
	data, err := patch.Canonical(in)
	require.NoError(t, err)
	s.Bucket.Objects = fake.Objects{store.InputObject(Run): data}
	delete(s.Table.Rows, store.TargetKey(s.Target))
	s.Target.Wave = "w0"
	return s
}

func (s *Site) Discover() (inventory.DiscoverOutput, error) {
	v := &inventory.Inventory{Table: s.Table, Objects: s.Bucket, Auditor: s.Auditor,
		Spokes: SpokesFunc(func() port.Spoke { return MatchingSpoke{s.SSM} }), Alarms: s, Now: s.Clock, Bucket: "data",
		RegionConcurrency: 4, Policy: s.Policy}
	out,
		err := v.Handle(s.T.Context(),
		inventory.InventoryInput{Task: patch.TaskDiscover, Run: Run, Account: s.Target.Account, Region: s.Target.Region})
	found, _ := out.(inventory.DiscoverOutput)
	return found, err
}

type SpokesFunc func() port.Spoke

func (f SpokesFunc) Spoke(context.Context, patch.Target) (port.Spoke, error) { return f(), nil }

// Objects is everything that is stored, as text.
func (s *Site) Objects() string {
	var b strings.Builder
	for _, key := range words.SortedKeys(s.Bucket.Objects) {
		fmt.Fprintf(&b, "%s %s\n", key, s.Bucket.Objects[key])
	}
	return b.String()
}
