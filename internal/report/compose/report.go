package compose

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/report"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/words"
)

// ReportOutput says whether the report is written, and how the run ended.
type ReportOutput struct {
	Next   patch.Next      `json:"next"` // report or done
	Status patch.RunStatus `json:"status"`
	Error  string          `json:"error"` // with which the execution ends, unless it succeeds
	Cause  string          `json:"cause"`
	Cursor int             `json:"cursor"` // the slice to go on with
}

// Reports makes the reports of runs, and closes them.
type Reports struct {
	Table     store.Table
	Objects   store.Archive
	Decisions port.Verifier
	Seals     port.Verifier   // of the key that plans are sealed with
	People    decision.People // who counts as whom, of those who decide
	Runs      port.Runs
	Notices   port.Mail
	Metrics   port.Metrics
	Now       port.Clock
	Targets   *target.Abandon
	Auditor   store.Signer
}

// ReportInput is what a step of a report, a roll-up or a close is told.
type ReportInput struct {
	Task    patch.Task // rollup, report, close, rebuild
	Run     patch.RunID
	Wave    string
	Account patch.AccountID
	Cursor  int // the slice of the report to continue with
	Failure Failure
	Status  string // of an execution that ended, for close
}

// Failure is an error as the state machine catches it.
type Failure struct {
	Error string
	Cause string
}

// Write writes what the run leaves behind and closes it, slice by slice. For
// the state machine it folds one slice a call; nobody calls close and rebuild
// again, so they go on as long as they have time. A report that is written is
// not written again, unless somebody asks for that.
func (v *Reports) Write(ctx context.Context, in ReportInput) (ReportOutput, error) {
	f := &folder{Reports: v, in: in}
	if err := f.loadRun(ctx); err != nil {
		return ReportOutput{}, err
	}
	rebuild := in.Task == patch.TaskRebuild
	switch ended := !f.run.Ended.IsZero(); {
	case rebuild && !ended:
		return ReportOutput{},
			fmt.Errorf("%w: run %s has not ended, its report is written then", patch.ErrInvalidInput, in.Run)
	case ended && in.Failure.Error == string(patch.ErrInvalidInput):
		// Another run of this name has ended long ago. Its report is not this one's.
		return ReportOutput{Next: patch.NextDone, Status: patch.RunRefused, Error: string(patch.RunRefused.Err()),
			Cause: short(in.Failure.Error + ": " + in.Failure.Cause)}, nil
	case ended && !rebuild:
		return f.done(), nil
	}
	from := max(in.Cursor, 0)
	if in.Task == patch.TaskClose {
		from = f.run.Folded
	}
	if from == 0 && !rebuild { // whatever became of the plan
		if err := f.giveUp(ctx); err != nil {
			return ReportOutput{}, err
		}
	}
	if err := f.loadPlan(ctx); err != nil {
		return ReportOutput{}, err
	}
	slices := slicesOf(piecesOf(f.index))
	for started := f.Now(); from < len(slices)-1; {
		if _, err := f.storeSlice(ctx, slices[from], from); err != nil {
			return ReportOutput{}, err
		}
		if from++; in.Task == patch.TaskReport || f.Now().Sub(started) >= foldTime {
			return f.later(ctx, from)
		}
	}
	return f.finishReport(ctx, slices)
}

// foldTime is how long one call folds slices that it does not have to. With one
// more at the worst, or the last one and the report itself, it is done before the
// function's 300 s are over.
const foldTime = 100 * time.Second

// later ends a call that leaves the rest to the next. The state machine and whoever
// rebuilds a report call again with the cursor; a close is called again by
// Lambda, because of its error, and finds the cursor in the run's row.
func (f *folder) later(ctx context.Context, from int) (ReportOutput, error) {
	if f.in.Task != patch.TaskClose {
		return ReportOutput{Next: patch.NextReport, Status: f.run.Status, Cursor: from}, nil
	}
	f.run.Folded = from
	if err := f.save(ctx); err != nil {
		return ReportOutput{}, err
	}
	return ReportOutput{},
		fmt.Errorf("%w: %d slices of the report of %s are folded, the next call continues", patch.ErrUnavailable, from,
			f.in.Run)
}

