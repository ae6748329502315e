package sim

import (
	"encoding/json"
	"slices"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/follow"
	"ec2patch/internal/inventory"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

// watched is one target as an onlooker sees it.
type watched struct {
	lastEnd  time.Time // when an instance of it last ended a patch operation
	verified bool
}

// Watch follows the run by what its functions are asked and what they answer.
func (r *rehearsal) Watch(l *stage.Lambda, payload, out []byte, failure *asl.Failure) {
	r.checks.Always.Invoked(l, payload, out, failure)
	if failure != nil {
		return
	}
	switch l.Function.Handler {
	case lambdas.Inventory:
		r.watchInventory(payload)
	case lambdas.Poll:
		r.watchPoll(payload, out)
	case lambdas.Verify:
		r.watchVerify(payload, out)
	}
	if r.options.Progress != nil && r.follower.Answered(l.Function.Handler, payload, out) {
		r.tell()
	}
}

// watchInventory notes the targets of the frozen plan.
func (r *rehearsal) watchInventory(payload []byte) {
	var in inventory.InventoryInput
	if json.Unmarshal(payload, &in) != nil || in.Task != patch.TaskFreeze {
		return
	}
	index, ok := r.Index()
	if !ok {
		return
	}
	for _, w := range index.Waves {
		for _, t := range w.Targets {
			if t.Planned > 0 {
				one := &watched{}
				at := string(t.Account) + "/" + string(t.Region)
				r.targets[patch.Target{Run: index.Run, Wave: w.Name, Account: t.Account, Region: t.Region}] = one
				r.places[at] = append(r.places[at], one)
			}
		}
	}
}

// watchPoll measures how long after the last instance ended a poll noticed.
func (r *rehearsal) watchPoll(payload, out []byte) {
	var t patch.Target
	var a target.Answer
	if json.Unmarshal(payload, &t) != nil || json.Unmarshal(out, &a) != nil {
		return
	}
	w := r.targets[t]
	if w != nil && a.Next == patch.NextVerify && !w.lastEnd.IsZero() {
		r.delays = append(r.delays, r.World.Now().Sub(w.lastEnd))
		w.lastEnd = time.Time{}
	}
}

// watchVerify notes which targets are through: what ends there later is no concern of theirs.
func (r *rehearsal) watchVerify(payload, out []byte) {
	var in task.VerifyInput
	var a target.Answer
	if json.Unmarshal(payload, &in) != nil || in.Task != patch.TaskVerify || json.Unmarshal(out, &a) != nil {
		return
	}
	w := r.targets[patch.Target{Run: in.Run, Wave: in.Wave, Account: in.Account, Region: in.Region}]
	if w != nil && a.Next == patch.NextDone {
		w.verified = true
	}
}

// agentEvent follows the instances.
func (r *rehearsal) agentEvent(e world.AgentEvent) {
	r.checks.AgentEvent(e)
	switch e.Kind {
	case world.AgentFinished, world.AgentCancelled, world.AgentTerminated, world.AgentLost:
		for _, w := range r.places[e.Account+"/"+e.Region] {
			if !w.verified {
				w.lastEnd = r.World.Now()
			}
		}
	}
}

// stored is what the run wrote, as its follower looks at it.
type stored struct{ r *rehearsal }

func (s stored) Waves() []follow.Wave {
	index, _ := s.r.Index()
	var all []follow.Wave
	for _, w := range index.Waves {
		one := follow.Wave{Name: w.Name, Planned: w.Planned}
		seen := map[patch.AccountID]bool{}
		for _, t := range w.Targets {
			if t.Planned > 0 && !seen[t.Account] {
				seen[t.Account] = true
				one.Accounts.Total++
			}
		}
		all = append(all, one)
	}
	return all
}

func (s stored) Outcomes(t patch.Target) []outcome.Outcome {
	data, ok := s.r.World.Object(s.r.Bucket(), store.ResultObject(t, s.r.checks.Tables.ResultOf(t)))
	var result target.TargetResult
	if !ok || json.Unmarshal(data, &result) != nil {
		return nil
	}
	var all []outcome.Outcome
	for _, i := range result.Instances {
		all = append(all, i.Outcome)
	}
	return all
}

// tell shows how the run stands, if anybody looks.
func (r *rehearsal) tell() {
	if r.options.Progress == nil {
		return
	}
	p := r.follower.At(r.World.Now())
	now, _ := r.World.InFlightAll()
	for i := range p.Waves {
		if p.Waves[i].Name == p.Wave {
			p.Waves[i].InFlight = now
		}
	}
	if r.human != nil {
		p.Played = follow.Played{Approval: r.human.said, Page: r.human.page}
	}
	r.options.Progress(p)
}

// quantiles of delays, by the nearest rank.
func quantiles(all []time.Duration) Quantiles {
	if len(all) == 0 {
		return Quantiles{}
	}
	slices.Sort(all)
	rank := func(q float64) float64 {
		i := int(q*float64(len(all))+0.999999) - 1
		return all[min(max(i, 0), len(all)-1)].Seconds()
	}
	return Quantiles{P50: rank(0.5), P95: rank(0.95), Max: all[len(all)-1].Seconds()}
}
