package patch

import (
	"fmt"
	"time"
)

// ClockSkew is how far an instance's clock may be off when its times are
// compared with ours.
const ClockSkew = 5 * time.Minute

// ListMargin is how much earlier than a function believes a command may have been
// sent when Run Command is asked for it by time: the function's clock may be off. A
// command that is missed so is given up, so the margin is ample; its price is a
// longer list.
const ListMargin = 15 * time.Minute

// Presence is what EC2 and the agent say of an instance after its command.
type Presence struct {
	Exists   bool // EC2 knows it, and it is not terminated
	Running  bool
	Impaired bool // a status check fails
	Settling bool // a status check is still initializing
	Online   bool // the agent pings
	LastPing time.Time
}

// Evidence is all that is known of one planned instance when it is judged.
type Evidence struct {
	Operation    Operation
	RebootOption RebootOption
	SnapshotID   string
	Planned      PlannedInstance

	NotSent    string // why it was never part of an accepted command, empty if it was
	Lost       bool   // nobody can tell whether its command was accepted
	Sent       time.Time
	Invocation Invocation // zero if SSM never listed one
	Cancelled  string     // why we asked SSM to cancel what had not started, empty if we did not
	Unsure     bool       // SSM does not say whether the agent began; what is known is in Invocation.Ran

	Presence Presence
	After    *PatchState
}

// Finding is the judgement on one instance.
type Finding struct {
	Outcome Outcome
	Reason  string
	Warning string
	// Settled is false while a later look may find something better.
	Settled bool
}

// Judge gives a planned instance its outcome. It says Success only on fresh
// evidence; what it cannot know is Unknown.
func Judge(e Evidence) Finding {
	if e.NotSent != "" {
		return e.judgeUnsent()
	}
	if !e.Presence.Exists {
		return settled(Gone, "terminated after the command was sent")
	}
	if e.Lost {
		return e.judgeLost()
	}
	if f, ok := e.judgeDetails(); ok {
		return f
	}
	switch e.Invocation.Status {
	case "Success":
		return e.judgeSuccess()
	case "Failed":
		return e.judgeFailed()
	case "TimedOut":
		return e.judgeTimedOut()
	case "Cancelled", "Cancelling":
		return e.judgeCancelled()
	case "":
		return e.judgeLost()
	}
	switch {
	case e.began():
		return settled(TimedOut, "it began, and was never seen to end")
	case e.Unsure:
		return unsure()
	}
	return settled(Undeliverable, "the agent was never seen to take the command")
}

// began tells whether the agent has begun, by SSM or by the host's own evidence.
func (e Evidence) began() bool { return e.Invocation.Started() || e.fresh() == "" }

func unsure() Finding {
	return Finding{Outcome: Unknown, Reason: "SSM does not say whether the agent had begun when the command was cancelled"}
}

func (e Evidence) judgeUnsent() Finding {
	if !e.Presence.Exists {
		return settled(Gone, "terminated before the command was sent")
	}
	return settled(NotSent, e.NotSent)
}

// judgeLost knows nothing from SSM. Only the host's own evidence can tell.
func (e Evidence) judgeLost() Finding {
	if e.fresh() == "" && e.After.SnapshotID == e.SnapshotID {
		f := e.judgeSuccess()
		f.Warning = join(f.Warning, "the command's own status is not known")
		return f
	}
	return Finding{Outcome: Unknown, Reason: "no answer to the send, and no patch state that could be its result"}
}

// judgeDetails knows the endings that only SSM's detailed status tells, whatever
// status stands beside it.
func (e Evidence) judgeDetails() (Finding, bool) {
	switch e.Invocation.Details {
	case "Terminated", "RateExceeded":
		return e.judgeDropped(), true
	case "Undeliverable":
		return settled(Undeliverable, "SSM could not reach the agent"), true
	case "InvalidPlatform":
		return settled(Failed, "the patch document does not fit the platform"), true
	case "AccessDenied":
		return settled(Failed, "SSM was denied access to the instance"), true
	}
	return Finding{}, false
}

// judgeDropped judges what SSM itself took back: after too many errors, or
// because the account had too many commands.
func (e Evidence) judgeDropped() Finding {
	switch {
	case e.began():
		return settled(TimedOut, "SSM ended the command while it was running")
	case e.Invocation.Details == "RateExceeded":
		return settled(NotSent, ReasonAccount)
	}
	return settled(NotSent, ReasonBudget)
}

