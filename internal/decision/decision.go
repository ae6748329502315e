package decision

import (
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// Approval is one question put to people.
type Approval struct {
	store.Versioned
	ID              string          `json:"id"`
	Run             patch.RunID     `json:"run"`
	Scope           patch.Scope     `json:"scope"` // "run", "wave:<name>" or "soak:<name>"
	Digest          string          `json:"digest"`
	HubAccount      patch.AccountID `json:"hubAccount"`
	Instances       int             `json:"instances"`
	RequireDistinct int             `json:"requireDistinct"`
	RequestedBy     string          `json:"requestedBy,omitempty"`
	Asked           time.Time       `json:"asked"`
	Expires         time.Time       `json:"approvalExpires"`
	Round           int             `json:"round"`
	RoundAt         time.Time       `json:"roundAt"`
	Unheard         bool            `json:"unheard,omitempty"`   // nobody subscribed to the mail of the last round
	Token           string          `json:"taskToken,omitempty"` // never leaves the table but for SendTaskSuccess
	Doubt           string          `json:"doubt,omitempty"`     // digest of what it is about, for a question about going on
	Status          Status          `json:"approvalStatus"`      // pending, approved, rejected, expired
	Decided         time.Time       `json:"decided,omitzero"`
	Heads           store.Heads     `json:"heads,omitempty"` // of the chains about the question

	Former *store.ChainHead `json:"audit,omitempty"` // of the one chain that a release before wrote
}

// Status is how a question stands.
type Status string

// The states of an approval.
const (
	ApprovalPending  Status = "pending"
	ApprovalApproved Status = "approved"
	ApprovalRejected Status = "rejected"
	ApprovalExpired  Status = "expired"
)

// Decision is one person's answer. It counts only with a MAC of the decision key.
type Decision struct {
	Approval string    `json:"approval"`
	Decision Choice    `json:"decision"`
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

// Choice is what somebody answers.
type Choice string

// The two answers.
const (
	Approve Choice = "approve"
	Reject  Choice = "reject"
)

// Status is how a question stands that was settled by the answer, empty for what is neither of the two.
func (c Choice) Status() Status {
	return map[Choice]Status{Approve: ApprovalApproved, Reject: ApprovalRejected}[c]
}

// SortDecisions puts them in the order of time.
func SortDecisions(all []Decision) {
	slices.SortStableFunc(all, func(a, b Decision) int {
		if n := a.At.Compare(b.At); n != 0 {
			return n
		}
		return strings.Compare(a.Identity, b.Identity)
	})
}
