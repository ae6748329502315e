package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ec2patch/internal/follow"
	"ec2patch/internal/report"
	"ec2patch/internal/words"
)

// reportForms are what `report --format` knows beside what every command does.
const (
	formCSV  = "csv"
	formHTML = "html"
)

func (a *app) reportCommand() *cobra.Command {
	var machine, bucket string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Print the report of a run that has ended",
		Long: `Fetches the report of a run from the hub's bucket and prints it on stdout: as
text, or with --format json, csv or html as the run wrote it. RUN is its name or
the ARN of its execution. It needs nothing but the hub's policy
<NamePrefix>-viewer.

The exit code says whether there is a report, not how the run ended: watch says
that, also of a run that has ended.`,
		Example: `  ec2patch report 2026-12-patch
  ec2patch report 2026-12-patch --format html > report.html`,
		Args: takesOne("one run, its name or the ARN of its execution"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, run, err := a.oneRun(cmd, args[0], machine)
			if err != nil {
				return err
			}
			runs, err := a.Runs(cmd.Context(), m)
			if err != nil {
				return asked(cmd.Context(), err)
			}
			return asked(cmd.Context(), a.report(cmd, runs, run, bucket))
		},
	}
	machineFlag(cmd, &machine)
	bucketFlag(cmd, &bucket)
	return cmd
}

func (a *app) report(cmd *cobra.Command, runs Runs, run, bucket string) error {
	ctx := cmd.Context()
	x, err := runs.Describe(ctx, run)
	if err != nil {
		return err
	}
	if x.Running() {
		return &ExitError{Code: ExitGoesOn, Err: fmt.Errorf("run %s is still running; its report comes at its end", run)}
	}
	if bucket == "" {
		if bucket, err = bucketOf(ctx, runs, run); err != nil {
			return err
		}
		if bucket == "" {
			return usage(cmd, fmt.Sprintf("run %s ended before it named its bucket; give --bucket. It ended %s: %s",
				run, x.Status, words.Clean(cmp.Or(x.Cause, x.Error, "no reason given"))))
		}
	}
	r, data, err := fetchReport(ctx, runs, bucket, run, x.Started)
	if errors.Is(err, errOlder) {
		return &ExitError{Code: ExitUsage, Err: fmt.Errorf("run %s ended %s without a report: %s\n%s",
			run, x.Status, words.Clean(cmp.Or(x.Cause, x.Error, "no reason given")), words.UpperFirst(err.Error()))}
	}
	if err != nil {
		return err
	}
	switch a.format {
	case "text":
		return failedOr(report.Text(a.stdout, r, a.width(a.stdout), a.colour(a.stdout)))
	case formCSV, formHTML:
		if data, err = runs.Report(ctx, bucket, run, a.format); err != nil {
			return err
		}
	}
	_, err = a.stdout.Write(data)
	return failedOr(err)
}

// bucketOf finds the bucket that a run named; empty if it ended before that.
func bucketOf(ctx context.Context, runs Runs, run string) (string, error) {
	events, err := runs.Events(ctx, run, 0)
	if err != nil {
		return "", err
	}
	var f follow.Follower
	f.See(events)
	return f.Progress.Bucket, nil
}

// olderBy tells the report of an earlier run of the same name from this run's,
// whatever the clocks: Step Functions frees a name 90 days after its run ended.
// Source: Step Functions StartExecution, read 2026-11.
const olderBy = 24 * time.Hour

// errOlder means that the bucket holds the report of an earlier run of that name.
var errOlder = errors.New("the report in the bucket is of an earlier run of this name")

// fetchReport fetches the report of the run that started then, read and as the
// run wrote it in JSON.
func fetchReport(ctx context.Context, runs Runs, bucket, run string, started time.Time) (*report.Report, []byte,
	error) {
	data, err := runs.Report(ctx, bucket, run, "json")
	if err != nil {
		return nil, nil, err
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, nil, fmt.Errorf("read the report: %w", err)
	}
	if r.Started.Before(started.Add(-olderBy)) {
		return nil, nil, fmt.Errorf("%w, started %s", errOlder, r.Started.UTC().Format(time.RFC3339))
	}
	return &r, data, nil
}
