package check

import (
	"encoding/json"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/inventory"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

// always holds runs against what must happen: rules 16 to 20. It looks at the same
// things as the other checks, and keeps what these do not need.
type always struct {
	*Checks
	premises map[string]int // how often each rule had something to say

	looks   map[Place][]sight // what Discover could see, by run and account-region
	ends    map[string]map[string]world.InvocationEnd
	EndedAt map[string]map[string]time.Time // by command and instance
	began   map[string]map[string]time.Time // the agent, by command and instance
	rested  map[string]map[string]time.Time // the agent finished, by command and instance
	outside map[string]bool                 // instances whose command somebody else cancelled
	waits   map[patch.Target]time.Duration  // the longest wait for a poll
	checked map[patch.Target]*verification  // by Verify
	judged  map[string]time.Time            // verdicts, by run and wave
	numbers []metric
	reads   string // what a reader's session may do
}

// placeOf is an account-region as one run sees it.
type Place struct {
	run             patch.RunID
	Account, Region string
}

// verification is when a target was first looked at after its commands, and when that was done.
type verification struct{ first, done time.Time }

func newAlways(c *Checks) *always {
	a := &always{
		Checks: c, premises: map[string]int{}, looks: map[Place][]sight{}, ends: map[string]map[string]world.InvocationEnd{},
		EndedAt: map[string]map[string]time.Time{}, began: map[string]map[string]time.Time{},
		rested:  map[string]map[string]time.Time{},
		outside: map[string]bool{}, waits: map[patch.Target]time.Duration{}, checked: map[patch.Target]*verification{},
		judged: map[string]time.Time{},
	}
	c.Stage.Metrics.Kept = a.metric
	return a
}

// note keeps a moment of one instance's part in a command.
func note(all map[string]map[string]time.Time, command, instance string, at time.Time) {
	if all[command] == nil {
		all[command] = map[string]time.Time{}
	}
	all[command][instance] = at
}

// agent is told of everything that agents do.
func (a *always) agent(e world.AgentEvent) {
	if a.Commands[e.CommandID] == nil {
		return
	}
	switch e.Kind {
	case world.AgentStarted:
		note(a.began, e.CommandID, e.InstanceID, a.now())
	case world.AgentFinished:
		note(a.rested, e.CommandID, e.InstanceID, a.now())
	}
}

// invocation is told of every end of a command on an instance.
func (a *always) invocation(e world.InvocationEnd) {
	if a.ends[e.CommandID] == nil {
		a.ends[e.CommandID] = map[string]world.InvocationEnd{}
	}
	a.ends[e.CommandID][e.InstanceID] = e
	note(a.EndedAt, e.CommandID, e.InstanceID, a.now())
}

// Invoked is told of every invocation of a function by the state machine. The
// world stands still while a function runs, so what it looked at is still so.
func (a *always) Invoked(l *stage.Lambda, payload, out []byte, failure *asl.Failure) {
	switch l.Function.Handler {
	case lambdas.Inventory:
		var in inventory.InventoryInput
		if json.Unmarshal(payload, &in) == nil && in.Task == patch.TaskDiscover {
			a.look(in.Run, string(in.Account), string(in.Region))
		}
	case lambdas.Poll, lambdas.SendCommand:
		var t patch.Target
		var answer target.Answer
		if failure == nil && json.Unmarshal(payload, &t) == nil && json.Unmarshal(out, &answer) == nil &&
			answer.Next == patch.NextWait {
			t = patch.Target{Run: t.Run, Wave: t.Wave, Account: t.Account, Region: t.Region}
			a.waits[t] = max(a.waits[t], time.Duration(answer.Seconds)*time.Second)
		}
	case lambdas.Verify:
		a.verified(payload, out, failure)
	}
}

// verified notes how long a target is verified, and when a wave was judged.
func (a *always) verified(payload, out []byte, failure *asl.Failure) {
	var in task.VerifyInput
	var answer target.Answer
	if json.Unmarshal(payload, &in) != nil || in.Task != patch.TaskVerify {
		return
	}
	t := patch.Target{Run: in.Run, Wave: in.Wave, Account: in.Account, Region: in.Region}
	v := a.checked[t]
	if v == nil {
		v = &verification{first: a.now()}
		a.checked[t] = v
	}
	if failure == nil && v.done.IsZero() && json.Unmarshal(out, &answer) == nil && answer.Next == patch.NextDone {
		v.done = a.now()
	}
}

// calm tells that nothing was done to the run's calls or functions. A short page is no fault.
func (a *always) calm() bool {
	f, ok := a.Stage.World.Faults.(*stage.Faults)
	if !ok || a.Meddled {
		return false
	}
	for id, rate := range f.Rates {
		if id != stage.ShortPages && rate > 0 {
			return false
		}
	}
	return true
}

// atEnd checks what always happens, when everything is over.
func (a *always) atEnd(run *RunFacts, rep *report.Report) {
	a.oracle(run)
	if rep == nil {
		return
	}
	a.patched(run, rep)
	a.causes(run, rep)
	a.inTime(run)
	a.cells(run, rep)
	a.measured(run, rep)
	a.premisesOf(run, rep)
}

// class is what an outcome counts as, by a table of our own.
func ClassOf(o outcome.Outcome, reboot patch.RebootOption, sent bool) outcome.Class {
	switch {
	case contains([]string{"Patched", "Compliant", "NonCompliant"}, string(o)):
		return outcome.Good
	case o == "PatchedPendingReboot" && reboot == patch.NoReboot:
		return outcome.Good
	case o == "NotSent" || o == "Gone" && !sent:
		return outcome.Neutral
	}
	return outcome.Failure
}
