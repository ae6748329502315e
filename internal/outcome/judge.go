package outcome

import (
	"cmp"
	"fmt"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// ClockSkew is how far an instance's clock may be off when its times are
// compared with ours.
const ClockSkew = 5 * time.Minute

// ListMargin is how much earlier than a function believes a command may have been
// sent when Run Command is asked for it by time: the function's clock may be off. A
// command that is missed so is given up, so the margin is ample; its price is a
// longer list.
const ListMargin = 15 * time.Minute

// rebootGrace is how long after its record a machine that is due to reboot may
// still be up: the agent asks the system to restart within a minute or two, and
// pings every five. A ping after it is of a machine that has been through it.
const rebootGrace = 3 * time.Minute

// recentRecord is how old a patch record may be before it says nothing about what
// a later command found: that of a daily scan, which was late, is recent.
const recentRecord = 36 * time.Hour

// Presence is what EC2 and the agent say of an instance after its command.
type Presence struct {
	Exists        bool // EC2 knows it, and it is not terminated
	Running       bool
	Stopped       time.Time // since when it does not run, by EC2; zero if EC2 does not say
	Impaired      bool      // a status check fails
	ImpairedSince time.Time // since when, by EC2; zero if EC2 does not say
	Settling      bool      // a status check is still initializing
	Online        bool      // the agent pings
	LastPing      time.Time
}

// Evidence is all that is known of one planned instance when it is judged.
type Evidence struct {
	Operation    patch.Operation
	RebootOption patch.RebootOption
	SnapshotID   string
	Planned      PlannedInstance

	NotSent    Reason // why it was never part of an accepted command, empty if it was
	Lost       bool   // nobody can tell whether its command was accepted
	Sent       time.Time
	Invocation Invocation // zero if SSM never listed one
	// Cancelled is why we asked SSM to cancel it, empty if we did not: ReasonExpired
	// is past its own deadline, ReasonAbort is `abort --cancel`.
	Cancelled Reason
	Unsure    bool // SSM does not say whether the agent began; what is known is in Invocation.Ran

	Presence Presence
	After    *PatchState
	Named    *NamedList // patches by name; nil if they were not read
}

// Finding is the judgement on one instance.
type Finding struct {
	Outcome Outcome
	Reason  string
	Warning string
	Down    Down      // of an Unhealthy instance
	Since   time.Time // since when it is down; zero if nobody knows
	// Settled is false while a later look may find something better, or worse.
	Settled bool
}

// Judge gives a planned instance its outcome: the first that applies of Gone,
// NotSent, Unhealthy, Interrupted, TimedOut, Undeliverable, Failed, Unknown and
// the good ones. It says a good one only on fresh evidence.
func Judge(e Evidence) Finding {
	switch {
	case !e.Presence.Exists && e.NotSent != "":
		return settled(Gone, "terminated before the command was sent")
	case !e.Presence.Exists:
		return settled(Gone, "terminated after the command was sent")
	case e.NotSent != "":
		return settled(NotSent, string(e.NotSent))
	}
	if reason, ok := e.neverBegan(); ok {
		return settled(NotSent, string(reason))
	}
	if down, since := e.down(); down != "" {
		return Finding{Outcome: Unhealthy, Reason: e.downText(down, since), Down: down, Since: since}
	}
	f := e.judgeCommand()
	if e.Presence.Settling {
		f.Settled = false
		if f.Outcome.Class(e.RebootOption, true) == Good {
			f.Warning = words.Joined("EC2's status checks are still initializing", f.Warning)
		}
	}
	// A command that ended badly may have ended because the machine went away. Only a
	// ping after its end shows that it is up.
	if !e.succeeded() && e.Presence.LastPing.Before(e.Invocation.Seen) {
		f.Settled = false
	}
	return f
}

// neverBegan is the reason of what was accepted and taken back before the agent began.
func (e Evidence) neverBegan() (reason Reason, ok bool) {
	if e.Lost || e.began() {
		return "", false
	}
	switch e.Invocation.Details {
	case "Terminated": // SSM: after too many errors
		return ReasonBudget, true
	case "RateExceeded": // SSM: the account had too many commands
		return ReasonAccount, true
	case "AccessDenied": // SSM: whoever sent it may not send to this instance
		return ReasonOptedOut, true
	}
	if e.cancelled() && !e.Unsure {
		return cmp.Or(e.Cancelled, ReasonAbort), true // an abort too, if somebody else did it
	}
	return "", false
}

// cancelled tells whether SSM says that the command was, or is being, cancelled,
// and nothing more: the details of another ending come first.
func (e Evidence) cancelled() bool {
	switch e.Invocation.Details {
	case "Undeliverable", "InvalidPlatform":
		return false
	}
	return e.Invocation.Status == "Cancelled" || e.Invocation.Status == "Cancelling"
}

// began tells whether the agent has begun, by SSM or by the host's own evidence.
func (e Evidence) began() bool { return e.Invocation.Started() || e.Fresh() }

// down tells whether the instance is out of service, whatever became of its
// command, and since when.
func (e Evidence) down() (Down, time.Time) {
	p := e.Presence
	switch {
	case !p.Running && !p.Stopped.IsZero():
		return DownStopped, p.Stopped
	case !p.Running:
		return DownStopped, p.LastPing // the last that anybody has heard of it
	case !p.Online:
		return DownSilent, p.LastPing
	case e.succeeded() && e.Fresh() && e.Operation == patch.Install && p.LastPing.Before(e.After.Ended):
		return DownSilent, p.LastPing
	case p.Impaired && !e.Planned.Impaired:
		return DownImpaired, p.ImpairedSince
	}
	return "", time.Time{}
}

func (e Evidence) succeeded() bool { return e.Invocation.Status == "Success" && !e.Lost }

// SinceText is a moment as a reason names it.
func SinceText(at time.Time) string { return "since " + words.Time(at) }

// downText is the reason of an instance that is down: how, since when, and what
// the run has left on it.
func (e Evidence) downText(d Down, since time.Time) string {
	text := DownText(d)
	if !since.IsZero() {
		text += " " + SinceText(since)
	}
	return text + "; " + e.installedText()
}

// DownText says in words why an instance is Unhealthy.
func DownText(d Down) string {
	switch d {
	case DownStopped:
		return "stopped"
	case DownImpaired:
		return "EC2's status checks fail"
	}
	return "the agent is silent"
}

// installedText says what the run has installed.
func (e Evidence) installedText() string {
	n, known := e.InstalledByUs()
	switch {
	case e.Operation == patch.Scan:
		return "it was scanned only"
	case known && n == 0:
		return "nothing was installed"
	case known:
		return patches(&n, "installed")
	case e.Fresh() && orZero(e.After.Missing)+orZero(e.After.Failed) == 0:
		return "by its record nothing is missing"
	case e.Fresh():
		return patches(e.After.Missing, "missing") + ", " + patches(e.After.Failed, "failed")
	}
	return "what was installed is not known"
}

// InstalledByUs counts the patches that were installed while our command was at
// work. known is false where nothing tells it.
func (e Evidence) InstalledByUs() (n int, known bool) {
	if e.Named == nil {
		return 0, false
	}
	n, known = e.Named.InstalledSince(e.Sent.Add(-ClockSkew))
	if n > 0 || !known {
		return n, known
	}
	// The list is as old as the record: without one of ours it says nothing, nor does one that lacks patches which the
	// record counts.
	return 0, e.Fresh() && e.Named.counted() >= orZero(e.After.Installed)
}

// AskNames tells whether patches by name are needed to tell Compliant from
// Patched: neither a recent record says that something was missing before, nor
// were the names read.
func (e Evidence) AskNames() bool {
	return e.Operation == patch.Install && e.Named == nil && !e.wasMissing()
}

// wasMissing tells whether a recent record said that there was something to install.
func (e Evidence) wasMissing() bool {
	b := e.Planned.Before
	return e.beforeIsRecent() && b.Missing != nil && *b.Missing > 0
}

func (e Evidence) beforeIsRecent() bool {
	b := e.Planned.Before
	return b != nil && !b.Ended.Before(e.Sent.Add(-recentRecord))
}

// judgeCommand judges an instance that is in service by what became of its command.
func (e Evidence) judgeCommand() Finding {
	i := e.Invocation
	switch {
	case e.Lost, i.Status == "" && i.Details == "":
		return e.judgeLost()
	case i.Details == "Terminated", i.Details == "RateExceeded", i.Details == "AccessDenied":
		return settled(Interrupted, "SSM ended the command while it was running")
	case i.Details == "Undeliverable":
		return e.judgeUndelivered("SSM could not reach the agent")
	case i.Details == "InvalidPlatform":
		return settled(Failed, "the patch document does not fit the platform")
	case e.cancelled():
		return e.judgeCancelled()
	}
	switch i.Status {
	case "Success":
		return e.judgeRecord()
	case "Failed":
		return e.judgeFailed()
	case "TimedOut":
		if i.Details == "DeliveryTimedOut" && !e.began() {
			return e.judgeUndelivered("the agent did not take the command in time")
		}
		return settled(TimedOut, "the command ran into its time limit")
	}
	return e.judgeEndless()
}

// judgeUndelivered judges what SSM says never reached the agent. If the host
// shows that it did, nobody knows how it ended.
func (e Evidence) judgeUndelivered(reason string) Finding {
	if e.began() {
		return e.judgeLost()
	}
	return settled(Undeliverable, reason)
}

// judgeCancelled judges what was cancelled after it began.
func (e Evidence) judgeCancelled() Finding {
	switch {
	case !e.began():
		return Finding{Outcome: Unknown,
			Reason: "SSM does not say whether the agent had begun when the command was cancelled"}
	case e.Cancelled == ReasonExpired:
		return settled(TimedOut, "it ran past its deadline and was cancelled")
	case e.Cancelled == "":
		return settled(Interrupted, "cancelled by someone else while it was running")
	}
	return settled(Interrupted, "cancelled by this run while it was running ("+string(e.Cancelled)+")")
}

// judgeEndless judges what was never seen to end.
func (e Evidence) judgeEndless() Finding {
	switch {
	case e.began() && (e.Cancelled == "" || e.Cancelled == ReasonExpired):
		return settled(TimedOut, "it began, and was never seen to end")
	case e.began():
		return settled(Interrupted, "it began, was to be cancelled ("+string(e.Cancelled)+"), and was never seen to end")
	case e.Unsure:
		return Finding{Outcome: Unknown, Reason: "SSM does not say whether the agent has begun"}
	}
	return settled(Undeliverable, "the agent was never seen to take the command")
}

// judgeLost knows nothing from SSM. Only the host's own evidence can tell.
func (e Evidence) judgeLost() Finding {
	why := "SSM tells no end of the command"
	if e.Lost {
		why = "no answer to the send"
	}
	if !e.Fresh() || e.After.SnapshotID != e.SnapshotID {
		return Finding{Outcome: Unknown, Reason: why + ", and no patch state that could be its result"}
	}
	f := e.judgeRecord()
	if f.Outcome != Failed && !Outlived(e.After, e.RebootOption, e.Presence.LastPing) {
		return Finding{Outcome: Unknown,
			Reason: why + "; there is a patch state, and no ping since the reboot that may have followed it"}
	}
	f.Warning = words.Joined(f.Warning, "the command's own status is not known")
	return f
}

// Outlived tells whether the machine is known to have come through the reboot that
// may have followed a record. The patch document uploads its record before it asks
// for the reboot, and perhaps none after it: where one is due, the record alone
// proves nothing without the command's own success.
func Outlived(s *PatchState, reboot patch.RebootOption, lastPing time.Time) bool {
	if s.Operation != patch.Install || reboot == patch.NoReboot {
		return true
	}
	return !lastPing.Before(s.Ended.Add(rebootGrace))
}

// Proves tells whether a record, by itself, is the good end of the command with
// that snapshot, on an instance whose agent pinged last then.
func (s *PatchState) Proves(op patch.Operation, reboot patch.RebootOption, snapshotID string, lastPing time.Time) bool {
	if s == nil || snapshotID == "" || s.SnapshotID != snapshotID || s.Operation != op || !Outlived(s, reboot, lastPing) {
		return false
	}
	return s.sane() && orZero(s.Missing)+orZero(s.Failed)+orZero(s.InstalledPendingReboot) == 0
}

func (e Evidence) judgeFailed() Finding {
	f := settled(Failed, "the patch command failed")
	if e.Fresh() && e.After.Clean() {
		f.Warning = "status and evidence disagree: the command failed, but nothing is missing or failed on the instance"
	} else if e.Fresh() && orZero(e.After.Failed) > 0 {
		f.Reason = f.Reason + ": " + patches(e.After.Failed, "failed")
	}
	return f
}

// judgeRecord judges by the record that the command left.
func (e Evidence) judgeRecord() Finding {
	if stale := e.stale(); stale != "" {
		return Finding{Outcome: Unknown, Reason: stale}
	}
	after := e.After
	switch {
	case orZero(after.Failed) > 0:
		return settled(Failed, CountedText(after.Short()))
	case e.Operation == patch.Scan && after.Clean():
		return settled(Compliant, "")
	case e.Operation == patch.Scan:
		return settled(NonCompliant, CountedText(after.Short()))
	case orZero(after.Missing) > 0:
		return settled(Failed, CountedText(after.Short()))
	case orZero(after.InstalledPendingReboot) > 0:
		f := settled(PatchedPendingReboot, "a reboot is due")
		f.Settled = e.RebootOption == patch.NoReboot
		return f
	case e.nothingInstalled():
		return settled(Compliant, "")
	}
	return settled(Patched, "")
}

// nothingInstalled tells whether our command had nothing to do: by the patches'
// own times, or, where these do not tell, by two recent records that agree.
func (e Evidence) nothingInstalled() bool {
	if n, known := e.InstalledByUs(); known {
		return n == 0
	}
	b, a := e.Planned.Before, e.After
	return e.beforeIsRecent() && b.Missing != nil && *b.Missing == 0 && b.Installed != nil && a.Installed != nil &&
		*b.Installed == *a.Installed
}

// Fresh tells whether the patch state can be the result of our command.
func (e Evidence) Fresh() bool { return e.stale() == "" }

// stale says why the patch state cannot be the result of our command, or
// nothing if it can.
func (e Evidence) stale() string {
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
	case !a.sane():
		return "the patch state has no sane counts"
	}
	return ""
}

// Took is how long the command was at work, from when it was sent to the end of
// its record; 0 where nobody knows.
func (e Evidence) Took() time.Duration {
	if e.Sent.IsZero() || !e.Fresh() {
		return 0
	}
	return max(e.After.Ended.Sub(e.Sent), 0)
}

// sane tells whether the counts that a verdict needs are there.
func (s *PatchState) sane() bool {
	return s.Missing != nil && s.Failed != nil && *s.Missing >= 0 && *s.Failed >= 0 &&
		orZero(s.InstalledPendingReboot) >= 0
}

// Clean tells whether nothing is missing, failed, rejected or waiting for a reboot.
func (s *PatchState) Clean() bool {
	return orZero(s.Missing)+orZero(s.Failed)+orZero(s.InstalledPendingReboot)+orZero(s.InstalledRejected) == 0
}

func settled(o Outcome, reason string) Finding {
	return Finding{Outcome: o, Reason: reason, Settled: true}
}

// patches counts them in words.
func patches(n *int, what string) string { return words.BareCount(orZero(n), "patch") + " " + what }

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
