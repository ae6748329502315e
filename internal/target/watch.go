package target

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

const (
	// watchGap is how often a wave's alarms are read while it is patched. A step of Send takes up to
	// 80 s after its look: together they stay within watchLimit.
	watchGap = 40 * time.Second
	// watchLimit is how old what is known of the alarms may be when something is sent.
	watchLimit = 2 * time.Minute
)

// watchAlarms looks at the alarms of the target's wave. The first call of any of the wave's targets in
// watchGap takes the watch row and reads them all; the others read the row. Only where nothing is known
// yet, as at the start of a wave, do others read the alarms for themselves rather than wait.
//
// An error means that the state of the alarms is not known just now: a step that sends must try again.
func watchAlarms(ctx context.Context, table store.Table, alarms port.Alarms, st *state, now time.Time) error {
	now = now.UTC()
	if st.alarmsKnown(now) && now.Sub(st.watch.At) < watchGap {
		return nil
	}
	taken := st.watch
	taken.At = now
	mine, err := saveWatch(ctx, table, st, taken)
	if err != nil || !mine && st.alarmsKnown(now) {
		return err
	}
	states, err := alarms.States(ctx, st.target.Run, st.wave.Alarms)
	switch {
	case err == nil:
	case now.Sub(orTime(st.watch.Read, st.watch.First)) >= doubt.Patience:
		states = doubt.Unreadable(st.wave.Alarms)
	case st.alarmsKnown(now):
		slog.Warn("alarms not read", "run", string(st.target.Run), "wave", st.target.Wave, "err", err)
		return nil
	default:
		return fmt.Errorf("the alarms of wave %s are not known: %w", st.target.Wave, err)
	}
	seen := st.watch
	seen.Saw(states, now)
	if mine {
		mine, err = saveWatch(ctx, table, st, seen)
	}
	if !mine {
		st.watch.Saw(states, now) // another call writes what it sees itself
	}
	return err
}

// alarmsKnown tells whether what is known of the alarms is fresh enough to send by.
func (st *state) alarmsKnown(now time.Time) bool { return now.Sub(st.watch.Read) < watchLimit }

// saveWatch writes the watch row. If another call was first, it reads what that wrote, and mine is false.
func saveWatch(ctx context.Context, table store.Table, st *state, w store.Watch) (mine bool, err error) {
	key := store.WatchKey(st.target.Run, st.target.Wave)
	write := store.Write{How: store.Replace, Key: key, Was: w.Version}
	if !st.watchFound {
		write.How, w.First = store.Create, w.At
	}
	w.Version++
	write.Item = w
	if err := table.Write(ctx, write); !errors.Is(err, patch.ErrConflict) {
		if err == nil {
			st.watch, st.watchFound = w, true
		}
		return err == nil, err
	}
	var theirs store.Watch
	row := &store.Row{Key: key, Into: &theirs}
	if err := table.Load(ctx, row); err != nil {
		return false, err
	}
	st.watch, st.watchFound = theirs, row.Found
	return false, nil
}

// orTime is the first of the two that is set.
func orTime(t, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t
}
