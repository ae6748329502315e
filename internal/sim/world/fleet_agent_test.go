package world

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Source: D23:send-commands-reboot; aws-facts 2.6, 2.8.
func TestAgent_InstallWithReboot(t *testing.T) {
	w, s, insts := newFleet(t, 1, FateOK)
	i := insts[0]
	missing := i.Missing
	id := send(t, s, patching(i.ID))

	runFor(w, 10*time.Minute+10*time.Second) // in the reboot
	require.Equal(t, "InProgress/InProgress", rows(t, s, id)[i.ID])
	require.Equal(t, "ConnectionLost", string(node(t, s, i.ID).PingStatus))
	require.Equal(t, stateRunning, i.State)
	require.EqualValues(t, missing, *patchState(t, s, i.ID).InstalledPendingRebootCount, "the inventory may land before the reboot")

	runFor(w, 5*time.Minute)
	require.Equal(t, "Success/Success", rows(t, s, id)[i.ID])
	require.Equal(t, "Online", string(node(t, s, i.ID).PingStatus))
	p := patchState(t, s, i.ID)
	require.Equal(t, testSnapshot, *p.SnapshotId)
	require.Equal(t, install, string(p.Operation))
	require.Zero(t, p.MissingCount+p.FailedCount+*p.InstalledPendingRebootCount)
	require.Equal(t, []AgentEventKind{
		AgentReceived, AgentStarted, AgentInstalled, AgentRecorded, AgentRebooting, AgentReturned, AgentResumed, AgentRecorded, AgentFinished,
	}, kinds(w.AgentLog(i.ID)))
	require.Len(t, w.Installs(i.ID), 1)
	now, most := w.InFlight(testAccount, testRegion)
	require.Equal(t, []int{0, 1}, []int{now, most})
}
