package fake

import (
	"context"
	"slices"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// Ledger is an audit in memory, with keys of its own and the objects that its entries bind.
type Ledger struct {
	Objects
	Chains map[string][]store.AuditEntry
	Pairs  map[store.Writer]*Pair

	heads map[string]store.Heads // by subject
	now   time.Time
}

// NewLedger makes an empty audit whose entries come a minute apart.
func NewLedger(begun time.Time) *Ledger {
	l := &Ledger{
		Objects: Objects{}, Chains: map[string][]store.AuditEntry{}, Pairs: map[store.Writer]*Pair{},
		heads: map[string]store.Heads{}, now: begun,
	}
	for _, w := range store.Writers() {
		l.Pairs[w] = NewPair(string(w))
	}
	return l
}

// Append adds an entry, with its writer's signature or without.
func (l *Ledger) Append(w store.Writer, subject, actor, action, detail string, signed bool) {
	l.Note(w, subject, store.Note{Actor: actor, Action: action, Detail: detail}, signed)
}

// Note is Append for an entry that tells more.
func (l *Ledger) Note(w store.Writer, subject string, n store.Note, signed bool) {
	heads := l.heads[subject]
	e := heads.Note(w, subject, n, l.now)
	l.heads[subject], l.now = heads, l.now.Add(time.Minute)
	if signed {
		var err error
		if e, err = e.Signed(context.Background(), l.Pairs[w]); err != nil {
			panic(err)
		}
	}
	l.Chains[e.Chain] = append(l.Chains[e.Chain], e)
}

// Bind adds a signed entry about the run that binds the heads of all chains.
func (l *Ledger) Bind(run patch.RunID, actor, action, detail string) {
	bound := map[string]store.ChainHead{}
	for subject, heads := range l.heads {
		heads.Bind(bound, subject)
	}
	digest, err := store.BindHeads(context.Background(), &Bucket{Objects: l.Objects}, run, bound)
	if err != nil {
		panic(err)
	}
	n := store.Note{Actor: actor, Action: action, Detail: detail, Binds: digest}
	l.Note(store.Verify, store.RunSubject(run), n, true)
}

// Rehash makes a chain consistent again after a change, as whoever may write any row can: without signatures that he
// cannot make.
func (l *Ledger) Rehash(chain string) {
	var head store.ChainHead
	for i, e := range l.Chains[chain] {
		n := store.Note{Actor: e.Actor, Action: e.Action, Detail: e.Detail, Binds: e.Binds, Releases: e.Releases}
		again, next := head.Note(chain, n, e.At)
		again.Signature = e.Signature
		l.Chains[chain][i], head = again, next
	}
}

// Chain is a copy of a chain.
func (l *Ledger) Chain(_ context.Context, name string) ([]store.AuditEntry, error) {
	return slices.Clone(l.Chains[name]), nil
}
