package outcome_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
)

// cancelledFor is why we asked SSM to cancel the command.
func cancelledFor(why outcome.Reason) func(*outcome.Evidence) {
	return func(e *outcome.Evidence) { e.Cancelled = why }
}

func stopped(e *outcome.Evidence) {
	e.Presence.Running, e.Presence.Online = false, false
	e.Presence.Stopped = sentAt().Add(31 * time.Minute)
}

func silent(e *outcome.Evidence) {
	e.Presence.Online, e.Presence.LastPing = false, sentAt().Add(19*time.Minute)
}

func named(patches ...outcome.NamedPatch) func(*outcome.Evidence) {
	return func(e *outcome.Evidence) { e.Named = &outcome.NamedList{Patches: patches} }
}

// installedAt is n patches that are on the instance since then.
func installedAt(n int, at time.Time) []outcome.NamedPatch {
	var all []outcome.NamedPatch
	for i := range n {
		all = append(all, outcome.NamedPatch{State: outcome.PatchInstalled, KB: fmt.Sprintf("KB%07d", i), At: &at})
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
		{"cancelled past its deadline", with{status("Cancelled", "Cancelled", true), noEvidence,
			cancelledFor(outcome.ReasonExpired)}},
		{"cancelled by an abort", with{status("Cancelled", "Cancelled", true), noEvidence,
			cancelledFor(outcome.ReasonAbort)}},
		{"cancelled, and nobody knows whether it began", with{status("Cancelled", "Cancelled", false),
			noEvidence, unsure}},
		{"at work for ever", with{status("InProgress", "InProgress", true), noEvidence}},
		{"pending for ever", with{status("Pending", "Pending", false), noEvidence}},
		{"lost", with{lost, noEvidence}},
		{"a reboot is due", with{pendingReboot}},
	} {
		judgeCase{of.what + ", stopped", append(of.with, stopped), outcome.Unhealthy, false,
			"stopped since 2026-12-01 02:31 UTC", ""}.run(t)
		judgeCase{of.what + ", silent", append(of.with, silent), outcome.Unhealthy, false,
			"the agent is silent since 2026-12-01 02:19 UTC", ""}.run(t)
		judgeCase{of.what + ", impaired", append(of.with, func(e *outcome.Evidence) { e.Presence.Impaired = true }),
			outcome.Unhealthy, false, "status checks fail", ""}.run(t)
		judgeCase{of.what + ", terminated", append(of.with, gone), outcome.Gone, true, "after the command", ""}.run(t)
	}
}

func (c judgeCase) run(t *testing.T) { t.Run(c.name, c.check) }

func TestJudge_downTellsWhatWasInstalled(t *testing.T) {
	ours := installedAt(3, sentAt().Add(9*time.Minute))
	for _, test := range []judgeCase{
		{"by name", with{stopped, noEvidence, named(ours...)}, outcome.Unhealthy, false, "; 3 patches installed", ""},
		{"none by name", with{stopped, named(installedAt(43, sentAt().Add(-time.Hour))...)}, outcome.Unhealthy, false,
			"; nothing was installed", ""},
		{"names that are as old as the record", with{stopped, noEvidence,
			named(installedAt(43, sentAt().Add(-time.Hour))...)}, outcome.Unhealthy, false,
			"; what was installed is not known", ""},
		{"by the record", with{stopped}, outcome.Unhealthy, false, "; by its record nothing is missing", ""},
		{"not at all", with{stopped, noEvidence}, outcome.Unhealthy, false, "; what was installed is not known", ""},
		{"EC2 does not say since when", with{stopped, func(e *outcome.Evidence) { e.Presence.Stopped = time.Time{} }},
			outcome.Unhealthy, false, "stopped since 2026-12-01 02:25 UTC", ""},
		{"nobody has ever heard of it", with{stopped, func(e *outcome.Evidence) {
			e.Presence.Stopped, e.Presence.LastPing = time.Time{}, time.Time{}
		}}, outcome.Unhealthy, false, "stopped; by its record", ""},
	} {
		test.run(t)
	}
}

// NotSent is said before health is asked for: a machine that we did nothing to is
// none of ours.
func TestJudge_neverBegan(t *testing.T) {
	for _, test := range []judgeCase{
		{"not sent, and stopped", with{func(e *outcome.Evidence) { e.NotSent = outcome.ReasonOffline }, stopped},
			outcome.NotSent, true, string(outcome.ReasonOffline), ""},
		{"cancelled before it began, and stopped", with{status("Cancelled", "Cancelled", false), noEvidence, stopped},
			outcome.NotSent, true, string(outcome.ReasonAbort), ""},
		{"access denied, and stopped", with{status("Failed", "AccessDenied", false), noEvidence, stopped},
			outcome.NotSent, true, string(outcome.ReasonOptedOut), ""},
	} {
		test.run(t)
	}
}

