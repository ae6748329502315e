package fleetfile

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"ec2patch/internal/sim/world/core"
)

const (
	// badFrom is the size from which a default region has bad instances.
	badFrom = 10
	// failsOf is of how many instances one has a patch that fails.
	failsOf = 200
)

// Wanted is what somebody looks for in a region: what its instances have to be in order to be found.
type Wanted struct {
	Tags      map[string][]string // keys AND, values OR; PatchGroup=default if empty
	Platforms []string            // Linux and Windows if empty
}

// Default is a plausible estate: perRegion instances in each region of each account, such as are wanted there. Where
// several things are wanted, or several values of a tag, they are spread; of the instances that may be Linux or
// Windows, two in five are Windows. In every 25, one is offline, one stopped or unmanaged, one is compliant already,
// and sometimes one is tagged PatchExclude=true: these numbers are counts, not rates, so that every 25 has them. One in
// 200 has a patch that fails: of 25 in a region one or none, of 1,000 five. Regions with fewer than ten instances have
// none of these.
func Default(seed uint64, accounts map[string]map[string][]Wanted, perRegion int) File {
	f := File{Accounts: map[string]Account{}}
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		a := Account{Regions: map[string]Region{}}
		for _, region := range slices.Sorted(maps.Keys(accounts[id])) {
			rng := core.Stream(seed, "default-fleet/"+id+"/"+region)
			list := wantedInstances(rng, accounts[id][region], perRegion)
			if perRegion >= badFrom {
				spoil(rng, list)
			}
			a.Regions[region] = Region{Instances: list}
		}
		f.Accounts[id] = a
	}
	return f
}

// wantedInstances are n instances that are well.
func wantedInstances(rng *rand.Rand, wanted []Wanted, n int) []Instance {
	if len(wanted) == 0 {
		wanted = []Wanted{{}}
	}
	windows := map[int]bool{}
	for _, i := range rng.Perm(n)[:n*2/5] {
		windows[i] = true
	}
	list := make([]Instance, n)
	for i := range list {
		w := wanted[i%len(wanted)]
		list[i] = Instance{
			Name: fmt.Sprintf("host-%03d", i+1), Platform: w.platform(windows[i]), Tags: w.tags(i / len(wanted)), Fate: FateOK,
		}
	}
	return list
}

// platform is one that is wanted: Windows or Linux as it falls, if both are.
func (w Wanted) platform(windows bool) string {
	first := Linux
	if windows {
		first = Windows
	}
	if len(w.Platforms) == 0 || slices.Contains(w.Platforms, first) {
		return first
	}
	return w.Platforms[0]
}

// tags are the nth of the combinations of values that are wanted.
func (w Wanted) tags(n int) map[string]string {
	if len(w.Tags) == 0 {
		return map[string]string{"PatchGroup": "default"}
	}
	tags := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(w.Tags)) {
		if values := w.Tags[key]; len(values) > 0 {
			tags[key] = values[n%len(values)]
			n /= len(values)
		}
	}
	return tags
}

// spoil gives some instances a fate.
func spoil(rng *rand.Rand, list []Instance) {
	n, next := len(list), 0
	order := rng.Perm(n)
	take := func() *Instance { next++; return &list[order[next-1]] }
	for range max(1, n/25) {
		take().Fate = FateOffline
		take().Fate = []Fate{FateStopped, FateUnmanaged}[rng.IntN(2)]
		take().Fate = FateCompliant
		if rng.IntN(3) == 0 {
			take().Tags["PatchExclude"] = "true"
		}
	}
	failing := n / failsOf
	if rng.IntN(failsOf) < n%failsOf {
		failing++
	}
	for range failing {
		take().Fate = FatePatchFails
	}
}
