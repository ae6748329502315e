package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
)

// Writer is who appends to an audit chain: one function, and so one role. The keys of its chains begin with its name,
// so that the policy of a role lets it append to its own chains and to no other.
type Writer string

// The writers of the audit.
const (
	Inventory Writer = "INVENTORY"
	Send      Writer = "SEND"
	Poll      Writer = "POLL"
	Verify    Writer = "VERIFY"
	Request   Writer = "REQUEST"
	Callback  Writer = "CALLBACK"
)

// Writers are all of them.
func Writers() []Writer { return []Writer{Inventory, Send, Poll, Verify, Request, Callback} }

// Chain is the name of the writer's chain about a subject: a run, a target or a question.
func (w Writer) Chain(subject string) string { return string(w) + "#" + subject }

// WriterOf is whose chain it is. It is empty for one of a release before, whose names began with the subject.
func WriterOf(chain string) Writer {
	name, _, _ := strings.Cut(chain, "#")
	if w := Writer(name); slices.Contains(Writers(), w) {
		return w
	}
	return ""
}

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
	// Binds is the digest of what the entry vouches for: the plan that was frozen, a list of heads.
	Binds string `json:"binds,omitempty"`
	// Releases tells that the waiting run is told next.
	Releases bool `json:"releases,omitempty"`

	Prev string `json:"prev"`
	Hash string `json:"hash"`
	// Signature is of the hash, by the key of the writer, and so of the whole chain up to here. It is no part of the hash.
	Signature []byte `json:"signature,omitempty"`
}

// Key is where the entry stands in the audit table.
func (e AuditEntry) Key() Key { return Key{PK: e.Chain, SK: fmt.Sprintf("%08d", e.Seq)} }

// Write appends the entry, unless there is one of its number.
func (e AuditEntry) Write() Write { return Write{How: Audit, Key: e.Key(), Item: e} }

// Note is what an entry tells.
type Note struct {
	Actor, Action, Detail string
	Binds                 string // see AuditEntry
	Releases              bool
}

// Append makes the entry that follows head, and the new head.
func (head ChainHead) Append(chain, actor, action, detail string, at time.Time) (AuditEntry, ChainHead) {
	return head.Note(chain, Note{Actor: actor, Action: action, Detail: detail}, at)
}

// Note is Append for an entry that tells more.
func (head ChainHead) Note(chain string, n Note, at time.Time) (AuditEntry, ChainHead) {
	e := AuditEntry{
		Chain: chain, Seq: head.Seq + 1, At: at.UTC(), Actor: n.Actor, Action: n.Action, Detail: n.Detail,
		Binds: n.Binds, Releases: n.Releases, Prev: head.Hash,
	}
	e.Hash = e.sum()
	return e, ChainHead{Seq: e.Seq, Hash: e.Hash}
}

// Heads are the ends of the chains about one subject, one a writer. A row that has them binds the chains: an entry that
// is cut off at the end is missed.
type Heads map[Writer]ChainHead

// Append makes the next entry of a writer's chain about the subject, and moves its head.
func (h *Heads) Append(w Writer, subject, actor, action, detail string, at time.Time) AuditEntry {
	return h.Note(w, subject, Note{Actor: actor, Action: action, Detail: detail}, at)
}

// Note is Append for an entry that tells more.
func (h *Heads) Note(w Writer, subject string, n Note, at time.Time) AuditEntry {
	e, head := (*h)[w].Note(w.Chain(subject), n, at)
	h.Move(w, head)
	return e
}

// Move moves the head of a writer's chain, and never back. Copies of the heads stay as they are.
func (h *Heads) Move(w Writer, head ChainHead) {
	if head.Seq <= (*h)[w].Seq {
		return
	}
	moved := maps.Clone(*h)
	if moved == nil {
		moved = Heads{}
	}
	moved[w] = head
	*h = moved
}

// Signer signs with a key that one role alone may sign with, and that never leaves KMS.
type Signer interface {
	// Sign signs a SHA-256 digest.
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// Signed is the entry with the signature of its writer.
func (e AuditEntry) Signed(ctx context.Context, key Signer) (AuditEntry, error) {
	digest, err := e.Digest()
	if err == nil {
		e.Signature, err = key.Sign(ctx, digest)
	}
	return e, err
}

// Digest is what a signature is of: the entry's hash as bytes.
func (e AuditEntry) Digest() ([]byte, error) {
	digest, err := hex.DecodeString(e.Hash)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d of %s has no hash", patch.ErrTampered, e.Seq, e.Chain)
	}
	return digest, nil
}

// Intact tells whether the entry's hash is its own.
func (e AuditEntry) Intact() bool { return e.Hash == e.sum() }

func (e AuditEntry) sum() string {
	e.Hash, e.Signature = "", nil
	data, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("audit entry of strings and a time cannot be encoded: %v", err))
	}
	return patch.Digest(data)
}

// BoundHead is the end of a chain as a verdict or the end of a run binds it.
type BoundHead struct {
	Chain string `json:"chain"`
	ChainHead
}

// Bind adds the heads about a subject to those that are bound.
func (h Heads) Bind(bound map[string]ChainHead, subject string) {
	for w, head := range h {
		if chain := w.Chain(subject); head.Seq > bound[chain].Seq {
			bound[chain] = head
		}
	}
}

// BindHeads stores the list of heads under the name of its own digest, which the audit entry that binds them names: an
// entry has no room for the heads of thousands of account-regions.
func BindHeads(ctx context.Context, objects Objects, run patch.RunID, bound map[string]ChainHead) (digest string,
	err error) {
	all := []BoundHead{}
	for chain, head := range bound {
		all = append(all, BoundHead{Chain: chain, ChainHead: head})
	}
	slices.SortFunc(all, func(a, b BoundHead) int { return cmp.Compare(a.Chain, b.Chain) })
	data, err := patch.Canonical(all)
	if err != nil {
		return "", err
	}
	digest = patch.Digest(data)
	return digest, objects.Store(ctx, HeadsObject(run, digest), "application/json", data)
}

// BoundBy is the digest of the list of heads that an entry of the writer Verify binds, if it binds one.
func BoundBy(e AuditEntry) (digest string, ok bool) {
	return e.Binds, e.Binds != "" && WriterOf(e.Chain) == Verify
}

// RunSubject is what the chains of a run are about: plan, verdicts, report. A release before had one chain of that
// name.
func RunSubject(run patch.RunID) string { return "RUN#" + string(run) }

// TargetSubject is what the chains are about that tell what was done in one account and region. A release before had
// one chain of that name.
func TargetSubject(t patch.Target) string {
	return "RUN#" + string(t.Run) + "#" + string(t.Account) + "#" + string(t.Region)
}

// ApprovalSubject is what the chains of one question are about. A release before had one chain of that name.
func ApprovalSubject(id string) string { return "APPROVAL#" + id }
