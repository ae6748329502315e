package check

import (
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
)

// RunFacts is one run as the world sees it.
type RunFacts struct {
	ID      patch.RunID
	Input   runinput.Input
	written []byte // the input as it was written, nil if that is not known
	waves   []*waveFacts
	ByName  map[string]*waveFacts

	loaded  bool
	plan    map[string]*waveFacts // by instance
	Targets map[patch.Target]plan.Leaf
	double  []string // instances that two waves plan

	SentTo    map[string]*sending // by instance: the command that names it
	Installs  map[string]int      // begun, by instance
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
	Aborted   time.Time
	cancels   bool                    // the abort takes back what is at work too
	Ended     bool                    // its execution has ended
	Abandoned bool                    // its execution ended, and nobody was told
	More      time.Duration           // it may take longer: it was redriven
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
	Last  time.Time // when an agent of it last came to rest
	over  bool      // a later wave was sent to: what comes now is no part of it
}

func newRunFacts(id patch.RunID, in runinput.Input) *RunFacts {
	r := &RunFacts{
		ID: id, Input: in, ByName: map[string]*waveFacts{}, plan: map[string]*waveFacts{},
		Targets: map[patch.Target]plan.Leaf{},
		SentTo:  map[string]*sending{}, Installs: map[string]int{}, failures: map[string]bool{}, untouched: map[string]bool{},
		overran: map[string]bool{}, lost: map[string]lostSend{}, scopes: map[string]*scope{},
		busy: map[string]int{}, asked: map[string]time.Time{}, approved: map[string]time.Time{},
		snapshots: map[string]patch.Target{},
	}
	for i, w := range in.Waves {
		wave := &waveFacts{position: i, input: w, accounts: map[string]int{}}
		r.waves = append(r.waves, wave)
		r.ByName[w.Name] = wave
	}
	return r
}

// operation is what the input asks a wave to do.
func (r *RunFacts) operation(w *waveFacts) (patch.Operation, patch.RebootOption) {
	if r.Input.DryRun {
		return patch.Scan, patch.NoReboot
	}
	if w.input.SSM.Operation == patch.Scan {
		return patch.Scan, patch.NoReboot
	}
	return w.input.SSM.Operation, w.input.SSM.RebootOption
}

// LoadPlan reads the plan as people saw it: once, when somebody decides on it,
// and at the first send where nobody is asked. What was never frozen is no plan.
func (c *Checks) LoadPlan(r *RunFacts) {
	if r.loaded || !c.Tables.frozen[string(r.ID)] {
		return // leaves of a plan that was refused, or never frozen, are no plan
	}
	for _, w := range r.waves {
		for _, a := range w.input.Accounts {
			for _, region := range w.input.Regions {
				t := patch.Target{Run: r.ID, Wave: w.input.Name, Account: a, Region: region}
				leaf, ok := c.Stage.Leaf(t)
				if !ok {
					continue
				}
				r.loaded = true
				r.Targets[t] = leaf
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

// planned counts the whole plan.
func (r *RunFacts) planned() int {
	n := 0
	for _, w := range r.waves {
		n += w.planned
	}
	return n
}

// waves checks that no instance is in two waves of the plan: I-08.
func (c *Checks) waves(r *RunFacts) {
	for _, id := range r.double {
		c.Violate("I-08", "two waves plan %s", id)
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
