package world

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Source: D23:send-commands-reboot; docs/aws-semantics.md 2.6, 2.8.
func TestAgent_InstallWithReboot(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	i := insts[0]
	missing := i.Missing
	id := send(t, s, patching(i.ID))

	runFor(w, 10*time.Minute+10*time.Second) // in the reboot
	require.Equal(t, "InProgress/InProgress", rows(t, s, id)[i.ID])
	require.Equal(t, "ConnectionLost", string(node(t, s, i.ID).PingStatus))
	require.Equal(t, stateRunning, i.State)
	require.EqualValues(t, missing, *patchState(t, s, i.ID).InstalledPendingRebootCount,
		"the inventory may land before the reboot")

	runFor(w, 5*time.Minute)
	require.Equal(t, "Success/Success", rows(t, s, id)[i.ID])
	require.Equal(t, "Online", string(node(t, s, i.ID).PingStatus))
	p := patchState(t, s, i.ID)
	require.Equal(t, testSnapshot, *p.SnapshotId)
	require.Equal(t, install, string(p.Operation))
	require.Zero(t, p.MissingCount+p.FailedCount+*p.InstalledPendingRebootCount)
	require.Equal(t, []AgentEventKind{
		AgentReceived, AgentStarted, AgentInstalled, AgentRecorded, AgentRebooting, AgentReturned, AgentResumed,
		AgentRecorded, AgentFinished,
	}, kinds(w.AgentLog(i.ID)))
	require.Len(t, w.Installs(i.ID), 1)
	now, most := w.InFlight(testAccount, testRegion)
	require.Equal(t, []int{0, 1}, []int{now, most})
}

// Source: docs/faults.md F-20 to F-30, docs/aws-semantics.md 2.2 to 2.8.
func TestAgent_Fates(t *testing.T) {
	const never = "InProgress/InProgress"
	tests := []struct {
		fate   fleetfile.Fate
		status string // after four hours, with Delivery from the request; details only where the status is not certain
		fresh  bool   // the patch state record is of this Install
		good   bool   // nothing missing, failed or pending in the record
		state  string
		online bool
	}{
		{fleetfile.FateOK, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FateCompliant, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FateNoRebootNeeded, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FatePendingReboot, "Success/Success", true, false, stateRunning, true},
		{fleetfile.FateRebootsAnyway, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FateDoubleReboot, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FatePatchFails, "Failed/Failed", true, false, stateRunning, true},
		{fleetfile.FatePartial, "Success/Success", true, false, stateRunning, true},
		{fleetfile.FateNothingInstalled, "Success/Success", true, false, stateRunning, true},
		{fleetfile.FateFailedInstalled, "Failed/Failed", true, true, stateRunning, true},
		{fleetfile.FateOldRecord, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FatePatchedSince, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FatePendingBefore, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FateRejected, "Success/Success", true, true, stateRunning, true},
		{fleetfile.FateFailsEarly, "Failed/Failed", false, false, stateRunning, true},
		{fleetfile.FateStaleState, "Success/Success", false, false, stateRunning, true},
		{fleetfile.FateForeignState, "Success/Success", false, true, stateRunning, true},
		{fleetfile.FateBadState, "Success/Success", true, false, stateRunning, true},
		{fleetfile.FateUndeliverable, "Undeliverable", false, false, stateRunning, true},
		{fleetfile.FateAccessDenied, "AccessDenied", false, false, stateRunning, true},
		{fleetfile.FateInvalidPlatform, "InvalidPlatform", false, false, stateRunning, true},
		{fleetfile.FateOldAgent, "Failed/Failed", false, false, stateRunning, true},
		{fleetfile.FateExecutionTimeout, "TimedOut/ExecutionTimedOut", false, false, stateRunning, true},
		{fleetfile.FateHangs, never, false, false, stateRunning, true},
		{fleetfile.FateAgentDies, never, false, false, stateRunning, false},
		{fleetfile.FateKilled, never, false, false, stateRunning, false},
		{fleetfile.FateNoReturn, never, true, false, stateRunning, false},
		{fleetfile.FateTerminates, never, false, false, stateTerminated, false},
		{fleetfile.FateStops, never, false, false, stateStopped, false},
		{fleetfile.FateASGReplaced, never, true, false, stateTerminated, false},
		{fleetfile.FateOffline, "TimedOut/DeliveryTimedOut", false, false, stateRunning, false},
		{fleetfile.FateStopped, "TimedOut/DeliveryTimedOut", false, false, stateStopped, false},
		{fleetfile.FateStartsLater, "Success/Success", true, true, stateRunning, true},
	}
	for _, tt := range tests {
		t.Run(string(tt.fate), func(t *testing.T) {
			w, s, insts := newFleet(t, 7, tt.fate)
			i := insts[0]
			id := send(t, s, patching(i.ID))
			runFor(w, 4*time.Hour)
			require.Contains(t, rows(t, s, id)[i.ID], tt.status)
			p := patchState(t, s, i.ID)
			require.Equal(t, tt.fresh, *p.SnapshotId == testSnapshot)
			require.Equal(t, tt.good, p.MissingCount == 0 && p.FailedCount == 0 && *p.InstalledPendingRebootCount == 0)
			require.Equal(t, tt.state, i.State)
			require.Equal(t, tt.online, i.Online())
		})
	}
}

