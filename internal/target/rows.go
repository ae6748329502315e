package target

import (
	"slices"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

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
	store.Versioned
	Status      TargetStatus           `json:"targetStatus"`
	Reason      string                 `json:"targetReason,omitempty"`
	Platforms   map[patch.Platform]int `json:"platforms,omitempty"`
	Planned     int                    `json:"planned"`
	Matched     int                    `json:"matched"`
	New         int                    `json:"new"`      // planned, and not in the previous run's plan
	Vanished    int                    `json:"vanished"` // in the previous run's plan, and not matched now
	Impaired    int                    `json:"impaired"`
	Notable     []plan.Notable         `json:"notable,omitempty"` // a few of these
	Running     int                    `json:"running"`           // instances of the account-region, if a guard asks
	Excluded    int                    `json:"excluded"`
	LeafDigest  string                 `json:"leafDigest,omitempty"`
	InAccount   int                    `json:"inAccount,omitempty"` // planned for the account in the wave, 0 until known
	Concurrency int                    `json:"concurrency"`
	ErrorLimit  int                    `json:"errorLimit"`
	MaxPolls    int                    `json:"maxPolls"`

	Polls     int            `json:"polls"`
	Next      int            `json:"next"`             // instances of the leaf, from its first, that were put into intents
	Batches   int            `json:"batches"`          // intents written, counted from 1
	Pending   int            `json:"pending"`          // intent whose sends are not settled, 0 if none
	Doubts    []int          `json:"doubts,omitempty"` // intents with a send whose answer was lost, to be looked for
	Open      []OpenIntent   `json:"open,omitempty"`
	Looks     int            `json:"looks,omitempty"` // rows of what polls have found
	SlowStart bool           `json:"slowStart,omitempty"`
	Good      int            `json:"good"`             // commands that ended well
	Failures  int            `json:"failures"`         // commands that ended badly
	Errors    int            `json:"errors"`           // of those, the ones that ssm.maxErrors counts
	Skipped   int            `json:"skipped"`          // planned instances that were left out before the send
	Sent      int            `json:"sent"`             // commands that were accepted
	Denied    int            `json:"denied"`           // commands that were refused, each for its own instance
	Closed    outcome.Reason `json:"closed,omitempty"` // why nothing more is sent
	Busy      time.Time      `json:"busy,omitzero"`    // since when the lease is held by another run
	Fence     int            `json:"fence"`            // of the lease, 0 before it is held

	TookSeconds int `json:"tookSeconds"` // what an instance needs: expected at first, then averaged
	// QuickestSeconds is how long the quickest command was at work at least, 0 before the first has ended.
	QuickestSeconds int `json:"quickestSeconds,omitempty"`

	FirstSent  time.Time               `json:"firstSent,omitzero"`
	Verifying  store.Mark              `json:"verifying"`           // the first look of verify
	LooksHash  string                  `json:"looksHash,omitempty"` // of what verify has found so far
	Ended      time.Time               `json:"ended,omitzero"`
	Outcomes   map[outcome.Outcome]int `json:"outcomes,omitempty"`
	Bad        int                     `json:"bad"`      // outcomes that count as failures
	CutShort   int                     `json:"cutShort"` // instances that were not sent though they could have been
	ResultHash string                  `json:"resultHash,omitempty"`
	Heads      store.Heads             `json:"heads,omitempty"` // of the chains about the account-region in this run
	Former     *store.ChainHead        `json:"audit,omitempty"` // of the one chain that a release before wrote
}

// Intent is written before its commands are sent: one for each of its instances.
type Intent struct {
	store.Versioned
	Batch          int                `json:"batch"`
	Marker         string             `json:"marker"` // the command of instance i has the comment SendMarker(marker, i)
	From           int                `json:"from"`   // place in the leaf of the first instance that it took or skipped
	IDs            []patch.InstanceID `json:"ids"`
	Skipped        []Skip             `json:"skipped,omitempty"`
	TimeoutSeconds int                `json:"timeoutSeconds"` // of each command, from its acceptance
	Fence          int                `json:"fence"`
	Written        time.Time          `json:"written"`
	Waited         int                `json:"waited"` // by the state machine until then
	Settled        bool               `json:"settled,omitempty"`
	Sends          []Sent             `json:"sends,omitempty"` // what became of the first IDs; the others were not tried
}

// Sent is what became of one send of an intent. One that is none of these ended in an answer that was lost, and is
// looked for.
type Sent struct {
	Command patch.CommandID `json:"c,omitempty"`
	At      time.Time       `json:"t,omitzero"`        // when it was accepted, or tried
	Refused string          `json:"refused,omitempty"` // the kind of a definite refusal
	Lost    bool            `json:"lost,omitempty"`    // it cannot be known whether it was accepted
}

// Doubtful tells whether it is not known yet what became of the send.
func (s Sent) Doubtful() bool { return s.Command == "" && s.Refused == "" && !s.Lost }

// Doubtful tells whether the intent holds a doubtful send.
func (in *Intent) Doubtful() bool { return slices.ContainsFunc(in.Sends, Sent.Doubtful) }

// timeout is how long each command of the intent may take, from its acceptance.
func (in *Intent) timeout() time.Duration {
	return time.Duration(in.TimeoutSeconds) * time.Second
}

// Try is the journal of a step: that the send at one place of an intent is about to be made. A process that dies
// leaves one send in doubt and not all.
type Try struct {
	Before Sent `json:"before"` // what became of the send before it
}

// Look is what one poll has found, or asked for. Looks are only ever added.
type Look struct {
	At      time.Time            `json:"at"`
	Found   []outcome.Invocation `json:"found,omitempty"`
	Cancels []Cancel             `json:"cancels,omitempty"`
}

// Cancel is one command that is asked to be cancelled.
type Cancel struct {
	InstanceID patch.InstanceID `json:"i"`
	Command    patch.CommandID  `json:"c"`
	Why        outcome.Reason   `json:"why"`
}

// Skip is a planned instance that was left out of a batch just before the send.
type Skip struct {
	ID     patch.InstanceID `json:"i"`
	Reason outcome.Reason   `json:"r"`
}

// Lease gives one run the sole right to patch one account and region.
type Lease struct {
	store.Versioned
	Run     patch.RunID `json:"run"`            // empty: free
	Wave    string      `json:"wave,omitempty"` // with the run it names the target, whose intents name every command
	Fence   int         `json:"fence"`
	Expires time.Time   `json:"leaseExpires"`
}
