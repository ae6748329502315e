package target_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// Three machines that a scheduler stops in mid-patch are Unhealthy, whatever their
// commands say, with the time at which EC2 saw them stop; their neighbours are not
// touched by it.
func TestVerify_stoppedInMidPatch(t *testing.T) {
	s := site.Through(t, 5)
	s.Patched(site.Instance(0), site.Instance(1), site.Instance(4))
	s.Now = s.Now.Add(20 * time.Minute)
	at := s.Began.Add(9*time.Minute + 7*time.Second)
	for i, machine := range []port.Machine{
		{State: "stopped", Stopped: at},
		{State: "stopping"},
	} {
		id := site.Instance(2 + i)
		machine.ID = id
		s.SSM.Known[id] = machine
		s.SSM.Managed[id] = port.Agent{Platform: patch.Linux, LastPing: s.Began.Add(5 * time.Minute)}
	}
	s.Naming().Names = map[patch.InstanceID]outcome.NamedList{site.Instance(2): {Patches: []outcome.NamedPatch{
		{State: outcome.PatchInstalled, KB: "KB1", At: &at}, {State: outcome.PatchMissing, KB: "KB2"},
	}}}
	delete(s.SSM.Known, site.Instance(4))
	s.Verified()

	first := s.Outcome(site.Instance(2))
	assert.Equal(t, outcome.Unhealthy, first.Outcome)
	assert.Equal(t, "stopped since 2026-12-01 02:09 UTC; 1 patch installed", first.Reason)
	assert.Equal(t, outcome.DownStopped, first.Down)
	require.NotNil(t, first.Since)
	assert.True(t, at.Equal(*first.Since))
	second := s.Outcome(site.Instance(3))
	assert.Equal(t, outcome.Unhealthy, second.Outcome)
	assert.Equal(t, "stopped since 2026-12-01 02:05 UTC; what was installed is not known", second.Reason)
	assert.Nil(t, second.Patches)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 2, outcome.Unhealthy: 2, outcome.Gone: 1}, s.Row().Outcomes)
	assert.InDelta(t, 2, s.Metrics["InstancesUnhealthy"], 0.01)
	assert.InDelta(t, 40, s.Metrics["InstanceAvailability"], 0.01)
	assert.InDelta(t, 40, s.Metrics["PatchSuccessRate"], 0.01)
	assert.InDelta(t, 3, s.Metrics["PatchFailures"], 0.01)
}

// A machine that is down counts as such although its command failed, too.
func TestVerify_downThoughItFailed(t *testing.T) {
	s := site.New(t, 2)
	s.SendAll()
	s.AllEnded("Failed")
	s.Must(s.Poll())
	s.Now = s.Now.Add(20 * time.Minute)
	s.SSM.Managed[site.Instance(0)] = port.Agent{Platform: patch.Linux, Online: true, LastPing: s.Now}
	s.SSM.Managed[site.Instance(1)] = port.Agent{Platform: patch.Linux, LastPing: s.Began.Add(4 * time.Minute)}
	s.Verified()
	assert.Equal(t, outcome.Failed, s.Outcome(site.Instance(0)).Outcome)
	assert.Equal(t, outcome.Unhealthy, s.Outcome(site.Instance(1)).Outcome)
	assert.InDelta(t, 1, s.Metrics["InstancesUnhealthy"], 0.01)
	assert.InDelta(t, 50, s.Metrics["InstanceAvailability"], 0.01)
	assert.InDelta(t, 2, s.Metrics["PatchFailures"], 0.01)
}

// A reboot that is still due is a failure where it was asked for, and good where it
// was forbidden: in the counts, the rate and the report alike.
func TestVerify_pendingRebootCountsOnce(t *testing.T) {
	for _, test := range []struct {
		reboot         patch.RebootOption
		failures, rate float64
	}{{patch.RebootIfNeeded, 1, 0}, {patch.NoReboot, 0, 100}} {
		s := site.Through(t, 1, func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
			l.RebootOption = test.reboot
		})
		s.Patched(site.Instance(0))
		state, due := s.SSM.States[site.Instance(0)], 3
		state.InstalledPendingReboot = &due
		s.SSM.States[site.Instance(0)] = state
		s.Now = s.Now.Add(20 * time.Minute)
		s.Verified()
		assert.Equal(t, outcome.PatchedPendingReboot, s.Outcome(site.Instance(0)).Outcome)
		assert.InDelta(t, test.failures, s.Metrics["PatchFailures"], 0.01, test.reboot)
		assert.InDelta(t, test.rate, s.Metrics["PatchSuccessRate"], 0.01, test.reboot)
		assert.InDelta(t, test.failures, float64(s.Row().Bad), 0.01, test.reboot)
	}
}

// Patches by name are kept of what is not good, and decide what is Compliant.
func TestVerify_patchesByName(t *testing.T) {
	s := site.Through(t, 3)
	s.Patched(site.Instance(0), site.Instance(1), site.Instance(2))
	failed, twelve := 1, 12
	state := s.SSM.States[site.Instance(1)]
	state.Failed = &failed
	s.SSM.States[site.Instance(1)] = state
	old, ours := s.Began.Add(-40*24*time.Hour), s.Began.Add(3*time.Minute)
	var all []outcome.NamedPatch
	for range twelve {
		all = append(all, outcome.NamedPatch{State: outcome.PatchInstalled, KB: "KB0", At: &old})
	}
	s.Naming().Names = map[patch.InstanceID]outcome.NamedList{
		site.Instance(0): {Patches: all},
		site.Instance(1): {Patches: []outcome.NamedPatch{
			{State: outcome.PatchInstalled, KB: "KB0", At: &old}, {State: outcome.PatchInstalled, KB: "KB1", At: &ours},
			{State: outcome.PatchFailed, KB: "KB2"},
		}},
		site.Instance(2): {Patches: append(all[1:12:12],
			outcome.NamedPatch{State: outcome.PatchInstalled, KB: "KB1", At: &ours})},
	}
	s.Now = s.Now.Add(20 * time.Minute)
	s.Verified()
	assert.Equal(t, outcome.Compliant, s.Outcome(site.Instance(0)).Outcome, "it installed nothing")
	assert.Nil(t, s.Outcome(site.Instance(0)).Patches, "it is good")
	assert.Equal(t, outcome.Failed, s.Outcome(site.Instance(1)).Outcome)
	var kept []string
	for _, p := range s.Outcome(site.Instance(1)).Patches {
		kept = append(kept, string(p.State)+" "+p.KB)
	}
	assert.Equal(t, []string{"Failed KB2", "Installed KB1"}, kept, "not what was there before")
	assert.Equal(t, outcome.Patched, s.Outcome(site.Instance(2)).Outcome)
	assert.Equal(t, 600, s.Outcome(site.Instance(2)).TookSeconds)
	assert.Len(t, s.Naming().Asked, 3, "each is asked once")
}

// Where a recent scan found something missing, and the machine is patched, nobody
// has to ask for names.
func TestVerify_namesAreNotNeeded(t *testing.T) {
	missing := 4
	s := site.Through(t, 1, func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		l.Instances[0].Before = &outcome.PatchState{Operation: patch.Scan, Missing: &missing,
			Ended: time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)}
	})
	s.Patched(site.Instance(0))
	s.Now = s.Now.Add(20 * time.Minute)
	s.Verified()
	assert.Equal(t, outcome.Patched, s.Outcome(site.Instance(0)).Outcome)
	assert.Empty(t, s.Naming().Asked)
}
