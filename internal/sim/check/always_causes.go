package check

import (
	"slices"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/store"
)

// tally is how a run's instances ended, counted again for every scope of a budget:
// by what the world saw, and by what the report says where that is worse.
type tally struct {
	r       *RunFacts
	failed  map[string]int      // by scope, see below
	good    map[string]int      // of a wave
	unsent  map[string]int      // of an account-region of a wave, because of a budget
	planned map[string]int      // by scope
	places  map[string][]string // account-regions of an account of a wave
}

// Scopes: "wave", "wave/account", "wave/account/region", and "" for the run.
func (a *always) tally(r *RunFacts, rep *report.Report) *tally {
	t := &tally{r: r, failed: map[string]int{}, good: map[string]int{}, unsent: map[string]int{},
		planned: map[string]int{}, places: map[string][]string{}}
	for _, i := range rep.Instances {
		id := string(i.InstanceID)
		w := r.plan[id]
		if w == nil {
			continue
		}
		_, reboot := r.operation(w)
		account := i.Wave + "/" + string(i.Account)
		place := account + "/" + string(i.Region)
		if t.planned[place] == 0 {
			t.places[account] = append(t.places[account], place)
		}
		is := ClassOf(i.Outcome, reboot, r.SentTo[id] != nil)
		for _, scope := range []string{"", i.Wave, account, place} {
			t.planned[scope]++
			if (is == outcome.Failure || r.failures[id] || r.overran[id] || r.gaveUp(id)) &&
				!(scope == place && r.untouched[id]) {
				t.failed[scope]++
			}
		}
		if is == outcome.Good && !r.failures[id] {
			t.good[i.Wave]++
		}
		if i.NotSent() == outcome.ReasonBudget {
			t.unsent[place]++
			t.unsent[i.Wave]++
		}
	}
	return t
}

// over tells whether more failed in a scope than a threshold allows of it.
func (t *tally) over(limit patch.Threshold, scope string) bool {
	return t.failed[scope] > resolve(limit, t.planned[scope])
}

// overBudget tells whether a limit of an account-region of a wave, or of what it is in, was exceeded.
func (t *tally) overBudget(w *waveFacts, account, place string) bool {
	name := w.input.Name
	b := w.input.Budget
	return t.over(w.input.SSM.MaxErrors, name+"/"+place) || t.over(b.PerAccount, name+"/"+account) ||
		t.over(b.MaxFailedInstances, name) || t.over(t.r.Input.Budget.MaxFailedInstances, "") || t.accountsOver(w)
}

// accountsOver tells whether more accounts of a wave failed than it allows: those with
// too many failures, and those of which maxErrors left something unsent.
func (t *tally) accountsOver(w *waveFacts) bool {
	n, holders := 0, 0
	for account, planned := range w.accounts {
		if planned == 0 {
			continue
		}
		holders++
		scope := w.input.Name + "/" + account
		bad := t.over(w.input.Budget.PerAccount, scope)
		for _, place := range t.places[scope] {
			bad = bad || t.unsent[place] > 0 && t.over(w.input.SSM.MaxErrors, place)
		}
		if bad {
			n++
		}
	}
	return n > resolve(w.input.Budget.MaxFailedAccounts, holders)
}

// ofTheTried tells whether too many of those failed that were tried, where a limit left
// others unsent. A wave in which nothing went well is never good, whatever its limits.
func (t *tally) ofTheTried(w *waveFacts) bool {
	name, limit := w.input.Name, w.input.Budget.MaxFailedInstances
	failed, good := t.failed[name], t.good[name]
	switch {
	case failed > 0 && good == 0:
		return true
	case t.unsent[name] == 0:
		return false
	case limit.Percent:
		return 100*failed > limit.Value*(failed+good)
	}
	return failed > good
}

// causes checks that no wave was stopped, nobody was asked about one, and no run
// ended badly without a cause that the input and the ledger know: rule 18.
func (a *always) causes(r *RunFacts, rep *report.Report) {
	t := a.tally(r, rep)
	for _, w := range r.waves {
		verdict := a.Tables.States["verdict "+string(r.ID)+" "+w.input.Name]
		_, asked := r.asked[decision.ApprovalID(r.ID, patch.ScopeOfSoak(w.input.Name))]
		if verdict != string(patch.VerdictStop) && !asked {
			continue
		}
		a.premises["R-18"]++
		if a.cause(r, w, t) {
			continue
		}
		a.Violate("R-18", "wave %s of %s was judged %q (asked: %v), and nothing known is a cause: %d of %d failed, %d not "+
			"sent because of a budget", w.input.Name, r.ID, verdict, asked, t.failed[w.input.Name], t.planned[w.input.Name],
			t.unsent[w.input.Name])
	}
	a.status(r, rep)
	for id := range r.asked {
		if scope := a.scopeOf(r, id); scope != "" && (r.Input.Approval == runinput.ApproveNone || r.Input.DryRun) {
			a.Violate("R-18", "people were asked about %s, and the input wants nobody asked", scope)
		}
	}
}

