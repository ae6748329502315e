package task_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// found is the inventory that a discovery left.
func (s *site) found() patch.Inventory {
	s.t.Helper()
	var inv patch.Inventory
	decodeJSON(s.t, s.bucket.localObjects[patch.InventoryObject(siteRun, s.target.Account, s.target.Region)], &inv)
	return inv
}

// planned is the leaf that a discovery left, and the order of its instances.
func (s *site) planned() (patch.Leaf, []patch.InstanceID) {
	s.t.Helper()
	var leaf patch.Leaf
	decodeJSON(s.t, s.bucket.localObjects[patch.LeafObject(s.target)], &leaf)
	var ids []patch.InstanceID
	for _, p := range leaf.Instances {
		ids = append(ids, p.ID)
	}
	return leaf, ids
}

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
			s := undiscovered(t, 1)
			a := s.spoke.agents[instance(4)]
			a.System, a.Release = test.system, test.release
			s.spoke.agents[instance(4)] = a
			_, err := s.discover()
			require.NoError(t, err)
			inv := s.found()
			if test.why == "" {
				assert.Len(t, inv.Planned, 10)
				return
			}
			assert.Len(t, inv.Planned, 9)
			require.Len(t, inv.Excluded, 1)
			assert.Equal(t, patch.ExcludedInstance{
				InstanceID: instance(4), Account: s.target.Account, Region: s.target.Region, Wave: "w0", Outcome: patch.Excluded, Reason: test.why,
			}, inv.Excluded[0])
		})
	}
}

// A node outside of EC2 is listed where its tags would be matched, and an EC2
// instance that is registered as one is not called unmanaged.
func TestDiscover_hybrid(t *testing.T) {
	s := undiscovered(t, 1)
	s.spoke.nodes = map[patch.InstanceID]task.Agent{
		"mi-00000000000000001": {Name: "cellar", Address: "192.168.0.9"},
		"mi-00000000000000002": {Name: "other", Address: "192.168.0.10"},
		"mi-00000000000000003": {Name: "ec2amaz", Address: "10.0.0.7"},
	}
	s.spoke.tagged = map[string]map[patch.InstanceID]bool{"PatchGroup": {"mi-00000000000000001": true, instance(1): true}}
	s.spoke.machines[instance(6)] = task.Machine{ID: instance(6), State: "running", Address: "10.0.0.7"}
	s.spoke.machines[instance(7)] = task.Machine{ID: instance(7), State: "running", Address: "10.0.0.8"}
	delete(s.spoke.agents, instance(6))
	delete(s.spoke.agents, instance(7))
	_, err := s.discover()
	require.NoError(t, err)
	inv := s.found()
	assert.Len(t, inv.Planned, 8)
	outcomes := map[patch.InstanceID]patch.Outcome{}
	for _, e := range inv.Excluded {
		outcomes[e.InstanceID] = e.Outcome
		assert.NotEmpty(t, e.Reason)
	}
	assert.Equal(t, map[patch.InstanceID]patch.Outcome{
		"mi-00000000000000001": patch.Hybrid, instance(6): patch.Hybrid, instance(7): patch.Unmanaged,
	}, outcomes)
}

// Windows takes longer than Linux where nobody measured, and what was measured counts.
func TestDiscover_order(t *testing.T) {
	s := undiscovered(t, 1)
	for i, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS, patch.Linux, patch.Windows} {
		a := s.spoke.agents[instance(i)]
		a.Platform = p
		s.spoke.agents[instance(i)] = a
	}
	input := []byte(`{"waves":[{"name":"w0","accounts":["111111111111"],"regions":["us-east-1"],"filters":{"platforms":["Linux","Windows","MacOS"]}}]}`)
	in, err := patch.ParseInput(input, patch.HubDefaults())
	require.NoError(t, err)
	in.Waves[0].SlowStart = true
	data, err := patch.Canonical(in)
	require.NoError(t, err)
	s.bucket.localObjects[patch.InputObject(siteRun)] = data
	_, err = s.discover()
	require.NoError(t, err)
	leaf, ids := s.planned()
	assert.True(t, leaf.SlowStart)
	assert.Equal(t, []patch.InstanceID{instance(1), instance(4), instance(0), instance(2), instance(3), instance(5)}, ids[:6])
}

// ran leaves an earlier run of the wave, with what it found and how long it took.
func (s *site) ran(run patch.RunID, op patch.Operation, instances ...patch.InstanceReport) {
	s.t.Helper()
	at := patch.Target{Run: run, Wave: "w0", Account: s.target.Account, Region: s.target.Region}
	leaf := patch.Leaf{Target: at, Operation: op}
	for _, r := range instances {
		leaf.Instances = append(leaf.Instances, patch.PlannedInstance{ID: r.InstanceID, Wave: "w0", Platform: patch.Linux})
	}
	data, err := patch.Canonical(leaf)
	require.NoError(s.t, err)
	s.bucket.localObjects[patch.LeafObject(at)] = data
	result, err := patch.Canonical(task.TargetResult{Target: at, Instances: instances})
	require.NoError(s.t, err)
	hash := patch.Digest(result)
	s.bucket.localObjects[patch.ResultObject(at, hash)] = result
	s.table.put(patch.TargetKey(at), patch.TargetRow{Status: patch.TargetVerified, LeafDigest: patch.Digest(data), ResultHash: hash})
}

