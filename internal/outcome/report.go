package outcome

import (
	"time"

	"ec2patch/internal/patch"
)

// InstanceReport is how one planned instance ended.
type InstanceReport struct {
	InstanceID patch.InstanceID `json:"instanceId"`
	Account    patch.AccountID  `json:"account"`
	Region     patch.Region     `json:"region"`
	Wave       string           `json:"wave"`
	Platform   patch.Platform   `json:"platform"`
	Name       string           `json:"name,omitempty"`
	Outcome    Outcome          `json:"outcome"`
	Reason     string           `json:"reason,omitempty"`
	Down       Down             `json:"down,omitempty"`   // of an Unhealthy instance: what is wrong with it
	Since      *time.Time       `json:"since,omitempty"`  // since when, as far as anybody knows
	Detail     string           `json:"detail,omitempty"` // more about the reason, in words
	Warning    string           `json:"warning,omitempty"`
	CommandID  patch.CommandID  `json:"commandId,omitempty"`
	// TookSeconds is how long its command was at work there, 0 where nobody knows.
	TookSeconds int         `json:"tookSeconds,omitempty"`
	Status      string      `json:"status,omitempty"` // SSM's detailed status of the invocation
	Before      *PatchState `json:"before,omitempty"`
	After       *PatchState `json:"after,omitempty"`
	Output      string      `json:"output,omitempty"`
	// Patches are those that we installed, that failed, or that are missing, by
	// name: at most MaxNamed. Nil where nobody asked, or nobody answered.
	Patches     []NamedPatch `json:"patches,omitzero"`
	MorePatches int          `json:"morePatches,omitempty"` // beyond these
}

// NotSent is why the instance was not sent to, empty if it was: there Reason is one of the reasons, and no sentence.
func (i InstanceReport) NotSent() Reason {
	if i.Outcome != NotSent {
		return ""
	}
	return Reason(i.Reason)
}

// Class tells what the instance counts as under the reboot option of its wave.
func (i InstanceReport) Class(reboot patch.RebootOption) Class {
	return i.Outcome.Class(reboot, i.CommandID != "")
}
