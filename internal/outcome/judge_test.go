package outcome_test

import (
	"cmp"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

// sentAt is when the judged command was sent.
func sentAt() time.Time { return time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC) }

func num(n int) *int { return &n }

// evidence is of an instance that was patched as it should be: the rows below
// each change one thing.
func evidence() outcome.Evidence {
	return outcome.Evidence{
		Operation: patch.Install, RebootOption: patch.RebootIfNeeded, SnapshotID: "ours",
		Planned: outcome.PlannedInstance{
			ID: "i-0123456789abcdef0", Wave: "canary", Platform: patch.Linux,
			Before: &outcome.PatchState{Operation: patch.Scan, Installed: num(40), Missing: num(3), Failed: num(0),
				Ended: sentAt().Add(-8 * time.Hour)},
		},
		Sent: sentAt(),
		Invocation: outcome.Invocation{InstanceID: "i-0123456789abcdef0", Status: "Success",
			Details: "Success", Ran: true},
		Presence: outcome.Presence{Exists: true, Running: true, Online: true, LastPing: sentAt().Add(25 * time.Minute)},
		After: &outcome.PatchState{
			Operation: patch.Install, SnapshotID: "ours", Started: sentAt().Add(time.Minute),
			Ended:     sentAt().Add(20 * time.Minute),
			Installed: num(43), InstalledPendingReboot: num(0), Missing: num(0), Failed: num(0),
		},
	}
}

func status(status, details string, ran bool) func(*outcome.Evidence) {
	return func(e *outcome.Evidence) {
		e.Invocation.Status, e.Invocation.Details, e.Invocation.Ran = status, details, ran
	}
}

// noEvidence takes the patch state away: nothing is known from the instance.
func noEvidence(e *outcome.Evidence) { e.After = nil }

func scanned(e *outcome.Evidence) {
	e.Operation, e.After.Operation, e.RebootOption = patch.Scan, patch.Scan, patch.NoReboot
}

func noReboot(e *outcome.Evidence) { e.RebootOption = patch.NoReboot }

func pendingReboot(e *outcome.Evidence) { e.After.InstalledPendingReboot = num(2) }

func lost(e *outcome.Evidence) { e.Lost, e.Invocation = true, outcome.Invocation{} }

func gone(e *outcome.Evidence) { e.Presence = outcome.Presence{} }

type judgeCase struct {
	name    string
	with    []func(*outcome.Evidence)
	want    outcome.Outcome
	settled bool
	reason  string // a part of it; empty: no reason is given
	warning string // a part of it; empty: no warning
}

func (c judgeCase) check(t *testing.T) {
	t.Helper()
	e := evidence()
	for _, f := range c.with {
		f(&e)
	}
	got := outcome.Judge(e)
	assert.Equal(t, c.want, got.Outcome)
	assert.Equal(t, c.settled, got.Settled, "settled")
	contains(t, got.Reason, c.reason)
	contains(t, got.Warning, c.warning)
}

// contains holds a text against a part of it; an empty part wants an empty text.
func contains(t *testing.T, text, part string) {
	t.Helper()
	if part == "" {
		assert.Empty(t, text)
		return
	}
	assert.Contains(t, text, part)
}

type with = []func(*outcome.Evidence)

