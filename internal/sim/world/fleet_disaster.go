package world

import (
	"slices"
	"time"

	"ec2patch/internal/sim/world/fleetfile"
)

// KillerPatch lets the patches of a platform kill: each machine that installs any dies with that probability, from 0 to
// 1. Source: docs/faults.md F-33.
func (w *World) KillerPatch(platform string, probability float64) {
	if w.killers == nil {
		w.killers = map[string]float64{}
	}
	w.killers[platform] = probability
}

// killed draws whether an Install that brought patches kills its machine.
func (w *World) killed(i *Instance) bool {
	p, deadly := w.killers[i.Platform]
	return i.Fate == fleetfile.FateKilled || deadly && i.rng.Float64() < p
}

// LoseZone takes every running machine of an availability zone away until ReturnZone. Source: docs/faults.md F-35.
func (w *World) LoseZone(account, region, zone string) {
	for _, i := range w.zone(account, region, zone) {
		w.lose(i, AgentLost)
		i.booting = true
	}
}

// ReturnZone brings the machines of a zone back.
func (w *World) ReturnZone(account, region, zone string) {
	for _, i := range w.zone(account, region, zone) {
		w.online(i)
	}
}

func (w *World) zone(account, region, zone string) []*Instance {
	var found []*Instance
	for _, i := range w.fleet(account, region).instances {
		if i.Zone == zone && i.State == stateRunning && i.managed {
			found = append(found, i)
		}
	}
	return found
}

// Makespan is how long a command takes at best whose invocations take the given times, in this order, when
// concurrency of them run at once; ramp begins with one and adds one for each that ends (1, 2, 4 ...). It is the rule
// by which the world itself sends.
func Makespan(times []time.Duration, concurrency int, ramp bool) time.Duration {
	concurrency = max(concurrency, 1)
	limit := concurrency
	if ramp {
		limit = 1
	}
	var ends []time.Duration // of what runs, sorted
	var now, last time.Duration
	for _, t := range times {
		for len(ends) >= limit {
			now, ends = ends[0], ends[1:]
			limit = min(limit+1, concurrency)
		}
		end := now + t
		at, _ := slices.BinarySearch(ends, end)
		ends = slices.Insert(ends, at, end)
		last = max(last, end)
	}
	return last
}
