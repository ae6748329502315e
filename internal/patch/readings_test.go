package patch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

// cancelledFor is why we asked SSM to cancel the command.
func cancelledFor(why string) func(*patch.Evidence) {
	return func(e *patch.Evidence) { e.Cancelled = why }
}

func stopped(e *patch.Evidence) {
	e.Presence.Running, e.Presence.Online = false, false
	e.Presence.Stopped = sentAt().Add(31 * time.Minute)
}

func silent(e *patch.Evidence) {
	e.Presence.Online, e.Presence.LastPing = false, sentAt().Add(19*time.Minute)
}

func named(patches ...patch.NamedPatch) func(*patch.Evidence) {
	return func(e *patch.Evidence) { e.Named = &patch.NamedList{Patches: patches} }
}

// installedAt is n patches that are on the instance since then.
func installedAt(n int, at time.Time) []patch.NamedPatch {
	var all []patch.NamedPatch
	for i := range n {
		all = append(all, patch.NamedPatch{State: patch.PatchInstalled, KB: fmt.Sprintf("KB%07d", i), At: &at})
	}
	return all
}

// An instance that is out of service is Unhealthy whatever became of its command.
func TestJudge_downWhateverTheCommandSays(t *testing.T) {
	for _, of := range []struct {
		what string
		with with
	}{
		{"success", nil},
		{"success of a scan", with{scanned}},
		{"failure", with{status("Failed", "Failed", true)}},
		{"failure without a record", with{status("Failed", "Failed", true), noEvidence}},
		{"wrong platform", with{status("Failed", "InvalidPlatform", true), noEvidence}},
		{"time limit", with{status("TimedOut", "ExecutionTimedOut", true), noEvidence}},
		{"never delivered", with{status("TimedOut", "DeliveryTimedOut", false), noEvidence}},
		{"undeliverable", with{status("Failed", "Undeliverable", false), noEvidence}},
		{"cancelled past its deadline", with{status("Cancelled", "Cancelled", true), noEvidence, cancelledFor(patch.ReasonExpired)}},
		{"cancelled by an abort", with{status("Cancelled", "Cancelled", true), noEvidence, cancelledFor(patch.ReasonAbort)}},
		{"cancelled, and nobody knows whether it began", with{status("Cancelled", "Cancelled", false), noEvidence, unsure}},
		{"at work for ever", with{status("InProgress", "InProgress", true), noEvidence}},
		{"pending for ever", with{status("Pending", "Pending", false), noEvidence}},
		{"lost", with{lost, noEvidence}},
		{"a reboot is due", with{pendingReboot}},
	} {
		judgeCase{of.what + ", stopped", append(of.with, stopped), patch.Unhealthy, false, "stopped since 2026-12-01 02:31 UTC", ""}.run(t)
		judgeCase{of.what + ", silent", append(of.with, silent), patch.Unhealthy, false, "the agent is silent since 2026-12-01 02:19 UTC", ""}.run(t)
		judgeCase{of.what + ", impaired", append(of.with, func(e *patch.Evidence) { e.Presence.Impaired = true }), patch.Unhealthy, false, "status checks fail", ""}.run(t)
		judgeCase{of.what + ", terminated", append(of.with, gone), patch.Gone, true, "after the command", ""}.run(t)
	}
}

func (c judgeCase) run(t *testing.T) { t.Run(c.name, c.check) }

func TestJudge_downTellsWhatWasInstalled(t *testing.T) {
	ours := installedAt(3, sentAt().Add(9*time.Minute))
	for _, test := range []judgeCase{
		{"by name", with{stopped, noEvidence, named(ours...)}, patch.Unhealthy, false, "; 3 patches installed", ""},
		{"none by name", with{stopped, named(installedAt(43, sentAt().Add(-time.Hour))...)}, patch.Unhealthy, false, "; nothing was installed", ""},
		{"names that are as old as the record", with{stopped, noEvidence, named(installedAt(43, sentAt().Add(-time.Hour))...)}, patch.Unhealthy, false, "; what was installed is not known", ""},
		{"by the record", with{stopped}, patch.Unhealthy, false, "; by its record nothing is missing", ""},
		{"not at all", with{stopped, noEvidence}, patch.Unhealthy, false, "; what was installed is not known", ""},
		{"EC2 does not say since when", with{stopped, func(e *patch.Evidence) { e.Presence.Stopped = time.Time{} }}, patch.Unhealthy, false, "stopped since 2026-12-01 02:25 UTC", ""},
		{"nobody has ever heard of it", with{stopped, func(e *patch.Evidence) { e.Presence.Stopped, e.Presence.LastPing = time.Time{}, time.Time{} }}, patch.Unhealthy, false, "stopped; by its record", ""},
	} {
		test.run(t)
	}
}

