package fake

import (
	"context"
	"encoding/json"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// stateTable is the callback's table with the writes that only the other tasks
// need. A transaction happens as a whole or not at all.
type State struct {
	*Table
	Fail func(writes []store.Write) error // before the effect
	Lose func(writes []store.Write) error // after the effect
}

func NewState() *State {
	return &State{Table: &Table{Rows: map[store.Key]json.RawMessage{}, Audits: map[store.Key]store.AuditEntry{}}}
}

func (t *State) Write(_ context.Context, writes ...store.Write) error {
	if t.Fail != nil {
		if err := t.Fail(writes); err != nil {
			return err
		}
	}
	if err := t.apply(writes); err != nil {
		return err
	}
	if t.Lose != nil {
		return t.Lose(writes)
	}
	return nil
}

func (t *State) apply(writes []store.Write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(writes) > 100 {
		return fmt.Errorf("%d writes in one transaction", len(writes))
	}
	seen := map[store.Key]bool{}
	for _, w := range writes {
		if w.How != store.Audit && seen[w.Key] {
			return fmt.Errorf("two writes of one transaction touch %v", w.Key)
		}
		seen[w.Key] = true
		if w.How == store.Require {
			if err := t.requires(w); err != nil {
				return err
			}
		}
		if w.How == store.Create || w.How == store.Replace || w.How == store.Audit {
			if err := t.holds(w); err != nil {
				return err
			}
		}
	}
	for _, w := range writes {
		if err := t.effect(w); err != nil {
			return err
		}
	}
	t.writes++
	return nil
}

// requires holds the condition on a row that is not written.
func (t *State) requires(w store.Write) error {
	fields := map[string]any{}
	if data, ok := t.Rows[w.Key]; ok {
		if err := json.Unmarshal(data, &fields); err != nil {
			return err
		}
		fields["pk"] = w.Key.PK
	}
	value, there := fields[w.Field]
	if there == (w.Value == "") || there && value != w.Value {
		return fmt.Errorf("row %v: %s is %v: %w", w.Key, w.Field, value, patch.ErrConflict)
	}
	return nil
}

func (t *State) effect(w store.Write) error {
	switch w.How {
	case store.Require:
		return nil
	case store.Audit:
		t.Audits[w.Key] = w.Item.(store.AuditEntry)
		return nil
	case store.Delete:
		delete(t.Rows, w.Key)
		return nil
	case store.Add:
		counters := map[string]int{}
		if data, ok := t.Rows[w.Key]; ok {
			if err := json.Unmarshal(data, &counters); err != nil {
				return err
			}
		}
		for k, n := range w.Add {
			counters[k] += n
		}
		w.Item = counters
	}
	data, err := json.Marshal(w.Item)
	t.Rows[w.Key] = data
	return err
}

func (t *State) LastAudit(_ context.Context, chain string) (store.ChainHead, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var head store.ChainHead
	for _, e := range t.Audits {
		if e.Chain == chain && e.Seq > head.Seq {
			head = store.ChainHead{Seq: e.Seq, Hash: e.Hash}
		}
	}
	return head, nil
}
