package compose

import (
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

// piece is what the report reads at once: an account of one wave, or one region
// of an account that is too large for that.
type piece struct {
	wave      string
	account   patch.AccountID
	regions   []patch.Region // with something planned
	excluding []patch.Region // with something that matched and is left out
	whole     bool           // all of the account
	excluded  int
	weight    int // planned and excluded instances
}

func (p piece) targets(run patch.RunID) []patch.Target {
	all := make([]patch.Target, len(p.regions))
	for i, r := range p.regions {
		all[i] = patch.Target{Run: run, Wave: p.wave, Account: p.account, Region: r}
	}
	return all
}

func (p *piece) add(t plan.IndexTarget) {
	if t.Planned > 0 {
		p.regions = append(p.regions, t.Region)
	}
	if t.Excluded > 0 {
		p.excluding = append(p.excluding, t.Region)
	}
	p.excluded += t.Excluded
	p.weight += t.Planned + t.Excluded
}

// piecesOf cuts a plan into pieces, in its own order. Nothing but the plan
// decides, so every call cuts alike.
func piecesOf(x plan.Index) []piece {
	var all []piece
	for _, w := range x.Waves {
		for rest := w.Targets; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].Account == rest[0].Account {
				n++
			}
			all = append(all, piecesOfAccount(w.Name, rest[:n])...)
			rest = rest[n:]
		}
	}
	return all
}

func piecesOfAccount(wave string, targets []plan.IndexTarget) []piece {
	whole := piece{wave: wave, account: targets[0].Account, whole: true}
	for _, t := range targets {
		whole.add(t)
	}
	switch {
	case whole.weight == 0:
		return nil
	case whole.weight <= maxRollUp:
		return []piece{whole}
	}
	var parts []piece
	for _, t := range targets {
		p := piece{wave: wave, account: t.Account}
		if p.add(t); p.weight > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}

// A slice is what one call folds. Its instances bound the memory, some 10 MB.
// Its targets bound the time: one costs a tenth of a second if everything has to
// be read for it (result, plan, intents), so a slice takes 100 s of the 300 s
// that the function has at the worst. Usually it takes a read for each account:
// 1,000 accounts of one region in some 25 s.
const (
	sliceInstances = 5000
	sliceTargets   = 1000
)

// slicesOf groups pieces into slices; there is always one. A piece that is
// larger than a slice is a slice by itself.
func slicesOf(pieces []piece) [][]piece {
	slices := [][]piece{nil}
	instances, targets := 0, 0
	for _, p := range pieces {
		n := max(len(p.regions), len(p.excluding))
		if last := len(slices) - 1; len(slices[last]) > 0 &&
			(instances+p.weight > sliceInstances || targets+n > sliceTargets) {
			slices = append(slices, nil)
			instances, targets = 0, 0
		}
		last := len(slices) - 1
		slices[last] = append(slices[last], p)
		instances, targets = instances+p.weight, targets+n
	}
	return slices
}