// NotSent is said before health is asked for: a machine that we did nothing to is
// none of ours.
func TestJudge_neverBegan(t *testing.T) {
	for _, test := range []judgeCase{
		{"not sent, and stopped", with{func(e *patch.Evidence) { e.NotSent = patch.ReasonOffline }, stopped}, patch.NotSent, true, patch.ReasonOffline, ""},
		{"cancelled before it began, and stopped", with{status("Cancelled", "Cancelled", false), noEvidence, stopped}, patch.NotSent, true, patch.ReasonAbort, ""},
		{"access denied, and stopped", with{status("Failed", "AccessDenied", false), noEvidence, stopped}, patch.NotSent, true, patch.ReasonOptedOut, ""},
	} {
		test.run(t)
	}
}

func TestJudge_whoEndedIt(t *testing.T) {
	ran := status("Cancelled", "Cancelled", true)
	for _, test := range []judgeCase{
		{"past its own deadline", with{ran, noEvidence, cancelledFor(patch.ReasonExpired)}, patch.TimedOut, true, "past its deadline", ""},
		{"past its own deadline, still being cancelled", with{status("Cancelling", "Cancelling", true), noEvidence, cancelledFor(patch.ReasonExpired)}, patch.TimedOut, true, "past its deadline", ""},
		{"by abort --cancel", with{ran, noEvidence, cancelledFor(patch.ReasonAbort)}, patch.Interrupted, true, "by this run", ""},
		{"by somebody else", with{ran, noEvidence}, patch.Interrupted, true, "by somebody else", ""},
		{"by SSM, after too many errors", with{status("Cancelled", "Terminated", true), noEvidence}, patch.Interrupted, true, "SSM ended", ""},
		{"an abort that SSM did not carry out", with{status("InProgress", "InProgress", true), noEvidence, cancelledFor(patch.ReasonAbort)}, patch.Interrupted, true, "never seen to end", ""},
		{"a deadline that SSM did not enforce", with{status("InProgress", "InProgress", true), noEvidence, cancelledFor(patch.ReasonExpired)}, patch.TimedOut, true, "never seen to end", ""},
		{"undeliverable, and the host shows that it ran", with{status("Failed", "Undeliverable", false)}, patch.Patched, true, "", "status is not known"},
		{"it ended after the last ping: it may be going down", with{status("Failed", "Failed", true), noEvidence, func(e *patch.Evidence) {
			e.Invocation.Seen = e.Presence.LastPing.Add(time.Second)
		}}, patch.Failed, false, "failed", ""},
	} {
		test.run(t)
	}
}

// Compliant means that we installed nothing. The patches' own times say it.
func TestJudge_nothingInstalled(t *testing.T) {
	old, ours := sentAt().Add(-30*24*time.Hour), sentAt().Add(5*time.Minute)
	lastMonth := func(e *patch.Evidence) {
		e.Planned.Before = &patch.PatchState{Operation: patch.Install, Installed: num(43), Missing: num(0), Failed: num(0), Ended: old}
	}
	yesterday := func(e *patch.Evidence) {
		e.Planned.Before = &patch.PatchState{Operation: patch.Scan, Installed: num(43), Missing: num(0), Failed: num(0), Ended: sentAt().Add(-time.Hour)}
	}
	day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []judgeCase{
		{"a count of last month says nothing", with{lastMonth}, patch.Patched, true, "", ""},
		{"names: all are old", with{lastMonth, named(installedAt(43, old)...)}, patch.Compliant, true, "", ""},
		{"names: one is ours", with{lastMonth, named(append(installedAt(42, old), installedAt(1, ours)...)...)}, patch.Patched, true, "", ""},
		{"names: the day alone is known", with{lastMonth, named(append(installedAt(42, old), installedAt(1, day)...)...)}, patch.Patched, true, "", ""},
		{"names: one has no time", with{lastMonth, named(append(installedAt(42, old), patch.NamedPatch{State: patch.PatchInstalled})...)}, patch.Patched, true, "", ""},
		{"names: fewer than the record counts", with{lastMonth, named(installedAt(2, old)...)}, patch.Patched, true, "", ""},
		{"names against a recent count that was the same", with{yesterday, named(append(installedAt(42, old), installedAt(1, ours)...)...)}, patch.Patched, true, "", ""},
		{"a recent count that is the same", with{yesterday}, patch.Compliant, true, "", ""},
	} {
		test.run(t)
	}
}