// Source: docs/aws-semantics.md 2.3: InProgress until ExpiresAfter, then DeliveryTimedOut.
func TestAgent_NeverAnswers(t *testing.T) {
	for _, f := range []fleetfile.Fate{fleetfile.FateHangs, fleetfile.FateAgentDies, fleetfile.FateKilled,
		fleetfile.FateNoReturn, fleetfile.FateTerminates, fleetfile.FateStops, fleetfile.FateASGReplaced} {
		t.Run(string(f), func(t *testing.T) {
			w, s, insts := newFleet(t, 2, f)
			id := send(t, s, patching(insts[0].ID))
			runFor(w, (7200+21600)*time.Second-time.Second)
			require.Equal(t, "InProgress/InProgress", rows(t, s, id)[insts[0].ID])
			runFor(w, 2*time.Second)
			require.Equal(t, "TimedOut/DeliveryTimedOut", rows(t, s, id)[insts[0].ID])
			require.EqualValues(t, 1, commandNow(t, s, id).DeliveryTimedOutCount)
		})
	}
}

// Source: docs/faults.md F-24.
func TestAgent_SlowReturn(t *testing.T) {
	w, s, insts := newFleet(t, 3, fleetfile.FateSlowReturn)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, 15*time.Minute)
	require.False(t, insts[0].Online())
	runFor(w, 7*time.Hour)
	require.True(t, insts[0].Online())
	require.Equal(t, "Success/Success", rows(t, s, id)[insts[0].ID])
}

// Source: docs/faults.md F-30: another id, the same tags and name.
func TestAgent_ReplacedByItsGroup(t *testing.T) {
	w, s, insts := newFleet(t, 4, fleetfile.FateASGReplaced)
	old := insts[0]
	send(t, s, patching(old.ID))
	runFor(w, time.Hour)
	fresh, ok := w.Instance(old.ReplacedBy)
	require.True(t, ok)
	require.NotEqual(t, old.ID, fresh.ID)
	require.Equal(t, old.Tags, fresh.Tags)
	require.True(t, fresh.Online())
	require.NotNil(t, node(t, s, fresh.ID))
	require.Nil(t, node(t, s, old.ID), "terminated nodes are not returned")
}

// Source: docs/faults.md F-34.
func TestAgent_DiesLater(t *testing.T) {
	w, s, insts := newFleet(t, 5, fleetfile.FateDiesLater)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, 20*time.Minute)
	require.Equal(t, "Success/Success", rows(t, s, id)[insts[0].ID])
	require.True(t, insts[0].Online())
	runFor(w, 5*time.Hour)
	require.False(t, insts[0].Online())
}

// Source: docs/faults.md F-27.
func TestAgent_NoState(t *testing.T) {
	w, s, insts := newFleet(t, 6, fleetfile.FateNoState)
	send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	require.Nil(t, patchState(t, s, insts[0].ID))
}

// Source: D23:patch-manager-troubleshooting, -1 counts and 1970 times.
func TestAgent_BadState(t *testing.T) {
	w, s, insts := newFleet(t, 6, fleetfile.FateBadState)
	send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	p := patchState(t, s, insts[0].ID)
	require.EqualValues(t, -1, p.MissingCount)
	require.Equal(t, 1970, p.OperationEndTime.Year())
}

// Source: docs/aws-semantics.md 2.6, NoReboot; docs/faults.md F-25.
func TestAgent_NoReboot(t *testing.T) {
	w, s, insts := newFleet(t, 8, fleetfile.FateOK, fleetfile.FateNoRebootNeeded, fleetfile.FateRebootsAnyway)
	missing := insts[0].Missing
	in := patching(ids(insts)...)
	in.Parameters["RebootOption"] = []string{noReboot}
	send(t, s, in)
	runFor(w, time.Hour)
	p := patchState(t, s, insts[0].ID)
	require.EqualValues(t, missing, *p.InstalledPendingRebootCount)
	require.NotNil(t, p.LastNoRebootInstallOperationTime)
	require.Zero(t, *patchState(t, s, insts[1].ID).InstalledPendingRebootCount)
	require.NotContains(t, kinds(w.AgentLog(insts[0].ID)), AgentRebooting)
	require.Contains(t, kinds(w.AgentLog(insts[2].ID)), AgentRebooting)

	t.Run("a start of the machine is a reboot too", func(t *testing.T) {
		w.StopInstance(insts[0].ID)
		w.StartInstance(insts[0].ID)
		runFor(w, 5*time.Minute)
		require.Zero(t, insts[0].Pending)
		require.True(t, insts[0].Online())
	})
}

