package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/operator"
	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// decisionResult is what approve, reject and abort print with --format json.
type decisionResult struct {
	SchemaVersion int             `json:"schemaVersion"`
	Kind          string          `json:"kind"`
	Action        string          `json:"action"`
	Scope         patch.Scope     `json:"scope,omitempty"`
	Recorded      bool            `json:"recorded"` // this call changed something
	State         *operator.State `json:"state,omitempty"`
	Code          string          `json:"code,omitempty"` // why not, as docs/approval.md lists it
	Message       string          `json:"message,omitempty"`
}

// showQuestion says on stderr what is about to be decided.
func (a *app) showQuestion(d *answering, state operator.State, q operator.Question) {
	w := a.stderr
	fmt.Fprintf(w, "Run %s asks about %s: %s, plan %s.\n", words.Clean(state.Run), about(q.Scope),
		words.Count(q.Instances, "instance"), words.Clean(q.Digest[:min(12, len(q.Digest))]))
	fmt.Fprintf(w, "Asked %s, open until %s.\n", words.Time(q.Asked), words.Time(q.Expires))
	if !q.Told {
		fmt.Fprintln(w, "No one was notified by mail: no subscription of the approvals topic is confirmed.")
	}
	if q.Needed > 1 {
		fmt.Fprintf(w, "It needs approvals of %d people; two sessions of a role are one unless their names are people's.\n",
			q.Needed)
	}
	for _, one := range q.Decisions {
		fmt.Fprintf(w, "  %s\n", said(one))
	}
	if state.Aborted != nil {
		fmt.Fprintf(w, "The run was aborted by %s: nothing is sent, and nothing can be decided.\n",
			words.Clean(state.Aborted.By))
	}
	fmt.Fprintf(w, "You are about to %s.\n", strings.ToUpper(d.action))
}

// tooLate tells that a question is decided. Who wanted what was decided has it.
func (a *app) tooLate(d *answering, state operator.State, q operator.Question) error {
	if err := a.printDecision(d, q.Scope, state, false); err != nil {
		return err
	}
	if q.Status == decision.Choice(d.action).Status() {
		return nil
	}
	return &ExitError{Code: ExitNotApproved,
		Err: fmt.Errorf("%s of run %s is %s already; nothing was changed", about(q.Scope), words.Clean(state.Run),
			words.Clean(string(q.Status)))}
}

// decided prints what the hub recorded.
func (a *app) decided(d *answering, scope patch.Scope, state operator.State) error {
	return a.printDecision(d, scope, state, state.Recorded)
}

func (a *app) printDecision(d *answering, scope patch.Scope, state operator.State, recorded bool) error {
	if a.format == "json" {
		state.Recorded = recorded
		return a.printJSON(decisionResult{SchemaVersion: 1, Kind: "decision", Action: d.action, Scope: scope,
			Recorded: recorded, State: &state})
	}
	var b strings.Builder
	if d.action == operator.Abort {
		abortText(&b, state, recorded)
	}
	for _, q := range state.Questions {
		if q.Scope == scope {
			questionText(&b, state, q, recorded)
		}
	}
	if state.Delayed {
		b.WriteString("The run could not be notified; it will notice at the next reminder.\n")
	}
	if _, err := a.stdout.Write([]byte(b.String())); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}

func abortText(b *strings.Builder, state operator.State, recorded bool) {
	by := operator.Aborted{}
	if state.Aborted != nil {
		by = *state.Aborted
	}
	if recorded {
		fmt.Fprintf(b, "Recorded: run %s is aborted, nothing more is sent.\n", words.Clean(state.Run))
		return
	}
	fmt.Fprintf(b, "Run %s was aborted already, by %s at %s: %s\n", words.Clean(state.Run), words.Clean(by.By),
		words.Time(by.At), words.Clean(by.Reason))
}

func questionText(b *strings.Builder, state operator.State, q operator.Question, recorded bool) {
	what := fmt.Sprintf("%s of run %s is %s", about(q.Scope), words.Clean(state.Run), words.Clean(string(q.Status)))
	switch {
	case recorded && q.Status == decision.ApprovalPending:
		fmt.Fprintf(b, "Recorded: %d of %d approvals; %s until %s.\n", len(q.Decisions), q.Needed, what,
			words.Time(q.Expires))
	case q.Status == decision.ApprovalPending:
		fmt.Fprintf(b, "Nothing changed: your answer stood already; %s until %s.\n", what, words.Time(q.Expires))
	case recorded:
		fmt.Fprintf(b, "Recorded: %s.\n", what)
	default:
		fmt.Fprintf(b, "%s already.\n", words.UpperFirst(what))
	}
	for _, one := range q.Decisions {
		fmt.Fprintf(b, "  %s\n", said(one))
	}
}