func TestEvidence_AskNames(t *testing.T) {
	e := evidence()
	assert.False(t, e.AskNames(), "a recent scan found something missing")
	e.Planned.Before.Ended = sentAt().Add(-30 * 24 * time.Hour)
	assert.True(t, e.AskNames(), "the record is a month old")
	e.Named = &patch.NamedList{}
	assert.False(t, e.AskNames(), "they were read")
	e = evidence()
	e.Operation = patch.Scan
	assert.False(t, e.AskNames(), "a scan installs nothing")
}

// reading is one way in which the patch document may upload its record around a
// reboot. Which one a version has is not documented.
type reading struct {
	name   string
	before *patch.PatchState // uploaded before the reboot
	after  *patch.PatchState // uploaded after it
}

func readings() []reading {
	record := func(started, ended, pending int) *patch.PatchState {
		return &patch.PatchState{
			Operation: patch.Install, SnapshotID: "ours", Started: sentAt().Add(time.Duration(started) * time.Minute), Ended: sentAt().Add(time.Duration(ended) * time.Minute),
			Installed: num(43), InstalledPendingReboot: num(pending), Missing: num(0), Failed: num(0),
		}
	}
	return []reading{
		{"one clean record, before the reboot", record(1, 10, 0), nil},
		{"one clean record, after the reboot", nil, record(1, 16, 0)},
		{"a clean record before, a clean one after", record(1, 10, 0), record(15, 16, 0)},
		{"a pending record before, a clean one after", record(1, 10, 2), record(15, 16, 0)},
	}
}

// seen is the record that stands at a stage.
func (r reading) seen(back bool) *patch.PatchState {
	if back && r.after != nil {
		return r.after
	}
	return r.before
}

// No outcome may depend on how the document uploads its records. The machine goes
// down at minute 11, and is back at minute 14 or never.
func TestJudge_readingsOfTheRecordAgree(t *testing.T) {
	up := func(e *patch.Evidence) { e.Presence.LastPing = sentAt().Add(20 * time.Minute) }
	pingedBefore := func(e *patch.Evidence) { e.Presence.LastPing = sentAt().Add(10*time.Minute + 30*time.Second) }
	wentSilent := func(e *patch.Evidence) { pingedBefore(e); e.Presence.Online = false }
	wentOff := func(e *patch.Evidence) { pingedBefore(e); e.Presence.Online, e.Presence.Running = false, false }
	for _, stage := range []struct {
		name string
		back bool // the command went on after the reboot
		with with
		want patch.Outcome
	}{
		{"back, success", true, with{up}, patch.Patched},
		{"back, lost", true, with{up, lost}, patch.Patched},
		{"going down, lost", false, with{pingedBefore, lost}, patch.Unknown},
		{"down, at work", false, with{wentSilent, status("InProgress", "InProgress", true)}, patch.Unhealthy},
		{"down, lost", false, with{wentSilent, lost}, patch.Unhealthy},
		{"down, time limit", false, with{wentSilent, status("TimedOut", "ExecutionTimedOut", true)}, patch.Unhealthy},
		{"stopped by its owner", false, with{wentOff, status("TimedOut", "ExecutionTimedOut", true)}, patch.Unhealthy},
		{"back, cancelled past its deadline", true, with{up, status("Cancelled", "Cancelled", true), cancelledFor(patch.ReasonExpired)}, patch.TimedOut},
		{"back, interrupted", true, with{up, status("Cancelled", "Cancelled", true)}, patch.Interrupted},
		{"back, failed", true, with{up, status("Failed", "Failed", true)}, patch.Failed},
	} {
		for _, r := range readings() {
			e := evidence()
			e.After = r.seen(stage.back)
			for _, f := range stage.with {
				f(&e)
			}
			assert.Equal(t, stage.want, patch.Judge(e).Outcome, "%s: %s", stage.name, r.name)
		}
	}
}

