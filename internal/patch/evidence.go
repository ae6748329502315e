package patch

import "time"

// PatchState is what SSM reports of an instance: one record, overwritten by any
// scan or installation of any tool. A nil count was not reported, which is not zero.
// Source: SSM InstancePatchState, read 2026-11.
type PatchState struct {
	Operation              Operation `json:"operation"`
	SnapshotID             string    `json:"snapshotId,omitempty"`
	BaselineID             string    `json:"baselineId,omitempty"`
	Started                time.Time `json:"started,omitzero"`
	Ended                  time.Time `json:"ended,omitzero"`
	Installed              *int      `json:"installed,omitempty"`
	InstalledPendingReboot *int      `json:"installedPendingReboot,omitempty"`
	InstalledRejected      *int      `json:"installedRejected,omitempty"`
	Missing                *int      `json:"missing,omitempty"`
	Failed                 *int      `json:"failed,omitempty"`
}

// Invocation is one command on one instance, as SSM reports it.
type Invocation struct {
	InstanceID InstanceID `json:"i"`
	Status     string     `json:"s"`           // Pending, InProgress, Delayed, Success, Cancelled, TimedOut, Failed, Cancelling
	Details    string     `json:"d,omitempty"` // SSM's StatusDetails without spaces
	Ran        bool       `json:"r,omitempty"` // it was seen running, or has ended on the instance
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

// Started tells whether the agent began to work, as far as SSM knows.
func (i Invocation) Started() bool {
	switch i.Status {
	case "Pending", "Delayed", "":
		return false
	}
	switch i.Details {
	case "Terminated", "Undeliverable", "DeliveryTimedOut", "InvalidPlatform", "AccessDenied", "RateExceeded":
		return false
	}
	return true
}