func TestJudge_success(t *testing.T) {
	for _, test := range []judgeCase{
		{"fresh, nothing missing: Patched", nil, outcome.Patched, true, "", ""},
		{"a state without a snapshot may be ours", with{func(e *outcome.Evidence) { e.After.SnapshotID = "" }},
			outcome.Patched, true, "", ""},
		{"a clock that is a little slow", with{func(e *outcome.Evidence) {
			e.After.Started = sentAt().Add(-outcome.ClockSkew)
		}}, outcome.Patched, true, "", ""},
		{"no count of reboots due is none due", with{func(e *outcome.Evidence) {
			e.After.InstalledPendingReboot = nil
		}}, outcome.Patched, true, "", ""},
		{"nothing was missing before, as much installed after: Compliant",
			with{func(e *outcome.Evidence) {
				e.Planned.Before.Missing, e.After.Installed = num(0),
					num(40)
			}}, outcome.Compliant, true, "", ""},
		{"nothing was missing before, more installed after: Patched",
			with{func(e *outcome.Evidence) { e.Planned.Before.Missing = num(0) }}, outcome.Patched, true, "", ""},
		{"nothing known before: Patched", with{func(e *outcome.Evidence) { e.Planned.Before = nil }}, outcome.Patched,
			true, "", ""},
		{"before without counts: Patched", with{func(e *outcome.Evidence) { e.Planned.Before.Missing = nil }},
			outcome.Patched, true, "", ""},
		{"installed, reboot due under RebootIfNeeded may still come", with{pendingReboot}, outcome.PatchedPendingReboot,
			false, "a reboot is due", ""},
		{"installed, reboot due under NoReboot is what was asked", with{noReboot, pendingReboot},
			outcome.PatchedPendingReboot, true, "a reboot is due", ""},
		{"nothing was missing, a reboot was already due", with{noReboot, pendingReboot, func(e *outcome.Evidence) {
			e.Planned.Before.Missing, e.After.Installed = num(0), num(40)
		}}, outcome.PatchedPendingReboot, true, "a reboot is due", ""},
		{"scan, nothing missing: Compliant", with{scanned}, outcome.Compliant, true, "", ""},
		{"scan, patches missing: NonCompliant", with{scanned, func(e *outcome.Evidence) { e.After.Missing = num(4) }},
			outcome.NonCompliant, true, "4 patches missing", ""},
		{"scan, a reboot is due: NonCompliant", with{scanned, pendingReboot}, outcome.NonCompliant, true,
			"2 waiting for a reboot", ""},
		{"scan, a rejected patch is installed: NonCompliant", with{scanned, func(e *outcome.Evidence) {
			e.After.InstalledRejected = num(1)
		}}, outcome.NonCompliant, true, "1 rejected", ""},
		{"success, but patches failed: Failed", with{func(e *outcome.Evidence) { e.After.Failed = num(1) }},
			outcome.Failed, true, "1 patch failed", ""},
		{"success, but patches are still missing: Failed", with{func(e *outcome.Evidence) { e.After.Missing = num(2) }},
			outcome.Failed, true, "2 patches still missing", ""},
	} {
		t.Run(test.name, test.check)
	}
}

// A patch state that cannot be the result of our command is never success.
func TestJudge_evidenceThatIsNotOurs(t *testing.T) {
	for _, test := range []judgeCase{
		{"absent", with{noEvidence}, outcome.Unknown, false, "no patch state", ""},
		{"older than the command", with{func(e *outcome.Evidence) {
			e.After.Started = sentAt().Add(-outcome.ClockSkew - time.Second)
		}}, outcome.Unknown, false, "older than the command", ""},
		{"ended before it started", with{func(e *outcome.Evidence) {
			e.After.Ended = e.After.Started.Add(-time.Second)
		}}, outcome.Unknown, false, "older than the command", ""},
		{"never ended", with{func(e *outcome.Evidence) { e.After.Ended = time.Time{} }}, outcome.Unknown, false,
			"older than the command", ""},
		{"of 1970", with{func(e *outcome.Evidence) {
			e.After.Started, e.After.Ended = time.Unix(0, 0), time.Unix(0,
				0)
		}}, outcome.Unknown, false, "older than the command", ""},
		{"foreign: a scan over our install", with{func(e *outcome.Evidence) { e.After.Operation = patch.Scan }},
			outcome.Unknown, false, "something else", ""},
		{"foreign: an install over our scan", with{scanned, func(e *outcome.Evidence) {
			e.After.Operation = patch.Install
		}}, outcome.Unknown, false, "something else", ""},
		{"foreign: another snapshot", with{func(e *outcome.Evidence) { e.After.SnapshotID = "theirs" }},
			outcome.Unknown, false, "something else", ""},
		{"insane: missing is not reported", with{func(e *outcome.Evidence) { e.After.Missing = nil }}, outcome.Unknown,
			false, "sane counts", ""},
		{"insane: failed is not reported", with{func(e *outcome.Evidence) { e.After.Failed = nil }}, outcome.Unknown,
			false, "sane counts", ""},
		{"insane: missing is negative", with{func(e *outcome.Evidence) { e.After.Missing = num(-1) }}, outcome.Unknown,
			false, "sane counts", ""},
		{"insane: failed is negative", with{func(e *outcome.Evidence) { e.After.Failed = num(-1) }}, outcome.Unknown,
			false, "sane counts", ""},
		{"insane: reboots due are negative", with{func(e *outcome.Evidence) {
			e.After.InstalledPendingReboot = num(-1)
		}}, outcome.Unknown, false, "sane counts", ""},
		{"scan: stale", with{scanned, func(e *outcome.Evidence) { e.After.Started = sentAt().Add(-time.Hour) }},
			outcome.Unknown, false, "older than the command", ""},
	} {
		t.Run(test.name, test.check)
	}
}

