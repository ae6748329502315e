package world

import (
	"fmt"
	"maps"
	"slices"
)

// badFrom is the size from which a default region has bad instances.
const badFrom = 10

// DefaultFleet is a plausible estate: perRegion instances in each region of each account, three in five
// Linux and the others Windows, tagged PatchGroup=default. Of every 25, one is offline, one stopped or unmanaged, one
// has a patch that fails, one is compliant already, and sometimes one is tagged PatchExclude=true; numbers are
// counts, not rates, so that every 25 has them. Regions with fewer than ten instances have none.
func DefaultFleet(seed uint64, accounts map[string][]string, perRegion int) FleetFile {
	f := FleetFile{Accounts: map[string]FleetAccount{}}
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		a := FleetAccount{Regions: map[string]FleetRegion{}}
		for _, region := range accounts[id] {
			a.Regions[region] = defaultRegion(seed, id, region, perRegion)
		}
		f.Accounts[id] = a
	}
	return f
}

func defaultRegion(seed uint64, account, region string, n int) FleetRegion {
	rng := stream(seed, "default-fleet/"+account+"/"+region)
	list := make([]FleetInstance, n)
	for i := range list {
		list[i] = FleetInstance{
			Name: fmt.Sprintf("host-%03d", i+1), Platform: Linux,
			Tags: map[string]string{"PatchGroup": "default"}, Fate: FateOK,
		}
	}
	for _, i := range rng.Perm(n)[:n*2/5] {
		list[i].Platform = Windows
	}
	if n < badFrom {
		return FleetRegion{Instances: list}
	}
	order := rng.Perm(n)
	next := 0
	take := func() *FleetInstance { next++; return &list[order[next-1]] }
	for range max(1, n/25) {
		take().Fate = FateOffline
		take().Fate = []Fate{FateStopped, FateUnmanaged}[rng.IntN(2)]
		take().Fate = FatePatchFails
		take().Fate = FateCompliant
		if rng.IntN(3) == 0 {
			take().Tags["PatchExclude"] = "true"
		}
	}
	return FleetRegion{Instances: list}
}
