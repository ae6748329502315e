package sim

import (
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/world"
)

// ideal is the shortest time that the run could take by the drawn times alone:
// concurrency, a slow start, reboots, the agent's ping, pauses and soaks, in the
// plan's order. It knows nothing of polling, calls or approval.
func (r *rehearsal) ideal() time.Duration {
	index, ok := r.Index()
	if !ok {
		return 0
	}
	times := map[string]world.Ideal{}
	for _, t := range r.World.IdealTimes() {
		times[t.InstanceID] = t
	}
	total := time.Duration(0)
	for i, w := range index.Waves {
		in := r.Input.Waves[i]
		total += r.idealWave(w, in, times) + time.Duration(in.HealthGate.SoakSeconds)*time.Second
		if i < len(index.Waves)-1 {
			total += time.Duration(r.Input.WavePauseSeconds) * time.Second
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
		durations = append(durations, check.Lanes(perAccount[a], r.RegionConcurrency()))
	}
	return check.Lanes(durations, in.MaxConcurrentAccounts)
}

// idealTarget gives the target's instances to its slots. One that takes longer than
// the input allows gives its slot back when its time is over.
func (r *rehearsal) idealTarget(t patch.Target, times map[string]world.Ideal) time.Duration {
	leaf, ok := r.Leaf(t)
	if !ok {
		return 0
	}
	limit := time.Duration(leaf.CommandTimeoutSeconds) * time.Second
	var jobs []check.Job
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
		jobs = append(jobs, check.Job{Holds: d, Back: d, Good: d < limit})
	}
	return check.Dispatch(jobs, leaf.Concurrency, r.SlowStart(t)) + ping
}