func TestJudge_health(t *testing.T) {
	for _, test := range []judgeCase{
		{"not running", with{func(e *outcome.Evidence) { e.Presence.Running = false }}, outcome.Unhealthy, false,
			"stopped since 2026-12-01 02:25 UTC", ""},
		{"the agent is not back", with{func(e *outcome.Evidence) { e.Presence.Online = false }}, outcome.Unhealthy,
			false, "the agent is silent since 2026-12-01 02:25 UTC", ""},
		{"the agent was last heard of before the end", with{func(e *outcome.Evidence) {
			e.Presence.LastPing = e.After.Ended.Add(-time.Second)
		}}, outcome.Unhealthy, false, "the agent is silent since 2026-12-01 02:19 UTC", ""},
		{"status checks fail since", with{func(e *outcome.Evidence) { e.Presence.Impaired = true }}, outcome.Unhealthy,
			false, "status checks fail", ""},
		{"status checks failed before already", with{func(e *outcome.Evidence) {
			e.Presence.Impaired, e.Planned.Impaired = true, true
		}}, outcome.Patched, true, "", ""},
		{"status checks are initializing", with{func(e *outcome.Evidence) { e.Presence.Settling = true }},
			outcome.Patched, false, "", "initializing"},
		{"unhealthy before a reboot is asked for", with{pendingReboot, func(e *outcome.Evidence) {
			e.Presence.Online = false
		}}, outcome.Unhealthy, false, "the agent is silent since 2026-12-01 02:25 UTC", ""},
	} {
		t.Run(test.name, test.check)
	}
}

