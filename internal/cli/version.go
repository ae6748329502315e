package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.format == "json" {
				return a.printJSON(built{SchemaVersion: 1, Kind: "version", Version: a.Version, Commit: a.Commit, Go: a.Go})
			}
			fmt.Fprint(a.stdout, a.built())
			return nil
		},
	}
}

// built is what `version --format json` prints.
type built struct {
	SchemaVersion int    `json:"schemaVersion"`
	Kind          string `json:"kind"`
	Version       string `json:"version"`
	Commit        string `json:"commit"`
	Go            string `json:"go"`
}

// built says as text what was built.
func (a *app) built() string {
	return fmt.Sprintf("ec2patch %s\ncommit %s\nbuilt with %s\n", a.Version, a.Commit, a.Go)
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Sprintf("%q takes no arguments, got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

// printJSON writes one object on one line of stdout.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}
