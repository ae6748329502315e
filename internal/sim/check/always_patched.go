package check

import (
	"slices"
	"strings"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/fleetfile"
)

// tight is how much shorter than its time limit a healthy update must be: the agent
// takes the command some seconds after it was accepted.
const tight = 30 * time.Second

// patched checks that what is healthy ends good, unless something that the input
// states, or somebody, kept it back, and that its row names which: rule 16. Of every
// planned instance, healthy or not, it checks that it was not left out without a
// cause: rule 18.
func (a *always) patched(r *RunFacts, rep *report.Report) {
	t := a.tally(r, rep)
	for _, i := range rep.Instances {
		w := r.plan[string(i.InstanceID)]
		m, ok := a.Stage.World.Instance(string(i.InstanceID))
		if w == nil || !ok {
			continue
		}
		_, reboot := r.operation(w)
		if i.Outcome == outcome.NotSent {
			a.premises["R-18"]++
			if !a.excused(r, w, i, m, t) {
				a.Violate(a.ruleOf(r, w, m), "%s (%s) was not sent to: %q (%s), and nothing known justifies it", i.InstanceID,
					m.Fate, i.Reason, i.Detail)
			}
			continue
		}
		if !a.healthy(r, w, m) {
			continue
		}
		a.premises["R-16"]++
		if ClassOf(i.Outcome, reboot, r.SentTo[string(i.InstanceID)] != nil) == outcome.Good || a.interrupted(r, i) {
			continue
		}
		a.Violate("R-16", "%s was healthy, needed %s of %d s, and ended %s: %s", i.InstanceID, a.needs(r, w, m),
			w.input.CommandTimeoutSeconds, i.Outcome, i.Reason)
	}
}

// ruleOf is the rule that an instance left out without a cause breaks.
func (a *always) ruleOf(r *RunFacts, w *waveFacts, m *world.Instance) string {
	if a.healthy(r, w, m) {
		return "R-16"
	}
	return "R-18"
}

// needs is the time that the wave's operation takes on the instance, as it was drawn.
func (a *always) needs(r *RunFacts, w *waveFacts, m *world.Instance) time.Duration {
	op, reboot := r.operation(w)
	ideal := m.Ideal()
	switch {
	case op == patch.Scan:
		return ideal.Scan
	case reboot == patch.NoReboot && m.Fate != fleetfile.FateRebootsAnyway:
		return ideal.Patch
	}
	return ideal.Patch + ideal.Reboots
}

// healthy tells whether an instance would be patched in its time if nobody disturbed it, and nobody did.
func (a *always) healthy(r *RunFacts, w *waveFacts, m *world.Instance) bool {
	sound := []fleetfile.Fate{fleetfile.FateOK, fleetfile.FateCompliant, fleetfile.FateNoRebootNeeded,
		fleetfile.FateRebootsAnyway, fleetfile.FateDoubleReboot, fleetfile.FateStartsLater}
	if !slices.Contains(sound, m.Fate) || !m.Tagged.IsZero() || a.outside[m.ID] {
		return false
	}
	limit := time.Duration(w.input.CommandTimeoutSeconds)*time.Second - tight - a.Skew - a.LateSend
	if a.needs(r, w, m) > limit {
		return false
	}
	for _, e := range a.Stage.World.AgentLog(m.ID) {
		late := e.Time.After(a.Stage.Start) && (m.Fate != fleetfile.FateStartsLater || e.CommandID != "")
		foreign := e.Kind == world.AgentRecorded && e.CommandID == ""
		gone := slices.Contains([]world.AgentEventKind{world.AgentLost, world.AgentStopped, world.AgentTerminated,
			world.AgentCollided}, e.Kind)
		if late && (gone || foreign) {
			return false
		}
	}
	return true
}

// interrupted tells whether somebody, or a fault, may have kept a healthy instance
// that was sent to from its end, and the outcome says no more than that.
func (a *always) interrupted(r *RunFacts, i outcome.InstanceReport) bool {
	stopped := a.byHand(r) || !r.Aborted.IsZero()
	switch i.Outcome {
	case outcome.Unknown:
		return stopped || !a.calm() || !a.Stage.World.Reachable(string(i.Account), string(i.Region), stage.ExternalID)
	case outcome.Unhealthy:
		return a.Skew > 0 // by a clock that is off, the time for coming back was over
	case "Interrupted", outcome.TimedOut:
		return r.cancels || a.byHand(r) || a.HandedOver
	}
	return false
}

