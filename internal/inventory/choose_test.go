package inventory_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/doubt"
	"ec2patch/internal/inventory"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
)

// Only what Patch Manager is known not to patch is left out: a name that nobody
// knows, and a release that the documentation lists no more, may well be patched.
func TestDiscover_system(t *testing.T) {
	tests := []struct {
		system, release string
		why             string // empty: planned
	}{
		{"Amazon Linux", "2023", ""},
		{"Bottlerocket", "1.26.1", "Patch Manager does not patch Bottlerocket 1.26.1"},
		{"bottlerocket", "", "Patch Manager does not patch bottlerocket"},
		{"Fedora Linux", "41", "Patch Manager does not patch Fedora Linux 41"},
		{"openSUSE Leap", "15.6", "Patch Manager does not patch openSUSE Leap 15.6"},
		{"SLES", "12.5", ""},
		{"CentOS", "7.9", ""},
		{"Our Own Linux", "1", ""},
		{"", "", ""},
		{"B", "1", ""},
	}
	for _, test := range tests {
		t.Run(test.system, func(t *testing.T) {
			s := site.Undiscovered(t, 1)
			a := s.SSM.Managed[site.Instance(4)]
			a.System, a.Release = test.system, test.release
			s.SSM.Managed[site.Instance(4)] = a
			_, err := s.Discover()
			require.NoError(t, err)
			inv := s.Found()
			if test.why == "" {
				assert.Len(t, inv.Planned, 10)
				return
			}
			assert.Len(t, inv.Planned, 9)
			require.Len(t, inv.Excluded, 1)
			assert.Equal(t, plan.ExcludedInstance{
				InstanceID: site.Instance(4), Account: s.Target.Account, Region: s.Target.Region, Wave: "w0",
				Outcome: outcome.Excluded, Reason: test.why,
			}, inv.Excluded[0])
		})
	}
}

// A node outside of EC2 is listed where its tags would be matched, and an EC2
// instance that is registered as one is not called unmanaged.
func TestDiscover_hybrid(t *testing.T) {
	s := site.Undiscovered(t, 1)
	s.SSM.Nodes = map[patch.InstanceID]port.Agent{
		"mi-00000000000000001": {Name: "cellar", Address: "192.168.0.9"},
		"mi-00000000000000002": {Name: "other", Address: "192.168.0.10"},
		"mi-00000000000000003": {Name: "ec2amaz", Address: "10.0.0.7"},
	}
	s.SSM.TaggedIDs = map[string]map[patch.InstanceID]bool{"PatchGroup": {"mi-00000000000000001": true,
		site.Instance(1): true}}
	s.SSM.Known[site.Instance(6)] = port.Machine{ID: site.Instance(6), State: "running", Address: "10.0.0.7"}
	s.SSM.Known[site.Instance(7)] = port.Machine{ID: site.Instance(7), State: "running", Address: "10.0.0.8"}
	delete(s.SSM.Managed, site.Instance(6))
	delete(s.SSM.Managed, site.Instance(7))
	_, err := s.Discover()
	require.NoError(t, err)
	inv := s.Found()
	assert.Len(t, inv.Planned, 8)
	outcomes := map[patch.InstanceID]outcome.Outcome{}
	for _, e := range inv.Excluded {
		outcomes[e.InstanceID] = e.Outcome
		assert.NotEmpty(t, e.Reason)
	}
	assert.Equal(t, map[patch.InstanceID]outcome.Outcome{
		"mi-00000000000000001": outcome.Hybrid, site.Instance(6): outcome.Hybrid, site.Instance(7): outcome.Unmanaged,
	}, outcomes)
}

// Windows takes longer than Linux where nobody measured, and what was measured counts.
func TestDiscover_order(t *testing.T) {
	s := site.Undiscovered(t, 1)
	for i, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS, patch.Linux, patch.Windows} {
		a := s.SSM.Managed[site.Instance(i)]
		a.Platform = p
		s.SSM.Managed[site.Instance(i)] = a
	}
	input := []byte(`{"waves":[{"name":"w0","accounts":["111111111111"],"regions":["us-east-1"],"filters":{"platforms":["Linux","Windows","MacOS"]}}]}`)
	in, err := runinput.ParseInput(input, runinput.HubDefaults())
	require.NoError(t, err)
	in.Waves[0].SlowStart = true
	data, err := patch.Canonical(in)
	require.NoError(t, err)
	s.Bucket.Objects[store.InputObject(site.Run)] = data
	_, err = s.Discover()
	require.NoError(t, err)
	leaf, ids := s.Planned()
	assert.True(t, leaf.SlowStart)
	assert.Equal(t, []patch.InstanceID{site.Instance(1), site.Instance(4), site.Instance(0), site.Instance(2),
		site.Instance(3), site.Instance(5)}, ids[:6])
}

