package check

import (
	"slices"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

const (
	// delivery is how long a command takes to its agent in a calm world, at most.
	delivery = 3 * time.Second
	// slack is how much longer than a dispatcher without delay a target may take, in percent.
	// Source: the design, rule 20.
	slack = 106
	// lostPolls is how many of the longest waits for a poll it may take on top.
	lostPolls = 3
	// handOver is what the state machine itself needs between two accounts of a lane.
	handOver = time.Minute
)

// span is when a target's first command was sent and its last instance was back, and
// what a dispatcher without delay would have needed.
type span struct {
	First, Last time.Time
	free        time.Time     // when its last slot was free
	Ideal       time.Duration // to the last instance back
	whole       time.Duration // to the last slot free
	Sent        int
}

// inTime checks that targets and waves of a calm world take hardly longer than what
// runs on their machines: rule 20.
func (a *always) inTime(r *RunFacts) {
	if !a.calm() || a.byHand(r) || !r.Aborted.IsZero() || len(a.Order) > 1 || a.HandedOver {
		return
	}
	spans := map[patch.Target]span{}
	for at, leaf := range r.Targets {
		if s := a.Span(r, at, leaf); s.Sent > 0 {
			spans[at] = s
		}
	}
	for _, w := range r.waves {
		for _, at := range w.order(r) {
			s, ok := spans[at]
			if !ok || s.Last.IsZero() {
				continue
			}
			a.premises["R-20"]++
			bound := s.Ideal*slack/100 + lostPolls*a.waits[at]
			if took := s.Last.Sub(s.First); took > bound {
				a.Violate("R-20", "%s %s of wave %s took %s for %d instances, a dispatcher without delay %s, the longest wait "+
					"for a poll %s", at.Account, at.Region, at.Wave, took.Round(time.Second), s.Sent, s.Ideal.Round(time.Second),
					a.waits[at])
			}
		}
		a.waveInTime(r, w, spans)
	}
}

// order lists the wave's planned targets, account by account, as the input has them.
func (w *waveFacts) order(r *RunFacts) []patch.Target {
	var all []patch.Target
	for _, account := range w.input.Accounts {
		for _, region := range w.input.Regions {
			at := patch.Target{Run: r.ID, Wave: w.input.Name, Account: account, Region: region}
			if len(r.Targets[at].Instances) > 0 {
				all = append(all, at)
			}
		}
	}
	return all
}

// Span measures one target.
func (a *always) Span(r *RunFacts, at patch.Target, leaf plan.Leaf) span {
	var s span
	var jobs []Job
	limit := time.Duration(leaf.CommandTimeoutSeconds) * time.Second
	for _, p := range leaf.Instances {
		id := string(p.ID)
		sent := r.SentTo[id]
		if sent == nil || sent.wave.input.Name != at.Wave {
			continue
		}
		s.Sent++
		if s.First.IsZero() || sent.At.Before(s.First) {
			s.First = sent.At
		}
		j, back := a.jobOf(sent, id, limit)
		jobs = append(jobs, j)
		if back.After(s.Last) {
			s.Last = back
		}
		free := sent.At.Add(limit)
		if end := a.EndedAt[sent.Command][id]; !end.IsZero() && end.Before(free) {
			free = end
		}
		s.free = laterOf(s.free, free)
	}
	slow := a.Stage.SlowStart(at)
	s.Ideal = Dispatch(jobs, leaf.Concurrency, slow)
	for i := range jobs {
		jobs[i].Back = max(jobs[i].Back, jobs[i].Holds)
	}
	s.whole = Dispatch(jobs, leaf.Concurrency, slow)
	return s
}

// jobOf is what one instance's command was to a dispatcher: from its delivery on, so
// that what waits in a queue of Run Command counts as a delay.
func (a *always) jobOf(s *sending, id string, limit time.Duration) (j Job, back time.Time) {
	began, rested, ended := a.began[s.Command][id], a.rested[s.Command][id], a.EndedAt[s.Command][id]
	switch {
	case began.IsZero() && ended.IsZero():
		return Job{Holds: limit}, back
	case began.IsZero():
		return Job{Holds: min(ended.Sub(s.At), limit)}, back
	case rested.IsZero() && ended.IsZero():
		return Job{Holds: limit}, back
	case rested.IsZero():
		return Job{Holds: min(ended.Sub(began)+delivery, limit)}, back
	}
	took := rested.Sub(began) + delivery
	return Job{Holds: min(took, limit), Back: took, Good: a.ends[s.Command][id].Status == "Success"}, rested
}

// waveInTime checks a wave: its accounts one after the other on its lanes. An account holds its lane until its last
// slot is free, also one whose instance never comes back. What verifying takes does not count, so it is added to what
// is allowed.
func (a *always) waveInTime(r *RunFacts, w *waveFacts, spans map[patch.Target]span) {
	var first, last time.Time
	var order []patch.AccountID
	perAccount := map[patch.AccountID][]time.Duration{}
	longest := time.Duration(0)
	regions := 0
	for _, at := range w.order(r) {
		s, v := spans[at], a.checked[at]
		if s.Sent == 0 || s.Last.IsZero() || v == nil || v.done.IsZero() {
			return // not all of it was tried
		}
		if first.IsZero() || s.First.Before(first) {
			first = s.First
		}
		if s.Last.After(last) {
			last = s.Last
		}
		if perAccount[at.Account] == nil {
			order = append(order, at.Account)
		}
		verifying := max(v.done.Sub(laterOf(s.free, s.Last)), 0)
		perAccount[at.Account] = append(perAccount[at.Account], s.whole*slack/100+verifying)
		regions = max(regions, len(perAccount[at.Account]))
		longest = max(longest, a.waits[at])
	}
	if len(order) == 0 {
		return
	}
	var tasks []time.Duration
	for _, account := range order {
		tasks = append(tasks, Lanes(perAccount[account], a.Stage.RegionConcurrency()))
	}
	rounds := time.Duration(inRounds(len(order), w.input.MaxConcurrentAccounts) * inRounds(regions,
		a.Stage.RegionConcurrency()))
	bound := Lanes(tasks, w.input.MaxConcurrentAccounts) + rounds*(lostPolls*longest+handOver)
	if took := last.Sub(first); took > bound {
		a.Violate("R-20", "wave %s took %s for %d accounts, %s are allowed", w.input.Name, took.Round(time.Second),
			len(order), bound.Round(time.Second))
	}
}

func inRounds(n, at int) int { return (n + max(at, 1) - 1) / max(at, 1) }

func laterOf(all ...time.Time) time.Time { return slices.MaxFunc(all, time.Time.Compare) }