// What resume takes as proof agrees in all readings, too.
func TestPatchState_Proves(t *testing.T) {
	late, early := sentAt().Add(20*time.Minute), sentAt().Add(10*time.Minute+30*time.Second)
	for _, r := range readings() {
		proves := func(back bool, reboot patch.RebootOption, ping time.Time) bool {
			return r.seen(back).Proves(patch.Install, reboot, "ours", ping)
		}
		assert.True(t, proves(true, patch.RebootIfNeeded, late), "back: %s", r.name)
		assert.False(t, proves(false, patch.RebootIfNeeded, early), "down: %s", r.name)
	}
	good := readings()[0].before
	assert.True(t, good.Proves(patch.Install, patch.NoReboot, "ours", early), "no reboot was due")
	assert.False(t, good.Proves(patch.Install, patch.NoReboot, "theirs", late))
	assert.False(t, good.Proves(patch.Install, patch.NoReboot, "", late))
	assert.False(t, good.Proves(patch.Scan, patch.NoReboot, "ours", late))
	rejected := *good
	rejected.InstalledRejected = num(1)
	assert.True(t, rejected.Proves(patch.Install, patch.NoReboot, "ours", late), "as Judge has it: an installation leaves rejected patches alone")
	missing := *good
	missing.Missing = num(1)
	assert.False(t, missing.Proves(patch.Install, patch.NoReboot, "ours", late))
	assert.False(t, (*patch.PatchState)(nil).Proves(patch.Install, patch.NoReboot, "ours", late))
}

func TestJudge_odds(t *testing.T) {
	for _, test := range []judgeCase{
		{"a failure without a record", with{status("Failed", "Failed", true), noEvidence}, patch.Failed, true, "the patch command failed", ""},
		{"success and a record of last month", with{func(e *patch.Evidence) {
			e.After.SnapshotID = ""
			e.After.Started, e.After.Ended = sentAt().Add(-30*24*time.Hour), sentAt().Add(-30*24*time.Hour+time.Minute)
		}}, patch.Unknown, false, "older than the command", ""},
		{"rejected patches are on it", with{func(e *patch.Evidence) { e.After.InstalledRejected = num(2) }}, patch.Patched, true, "", ""},
		{"a reboot was due from before, and the record still says so", with{pendingReboot}, patch.PatchedPendingReboot, false, "a reboot is due", ""},
	} {
		test.run(t)
	}
}

func TestNamedList_Kept(t *testing.T) {
	since := sentAt()
	l := patch.NamedList{Patches: append(installedAt(2, since.Add(time.Minute)), installedAt(3, since.Add(-time.Hour))...)}
	l.Patches = append(l.Patches, patch.NamedPatch{State: patch.PatchMissing, KB: "m"}, patch.NamedPatch{State: patch.PatchFailed, KB: "f"})
	kept, more := l.Kept(since)
	assert.Zero(t, more)
	var states []patch.NamedState
	for _, p := range kept {
		states = append(states, p.State)
	}
	assert.Equal(t, []patch.NamedState{patch.PatchFailed, patch.PatchMissing, patch.PatchInstalled, patch.PatchInstalled}, states)
	l.Patches = installedAt(patch.MaxNamed+7, since)
	kept, more = l.Kept(since)
	assert.Len(t, kept, patch.MaxNamed)
	assert.Equal(t, 7, more)
	kept, _ = patch.NamedList{}.Kept(since)
	assert.NotNil(t, kept)
}

func TestOutcome_Done(t *testing.T) {
	for _, o := range patch.Outcomes() {
		want := o == patch.Patched || o == patch.Compliant
		assert.Equal(t, want, o.Done(patch.RebootIfNeeded), o)
		assert.Equal(t, want || o == patch.PatchedPendingReboot, o.Done(patch.NoReboot), o)
	}
	w := patch.WaveReport{Reboot: patch.NoReboot}
	assert.Equal(t, 3, w.Done(map[patch.Outcome]int{patch.Patched: 1, patch.PatchedPendingReboot: 2, patch.NonCompliant: 4}))
}