func TestJudge_command(t *testing.T) {
	for _, test := range []judgeCase{
		{"failed", with{status("Failed", "Failed", true), noEvidence}, outcome.Failed, true,
			"the patch command failed", ""},
		{"failed, and patches failed", with{status("Failed", "Failed", true), func(e *outcome.Evidence) {
			e.After.Failed = num(3)
		}}, outcome.Failed, true, "3 patches failed", ""},
		{"failed, but the evidence is clean: both are told", with{status("Failed", "Failed", true)}, outcome.Failed,
			true, "the patch command failed", "disagree"},
		{"failed, and a clean state that is stale says nothing", with{status("Failed", "Failed", true),
			func(e *outcome.Evidence) { e.After.Started = sentAt().Add(-time.Hour) }}, outcome.Failed, true,
			"failed", ""},
		{"ran into its time limit", with{status("TimedOut", "ExecutionTimedOut", true)}, outcome.TimedOut, true,
			"time limit", ""},
		{"not delivered in time", with{status("TimedOut", "DeliveryTimedOut", false), noEvidence},
			outcome.Undeliverable, true, "did not take", ""},
		{"delivery timed out, and the host shows that it ran", with{status("TimedOut", "DeliveryTimedOut", false)},
			outcome.TimedOut, true, "time limit", ""},
		{"pending for ever, and the host shows that it ran", with{status("Pending", "Pending", false)},
			outcome.TimedOut, true, "never seen to end", ""},
		{"cancelled, and SSM does not say whether it began", with{status("Cancelled", "Cancelled", false), noEvidence,
			unsure}, outcome.Unknown, false, "does not say", ""},
		{"pending for ever, and SSM does not say whether it began", with{status("Pending", "Pending", false),
			noEvidence, unsure}, outcome.Unknown, false, "does not say", ""},
		{"cancelled past the command's time, before it began", with{status("Cancelled", "Cancelled", false), noEvidence,
			func(e *outcome.Evidence) { e.Cancelled = outcome.ReasonExpired }}, outcome.NotSent, true,
			string(outcome.ReasonExpired), ""},
		{"delivery timed out although it was seen running", with{status("TimedOut", "DeliveryTimedOut", true)},
			outcome.TimedOut, true, "time limit", ""},
		{"cancelled while it ran", with{status("Cancelled", "Cancelled", true), noEvidence}, outcome.Interrupted, true,
			"while it was running", ""},
		{"cancelled, and the host shows that it ran", with{status("Cancelled", "Cancelled", false)},
			outcome.Interrupted, true, "while it was running", ""},
		{"cancelled before it began", with{status("Cancelled", "Cancelled", false), noEvidence}, outcome.NotSent, true,
			string(outcome.ReasonAbort), ""},
		{"cancelled before it began, for the budget", with{status("Cancelled", "Cancelled", false), noEvidence,
			func(e *outcome.Evidence) { e.Cancelled = outcome.ReasonBudget }}, outcome.NotSent, true,
			string(outcome.ReasonBudget), ""},
		{"cancelling for ever before it began", with{status("Cancelling", "Cancelling", false), noEvidence},
			outcome.NotSent, true, string(outcome.ReasonAbort), ""},
		{"cancelling for ever while it ran", with{status("Cancelling", "Cancelling", true), noEvidence},
			outcome.Interrupted, true, "while it was running", ""},
		{"pending past its deadline", with{status("Pending", "Pending", false), noEvidence}, outcome.Undeliverable,
			true, "never seen to take", ""},
		{"delayed past its deadline", with{status("Delayed", "Delayed", false), noEvidence}, outcome.Undeliverable,
			true, "never seen to take", ""},
		{"in progress past its deadline", with{status("InProgress", "InProgress", false), noEvidence}, outcome.TimedOut,
			true, "never seen to end", ""},
		{"pending again after it was seen running", with{status("Pending", "Pending", true), noEvidence},
			outcome.TimedOut, true, "never seen to end", ""},
		{"a status that nobody knows", with{status("Paused", "Paused", false), noEvidence}, outcome.Undeliverable, true,
			"never seen to take", ""},
	} {
		t.Run(test.name, test.check)
	}
}

func unsure(e *outcome.Evidence) { e.Unsure = true }

// SSM's details decide whatever status stands beside them: which one does is
// nowhere documented.
func TestJudge_details(t *testing.T) {
	for _, beside := range []string{"Failed", "Cancelled", "TimedOut", "Pending", ""} {
		for _, test := range []judgeCase{
			{"terminated by the error limit", with{status(beside, "Terminated", false), noEvidence}, outcome.NotSent,
				true, string(outcome.ReasonBudget), ""},
			{"terminated, and cancelled as well", with{status(beside, "Terminated", false), noEvidence,
				func(e *outcome.Evidence) { e.Cancelled = outcome.ReasonAbort }}, outcome.NotSent, true,
				string(outcome.ReasonBudget), ""},
			{"terminated while it ran", with{status(beside, "Terminated", true), noEvidence}, outcome.Interrupted, true,
				"while it was running", ""},
			{"over a service limit", with{status(beside, "RateExceeded", false), noEvidence}, outcome.NotSent, true,
				string(outcome.ReasonAccount), ""},
			{"undeliverable", with{status(beside, "Undeliverable", false), noEvidence}, outcome.Undeliverable, true,
				"could not reach", ""},
			{"wrong platform", with{status(beside, "InvalidPlatform", false), noEvidence}, outcome.Failed, true,
				"platform", ""},
			{"access denied", with{status(beside, "AccessDenied", false), noEvidence}, outcome.NotSent, true,
				string(outcome.ReasonOptedOut), ""},
		} {
			t.Run(test.name+" beside "+beside, test.check)
		}
	}
}

