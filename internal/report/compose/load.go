package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// folder makes one report. It holds what is about the run, its waves and its
// questions; what is about targets and instances is read slice by slice.
type folder struct {
	*Reports
	in     ReportInput
	run    store.RunRow
	found  bool
	abort  *store.Abort
	index  plan.Index
	lost   bool // the index is made of rows
	waves  map[string]store.WaveRow
	counts map[string]store.Counters // by wave, the whole run's under WholeRun
	asked  []decision.Approval
}

// loadRun reads the run's own rows.
func (f *folder) loadRun(ctx context.Context) error {
	var abort store.Abort
	row := &store.Row{Key: store.RunKey(f.in.Run), Into: &f.run}
	stop := &store.Row{Key: store.AbortKey(f.in.Run), Into: &abort}
	if err := f.Table.Load(ctx, row, stop); err != nil {
		return err
	}
	f.found = row.Found
	if !row.Found {
		f.run = store.RunRow{Run: f.in.Run, Status: patch.RunRunning, Started: f.Now().UTC()}
	}
	if stop.Found && (f.run.Settled.IsZero() || !abort.At.After(f.run.Settled)) {
		f.abort = &abort
	}
	return nil
}

// loadPlan reads the plan, its waves and its questions.
func (f *folder) loadPlan(ctx context.Context) error {
	if f.run.Digest == "" {
		return f.loadRefused(ctx)
	}
	var err error
	f.index, err = plan.Load(ctx, f.Objects, f.in.Run, f.run.Digest)
	switch {
	case errors.Is(err, patch.ErrTampered):
		err = f.rowsAsPlan(ctx)
	case err == nil:
		err = f.loadWaves(ctx)
	}
	if err != nil {
		return err
	}
	return f.loadApprovals(ctx)
}

// loadRefused reads what a plan that was refused could not reach. Nothing else of
// it counts: there is no run to report.
func (f *folder) loadRefused(ctx context.Context) error {
	if f.run.StatusReason == "" {
		return nil
	}
	data, found, err := f.Objects.Fetch(ctx, store.RefusedObject(f.in.Run))
	if err != nil || !found {
		return err
	}
	var refused plan.Index
	if err := json.Unmarshal(data, &refused); err != nil {
		return fmt.Errorf("%w: plan of run %s: %w", patch.ErrInternal, f.in.Run, err)
	}
	f.index.Unreachable, f.index.Inactive = refused.Unreachable, refused.Inactive
	return nil
}

func (f *folder) loadWaves(ctx context.Context) error {
	f.waves, f.counts = map[string]store.WaveRow{}, map[string]store.Counters{}
	names := []string{store.WholeRun}
	for _, w := range f.index.Waves {
		names = append(names, w.Name)
	}
	for some := range slices.Chunk(names, store.MaxLoad/2) {
		waves, counts := make([]store.WaveRow, len(some)), make([]store.Counters, len(some))
		var rows []*store.Row
		for i, name := range some {
			rows = append(rows, &store.Row{Key: store.WaveKey(f.in.Run, name), Into: &waves[i]},
				&store.Row{Key: store.CountersKey(f.in.Run, name), Into: &counts[i]})
		}
		if err := f.Table.Load(ctx, rows...); err != nil {
			return err
		}
		for i, name := range some {
			f.waves[name], f.counts[name] = waves[i], counts[i]
		}
	}
	return nil
}

// loadApprovals reads every question that this run may have asked.
func (f *folder) loadApprovals(ctx context.Context) error {
	scopes := []patch.Scope{patch.ScopeOfRun}
	for _, w := range f.index.Waves {
		scopes = append(scopes, patch.ScopeOfWave(w.Name), patch.ScopeOfSoak(w.Name))
	}
	for some := range slices.Chunk(scopes, store.MaxLoad) {
		records := make([]decision.Approval, len(some))
		rows := make([]*store.Row, len(some))
		for i, s := range some {
			rows[i] = &store.Row{Key: store.ApprovalKey(decision.ApprovalID(f.in.Run, s)), Into: &records[i]}
		}
		if err := f.Table.Load(ctx, rows...); err != nil {
			return err
		}
		for i, row := range rows {
			if row.Found {
				f.asked = append(f.asked, records[i])
			}
		}
	}
	return nil
}