// Source: D23:patch-manager-aws-runpatchbaseline, Scan installs and reboots nothing.
func TestAgent_Scan(t *testing.T) {
	w, s, insts := newFleet(t, 9, fleetfile.FateOK, fleetfile.FatePatchFails, fleetfile.FateCompliant)
	missing := insts[0].Missing
	in := patching(ids(insts)...)
	in.Parameters["Operation"] = []string{scan}
	id := send(t, s, in)
	runFor(w, time.Hour)
	for _, i := range insts {
		require.Equal(t, "Success/Success", rows(t, s, id)[i.ID])
		require.Empty(t, w.Installs(i.ID))
		require.Len(t, w.Scans(i.ID), 1)
	}
	p := patchState(t, s, insts[0].ID)
	require.Equal(t, scan, string(p.Operation))
	require.EqualValues(t, missing, p.MissingCount)
	require.Zero(t, patchState(t, s, insts[2].ID).MissingCount)
}

// Source: D23:patch-manager-troubleshooting, two RunPatchBaseline at once on one node.
func TestAgent_Collision(t *testing.T) {
	w, s, insts := newFleet(t, 10, fleetfile.FateOK)
	first := send(t, s, patching(insts[0].ID))
	runFor(w, time.Minute)
	second := send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	require.Equal(t, "Success/Success", rows(t, s, first)[insts[0].ID])
	require.Equal(t, "Failed/Failed", rows(t, s, second)[insts[0].ID])
	require.True(t, slices.Contains(kinds(w.AgentLog(insts[0].ID)), AgentCollided))
	require.Len(t, w.Installs(insts[0].ID), 1)
}

// A failed patch is missing to the next scan, and is tried again by the next install.
func TestAgent_FailedPatchStaysMissing(t *testing.T) {
	w, s, insts := newFleet(t, 11, fleetfile.FatePatchFails)
	send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	require.EqualValues(t, 1, patchState(t, s, insts[0].ID).FailedCount)
	require.EqualValues(t, 0, patchState(t, s, insts[0].ID).MissingCount)
	w.ForeignScan(insts[0].ID)
	p := patchState(t, s, insts[0].ID)
	require.EqualValues(t, 0, p.FailedCount)
	require.EqualValues(t, 1, p.MissingCount)
	require.NotEqual(t, testSnapshot, *p.SnapshotId)
}

// Agents ping every five minutes. Source: docs/aws-semantics.md 3, proof of life.
func TestAgent_Pings(t *testing.T) {
	w, s, insts := newFleet(t, 12, fleetfile.FateOK)
	first := *node(t, s, insts[0].ID).LastPingDateTime
	require.Less(t, w.Now().Sub(first), pingEvery)
	send(t, s, patching(insts[0].ID))
	runFor(w, 12*time.Minute+30*time.Second)
	end := *patchState(t, s, insts[0].ID).OperationEndTime
	require.True(t, node(t, s, insts[0].ID).LastPingDateTime.Before(end), "the ping of the boot is before the end")
	runFor(w, 5*time.Minute)
	require.True(t, node(t, s, insts[0].ID).LastPingDateTime.After(end))
}

func TestAgent_Hook(t *testing.T) {
	w, s, insts := newFleet(t, 13, fleetfile.FateOK)
	var seen []AgentEvent
	w.OnAgentEvent = func(e AgentEvent) { seen = append(seen, e) }
	send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	require.Equal(t, w.AgentLog(insts[0].ID), seen)
}

