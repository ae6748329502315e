package store

import (
	"encoding/json"
	"fmt"
	"time"

	"ec2patch/internal/patch"
)

// ChainHead is the end of an audit chain: the number and the hash of its last entry.
type ChainHead struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash,omitempty"`
}

// AuditEntry is one line of an audit chain. Its hash covers the hash of the
// line before, so no line can be removed or changed unseen.
type AuditEntry struct {
	Chain  string    `json:"chain"`
	Seq    int       `json:"seq"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Detail string    `json:"detail"`
	Prev   string    `json:"prev"`
	Hash   string    `json:"hash"`
}

// Key is where the entry stands in the audit table.
func (e AuditEntry) Key() Key { return Key{PK: e.Chain, SK: fmt.Sprintf("%08d", e.Seq)} }

// Append makes the entry that follows head, and the new head.
func (head ChainHead) Append(chain, actor, action, detail string, at time.Time) (AuditEntry, ChainHead) {
	e := AuditEntry{Chain: chain, Seq: head.Seq + 1, At: at.UTC(), Actor: actor, Action: action, Detail: detail,
		Prev: head.Hash}
	e.Hash = e.sum()
	return e, ChainHead{Seq: e.Seq, Hash: e.Hash}
}

// Intact tells whether the entry's hash is its own.
func (e AuditEntry) Intact() bool { return e.Hash == e.sum() }

func (e AuditEntry) sum() string {
	e.Hash = ""
	data, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("audit entry of strings and a time cannot be encoded: %v", err))
	}
	return patch.Digest(data)
}

// RunChain is the audit chain of a run: plan, verdicts, report.
func RunChain(run patch.RunID) string { return "RUN#" + string(run) }

// TargetChain is the audit chain of what is done in one account and region.
func TargetChain(t patch.Target) string {
	return "RUN#" + string(t.Run) + "#" + string(t.Account) + "#" + string(t.Region)
}

// ApprovalChain is the audit chain of one question.
func ApprovalChain(id string) string { return "APPROVAL#" + id }
