package store

import (
	"time"

	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

// Mark is a moment of a target or a wave: the time, and how many seconds the
// state machine had waited there by then.
type Mark struct {
	At     time.Time `json:"at"`
	Waited int       `json:"waited"`
}

// Set tells whether the mark was made.
func (m Mark) Set() bool { return !m.At.IsZero() }

// Clock is what time it is for one step of a target or a wave: by the function's clock, and by the seconds that the
// state machine has waited there.
type Clock struct {
	Now    time.Time
	Waited int
}

// Mark marks this moment.
func (c Clock) Mark() Mark { return Mark{At: c.Now, Waited: c.Waited} }

// Since is how long ago the mark was made: by the clock, or by the waits since then where these are longer. Only a
// machine whose waits are shortened, as an emulator's are, waits longer than its clock tells.
func (c Clock) Since(m Mark) time.Duration {
	return max(c.Now.Sub(m.At), time.Duration(c.Waited-m.Waited)*time.Second)
}

// Versioned is embedded in every row that is rewritten: a write names the
// version that it read, and only one of two writers of the same version wins.
type Versioned struct {
	Version int `json:"version"`
}

// RunRow is the run itself.
type RunRow struct {
	Versioned
	Run              patch.RunID           `json:"run"`
	Status           patch.RunStatus       `json:"runStatus"`
	StatusReason     string                `json:"statusReason,omitempty"`
	ExecutionARN     string                `json:"executionArn"`
	Started          time.Time             `json:"started"`
	Settled          time.Time             `json:"settled,omitzero"` // when the status became final; the report is of this moment
	Folded           int                   `json:"folded,omitempty"` // slices of the report that a close has written so far
	Ended            time.Time             `json:"ended,omitzero"`   // when the report was there
	Frozen           time.Time             `json:"frozen,omitzero"`
	Digest           string                `json:"digest,omitempty"`
	Planned          int                   `json:"planned"`
	DryRun           bool                  `json:"dryRun"`
	Approval         runinput.ApprovalMode `json:"approval"`
	ApprovalSeconds  int                   `json:"approvalSeconds"`
	RequireDistinct  int                   `json:"requireDistinct"`
	RequestedBy      string                `json:"requestedBy,omitempty"`
	Reason           string                `json:"reason,omitempty"`
	StartedBy        string                `json:"startedBy,omitempty"` // the execution of another machine that started the run
	WavePauseSeconds int                   `json:"wavePauseSeconds"`
	AbortOnIssues    bool                  `json:"abortOnIssues"`
	StopUnreachable  bool                  `json:"stopUnreachable"`
	Unreachable      int                   `json:"unreachable"`
	Heads            Heads                 `json:"heads,omitempty"` // of the chains about the run
	Former           *ChainHead            `json:"audit,omitempty"` // of the one chain that a release before wrote
}

// WaveRow counts one wave, or the whole run. The counters are added to by the
// call that wins a target's version, so each target counts once.
type WaveRow struct {
	Versioned
	Wave        string          `json:"wave"`
	Position    int             `json:"position"` // 0 is the first wave
	Planned     int             `json:"planned"`
	Targets     int             `json:"targets"`
	Accounts    int             `json:"accounts"`
	FailLimit   int             `json:"failLimit"`
	AccountsMax int             `json:"accountsMax"` // accounts that may fail
	PerAccount  patch.Threshold `json:"perAccount"`  // of one account's planned instances
	MaxFailed   patch.Threshold `json:"maxFailed"`   // FailLimit as the input has it
	MaxAccounts patch.Threshold `json:"maxAccounts"` // AccountsMax as the input has it
	MaxErrors   patch.Threshold `json:"maxErrors"`   // of each of its account-regions
	AskScope    patch.Scope     `json:"askScope"`    // for people who look; senders read the sealed plan

	Judged       Mark          `json:"judged"` // first look of the judge
	Verdict      patch.Verdict `json:"verdict,omitempty"`
	Reason       string        `json:"verdictReason,omitempty"`
	Doubt        doubt.Doubt   `json:"doubt"` // what people are asked about
	Decided      Mark          `json:"decided"`
	PauseSeconds int           `json:"pauseSeconds"` // after the decision, before the next wave
	SoakSeconds  int           `json:"soakSeconds"`
	Unread       Mark          `json:"unread,omitzero"` // since when the judge cannot read the alarms; not set while it can
	Alarms       []string      `json:"alarms,omitempty"`
}

// Counters are kept apart from WaveRow's other fields, in a row that is only
// ever added to, so that a judge and a hundred polls never meet.
type Counters struct {
	Done         int `json:"done"`         // targets that were verified
	Failures     int `json:"failures"`     // planned instances that count as failures so far
	Sent         int `json:"sent"`         // instances in accepted commands
	AccountsOver int `json:"accountsOver"` // accounts that count as failed so far
}

// AccountCounters are what the regions of one account add to in a wave. Unlike those of the wave the row is rewritten
// under its version, so that exactly one write finds that the account is over its budget.
type AccountCounters struct {
	Versioned
	Failures int  `json:"failures"`
	Held     bool `json:"held,omitempty"` // ssm.maxErrors left something unsent in one of its regions
	Over     bool `json:"over,omitempty"` // it counts as failed: Held, or more failures than budget.perAccount allows
}

// ReportSlice vouches for a slice of a report under way: one with another digest
// is folded again.
type ReportSlice struct {
	Digest string `json:"digest"`
}

// OpenRun lists a run that may have to be closed by another.
type OpenRun struct {
	Run          patch.RunID `json:"run"`
	ExecutionARN string      `json:"executionArn"`
	Since        time.Time   `json:"since"`
}

// Series remembers the last run of the same waves that was frozen and ended.
type Series struct {
	Run     patch.RunID `json:"run"`
	Planned int         `json:"planned"`
	Ended   time.Time   `json:"ended"`
}

// KeyHolder is the run that has a runKey, and when its execution started.
type KeyHolder struct {
	Versioned
	Run     patch.RunID `json:"run"`
	Started time.Time   `json:"started"`
}

// Abort stops all sending of a run.
type Abort struct {
	By             string    `json:"by"`
	Reason         string    `json:"reason"`
	At             time.Time `json:"at"`
	CancelInFlight bool      `json:"cancelInFlight"`
}
