package compose

import (
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

// unmatched lists the accounts of a wave that were looked at and in which nothing
// was matched. One with a region that could not be reached is not among them.
func unmatched(x plan.Index, w plan.IndexWave) []patch.AccountID {
	out := map[patch.AccountID]bool{} // something was matched, or not all was seen
	for _, u := range x.Unreachable {
		out[u.Account] = true
	}
	for _, t := range w.Targets {
		if t.Planned+t.Excluded > 0 {
			out[t.Account] = true
		}
	}
	var all []patch.AccountID
	for _, t := range w.Targets {
		if !out[t.Account] {
			all = append(all, t.Account)
			out[t.Account] = true
		}
	}
	return all
}
