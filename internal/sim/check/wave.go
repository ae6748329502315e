package check

import (
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
)

// waveOrder checks that every former wave is over when a wave is sent to: its
// agents at rest, within its budgets, soaked, its gate green, the pause past:
// rule 6, I-17, I-18, I-20.
func (c *Checks) waveOrder(s *sending) {
	for _, former := range s.run.waves[:s.wave.position] {
		if former.busy > 0 {
			c.Violate("R-06", "wave %s was sent to while %d agents of wave %s were at work", s.wave.input.Name, former.busy,
				former.input.Name)
		}
		if !former.over {
			former.over = true
			c.judged(s, former)
		}
	}
	for _, later := range s.run.waves[s.wave.position+1:] {
		if !later.first.IsZero() {
			c.Violate("R-06", "wave %s was sent to after wave %s", s.wave.input.Name, later.input.Name)
		}
	}
}

// judged checks that a wave deserved to be followed by another one, once.
func (c *Checks) judged(s *sending, former *waveFacts) {
	if former.first.IsZero() {
		return // nothing of it was sent
	}
	r := s.run
	pause := time.Duration(r.Input.WavePauseSeconds) * time.Second
	soak := time.Duration(former.input.HealthGate.SoakSeconds) * time.Second
	if waited := s.At.Sub(former.Last); waited < pause+soak-c.Skew {
		c.Violate("R-06", "wave %s was sent to %s after wave %s ended; its soak is %s, the pause is %s", s.wave.input.Name,
			waited, former.input.Name, soak, pause)
	}
	for _, name := range []string{"wave " + former.input.Name, "accounts of wave " + former.input.Name} {
		if x := r.scopes[name]; x != nil && !x.over.IsZero() && !r.letGoOn(former) {
			c.Violate("R-06", "wave %s was sent to although %s had %d failures, its limit is %d", s.wave.input.Name, name,
				x.failed, x.limit)
		}
	}
	if r.Input.AbortOnIssues && c.anyFailed(r, former) {
		c.Violate("R-06", "wave %s was sent to although an instance of wave %s failed and abortOnIssues is set",
			s.wave.input.Name, former.input.Name)
	}
	c.gate(s, former, s.At.Add(-pause), soak)
}

// letGoOn tells whether a person let the run go on after the wave.
func (r *RunFacts) letGoOn(w *waveFacts) bool {
	_, asked := r.approved[decision.ApprovalID(r.ID, patch.ScopeOfSoak(w.input.Name))]
	return asked
}

func (c *Checks) anyFailed(r *RunFacts, w *waveFacts) bool {
	for id := range r.failures {
		if r.plan[id] == w {
			return true
		}
	}
	return false
}

// gateStep is how closely a gate is looked at: a red moment between two looks of
// the judge may pass.
const gateStep = time.Minute

// gate checks that the alarms of a wave were green for as long as it soaks,
// unless a person let the run go on.
func (c *Checks) gate(s *sending, former *waveFacts, until time.Time, soak time.Duration) {
	if s.run.letGoOn(former) {
		return
	}
	for _, arn := range former.input.HealthGate.Alarms {
		green, best := time.Duration(0), time.Duration(-1)
		for at := former.Last; !at.After(until); at = at.Add(gateStep) {
			if c.Stage.World.AlarmWas(arn, at) != "OK" {
				green = 0
				continue
			}
			best = max(best, green)
			green += gateStep
		}
		if best+2*gateStep+c.Skew < soak || best < 0 {
			c.Violate("R-06", "wave %s was sent to although %s was green for %s at most, wave %s soaks %s", s.wave.input.Name,
				arn, max(best, 0), former.input.Name, soak)
		}
	}
}
