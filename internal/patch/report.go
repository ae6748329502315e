package patch

import "time"

// ReportSchema is the version of the report's form. Within a version fields are
// only added. Since 2 the outcomes Interrupted and Unhealthy mean what they do
// now, and the fields that the contract names are always there.
const ReportSchema = 2

// Report is what a run leaves behind: report.json. Every planned instance is in
// it exactly once.
type Report struct {
	SchemaVersion int                  `json:"schemaVersion"`
	Run           RunID                `json:"run"`
	Status        RunStatus            `json:"status"`
	StatusReason  string               `json:"statusReason,omitempty"`
	PlanDigest    string               `json:"planDigest"`
	DryRun        bool                 `json:"dryRun"`
	RequestedBy   string               `json:"requestedBy,omitempty"`
	Reason        string               `json:"reason,omitempty"`
	Started       time.Time            `json:"started"`
	Ended         time.Time            `json:"ended"`
	Waves         []WaveReport         `json:"waves"`
	Totals        Totals               `json:"totals"`
	Instances     []InstanceReport     `json:"instances"`
	Excluded      []ExcludedInstance   `json:"excluded"`
	Unreachable   []UnreachableAccount `json:"unreachable"`
	Inactive      []InactiveAccount    `json:"inactive,omitempty"` // accounts of organizational units that no wave has
	Approvals     []ApprovalReport     `json:"approvals"`
}

// Scans tells whether nothing was to be installed: a dry run, or every wave scans.
func (r *Report) Scans() bool {
	for _, w := range r.Waves {
		if w.Operation != Scan {
			return r.DryRun
		}
	}
	return r.DryRun || len(r.Waves) > 0
}

// WaveReport is one wave's line of the report.
type WaveReport struct {
	Name      string          `json:"name"`
	Operation Operation       `json:"operation,omitempty"`    // what its commands did
	Reboot    RebootOption    `json:"rebootOption,omitempty"` // by which PatchedPendingReboot is good or not
	Verdict   Verdict         `json:"verdict,omitempty"`      // empty for a wave that was not judged
	Reason    string          `json:"reason,omitempty"`
	Started   *time.Time      `json:"started,omitempty"`
	Ended     *time.Time      `json:"ended,omitempty"`
	Planned   int             `json:"planned"`
	Filter    string          `json:"filter,omitempty"`    // what was looked for, in words, if nothing is planned
	Unmatched []AccountID     `json:"unmatched,omitempty"` // accounts that were reached and in which nothing was matched
	Empty     bool            `json:"empty,omitempty"`     // the wave matched nothing, and the input does not allow that
	Outcomes  map[Outcome]int `json:"outcomes"`
	Accounts  []AccountReport `json:"accounts"`
}

// Done is how many of its instances, or of an account's, leave nothing to do.
func (w WaveReport) Done(outcomes map[Outcome]int) int {
	n := 0
	for o, count := range outcomes {
		if o.Done(w.Reboot) {
			n += count
		}
	}
	return n
}

// AccountReport is one account of a wave.
type AccountReport struct {
	Account  AccountID       `json:"account"`
	Planned  int             `json:"planned"`
	Outcomes map[Outcome]int `json:"outcomes"`
}

// Totals counts the whole run.
type Totals struct {
	Planned     int             `json:"planned"`
	Good        int             `json:"good"`
	Failures    int             `json:"failures"`
	Neutral     int             `json:"neutral"`
	Excluded    int             `json:"excluded"`
	Unreachable int             `json:"unreachable"`
	Outcomes    map[Outcome]int `json:"outcomes"`
}

// InstanceReport is how one planned instance ended.
type InstanceReport struct {
	InstanceID InstanceID `json:"instanceId"`
	Account    AccountID  `json:"account"`
	Region     Region     `json:"region"`
	Wave       string     `json:"wave"`
	Platform   Platform   `json:"platform"`
	Name       string     `json:"name,omitempty"`
	Outcome    Outcome    `json:"outcome"`
	Reason     string     `json:"reason,omitempty"`
	Down       Down       `json:"down,omitempty"`   // of an Unhealthy instance: what is wrong with it
	Since      *time.Time `json:"since,omitempty"`  // since when, as far as anybody knows
	Detail     string     `json:"detail,omitempty"` // more about the reason, in words
	Warning    string     `json:"warning,omitempty"`
	CommandID  CommandID  `json:"commandId,omitempty"`
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

// Class tells what the instance counts as under the reboot option of its wave.
func (i InstanceReport) Class(reboot RebootOption) Class {
	return i.Outcome.Class(reboot, i.CommandID != "")
}

// ExcludedInstance matched a wave's filters and is not in the plan.
type ExcludedInstance struct {
	InstanceID InstanceID `json:"instanceId"`
	Account    AccountID  `json:"account"`
	Region     Region     `json:"region"`
	Wave       string     `json:"wave"`
	Outcome    Outcome    `json:"outcome"`
	Reason     string     `json:"reason"`
}

// UnreachableAccount is an account, or one region of it, that could not be looked at.
type UnreachableAccount struct {
	Account AccountID `json:"account"`
	Region  Region    `json:"region"`
	Reason  string    `json:"reason"`
}

// ApprovalReport is one question that was put to people, and their answer.
// Identity, name and reason are those of the decision that settled it.
type ApprovalReport struct {
	Scope     string           `json:"scope"`  // "run", "wave:<name>" or "soak:<name>"
	Status    string           `json:"status"` // approved, rejected, expired, pending
	Asked     time.Time        `json:"asked"`
	Decided   time.Time        `json:"decided,omitzero"`
	Identity  string           `json:"identity,omitempty"`
	Name      string           `json:"name,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	PlanCount int              `json:"planCount"`
	Needed    int              `json:"needed"` // distinct approvals
	Decisions []DecisionReport `json:"decisions"`
}

// DecisionReport is what one person decided, in the order of time.
type DecisionReport struct {
	Decision string    `json:"decision"` // approve or reject
	Identity string    `json:"identity"`
	Name     string    `json:"name,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	Counted  bool      `json:"counted"`
	Ignored  string    `json:"ignored,omitempty"` // why it did not count
}
