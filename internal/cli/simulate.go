package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/words"
)

// Bounds of what a command line may ask for.
const (
	maxInstances = 100_000
	maxSeeds     = 10_000_000
)

// simulateFlags are the flags of `ec2patch simulate` as they were typed.
type simulateFlags struct {
	seed      uint64
	seeds     string
	instances int
	fleet     string
	faults    string
	approve   string
	out       string
	template  string
	hub       []string
}

func (a *app) simulateCommand() *cobra.Command {
	f := &simulateFlags{}
	cmd := &cobra.Command{
		Use:   "simulate INPUT.json",
		Short: "Rehearse a run on this machine, against a simulated AWS",
		Long: `Rehearses the whole run on this machine: the state machine out of the hub's
template, the task code that the Lambda functions run, a simulated AWS that
enforces the templates' own policies, and a virtual clock. No AWS call is made
and nothing is patched. The same seed gives the same bytes on stdout.

The fleet is drawn from the seed (--instances for each account and region), or
read from a file (--fleet). Files of the rehearsal are written to --out.`,
		Example: `  ec2patch simulate run.json
  ec2patch simulate run.json --seed 7 --faults storm
  ec2patch simulate run.json --instances 200 --approve ask
  ec2patch simulate run.json --seeds 1-500 --faults swarm`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Sprintf("simulate takes one input, a file or - for stdin; got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.simulate(cmd, args[0], f) },
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "what everything random is drawn from")
	flags.StringVar(&f.seeds, "seeds", "",
		"rehearse every seed from A to B, as `A-B`; exits with 5 if one of them breaks a rule")
	flags.IntVar(&f.instances, "instances", 25, "instances drawn for each account and region")
	flags.StringVar(&f.fleet, "fleet", "", "read the fleet from a `file`")
	flags.StringVar(&f.faults, "faults", "calm",
		"faults to inject: calm, light, storm, swarm or `NAME=RATE,...`\nwith a rate from 0 to 1 for each name of "+
			strings.Join(a.Faults, " "))
	flags.StringVar(&f.approve, "approve", "auto",
		"who answers the approval: auto, ask (you, on a local page), reject or timeout")
	flags.StringVar(&f.out, "out", "", "`folder` for the files (default ec2patch-out/<run>; with --seeds none)")
	flags.StringVar(&f.template, "template", "", "rehearse another hub template, a `file`")
	flags.StringSliceVar(&f.hub, "hub", nil,
		"parameters of the hub, as `NAME=VALUE,...`; the template's defaults otherwise")
	return cmd
}

func (a *app) simulate(cmd *cobra.Command, file string, f *simulateFlags) error {
	o, err := a.options(cmd, file, f)
	if err != nil {
		return err
	}
	found, warned, err := a.checkInput(file, o.Input)
	if err != nil || len(found) > 0 {
		return a.refuse(found, err, notRehearsed)
	}
	for _, w := range warned {
		a.warn(w.Path + ": " + w.Value + " " + w.Message + "; " + w.Remedy)
	}
	if cmd.Flags().Changed("seeds") {
		return a.simulateSeeds(cmd, file, f, o)
	}
	return a.simulateOne(cmd, file, f, o)
}

// options reads the flags and files into what a rehearsal takes.
func (a *app) options(cmd *cobra.Command, file string, f *simulateFlags) (sim.Options, error) {
	for _, pair := range [][2]string{{"seed", "seeds"}, {"instances", "fleet"}} {
		if cmd.Flags().Changed(pair[0]) && cmd.Flags().Changed(pair[1]) {
			return sim.Options{}, usage(cmd, fmt.Sprintf("--%s and --%s exclude each other: give one of them", pair[0], pair[1]))
		}
	}
	for _, name := range []string{"fleet", "template", "out"} {
		if cmd.Flags().Changed(name) && cmd.Flag(name).Value.String() == "" {
			return sim.Options{}, usage(cmd, fmt.Sprintf("--%s is empty; give a name or leave it out", name))
		}
	}
	o := sim.Options{Seed: f.seed, Instances: f.instances, Faults: f.faults, Approve: sim.Approve(f.approve), Hub: a.Hub,
		Spoke: a.Spoke, Reader: a.Reader}
	if err := oneOf(cmd, "--approve", f.approve, "auto", "ask", "reject", "timeout"); err != nil {
		return o, err
	}
	if f.instances < 1 || f.instances > maxInstances {
		return o, usage(cmd, fmt.Sprintf("--instances is %d; allowed are 1 to %d", f.instances, maxInstances))
	}
	if err := a.checkFaults(cmd, f.faults); err != nil {
		return o, err
	}
	var err error
	if o.Parameters, err = hubParameters(cmd, f.hub); err != nil {
		return o, err
	}
	for _, in := range []struct {
		name, what string
		to         *[]byte
	}{{file, "", &o.Input}, {f.fleet, fleetFile, &o.Fleet}, {f.template, hubTemplate, &o.Hub}} {
		if in.name == "" {
			continue
		}
		data, err := a.read(in.name)
		if err != nil {
			return o, usage(cmd, err.Error())
		}
		if in.what != "" && len(bytes.TrimSpace(data)) == 0 {
			return o, a.refuse([]finding{{File: name(in.name), Message: "the " + in.what + " is empty"}}, nil, notRehearsed)
		}
		*in.to = data
	}
	return o, nil
}

// hubParameters reads what --hub gives. Whether the template takes it, the template says.
func hubParameters(cmd *cobra.Command, pairs []string) (map[string]string, error) {
	given := map[string]string{}
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		_, twice := given[name]
		switch {
		case !found || name == "":
			return nil,
				usage(cmd, fmt.Sprintf("--hub has %q; give parameters as NAME=VALUE,..., such as MinimumApproval=none", pair))
		case twice:
			return nil, usage(cmd, fmt.Sprintf("--hub gives %s two values; give it one", name))
		}
		given[name] = value
	}
	return given, nil
}

