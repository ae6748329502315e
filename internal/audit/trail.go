package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// ErrNothing means that the audit has nothing about a run.
var ErrNothing = errors.New("the audit has nothing about this run")

// Source is where the audit is read from: a hub, or the simulated one.
type Source interface {
	// Chain reads all rows of a chain, in the order of their keys.
	Chain(ctx context.Context, name string) ([]store.AuditEntry, error)
	// Fetch reads an object of the data bucket; found is false if there is none.
	Fetch(ctx context.Context, key string) (data []byte, found bool, err error)
}

// Trail is all that the audit holds of one run.
type Trail struct {
	Run    patch.RunID
	Chains map[string][]store.AuditEntry // those that are not empty, by name
	Former bool                          // a release before wrote it: one chain a subject, and no signatures

	plan  *plan.Index // nil: there is none
	lists map[string]list
}

// list is a list of heads, as the bucket has it.
type list struct {
	there  bool
	digest string // of its bytes
	heads  []store.BoundHead
}

// Read reads the chains of a run. Which account-regions it has says the plan's index, whose digest stands in a signed
// entry.
func Read(ctx context.Context, from Source, run patch.RunID) (*Trail, error) {
	t := &Trail{Run: run, Chains: map[string][]store.AuditEntry{}, lists: map[string]list{}}
	data, found, err := from.Fetch(ctx, store.IndexObject(run))
	if err != nil {
		return nil, err
	}
	if found {
		t.plan = &plan.Index{}
		if err := json.Unmarshal(data, t.plan); err != nil {
			return nil, fmt.Errorf("the plan's index of run %s cannot be read: %w", run, err)
		}
	}
	about := store.RunSubject(run)
	if err := t.read(ctx, from, about); err != nil {
		return nil, err
	}
	if len(t.Chains) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNothing, run)
	}
	t.Former = t.Chains[about] != nil && t.Chains[store.Inventory.Chain(about)] == nil
	for _, subject := range t.subjects() {
		if err := t.read(ctx, from, subject); err != nil {
			return nil, err
		}
	}
	for _, e := range t.Chains[store.Verify.Chain(about)] {
		digest, ok := store.BoundBy(e)
		if !ok {
			continue
		}
		data, found, err := from.Fetch(ctx, store.HeadsObject(run, digest))
		if err != nil {
			return nil, err
		}
		l := list{there: found, digest: patch.Digest(data)}
		if found && l.digest == digest {
			if err := json.Unmarshal(data, &l.heads); err != nil {
				return nil, fmt.Errorf("the list of heads %s cannot be read: %w", digest, err)
			}
		}
		t.lists[digest] = l
	}
	return t, nil
}

// subjects are what the run's other chains can be about: its questions and its account-regions.
func (t *Trail) subjects() []string {
	scopes := []patch.Scope{patch.ScopeOfRun, "abort"}
	var targets []string
	if t.plan != nil {
		for _, w := range t.plan.Waves {
			scopes = append(scopes, patch.ScopeOfWave(w.Name), patch.ScopeOfSoak(w.Name))
			for _, x := range w.Targets {
				if x.Planned > 0 {
					targets = append(targets, store.TargetSubject(patch.Target{Run: t.Run, Account: x.Account, Region: x.Region}))
				}
			}
		}
	}
	var all []string
	for _, scope := range scopes {
		all = append(all, store.ApprovalSubject(decision.ApprovalID(t.Run, scope)))
	}
	slices.Sort(targets)
	return append(all, slices.Compact(targets)...)
}

// writersAbout are who writes about a subject. The empty one is a release before.
func (t *Trail) writersAbout(subject string) []store.Writer {
	switch kind, rest, _ := strings.Cut(subject, "#"); {
	case t.Former:
		return []store.Writer{""}
	case kind == "APPROVAL":
		return []store.Writer{store.Request, store.Callback}
	case strings.Contains(rest, "#"):
		return []store.Writer{store.Send, store.Poll, store.Verify}
	}
	return []store.Writer{store.Inventory, store.Verify, ""}
}

// read reads the chains about a subject.
func (t *Trail) read(ctx context.Context, from Source, subject string) error {
	for _, w := range t.writersAbout(subject) {
		name := subject
		if w != "" {
			name = w.Chain(subject)
		}
		entries, err := from.Chain(ctx, name)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			t.Chains[name] = entries
		}
	}
	return nil
}

// Entries are all entries in the order of their times.
func (t *Trail) Entries() []store.AuditEntry {
	var all []store.AuditEntry
	for _, entries := range t.Chains {
		all = append(all, entries...)
	}
	slices.SortFunc(all, func(a, b store.AuditEntry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Seq, b.Seq))
	})
	return all
}

// Names are the chains in order.
func (t *Trail) Names() []string {
	var all []string
	for name := range t.Chains {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
