package cli

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ec2patch/internal/hub"
	"ec2patch/internal/report"
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
	if bucket == "" {
		events, err := runs.Events(ctx, run, 0)
		if err != nil {
			return err
		}
		var f hub.Follower
		f.See(events)
		if bucket = f.Progress.Bucket; bucket == "" && !x.Running() {
			return usage(cmd, fmt.Sprintf("run %s ended before it named its bucket; give --bucket. It ended %s: %s",
				run, x.Status, report.Line(cmp.Or(x.Cause, x.Error, "no reason given"))))
		}
	}
	form := a.format
	if form == "text" {
		form = "json"
	}
	var data []byte
	if err = fmt.Errorf("run %s: %w", run, hub.ErrNotFound); bucket != "" {
		data, err = runs.Report(ctx, bucket, run, form)
	}
	if missing := errors.Is(err, hub.ErrNotFound) || errors.Is(err, hub.ErrDenied); missing && x.Running() {
		return &ExitError{Code: ExitGoesOn, Err: fmt.Errorf("run %s goes on; it has its report at its end", run)}
	}
	if err != nil {
		return err
	}
	if a.format == "text" {
		r, err := readReport(data)
		if err != nil {
			return err
		}
		return failedOr(report.Text(a.stdout, r, a.width(a.stdout), a.colour(a.stdout)))
	}
	_, err = a.stdout.Write(data)
	return failedOr(err)
}