func TestJudge_whoEndedIt(t *testing.T) {
	ran := status("Cancelled", "Cancelled", true)
	for _, test := range []judgeCase{
		{"past its own deadline", with{ran, noEvidence, cancelledFor(outcome.ReasonExpired)}, outcome.TimedOut, true,
			"past its deadline", ""},
		{"past its own deadline, still being cancelled", with{status("Cancelling", "Cancelling", true), noEvidence,
			cancelledFor(outcome.ReasonExpired)}, outcome.TimedOut, true, "past its deadline", ""},
		{"by abort --cancel", with{ran, noEvidence, cancelledFor(outcome.ReasonAbort)}, outcome.Interrupted, true,
			"by this run", ""},
		{"by someone else", with{ran, noEvidence}, outcome.Interrupted, true, "by someone else", ""},
		{"by SSM, after too many errors", with{status("Cancelled", "Terminated", true), noEvidence},
			outcome.Interrupted, true, "SSM ended", ""},
		{"an abort that SSM did not carry out", with{status("InProgress", "InProgress", true), noEvidence,
			cancelledFor(outcome.ReasonAbort)}, outcome.Interrupted, true, "never seen to end", ""},
		{"a deadline that SSM did not enforce", with{status("InProgress", "InProgress", true), noEvidence,
			cancelledFor(outcome.ReasonExpired)}, outcome.TimedOut, true, "never seen to end", ""},
		{"undeliverable, and the host shows that it ran", with{status("Failed", "Undeliverable", false)},
			outcome.Patched, true, "", "status is not known"},
		{"it ended after the last ping: it may be going down", with{status("Failed", "Failed", true), noEvidence,
			func(e *outcome.Evidence) {
				e.Invocation.Seen = e.Presence.LastPing.Add(time.Second)
			}}, outcome.Failed, false, "failed", ""},
	} {
		test.run(t)
	}
}

// Compliant means that we installed nothing. The patches' own times say it.
func TestJudge_nothingInstalled(t *testing.T) {
	old, ours := sentAt().Add(-30*24*time.Hour), sentAt().Add(5*time.Minute)
	lastMonth := func(e *outcome.Evidence) {
		e.Planned.Before = &outcome.PatchState{Operation: patch.Install, Installed: num(43), Missing: num(0),
			Failed: num(0), Ended: old}
	}
	yesterday := func(e *outcome.Evidence) {
		e.Planned.Before = &outcome.PatchState{Operation: patch.Scan, Installed: num(43), Missing: num(0),
			Failed: num(0), Ended: sentAt().Add(-time.Hour)}
	}
	day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []judgeCase{
		{"a count of last month says nothing", with{lastMonth}, outcome.Patched, true, "", ""},
		{"names: all are old", with{lastMonth, named(installedAt(43, old)...)}, outcome.Compliant, true, "", ""},
		{"names: one is ours", with{lastMonth, named(append(installedAt(42, old), installedAt(1, ours)...)...)},
			outcome.Patched, true, "", ""},
		{"names: the day alone is known",
			with{lastMonth, named(append(installedAt(42, old), installedAt(1, day)...)...)}, outcome.Patched,
			true, "", ""},
		{"names: one has no time",
			with{lastMonth, named(append(installedAt(42, old), outcome.NamedPatch{State: outcome.PatchInstalled})...)},
			outcome.Patched, true, "", ""},
		{"names: fewer than the record counts", with{lastMonth, named(installedAt(2, old)...)}, outcome.Patched,
			true, "", ""},
		{"names against a recent count that was the same",
			with{yesterday, named(append(installedAt(42, old), installedAt(1, ours)...)...)}, outcome.Patched,
			true, "", ""},
		{"a recent count that is the same", with{yesterday}, outcome.Compliant, true, "", ""},
	} {
		test.run(t)
	}
}

func TestEvidence_AskNames(t *testing.T) {
	e := evidence()
	assert.False(t, e.AskNames(), "a recent scan found something missing")
	e.Planned.Before.Ended = sentAt().Add(-30 * 24 * time.Hour)
	assert.True(t, e.AskNames(), "the record is a month old")
	e.Named = &outcome.NamedList{}
	assert.False(t, e.AskNames(), "they were read")
	e = evidence()
	e.Operation = patch.Scan
	assert.False(t, e.AskNames(), "a scan installs nothing")
}

// reading is one way in which the patch document may upload its record around a
// reboot. Which one a version has is not documented.
type reading struct {
	name   string
	before *outcome.PatchState // uploaded before the reboot
	after  *outcome.PatchState // uploaded after it
}

