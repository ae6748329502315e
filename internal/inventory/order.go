package inventory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// order puts instances into the order in which they are sent to: the longest
// first, so that no long one begins when all others are done. How long an
// instance takes is what it took in the former run of the series, else what is
// typical of its platform.
func order(all []outcome.PlannedInstance, took map[patch.InstanceID]time.Duration) {
	expected := func(p outcome.PlannedInstance) time.Duration {
		switch t, ok := took[p.ID]; {
		case ok:
			return t
		case p.Platform == patch.Windows:
			return plan.WindowsInstall
		}
		return plan.LinuxInstall
	}
	slices.SortFunc(all, func(a, b outcome.PlannedInstance) int {
		return cmp.Or(cmp.Compare(expected(b), expected(a)), cmp.Compare(a.ID, b.ID))
	})
}

// formerTook adds what each instance of a target took in an earlier run that did
// the same on it. An installation that found nothing to do says nothing about the
// next one.
func (v *Inventory) formerTook(ctx context.Context, t patch.Target, w runinput.Wave,
	took map[patch.InstanceID]time.Duration) error {
	result, err := v.formerResult(ctx, t)
	if err != nil {
		return err
	}
	for _, r := range result.Instances {
		idle := w.SSM.Operation == patch.Install && r.Outcome == outcome.Compliant
		if r.TookSeconds > 0 && !idle && r.Outcome.Class(patch.NoReboot, true) == outcome.Good {
			took[r.InstanceID] = time.Duration(r.TookSeconds) * time.Second
		}
	}
	return nil
}

// formerResult reads the result of a target of an earlier run; empty if there is
// none that is proven to be its own.
func (v *Inventory) formerResult(ctx context.Context, t patch.Target) (target.TargetResult, error) {
	var row target.TargetRow
	if err := v.Table.Load(ctx, &store.Row{Key: store.TargetKey(t), Into: &row}); err != nil || row.ResultHash == "" {
		return target.TargetResult{}, err
	}
	data, found, err := target.FetchProven(ctx, v.Objects, t, row.ResultHash)
	if err != nil || !found {
		return target.TargetResult{}, err
	}
	return target.DecodeResult(data)
}
