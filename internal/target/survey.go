package target

import (
	"context"
	"maps"
	"slices"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

const (
	// maxReads bounds the invocations that one poll reads: what they find must fit into one row, and the reads into
	// half of the function's time.
	maxReads = 400
)

// working is a command of another target that may be at work.
type working struct {
	command  patch.CommandID // empty: a send whose command is not known, and that SSM need not list yet
	instance patch.InstanceID
	untaken  bool // no agent has taken it
	late     bool // it is past its deadline
	over     bool // it is past its deadline and the time that a cancel may take: it is followed no further
}

// cancelled tells whether a cancel does no harm: one that runs within its time is left to end.
func (w working) cancelled() bool { return w.command != "" && (w.untaken || w.late) }

// atWork lists the commands of a target that have not ended, by what SSM says now, also those whose id was never
// written down.
func (st *state) atWork(ctx context.Context, table store.Table, spoke port.Spoke, now time.Time) ([]working, error) {
	intents, err := st.loadOpen(ctx, table)
	if err != nil {
		return nil, err
	}
	var unknown []string
	since := now
	for _, in := range intents {
		if in.Written.Before(since) {
			since = in.Written
		}
		if !in.Settled || in.Doubtful() {
			unknown = append(unknown, in.Marker)
		}
	}
	since = since.Add(-outcome.ListMargin)
	marked := map[string]port.Accepted{}
	if len(unknown) > 0 {
		if marked, err = spoke.Marked(ctx, unknown, since); err != nil {
			return nil, err
		}
	}
	executing, err := spoke.Executing(ctx, since)
	if err != nil {
		return nil, err
	}
	look := survey{spoke: spoke, clock: clock{store.Clock{Now: now}}, marked: marked, executing: executing}
	for _, n := range slices.Sorted(maps.Keys(intents)) {
		if err := look.intent(ctx, st, intents[n]); err != nil {
			return nil, err
		}
	}
	return look.all, nil
}

// survey is a look at the commands that another run, or another wave, has begun.
type survey struct {
	spoke     port.Spoke
	clock                              // without waits: those of the machine that began them are not known here
	marked    map[string]port.Accepted // those whose ids were never written down
	executing map[patch.CommandID]bool // as SSM lists them
	reads     int
	all       []working
}

func (k *survey) intent(ctx context.Context, st *state, in *Intent) error {
	o := st.row.OpenOf(in.Batch)
	for i, id := range in.IDs {
		var x Sent
		switch {
		case i < len(in.Sends):
			x = in.Sends[i]
		case in.Settled:
			continue // never tried
		}
		if in.Settled && (o == nil || !o.Left.Has(i)) || x.Lost {
			continue // it has ended, or was never accepted
		}
		if x.Command == "" {
			a, listed := k.marked[plan.SendMarker(in.Marker, i)]
			if !listed {
				if k.Now.Before(in.Written.Add(visibility)) {
					k.all = append(k.all, working{instance: id})
				}
				continue
			}
			x.Command, x.At = a.ID, a.At
		}
		w, open, err := k.command(ctx, in, x)
		if err != nil {
			return err
		}
		if open {
			w.instance = id
			k.all = append(k.all, w)
		}
	}
	return nil
}

// command says how far a command is; open is false if it has ended. That it is not listed among those that execute
// does not mean that it has ended: its invocation tells. What a survey has no reads left for is taken to be at work
// until its time is over.
func (k *survey) command(ctx context.Context, in *Intent, x Sent) (w working, open bool, err error) {
	w = working{command: x.Command, late: k.late(in, x), over: k.age(in, x) >= in.timeout()+CancelGrace}
	if w.over && !k.executing[x.Command] {
		return w, false, nil
	}
	if k.reads == maxReads {
		return w, true, nil
	}
	k.reads++
	v, found, err := k.spoke.Invocation(ctx, x.Command)
	w.untaken = found && untaken(v)
	return w, !found || !v.Terminal(), err
}
