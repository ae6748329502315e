package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ec2patch/internal/hub"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// runFlags are the flags of `ec2patch run` as they were typed.
type runFlags struct {
	machine string
	name    string
	resume  string
	yes     bool
	wait    bool
	timeout time.Duration
}

func (a *app) runCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run INPUT.json",
		Short: "Start a run on a hub",
		Long: `Checks an input, shows what the run would do, asks, and starts it in your name.

Your identity stands in the run as requestedBy, whatever the input says: where
two people must approve, you are not one of them.

A run is named after the input's runKey or file, the date in UTC and its content,
unless --name says otherwise. The same command repeated finds the run that it
started before; it never starts a second one. A hub runs each name once: a run
with the name of an earlier one is refused, even years later.`,
		Example: `  ec2patch run october.json
  ec2patch run october.json --name 2026-10-patch --yes --wait --timeout 50m
  ec2patch run october.json --name 2026-10-patch-2 --resume 2026-10-patch`,
		Args: takesOne("one input, a file or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.start(cmd, args[0], f) },
	}
	machineFlag(cmd, &f.machine)
	cmd.Flags().StringVar(&f.name, "name", "", "name of the run (default from the input and the date)")
	cmd.Flags().StringVar(&f.resume, "resume", "",
		"continue from a `run`: leave out what it patched, whatever the input says")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "follow the run to its end, as watch does")
	timeoutFlag(cmd, &f.timeout)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask; required where stdin is no terminal")
	return cmd
}

// started is what `run --format json` prints.
type started struct {
	SchemaVersion int    `json:"schemaVersion"`
	Kind          string `json:"kind"`
	hub.Execution
	RequestedBy string `json:"requestedBy"`
	Console     string `json:"console,omitempty"`
}

func (a *app) start(cmd *cobra.Command, file string, f *runFlags) error {
	machine, err := a.checkRun(cmd, file, f)
	if err != nil {
		return err
	}
	data, err := a.read(file)
	if err != nil {
		return usage(cmd, err.Error())
	}
	if found, err := a.problems(file, data); err != nil || len(found) > 0 {
		return a.refuse(found, err, notStarted)
	}
	ctx := cmd.Context()
	runs, err := a.Runs(ctx, machine)
	if err != nil {
		return asked(ctx, err)
	}
	caller, err := runs.Caller(ctx)
	if err != nil {
		return asked(ctx, err)
	}
	set := map[string]string{"requestedBy": caller}
	if f.resume != "" {
		set["resume"] = f.resume
	}
	mine, err := with(data, set)
	if err != nil {
		return failed(err)
	}
	if found, err := a.problems(file, mine); err != nil || len(found) > 0 {
		return a.refuse(found, err, notStarted)
	}
	in, err := a.Parse(mine)
	if err != nil {
		return failed(err)
	}
	name := cmp.Or(f.name, runName(file, in, mine, a.Now()))
	a.showRun(machine, name, in, requestedBy(data))
	if !f.yes {
		typed, err := a.typed(ctx, "Type yes to start it: ")
		switch {
		case ctx.Err() != nil:
			return &ExitError{Code: ExitInterrupted, Err: errors.New("interrupted: nothing was started")}
		case err != nil:
			return err
		}
		if !strings.EqualFold(typed, "yes") {
			return &ExitError{Code: ExitUsage, Err: errors.New("not a yes; nothing was started")}
		}
	}
	x, err := runs.Start(ctx, name, mine)
	if err != nil {
		return a.startFailed(ctx, runs, name, err)
	}
	w := &watching{runs: runs, machine: machine, run: name, again: again(name, f.machine), timeout: f.timeout}
	if f.wait && a.format == "json" { // one object: the run as it ended
		return a.watch(ctx, w)
	}
	if err := a.printStarted(w, x, in); err != nil || !f.wait {
		return err
	}
	fmt.Fprintln(a.stdout)
	return a.watch(ctx, w)
}