func readings() []reading {
	record := func(started, ended, pending int) *outcome.PatchState {
		return &outcome.PatchState{
			Operation: patch.Install, SnapshotID: "ours", Started: sentAt().Add(time.Duration(started) * time.Minute),
			Ended:     sentAt().Add(time.Duration(ended) * time.Minute),
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
func (r reading) seen(back bool) *outcome.PatchState {
	if back && r.after != nil {
		return r.after
	}
	return r.before
}

// No outcome may depend on how the document uploads its records. The machine goes
// down at minute 11, and is back at minute 14 or never.
func TestJudge_readingsOfTheRecordAgree(t *testing.T) {
	up := func(e *outcome.Evidence) { e.Presence.LastPing = sentAt().Add(20 * time.Minute) }
	pingedBefore := func(e *outcome.Evidence) { e.Presence.LastPing = sentAt().Add(10*time.Minute + 30*time.Second) }
	wentSilent := func(e *outcome.Evidence) { pingedBefore(e); e.Presence.Online = false }
	wentOff := func(e *outcome.Evidence) { pingedBefore(e); e.Presence.Online, e.Presence.Running = false, false }
	for _, stage := range []struct {
		name string
		back bool // the command went on after the reboot
		with with
		want outcome.Outcome
	}{
		{"back, success", true, with{up}, outcome.Patched},
		{"back, lost", true, with{up, lost}, outcome.Patched},
		{"going down, lost", false, with{pingedBefore, lost}, outcome.Unknown},
		{"down, at work", false, with{wentSilent, status("InProgress", "InProgress", true)}, outcome.Unhealthy},
		{"down, lost", false, with{wentSilent, lost}, outcome.Unhealthy},
		{"down, time limit", false, with{wentSilent, status("TimedOut", "ExecutionTimedOut", true)}, outcome.Unhealthy},
		{"stopped by its owner", false, with{wentOff, status("TimedOut", "ExecutionTimedOut", true)},
			outcome.Unhealthy},
		{"back, cancelled past its deadline", true, with{up, status("Cancelled", "Cancelled", true),
			cancelledFor(outcome.ReasonExpired)}, outcome.TimedOut},
		{"back, interrupted", true, with{up, status("Cancelled", "Cancelled", true)}, outcome.Interrupted},
		{"back, failed", true, with{up, status("Failed", "Failed", true)}, outcome.Failed},
	} {
		for _, r := range readings() {
			e := evidence()
			e.After = r.seen(stage.back)
			for _, f := range stage.with {
				f(&e)
			}
			assert.Equal(t, stage.want, outcome.Judge(e).Outcome, "%s: %s", stage.name, r.name)
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
	assert.True(t, rejected.Proves(patch.Install, patch.NoReboot, "ours", late),
		"as Judge has it: an installation leaves rejected patches alone")
	missing := *good
	missing.Missing = num(1)
	assert.False(t, missing.Proves(patch.Install, patch.NoReboot, "ours", late))
	assert.False(t, (*outcome.PatchState)(nil).Proves(patch.Install, patch.NoReboot, "ours", late))
}

func TestJudge_odds(t *testing.T) {
	for _, test := range []judgeCase{
		{"a failure without a record", with{status("Failed", "Failed", true), noEvidence}, outcome.Failed, true,
			"the patch command failed", ""},
		{"success and a record of last month", with{func(e *outcome.Evidence) {
			e.After.SnapshotID = ""
			e.After.Started, e.After.Ended = sentAt().Add(-30*24*time.Hour), sentAt().Add(-30*24*time.Hour+time.Minute)
		}}, outcome.Unknown, false, "older than the command", ""},
		{"rejected patches are on it", with{func(e *outcome.Evidence) { e.After.InstalledRejected = num(2) }},
			outcome.Patched, true, "", ""},
		{"a reboot was due from before, and the record still says so", with{pendingReboot},
			outcome.PatchedPendingReboot, false, "a reboot is due", ""},
	} {
		test.run(t)
	}
}

func TestNamedList_Kept(t *testing.T) {
	since := sentAt()
	l := outcome.NamedList{Patches: append(installedAt(2, since.Add(time.Minute)),
		installedAt(3, since.Add(-time.Hour))...)}
	l.Patches = append(l.Patches, outcome.NamedPatch{State: outcome.PatchMissing, KB: "m"},
		outcome.NamedPatch{State: outcome.PatchFailed, KB: "f"})
	kept, more := l.Kept(since)
	assert.Zero(t, more)
	var states []outcome.NamedState
	for _, p := range kept {
		states = append(states, p.State)
	}
	assert.Equal(t, []outcome.NamedState{outcome.PatchFailed, outcome.PatchMissing, outcome.PatchInstalled,
		outcome.PatchInstalled}, states)
	l.Patches = installedAt(outcome.MaxNamed+7, since)
	kept, more = l.Kept(since)
	assert.Len(t, kept, outcome.MaxNamed)
	assert.Equal(t, 7, more)
	kept, _ = outcome.NamedList{}.Kept(since)
	assert.NotNil(t, kept)
}

func TestOutcome_Done(t *testing.T) {
	for _, o := range outcome.Outcomes() {
		want := o == outcome.Patched || o == outcome.Compliant
		assert.Equal(t, want, o.Done(patch.RebootIfNeeded), o)
		assert.Equal(t, want || o == outcome.PatchedPendingReboot, o.Done(patch.NoReboot), o)
	}
	w := report.WaveReport{Reboot: patch.NoReboot}
	assert.Equal(t, 3, w.Done(map[outcome.Outcome]int{outcome.Patched: 1, outcome.PatchedPendingReboot: 2,
		outcome.NonCompliant: 4}))
}
