package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/follow"
	"ec2patch/internal/hub"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Runs is what the commands ask of a hub's account. *hub.Client is one.
type Runs interface {
	// Caller is the ARN of the identity that signs.
	Caller(ctx context.Context) (string, error)
	// Start starts a run, or finds the one of the same name and input that goes on.
	Start(ctx context.Context, run string, input []byte) (hub.Execution, error)
	// Describe tells how a run's execution stands.
	Describe(ctx context.Context, run string) (hub.Execution, error)
	// List gives the runs that go on and the newest of the others, newest first.
	List(ctx context.Context, atMost int) ([]hub.Execution, error)
	// Events gives the events of a run's history after one of them, oldest first.
	Events(ctx context.Context, run string, after int64) ([]follow.Event, error)
	// Accounts counts the accounts of a wave.
	Accounts(ctx context.Context, mapRun string) (follow.Accounts, error)
	// Report fetches a run's report in one form.
	Report(ctx context.Context, bucket, run, form string) ([]byte, error)
	// Chain reads all rows of an audit chain.
	Chain(ctx context.Context, name string) ([]store.AuditEntry, error)
	// AuditKey fetches the public key of a writer of the audit.
	AuditKey(ctx context.Context, w store.Writer) ([]byte, error)
	// Object fetches an object of a hub's bucket.
	Object(ctx context.Context, bucket, key string) (data []byte, found bool, err error)
	// Deployed looks at the hub's state machines.
	Deployed(ctx context.Context) (hub.Deployed, error)
	// Ringing gives the names of the hub's alarms that exist, and of those that are on.
	Ringing(ctx context.Context, ends []string) (known, on []string, err error)
	// Audience tells who gets requests for approval, and who may.
	Audience(ctx context.Context) (hub.Audience, error)
}

// machineVariable is the variable that stands for --state-machine.
const machineVariable = "EC2PATCH_STATE_MACHINE"

// machineFlag is how every command that needs a hub's state machine is told of it.
func machineFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "state-machine", "", "the hub's output StateMachineArn (default $"+machineVariable+")")
}

// machine reads the flag or the variable.
func (a *app) machine(cmd *cobra.Command, given string) (hub.Machine, error) {
	if given == "" {
		given = a.env[machineVariable]
	}
	if given == "" {
		return hub.Machine{},
			usage(cmd, "where is the hub? Give --state-machine or set "+machineVariable+" to its output StateMachineArn")
	}
	m, err := hub.ParseMachine(given)
	if err != nil {
		return m, usage(cmd, "--state-machine: "+err.Error())
	}
	return m, nil
}

// oneRun reads the argument of a command about one run: its name, or the ARN of
// its execution, which names the hub as well.
func (a *app) oneRun(cmd *cobra.Command, arg, given string) (hub.Machine, string, error) {
	if strings.HasPrefix(arg, "arn:") {
		m, run, err := hub.ParseExecution(arg)
		if err == nil && given != "" && given != m.ARN {
			err = errors.New("--state-machine names another state machine than the run's ARN")
		}
		if err != nil {
			return m, run, usage(cmd, err.Error())
		}
		return m, run, nil
	}
	if !hub.IsRun(arg) {
		return hub.Machine{}, "",
			usage(cmd, fmt.Sprintf("%q is not the name of a run: 1 to 80 letters, digits, - and _", words.Clean(arg)))
	}
	m, err := a.machine(cmd, given)
	return m, arg, err
}

// takesOne is the check of a command that takes one argument.
func takesOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage(cmd, fmt.Sprintf("%s takes %s; got %d", cmd.Name(), what, len(args)))
		}
		return nil
	}
}

// signIn is what whoever has no credentials can do.
const signIn = "sign in, as with aws sso login, or name a profile in AWS_PROFILE"

// asked turns an error of the hub's account into an exit code.
func asked(ctx context.Context, err error) error {
	var exit *ExitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	text := errors.New(words.Clean(err.Error(), words.Lines))
	switch {
	case ctx.Err() != nil:
		return &ExitError{Code: ExitInterrupted, Err: errors.New("interrupted")}
	case errors.Is(err, hub.ErrNoCredentials):
		return &ExitError{Code: ExitDenied, Err: fmt.Errorf("%w\n%s", text, words.UpperFirst(signIn))}
	case errors.Is(err, hub.ErrDenied):
		return &ExitError{Code: ExitDenied, Err: text}
	case errors.Is(err, hub.ErrNotFound):
		return &ExitError{Code: ExitUsage, Err: text}
	}
	return failed(text)
}

// fold breaks text at spaces into lines of at most width columns; those after
// the first begin with indent.
func fold(text, indent string, width int) string {
	var b strings.Builder
	used := len(text) - len(strings.TrimLeft(text, " "))
	b.WriteString(text[:used])
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}