func TestJudge_lostOrNotSent(t *testing.T) {
	notSent := func(why outcome.Reason) func(*outcome.Evidence) { return func(e *outcome.Evidence) { e.NotSent = why } }
	for _, test := range []judgeCase{
		{"lost, no evidence: Unknown", with{lost, noEvidence}, outcome.Unknown, false, "no answer to the send", ""},
		{"lost, stale evidence: Unknown", with{lost, func(e *outcome.Evidence) {
			e.After.Started = sentAt().Add(-time.Hour)
		}}, outcome.Unknown, false, "no answer to the send", ""},
		{"lost, but the host shows our result: Patched", with{lost}, outcome.Patched, true, "", "status is not known"},
		{"lost, host shows our result but a reboot is due", with{lost, pendingReboot}, outcome.PatchedPendingReboot,
			false, "a reboot is due", "status is not known"},
		{"lost, and patches failed", with{lost, func(e *outcome.Evidence) { e.After.Failed = num(1) }}, outcome.Failed,
			true, "1 patch failed", "status is not known"},
		{"lost and initializing: both warnings", with{lost, func(e *outcome.Evidence) { e.Presence.Settling = true }},
			outcome.Patched, false, "", "initializing; the command's own status"},
		{"never listed by SSM", with{status("", "", false), noEvidence}, outcome.Unknown, false, "tells no end", ""},
		{"lost and terminated: Gone", with{lost, gone}, outcome.Gone, true, "after the command", ""},
		{"terminated after the send", with{gone}, outcome.Gone, true, "after the command", ""},
		{"terminated after a failure is still Gone", with{status("Failed", "Failed", true), gone}, outcome.Gone, true,
			"after the command", ""},
		{"terminated before the send", with{notSent(outcome.ReasonBudget), gone}, outcome.Gone, true,
			"before the command", ""},
		{"not sent for the budget", with{notSent(outcome.ReasonBudget)}, outcome.NotSent, true,
			string(outcome.ReasonBudget), ""},
		{"not sent, whatever the host shows", with{notSent(outcome.ReasonOptedOut)}, outcome.NotSent, true,
			string(outcome.ReasonOptedOut), ""},
	} {
		t.Run(test.name, test.check)
	}
}

// drawEvidence draws any evidence, plausible or not.
func drawEvidence(t *rapid.T) outcome.Evidence {
	e := evidence()
	count := func(name string) *int {
		if rapid.Bool().Draw(t, name+" nil") {
			return nil
		}
		return num(rapid.IntRange(-1, 3).Draw(t, name))
	}
	e.Operation = rapid.SampledFrom([]patch.Operation{patch.Install, patch.Scan}).Draw(t, "operation")
	e.RebootOption = rapid.SampledFrom([]patch.RebootOption{patch.RebootIfNeeded, patch.NoReboot}).Draw(t, "reboot")
	e.NotSent = rapid.SampledFrom([]outcome.Reason{"", "", "", outcome.ReasonBudget}).Draw(t, "notSent")
	e.Lost = rapid.Bool().Draw(t, "lost")
	e.Invocation.Status = rapid.SampledFrom([]string{"", "Pending", "InProgress", "Delayed", "Success", "Cancelled",
		"TimedOut", "Failed", "Cancelling"}).Draw(t, "status")
	e.Invocation.Details = rapid.SampledFrom([]string{"", "Success", "Failed", "Terminated", "Undeliverable",
		"DeliveryTimedOut", "AccessDenied"}).Draw(t, "details")
	e.Invocation.Ran = rapid.Bool().Draw(t, "ran")
	e.Unsure = rapid.Bool().Draw(t, "unsure")
	e.Presence.Exists = rapid.IntRange(0, 4).Draw(t, "exists") > 0
	e.Presence.Running, e.Presence.Online = rapid.Bool().Draw(t, "running"), rapid.Bool().Draw(t, "online")
	e.After = &outcome.PatchState{
		Operation: rapid.SampledFrom([]patch.Operation{patch.Install, patch.Scan}).Draw(t, "state's operation"),
		Started:   sentAt().Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "started")) * time.Minute),
		Missing:   count("missing"), Failed: count("failed"), InstalledPendingReboot: count("reboots"),
	}
	e.After.Ended = e.After.Started.Add(time.Duration(rapid.IntRange(-1, 20).Draw(t, "took")) * time.Minute)
	return e
}

