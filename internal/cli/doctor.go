package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ec2patch/internal/hub"
	"ec2patch/internal/operator"
	"ec2patch/internal/report"
	"ec2patch/internal/words"
)

// The results of a check.
const (
	checkOK   = "ok"
	checkWarn = "warn" // a run works without, or nobody could look
	checkFail = "FAIL" // a run would break, or nobody would notice
)

// check is one thing that doctor looked at.
type checkup struct {
	Name   string `json:"name"`
	Result string `json:"result"` // ok, warn or FAIL
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"`
}

// diagnosis is what `doctor --format json` prints.
type diagnosis struct {
	SchemaVersion int       `json:"schemaVersion"`
	Kind          string    `json:"kind"`
	Healthy       bool      `json:"healthy"` // no check failed
	Checks        []checkup `json:"checks"`
}

func (a *app) doctorCommand() *cobra.Command {
	var machine, url string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would break a run of a hub",
		Long: `Looks at a hub with the viewer's policy: who you are, whether the state machine
is the one that this command line rehearses and keeps task tokens out of its log,
which alarms are on, who gets requests for approval, how the newest runs ended,
which accounts the newest of them could not enter, and whether you can decide by
command. It changes nothing.

It cannot see accounts, roles, agents and quotas: a run with "dryRun": true does,
and doctor reads in its report which spokes have the role that this hub reads by.
Whether a spoke still lets a former hub in (FormerHub) shows in its own stack only.`,
		Example: `  ec2patch doctor
  ec2patch doctor --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.machine(cmd, machine)
			if err != nil {
				return err
			}
			if url == "" {
				url = a.env[operatorURL]
			}
			ctx := cmd.Context()
			runs, err := a.Runs(ctx, m)
			var caller string
			if err == nil {
				caller, err = runs.Caller(ctx)
			}
			if err != nil {
				return a.nobody(ctx, err)
			}
			checks := []checkup{identity(m, caller)}
			checks = append(checks, a.machineChecks(ctx, runs)...)
			all, listed := runs.List(ctx, looked)
			checks = append(checks, a.alarmCheck(ctx, runs), audienceCheck(ctx, runs), a.runsCheck(all, listed),
				spokesCheck(ctx, runs, all, listed), a.operatorCheck(ctx, url))
			if ctx.Err() != nil {
				return &ExitError{Code: ExitInterrupted, Err: errors.New("interrupted")}
			}
			return a.printChecks(checks)
		},
	}
	machineFlag(cmd, &machine)
	cmd.Flags().StringVar(&url, "url", "", "the hub's output OperatorUrl (default $"+operatorURL+")")
	return cmd
}

// nobody prints that nothing can be looked at: there is no identity to do it in.
func (a *app) nobody(ctx context.Context, err error) error {
	exit := asked(ctx, err)
	if ctx.Err() != nil {
		return exit
	}
	c := checkup{Name: "identity", Result: checkFail, Text: err.Error(),
		Fix: "is the hub's region right, and the network there?"}
	switch {
	case errors.Is(err, hub.ErrNoCredentials):
		c.Fix = signIn
	case errors.Is(err, hub.ErrDenied):
		c.Fix = ""
	}
	if printed := a.printChecks([]checkup{c}); ExitCode(printed) != ExitDoctor || ExitCode(exit) != ExitDenied {
		return printed
	}
	return &ExitError{Code: ExitDenied}
}

func (a *app) printChecks(checks []checkup) error {
	failures := 0
	for i, c := range checks {
		checks[i].Text = words.Clean(c.Text)
		if c.Result == checkFail {
			failures++
		}
	}
	if a.format == "json" {
		if err := a.printJSON(diagnosis{SchemaVersion: 1, Kind: "diagnosis", Healthy: failures == 0,
			Checks: checks}); err != nil {
			return err
		}
	} else {
		var b bytes.Buffer
		const indent = "                      "
		for _, c := range checks {
			text := fmt.Sprintf("%-4s  %-14s  %s", c.Result, c.Name, c.Text)
			if c.Fix != "" {
				text += ". " + words.UpperFirst(c.Fix)
			}
			b.WriteString(hang(text, indent, a.width(a.stdout)) + "\n")
		}
		if _, err := a.stdout.Write(b.Bytes()); err != nil {
			return failedOr(err)
		}
	}
	if failures > 0 {
		return &ExitError{Code: ExitDoctor, Err: fmt.Errorf("%s would break a run", words.BareCount(failures, "finding"))}
	}
	return nil
}

// hang folds a line whose first columns stand apart.
func hang(text, indent string, width int) string {
	if len(text) <= len(indent) {
		return text
	}
	return text[:len(indent)] + strings.TrimPrefix(fold(indent+text[len(indent):], indent, width), indent)
}

// unseen is the result of a check that could not look.
func unseen(name string, err error) checkup {
	return checkup{Name: name, Result: checkWarn, Text: "not looked at: " + err.Error()}
}

func identity(m hub.Machine, caller string) checkup {
	c := checkup{Name: "identity", Result: checkOK, Text: caller}
	if !strings.Contains(caller, ":"+m.Account+":") {
		c.Result, c.Text = checkWarn, caller+" is not of the hub's account "+m.Account
		c.Fix = "assume a role there"
	}
	return c
}

func (a *app) machineChecks(ctx context.Context, runs Runs) []checkup {
	d, err := runs.Deployed(ctx)
	if err != nil {
		c := unseen("state machine", err)
		if errors.Is(err, hub.ErrNotFound) {
			c = checkup{Name: "state machine", Result: checkFail, Text: err.Error(),
				Fix: "is it the hub's output StateMachineArn?"}
		}
		return []checkup{c}
	}
	state := checkup{Name: "state machine", Result: checkOK, Text: "active"}
	if !d.Active || !d.Standard {
		state.Result, state.Text, state.Fix = checkFail, "it is being deleted, or is no STANDARD machine",
			"deploy the hub again"
	}
	log := checkup{Name: "log", Result: checkOK, Text: "every event, without data"}
	switch {
	case d.LogsData:
		log.Result, log.Text, log.Fix = checkFail,
			"it holds the data of executions, and with it the task tokens of approvals", "deploy the hub again"
	case !d.Logged:
		log.Result, log.Text, log.Fix = checkWarn, "not every event is logged", "deploy the hub again"
	}
	same := checkup{Name: "definition", Result: checkOK, Text: "the one that this command line rehearses"}
	switch ours, err := a.ours(d); {
	case err != nil:
		same = unseen("definition", err)
	case !ours:
		same.Result, same.Text, same.Fix = checkWarn, "another one than this command line rehearses",
			"use the command line of the hub's release, or deploy this one's"
	}
	return []checkup{state, log, same, functions(d.Definition + d.Target)}
}

// ours tells whether both machines are those of the template.
func (a *app) ours(d hub.Deployed) (bool, error) {
	runs, err := a.SameMachine(a.Hub, d.Definition)
	if err != nil || !runs || d.Target == "" {
		return false, err
	}
	return a.SameMachine(a.Hub, d.Target)
}

var functionARN = regexp.MustCompile(`:lambda:[a-z0-9-]+:[0-9]{12}:function:([A-Za-z0-9_-]+)(:[0-9]+)?`)

// functions tells whether the machine calls published versions: a run that goes on while the hub is updated keeps its
// code.
func functions(definition string) checkup {
	var loose []string
	all := map[string]bool{}
	for _, m := range functionARN.FindAllStringSubmatch(definition, -1) {
		all[m[1]] = true
		if m[2] == "" && !slices.Contains(loose, m[1]) {
			loose = append(loose, m[1])
		}
	}
	if len(loose) > 0 {
		return checkup{Name: "functions", Result: checkFail,
			Text: "called without a published version: " + strings.Join(loose, ", "), Fix: "deploy the hub again"}
	}
	return checkup{Name: "functions", Result: checkOK,
		Text: words.BareCount(len(all), "function") + ", called by published version"}
}

var alarmNames = regexp.MustCompile(`AlarmName: !Sub "\$\{NamePrefix\}-(\w+)"`)

// breaking are the alarms without which nobody would know of a question.
func breaking() []string { return []string{"ApprovalUnheard", "ApprovalNotDelivered"} }

func (a *app) alarmCheck(ctx context.Context, runs Runs) checkup {
	var ends []string
	for _, m := range alarmNames.FindAllSubmatch(a.Hub, -1) {
		ends = append(ends, string(m[1]))
	}
	known, on, err := runs.Ringing(ctx, ends)
	if err != nil {
		return unseen("alarms", err)
	}
	c := checkup{Name: "alarms", Result: checkOK, Text: words.BareCount(len(known), "alarm") + ", none is on"}
	if len(known) == 0 {
		return checkup{Name: "alarms", Result: checkWarn, Text: "the hub has none", Fix: "deploy the hub again"}
	}
	if len(on) > 0 {
		c.Result, c.Text, c.Fix = checkWarn, "on: "+strings.Join(on, ", "),
			"see docs/runbook-operations.md for what each means"
	}
	for _, name := range on {
		if slices.ContainsFunc(breaking(), func(end string) bool { return strings.HasSuffix(name, "-"+end) }) {
			c.Result, c.Fix = checkFail, "no one is notified of approval requests: confirm a subscription of the approvals topic"
		}
	}
	return c
}

// audienceCheck tells who gets requests for approval: whoever does can decide, where one approval is enough.
func audienceCheck(ctx context.Context, runs Runs) checkup {
	const name = "subscribers"
	who, err := runs.Audience(ctx)
	if err != nil {
		return unseen(name, err)
	}
	strangers := who.Strangers()
	confirmed := len(slices.DeleteFunc(slices.Clone(who.Subscribers), func(s hub.Subscriber) bool { return !s.Confirmed }))
	c := checkup{Name: name, Result: checkOK}
	c.Text = fmt.Sprintf("%s of requests for approval, %s confirmed; %s deployed",
		words.BareCount(len(who.Subscribers), "subscriber"), words.Number(confirmed),
		words.BareCount(len(who.Deployed), "endpoint"))
	switch {
	case !who.Closed:
		c.Result, c.Fix = checkWarn, "deploy the hub again: the topic lets anybody of the account subscribe"
	case len(strangers) > 0:
		var names []string
		for _, s := range strangers[:min(len(strangers), named)] {
			names = append(names, s.Protocol+" "+s.Endpoint)
		}
		c.Result = checkWarn
		c.Text += "; not deployed: " + strings.Join(names, ", ")
		if more := len(strangers) - named; more > 0 {
			c.Text += fmt.Sprintf(" and %d more", more)
		}
		c.Fix = "whoever gets a request can decide: delete their subscriptions, or add them to ApprovalEndpoints"
	case len(who.Subscribers) > len(who.Deployed):
		c.Result, c.Fix = checkWarn, "an endpoint is subscribed more than once"
	}
	return c
}

const (
	looked = 50 // newest runs
	// long is longer than most runs with their approvals take.
	long = 48 * time.Hour
)

func (a *app) runsCheck(all []hub.Execution, err error) checkup {
	if err != nil {
		return unseen("runs", err)
	}
	if len(all) == 0 {
		return checkup{Name: "runs", Result: checkOK, Text: "none yet; begin with a scan of one account"}
	}
	newest := all[0]
	c := checkup{Name: "runs", Result: checkOK,
		Text: fmt.Sprintf("the newest is %s of %s: %s", newest.Run, words.Time(newest.Started),
			strings.ToLower(newest.Status))}
	if s := newest.Status; !newest.Running() && s != "SUCCEEDED" {
		c.Result = checkWarn
		c.Text += ", its report says why"
	}
	for _, x := range all {
		if age := a.Now().Sub(x.Started); x.Running() && age > long {
			c.Result = checkWarn
			c.Text += fmt.Sprintf("; %s runs since %s, and keeps others out of its accounts", x.Run, words.Time(x.Started))
		}
	}
	return c
}

// spokesCheck tells which accounts did not let the newest run in that has ended, by its report: the hub's own view of
// its spokes.
func spokesCheck(ctx context.Context, runs Runs, all []hub.Execution, err error) checkup {
	const name = "spokes"
	if err != nil {
		return unseen(name, err)
	}
	ended := slices.IndexFunc(all, func(x hub.Execution) bool { return !x.Running() })
	if ended < 0 {
		c := checkup{Name: name, Result: checkOK}
		c.Text = `no run has a report yet; one with "dryRun": true enters every account`
		return c
	}
	x := all[ended]
	bucket, err := bucketOf(ctx, runs, x.Run)
	if err == nil && bucket == "" {
		err = fmt.Errorf("run %s has no report", x.Run)
	}
	if err != nil {
		return unseen(name, err)
	}
	r, _, err := fetchReport(ctx, runs, bucket, x.Run, x.Started)
	if err != nil {
		return unseen(name, err)
	}
	var by string // all of a run's are assumed by one name
	var shut []string
	for _, u := range r.Unreachable {
		if role, denied := report.NotAssumed(u); denied && !slices.Contains(shut, string(u.Account)) {
			by, shut = role, append(shut, string(u.Account))
		}
	}
	if len(shut) == 0 {
		return checkup{Name: name, Result: checkOK, Text: "no account refused to let run " + x.Run + " in"}
	}
	c := checkup{Name: name, Result: checkWarn}
	c.Text = fmt.Sprintf("run %s could not enter %s as %s: ", x.Run, words.Count(len(shut), "account"), by)
	c.Text += strings.Join(shut[:min(len(shut), named)], ", ")
	if more := len(shut) - named; more > 0 {
		c.Text += fmt.Sprintf(" and %d more", more)
	}
	c.Fix = "update or deploy their spoke stacks (see docs/migration.md), then scan them"
	return c
}

// named is how many accounts one line names; the report has them all.
const named = 5

// operatorCheck asks for a run that does not exist: whoever is told so may decide.
func (a *app) operatorCheck(ctx context.Context, url string) checkup {
	name := "operator"
	if url == "" {
		return checkup{Name: name, Result: checkWarn, Text: "approve, reject and abort do not find the hub",
			Fix: "set " + operatorURL + " to its output OperatorUrl"}
	}
	if _, err := operator.Check(url); err != nil {
		return checkup{Name: name, Result: checkFail, Text: err.Error(),
			Fix: "set " + operatorURL + " to the hub's output OperatorUrl"}
	}
	client, err := a.Operator(ctx, url)
	if err == nil {
		_, err = client.Do(ctx, operator.Request{Run: "doctor", Action: operator.Status})
	}
	no, refused := errors.AsType[*operator.Refusal](err)
	switch {
	case err == nil, refused && no.Code == operator.CodeNotFound:
		return checkup{Name: name, Result: checkOK, Text: "you may approve, reject and abort"}
	case refused && no.Code == operator.CodeForbidden:
		return checkup{Name: name, Result: checkWarn, Text: "you may not approve, reject or abort",
			Fix: "the policy <NamePrefix>-operator allows it"}
	case refused:
		return checkup{Name: name, Result: checkFail, Text: "its answer was: " + no.Error(),
			Fix: "is it the hub's output OperatorUrl?"}
	}
	return checkup{Name: name, Result: checkFail, Text: err.Error(), Fix: "is it the hub's output OperatorUrl?"}
}
