package check

import (
	"time"

	"ec2patch/internal/patch"
)

const (
	// redInterval is how long an alarm of a wave may be red before nothing more of the wave is sent: it is
	// read within two minutes, and a step of Send goes on for little more than one.
	redInterval = 5 * time.Minute
	// refusalLimit is how many first sends, all of them refused, close an account-region. Source: the design, section 4.
	refusalLimit = 10
)

// whileRed checks that nothing of a wave is sent while an alarm of it is red, but for the time that it takes to
// notice: rule 4.
func (c *Checks) whileRed(s *sending) {
	from := s.At.Add(-redInterval - c.Skew - c.LateSend)
	if from.Before(c.Stage.Start) {
		return
	}
	for _, arn := range s.wave.input.HealthGate.Alarms {
		red := true
		for at := from; red && !at.After(s.At); at = at.Add(gateStep) {
			red = c.Stage.World.AlarmWas(arn, at) != "OK"
		}
		if red {
			c.Violate("R-04", "%s was sent although %s was red since %s", s.Command, arn, from.UTC().Format(time.RFC3339))
		}
	}
}

// slowLimit is how many commands of a target with a slow start may be in flight: a tenth of its concurrency, until
// more ended well, then four times as many as did. Source: the design, section 3.
func (c *Checks) slowLimit(s *sending, limit int) int {
	t := patch.Target{Run: s.run.ID, Wave: s.wave.input.Name, Account: patch.AccountID(s.account),
		Region: patch.Region(s.region)}
	if !s.run.Targets[t].SlowStart {
		return limit
	}
	return min(limit, max(limit/10, 1, 4*c.well[s.scope()]))
}

// givenUp notes a send that was given up and of which the API side knows nothing: nobody knows more of its
// instance, so it is a failure in all its scopes.
func (c *Checks) givenUp(in *intentRow, i int) {
	r := c.runs[patch.RunID(in.run)]
	if r == nil || r.ByName[in.wave] == nil {
		return
	}
	id := in.IDs[i]
	if _, noted := r.lost[id]; !noted {
		r.lost[id] = lostSend{in, i, c.now()}
	}
}

// lostSend is a send that was given up.
type lostSend struct {
	intent *intentRow
	place  int
	at     time.Time
}

// overLost checks that nothing is sent where sends that were given up exceed a budget by themselves: rule 4.
func (c *Checks) overLost(s *sending) {
	var inPlace, inAccount, inWave, inRun int
	for id, l := range s.run.lost {
		_, accepted := l.intent.used[l.place]
		m, known := c.Stage.World.Instance(id)
		if accepted || !known || m.State != "running" || c.now().Sub(l.at) <= decisionInterval {
			continue
		}
		inRun++
		if l.intent.wave != s.wave.input.Name {
			continue
		}
		inWave++
		if l.intent.account != s.account {
			continue
		}
		inAccount++
		if l.intent.region == s.region {
			inPlace++
		}
	}
	target, account, wave, _, run := c.scopesOf(s)
	for n, x := range []*scope{target, account, wave, run} {
		if lost := []int{inPlace, inAccount, inWave, inRun}[n]; lost > x.limit {
			c.Violate("R-04", "%s was sent although %d sends of %s were given up, its limit is %d", s.Command, lost, x.name,
				x.limit)
			return
		}
	}
}

// refusals counts the commands of a wave that an account-region refused for good.
func (c *Checks) refusals(r *RunFacts, w *waveFacts, place string) (n int) {
	for _, in := range c.Tables.byKey {
		if in.run != string(r.ID) || in.wave != w.input.Name || in.account+"/"+in.region != place {
			continue
		}
		for _, x := range in.Sends {
			if x.refused && !x.invalid {
				n++
			}
		}
	}
	return n
}

// refused checks that an account-region that refuses every command is asked no more than ten times: rule 4.
func (c *Checks) refused(r *RunFacts) {
	refusals, accepted := map[string]int{}, map[string]bool{}
	for _, key := range sortedKeys(c.Tables.byKey) {
		in := c.Tables.byKey[key]
		if in.run != string(r.ID) {
			continue
		}
		place := in.wave + " " + in.account + "/" + in.region
		accepted[place] = accepted[place] || len(in.used) > 0
		for _, x := range in.Sends {
			if x.refused && !x.invalid {
				refusals[place]++
			}
		}
	}
	for _, place := range sortedKeys(refusals) {
		if n := refusals[place]; n > refusalLimit && !accepted[place] && c.Always.calm() {
			c.Violate("R-04", "%d commands were refused in wave %s and none was accepted: %d are enough", n, place, refusalLimit)
		}
	}
}

// keyTaken checks that no plan is frozen for a run while another run of its runKey goes on: rule 9.
func (c *Checks) keyTaken(id patch.RunID) {
	r := c.runs[id]
	if r == nil || r.Input.RunKey == "" {
		return
	}
	for _, other := range c.Order {
		if other != r && other.Input.RunKey == r.Input.RunKey && c.Tables.frozen[string(other.ID)] && !other.Ended {
			c.Violate("R-09", "%s was planned while %s, which has the same runKey, goes on", id, other.ID)
		}
	}
}

// gaveUp tells whether a send to the instance was given up, whatever verification found there later.
func (r *RunFacts) gaveUp(id string) bool {
	_, lost := r.lost[id]
	return lost
}
