package cli

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/hub"
	"ec2patch/internal/words"
)

const (
	defaultListed = 20
	// maxListed is the most that one call returns. Source: Step Functions ListExecutions, read 2026-11.
	maxListed = 1000
)

func (a *app) listCommand() *cobra.Command {
	var machine string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the open and the newest runs of a hub",
		Long: `Lists the runs that go on and the newest of the last 90 days as Step Functions has
them, newest first.
"failed" is also the state of runs that were stopped, rejected or that expired:
their reports tell. It needs nothing but the hub's policy <NamePrefix>-viewer.`,
		Example: `  ec2patch list
  ec2patch list --limit 100 --format json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(cmd, fmt.Sprintf("list takes no argument; got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > maxListed {
				return usage(cmd, fmt.Sprintf("--limit is %d; allowed are 1 to %d", limit, maxListed))
			}
			m, err := a.machine(cmd, machine)
			if err != nil {
				return err
			}
			runs, err := a.Runs(cmd.Context(), m)
			if err != nil {
				return asked(cmd.Context(), err)
			}
			all, err := runs.List(cmd.Context(), limit)
			if err != nil {
				return asked(cmd.Context(), err)
			}
			return a.printRuns(all)
		},
	}
	machineFlag(cmd, &machine)
	cmd.Flags().IntVar(&limit, "limit", defaultListed, "how many runs at most, and how many still running")
	return cmd
}

// listed is what `list --format json` prints.
type listed struct {
	SchemaVersion int             `json:"schemaVersion"`
	Kind          string          `json:"kind"`
	Runs          []hub.Execution `json:"runs"`
}

// printRuns has the names last, where nothing has to be cut on a narrow terminal.
func (a *app) printRuns(all []hub.Execution) error {
	if a.format == "json" {
		return a.printJSON(listed{SchemaVersion: 1, Kind: "runs", Runs: append([]hub.Execution{}, all...)})
	}
	var b bytes.Buffer
	if len(all) == 0 {
		b.WriteString("This hub has had no run in the last 90 days.\n")
	} else {
		fmt.Fprintf(&b, "%-9s  %-20s  %7s  %s\n", "STATE", "STARTED", "TOOK", "RUN")
	}
	for _, x := range all {
		took := ""
		if !x.Running() {
			took = words.Duration(x.Ended.Sub(x.Started))
		}
		state := strings.ReplaceAll(strings.ToLower(x.Status), "_", " ")
		fmt.Fprintf(&b, "%-9s  %-20s  %7s  %s\n", words.Clean(state), words.Time(x.Started), took, words.Clean(x.Run))
	}
	_, err := a.stdout.Write(b.Bytes())
	return failedOr(err)
}