// byHand tells whether the run's execution was ended by somebody, or by its own time limit.
func (a *always) byHand(r *RunFacts) bool {
	x := a.executionOf(r)
	return r.More > 0 || x != nil && (x.Status == asl.Aborted || x.Status == asl.TimedOut)
}

func (a *always) executionOf(r *RunFacts) *asl.Execution {
	for _, x := range a.Stage.Engine.Executions() {
		if x.Parent == nil && x.Name == string(r.ID) {
			return x
		}
	}
	return nil
}

// excused tells whether the reason that the report gives for an instance that was
// not sent to is one that the ledger knows.
func (a *always) excused(r *RunFacts, w *waveFacts, i outcome.InstanceReport, m *world.Instance, t *tally) bool {
	place := string(i.Account) + "/" + string(i.Region)
	if !a.calm() &&
		slices.Contains([]outcome.Reason{outcome.ReasonAccount, outcome.ReasonStopped, outcome.ReasonLease,
			outcome.ReasonExpired, outcome.ReasonOffline}, i.NotSent()) {
		return true
	}
	switch i.NotSent() {
	case outcome.ReasonBudget:
		return t.overBudget(w, string(i.Account), place)
	case outcome.ReasonAbort:
		return !r.Aborted.IsZero() || a.outside[m.ID] || a.byHand(r) || a.failed(r) || !a.calm()
	case outcome.ReasonStopped:
		return a.byHand(r) || a.stoppedBefore(r, w) || a.doubted(r) || a.failed(r)
	case outcome.ReasonRejected:
		return r.rejecting
	case outcome.ReasonExpired:
		return a.expired(r)
	case outcome.ReasonLease:
		return len(a.Order) > 1 || a.HandedOver
	case outcome.ReasonAccount:
		return !a.Stage.World.Reachable(string(i.Account), string(i.Region), stage.ExternalID) ||
			!r.takesCommands(w, place) && (!a.optedIn(m) || a.refusals(r, w, place) >= refusalLimit)
	case outcome.ReasonOptedOut:
		return optedOut(m) || !m.Tagged.IsZero() || !a.optedIn(m) || m.Fate == fleetfile.FateAccessDenied
	case outcome.ReasonOffline:
		return a.wasAway(m)
	}
	return false
}

// optedIn tells whether the spoke's policy lets a command reach the instance at all.
func (a *always) optedIn(m *world.Instance) bool {
	tag := a.Stage.Setup.SpokeParameters["OptInTag"]
	_, has := m.Tags[tag]
	return tag == "" || tag == "none" || has
}

// takesCommands tells whether a command of the run was accepted in an account-region of a wave.
func (r *RunFacts) takesCommands(w *waveFacts, place string) bool {
	for _, s := range r.SentTo {
		if s.wave == w && s.place == place {
			return true
		}
	}
	return false
}

// wasAway tells whether the instance was out of reach at some time of the rehearsal.
func (a *always) wasAway(m *world.Instance) bool {
	if !m.Online() || m.State != "running" {
		return true
	}
	for _, e := range a.Stage.World.AgentLog(m.ID) {
		if slices.Contains([]world.AgentEventKind{world.AgentLost, world.AgentStopped, world.AgentTerminated,
			world.AgentRebooting}, e.Kind) {
			return true
		}
	}
	return false
}

// stoppedBefore tells whether the wave, or an earlier one, has the verdict stop. That
// this had a cause is checked where the verdict is.
func (a *always) stoppedBefore(r *RunFacts, w *waveFacts) bool {
	for _, former := range r.waves[:w.position+1] {
		if a.Tables.States["verdict "+string(r.ID)+" "+former.input.Name] == string(patch.VerdictStop) {
			return true
		}
	}
	return false
}

// failed tells whether the run's execution failed before it could patch: which is checked where its status is.
func (a *always) failed(r *RunFacts) bool {
	return strings.HasPrefix(a.Tables.Status[string(r.ID)], "Failed")
}

// expired tells whether a question of the run was never answered.
func (a *always) expired(r *RunFacts) bool {
	for id := range r.asked {
		if a.Tables.States["approval "+id] == string(decision.ApprovalExpired) {
			return true
		}
	}
	return false
}