// Three readings of what an Install that reboots leaves. Source: docs/aws-semantics.md 2.8.
func TestAgent_Evidence(t *testing.T) {
	type look struct {
		fresh         bool
		pending, good bool
	}
	tests := []struct {
		name    string
		reading EvidenceReading
		fate    fleetfile.Fate
		reboot  string
		during  look // while the machine is away
		after   look
	}{
		{"twice", EvidenceTwice, fleetfile.FateOK, rebootIfNeeded, look{true, true, false}, look{true, false, true}},
		{"before alone", EvidenceBefore, fleetfile.FateOK, rebootIfNeeded, look{true, false, true}, look{true, false, true}},
		{"after alone", EvidenceAfter, fleetfile.FateOK, rebootIfNeeded, look{false, false, false}, look{true, false, true}},
		{"before alone, two reboots", EvidenceBefore, fleetfile.FateDoubleReboot, rebootIfNeeded, look{true, false, true},
			look{true, false, true}},
		{"before alone, a patch fails", EvidenceBefore, fleetfile.FatePatchFails, rebootIfNeeded, look{true, false, false},
			look{true, false, false}},
		{"before alone, it never comes back", EvidenceBefore, fleetfile.FateNoReturn, rebootIfNeeded, look{true, false, true},
			look{true, false, true}},
		{"after alone, it never comes back", EvidenceAfter, fleetfile.FateNoReturn, rebootIfNeeded, look{false, false, false},
			look{false, false, false}},
		{"before alone, it was told not to reboot", EvidenceBefore, fleetfile.FateOK, noReboot, look{true, true, false},
			look{true, true, false}},
		{"before alone, no reboot due", EvidenceBefore, fleetfile.FateNoRebootNeeded, rebootIfNeeded, look{true, false, true},
			look{true, false, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s, insts := newFleet(t, 5, tt.fate)
			w.SSMOptions.Evidence = tt.reading
			in := patching(insts[0].ID)
			in.Parameters["RebootOption"] = []string{tt.reboot}
			send(t, s, in)
			see := func() look {
				p := patchState(t, s, insts[0].ID)
				return look{*p.SnapshotId == testSnapshot, *p.InstalledPendingRebootCount > 0,
					p.MissingCount+p.FailedCount+*p.InstalledPendingRebootCount == 0}
			}
			runFor(w, 10*time.Minute+10*time.Second)
			require.Equal(t, tt.during, see())
			runFor(w, time.Hour)
			require.Equal(t, tt.after, see())
		})
	}
}

// Each Linux instance draws its reading; the payload of Windows is another one.
func TestAgent_EvidenceDrawn(t *testing.T) {
	w, s, insts := newFleet(t, 5, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 30)...)
	windows,
		err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "w", Platform: fleetfile.Windows,
		Patch: 10 * time.Minute, Reboot: 2 * time.Minute})
	require.NoError(t, err)
	w.SSMOptions.Evidence, w.SSMOptions.NoRamp = 0, true
	send(t, s, patching(append(ids(insts), windows.ID)...))
	runFor(w, 2*time.Hour)
	records := map[EvidenceReading]map[int]int{}
	count := func(i *Instance) (n int) {
		for _, e := range w.AgentLog(i.ID) {
			if e.Kind == AgentRecorded {
				n++
			}
		}
		return n
	}
	for _, i := range insts {
		if records[i.Evidence] == nil {
			records[i.Evidence] = map[int]int{}
		}
		records[i.Evidence][count(i)]++
	}
	require.Len(t, records, 3)
	for reading, counts := range records {
		want := 1
		if reading == EvidenceTwice {
			want = 2
		}
		require.Len(t, counts, 1)
		require.Contains(t, counts, want)
	}
	require.Equal(t, 2, count(windows))
}

// What a record of a month ago says is not what the machine lacks.
func TestAgent_RecordsOfBefore(t *testing.T) {
	w, s,
		insts := newFleet(t, 6, fleetfile.FateOldRecord, fleetfile.FatePatchedSince, fleetfile.FatePendingBefore,
		fleetfile.FateRejected, fleetfile.FateFailsEarly)
	old, since, pending, rejected := patchState(t, s, insts[0].ID), patchState(t, s, insts[1].ID),
		patchState(t, s, insts[2].ID), patchState(t, s, insts[3].ID)
	for _, p := range []time.Time{*old.OperationEndTime, *since.OperationEndTime} {
		require.Greater(t, testStart().Sub(p), 30*24*time.Hour)
	}
	require.Zero(t, old.MissingCount)
	require.Positive(t, insts[0].Missing)
	require.Positive(t, since.MissingCount)
	require.Zero(t, insts[1].Missing)
	require.Positive(t, *pending.InstalledPendingRebootCount)
	require.EqualValues(t, 1, *rejected.InstalledRejectedCount)
	w.SSMOptions.NoRamp = true
	before := patchState(t, s, insts[4].ID)
	send(t, s, patching(ids(insts)...))
	runFor(w, time.Hour)
	require.Equal(t, before, patchState(t, s, insts[4].ID), "a failure without a record")
	require.NotContains(t, kinds(w.AgentLog(insts[1].ID)), AgentInstalled)
	require.NotContains(t, kinds(w.AgentLog(insts[2].ID)), AgentInstalled)
	require.Contains(t, kinds(w.AgentLog(insts[2].ID)), AgentRebooting, "the reboot of before is made")
	require.Zero(t, *patchState(t, s, insts[2].ID).InstalledPendingRebootCount)
	require.EqualValues(t, 1, *patchState(t, s, insts[3].ID).InstalledRejectedCount, "a rejected patch stays")
}
