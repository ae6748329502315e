package target

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// loadOpen reads the intents that hold open commands or doubts, by number.
func (st *state) loadOpen(ctx context.Context, table store.Table) (map[int]*Intent, error) {
	want := map[int]bool{}
	for _, o := range st.row.Open {
		want[o.N] = true
	}
	for _, n := range st.row.Doubts {
		want[n] = true
	}
	if st.row.Pending != 0 {
		want[st.row.Pending] = true
	}
	return loadIntentsOf(ctx, table, st.target, slices.Sorted(maps.Keys(want)))
}

// rowsPerCall is how many rows one call reads. Source: DynamoDB BatchGetItem, read 2026-11.
const rowsPerCall = 100

func loadIntentsOf(ctx context.Context, table store.Table, t patch.Target, numbers []int) (map[int]*Intent, error) {
	intents := map[int]*Intent{}
	var rows []*store.Row
	for _, n := range numbers {
		intents[n] = &Intent{}
		rows = append(rows, &store.Row{Key: store.SendKey(t, n), Into: intents[n]})
	}
	for len(rows) > 0 {
		some := rows[:min(len(rows), rowsPerCall)]
		if err := table.Load(ctx, some...); err != nil {
			return nil, err
		}
		for _, r := range some {
			if !r.Found {
				return nil, fmt.Errorf("%w: row %s is missing", patch.ErrTampered, r.Key.SK)
			}
		}
		rows = rows[len(some):]
	}
	return intents, nil
}

// journal tells what became of the sends of an intent that was never settled, up to the first that was not tried. The
// first of all stands in no row: it was tried as soon as the intent was written. What became of the last is not known.
func journal(ctx context.Context, table store.Table, t patch.Target, in *Intent) ([]Sent, error) {
	tries := make([]Try, len(in.IDs))
	rows := make([]*store.Row, 0, len(in.IDs))
	for i := 1; i < len(in.IDs); i++ {
		rows = append(rows, &store.Row{Key: store.TryKey(t, in.Batch, i), Into: &tries[i]})
	}
	for some := range slices.Chunk(rows, rowsPerCall) {
		if err := table.Load(ctx, some...); err != nil {
			return nil, err
		}
	}
	var sends []Sent
	for i, r := range rows {
		if !r.Found {
			break
		}
		sends = append(sends, tries[i+1].Before)
	}
	return append(sends, Sent{At: in.Written}), nil
}

func loadIntents(ctx context.Context, table store.Table, t patch.Target) ([]Intent, error) {
	return store.Scan[Intent](ctx, table, store.RunKey(t.Run).PK, store.SendPrefix(t))
}

func loadLooks(ctx context.Context, table store.Table, t patch.Target) ([]Look, error) {
	return store.Scan[Look](ctx, table, store.RunKey(t.Run).PK, store.LookPrefix(t))
}