func (e Evidence) judgeFailed() Finding {
	f := settled(Failed, "the patch command failed")
	if e.fresh() == "" && e.After.Clean() {
		f.Warning = "status and evidence disagree: the command failed, but nothing is missing or failed on the instance"
	} else if e.fresh() == "" && count(e.After.Failed) > 0 {
		f.Reason = f.Reason + ": " + patches(e.After.Failed, "failed")
	}
	return f
}

func (e Evidence) judgeTimedOut() Finding {
	if e.Invocation.Details == "DeliveryTimedOut" && !e.began() {
		return settled(Undeliverable, "the agent did not take the command in time")
	}
	return settled(TimedOut, "the command ran into its time limit")
}

func (e Evidence) judgeCancelled() Finding {
	switch {
	case e.began():
		return settled(TimedOut, "cancelled while it was running")
	case e.Unsure:
		return unsure()
	}
	return settled(NotSent, orElse(e.Cancelled, ReasonAbort)) // an abort too, if somebody else did it
}

func (e Evidence) judgeSuccess() Finding {
	if stale := e.fresh(); stale != "" {
		return Finding{Outcome: Unknown, Reason: stale}
	}
	after := e.After
	if count(after.Failed) > 0 {
		return settled(Failed, patches(after.Failed, "failed although the command succeeded"))
	}
	if e.Operation == Scan {
		if after.Clean() {
			return settled(Compliant, "")
		}
		return settled(NonCompliant, after.open())
	}
	if count(after.Missing) > 0 {
		return settled(Failed, patches(after.Missing, "still missing"))
	}
	f := e.judgeHealth()
	if f.Outcome != Patched {
		return f
	}
	if count(after.InstalledPendingReboot) > 0 {
		f.Outcome, f.Reason = PatchedPendingReboot, "a reboot is due"
		f.Settled = e.RebootOption == NoReboot
		return f
	}
	if e.nothingWasMissing() {
		f.Outcome = Compliant
	}
	return f
}

// judgeHealth asks whether the instance is back in service.
func (e Evidence) judgeHealth() Finding {
	p := e.Presence
	switch {
	case !p.Running:
		return Finding{Outcome: Unhealthy, Reason: "patched, but the instance is not running"}
	case !p.Online:
		return Finding{Outcome: Unhealthy, Reason: "patched, but the agent has not come back"}
	case p.LastPing.Before(e.After.Ended):
		return Finding{Outcome: Unhealthy, Reason: "patched, but the agent has not been heard of since"}
	case p.Impaired && !e.Planned.Impaired:
		return Finding{Outcome: Unhealthy, Reason: "patched, but EC2's status checks fail since"}
	case p.Settling:
		return Finding{Outcome: Patched, Warning: "EC2's status checks are still initializing"}
	}
	return Finding{Outcome: Patched, Settled: true}
}

// fresh says why the patch state cannot be the result of our command, or
// nothing if it is.
func (e Evidence) fresh() string {
	a := e.After
	switch {
	case a == nil:
		return "no patch state was reported"
	case a.Operation != e.Operation:
		return fmt.Sprintf("the patch state is of a %s by something else", a.Operation)
	case a.SnapshotID != "" && a.SnapshotID != e.SnapshotID:
		return "the patch state was written by something else"
	case a.Started.Before(e.Sent.Add(-ClockSkew)) || a.Ended.Before(a.Started):
		return "the patch state is older than the command"
	case a.Missing == nil || a.Failed == nil || *a.Missing < 0 || *a.Failed < 0 || count(a.InstalledPendingReboot) < 0:
		return "the patch state has no sane counts"
	}
	return ""
}

func (e Evidence) nothingWasMissing() bool {
	b, a := e.Planned.Before, e.After
	return b != nil && b.Missing != nil && *b.Missing == 0 && b.Installed != nil && a.Installed != nil && *b.Installed == *a.Installed
}

// Clean tells whether nothing is missing, failed, rejected or waiting for a reboot.
func (s *PatchState) Clean() bool {
	return count(s.Missing)+count(s.Failed)+count(s.InstalledPendingReboot)+count(s.InstalledRejected) == 0
}

// open says what keeps the state from being clean.
func (s *PatchState) open() string {
	text := Count(count(s.Missing), "patch") + " missing"
	if n := count(s.InstalledPendingReboot); n > 0 {
		text += fmt.Sprintf(", %d waiting for a reboot", n)
	}
	if n := count(s.InstalledRejected); n > 0 {
		text += fmt.Sprintf(", %d rejected", n)
	}
	return text
}

func settled(o Outcome, reason string) Finding {
	return Finding{Outcome: o, Reason: reason, Settled: true}
}

// patches counts them in words.
func patches(n *int, what string) string { return Count(count(n), "patch") + " " + what }

func count(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
