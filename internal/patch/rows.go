package patch

import (
	"slices"
	"time"
)

// Mark is a moment of a target or a wave: the time, and how many seconds the
// state machine had waited there by then.
type Mark struct {
	At     time.Time `json:"at"`
	Waited int       `json:"waited"`
}

// Set tells whether the mark was made.
func (m Mark) Set() bool { return !m.At.IsZero() }

// Since is how long ago the mark was made: by the clock, or by the waits since
// then where these are longer. Only a machine whose waits are shortened, as an
// emulator's are, waits longer than its clock tells.
func (m Mark) Since(now time.Time, waited int) time.Duration {
	return max(now.Sub(m.At), time.Duration(waited-m.Waited)*time.Second)
}

// Versioned is embedded in every row that is rewritten: a write names the
// version that it read, and only one of two writers of the same version wins.
type Versioned struct {
	Version int `json:"version"`
}

// RunRow is the run itself.
type RunRow struct {
	Versioned
	Run              RunID        `json:"run"`
	Status           RunStatus    `json:"runStatus"`
	StatusReason     string       `json:"statusReason,omitempty"`
	ExecutionARN     string       `json:"executionArn"`
	Started          time.Time    `json:"started"`
	Settled          time.Time    `json:"settled,omitzero"` // when the status became final; the report is of this moment
	Folded           int          `json:"folded,omitempty"` // slices of the report that a close has written so far
	Ended            time.Time    `json:"ended,omitzero"`   // when the report was there
	Frozen           time.Time    `json:"frozen,omitzero"`
	Digest           string       `json:"digest,omitempty"`
	Planned          int          `json:"planned"`
	DryRun           bool         `json:"dryRun"`
	Approval         ApprovalMode `json:"approval"`
	ApprovalSeconds  int          `json:"approvalSeconds"`
	RequireDistinct  int          `json:"requireDistinct"`
	RequestedBy      string       `json:"requestedBy,omitempty"`
	Reason           string       `json:"reason,omitempty"`
	StartedBy        string       `json:"startedBy,omitempty"` // the execution of another machine that started the run
	WavePauseSeconds int          `json:"wavePauseSeconds"`
	AbortOnIssues    bool         `json:"abortOnIssues"`
	StopUnreachable  bool         `json:"stopUnreachable"`
	Unreachable      int          `json:"unreachable"`
	Audit            ChainHead    `json:"audit"`
}

