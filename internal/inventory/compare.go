package inventory

import (
	"context"
	"fmt"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// compare tells what has changed since the previous run of the same waves: what
// is new in the plan, and what is matched no more. It leaves the plan in the order
// of sending.
func (v *Inventory) compare(ctx context.Context, previous patch.RunID, at patch.Target, input runinput.Input,
	inv *plan.Inventory) error {
	took := map[patch.InstanceID]time.Duration{}
	defer func() { order(inv.Planned, took) }()
	if previous == "" {
		return nil
	}
	for _, w := range wavesOf(input, at) {
		former := patch.Target{Run: previous, Wave: w.Name, Account: at.Account, Region: at.Region}
		leaf, ok, err := v.formerLeaf(ctx, former)
		if err != nil {
			return err
		}
		if leaf.Operation == w.SSM.Operation {
			if err := v.formerTook(ctx, former, w, took); err != nil {
				return err
			}
		}
		was := map[patch.InstanceID]bool{}
		for _, p := range leaf.Instances {
			was[p.ID] = true
		}
		is := map[patch.InstanceID]bool{}
		for i, p := range inv.Planned {
			if p.Wave == w.Name {
				is[p.ID] = true
				inv.Planned[i].New = ok && !was[p.ID]
			}
		}
		for _, p := range leaf.Instances {
			if !is[p.ID] {
				inv.Vanished = append(inv.Vanished, plan.Vanished{ID: p.ID, Wave: w.Name, Platform: p.Platform,
					Name: p.Name})
			}
		}
	}
	return nil
}

// formerLeaf reads the plan of a target of an earlier run; ok is false if that
// run did not look at it.
func (v *Inventory) formerLeaf(ctx context.Context, t patch.Target) (leaf plan.Leaf, ok bool, err error) {
	var row target.TargetRow
	r := &store.Row{Key: store.TargetKey(t), Into: &row}
	if err := v.Table.Load(ctx, r); err != nil {
		return leaf, false, err
	}
	if row.LeafDigest == "" {
		return leaf, r.Found && row.Status != target.TargetUnreachable, nil
	}
	leaf, err = plan.LoadLeaf(ctx, v.Objects, t, row.LeafDigest)
	return leaf, true, err
}

// checkResume refuses to resume a run that has not ended, or one of other waves.
func (v *Inventory) checkResume(ctx context.Context, input runinput.Input) error {
	if input.Resume == "" {
		return nil
	}
	var run store.RunRow
	row := &store.Row{Key: store.RunKey(input.Resume), Into: &run}
	if err := v.Table.Load(ctx, row); err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: resume: run %s %s", patch.ErrInvalidInput, input.Resume, fmt.Sprintf(format, args...))
	}
	switch {
	case !row.Found:
		return refuse("is not known")
	case run.Digest == "":
		return refuse("has no plan; start it anew without resume")
	case run.Ended.IsZero():
		return refuse("has not ended")
	}
	old, _, err := plan.LoadInput(ctx, v.Objects, input.Resume)
	if err != nil {
		return err
	}
	if store.SeriesKey(old) != store.SeriesKey(input) {
		return refuse("had other waves; give the same names, accounts, regions and filters")
	}
	return nil
}

// resume keeps in the plan only what the earlier run had in its plan and did not
// finish. An instance of which nobody knew is judged by what it shows now.
func (v *Inventory) resume(ctx context.Context, at patch.Target, input runinput.Input,
	agents map[patch.InstanceID]port.Agent, inv *plan.Inventory) error {
	if input.Resume == "" {
		return nil
	}
	done := map[patch.InstanceID]string{} // why it is not planned again
	known := map[patch.InstanceID]bool{}
	for _, w := range wavesOf(input, at) {
		t := patch.Target{Run: input.Resume, Wave: w.Name, Account: at.Account, Region: at.Region}
		leaf, _, err := v.formerLeaf(ctx, t)
		if err != nil {
			return err
		}
		good, err := v.formerGood(ctx, t, w.SSM.RebootOption)
		if err != nil {
			return err
		}
		same := leaf.Operation == w.SSM.Operation // what a scan found is not what an installation has done
		for _, p := range leaf.Instances {
			known[p.ID] = true
			if outcome, ok := good[p.ID]; ok && same {
				done[p.ID] = fmt.Sprintf("%s by run %s", outcome, input.Resume)
			}
		}
		for _, p := range inv.Planned {
			if p.Wave == w.Name && done[p.ID] == "" && same && p.Before.Proves(leaf.Operation, leaf.RebootOption,
				leaf.SnapshotID, agents[p.ID].LastPing) {
				done[p.ID] = fmt.Sprintf("found patched by run %s", input.Resume)
			}
		}
	}
	kept := inv.Planned[:0]
	for _, p := range inv.Planned {
		why := done[p.ID]
		if why == "" && !known[p.ID] {
			why = fmt.Sprintf("not in the plan of run %s", input.Resume)
		}
		if why == "" {
			kept = append(kept, p)
			continue
		}
		inv.Excluded = append(inv.Excluded, plan.ExcludedInstance{
			InstanceID: p.ID, Account: at.Account, Region: at.Region, Wave: p.Wave,
			Outcome: outcome.Excluded, Reason: why,
		})
	}
	inv.Planned = kept
	return nil
}

// formerGood lists the instances that the earlier run finished as well as this
// one asks for: a reboot that was put off then may be due now.
func (v *Inventory) formerGood(ctx context.Context, t patch.Target,
	reboot patch.RebootOption) (map[patch.InstanceID]outcome.Outcome, error) {
	good := map[patch.InstanceID]outcome.Outcome{}
	result, err := v.formerResult(ctx, t) // nobody knows without one: what the machines show now decides
	if err != nil {
		return nil, err
	}
	for _, r := range result.Instances {
		if r.Class(reboot) == outcome.Good {
			good[r.InstanceID] = r.Outcome
		}
	}
	return good, nil
}
