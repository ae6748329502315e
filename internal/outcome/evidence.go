package outcome

import (
	"time"

	"ec2patch/internal/patch"
)

// PatchState is what SSM reports of an instance: one record, overwritten by any
// scan or installation of any tool. A nil count was not reported, which is not zero.
// Source: SSM InstancePatchState, read 2026-11.
type PatchState struct {
	Operation              patch.Operation `json:"operation"`
	SnapshotID             string          `json:"snapshotId,omitempty"`
	BaselineID             string          `json:"baselineId,omitempty"`
	Started                time.Time       `json:"started,omitzero"`
	Ended                  time.Time       `json:"ended,omitzero"`
	Installed              *int            `json:"installed,omitempty"`
	InstalledPendingReboot *int            `json:"installedPendingReboot,omitempty"`
	InstalledRejected      *int            `json:"installedRejected,omitempty"`
	Missing                *int            `json:"missing,omitempty"`
	Failed                 *int            `json:"failed,omitempty"`
}

// Invocation is one command on one instance, as SSM reports it.
type Invocation struct {
	InstanceID patch.InstanceID `json:"i"`
	// Pending, InProgress, Delayed, Success, Cancelled, TimedOut, Failed, Cancelling
	Status  string          `json:"s"`
	Details string          `json:"d,omitempty"` // SSM's StatusDetails without spaces
	Ran     bool            `json:"r,omitempty"` // it was seen running, or has ended on the instance
	Command patch.CommandID `json:"c,omitempty"`
	Seen    time.Time       `json:"e,omitzero"` // when it was first seen to have ended
}

// Terminal tells whether the status is final.
// Source: SSM CommandInvocation.Status, read 2026-11.
func (i Invocation) Terminal() bool {
	switch i.Status {
	case "Success", "Cancelled", "TimedOut", "Failed":
		return true
	}
	return false
}

// Running tells whether the status means that the agent is at work on it now.
func (i Invocation) Running() bool {
	return i.Status == "InProgress" || i.Status == "Cancelling" && i.Ran
}

// Started tells whether the agent began to work, as far as SSM knows.
func (i Invocation) Started() bool { return i.Ran || i.Running() }

// Doubtful tells whether the agent may have begun though nobody saw it: the
// invocation was cancelled, or is not seen to end.
func (i Invocation) Doubtful() bool {
	switch i.Status {
	case "", "Success", "Failed", "TimedOut":
		return false
	}
	return !i.Ran
}

// Error tells whether a final status counts towards ssm.maxErrors. As in SSM's own MaxErrors, that is what failed or
// ran out of time on its instance. A command that never reached an agent, or does not fit the platform, says nothing
// of the patch; it is a failure of its instance all the same.
// Source: SSM Command.ErrorCount, read 2026-11.
func (i Invocation) Error() bool {
	switch i.Details {
	case "Undeliverable", "DeliveryTimedOut", "InvalidPlatform":
		return i.Ran
	}
	return i.Bad()
}

// Bad tells whether a final status counts as a failure: everything but success
// and what ended before it began. The details come first: which status goes with
// some of them is nowhere documented.
func (i Invocation) Bad() bool {
	switch i.Details {
	case "Terminated", "RateExceeded", "AccessDenied":
		return i.Ran
	case "Undeliverable", "InvalidPlatform":
		return true
	}
	switch i.Status {
	case "Success":
		return false
	case "Cancelled":
		return i.Ran
	}
	return true
}

// PlannedInstance is one instance of the plan, with what was known of it then.
type PlannedInstance struct {
	ID       patch.InstanceID `json:"id"`
	Wave     string           `json:"wave"`
	Platform patch.Platform   `json:"platform"`
	Name     string           `json:"name,omitempty"`
	Group    string           `json:"group,omitempty"`    // its Auto Scaling group
	Impaired bool             `json:"impaired,omitempty"` // EC2's status checks were already failing
	New      bool             `json:"new,omitempty"`      // not in the previous run's plan
	Before   *PatchState      `json:"before,omitempty"`
}
