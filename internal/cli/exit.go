package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/patch"
	"ec2patch/internal/sim"
)

// The exit codes of every command. They are a contract: scripts branch on them.
const (
	ExitDone        = 0
	ExitUnexpected  = 1
	ExitUsage       = 2
	ExitInvalid     = 3
	ExitDenied      = 4
	ExitNotPatched  = 5
	ExitNotApproved = 6
	ExitInterrupted = 130
)

// ExitError ends the process with a code. A nil Err means that the output has
// said everything already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode is the code with which the process ends after Run returned err.
func ExitCode(err error) int {
	if err == nil {
		return ExitDone
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return ExitUnexpected
}

func usage(cmd *cobra.Command, text string) *ExitError {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf("%s\nTry: %s --help", strings.TrimSpace(text), cmd.CommandPath())}
}

func failed(err error) *ExitError { return &ExitError{Code: ExitUnexpected, Err: err} }

// exitOf judges one run. A broken rule of the product weighs more than how the
// run ended. Instances that were left out on purpose, or that appeared after the
// plan, are not asked for; those that are offline or unknown to SSM are.
func exitOf(res *sim.Result) int {
	switch {
	case len(res.Violations) > 0:
		return ExitNotPatched
	case res.Status == patch.RunRejected, res.Status == patch.RunExpired:
		return ExitNotApproved
	case res.Status != patch.RunSucceeded, !allGood(res):
		return ExitNotPatched
	}
	return ExitDone
}

func allGood(res *sim.Result) bool {
	for _, o := range patch.Outcomes() {
		switch o {
		case patch.Patched, patch.Compliant:
		case patch.PatchedPendingReboot: // good where the wave forbids reboots; a failure is in the totals
		default:
			if res.Outcomes[o] > 0 {
				return false
			}
		}
	}
	if res.Report == nil {
		return res.Outcomes[patch.PatchedPendingReboot] == 0
	}
	for _, e := range res.Report.Excluded {
		if e.Outcome == patch.Offline || e.Outcome == patch.Unmanaged {
			return false
		}
	}
	return res.Report.Totals.Failures == 0 && len(res.Report.Unreachable) == 0
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes of every command mean",
		Long: `Exit codes of every command:

    0  done, and everything asked for is true
    1  failed unexpectedly
    2  called with wrong flags or arguments
    3  the input, the template or the plan is not valid; findings were printed
    4  no AWS credentials, or access denied
    5  the run ended, but something is not patched or not compliant, an account
       was not reached, or a rule of the product was broken
    6  the approval was rejected or nobody answered in time; for approve,
       reject and abort: it was decided otherwise, or the time is over
  130  interrupted (Ctrl-C)

A rehearsal whose fleet holds instances that cannot be patched ends with 5: it
did its work, and it says that the run would not patch everything.`,
	}
}