// WaveRow counts one wave, or the whole run. The counters are added to by the
// call that wins a target's version, so each target counts once.
type WaveRow struct {
	Versioned
	Wave        string    `json:"wave"`
	Position    int       `json:"position"` // 0 is the first wave
	Planned     int       `json:"planned"`
	Targets     int       `json:"targets"`
	Accounts    int       `json:"accounts"`
	FailLimit   int       `json:"failLimit"`
	AccountsMax int       `json:"accountsMax"` // accounts that may fail
	PerAccount  Threshold `json:"perAccount"`  // of one account's planned instances
	MaxFailed   Threshold `json:"maxFailed"`   // FailLimit as the input has it
	MaxAccounts Threshold `json:"maxAccounts"` // AccountsMax as the input has it
	MaxErrors   Threshold `json:"maxErrors"`   // of each of its account-regions
	AskScope    string    `json:"askScope"`    // for people who look; senders read the sealed plan

	Judged       Mark     `json:"judged"` // first look of the judge
	Verdict      Verdict  `json:"verdict,omitempty"`
	Reason       string   `json:"verdictReason,omitempty"`
	Doubt        Doubt    `json:"doubt"` // what people are asked about
	Decided      Mark     `json:"decided"`
	PauseSeconds int      `json:"pauseSeconds"` // after the decision, before the next wave
	SoakSeconds  int      `json:"soakSeconds"`
	Unread       Mark     `json:"unread,omitzero"` // since when the judge cannot read the alarms; not set while it can
	Alarms       []string `json:"alarms,omitempty"`
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

// TargetStatus tells how far a target is.
type TargetStatus string

// The states of a target.
const (
	TargetPlanned     TargetStatus = "planned"
	TargetUnreachable TargetStatus = "unreachable"
	TargetPatching    TargetStatus = "patching"
	TargetVerified    TargetStatus = "verified"
)

// TargetRow is one wave's target: everything that its next task must know.
// It holds no list that grows with the number of instances.
type TargetRow struct {
	Versioned
	Status      TargetStatus     `json:"targetStatus"`
	Reason      string           `json:"targetReason,omitempty"`
	Platforms   map[Platform]int `json:"platforms,omitempty"`
	Planned     int              `json:"planned"`
	Matched     int              `json:"matched"`
	New         int              `json:"new"`      // planned, and not in the previous run's plan
	Vanished    int              `json:"vanished"` // in the previous run's plan, and matched no more
	Impaired    int              `json:"impaired"`
	Notable     []Notable        `json:"notable,omitempty"` // a few of these
	Running     int              `json:"running"`           // instances of the account-region, counted when a guard asks
	Excluded    int              `json:"excluded"`
	LeafDigest  string           `json:"leafDigest,omitempty"`
	InAccount   int              `json:"inAccount,omitempty"` // planned in the account's part of the wave, as the sealed plan says; 0 until it was read
	Concurrency int              `json:"concurrency"`
	ErrorLimit  int              `json:"errorLimit"`
	MaxPolls    int              `json:"maxPolls"`

	Polls     int          `json:"polls"`
	Next      int          `json:"next"`             // instances of the leaf, from its first, that were put into intents
	Batches   int          `json:"batches"`          // intents written, counted from 1
	Pending   int          `json:"pending"`          // intent whose sends are not settled, 0 if none
	Doubts    []int        `json:"doubts,omitempty"` // intents with a send whose answer was lost, to be looked for
	Open      []OpenIntent `json:"open,omitempty"`
	Looks     int          `json:"looks,omitempty"` // rows of what polls have found
	SlowStart bool         `json:"slowStart,omitempty"`
	Good      int          `json:"good"`             // commands that ended well
	Failures  int          `json:"failures"`         // commands that ended badly
	Errors    int          `json:"errors"`           // of those, the ones that ssm.maxErrors counts
	Skipped   int          `json:"skipped"`          // planned instances that were left out before the send
	Sent      int          `json:"sent"`             // commands that were accepted
	Denied    int          `json:"denied"`           // commands that were refused, each for its own instance
	Closed    string       `json:"closed,omitempty"` // why nothing more is sent
	Busy      time.Time    `json:"busy,omitzero"`    // since when the lease is held by another run
	Fence     int          `json:"fence"`            // of the lease, 0 before it is held

	TookSeconds int             `json:"tookSeconds"` // what an instance needs: expected at first, then averaged
	FirstSent   time.Time       `json:"firstSent,omitzero"`
	Verifying   Mark            `json:"verifying"`           // the first look of verify
	LooksHash   string          `json:"looksHash,omitempty"` // of what verify has found so far
	Ended       time.Time       `json:"ended,omitzero"`
	Outcomes    map[Outcome]int `json:"outcomes,omitempty"`
	Bad         int             `json:"bad"`      // outcomes that count as failures
	CutShort    int             `json:"cutShort"` // instances that were not sent though they could have been
	ResultHash  string          `json:"resultHash,omitempty"`
	Audit       ChainHead       `json:"audit"`
}

// Intent is written before its commands are sent: one for each of its instances.
type Intent struct {
	Versioned
	Batch          int          `json:"batch"`
	Marker         string       `json:"marker"` // the command of instance i has the comment SendMarker(marker, i)
	From           int          `json:"from"`   // place in the leaf of the first instance that it took or skipped
	IDs            []InstanceID `json:"ids"`
	Skipped        []Skip       `json:"skipped,omitempty"`
	TimeoutSeconds int          `json:"timeoutSeconds"` // of each command, from its acceptance
	Fence          int          `json:"fence"`
	Written        time.Time    `json:"written"`
	Waited         int          `json:"waited"` // by the state machine until then
	Settled        bool         `json:"settled,omitempty"`
	Sends          []Sent       `json:"sends,omitempty"` // what became of the first of IDs; the others were not tried
}

// Sent is what became of one send of an intent. One that is none of these ended in an answer that was lost, and is
// looked for.
type Sent struct {
	Command CommandID `json:"c,omitempty"`
	At      time.Time `json:"t,omitzero"`        // when it was accepted, or tried
	Refused string    `json:"refused,omitempty"` // the kind of a definite refusal
	Lost    bool      `json:"lost,omitempty"`    // nobody can tell whether it was accepted
}

// Doubtful tells whether nobody knows yet what became of the send.
func (s Sent) Doubtful() bool { return s.Command == "" && s.Refused == "" && !s.Lost }

// Doubtful tells whether the intent holds a send of which nobody knows yet what became of it.
func (in *Intent) Doubtful() bool { return slices.ContainsFunc(in.Sends, Sent.Doubtful) }

// Try is the journal of a step: that the send at one place of an intent is about to be made. A process that dies
// leaves one send in doubt and not all.
type Try struct {
	Before Sent `json:"before"` // what became of the send before it
}

// Look is what one poll has found, or asked for. Looks are only ever added.
type Look struct {
	At      time.Time    `json:"at"`
	Found   []Invocation `json:"found,omitempty"`
	Cancels []Cancel     `json:"cancels,omitempty"`
}

// Cancel is one command that is asked to be cancelled.
type Cancel struct {
	InstanceID InstanceID `json:"i"`
	Command    CommandID  `json:"c"`
	Why        string     `json:"why"` // a reason of NotSent
}

// Skip is a planned instance that was left out of a batch just before the send.
type Skip struct {
	ID     InstanceID `json:"i"`
	Reason string     `json:"r"`
}

// Lease gives one run the sole right to patch one account and region.
type Lease struct {
	Versioned
	Run     RunID     `json:"run"`            // empty: free
	Wave    string    `json:"wave,omitempty"` // with the run it names the target, whose intents name every command
	Fence   int       `json:"fence"`
	Expires time.Time `json:"leaseExpires"`
}

// Approval is one question put to people.
type Approval struct {
	Versioned
	ID              string    `json:"id"`
	Run             RunID     `json:"run"`
	Scope           string    `json:"scope"` // "run", "wave:<name>" or "soak:<name>"
	Digest          string    `json:"digest"`
	HubAccount      AccountID `json:"hubAccount"`
	Instances       int       `json:"instances"`
	RequireDistinct int       `json:"requireDistinct"`
	RequestedBy     string    `json:"requestedBy,omitempty"`
	Asked           time.Time `json:"asked"`
	Expires         time.Time `json:"approvalExpires"`
	Round           int       `json:"round"`
	RoundAt         time.Time `json:"roundAt"`
	Unheard         bool      `json:"unheard,omitempty"`   // nobody subscribed to the mail of the last round
	Token           string    `json:"taskToken,omitempty"` // never leaves the table but for SendTaskSuccess
	Doubt           string    `json:"doubt,omitempty"`     // digest of what it is about, for a question about going on
	Status          string    `json:"approvalStatus"`      // pending, approved, rejected, expired
	Decided         time.Time `json:"decided,omitzero"`
	Audit           ChainHead `json:"audit"`
}

// The states of an approval.
const (
	ApprovalPending  = "pending"
	ApprovalApproved = "approved"
	ApprovalRejected = "rejected"
	ApprovalExpired  = "expired"
)

// Decision is one person's answer. It counts only with a MAC of the decision key.
type Decision struct {
	Approval string    `json:"approval"`
	Decision string    `json:"decision"` // approve or reject
	Identity string    `json:"identity"` // "link" for the bearer of the mail, else the caller's ARN or subject
	Name     string    `json:"name,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	MAC      []byte    `json:"mac"`
	OldMAC   []byte    `json:"oldMac,omitempty"` // by the previous key, for executions that began before it was replaced
}

// Seals are the MACs that a decision carries.
func (d Decision) Seals() [][]byte {
	if len(d.OldMAC) == 0 {
		return [][]byte{d.MAC}
	}
	return [][]byte{d.MAC, d.OldMAC}
}

// The two decisions.
const (
	Approve = "approve"
	Reject  = "reject"
)

// ReportSlice vouches for a slice of a report under way: one with another digest
// is folded again.
type ReportSlice struct {
	Digest string `json:"digest"`
}

// OpenRun lists a run that may have to be closed by another.
type OpenRun struct {
	Run          RunID     `json:"run"`
	ExecutionARN string    `json:"executionArn"`
	Since        time.Time `json:"since"`
}

// Series remembers the last run of the same waves that was frozen and ended.
type Series struct {
	Run     RunID     `json:"run"`
	Planned int       `json:"planned"`
	Ended   time.Time `json:"ended"`
}

// KeyHolder is the run that has a runKey, and when its execution started.
type KeyHolder struct {
	Versioned
	Run     RunID     `json:"run"`
	Started time.Time `json:"started"`
}

// Abort stops all sending of a run.
type Abort struct {
	By             string    `json:"by"`
	Reason         string    `json:"reason"`
	At             time.Time `json:"at"`
	CancelInFlight bool      `json:"cancelInFlight"`
}
