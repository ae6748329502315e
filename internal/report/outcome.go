package report

import (
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/words"
)

// tone is how an outcome is drawn. A tone is never shown alone: a sign and the
// outcome's name always stand beside it.
type tone string

const (
	toneGood tone = "good"
	toneWarn tone = "warn"
	toneBad  tone = "bad"
	toneNone tone = "none"
)

// look is how an outcome is shown and what it means to somebody who has to act.
type look struct {
	Sign    string
	Tone    tone
	Meaning string
}

// lookOf describes an outcome. One that is not known is shown as bad.
func lookOf(o outcome.Outcome) look {
	switch o {
	case outcome.Patched:
		return look{"✓", toneGood, "Patched by this run: nothing is missing, failed or waiting for a reboot."}
	case outcome.Compliant:
		return look{"✓", toneGood, "Nothing was missing."}
	case outcome.PatchedPendingReboot:
		return look{"↻", toneWarn, "Patches are installed and wait for a reboot."}
	case outcome.NonCompliant:
		return look{"▲", toneWarn, "The scan found missing patches."}
	case outcome.Failed:
		return look{"✗", toneBad, "The command or one of its patches failed."}
	case outcome.TimedOut:
		return look{"✗", toneBad, "The command began and did not end before its deadline."}
	case outcome.Interrupted:
		return look{"✗", toneBad, "The command had begun and was cancelled: by this run, or by someone else."}
	case outcome.Undeliverable:
		return look{"✗", toneBad, "The command never reached the SSM Agent."}
	case outcome.Unhealthy:
		return look{"✗", toneBad, "Not in service by the deadline, whatever became of the command."}
	case outcome.Unknown:
		return look{"?", toneBad, "There is no fresh evidence. It counts as a failure."}
	case outcome.Gone:
		return look{"–", toneNone, "Terminated since the plan was made."}
	case outcome.NotSent:
		return look{"–", toneNone, "In the plan, but no command was sent."}
	case outcome.Offline:
		return look{"○", toneWarn, "Managed by SSM, but the agent did not answer when the plan was made."}
	case outcome.Unmanaged:
		return look{"○", toneWarn, "Runs in EC2, but SSM does not know it."}
	case outcome.Excluded:
		return look{"○", toneNone, "Left out on purpose."}
	case outcome.Hybrid:
		return look{"○", toneNone, "Known to SSM by an activation, not as an EC2 instance."}
	case outcome.Newcomer:
		return look{"+", toneNone, "Appeared after the plan was made."}
	}
	return look{"?", toneBad, "This outcome is not known to this version."}
}

// explain is the sentence for the reasons that are codes; other reasons speak
// for themselves.
func explain(o outcome.Outcome, reason string) string {
	if o != outcome.NotSent {
		return reason
	}
	switch outcome.Reason(reason) {
	case outcome.ReasonBudget:
		return "budget: too many failures before it, nothing more was sent"
	case outcome.ReasonAbort:
		return "abort: the run was stopped by hand"
	case outcome.ReasonLease:
		return "lease: another run was at work in this account and region"
	case outcome.ReasonAccount:
		return "account: the account could not be used"
	case outcome.ReasonRejected:
		return "rejected: the approval was refused"
	case outcome.ReasonExpired:
		return "expired: no one approved in time, or the command's time was over before it started"
	case outcome.ReasonOffline:
		return "offline: the agent was away when its turn came"
	case outcome.ReasonOptedOut:
		return "optedOut: its tags say that it must not be patched, or its account lets us send to tagged instances only"
	case outcome.ReasonStopped:
		return "stopped: the run, or its account and region, was stopped before its turn came"
	}
	return reason
}

// whyUnreachable is the reason that an account was not reached. The first one that
// everybody meets is a spoke that is not deployed: it is told with what to do,
// and the whole answer of AWS stands in report.json.
func whyUnreachable(u plan.UnreachableAccount) string {
	reason := words.Clean(u.Reason)
	if _, denied := NotAssumed(u); denied {
		what, _, _ := strings.Cut(reason, ": ")
		return "access denied: " + what +
			". Deploy spoke-cfn.yaml there, with the hub's external id. All that AWS said is in report.json."
	}
	return reason
}

