package task

import (
	"cmp"
	"context"
	"slices"
	"time"

	"ec2patch/internal/patch"
)

// order puts instances into the order in which they are sent to: the longest
// first, so that no long one begins when all others are done. How long an
// instance takes is what it took in the former run of the series, else what is
// typical of its platform.
func order(all []patch.PlannedInstance, took map[patch.InstanceID]time.Duration) {
	expected := func(p patch.PlannedInstance) time.Duration {
		switch t, ok := took[p.ID]; {
		case ok:
			return t
		case p.Platform == patch.Windows:
			return windowsInstall
		}
		return linuxInstall
	}
	slices.SortFunc(all, func(a, b patch.PlannedInstance) int {
		return cmp.Or(cmp.Compare(expected(b), expected(a)), cmp.Compare(a.ID, b.ID))
	})
}

// formerTook adds what each instance of a target took in an earlier run that did
// the same on it. An installation that found nothing to do says nothing about the
// next one.
func (v *Inventory) formerTook(ctx context.Context, t patch.Target, w patch.Wave, took map[patch.InstanceID]time.Duration) error {
	result, err := v.formerResult(ctx, t)
	if err != nil {
		return err
	}
	for _, r := range result.Instances {
		idle := w.SSM.Operation == patch.Install && r.Outcome == patch.Compliant
		if r.TookSeconds > 0 && !idle && r.Outcome.Class(patch.NoReboot, true) == patch.Good {
			took[r.InstanceID] = time.Duration(r.TookSeconds) * time.Second
		}
	}
	return nil
}

// formerResult reads the result of a target of an earlier run; empty if there is
// none that is proven to be its own.
func (v *Inventory) formerResult(ctx context.Context, t patch.Target) (TargetResult, error) {
	var row patch.TargetRow
	if err := v.Table.Load(ctx, &Row{Key: patch.TargetKey(t), Into: &row}); err != nil || row.ResultHash == "" {
		return TargetResult{}, err
	}
	data, found, err := fetchProven(ctx, v.Objects, t, row.ResultHash)
	if err != nil || !found {
		return TargetResult{}, err
	}
	return decodeResult(data)
}