func TestDiscover_measured(t *testing.T) {
	took := func(i int, o patch.Outcome, seconds int) patch.InstanceReport {
		return patch.InstanceReport{InstanceID: instance(i), Outcome: o, TookSeconds: seconds, CommandID: "c"}
	}
	measured := []patch.InstanceReport{
		took(7, patch.Patched, 3600), took(3, patch.PatchedPendingReboot, 1800), took(9, patch.Patched, 30),
		took(1, patch.TimedOut, 7200), took(2, patch.Compliant, 5000),
	}
	rest := []patch.InstanceID{instance(0), instance(1), instance(2), instance(4), instance(5), instance(6), instance(8)}
	tests := []struct {
		name string
		op   patch.Operation
		want []patch.InstanceID
	}{
		{"of an installation", patch.Install, append(append([]patch.InstanceID{instance(7), instance(3)}, rest...), instance(9))},
		{"what a scan took says nothing", patch.Scan, []patch.InstanceID{
			instance(0), instance(1), instance(2), instance(3), instance(4), instance(5), instance(6), instance(7), instance(8), instance(9)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := undiscovered(t, 1)
			s.ran("last-month", test.op, measured...)
			v := &task.Inventory{Table: s.table, Objects: s.bucket, Spokes: spokesFunc(func() task.Spoke { return matchingSpoke{s.spoke} }), Now: s.clock}
			_, err := v.Handle(t.Context(), task.InventoryInput{Task: "discover", Run: siteRun, Previous: "last-month", Account: s.target.Account, Region: s.target.Region})
			require.NoError(t, err)
			_, ids := s.planned()
			assert.Equal(t, test.want, ids)
		})
	}
}

// What cannot be seen is found before anybody approves, and named with its remedy.
func TestFreeze_alarms(t *testing.T) {
	const arn = "arn:aws:cloudwatch:us-east-1:222222222222:alarm:errors"
	tests := []struct{ state, why string }{
		{patch.AlarmOK, ""},
		{patch.AlarmFiring, ""},
		{patch.AlarmNoData, ""},
		{patch.AlarmMissing, "alarm " + arn + " of wave w does not exist in account 222222222222: create it, or correct healthGate.alarms"},
		{patch.AlarmUnreadable, "alarm " + arn + " of wave w cannot be read in account 222222222222: deploy the spoke stack there"},
	}
	for _, test := range tests {
		t.Run(test.state, func(t *testing.T) {
			s := discovered(t, "")
			in, err := patch.ParseInput(fmt.Appendf(nil, `{"waves":[{"name":"w","accounts":["111111111111"],"regions":["us-east-1"],"healthGate":{"alarms":[%q]}}],"approval":"none"}`, arn), patch.HubDefaults())
			require.NoError(t, err)
			data, err := patch.Canonical(in)
			require.NoError(t, err)
			s.bucket.localObjects[patch.InputObject(siteRun)] = data
			s.red = map[string]string{arn: test.state}
			_, err = s.freeze()
			if test.why == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, patch.ErrRefused)
			assert.Equal(t, patch.RunRefused, s.run().Status)
			assert.Contains(t, s.run().StatusReason, test.why)
			assert.Empty(t, s.run().Digest)
		})
	}

	s := discovered(t, "")
	s.unread = patch.ErrThrottled
	_, err := s.freeze()
	require.NoError(t, err, "nobody asks where no wave has an alarm")
}

// A region that the account has not enabled is named as that, with what helps.
func TestDiscover_regionNotEnabled(t *testing.T) {
	s := undiscovered(t, 1)
	refused := fmt.Errorf("list instances: %w: %w", patch.ErrAccessDenied, patch.ErrRegionDisabled)
	v := &task.Inventory{Table: s.table, Objects: s.bucket, Spokes: spokesFunc(func() task.Spoke { return closedRegion{refused: refused} }), Now: s.clock}
	out, err := v.Handle(t.Context(), task.InventoryInput{Task: "discover", Run: siteRun, Account: s.target.Account, Region: s.target.Region})
	require.NoError(t, err)
	assert.Equal(t, task.DiscoverOutput{Status: "unreachable"}, out)
	assert.Equal(t, "region us-east-1 is not enabled in account 111111111111: enable it there, or take it out of the wave", s.row().Reason)
}

type closedRegion struct {
	task.Spoke
	refused error
}

func (c closedRegion) Matching(context.Context, patch.Filters) ([]task.Machine, error) {
	return nil, c.refused
}

// A target's polls do not depend on how many regions the wave has.
func TestDiscover_polls(t *testing.T) {
	s := undiscovered(t, 1)
	_, err := s.discover()
	require.NoError(t, err)
	assert.Equal(t, 1333, s.row().MaxPolls)
}
