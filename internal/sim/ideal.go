package sim

import (
	"encoding/json"
	"slices"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
)

// job is one instance as a dispatcher sees it: how long it holds its slot, after
// how long it is back in service, and whether it ended well.
type job struct {
	holds, back time.Duration
	good        bool
}

// dispatch gives jobs to slots in their order, each the moment that one is free, and
// returns when the last job that comes back is back. A slow start has a tenth of the
// slots until more ended well, then four times as many as ended well. Source: the design, section 3.
func dispatch(jobs []job, slots int, slow bool) time.Duration {
	slots = max(slots, 1)
	limit := slots
	if slow {
		limit = max(slots/10, 1)
	}
	var running []freed // sorted by time
	var now, last time.Duration
	good := 0
	for _, j := range jobs {
		for len(running) >= limit {
			now = running[0].at
			if running[0].good {
				good++
			}
			running = running[1:]
			if slow {
				limit = min(max(slots/10, 4*good, 1), slots)
			}
		}
		end := freed{now + j.holds, j.good}
		at, _ := slices.BinarySearchFunc(running, end, func(a, b freed) int { return int(a.at - b.at) })
		running = slices.Insert(running, at, end)
		last = max(last, now+j.back)
	}
	return last
}

// freed is when a slot is free again.
type freed struct {
	at   time.Duration
	good bool
}

// lanes is how long tasks take of which so many run at once, in their order.
func lanes(tasks []time.Duration, n int) time.Duration {
	jobs := make([]job, len(tasks))
	for i, d := range tasks {
		jobs[i] = job{holds: d, back: d}
	}
	return dispatch(jobs, n, false)
}

// ideal is the shortest time that the run could take by the drawn times alone:
// concurrency, a slow start, reboots, the agent's ping, pauses and soaks, in the
// plan's order. It knows nothing of polling, calls or approval.
func (r *rehearsal) ideal() time.Duration {
	index, ok := r.index()
	if !ok {
		return 0
	}
	times := map[string]world.Ideal{}
	for _, t := range r.world.IdealTimes() {
		times[t.InstanceID] = t
	}
	total := time.Duration(0)
	for i, w := range index.Waves {
		in := r.input.Waves[i]
		total += r.idealWave(w, in, times) + time.Duration(in.HealthGate.SoakSeconds)*time.Second
		if i < len(index.Waves)-1 {
			total += time.Duration(r.input.WavePauseSeconds) * time.Second
		}
	}
	return total
}

// idealWave schedules accounts on the wave's lanes, each as soon as one is free.
func (r *rehearsal) idealWave(w plan.IndexWave, in runinput.Wave, times map[string]world.Ideal) time.Duration {
	perAccount := map[patch.AccountID][]time.Duration{}
	var order []patch.AccountID
	for _, t := range w.Targets {
		if t.Planned == 0 {
			continue
		}
		if perAccount[t.Account] == nil {
			order = append(order, t.Account)
		}
		target := patch.Target{Run: r.options.RunID, Wave: w.Name, Account: t.Account, Region: t.Region}
		perAccount[t.Account] = append(perAccount[t.Account], r.idealTarget(target, times))
	}
	var durations []time.Duration
	for _, a := range order {
		durations = append(durations, lanes(perAccount[a], r.regionConcurrency()))
	}
	return lanes(durations, in.MaxConcurrentAccounts)
}

func (s *stage) regionConcurrency() int {
	for _, f := range s.hub.Functions() {
		if v := f.Environment["REGION_CONCURRENCY"]; v != "" {
			n := 0
			for _, c := range v {
				n = n*10 + int(c-'0')
			}
			return max(n, 1)
		}
	}
	return 1
}

// idealTarget gives the target's instances to its slots. One that takes longer than
// the input allows gives its slot back when its time is over.
func (r *rehearsal) idealTarget(t patch.Target, times map[string]world.Ideal) time.Duration {
	leaf, ok := r.leaf(t)
	if !ok {
		return 0
	}
	limit := time.Duration(leaf.CommandTimeoutSeconds) * time.Second
	var jobs []job
	ping := time.Duration(0)
	for _, p := range leaf.Instances {
		i := times[string(p.ID)]
		d := i.Scan
		if leaf.Operation == patch.Install {
			d = i.Patch
			if leaf.RebootOption == patch.RebootIfNeeded {
				d += i.Reboots
				ping = max(ping, i.Ping)
			}
		}
		d = min(d, limit)
		jobs = append(jobs, job{holds: d, back: d, good: d < limit})
	}
	return dispatch(jobs, leaf.Concurrency, r.slowStart(t)) + ping
}

// slowStart tells whether a target's plan begins slowly.
func (s *stage) slowStart(t patch.Target) bool {
	var leaf struct {
		SlowStart bool `json:"slowStart"`
	}
	data, ok := s.world.Object(s.bucket(), store.LeafObject(t))
	return ok && json.Unmarshal(data, &leaf) == nil && leaf.SlowStart
}
