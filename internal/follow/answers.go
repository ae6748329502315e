package follow

import (
	"encoding/json"

	"ec2patch/internal/decision"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

// Stored is what the functions of a run wrote, for whoever can look at it.
type Stored interface {
	// Waves are those of the frozen plan, nil before it is frozen.
	Waves() []Wave
	// Outcomes are those of a verified target's instances.
	Outcomes(patch.Target) []outcome.Outcome
}

// Answered takes what a function was asked and what it answered. It tells whether a person would look at what changed.
func (f *Follower) Answered(binary string, payload, out []byte) bool {
	switch binary {
	case lambdas.Inventory:
		return f.inventory(payload)
	case lambdas.SendCommand, lambdas.Poll:
		f.at(read[struct{ Wave string }](payload).Wave)
		f.Progress.Phase = patch.PhasePatching
		return true
	case lambdas.ApprovalRequest:
		return f.approval(payload, out)
	case lambdas.Verify:
		return f.verify(payload, out)
	}
	return false
}

// read is a JSON text's value; what cannot be read is zero.
func read[T any](text []byte) T {
	var v T
	if json.Unmarshal(text, &v) != nil {
		var zero T
		return zero
	}
	return v
}

// at notes which wave is at work.
func (f *Follower) at(wave string) {
	if wave != "" {
		f.Progress.Wave = wave
	}
}

func (f *Follower) inventory(payload []byte) bool {
	p := &f.Progress
	if read[struct{ Task patch.Task }](payload).Task == patch.TaskFreeze {
		waves := f.Stored.Waves()
		if waves == nil {
			return false
		}
		p.Waves = waves
	}
	p.Phase = patch.PhasePlanning
	return true
}

// approval tells that people are asked; an answer that settles it does not.
func (f *Follower) approval(payload, out []byte) bool {
	in := read[struct {
		Task  patch.Task
		Scope patch.Scope
	}](payload)
	f.at(in.Scope.Wave())
	if in.Task == patch.TaskSettle && read[struct{ Status decision.Status }](out).Status != decision.ApprovalPending {
		return false
	}
	f.Progress.Phase = patch.PhaseWaiting
	return true
}

// answer is what verify says of a target or a wave.
type answer struct {
	Next    patch.Next
	Verdict patch.Verdict
}

func (f *Follower) verify(payload, out []byte) bool {
	in := read[struct {
		Task patch.Task
		patch.Target
	}](payload)
	f.at(in.Wave)
	p, w := &f.Progress, f.planned(in.Wave)
	switch in.Task {
	case patch.TaskVerify:
		if read[answer](out).Next == patch.NextDone {
			f.count(w, in.Target)
		}
		p.Phase = patch.PhasePatching
	case patch.TaskRollUp:
		if w != nil {
			w.Accounts.Done++
		}
		p.Phase = patch.PhasePatching
	case patch.TaskJudge:
		said := read[answer](out)
		if w != nil {
			f.judged(w, said.Next, said.Verdict)
		}
		return said.Next == patch.NextWait
	case patch.TaskReport, patch.TaskClose:
		p.Wave, p.Phase = "", patch.PhaseReporting
	default:
		return false
	}
	return true
}

// count adds a verified target's outcomes to its wave's, once.
func (f *Follower) count(w *Wave, t patch.Target) {
	if w == nil || f.verified[t] {
		return
	}
	if f.verified == nil {
		f.verified = map[patch.Target]bool{}
	}
	f.verified[t] = true
	if w.Outcomes == nil {
		w.Outcomes = map[outcome.Outcome]int{}
	}
	for _, o := range f.Stored.Outcomes(t) {
		w.Outcomes[o]++
	}
}
