// Package cli is the command line of ec2patch: it reads flags and files, calls
// the rehearsal and the checks, and turns what they say into text, JSON and exit
// codes. Results go to stdout, talk goes to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ec2patch/internal/hub"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim"
)

// Program is what the commands need from the rest of ec2patch. All fields but
// Name must be set.
type Program struct {
	// Parse checks a run input. Its error is patch.Problems if the input is not valid.
	Parse func(data []byte) (runinput.Input, error)
	// Rehearse runs one rehearsal. Its error is patch.Problems if something that it was given is not valid.
	Rehearse func(sim.Options) (*sim.Result, error)
	// RehearseSeeds runs one rehearsal for each seed from and to, both included, and says after each how many are done.
	RehearseSeeds func(o sim.Options, from, to uint64, progress func(done int)) (*sim.SeedsResult, error)
	// SameMachine tells whether a deployed definition is one of a hub template's.
	SameMachine func(hub []byte, deployed string) (bool, error)
	// Hub, Spoke and Reader (of organizations) are the templates that are rehearsed unless the caller names another hub.
	Hub, Spoke, Reader []byte
	// Faults are the names that --faults NAME=RATE knows, at least one.
	Faults []string
	// Now is the wall clock. It times redraws and the real time of a rehearsal, and is never printed on stdout as text.
	Now func() time.Time
	// Name is how the program was called, as a shell finds it again: the first word of the command lines that it prints.
	// Empty: ec2patch.
	Name string
	// Version, Commit and Go say what was built.
	Version, Commit, Go string
	// Wait lets time pass; its error is that of a context that ended before.
	Wait func(ctx context.Context, d time.Duration) error
	// Operator signs requests to a hub's operator route with the credentials of this machine.
	Operator func(ctx context.Context, url string) (Operator, error)
	// Runs speaks to the account of a hub with the credentials of this machine.
	Runs func(ctx context.Context, m hub.Machine) (Runs, error)
	// Interactive tells whether somebody can be asked at a stream.
	Interactive func(r io.Reader) bool
	// Terminal tells whether a stream is a terminal and how many columns it has.
	Terminal func(w io.Writer) (width int, ok bool)
}

// app is one call of the program.
type app struct {
	Program
	env    map[string]string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	format   string
	progress string
	noColour bool
}

// Run executes one command line. args are without the program's name, env is in
// the form of os.Environ. Errors have been told on stderr when it returns;
// ExitCode says with which code the process should end.
func (p Program) Run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) error {
	a := &app{Program: p, env: environment(env), stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return nil
	}
	var exit *ExitError
	if !errors.As(err, &exit) { // only the parsing of the command line returns others
		exit = usage(root, err.Error())
	}
	if exit.Err != nil {
		fmt.Fprintf(stderr, "ec2patch: %v\n", exit.Err)
	}
	return exit
}

func environment(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		m[k] = v
	}
	return m
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ec2patch",
		Short: "Patch EC2 fleets across accounts, in waves, and rehearse it first",
		Long: `ec2patch patches EC2 fleets across many AWS accounts, in waves, from one hub account.

validate and simulate need no AWS account: they check run inputs and rehearse
whole runs with the state machine and the task code that the templates deploy.
run starts one on a hub, watch follows it, report prints its report, audit what
was done and by whom, and list finds it again; approve, reject and abort answer
it while it waits or patches; doctor looks for what would break it. What they
need is in docs/cli.md.`,
		Example: `  ec2patch validate examples/run-inputs/*.json
  ec2patch simulate examples/run-inputs/multi-wave-staggered.json --seed 1
  ec2patch run october.json --wait`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkGlobals(cmd) },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.format, "format", "text",
		"form of the result on stdout: text or json; of a report also csv or html")
	flags.StringVar(&a.progress, "progress", "auto", "how progress is told on stderr: auto, tty, plain, json or quiet")
	flags.BoolVar(&a.noColour, "no-color", false, "no colours; the variable NO_COLOR does the same")
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 2 // two letters that changed places
	root.Version = a.built()
	root.SetVersionTemplate("{{.Version}}")
	root.SetHelpCommand(helpCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.validateCommand(), a.simulateCommand(), a.runCommand(), a.watchCommand(), a.listCommand(),
		a.reportCommand(), a.auditCommand(), a.doctorCommand(), a.approveCommand(), a.rejectCommand(), a.abortCommand(),
		a.versionCommand(), exitCodesTopic())
	return root
}

// flagError says what a flag takes when its value could not be read.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return usage(cmd, err.Error()+meantFlag(cmd, unknown.GetSpecifiedName()))
	}
	if !errors.As(err, &invalid) {
		return usage(cmd, err.Error())
	}
	allowed := invalid.GetFlag().Value.Type()
	switch allowed {
	case "int", "uint64":
		allowed = "a whole number, 0 or more"
	case "duration":
		allowed = "a time with its unit, as 50m or 1h30m"
	case "bool":
		allowed = "true or false"
	}
	return usage(cmd, fmt.Sprintf("--%s is %q; allowed is %s", invalid.GetFlag().Name, invalid.GetValue(), allowed))
}

// meantFlag asks whether another flag was meant.
func meantFlag(cmd *cobra.Command, name string) string {
	var all []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	if near := runinput.Nearest(name, all); near != "" {
		return fmt.Sprintf(", did you mean --%s?", near)
	}
	return ""
}

func unknownCommand(root *cobra.Command, name string) error {
	text := fmt.Sprintf("there is no command %q", name)
	if s := root.SuggestionsFor(name); len(s) > 0 {
		return usage(root, text+fmt.Sprintf(", did you mean %q?", s[0]))
	}
	var all []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, c.Name())
		}
	}
	return usage(root, text+"; there are "+strings.Join(all, ", "))
}

// helpCommand is cobra's, but for a topic that does not exist it fails.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, _, err := cmd.Root().Find(args)
			if err != nil || topic == cmd.Root() && len(args) > 0 {
				return unknownCommand(cmd.Root(), args[0])
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

func (a *app) checkGlobals(cmd *cobra.Command) error {
	forms := []string{"text", "json"}
	if cmd.Name() == "report" {
		forms = append(forms, formCSV, formHTML)
	}
	if err := oneOf(cmd, "--format", a.format, forms...); err != nil {
		return err
	}
	return oneOf(cmd, "--progress", a.progress, "auto", "tty", "plain", "json", "quiet")
}

// oneOf is a usage error unless the flag's value is one of those allowed.
func oneOf(cmd *cobra.Command, flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	return usage(cmd, fmt.Sprintf("%s is %q; allowed are %s and %s", flag, value, strings.Join(allowed[:last], ", "),
		allowed[last]))
}
