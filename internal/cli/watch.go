package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ec2patch/internal/follow"
	"ec2patch/internal/hub"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/words"
)

const (
	// lookEvery is the time between two looks at a run. A look is one call, two while a wave patches.
	lookEvery = 15 * time.Second
	// firstLook is the time between two looks at a run that was not seen yet.
	firstLook = 3 * time.Second
	// maxMissed bounds the looks in a row that may fail before a watch gives up: it bridges ten minutes without network.
	maxMissed = 40
	// reportEvery and reportTries wait for the report of a run that was stopped: the rule for ended runs writes it within
	// minutes.
	reportEvery = 10 * time.Second
	reportTries = 30
)

// watching is one call of watch, or of run with --wait.
type watching struct {
	runs    Runs
	machine hub.Machine
	run     string
	again   string        // what to type after "watch" to go on
	bucket  string        // given by the caller, empty: as the run says
	timeout time.Duration // 0: none
}

func (a *app) watchCommand() *cobra.Command {
	w := &watching{}
	var machine string
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "Follow a run to its end",
		Long: `Follows a run to its end, tells on stderr how it stands, and prints its report.
RUN is its name or the ARN of its execution. It asks Step Functions every 15
seconds, and needs nothing but the hub's policy <NamePrefix>-viewer.

Ctrl-C and --timeout end the watch, never the run. The exit code tells how the
run ended, see ec2patch help exit-codes.`,
		Example: `  ec2patch watch 2026-12-patch
  ec2patch watch 2026-12-patch --timeout 50m --format json`,
		Args: takesOne("one run, its name or the ARN of its execution"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, run, err := a.oneRun(cmd, args[0], machine)
			if err != nil {
				return err
			}
			w.machine, w.run, w.again = m, run, again(args[0], machine)
			if w.timeout < 0 {
				return usage(cmd, "--timeout is negative; 0 waits for ever")
			}
			if w.runs, err = a.Runs(cmd.Context(), m); err != nil {
				return asked(cmd.Context(), err)
			}
			return a.watch(cmd.Context(), w)
		},
	}
	machineFlag(cmd, &machine)
	bucketFlag(cmd, &w.bucket)
	timeoutFlag(cmd, &w.timeout)
	return cmd
}

// again is a run and its hub as they were given, for a command line that is printed.
func again(run, machine string) string {
	if machine == "" {
		return quote(run)
	}
	return quote(run) + " --state-machine " + quote(machine)
}

func timeoutFlag(cmd *cobra.Command, to *time.Duration) {
	cmd.Flags().DurationVar(to, "timeout", 0, "stop watching after this time, as 50m; the run continues (default: never)")
}

// bucketFlag is for runs whose history does not name their bucket.
func bucketFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "bucket", "", "the hub's output DataBucketName (default as the run says)")
}

// watched is what `watch --format json` prints.
type watched struct {
	SchemaVersion   int                       `json:"schemaVersion"`
	Kind            string                    `json:"kind"`
	Run             string                    `json:"run"`
	ExecutionARN    string                    `json:"executionArn"`
	ExecutionStatus string                    `json:"executionStatus"`
	Status          patch.RunStatus           `json:"status"` // empty if there is no report
	StatusReason    string                    `json:"statusReason"`
	PlanDigest      string                    `json:"planDigest"`
	RequestedBy     string                    `json:"requestedBy"`
	Started         time.Time                 `json:"started"`
	Ended           time.Time                 `json:"ended"`
	Totals          report.Totals             `json:"totals"`
	Waves           []report.WaveReport       `json:"waves"`
	Unreachable     []plan.UnreachableAccount `json:"unreachable"`
	Approvals       []report.ApprovalReport   `json:"approvals"`
}

// watch follows a run to its end and prints its report.
func (a *app) watch(ctx context.Context, w *watching) error {
	p, err := a.follow(ctx, w)
	if err != nil {
		return a.leftAlone(ctx, w, err)
	}
	r, err := a.waitForReport(ctx, w, p)
	if err != nil {
		return a.leftAlone(ctx, w, err)
	}
	if a.format == "json" {
		err = a.printJSON(newWatched(w, p, r))
	} else if r != nil {
		err = failedOr(report.Text(a.stdout, r, a.width(a.stdout), a.colour(a.stdout)))
	}
	if err != nil {
		return err
	}
	if r == nil {
		why := "and no report of it was found"
		if cmp.Or(w.bucket, p.Bucket) == "" {
			why = "before it named the bucket of its report (give --bucket)"
		}
		return endedBadly(w.run, p, why)
	}
	a.warnEmpty(r)
	code := exitOfRun(r.Status, r)
	switch {
	case code != ExitDone:
		return &ExitError{Code: code}
	case p.Status != "SUCCEEDED":
		return endedBadly(w.run, p, "after its report was written")
	}
	return nil
}

// endedBadly is for a run whose report does not say that something is wrong.
func endedBadly(run string, p follow.Progress, how string) *ExitError {
	code := ExitNotPatched
	if p.Error == string(patch.RunRefused.Err()) {
		code = ExitInvalid
	}
	return &ExitError{Code: code,
		Err: fmt.Errorf("run %s ended %s, %s: %s", run, p.Status, how,
			words.Clean(cmp.Or(p.Cause, p.Error, "no reason given")))}
}

func failedOr(err error) error {
	if err == nil {
		return nil
	}
	return failed(fmt.Errorf("write the result: %w", err))
}

