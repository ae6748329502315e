package task_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// naming is what SSM lists by name; every site has one.
type naming struct {
	task.Spoke
	names map[patch.InstanceID]patch.NamedList // of the others there is no answer
	asked []patch.InstanceID
}

func (n *naming) Patches(_ context.Context, id patch.InstanceID) (patch.NamedList, error) {
	n.asked = append(n.asked, id)
	names, known := n.names[id]
	if !known {
		return names, errors.New("ThrottlingException")
	}
	return names, nil
}

// naming is where a test says what is listed by name.
func (s *site) naming() *naming { return s.spoke.Spoke.(*naming) }

// Three machines that a scheduler stops in mid-patch are Unhealthy, whatever their
// commands say, with the time at which EC2 saw them stop; their neighbours are not
// touched by it.
func TestVerify_stoppedInMidPatch(t *testing.T) {
	s := through(t, 5)
	s.patched(instance(0), instance(1), instance(4))
	s.now = s.now.Add(20 * time.Minute)
	at := s.began.Add(9*time.Minute + 7*time.Second)
	for i, machine := range []task.Machine{
		{State: "stopped", Stopped: at},
		{State: "stopping"},
	} {
		id := instance(2 + i)
		machine.ID = id
		s.spoke.machines[id] = machine
		s.spoke.agents[id] = task.Agent{Platform: patch.Linux, LastPing: s.began.Add(5 * time.Minute)}
	}
	s.naming().names = map[patch.InstanceID]patch.NamedList{instance(2): {Patches: []patch.NamedPatch{
		{State: patch.PatchInstalled, KB: "KB1", At: &at}, {State: patch.PatchMissing, KB: "KB2"},
	}}}
	delete(s.spoke.machines, instance(4))
	s.verified()

	first := s.outcome(instance(2))
	assert.Equal(t, patch.Unhealthy, first.Outcome)
	assert.Equal(t, "stopped since 2026-12-01 02:09 UTC; 1 patch installed", first.Reason)
	assert.Equal(t, patch.DownStopped, first.Down)
	require.NotNil(t, first.Since)
	assert.True(t, at.Equal(*first.Since))
	second := s.outcome(instance(3))
	assert.Equal(t, patch.Unhealthy, second.Outcome)
	assert.Equal(t, "stopped since 2026-12-01 02:05 UTC; what was installed is not known", second.Reason)
	assert.Nil(t, second.Patches)
	assert.Equal(t, map[patch.Outcome]int{patch.Patched: 2, patch.Unhealthy: 2, patch.Gone: 1}, s.row().Outcomes)
	assert.InDelta(t, 2, s.metrics["InstancesUnhealthy"], 0.01)
	assert.InDelta(t, 40, s.metrics["InstanceAvailability"], 0.01)
	assert.InDelta(t, 40, s.metrics["PatchSuccessRate"], 0.01)
	assert.InDelta(t, 3, s.metrics["PatchFailures"], 0.01)
}

// A machine that is down counts as such although its command failed, too.
func TestVerify_downThoughItFailed(t *testing.T) {
	s := newSite(t, 2)
	s.sendAll()
	s.allEnded("Failed")
	s.must(s.poll())
	s.now = s.now.Add(20 * time.Minute)
	s.spoke.agents[instance(0)] = task.Agent{Platform: patch.Linux, Online: true, LastPing: s.now}
	s.spoke.agents[instance(1)] = task.Agent{Platform: patch.Linux, LastPing: s.began.Add(4 * time.Minute)}
	s.verified()
	assert.Equal(t, patch.Failed, s.outcome(instance(0)).Outcome)
	assert.Equal(t, patch.Unhealthy, s.outcome(instance(1)).Outcome)
	assert.InDelta(t, 1, s.metrics["InstancesUnhealthy"], 0.01)
	assert.InDelta(t, 50, s.metrics["InstanceAvailability"], 0.01)
	assert.InDelta(t, 2, s.metrics["PatchFailures"], 0.01)
}

// A reboot that is still due is a failure where it was asked for, and good where it
// was forbidden: in the counts, the rate and the report alike.
func TestVerify_pendingRebootCountsOnce(t *testing.T) {
	for _, test := range []struct {
		reboot         patch.RebootOption
		failures, rate float64
	}{{patch.RebootIfNeeded, 1, 0}, {patch.NoReboot, 0, 100}} {
		s := through(t, 1, func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
			l.RebootOption = test.reboot
		})
		s.patched(instance(0))
		state, due := s.spoke.states[instance(0)], 3
		state.InstalledPendingReboot = &due
		s.spoke.states[instance(0)] = state
		s.now = s.now.Add(20 * time.Minute)
		s.verified()
		assert.Equal(t, patch.PatchedPendingReboot, s.outcome(instance(0)).Outcome)
		assert.InDelta(t, test.failures, s.metrics["PatchFailures"], 0.01, test.reboot)
		assert.InDelta(t, test.rate, s.metrics["PatchSuccessRate"], 0.01, test.reboot)
		assert.InDelta(t, test.failures, float64(s.row().Bad), 0.01, test.reboot)
	}
}

// Patches by name are kept of what is not good, and decide what is Compliant.
func TestVerify_patchesByName(t *testing.T) {
	s := through(t, 3)
	s.patched(instance(0), instance(1), instance(2))
	failed, twelve := 1, 12
	state := s.spoke.states[instance(1)]
	state.Failed = &failed
	s.spoke.states[instance(1)] = state
	old, ours := s.began.Add(-40*24*time.Hour), s.began.Add(3*time.Minute)
	var all []patch.NamedPatch
	for range twelve {
		all = append(all, patch.NamedPatch{State: patch.PatchInstalled, KB: "KB0", At: &old})
	}
	s.naming().names = map[patch.InstanceID]patch.NamedList{
		instance(0): {Patches: all},
		instance(1): {Patches: []patch.NamedPatch{
			{State: patch.PatchInstalled, KB: "KB0", At: &old}, {State: patch.PatchInstalled, KB: "KB1", At: &ours}, {State: patch.PatchFailed, KB: "KB2"},
		}},
		instance(2): {Patches: append(all[1:12:12], patch.NamedPatch{State: patch.PatchInstalled, KB: "KB1", At: &ours})},
	}
	s.now = s.now.Add(20 * time.Minute)
	s.verified()
	assert.Equal(t, patch.Compliant, s.outcome(instance(0)).Outcome, "it installed nothing")
	assert.Nil(t, s.outcome(instance(0)).Patches, "it is good")
	assert.Equal(t, patch.Failed, s.outcome(instance(1)).Outcome)
	var kept []string
	for _, p := range s.outcome(instance(1)).Patches {
		kept = append(kept, string(p.State)+" "+p.KB)
	}
	assert.Equal(t, []string{"Failed KB2", "Installed KB1"}, kept, "not what was there before")
	assert.Equal(t, patch.Patched, s.outcome(instance(2)).Outcome)
	assert.Equal(t, 600, s.outcome(instance(2)).TookSeconds)
	assert.Len(t, s.naming().asked, 3, "each is asked once")
}

// Where a recent scan found something missing, and the machine is patched, nobody
// has to ask for names.
func TestVerify_namesAreNotNeeded(t *testing.T) {
	missing := 4
	s := through(t, 1, func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
		l.Instances[0].Before = &patch.PatchState{Operation: patch.Scan, Missing: &missing, Ended: time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)}
	})
	s.patched(instance(0))
	s.now = s.now.Add(20 * time.Minute)
	s.verified()
	assert.Equal(t, patch.Patched, s.outcome(instance(0)).Outcome)
	assert.Empty(t, s.naming().asked)
}
