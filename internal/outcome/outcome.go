package outcome

import "ec2patch/internal/patch"

// Outcome is how a planned instance ended. Each one has exactly one.
type Outcome string

// The outcomes of planned instances.
const (
	Patched              Outcome = "Patched"
	Compliant            Outcome = "Compliant"
	PatchedPendingReboot Outcome = "PatchedPendingReboot"
	NonCompliant         Outcome = "NonCompliant"
	Failed               Outcome = "Failed"
	TimedOut             Outcome = "TimedOut"
	Interrupted          Outcome = "Interrupted"
	Undeliverable        Outcome = "Undeliverable"
	Unhealthy            Outcome = "Unhealthy"
	Unknown              Outcome = "Unknown"
	Gone                 Outcome = "Gone"
	NotSent              Outcome = "NotSent"
)

// Outcomes of instances that matched a wave and are not in the plan.
const (
	Offline   Outcome = "Offline"
	Unmanaged Outcome = "Unmanaged"
	Excluded  Outcome = "Excluded"
	// Hybrid is a node that Systems Manager knows by an activation and not as an EC2
	// instance: a machine outside of EC2, or an EC2 instance that was registered as one.
	Hybrid   Outcome = "Hybrid"
	Newcomer Outcome = "Newcomer"
)

// Outcomes lists every outcome of a planned instance, best first. Tables and
// totals are in this order.
func Outcomes() []Outcome {
	return []Outcome{
		Patched, Compliant, PatchedPendingReboot, NonCompliant, Failed, TimedOut, Interrupted, Undeliverable, Unhealthy,
		Unknown, Gone, NotSent,
	}
}

// Class is what an outcome counts as.
type Class int

// The classes of outcomes.
const (
	Good Class = iota
	Neutral
	Failure
)

// Class tells what the outcome counts as under the reboot option of its wave.
// sent tells whether a command that names the instance was accepted. Budgets,
// metrics, totals, exit codes and resume all ask here.
func (o Outcome) Class(reboot patch.RebootOption, sent bool) Class {
	switch o {
	case Patched, Compliant, NonCompliant:
		return Good
	case PatchedPendingReboot:
		if reboot == patch.NoReboot {
			return Good
		}
		return Failure
	case NotSent:
		return Neutral
	case Gone:
		if !sent {
			return Neutral
		}
		return Failure
	}
	return Failure
}

// Done tells whether nothing is left to do on an instance that ended so: all that
// its wave asked for is true of it. NonCompliant is good, for the scan did its
// work, and not done.
func (o Outcome) Done(reboot patch.RebootOption) bool {
	return o != NonCompliant && o.Class(reboot, true) == Good
}

// Down says why an instance is Unhealthy.
type Down string

// The ways of being out of service.
const (
	DownStopped  Down = "stopped"  // EC2 does not run it
	DownSilent   Down = "silent"   // the agent does not ping, or has not since it patched
	DownImpaired Down = "impaired" // EC2's status checks fail, and passed when it was planned
)

// Reason is why an instance of the plan is not sent to: what closes its target, or keeps back this one. It is also why
// a command of ours is cancelled.
type Reason string

// The reasons.
const (
	ReasonBudget   Reason = "budget"
	ReasonAbort    Reason = "abort"
	ReasonLease    Reason = "lease"
	ReasonAccount  Reason = "account"
	ReasonRejected Reason = "rejected"
	ReasonExpired  Reason = "expired" // the approval's time was over, or the command's before it started
	ReasonOffline  Reason = "offline"
	// ReasonOptedOut is the reason of an instance whose tags forbid it, by the
	// exclusion tag or because its account lets us send to tagged instances only.
	ReasonOptedOut Reason = "optedOut"
	// ReasonStopped is the reason of what comes after a wave that was judged stop,
	// after the end of the run, or when a target has no room for more.
	ReasonStopped Reason = "stopped"
)
