package report

import (
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
)

// ReportSchema is the version of the report's form. Within a version fields are
// only added. Since 2 the outcomes Interrupted and Unhealthy mean what they do
// now, and the fields that the contract names are always there.
const ReportSchema = 2

// Report is what a run leaves behind: report.json. Every planned instance is in
// it exactly once.
type Report struct {
	SchemaVersion int                        `json:"schemaVersion"`
	Run           patch.RunID                `json:"run"`
	Status        patch.RunStatus            `json:"status"`
	StatusReason  string                     `json:"statusReason,omitempty"`
	PlanDigest    string                     `json:"planDigest"`
	DryRun        bool                       `json:"dryRun"`
	RequestedBy   string                     `json:"requestedBy,omitempty"`
	Reason        string                     `json:"reason,omitempty"`
	Started       time.Time                  `json:"started"`
	Ended         time.Time                  `json:"ended"`
	Waves         []WaveReport               `json:"waves"`
	Totals        Totals                     `json:"totals"`
	Instances     []outcome.InstanceReport   `json:"instances"`
	Excluded      []plan.ExcludedInstance    `json:"excluded"`
	Unreachable   []plan.UnreachableAccount  `json:"unreachable"`
	Inactive      []runinput.InactiveAccount `json:"inactive,omitempty"` // accounts of organizational units that no wave has
	Approvals     []ApprovalReport           `json:"approvals"`
	Terms         []plan.Line                `json:"terms,omitempty"` // when people are asked, and who of input and hub wanted it so
}

// Scans tells whether nothing was to be installed: a dry run, or every wave scans.
func (r *Report) Scans() bool {
	for _, w := range r.Waves {
		if w.Operation != patch.Scan {
			return r.DryRun
		}
	}
	return r.DryRun || len(r.Waves) > 0
}

// WaveReport is one wave's line of the report.
type WaveReport struct {
	Name      string                  `json:"name"`
	Operation patch.Operation         `json:"operation,omitempty"`    // what its commands did
	Reboot    patch.RebootOption      `json:"rebootOption,omitempty"` // by which PatchedPendingReboot is good or not
	Verdict   patch.Verdict           `json:"verdict,omitempty"`      // empty for a wave that was not judged
	Reason    string                  `json:"reason,omitempty"`
	Started   *time.Time              `json:"started,omitempty"`
	Ended     *time.Time              `json:"ended,omitempty"`
	Planned   int                     `json:"planned"`
	Filter    string                  `json:"filter,omitempty"`    // what was looked for, in words, if nothing is planned
	Unmatched []patch.AccountID       `json:"unmatched,omitempty"` // accounts that were reached and in which nothing was matched
	Empty     bool                    `json:"empty,omitempty"`     // the wave matched nothing, and the input does not allow that
	Outcomes  map[outcome.Outcome]int `json:"outcomes"`
	Accounts  []AccountReport         `json:"accounts"`
}

// Done is how many of its instances, or of an account's, leave nothing to do.
func (w WaveReport) Done(outcomes map[outcome.Outcome]int) int {
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
	Account  patch.AccountID         `json:"account"`
	Planned  int                     `json:"planned"`
	Outcomes map[outcome.Outcome]int `json:"outcomes"`
}

// Totals counts the whole run.
type Totals struct {
	Planned     int                     `json:"planned"`
	Good        int                     `json:"good"`
	Failures    int                     `json:"failures"`
	Neutral     int                     `json:"neutral"`
	Excluded    int                     `json:"excluded"`
	Unreachable int                     `json:"unreachable"`
	Outcomes    map[outcome.Outcome]int `json:"outcomes"`
}

// ApprovalReport is one question that was put to people, and their answer.
// Identity, name and reason are those of the decision that settled it.
type ApprovalReport struct {
	Scope     patch.Scope      `json:"scope"` // "run", "wave:<name>" or "soak:<name>"
	Status    decision.Status  `json:"status"`
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
	Decision decision.Choice `json:"decision"`
	Identity string          `json:"identity"`
	Name     string          `json:"name,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	At       time.Time       `json:"at"`
	Counted  bool            `json:"counted"`
	Ignored  string          `json:"ignored,omitempty"` // why it did not count
}