// checkRun finds everything that is wrong with the command line.
func (a *app) checkRun(cmd *cobra.Command, file string, f *runFlags) (hub.Machine, error) {
	machine, err := a.machine(cmd, f.machine)
	switch {
	case err != nil:
		return machine, err
	case f.timeout != 0 && !f.wait:
		return machine, usage(cmd, "--timeout is for --wait, which was not given")
	case f.timeout < 0:
		return machine, usage(cmd, "--timeout is negative; 0 waits for ever")
	case cmd.Flags().Changed("resume") && !hub.IsRun(f.resume):
		return machine, usage(cmd, fmt.Sprintf("--resume is %q, which is not the name of a run", f.resume))
	case cmd.Flags().Changed("name") && !hub.IsRun(f.name):
		return machine, usage(cmd, fmt.Sprintf("--name is %q; allowed are 1 to 80 letters, digits, - and _", f.name))
	case !f.yes && file == "-":
		return machine, usage(cmd, "the input comes from stdin, so no one can be asked there; give --yes")
	case !f.yes && !a.Interactive(a.stdin):
		return machine,
			usage(cmd, "run asks before it starts anything, and stdin is no terminal; give --yes if no one is there to answer")
	}
	return machine, nil
}

// notStarted is the end of a run whose input is not valid.
const notStarted = "nothing was started: %s in the input"

// with is an input with some of its texts set. All else stays as it is written:
// what it leaves out, the hub fills in from its own parameters.
func with(data []byte, texts map[string]string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	for name, text := range texts {
		value, err := json.Marshal(text)
		if err != nil {
			return nil, fmt.Errorf("write the input: %w", err)
		}
		all[name] = value
	}
	return json.Marshal(all)
}

// requestedBy is what an input itself says.
func requestedBy(data []byte) string {
	var in struct{ RequestedBy string }
	if json.Unmarshal(data, &in) != nil {
		return ""
	}
	return in.RequestedBy
}

// longestBase leaves room for date and digest: a name has 80 characters at most.
const longestBase = 60

// runName is the same for the same person, input and day, so that a command that
// is repeated does not start a second run.
func runName(file string, in runinput.Input, data []byte, now time.Time) string {
	base := in.RunKey
	if base == "" && file != "-" {
		base = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	base = strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && hub.IsRun(string(r)) {
			return r
		}
		return '-'
	}, base), "-")
	base = cmp.Or(base[:min(len(base), longestBase)], "run")
	sum := sha256.Sum256(data)
	return base + "-" + now.UTC().Format("20060102") + "-" + hex.EncodeToString(sum[:4])
}

// startFailed says what came of a start that AWS refused, or did not answer.
func (a *app) startFailed(ctx context.Context, runs Runs, name string, err error) error {
	again := "; run the same command again: it finds the run if it was started"
	switch {
	case errors.Is(err, hub.ErrNameTaken):
		text := fmt.Sprintf("a run %s exists already, with another input or at its end; nothing was started. Give another "+
			"--name", name)
		if x, err := runs.Describe(ctx, name); err == nil {
			state := "ended " + x.Status
			if x.Running() {
				state = "is running, with another input"
			}
			text = fmt.Sprintf("a run %s exists already: started %s, %s; nothing was started. Give another --name to start "+
				"one more", name, words.Time(x.Started), state)
		}
		return &ExitError{Code: ExitUsage, Err: errors.New(text)}
	case ctx.Err() != nil:
		return &ExitError{Code: ExitInterrupted,
			Err: errors.New("interrupted: whether the run was started is not known" + again)}
	case errors.Is(err, hub.ErrNoCredentials), errors.Is(err, hub.ErrDenied), errors.Is(err, hub.ErrNotFound):
		return asked(ctx, err)
	}
	return failed(errors.New(words.Clean(err.Error(), words.Lines) + again))
}

func (a *app) printStarted(w *watching, x hub.Execution, in runinput.Input) error {
	if a.format == "json" {
		return a.printJSON(started{SchemaVersion: 1, Kind: "started", Execution: x, RequestedBy: in.RequestedBy,
			Console: w.machine.Console(x.Run)})
	}
	me := quote(cmp.Or(a.Name, "ec2patch"))
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s started at %s\n", x.Run, words.Time(x.Started))
	if url := w.machine.Console(x.Run); url != "" {
		fmt.Fprintf(&b, "  %s\n", url)
	}
	if in.Installs() && in.Approval != runinput.ApproveNone {
		fmt.Fprintf(&b, "Decide: %s approve %s\n", me, x.Run)
	}
	fmt.Fprintf(&b, "Watch:  %s watch %s\n", me, w.again)
	fmt.Fprintf(&b, "Stop:   %s abort %s --reason \"...\"\n", me, x.Run)
	if _, err := fmt.Fprint(a.stdout, b.String()); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}