// Whatever is known, success needs a patch state of the right operation, not
// older than the command, with sane counts and nothing missing or failed.
func TestJudge_neverSuccessWithoutFreshEvidence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := drawEvidence(rt)
		got := outcome.Judge(e)
		assert.Contains(rt, outcome.Outcomes(), got.Outcome)
		switch got.Outcome {
		case outcome.Patched, outcome.PatchedPendingReboot, outcome.Compliant:
			a := e.After
			assert.Equal(rt, e.Operation, a.Operation)
			assert.False(rt, a.Started.Before(sentAt().Add(-outcome.ClockSkew)), "stale")
			assert.False(rt, a.Ended.Before(a.Started), "insane times")
			assert.Equal(rt, 0, *a.Missing)
			assert.Equal(rt, 0, *a.Failed)
			assert.Empty(rt, e.NotSent)
			assert.True(rt, e.Presence.Exists)
		}
		if e.NotSent == "" {
			assert.False(rt, got.Outcome == outcome.NotSent && e.Invocation.Ran, "it began")
		}
		if !got.Settled {
			return
		}
		assert.NotEqual(rt, outcome.Unhealthy, got.Outcome, "an instance may still come back")
		assert.NotEqual(rt, outcome.Unknown, got.Outcome, "a patch state may still arrive")
	})
}

// A reason that counts is the text of the counts that the report groups by, and no other reason has any.
func TestInstanceReport_Short(t *testing.T) {
	seen := map[outcome.Outcome]bool{}
	ends := []func(*outcome.Evidence){ // as SSM has them
		status("Success", "Success", true), status("Failed", "Failed", true), status("Failed", "Undeliverable", false),
		status("Failed", "InvalidPlatform", false),
		status("TimedOut", "ExecutionTimedOut", true), status("TimedOut", "DeliveryTimedOut", false),
		status("InProgress", "InProgress", true), status("", "", false),
	}
	rapid.Check(t, func(rt *rapid.T) {
		e, number := evidence(), rapid.IntRange(0, 2)
		e.Operation = rapid.SampledFrom([]patch.Operation{patch.Install, patch.Scan}).Draw(rt, "operation")
		e.Lost = rapid.Bool().Draw(rt, "lost")
		rapid.SampledFrom(ends).Draw(rt, "end")(&e)
		if e.Lost {
			e.Invocation = outcome.Invocation{}
		}
		e.After.Operation = e.Operation
		e.After.Missing, e.After.Failed = num(number.Draw(rt, "missing")), num(number.Draw(rt, "failed"))
		e.After.InstalledPendingReboot, e.After.InstalledRejected = num(number.Draw(rt, "reboots")),
			num(number.Draw(rt, "rejected"))
		got := outcome.Judge(e)
		r := outcome.InstanceReport{Outcome: got.Outcome, Reason: got.Reason,
			Status: cmp.Or(e.Invocation.Details, e.Invocation.Status), After: e.After}
		counts := r.Short()
		assert.Equal(rt, regexp.MustCompile(`^\d`).MatchString(got.Reason), counts != nil, got.Reason)
		if counts != nil {
			assert.Equal(rt, got.Reason, outcome.CountedText(counts))
			seen[got.Outcome] = true
		}
	})
	assert.Equal(t, map[outcome.Outcome]bool{outcome.Failed: true, outcome.NonCompliant: true}, seen, "both were drawn")
}