// scopeOf tells which of the questions about a plan an approval is, empty if it is of another kind.
func (a *always) scopeOf(r *RunFacts, id string) patch.Scope {
	scopes := []patch.Scope{patch.ScopeOfRun}
	for _, w := range r.waves {
		scopes = append(scopes, patch.ScopeOfWave(w.input.Name))
	}
	for _, s := range scopes {
		if decision.ApprovalID(r.ID, s) == id {
			return s
		}
	}
	return ""
}

// cause tells whether there was one to stop a wave, or to ask about it.
func (a *always) cause(r *RunFacts, w *waveFacts, t *tally) bool {
	name := w.input.Name
	switch {
	case a.byHand(r) || !r.Aborted.IsZero() || a.HandedOver || !a.calm() && a.failed(r):
		return true
	case t.over(w.input.Budget.MaxFailedInstances, name) || t.over(r.Input.Budget.MaxFailedInstances, "") ||
		t.accountsOver(w) || t.ofTheTried(w):
		return true
	case r.Input.AbortOnIssues && t.failed[name] > 0:
		return true
	case a.withoutResult(r, w) || a.red(w):
		return true
	}
	return false
}

// withoutResult tells whether a target of the wave was never verified.
func (a *always) withoutResult(r *RunFacts, w *waveFacts) bool {
	for at, leaf := range r.Targets {
		if at.Wave == w.input.Name && len(leaf.Instances) > 0 && a.Tables.ResultOf(at) == "" {
			return true
		}
	}
	return false
}

// red tells whether an alarm of the wave was not OK at some time since it began, or could
// not be read. A later one that nothing was sent to has no beginning.
func (a *always) red(w *waveFacts) bool {
	alarms := w.input.HealthGate.Alarms
	if len(alarms) > 0 && !a.calm() {
		return true
	}
	from := a.Stage.Start // the first wave's alarms are looked at before its first send, which may be refused
	if w.position > 0 {
		from = w.first.Add(-5 * gateStep)
	}
	if from.Before(a.Stage.Start) {
		from = a.Stage.Start
	}
	for _, arn := range alarms {
		if a.Stage.World.AlarmWas(arn, a.now()) != "OK" {
			return true
		}
		for at := from; !at.After(a.now()); at = at.Add(gateStep) {
			if a.Stage.World.AlarmWas(arn, at) != "OK" {
				return true
			}
		}
		parts := strings.Split(arn, ":")
		if len(parts) > 4 && !a.Stage.World.Reachable(parts[4], parts[3], stage.ExternalID) {
			return true
		}
	}
	return false
}

// status checks that a run that ended badly has a cause of that kind.
func (a *always) status(r *RunFacts, rep *report.Report) {
	known := true
	switch string(rep.Status) {
	case "Failed":
		known = a.byHand(r) || !a.calm() || !a.frozen(r)
	case "Stopped":
		known = a.anyStop(r) || a.doubted(r) || a.byHand(r) || !a.calm()
	case "Aborted":
		known = !r.Aborted.IsZero() || a.byHand(r)
	case "Rejected":
		known = r.rejecting
	case "Expired":
		known = a.expired(r)
	case "Refused":
		known = !a.frozen(r) || !a.calm() // an attempt may have frozen it before a guard saw what a fault hid
	}
	if rep.Status != patch.RunSucceeded {
		a.premises["R-18"]++
	}
	if !known {
		a.Violate("R-18", "run %s ended %s (%s), and nothing known is a cause", r.ID, rep.Status, rep.StatusReason)
	}
}

// doubted tells whether people were asked about a wave of the run. That there was a cause is checked there.
func (a *always) doubted(r *RunFacts) bool {
	return slices.ContainsFunc(r.waves, func(w *waveFacts) bool {
		_, asked := r.asked[decision.ApprovalID(r.ID, patch.ScopeOfSoak(w.input.Name))]
		return asked
	})
}

func (a *always) frozen(r *RunFacts) bool {
	_, ok := a.Stage.World.Object(a.Stage.Bucket(), store.IndexObject(r.ID))
	return ok
}

// anyStop tells whether a wave of the run has the verdict stop.
func (a *always) anyStop(r *RunFacts) bool {
	return len(r.waves) > 0 && a.stoppedBefore(r, r.waves[len(r.waves)-1])
}
