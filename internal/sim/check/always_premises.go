package check

import (
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/world/fleetfile"
)

// The rules are numbered in docs/safety.md. A rule whose premise never
// holds is not proven by rehearsals, however many there are: rule 21.
const LastRule = 20

// premisesOf counts how often the rules about one run had something to say.
func (a *always) premisesOf(r *RunFacts, rep *report.Report) {
	p := a.premises
	p["R-05"] += len(rep.Instances)
	for at, leaf := range r.Targets {
		if n := len(leaf.Instances); n > leaf.Concurrency && r.ByName[at.Wave] != nil {
			p["R-03"]++
		}
	}
	for n, w := range r.waves {
		if n > 0 && !w.first.IsZero() {
			p["R-06"]++
		}
	}
	p["R-04"] += a.temptations(r, rep)
	for id := range r.SentTo {
		m, ok := a.Stage.World.Instance(id)
		if ok &&
			contains([]string{string(fleetfile.FateStaleState), string(fleetfile.FateForeignState),
				string(fleetfile.FateNoState), string(fleetfile.FateBadState)}, string(m.Fate)) {
			p["R-07"]++
		}
	}
	if !r.rejected.IsZero() || a.expired(r) {
		p["R-08"]++
	}
	for _, other := range a.Order {
		if other != r && sharesPlace(r, other) {
			p["R-09"]++
		}
	}
	if rep.Status != patch.RunSucceeded {
		p["R-12"]++
	}
}

// temptations counts what forbids further sends while there was something left to send.
func (a *always) temptations(r *RunFacts, rep *report.Report) int {
	n, left := 0, false
	for _, i := range rep.Instances {
		left = left || i.Outcome == outcome.NotSent
	}
	if !left {
		return 0
	}
	if !r.Aborted.IsZero() {
		n++
	}
	for _, x := range r.scopes {
		if !x.over.IsZero() {
			n++
		}
	}
	return n
}

// sharesPlace tells whether two runs plan something in one account-region.
func sharesPlace(r, other *RunFacts) bool {
	for at, leaf := range r.Targets {
		for its, also := range other.Targets {
			if at.Account == its.Account && at.Region == its.Region && len(leaf.Instances) > 0 && len(also.Instances) > 0 {
				return true
			}
		}
	}
	return false
}

// Counted are the premises of a whole rehearsal, which so many faults of each class struck.
func (a *always) Counted(struck map[string]int) map[string]int {
	p := a.premises
	if len(a.Commands) > 0 {
		for _, id := range []string{"F-03", "F-04", "F-05", "F-38", "F-40", "F-41"} {
			p["R-01"] += struck[id]
		}
	}
	p["R-10"] += len(a.Commands)
	p["R-13"] += a.Stage.Engine.Stats().Transitions
	for _, n := range a.Stage.World.Ledger.Calls {
		p["R-14"] += n
	}
	return p
}