// said is one decision in one line.
func said(d operator.Decision) string {
	text := fmt.Sprintf("%s by %s at %s", words.Clean(string(d.Decision)), words.Clean(d.Identity), words.Time(d.At))
	if d.Name != "" {
		text += fmt.Sprintf(", name given %q", words.Clean(d.Name))
	}
	if d.Reason != "" {
		text += ": " + words.Clean(d.Reason)
	}
	return text
}

// about names a question.
func about(scope patch.Scope) string { return words.Clean(scope.Text()) }

// refused turns a failed request into an exit code. acting tells that it was
// the one that decides, so that no answer leaves it open what happened.
func (a *app) refused(ctx context.Context, d *answering, err error, acting bool) error {
	no, ok := errors.AsType[*operator.Refusal](err)
	if ok {
		return a.refusal(d, no)
	}
	text := words.Clean(err.Error(), words.Lines)
	switch {
	case ctx.Err() != nil && acting:
		return &ExitError{Code: ExitInterrupted,
			Err: fmt.Errorf("interrupted: whether it was recorded is not known, run the command again to see")}
	case ctx.Err() != nil:
		return &ExitError{Code: ExitInterrupted, Err: errors.New("interrupted: nothing was decided")}
	case errors.Is(err, operator.ErrNoRegion):
		return &ExitError{Code: ExitUsage, Err: errors.New(text)}
	case errors.Is(err, operator.ErrNoCredentials):
		return &ExitError{Code: ExitDenied, Err: fmt.Errorf("%s\n%s", text, words.UpperFirst(signIn))}
	case acting:
		return failed(fmt.Errorf("%s; whether it was recorded is not known, run the command again to see", text))
	}
	return failed(errors.New(text))
}

// refusal is the exit code of an answer that says no.
func (a *app) refusal(d *answering, no *operator.Refusal) error {
	if a.format == "json" {
		r := decisionResult{SchemaVersion: 1, Kind: "decision", Action: d.action, Scope: d.scope, Code: no.Code,
			Message: no.Message, State: no.State}
		if err := a.printJSON(r); err != nil {
			return err
		}
	}
	code := map[string]int{
		operator.CodeForbidden: ExitDenied, operator.CodeOwnRun: ExitDenied, operator.CodeSamePerson: ExitDenied,
		operator.CodeAlreadyDecided: ExitNotApproved, operator.CodeExpired: ExitNotApproved,
		operator.CodeRunEnded: ExitNotApproved, operator.CodeRunAborted: ExitNotApproved,
		operator.CodeNotFound: ExitUsage, operator.CodeBadRequest: ExitUsage, operator.CodeNothingPending: ExitUsage,
		operator.CodeScopeNeeded: ExitUsage,
		operator.CodeWrongCode:   ExitInvalid,
	}[no.Code]
	if code == 0 {
		code = ExitUnexpected
	}
	if no.Code == operator.CodeAlreadyDecided && agrees(d.action, no.State) {
		code = ExitDone
	}
	if code == ExitDone {
		return a.sameAlready(d, no)
	}
	return &ExitError{Code: code, Err: errors.New(words.Clean(no.Message))}
}

// agrees tells whether what was asked for is so already: somebody else did the
// same a moment ago, or the caller's approval is one of several that are needed.
func agrees(action string, state *operator.State) bool {
	if state == nil {
		return false
	}
	for _, q := range state.Questions {
		if q.Status == decision.Choice(action).Status() || q.Status == decision.ApprovalPending &&
			action == operator.Approve {
			return true
		}
	}
	return false
}

func (a *app) sameAlready(d *answering, no *operator.Refusal) error {
	if a.format == "json" {
		return nil
	}
	for _, q := range no.State.Questions {
		if err := a.printDecision(d, q.Scope, *no.State, false); err != nil {
			return err
		}
	}
	return nil
}
