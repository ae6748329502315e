package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// callbackTable is a table in memory that keeps rows as JSON and holds every
// condition. It is safe for many callers.
type Table struct {
	mu     sync.Mutex
	Rows   map[store.Key]json.RawMessage
	Audits map[store.Key]store.AuditEntry
	writes int
	Loads  int // calls of Load and Scan

	Before func() error // before a write: an error strikes before the effect
	After  func() error // after a write: the reply is lost
	Down   error        // every call fails
}

func (t *Table) Load(_ context.Context, rows ...*store.Row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Loads++
	if t.Down != nil {
		return t.Down
	}
	if len(rows) > 100 {
		return fmt.Errorf("%d rows in one load", len(rows))
	}
	for _, row := range rows {
		data, ok := t.Rows[row.Key]
		if row.Found = ok; !ok {
			continue
		}
		if err := json.Unmarshal(data, row.Into); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) Scan(_ context.Context, pk, prefix string, each func(string, func(any) error) error) error {
	t.mu.Lock()
	t.Loads++
	found := map[string]json.RawMessage{}
	for key, data := range t.Rows {
		if key.PK == pk && strings.HasPrefix(key.SK, prefix) {
			found[key.SK] = data
		}
	}
	err := t.Down
	t.mu.Unlock()
	if err != nil {
		return err
	}
	for _, sk := range slices.Sorted(maps.Keys(found)) {
		if err := each(sk, func(into any) error { return json.Unmarshal(found[sk], into) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) Write(_ context.Context, writes ...store.Write) error {
	if t.Before != nil {
		if err := t.Before(); err != nil {
			return err
		}
	}
	if err := t.write(writes); err != nil {
		return err
	}
	if t.After != nil {
		return t.After()
	}
	return nil
}

func (t *Table) write(writes []store.Write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Down != nil {
		return t.Down
	}
	for _, w := range writes {
		if err := t.holds(w); err != nil {
			return err
		}
	}
	for _, w := range writes {
		if w.How == store.Audit {
			t.Audits[w.Key] = w.Item.(store.AuditEntry)
			continue
		}
		data, err := json.Marshal(w.Item)
		if err != nil {
			return err
		}
		t.Rows[w.Key] = data
	}
	t.writes++
	return nil
}

func (t *Table) holds(w store.Write) error {
	conflict := fmt.Errorf("row %v: %w", w.Key, patch.ErrConflict)
	switch w.How {
	case store.Audit:
		if _, there := t.Audits[w.Key]; there {
			return conflict
		}
	case store.Create:
		if _, there := t.Rows[w.Key]; there {
			return conflict
		}
	case store.Replace:
		var v store.Versioned
		if err := json.Unmarshal(t.Rows[w.Key], &v); err != nil || v.Version != w.Was {
			return conflict
		}
	default:
		return fmt.Errorf("the callback has no use for a write of kind %d", w.How)
	}
	return nil
}

func (t *Table) LastAudit(context.Context, string) (store.ChainHead, error) {
	return store.ChainHead{}, errors.New("the callback never looks for the end of a chain")
}

// Put writes a row as another task would, whatever is there.
func (t *Table) Put(key store.Key, item any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, err := json.Marshal(item)
	if err != nil {
		panic(err)
	}
	t.Rows[key] = data
}

// Snapshot is everything that is stored.
func (t *Table) Snapshot() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	byKey := func(a, b store.Key) int { return strings.Compare(a.PK+"\x00"+a.SK, b.PK+"\x00"+b.SK) }
	for _, key := range slices.SortedFunc(maps.Keys(t.Rows), byKey) {
		fmt.Fprintf(&b, "%v %s\n", key, t.Rows[key])
	}
	for _, key := range slices.SortedFunc(maps.Keys(t.Audits), byKey) {
		fmt.Fprintf(&b, "%v %+v\n", key, t.Audits[key])
	}
	return b.String()
}

// About are the entries of all chains about a subject, in the order of time, each chain checked link by link.
func (t *Table) About(tb testing.TB, subject string) []store.AuditEntry {
	tb.Helper()
	var all []store.AuditEntry
	for _, w := range store.Writers() {
		all = append(all, t.Chain(tb, w.Chain(subject))...)
	}
	slices.SortStableFunc(all, func(a, b store.AuditEntry) int { return a.At.Compare(b.At) })
	return all
}

// Chain is an audit chain in order, checked link by link.
func (t *Table) Chain(tb testing.TB, name string) []store.AuditEntry {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []store.AuditEntry
	for key, e := range t.Audits {
		if key.PK == name {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b store.AuditEntry) int { return a.Seq - b.Seq })
	prev := ""
	for i, e := range all {
		require.Equal(tb, i+1, e.Seq, "the chain has a gap")
		require.Equal(tb, prev, e.Prev, "the chain is broken")
		require.True(tb, e.Intact())
		prev = e.Hash
	}
	return all
}

const (
	StandRun  = patch.RunID("2026-12-patch")
	StandHub  = patch.AccountID("999999999999")
	StandHost = "abc123.execute-api.us-east-1.amazonaws.com"
	Operator  = "arn:aws:sts::999999999999:assumed-role/Operators/ann"
)
