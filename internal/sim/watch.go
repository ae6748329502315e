package sim

import (
	"encoding/json"
	"slices"
	"time"

	"ec2patch/internal/approval"
	"ec2patch/internal/asl"
	"ec2patch/internal/decision"
	"ec2patch/internal/inventory"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
	"ec2patch/internal/wave"
	"ec2patch/internal/wire"
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
	case wire.Inventory:
		r.watchInventory(payload, out)
	case wire.SendCommand:
		r.atWave(payload)
		r.tell(patch.PhasePatching)
	case wire.Poll:
		r.watchPoll(payload, out)
	case wire.Verify:
		r.watchVerify(payload, out)
	case wire.ApprovalRequest:
		r.watchApproval(payload, out)
	}
}

func (r *rehearsal) watchInventory(payload, out []byte) {
	var in inventory.InventoryInput
	if json.Unmarshal(payload, &in) != nil || in.Task != patch.TaskFreeze {
		r.tell(patch.PhasePlanning)
		return
	}
	index, ok := r.Index()
	if !ok {
		return
	}
	for _, w := range index.Waves {
		p := WaveProgress{Name: w.Name, Planned: w.Planned, Outcomes: map[outcome.Outcome]int{}}
		seen := map[patch.AccountID]bool{}
		for _, t := range w.Targets {
			if t.Planned > 0 && !seen[t.Account] {
				seen[t.Account] = true
				p.Accounts++
			}
			if t.Planned > 0 {
				one := &watched{}
				at := string(t.Account) + "/" + string(t.Region)
				r.targets[patch.Target{Run: index.Run, Wave: w.Name, Account: t.Account, Region: t.Region}] = one
				r.places[at] = append(r.places[at], one)
			}
		}
		r.progress.Waves = append(r.progress.Waves, p)
	}
	r.tell(patch.PhasePlanning)
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
	r.atWave(payload)
	r.tell(patch.PhasePatching)
}

// atWave notes which wave is at work.
func (r *rehearsal) atWave(payload []byte) {
	var in struct{ Wave string }
	if json.Unmarshal(payload, &in) == nil && in.Wave != "" {
		r.progress.Wave = in.Wave
	}
}

// watchApproval tells that people are asked; an answer that settles it does not.
func (r *rehearsal) watchApproval(payload, out []byte) {
	var in approval.RequestInput
	var settled approval.SettleOutput
	if json.Unmarshal(payload, &in) != nil {
		return
	}
	if wave := in.Scope.Wave(); wave != "" {
		r.progress.Wave = wave
	}
	if in.Task == patch.TaskSettle && json.Unmarshal(out, &settled) == nil && settled.Status != decision.ApprovalPending {
		return
	}
	r.tell(patch.PhaseWaiting)
}

func (r *rehearsal) watchVerify(payload, out []byte) {
	var in task.VerifyInput
	if json.Unmarshal(payload, &in) != nil {
		return
	}
	r.atWave(payload)
	switch in.Task {
	case patch.TaskVerify:
		var a target.Answer
		t := patch.Target{Run: in.Run, Wave: in.Wave, Account: in.Account, Region: in.Region}
		if w := r.targets[t]; w != nil && !w.verified && json.Unmarshal(out, &a) == nil && a.Next == patch.NextDone {
			w.verified = true
			r.addResult(t)
		}
		r.tell(patch.PhasePatching)
	case patch.TaskRollUp:
		if p := r.waveProgress(in.Wave); p != nil {
			p.AccountsDone++
		}
		r.tell(patch.PhasePatching)
	case patch.TaskJudge:
		r.watchJudge(in, out)
	case patch.TaskReport, patch.TaskClose:
		r.progress.Wave = ""
		r.tell(patch.PhaseReporting)
	}
}

func (r *rehearsal) watchJudge(in task.VerifyInput, out []byte) {
	var j wave.JudgeOutput
	if json.Unmarshal(out, &j) != nil {
		return
	}
	if p := r.waveProgress(in.Wave); p != nil {
		p.Verdict = j.Verdict
	}
	switch {
	case j.Next == patch.NextWait && j.Verdict == "":
		r.tell(patch.PhaseSoaking)
	case j.Next == patch.NextWait:
		r.tell(patch.PhasePausing)
	}
}

// addResult adds a verified target's outcomes to what is shown.
func (r *rehearsal) addResult(t patch.Target) {
	data, ok := r.World.Object(r.Bucket(), store.ResultObject(t, r.checks.Tables.ResultOf(t)))
	var result target.TargetResult
	p := r.waveProgress(t.Wave)
	if !ok || p == nil || json.Unmarshal(data, &result) != nil {
		return
	}
	for _, i := range result.Instances {
		p.Outcomes[i.Outcome]++
	}
}

func (r *rehearsal) waveProgress(name string) *WaveProgress {
	for i := range r.progress.Waves {
		if r.progress.Waves[i].Name == name {
			return &r.progress.Waves[i]
		}
	}
	return nil
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

// tell shows the progress, if anybody looks.
func (r *rehearsal) tell(phase patch.Phase) {
	if r.options.Progress == nil {
		return
	}
	r.progress.Phase = phase
	p := r.progress
	p.Virtual = r.Virtual()
	p.Waves = slices.Clone(p.Waves)
	now, _ := r.World.InFlightAll()
	for i := range p.Waves {
		if p.Waves[i].Name == p.Wave {
			p.Waves[i].InFlight = now
		}
	}
	if r.human != nil {
		p.Approval, p.Page = r.human.said, r.human.page
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