// NotAssumed tells whether an account was not reached because it did not let its role be assumed, and which role.
func NotAssumed(u plan.UnreachableAccount) (role string, denied bool) {
	what, _, denied := strings.Cut(words.Clean(u.Reason), ": "+string(patch.ErrAccessDenied)+": ")
	role, assumes := strings.CutPrefix(what, "assume role ")
	role, _, _ = strings.Cut(role, " in account ")
	if !denied || !assumes {
		return "", false
	}
	return role, true
}

// notDone lists the outcomes that end up in "what was not patched, and why",
// the most urgent first.
func notDone() []outcome.Outcome {
	return []outcome.Outcome{
		outcome.Failed, outcome.TimedOut, outcome.Interrupted, outcome.Unhealthy, outcome.Unknown, outcome.Undeliverable,
		outcome.NonCompliant,
		outcome.PatchedPendingReboot, outcome.NotSent, outcome.Gone, outcome.Offline, outcome.Unmanaged, outcome.Hybrid,
		outcome.Newcomer, outcome.Excluded,
	}
}

// nothingSent tells a run that was ended before its first command from a later one.
func nothingSent(r *Report) string {
	if r.Totals.Outcomes[outcome.NotSent] < r.Totals.Planned {
		return "Nothing more was sent."
	}
	return "Nothing was sent."
}

// did is what a run does to an instance.
func did(r *Report) string {
	if r.Scans() {
		return "scanned"
	}
	return "patched"
}

// statusTone is how a run's status is drawn.
func statusTone(s patch.RunStatus) tone {
	switch s {
	case patch.RunSucceeded, patch.RunPlanned:
		return toneGood
	case patch.RunIncomplete, patch.RunCompleted, patch.RunRejected, patch.RunExpired, patch.RunRunning:
		return toneWarn
	}
	return toneBad
}

// idle tells whether a run came to its end without anything to do, which is
// mostly a tag that was mistyped.
func idle(r *Report) bool {
	return r.Totals.Planned == 0 && (r.Status == patch.RunSucceeded || r.Status == patch.RunIncomplete)
}

// headTone is how the head of a report is drawn.
func headTone(r *Report) tone {
	if idle(r) {
		return toneWarn
	}
	return statusTone(r.Status)
}

// headNotes are what was looked for and not found, where a run had nothing to do.
func headNotes(r *Report) []string {
	if !idle(r) {
		return nil
	}
	var out []string
	for _, w := range r.Waves[:min(len(r.Waves), maxHeadNotes)] {
		if w.Filter != "" {
			out = append(out, "Wave "+words.Clean(w.Name)+" looked for: "+words.Clean(w.Filter)+".")
		}
	}
	return out
}

// maxHeadNotes keeps the head of a page short.
const maxHeadNotes = 10

// statusSentence says what a run's status means.
func statusSentence(r *Report) string {
	switch r.Status {
	case patch.RunSucceeded:
		if idle(r) {
			return "Nothing was matched that can be " + did(r) + ": nothing was " + did(r) + "."
		}
		if r.Scans() {
			return "Every wave was scanned and judged good."
		}
		return "Every wave was judged good."
	case patch.RunIncomplete:
		switch reached := len(r.Unreachable) == 0; {
		case idle(r) && reached:
			return "Nothing was matched that can be " + did(r) + ": nothing was " + did(r) + "."
		case idle(r):
			return "Some account could not be reached, and nothing was matched elsewhere: nothing was " + did(r) + "."
		case reached:
			return "Some wave matched nothing that can be " + did(r) + ". Every wave was judged good."
		}
		return "Some account could not be reached. Every wave was judged good."
	case patch.RunCompleted:
		return "Every wave was judged good, and not every instance is."
	case patch.RunPlanned:
		return "The plan was made. Nothing was asked for or sent."
	case patch.RunRefused:
		return "The input or the plan was refused. Nothing was sent."
	case patch.RunStopped:
		return "A wave stopped the run. No later wave was started."
	case patch.RunRejected:
		return "The approval was refused. " + nothingSent(r)
	case patch.RunExpired:
		return "Nobody approved in time. " + nothingSent(r)
	case patch.RunAborted:
		return "The run was stopped by hand."
	case patch.RunRunning:
		return "The run has not ended."
	}
	return "The run ended in an error."
}
