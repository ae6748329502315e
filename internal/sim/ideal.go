package sim

import (
	"slices"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/sim/world"
)

// ideal is the shortest time that the run could take by the drawn times alone:
// SSM's ramp, concurrency, reboots, the agent's ping, pauses and soaks. It knows
// nothing of polling, calls or approval.
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
func (r *rehearsal) idealWave(w patch.IndexWave, in patch.Wave, times map[string]world.Ideal) time.Duration {
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
		durations = append(durations, world.Makespan(perAccount[a], r.regionConcurrency(), false))
	}
	return world.Makespan(durations, in.MaxConcurrentAccounts, false)
}

func (r *rehearsal) regionConcurrency() int {
	for _, f := range r.hub.Functions() {
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

// idealTarget is one command over all instances at the target's concurrency.
func (r *rehearsal) idealTarget(t patch.Target, times map[string]world.Ideal) time.Duration {
	leaf, ok := r.leaf(t)
	if !ok {
		return 0
	}
	var all []time.Duration
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
		all = append(all, d)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return world.Makespan(all, leaf.Concurrency, true) + ping
}