func TestDiscover_measured(t *testing.T) {
	took := func(i int, o outcome.Outcome, seconds int) outcome.InstanceReport {
		return outcome.InstanceReport{InstanceID: site.Instance(i), Outcome: o, TookSeconds: seconds, CommandID: "c"}
	}
	measured := []outcome.InstanceReport{
		took(7, outcome.Patched, 3600), took(3, outcome.PatchedPendingReboot, 1800), took(9, outcome.Patched, 30),
		took(1, outcome.TimedOut, 7200), took(2, outcome.Compliant, 5000),
	}
	rest := []patch.InstanceID{site.Instance(0), site.Instance(1), site.Instance(2), site.Instance(4), site.Instance(5),
		site.Instance(6), site.Instance(8)}
	tests := []struct {
		name string
		op   patch.Operation
		want []patch.InstanceID
	}{
		{"of an installation", patch.Install,
			append(append([]patch.InstanceID{site.Instance(7), site.Instance(3)}, rest...), site.Instance(9))},
		{"what a scan took says nothing", patch.Scan, []patch.InstanceID{
			site.Instance(0), site.Instance(1), site.Instance(2), site.Instance(3), site.Instance(4), site.Instance(5),
			site.Instance(6), site.Instance(7), site.Instance(8), site.Instance(9)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.Undiscovered(t, 1)
			s.Ran("last-month", test.op, measured...)
			v := &inventory.Inventory{Table: s.Table, Objects: s.Bucket, Spokes: site.SpokesFunc(func() port.Spoke {
				return site.MatchingSpoke{Spoke: s.SSM}
			}), Now: s.Clock}
			_,
				err := v.Handle(t.Context(),
				inventory.InventoryInput{Task: patch.TaskDiscover, Run: site.Run, Previous: "last-month", Account: s.Target.Account,
					Region: s.Target.Region})
			require.NoError(t, err)
			_, ids := s.Planned()
			assert.Equal(t, test.want, ids)
		})
	}
}

// What cannot be seen is found before anybody approves, and named with its remedy.
func TestFreeze_alarms(t *testing.T) {
	const arn = "arn:aws:cloudwatch:us-east-1:222222222222:alarm:errors"
	tests := []struct{ state, why string }{
		{doubt.AlarmOK, ""},
		{doubt.AlarmFiring, ""},
		{doubt.AlarmNoData, ""},
		{doubt.AlarmMissing, "alarm " + arn +
			" of wave w does not exist in account 222222222222: create it, or correct healthGate.alarms"},
		{doubt.AlarmUnreadable, "alarm " + arn +
			" of wave w cannot be read in account 222222222222: deploy the spoke stack there"},
	}
	for _, test := range tests {
		t.Run(test.state, func(t *testing.T) {
			s := site.Discovered(t, "")
			in, err := runinput.ParseInput(fmt.Appendf(nil, `{"waves":[{"name":"w","accounts":["111111111111"],"regions":["us-east-1"],"healthGate":{"alarms":[%q]}}],"approval":"none"}`, arn), runinput.HubDefaults())
			require.NoError(t, err)
			data, err := patch.Canonical(in)
			require.NoError(t, err)
			s.Bucket.Objects[store.InputObject(site.Run)] = data
			s.Red = map[string]string{arn: test.state}
			_, err = s.Freeze()
			if test.why == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, patch.ErrRefused)
			assert.Equal(t, patch.RunRefused, s.Run().Status)
			assert.Contains(t, s.Run().StatusReason, test.why)
			assert.Empty(t, s.Run().Digest)
		})
	}

	s := site.Discovered(t, "")
	s.Unread = patch.ErrThrottled
	_, err := s.Freeze()
	require.NoError(t, err, "nobody asks where no wave has an alarm")
}

// A region that the account has not enabled is named as that, with what helps.
func TestDiscover_regionNotEnabled(t *testing.T) {
	s := site.Undiscovered(t, 1)
	refused := fmt.Errorf("list instances: %w: %w", patch.ErrAccessDenied, patch.ErrRegionDisabled)
	v := &inventory.Inventory{Table: s.Table, Objects: s.Bucket, Spokes: site.SpokesFunc(func() port.Spoke {
		return closedRegion{refused: refused}
	}), Now: s.Clock}
	out,
		err := v.Handle(t.Context(),
		inventory.InventoryInput{Task: patch.TaskDiscover, Run: site.Run, Account: s.Target.Account, Region: s.Target.Region})
	require.NoError(t, err)
	assert.Equal(t, inventory.DiscoverOutput{Status: "unreachable"}, out)
	assert.Equal(t, "region us-east-1 is not enabled in account 111111111111: enable it there, or take it out of the wave",
		s.Row().Reason)
}

type closedRegion struct {
	port.Spoke
	refused error
}

func (c closedRegion) Matching(context.Context, runinput.Filters) ([]port.Machine, error) {
	return nil, c.refused
}

// A target's polls do not depend on how many regions the wave has.
func TestDiscover_polls(t *testing.T) {
	s := site.Undiscovered(t, 1)
	_, err := s.Discover()
	require.NoError(t, err)
	assert.Equal(t, 1333, s.Row().MaxPolls)
}