// newWatched has no lists that are null.
func newWatched(w *watching, p follow.Progress, r *report.Report) watched {
	if r == nil {
		r = &report.Report{StatusReason: p.Cause}
	}
	return watched{
		SchemaVersion: 1, Kind: "run", Run: w.run, ExecutionARN: w.machine.Execution(w.run), ExecutionStatus: p.Status,
		Status: r.Status, StatusReason: r.StatusReason, PlanDigest: r.PlanDigest, RequestedBy: r.RequestedBy,
		Started: p.Started, Ended: p.Ended, Totals: r.Totals,
		Waves: append([]report.WaveReport{}, r.Waves...), Unreachable: append([]plan.UnreachableAccount{}, r.Unreachable...),
		Approvals: append([]report.ApprovalReport{}, r.Approvals...),
	}
}

// errTimeout ends a watch whose time is over.
var errTimeout = errors.New("the time of --timeout has passed")

// leftAlone ends a watch of a run that goes on, or cannot be seen.
func (a *app) leftAlone(ctx context.Context, w *watching, err error) error {
	again := fmt.Sprintf("the run continues; %s watch %s", quote(cmp.Or(a.Name, "ec2patch")), w.again)
	switch {
	case errors.Is(err, errTimeout):
		return &ExitError{Code: ExitGoesOn, Err: fmt.Errorf("%w: %s", err, again)}
	case ctx.Err() != nil:
		return &ExitError{Code: ExitInterrupted, Err: fmt.Errorf("interrupted: %s", again)}
	}
	return asked(ctx, err)
}

// follow looks at a run until it has ended.
func (a *app) follow(ctx context.Context, w *watching) (follow.Progress, error) {
	v := a.newRunView(w.run)
	defer v.close()
	begun := a.Now()
	var f follow.Follower
	missed := 0
	for {
		err := look(ctx, w, &f, v, a.Now)
		switch {
		case err == nil:
			missed = 0
		case ctx.Err() != nil, errors.Is(err, hub.ErrNoCredentials), errors.Is(err, hub.ErrDenied), missed >= maxMissed,
			errors.Is(err, hub.ErrNotFound) && missed >= 2:
			return f.Progress, err // a run that was started a moment ago may not be seen yet
		default:
			missed++
			if missed == 1 && !errors.Is(err, hub.ErrNotFound) {
				v.note("could not look, trying again: "+err.Error(), f.At(a.Now()).Elapsed)
			}
		}
		if !f.Progress.Ended.IsZero() {
			return f.Progress, nil
		}
		pause := lookEvery
		if err != nil && f.Last == 0 {
			pause = firstLook
		}
		if w.timeout > 0 {
			left := w.timeout - a.Now().Sub(begun)
			switch {
			case left <= 0 && err != nil && f.Last == 0: // whether there is such a run was never seen
				return f.Progress, fmt.Errorf("could not look until the time of --timeout had passed: %w", err)
			case left <= 0:
				return f.Progress, errTimeout
			}
			pause = min(pause, left)
		}
		if err := a.Wait(ctx, pause); err != nil {
			return f.Progress, err
		}
	}
}

// look reads what is new of a run and shows it.
func look(ctx context.Context, w *watching, f *follow.Follower, v view, now func() time.Time) error {
	events, err := w.runs.Events(ctx, w.run, f.Last)
	if err != nil {
		return err
	}
	f.See(events)
	p := &f.Progress
	for i := range p.Waves {
		one := &p.Waves[i]
		// Accounts that are all through are not counted again.
		if one.MapRun == "" || one.Accounts.Total > 0 && one.Accounts.Done == one.Accounts.Total {
			continue
		}
		if n, err := w.runs.Accounts(ctx, one.MapRun); err == nil {
			one.Accounts = n
		}
	}
	v.show(f.At(now()))
	return nil
}

// reportedItself tells whether an execution failed with the status of its run,
// which it does when its report is written. A hub of an older release ends every
// one with the same error.
func reportedItself(failure string) bool {
	for _, s := range []patch.RunStatus{patch.RunRefused, patch.RunFailed, patch.RunAborted, patch.RunRejected,
		patch.RunExpired, patch.RunStopped} {
		if failure == string(s.Err()) {
			return true
		}
	}
	return failure == "Patch.RunFailed"
}

// waitForReport fetches the report of a run that has ended. A run that ended by
// itself wrote it before; one that was stopped gets it soon after. nil: there is none.
func (a *app) waitForReport(ctx context.Context, w *watching, p follow.Progress) (*report.Report, error) {
	bucket := cmp.Or(w.bucket, p.Bucket)
	if bucket == "" {
		return nil, nil
	}
	tries := reportTries
	if p.Status == "SUCCEEDED" || reportedItself(p.Error) {
		tries = 1
	}
	for n := 1; ; n++ {
		r, _, err := fetchReport(ctx, w.runs, bucket, w.run, p.Started)
		older := errors.Is(err, errOlder)
		missing := older || errors.Is(err, hub.ErrNotFound) || errors.Is(err, hub.ErrDenied)
		switch {
		case err == nil:
			return r, nil
		case missing && n >= tries && (older || tries > 1):
			return nil, nil
		case ctx.Err() != nil, errors.Is(err, hub.ErrNoCredentials), n >= tries:
			return nil, err
		}
		if err := a.Wait(ctx, reportEvery); err != nil {
			return nil, err
		}
	}
}
