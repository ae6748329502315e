package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim"
	"ec2patch/internal/words"
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
	ExitGoesOn      = 7
	ExitDoctor      = 8
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

// exitOf judges one rehearsal. A broken rule of the product weighs more than how
// the run ended.
func exitOf(res *sim.Result) int {
	if len(res.Violations) > 0 {
		return ExitNotPatched
	}
	r := res.Report
	if r == nil {
		r = &report.Report{Waves: res.Waves, Totals: report.Totals{Outcomes: res.Outcomes}}
	}
	return exitOfRun(res.Status, r)
}

// exitOfRun judges one run. Instances that were left out on purpose, or that
// appeared after the plan, are not asked for; those that are offline or unknown
// to SSM are.
func exitOfRun(status patch.RunStatus, r *report.Report) int {
	switch status {
	case patch.RunRejected, patch.RunExpired:
		return ExitNotApproved
	case patch.RunRefused:
		return ExitInvalid
	case patch.RunPlanned:
		if allReached(r) {
			return ExitDone
		}
	case patch.RunSucceeded:
		if allReached(r) && allDone(r) {
			return ExitDone
		}
	}
	return ExitNotPatched
}

// allDone tells whether nothing is left to do on any planned instance.
func allDone(r *report.Report) bool {
	if len(r.Waves) == 0 {
		for o, n := range r.Totals.Outcomes {
			if n > 0 && !o.Done(patch.RebootIfNeeded) {
				return false
			}
		}
		return true
	}
	for _, w := range r.Waves {
		if w.Done(w.Outcomes) < w.Planned {
			return false
		}
	}
	return true
}

// allReached tells whether the plan has everything that was asked for.
func allReached(r *report.Report) bool {
	for _, e := range r.Excluded {
		switch e.Outcome {
		case outcome.Offline, outcome.Unmanaged:
			return false
		case outcome.Hybrid:
			if strings.HasPrefix(string(e.InstanceID), "i-") { // EC2 lists it, and SSM knows it under another name
				return false
			}
		}
	}
	return len(r.Unreachable) == 0
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes of every command mean",
		Long: `Exit codes of every command:

    0  done, and everything asked for is true
    1  failed unexpectedly
    2  called with wrong flags or arguments
    3  the input, the template or the plan is not valid, or the hub refused it;
       findings were printed
    4  no AWS credentials, or access denied
    5  the run ended, but something is not patched or not compliant, an account
       was not reached, or a rule of the product was broken
    6  the approval was rejected or nobody answered in time; for approve,
       reject and abort: it was decided otherwise, or the time is over
    7  the run goes on: the time of --timeout passed, or there is no report yet
    8  doctor found something that would break a run
  130  interrupted (Ctrl-C); a run that was started goes on

A rehearsal whose fleet holds instances that cannot be patched ends with 5: it
did its work, and it says that the run would not patch everything.`,
	}
}

// warnEmpty says aloud that a run, or a wave of it, had nothing to do: it ends
// well, and is mostly a tag that was mistyped.
func (a *app) warnEmpty(r *report.Report) {
	if r == nil || r.Status != patch.RunSucceeded && r.Status != patch.RunIncomplete {
		return
	}
	did := map[bool]string{false: "patched", true: "scanned"}[r.Scans()]
	// A wave that may match nothing does not say what it looked for.
	told := func(w report.WaveReport) bool { return w.Planned > 0 || w.Filter != "" }
	if r.Totals.Planned == 0 && len(r.Waves) > 0 && !slices.ContainsFunc(r.Waves, told) {
		return
	}
	if r.Totals.Planned == 0 {
		a.warn(fmt.Sprintf("no instance was matched that can be %s: NOTHING WAS %s. Are the tags right?%s", did,
			strings.ToUpper(did), lookedFor(r.Waves)))
		return
	}
	for _, w := range r.Waves {
		if w.Planned == 0 && told(w) {
			a.warn(fmt.Sprintf("wave %s matched no instance that can be %s. Are its tags right?%s", words.Clean(w.Name), did,
				lookedFor([]report.WaveReport{w})))
		}
	}
}

// lookedFor names the filters in force of waves that matched nothing, each once.
func lookedFor(waves []report.WaveReport) string {
	var filters []string
	for _, w := range waves {
		if f := words.Clean(w.Filter); f != "" && !slices.Contains(filters, f) {
			filters = append(filters, f)
		}
	}
	if len(filters) == 0 {
		return ""
	}
	return " Looked for: " + strings.Join(filters, "; ")
}

// warn tells on stderr what a person must see, also where progress is quiet.
func (a *app) warn(text string) {
	if a.progress == "json" {
		a.jsonLine(map[string]string{"kind": "warning", "warning": text})
		return
	}
	fmt.Fprintln(a.stderr, "WARNING: "+text)
}