// What sim.FileError calls the files that a person can name.
const (
	fleetFile   = "fleet file"
	hubTemplate = "hub template"
)

// checkFaults accepts a profile, or names with rates from 0 to 1.
func (a *app) checkFaults(cmd *cobra.Command, text string) error {
	switch text {
	case "calm", "light", "storm", "swarm":
		return nil
	}
	given := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		name, rate, found := strings.Cut(part, "=")
		if !found {
			return usage(cmd, fmt.Sprintf("--faults is %q; allowed are calm, light, storm, swarm, or names with rates, as "+
				"F-04=0.01,F-38=0.001", text))
		}
		if err := oneOf(cmd, "the fault", name, a.Faults...); err != nil {
			return err
		}
		if r, err := strconv.ParseFloat(rate, 64); err != nil || !(r >= 0 && r <= 1) {
			return usage(cmd, fmt.Sprintf("--faults gives %s the rate %q; allowed is a number from 0 to 1", name, rate))
		}
		if given[name] {
			return usage(cmd, fmt.Sprintf("--faults gives %s two rates; give it one", name))
		}
		given[name] = true
	}
	return nil
}

// notRehearsed is the end of a rehearsal whose input is not valid.
const notRehearsed = "nothing was rehearsed: %s in what was given"

// refuse tells what is wrong with an input; nothing says what was not done then,
// and where the errors are.
func (a *app) refuse(found []finding, err error, nothing string) error {
	if err != nil {
		return err
	}
	if a.format == "json" {
		if err := a.printJSON(validation{SchemaVersion: 1, Kind: "validation", Files: 1, Errors: len(found),
			Findings: found}); err != nil {
			return err
		}
	} else {
		a.printFindings(found)
	}
	return &ExitError{Code: ExitInvalid, Err: fmt.Errorf(nothing, words.Count(len(found), "error"))}
}

