package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ec2patch/internal/decision"
	"ec2patch/internal/hub"
	"ec2patch/internal/operator"
	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// Operator answers questions of a hub in the caller's name.
type Operator interface {
	// Do sends one request. Its error is an *operator.Refusal, wraps
	// operator.ErrNoCredentials, or says nothing about what took effect.
	Do(ctx context.Context, in operator.Request) (operator.State, error)
}

const (
	// operatorURL is the variable that stands for --url.
	operatorURL = "EC2PATCH_OPERATOR_URL"
	// maxReason is what the hub takes, in characters.
	maxReason = 500
	// maxTyped bounds a line that is typed.
	maxTyped = 200
)

// decision is one call of approve, reject or abort.
type answering struct {
	action string
	run    string
	reason string
	url    string
	scope  patch.Scope
	cancel bool
	yes    bool
}

func (a *app) approveCommand() *cobra.Command {
	d := &answering{action: operator.Approve}
	cmd := a.decideCommand(d, "Approve the plan that a run waits with",
		`Shows what the run asks, has its code typed, and approves. What is approved is
this very plan: if it is another one by then, nothing is decided.`,
		`  ec2patch approve 2026-12-patch
  ec2patch approve 2026-12-patch --scope wave:fleet --reason "CHG-4711" --yes`)
	cmd.Flags().StringVar(&d.reason, "reason", "", "why, for the record")
	a.scopeFlag(cmd, d)
	return cmd
}

func (a *app) rejectCommand() *cobra.Command {
	d := &answering{action: operator.Reject}
	cmd := a.decideCommand(d, "Reject the plan that a run waits with",
		`Shows what the run asks, has its code typed, and rejects. The run ends, nothing
more is sent.`,
		`  ec2patch reject 2026-12-patch --reason "freeze until Monday"`)
	cmd.Flags().StringVar(&d.reason, "reason", "", "why, for the record; required")
	a.scopeFlag(cmd, d)
	return cmd
}

func (a *app) abortCommand() *cobra.Command {
	d := &answering{action: operator.Abort}
	cmd := a.decideCommand(d, "Abort a run: nothing more is sent",
		`Aborts a run, whether it waits or patches. Nothing more is sent, and commands that
no agent has taken yet are cancelled. What runs on an instance is left to finish.

With --cancel it is cancelled, too. A cancel kills the package manager in the
middle of its work and may leave an instance half patched: the report lists such
instances as Interrupted, and counts them as failures.`,
		`  ec2patch abort 2026-12-patch --reason "database failover"
  ec2patch abort 2026-12-patch --reason "wrong fleet" --cancel`)
	cmd.Flags().StringVar(&d.reason, "reason", "", "why, for the record; required")
	const means = "also cancel what runs: kills package managers at work"
	cmd.Flags().BoolVar(&d.cancel, "cancel", false, means)
	cmd.Flags().BoolVar(&d.cancel, "cancel-in-flight", false, means) // its earlier name
	cmd.Flags().Lookup("cancel-in-flight").Hidden = true
	return cmd
}

func (a *app) scopeFlag(cmd *cobra.Command, d *answering) {
	cmd.Flags().StringVar((*string)(&d.scope), "scope", "",
		"which approval request: run, `wave:NAME` or soak:NAME (default the one that is open)")
}

// decideCommand is what the three have in common.
func (a *app) decideCommand(d *answering, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: d.action + " RUN", Short: short, Long: long + `

The request is signed with your AWS credentials, found as the AWS CLI finds them;
your identity stands in the record.`,
		Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Sprintf("%s takes the name of one run; got %d", d.action, len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d.run = args[0]
			return a.decide(cmd, d)
		},
	}
	cmd.Flags().StringVar(&d.url, "url", "", "the hub's output OperatorUrl (default $"+operatorURL+")")
	cmd.Flags().BoolVar(&d.yes, "yes", false, "do not ask; required where stdin is no terminal")
	return cmd
}

// check finds everything that is wrong before anything is asked of the hub.
func (a *app) check(cmd *cobra.Command, d *answering) error {
	d.reason = strings.TrimSpace(d.reason)
	if d.url == "" {
		d.url = a.env[operatorURL]
	}
	switch n := utf8.RuneCountInString(d.reason); {
	case !hub.IsRun(d.run):
		return usage(cmd, fmt.Sprintf("%q is not the name of a run: 1 to 80 letters, digits, - and _", words.Clean(d.run)))
	case n == 0 && d.action != operator.Approve:
		return usage(cmd, fmt.Sprintf("%s needs --reason", d.action))
	case n > maxReason:
		return usage(cmd, fmt.Sprintf("--reason has %d characters; allowed are %d", n, maxReason))
	case d.url == "":
		return usage(cmd, "where is the hub? Give --url or set "+operatorURL+" to its output OperatorUrl")
	}
	if _, err := operator.Check(d.url); err != nil {
		return usage(cmd, "--url: "+err.Error())
	}
	if !d.yes && !a.Interactive(a.stdin) {
		return usage(cmd, fmt.Sprintf("%s asks before it acts, and stdin is no terminal; give --yes if no one is there to "+
			"answer", d.action))
	}
	return nil
}

