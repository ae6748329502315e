package follow

import (
	"encoding/json"
	"strings"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
)

// Event is what a follower reads of an event of a run's history.
type Event struct {
	ID     int64
	At     time.Time
	Type   string // as Step Functions names it
	State  string // entered or left
	Data   string // JSON: input of a state entered, output of a state left or of a task
	MapRun string // started
	Error  string // of an execution that failed
	Cause  string
}

// See takes the next events, oldest first.
func (f *Follower) See(events []Event) {
	for _, e := range events {
		if e.ID > f.Last {
			f.Last = e.ID
			f.see(e)
		}
	}
}

// see takes one event. Whatever it does not know changes nothing, so that an
// older command line follows a newer hub.
func (f *Follower) see(e Event) {
	p := &f.Progress
	switch {
	case e.Type == "ExecutionStarted":
		p.Started, p.Status, p.Phase = e.At, "RUNNING", patch.PhasePlanning
	case e.Type == "ExecutionRedriven":
		p.Ended, p.Status, p.Phase, p.Error, p.Cause = time.Time{}, "RUNNING", patch.PhasePlanning, "", ""
	case endings()[e.Type] != "":
		p.Ended, p.Status, p.Phase, p.Wave, p.Question = e.At, endings()[e.Type], patch.PhaseDone, "", Question{}
		p.Error, p.Cause = e.Error, e.Cause
	case strings.HasSuffix(e.Type, "StateEntered"):
		f.state = e.State
		f.enter(e)
	case strings.HasSuffix(e.Type, "StateExited"):
		f.leave(e)
	case e.Type == "MapRunStarted" && f.state == "PatchAccounts":
		f.wave().MapRun = e.MapRun
	case e.Type == "TaskSucceeded" && f.state == "JudgeWave":
		f.verdict(e)
	case e.Type == "TaskSubmitted" && f.state == "RequestApproval":
		p.Question.Told = field[struct{ Told *bool }](e, "Payload").Told
	}
}

// endings are the events that end an execution, and the status that it has then.
func endings() map[string]string {
	return map[string]string{
		"ExecutionSucceeded": "SUCCEEDED", "ExecutionFailed": "FAILED", "ExecutionTimedOut": "TIMED_OUT",
		"ExecutionAborted": "ABORTED",
	}
}

// field reads a member of an event's data; the zero value if it has none.
func field[T any](e Event, name string) T {
	var all map[string]json.RawMessage
	var out T
	if json.Unmarshal([]byte(e.Data), &all) != nil || json.Unmarshal(all[name], &out) != nil {
		var zero T
		return zero
	}
	return out
}

func (f *Follower) enter(e Event) {
	p := &f.Progress
	switch e.State {
	case "DiscoverAccounts":
		p.Phase = patch.PhaseDiscovering
	case "FreezePlan":
		p.Phase = patch.PhasePlanning
	case "RequestApproval":
		f.inWave(e, patch.PhaseWaiting)
		if scope := field[struct{ Scope patch.Scope }](e, "ask").Scope; scope != p.Question.Scope {
			p.Question = Question{Scope: scope, Since: e.At}
		}
	case "PatchAccounts":
		f.inWave(e, patch.PhasePatching)
	case "JudgeWave":
		f.inWave(e, patch.PhaseJudging)
	case "WaitForPause":
		p.Phase = patch.PhasePausing
	case "WriteReport":
		p.Phase, p.Wave, p.Question = patch.PhaseReporting, "", Question{}
	}
}

// inWave notes which wave is meant.
func (f *Follower) inWave(e Event, phase patch.Phase) {
	f.Progress.Phase = phase
	f.at(field[struct{ Name string }](e, "wave").Name)
}

// wave is the current wave; one that the plan did not name is added.
func (f *Follower) wave() *Wave {
	p := &f.Progress
	if w := f.planned(p.Wave); w != nil {
		return w
	}
	p.Waves = append(p.Waves, Wave{Name: p.Wave})
	return &p.Waves[len(p.Waves)-1]
}

func (f *Follower) leave(e Event) {
	p := &f.Progress
	switch e.State {
	case "PlanRun":
		p.Bucket = field[string](e, "bucket")
	case "FreezePlan":
		p.Waves = nil
		for _, w := range field[[]struct{ Name string }](e, "waves") {
			p.Waves = append(p.Waves, Wave{Name: w.Name})
		}
	case "SettleApproval":
		if field[struct{ Status decision.Status }](e, "ask").Status != decision.ApprovalPending {
			p.Question = Question{}
		}
	}
}

// verdict reads what the judge of the current wave said.
func (f *Follower) verdict(e Event) {
	said := field[answer](e, "Payload")
	if said.Next != patch.NextWait && said.Verdict == "" {
		said.Verdict = map[patch.Next]patch.Verdict{
			patch.NextWave: patch.VerdictGood, patch.NextAsk: patch.VerdictAsk, patch.NextStop: patch.VerdictStop,
		}[said.Next]
	}
	f.judged(f.wave(), said.Next, said.Verdict)
}