func (a *app) simulateOne(cmd *cobra.Command, file string, f *simulateFlags, o sim.Options) error {
	run := "rehearsal-" + strconv.FormatUint(o.Seed, 10)
	o.RunID = patch.RunID(run)
	dir := f.out
	if dir == "" {
		dir = filepath.Join("ec2patch-out", run)
	}
	if err := writable(dir); err != nil {
		return usage(cmd, fmt.Sprintf("no file can be written for --out: %v", err))
	}
	shown := &once{v: a.newView(run)}
	o.Progress = shown.show
	started := a.Now()
	res, err := interruptible(cmd.Context(), func() (*sim.Result, error) { return a.Rehearse(o) })
	shown.stop()
	if err != nil {
		return a.rehearsalError(file, f, err)
	}
	res.WallSeconds = a.Now().Sub(started).Seconds()
	files, err := writeResult(dir, res)
	if err != nil {
		return failed(err)
	}
	if a.format == "json" {
		out := newPrinted(res)
		for _, n := range files {
			out.Files = append(out.Files, filepath.Join(dir, n))
		}
		err = a.printJSON(out)
	} else {
		err = a.printResult(summary{file: file, res: res, dir: dir, files: files, replay: a.replay(file, f, o.Seed)})
	}
	if err != nil {
		return err
	}
	a.warnEmpty(res.Report)
	a.ended(res.WallSeconds, "rehearsed in "+wall(res.WallSeconds)+" of real time")
	if code := exitOf(res); code != ExitDone {
		return &ExitError{Code: code}
	}
	return nil
}

// interruptible runs f to its end or until ctx ends. A rehearsal has no effect
// outside of this process, so one that is left alone does no harm.
func interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := f()
		done <- answer{v, err}
	}()
	select {
	case got := <-done:
		return got.v, got.err
	case <-ctx.Done():
		var zero T
		return zero,
			&ExitError{Code: ExitInterrupted, Err: errors.New("interrupted: the rehearsal was stopped, no file was written")}
	}
}

// rehearsalError sorts what kept a rehearsal from its end.
func (a *app) rehearsalError(file string, f *simulateFlags, err error) error {
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit
	}
	var bad *stage.FileError
	if errors.As(err, &bad) {
		return a.refuse(fileFindings(f, bad), nil, notRehearsed)
	}
	var ps runinput.Problems
	if errors.As(err, &ps) {
		return a.refuse(findings(file, ps), nil, notRehearsed)
	}
	return failed(fmt.Errorf("the rehearsal failed: %s", words.Clean(err.Error(), words.Lines)))
}

// fileFindings are the problems of a file beside the input, one for each line of the error.
func fileFindings(f *simulateFlags, bad *stage.FileError) []finding {
	file := "built-in " + bad.What
	if given := map[string]string{fleetFile: f.fleet, hubTemplate: f.template}[bad.What]; given != "" {
		file = name(given)
	}
	var out []finding
	for line := range strings.Lines(bad.Err.Error()) {
		if line = words.Clean(line); line != "" {
			n, text := lineNumber(line)
			out = append(out, finding{File: file, Line: n, Message: text})
		}
	}
	return out
}

// lineNumber takes the place off a problem of a template, which calls the file
// by the name that ec2patch gives it.
func lineNumber(problem string) (line int, text string) {
	for _, own := range []string{"hub-cfn.yaml:", "spoke-cfn.yaml:"} {
		rest, found := strings.CutPrefix(problem, own)
		number, text, hasText := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); found && hasText && err == nil && n > 0 {
			return n, text
		}
	}
	return 0, problem
}

// replay is the command that repeats one seed; "" if something was read from
// stdin, which holds it no more.
func (a *app) replay(file string, f *simulateFlags, seed uint64) string {
	if file == "-" || f.fleet == "-" || f.template == "-" {
		return ""
	}
	parts := []string{quote(cmp.Or(a.Name, "ec2patch")), "simulate", quote(file), "--seed", strconv.FormatUint(seed, 10)}
	add := func(flag, value, normal string) {
		if value != normal {
			parts = append(parts, flag, quote(value))
		}
	}
	if f.fleet == "" {
		add("--instances", strconv.Itoa(f.instances), "25")
	}
	add("--fleet", f.fleet, "")
	add("--faults", f.faults, "calm")
	add("--approve", f.approve, "auto")
	add("--template", f.template, "")
	add("--hub", strings.Join(f.hub, ","), "")
	add("--out", f.out, "")
	return strings.Join(parts, " ")
}

// quote makes a word safe for a POSIX shell.
func quote(s string) string {
	s = words.Clean(s)
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:@%+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