func TestOutcome_Class(t *testing.T) {
	tests := []struct {
		outcome  outcome.Outcome
		reboot   patch.RebootOption
		unsent   outcome.Class
		sentThen outcome.Class
	}{
		{outcome.Patched, patch.RebootIfNeeded, outcome.Good, outcome.Good},
		{outcome.Compliant, patch.RebootIfNeeded, outcome.Good, outcome.Good},
		{outcome.NonCompliant, patch.NoReboot, outcome.Good, outcome.Good},
		{outcome.PatchedPendingReboot, patch.NoReboot, outcome.Good, outcome.Good},
		{outcome.PatchedPendingReboot, patch.RebootIfNeeded, outcome.Failure, outcome.Failure},
		{outcome.Failed, patch.NoReboot, outcome.Failure, outcome.Failure},
		{outcome.TimedOut, patch.NoReboot, outcome.Failure, outcome.Failure},
		{outcome.Interrupted, patch.NoReboot, outcome.Failure, outcome.Failure},
		{outcome.Undeliverable, patch.NoReboot, outcome.Failure, outcome.Failure},
		{outcome.Unhealthy, patch.NoReboot, outcome.Failure, outcome.Failure},
		{outcome.Unknown, patch.NoReboot, outcome.Failure, outcome.Failure},
		{outcome.Gone, patch.NoReboot, outcome.Neutral, outcome.Failure},
		{outcome.NotSent, patch.NoReboot, outcome.Neutral, outcome.Neutral},
		{"SomethingNew", patch.NoReboot, outcome.Failure, outcome.Failure},
	}
	covered := map[outcome.Outcome]bool{}
	for _, test := range tests {
		covered[test.outcome] = true
		assert.Equal(t, test.unsent, test.outcome.Class(test.reboot, false), "%s under %s, not sent",
			test.outcome, test.reboot)
		assert.Equal(t, test.sentThen, test.outcome.Class(test.reboot, true), "%s under %s, sent",
			test.outcome, test.reboot)
	}
	for _, o := range outcome.Outcomes() {
		assert.True(t, covered[o], "no row for %s", o)
	}
}

func TestInvocation(t *testing.T) {
	tests := []struct {
		status, details               string
		ran                           bool
		terminal, running, began, bad bool
	}{
		{"Pending", "Pending", false, false, false, false, true},
		{"InProgress", "InProgress", false, false, true, true, true},
		{"Delayed", "Delayed", false, false, false, false, true},
		{"Cancelling", "Cancelling", false, false, false, false, true},
		{"Cancelling", "Cancelling", true, false, true, true, true},
		{"Success", "Success", true, true, false, true, false},
		{"Failed", "Failed", true, true, false, true, true},
		{"TimedOut", "DeliveryTimedOut", false, true, false, false, true},
		{"Cancelled", "Cancelled", false, true, false, false, false},
		{"Cancelled", "Cancelled", true, true, false, true, true},
		{"Cancelled", "Terminated", false, true, false, false, false},
		{"Failed", "Terminated", false, true, false, false, false},
		{"Failed", "RateExceeded", false, true, false, false, false},
		{"Cancelled", "Undeliverable", false, true, false, false, true},
		{"Success", "AccessDenied", false, true, false, false, false},
	}
	for _, test := range tests {
		i := outcome.Invocation{Status: test.status, Details: test.details, Ran: test.ran}
		assert.Equal(t, test.terminal, i.Terminal(), "%+v is final", i)
		assert.Equal(t, test.running, i.Running(), "%+v is running", i)
		assert.Equal(t, test.began, i.Started(), "%+v has started", i)
		assert.Equal(t, test.bad, i.Bad(), "%+v is bad", i)
	}
}