// finishReport puts the report together. How the run ended is made final first,
// so that whoever writes the report, and whenever, writes the same.
func (f *folder) finishReport(ctx context.Context, slices [][]piece) (ReportOutput, error) {
	c := &composer{folder: f, slices: slices}
	if err := c.count(ctx); err != nil {
		return ReportOutput{}, err
	}
	r, err := c.head(ctx)
	if err != nil {
		return ReportOutput{}, err
	}
	doubts := f.upholdDoubts(r)
	if f.run.Settled.IsZero() {
		status, why := f.status(r, doubts)
		if f.lost {
			status, why = patch.RunFailed, words.Joined(planLost, why)
		}
		if err := f.conclude(ctx, status, why); err != nil {
			return ReportOutput{}, err
		}
	}
	r.Status, r.StatusReason, r.Ended = f.run.Status, f.run.StatusReason, f.run.Settled.UTC()
	if err := c.write(ctx, r); err != nil {
		return ReportOutput{}, err
	}
	if f.run.Ended.IsZero() {
		if err := f.close(ctx); err != nil {
			return ReportOutput{}, err
		}
		f.announce(ctx, r)
	}
	return f.done(), nil
}

func (f *folder) done() ReportOutput {
	return ReportOutput{Next: patch.NextDone, Status: f.run.Status, Error: string(f.run.Status.Err()),
		Cause: short(fmt.Sprintf("%s: %s", f.run.Status, cmp.Or(f.run.StatusReason, "see the report")))}
}

// giveUp frees what the machine could not bring to an end: no lease outlives
// its run, however the run ends.
func (f *folder) giveUp(ctx context.Context) error {
	if f.run.Digest == "" {
		return nil
	}
	return f.Targets.Run(ctx, f.in.Run)
}

// conclude makes final how the run ended. From here on nothing more is sent.
func (f *folder) conclude(ctx context.Context, status patch.RunStatus, why string) error {
	f.run.Status, f.run.StatusReason, f.run.Settled = status, why, f.Now().UTC()
	heads, err := f.heads(ctx)
	if err != nil {
		return err
	}
	note := store.Note{Actor: "report", Action: "RunEnded", Detail: string(status) + "; " + why, Binds: heads}
	entry, err := f.run.Heads.Note(store.Verify, store.RunSubject(f.in.Run), note, f.run.Settled).
		Signed(ctx, f.Auditor)
	if err != nil {
		return err
	}
	return f.save(ctx, entry.Write())
}

// heads binds the ends of all chains about the run's targets, also of those that no verdict is about.
func (f *folder) heads(ctx context.Context) (digest string, err error) {
	bound := map[string]store.ChainHead{}
	if f.run.Digest != "" {
		rows, err := target.LoadTargets(ctx, f.Table, f.in.Run, "")
		if err != nil {
			return "", err
		}
		target.Bind(bound, rows)
	}
	f.run.Heads.Bind(bound, store.RunSubject(f.in.Run))
	return store.BindHeads(ctx, f.Objects, f.in.Run, bound)
}

// close ends the run in the table.
func (f *folder) close(ctx context.Context) error {
	f.run.Ended = f.run.Settled
	writes := []store.Write{{How: store.Delete, Key: store.OpenRunKey(f.in.Run)}}
	if f.run.Digest != "" && !f.lost {
		input, _, err := plan.LoadInput(ctx, f.Objects, f.in.Run)
		if err != nil {
			return err
		}
		writes = append(writes, store.Write{How: store.Put, Key: store.SeriesKey(input),
			Item: store.Series{Run: f.in.Run, Planned: f.run.Planned, Ended: f.run.Ended}})
	}
	return f.save(ctx, writes...)
}

// save writes the run's row, and with it whatever must not happen without it.
func (f *folder) save(ctx context.Context, more ...store.Write) error {
	write := store.Write{How: store.Replace, Key: store.RunKey(f.in.Run), Was: f.run.Version}
	if !f.found {
		write.How = store.Create
	}
	f.run.Version++
	write.Item = f.run
	if err := f.Table.Write(ctx, append([]store.Write{write}, more...)...); err != nil {
		return fmt.Errorf("close run %s: %w", f.in.Run, err)
	}
	f.found = true
	return nil
}

// announce tells people and metrics. The run is closed and its report written: a
// notice that is lost must not undo that.
func (f *folder) announce(ctx context.Context, r *report.Report) {
	if r.Totals.Good > 0 { // what patched or scanned nothing is no sign of life
		f.Metrics.Count("RunsEnded", "Count", 1, nil)
	}
	switch r.Status {
	// their notices say it; the alarm on failed executions leaves them out
	case patch.RunRejected, patch.RunExpired, patch.RunRefused:
		f.Metrics.Count("RunsExcused", "Count", 1, nil)
	}
	subject, body := noticeMail(r)
	if err := f.Notices.Send(ctx, subject, body); err != nil {
		slog.ErrorContext(ctx, "notice not sent", "run", f.in.Run, "err", err)
	}
}
