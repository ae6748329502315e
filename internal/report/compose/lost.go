package compose

import (
	"context"
	"slices"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/target"
)

// planLost is why a run without its sealed plan failed, whatever else happened.
const planLost = "plan/index.json is missing or is not the plan that was frozen; this report is made of the targets' " +
	"rows"

// rowsAsPlan makes up for a plan's index that somebody has edited or removed: a run
// is closed and has a report whatever became of its files. Nothing is ever sent
// by it. The order is that of the waves, then of the rows.
func (f *folder) rowsAsPlan(ctx context.Context) error {
	rows, err := target.LoadTargets(ctx, f.Table, f.in.Run, "")
	if err != nil {
		return err
	}
	targets := make([]patch.Target, 0, len(rows))
	for t := range rows {
		targets = append(targets, t)
	}
	slices.SortFunc(targets, func(a, b patch.Target) int {
		return slices.Compare([]string{a.Wave, string(a.Account), string(a.Region)},
			[]string{b.Wave, string(b.Account), string(b.Region)})
	})
	x := plan.Index{Run: f.in.Run, Digest: f.run.Digest, Needed: f.run.RequireDistinct, RequestedBy: f.run.RequestedBy}
	for _, t := range targets {
		row := rows[t]
		if n := len(x.Waves); n == 0 || x.Waves[n-1].Name != t.Wave {
			x.Waves = append(x.Waves, plan.IndexWave{Name: t.Wave})
		}
		w := &x.Waves[len(x.Waves)-1]
		if row.Status == target.TargetUnreachable {
			x.Unreachable = append(x.Unreachable,
				plan.UnreachableAccount{Account: t.Account, Region: t.Region, Reason: row.Reason})
		}
		if w.Operation == "" && row.LeafDigest != "" {
			leaf, err := plan.LoadLeaf(ctx, f.Objects, t, row.LeafDigest)
			if err := patch.Without(err, patch.ErrTampered); err != nil {
				return err
			}
			w.Operation, w.RebootOption = leaf.Operation, leaf.RebootOption
		}
		w.Planned += row.Planned
		w.Excluded += row.Excluded
		w.Targets = append(w.Targets,
			plan.IndexTarget{Account: t.Account, Region: t.Region, Planned: row.Planned, Excluded: row.Excluded,
				Digest: row.LeafDigest})
	}
	f.index, f.lost = x, true
	if err := f.loadWaves(ctx); err != nil {
		return err
	}
	slices.SortStableFunc(f.index.Waves, func(a, b plan.IndexWave) int {
		if d := f.waves[a.Name].Position - f.waves[b.Name].Position; d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return nil
}
