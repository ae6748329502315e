package follow

import (
	"maps"
	"slices"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

// Accounts counts the accounts of a wave.
type Accounts struct{ Total, Running, Done int }

// Wave is how far a wave is.
type Wave struct {
	Name     string
	MapRun   string // of its accounts, empty before it patches; a rehearsal has none
	Accounts Accounts
	Verdict  patch.Verdict // empty before it was judged

	// Instances, which a history does not tell of.
	Planned  int
	InFlight int
	Outcomes map[outcome.Outcome]int
}

// Question is what a run waits for.
type Question struct {
	Scope patch.Scope // run, wave:<name> or soak:<name>; empty: nothing is asked
	Since time.Time
	Told  *bool // whether the mail can have reached anybody, nil where the hub does not say
}

// Progress is how a run stands.
type Progress struct {
	Started  time.Time
	Ended    time.Time     // zero while it runs
	Elapsed  time.Duration // since the start until it ended, or was looked at; virtual in a rehearsal
	Status   string        // of the execution, as Step Functions names it: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED
	Phase    patch.Phase
	Wave     string // empty outside of one
	Waves    []Wave // empty before the plan is frozen
	Question Question
	Bucket   string // with its report; empty if its input was refused
	Error    string // of an execution that did not succeed
	Cause    string
	Played   Played
}

// Played is what only a rehearsal knows, which plays the people too.
type Played struct {
	Approval string // one line about the approval, empty if there is none
	Page     string // the address at which a person decides, empty if no one has to
}

// Follower folds what happens in a run into how the run stands. The zero value
// has seen nothing.
type Follower struct {
	Progress Progress
	Last     int64  // newest event seen
	Stored   Stored // what Answered looks up; a history needs nothing
	state    string
	verified map[patch.Target]bool
}

// At is how the run stands now. What is seen later does not change it.
func (f *Follower) At(now time.Time) Progress {
	p := f.Progress
	switch {
	case p.Started.IsZero():
		now = p.Started // nothing is known yet
	case !p.Ended.IsZero():
		now = p.Ended
	}
	p.Elapsed = max(now.Sub(p.Started), 0)
	p.Waves = slices.Clone(p.Waves)
	for i := range p.Waves {
		p.Waves[i].Outcomes = maps.Clone(p.Waves[i].Outcomes)
	}
	return p
}

// planned is the wave of a name, nil if there is none.
func (f *Follower) planned(name string) *Wave {
	p := &f.Progress
	for i := range p.Waves {
		if p.Waves[i].Name == name {
			return &p.Waves[i]
		}
	}
	return nil
}

// judged takes what the judge of a wave said.
func (f *Follower) judged(w *Wave, next patch.Next, verdict patch.Verdict) {
	if verdict != "" {
		w.Verdict = verdict
	}
	if next == patch.NextWait {
		f.Progress.Phase = patch.PhaseSoaking
		if w.Verdict == patch.VerdictGood {
			f.Progress.Phase = patch.PhasePausing
		}
	}
}
