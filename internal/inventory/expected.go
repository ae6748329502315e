package inventory

import (
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/target"
)

// estimate says of each wave how long it will take, typically, with its soak.
// A target patches as many instances at the same time as its limit allows, an
// account as many regions, a wave as many accounts.
func (v *Inventory) estimate(input runinput.Input, x *plan.Index, rows map[patch.Target]target.TargetRow) {
	for i, w := range input.Waves {
		var accounts []time.Duration
		for _, a := range w.Accounts {
			var regions []time.Duration
			for _, r := range w.Regions {
				regions = append(regions,
					targetTime(w, rows[patch.Target{Run: x.Run, Wave: w.Name, Account: a, Region: r}]))
			}
			accounts = append(accounts, inLanes(regions, v.RegionConcurrency))
		}
		if t := inLanes(accounts, w.MaxConcurrentAccounts); t > 0 {
			t += time.Duration(w.HealthGate.SoakSeconds) * time.Second
			x.Waves[i].ExpectedMinutes = max(int(t.Minutes()), 1)
		}
	}
}

// targetTime is what a target's instances take, so many at a time.
func targetTime(w runinput.Wave, row target.TargetRow) time.Duration {
	if row.Planned == 0 {
		return 0
	}
	each := func(p patch.Platform) time.Duration { return plan.ExpectedTime(w.SSM.Operation, w.SSM.RebootOption, p) }
	var sum, longest time.Duration
	for _, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS} {
		if n := row.Platforms[p]; n > 0 {
			sum += time.Duration(n) * each(p)
			longest = max(longest, each(p))
		}
	}
	return max(sum/time.Duration(w.SSM.MaxConcurrency.Concurrency(row.Planned)), longest)
}

// inLanes is what jobs take of which n go on at the same time.
func inLanes(jobs []time.Duration, n int) time.Duration {
	var sum, longest time.Duration
	for _, j := range jobs {
		sum += j
		longest = max(longest, j)
	}
	return max(sum/time.Duration(max(n, 1)), longest)
}