func (a *app) decide(cmd *cobra.Command, d *answering) error {
	if err := a.check(cmd, d); err != nil {
		return err
	}
	ctx := cmd.Context()
	hub, err := a.Operator(ctx, d.url)
	if err != nil {
		return asked(ctx, err)
	}
	state, err := hub.Do(ctx, operator.Request{Run: d.run, Action: operator.Status})
	if err != nil {
		return a.refused(ctx, d, err, false)
	}
	if d.action == operator.Abort {
		return a.abort(ctx, hub, d, state)
	}
	return a.answer(ctx, hub, d, state)
}

// answer approves or rejects.
func (a *app) answer(ctx context.Context, hub Operator, d *answering, state operator.State) error {
	q, err := choose(d, state)
	if err != nil {
		return err
	}
	if q.Status != decision.ApprovalPending {
		return a.tooLate(d, state, q)
	}
	a.showQuestion(d, state, q)
	in := operator.Request{Run: d.run, Action: d.action, Scope: q.Scope, Reason: d.reason, Digest: q.Digest}
	if !d.yes {
		typed, err := a.typed(ctx, fmt.Sprintf("Type %s to %s: ", words.Clean(q.Code), d.action))
		if err != nil {
			return err
		}
		if !strings.EqualFold(typed, q.Code) {
			return &ExitError{Code: ExitUsage, Err: fmt.Errorf("this is not the code; nothing was decided")}
		}
		in.Code = typed
	}
	after, err := hub.Do(ctx, in)
	if err != nil {
		return a.refused(ctx, d, err, true)
	}
	return a.decided(d, q.Scope, after)
}

// choose finds the question that is meant.
func choose(d *answering, state operator.State) (operator.Question, error) {
	var open, names []string
	var found operator.Question
	for _, q := range state.Questions {
		names = append(names, words.Clean(string(q.Scope)))
		if q.Scope == d.scope {
			return q, nil
		}
		if q.Status == decision.ApprovalPending {
			open = append(open, words.Clean(string(q.Scope)))
			found = q
		}
	}
	no := func(text string) error { return &ExitError{Code: ExitUsage, Err: errors.New(text)} }
	switch {
	case len(names) == 0:
		return found, no(fmt.Sprintf("run %s has requested no approval", words.Clean(state.Run)))
	case d.scope != "":
		return found,
			no(fmt.Sprintf("run %s has no approval request %q; it has %s", words.Clean(state.Run), d.scope,
				strings.Join(names, ", ")))
	case len(open) > 1:
		return found, no("several questions are open: choose one with --scope, of " + strings.Join(open, ", "))
	case len(open) == 1:
		return found, nil
	}
	return state.Questions[len(state.Questions)-1], nil
}

// abort ends a run.
func (a *app) abort(ctx context.Context, hub Operator, d *answering, state operator.State) error {
	// An abort that stands is sent once more: it ends a wait that the first one could not end.
	ask := !d.yes && state.Aborted == nil
	fmt.Fprintf(a.stderr, "Run %s is %s; %s planned.\n", words.Clean(state.Run), words.Clean(state.Status),
		words.Count(state.Planned, "instance"))
	fmt.Fprintf(a.stderr, "Nothing more will be sent. What runs on instances %s.\n", map[bool]string{
		true:  "will be CANCELLED: package managers are killed at work",
		false: "will be left to finish",
	}[d.cancel])
	if ask {
		typed, err := a.typed(ctx, fmt.Sprintf("Type %s to abort: ", words.Clean(state.Run)))
		if err != nil {
			return err
		}
		if typed != state.Run {
			return &ExitError{Code: ExitUsage, Err: fmt.Errorf("this is not the run's name; nothing was aborted")}
		}
	}
	after,
		err := hub.Do(ctx, operator.Request{Run: d.run, Action: operator.Abort, Reason: d.reason, CancelInFlight: d.cancel})
	if err != nil {
		return a.refused(ctx, d, err, true)
	}
	return a.decided(d, "", after)
}

// typed asks for one line. Whoever only presses the return key has typed nothing.
func (a *app) typed(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(a.stderr, prompt)
	line, err := interruptible(ctx, func() (string, error) {
		line, err := bufio.NewReader(io.LimitReader(a.stdin, maxTyped)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
	if ctx.Err() != nil {
		return "", &ExitError{Code: ExitInterrupted, Err: errors.New("interrupted: nothing was decided")}
	}
	if err != nil {
		return "", failed(fmt.Errorf("read what is typed: %w", err))
	}
	return strings.TrimSpace(line), nil
}
