package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
)

// runFacts is one run as the world sees it.
type runFacts struct {
	id      patch.RunID
	input   runinput.Input
	written []byte // the input as it was written, nil if that is not known
	waves   []*waveFacts
	byName  map[string]*waveFacts

	loaded  bool
	plan    map[string]*waveFacts // by instance
	targets map[patch.Target]plan.Leaf
	double  []string // instances that two waves plan

	sentTo    map[string]*sending // by instance: the command that names it
	installs  map[string]int      // begun, by instance
	failures  map[string]bool     // by instance
	untouched map[string]bool     // of those, the ones that ssm.maxErrors does not count
	overran   map[string]bool     // ran past their own deadline, however they ended then
	lost      map[string]lostSend // sends that were given up, by instance
	scopes    map[string]*scope
	busy      map[string]int // agents at work, by account/region

	asked     map[string]time.Time // approvals, by id: when people were first asked
	approved  map[string]time.Time // by id: when a person approved
	rejecting bool                 // somebody sent a rejection, whatever became of it
	rejected  time.Time            // one was taken
	aborted   time.Time
	cancels   bool                    // the abort takes back what is at work too
	ended     bool                    // its execution has ended
	abandoned bool                    // its execution ended, and nobody was told
	more      time.Duration           // it may take longer: it was redriven
	snapshots map[string]patch.Target // snapshot ids in use
}

// waveFacts is one wave of a run as the world sees it.
type waveFacts struct {
	position int
	input    runinput.Wave
	planned  int
	accounts map[string]int // planned, by account

	busy  int       // agents at work
	first time.Time // the first send
	last  time.Time // when an agent of it last came to rest
	over  bool      // a later wave was sent to: what comes now is no part of it
}

func newRunFacts(id patch.RunID, in runinput.Input) *runFacts {
	r := &runFacts{
		id: id, input: in, byName: map[string]*waveFacts{}, plan: map[string]*waveFacts{}, targets: map[patch.Target]plan.Leaf{},
		sentTo: map[string]*sending{}, installs: map[string]int{}, failures: map[string]bool{}, untouched: map[string]bool{}, overran: map[string]bool{}, lost: map[string]lostSend{}, scopes: map[string]*scope{},
		busy: map[string]int{}, asked: map[string]time.Time{}, approved: map[string]time.Time{}, snapshots: map[string]patch.Target{},
	}
	for i, w := range in.Waves {
		wave := &waveFacts{position: i, input: w, accounts: map[string]int{}}
		r.waves = append(r.waves, wave)
		r.byName[w.Name] = wave
	}
	return r
}

// operation is what the input asks a wave to do.
func (r *runFacts) operation(w *waveFacts) (patch.Operation, patch.RebootOption) {
	if r.input.DryRun {
		return patch.Scan, patch.NoReboot
	}
	if w.input.SSM.Operation == patch.Scan {
		return patch.Scan, patch.NoReboot
	}
	return w.input.SSM.Operation, w.input.SSM.RebootOption
}

// loadPlan reads the plan as people saw it: once, when somebody decides on it,
// and at the first send where nobody is asked. What was never frozen is no plan.
func (c *checks) loadPlan(r *runFacts) {
	if r.loaded || !c.tables.frozen[string(r.id)] {
		return // leaves of a plan that was refused, or never frozen, are no plan
	}
	for _, w := range r.waves {
		for _, a := range w.input.Accounts {
			for _, region := range w.input.Regions {
				t := patch.Target{Run: r.id, Wave: w.input.Name, Account: a, Region: region}
				leaf, ok := c.s.leaf(t)
				if !ok {
					continue
				}
				r.loaded = true
				r.targets[t] = leaf
				w.planned += len(leaf.Instances)
				w.accounts[string(a)] += len(leaf.Instances)
				for _, p := range leaf.Instances {
					if r.plan[string(p.ID)] != nil {
						r.double = append(r.double, string(p.ID))
					}
					r.plan[string(p.ID)] = w
				}
			}
		}
	}
}

// leaf is a target's plan as it stands in the bucket.
func (s *stage) leaf(t patch.Target) (plan.Leaf, bool) {
	var leaf plan.Leaf
	data, ok := s.world.Object(s.bucket(), store.LeafObject(t))
	if !ok || json.Unmarshal(data, &leaf) != nil {
		return leaf, false
	}
	return leaf, true
}

// planned counts the whole plan.
func (r *runFacts) planned() int {
	n := 0
	for _, w := range r.waves {
		n += w.planned
	}
	return n
}

// waves checks that no instance is in two waves of the plan: I-08.
func (c *checks) waves(r *runFacts) {
	for _, id := range r.double {
		c.violate("I-08", "two waves plan %s", id)
	}
}

// resolve turns a threshold into a number by a rounding of its own: down, and
// at least 1 unless it is written as 0: I-14.
func resolve(t patch.Threshold, n int) int {
	if t.Value == 0 {
		return 0
	}
	if !t.Percent {
		return t.Value
	}
	return max(n*t.Value/100, 1)
}

// optedOut tells whether the owner of an instance has taken it out: I-06.
func optedOut(i *world.Instance) bool {
	v, ok := i.Tags[plan.ExclusionTag]
	return ok && !strings.EqualFold(v, "false")
}

// contains tells whether the list has the text.
func contains(all []string, one string) bool { return slices.Contains(all, one) }
