package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cli"
	"ec2patch/internal/fake"
	"ec2patch/internal/follow"
	"ec2patch/internal/golden"
	"ec2patch/internal/hub"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

const (
	machineARN = "arn:aws:states:us-east-1:999999999999:stateMachine:ec2patch-orchestrator"
	machineEnv = "EC2PATCH_STATE_MACHINE=" + machineARN
	ann        = "arn:aws:sts::999999999999:assumed-role/Operators/ann"
)

// anAccount is a hub's account in memory.
type anAccount struct {
	t       *testing.T
	caller  error
	start   error
	report  error
	started map[string]string // name: input
	known   []hub.Execution
	looks   [][]follow.Event // what each look at the history finds; the last one stands
	reports map[string]string
	looked  int
	missed  error // what each look at the history ends with

	audit   *fake.Ledger // nil: the hub has none
	keyless []store.Writer

	deployed  hub.Deployed
	noMachine error
	alarms    error
	noAlarms  bool
	ringing   []string
	audience  *hub.Audience // nil: those that were deployed
}

// reach makes the program speak to the account.
func (h *anAccount) reach(p *cli.Program) {
	p.Runs = func(_ context.Context, m hub.Machine) (cli.Runs, error) {
		assert.Equal(h.t, machineARN, m.ARN)
		return h, nil
	}
}

func (h *anAccount) Caller(context.Context) (string, error) { return ann, h.caller }

func (h *anAccount) Start(_ context.Context, run string, input []byte) (hub.Execution, error) {
	if h.started == nil {
		h.started = map[string]string{}
	}
	if h.start != nil {
		return hub.Execution{}, h.start
	}
	h.started[run] = string(input)
	return hub.Execution{Run: run, ARN: "arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:" + run,
		Status: "RUNNING", Started: at("10:00")}, nil
}

func (h *anAccount) Describe(_ context.Context, run string) (hub.Execution, error) {
	for _, x := range h.known {
		if x.Run == run || x.Run == "" {
			return x, nil
		}
	}
	return hub.Execution{}, fmt.Errorf("look at run %s: %w: ExecutionDoesNotExist", run, hub.ErrNotFound)
}

func (h *anAccount) List(_ context.Context, n int) ([]hub.Execution, error) {
	return h.known[:min(n, len(h.known))], nil
}

func (h *anAccount) Events(_ context.Context, run string, after int64) ([]follow.Event, error) {
	if h.missed != nil {
		return nil, h.missed
	}
	if len(h.looks) == 0 {
		return nil, fmt.Errorf("read the history of run %s: %w: ExecutionDoesNotExist", run, hub.ErrNotFound)
	}
	now := h.looks[min(h.looked, len(h.looks)-1)]
	h.looked++
	var out []follow.Event
	for _, e := range now {
		if e.ID > after {
			out = append(out, e)
		}
	}
	return out, nil
}

func (h *anAccount) Accounts(context.Context, string) (follow.Accounts, error) {
	return follow.Accounts{Total: 4, Running: 1, Done: min(h.looked/2, 4)}, nil
}

func (h *anAccount) Report(_ context.Context, bucket, run, form string) ([]byte, error) {
	if h.report != nil {
		return nil, h.report
	}
	text, ok := h.reports[bucket+"/"+run+"/"+form]
	if !ok {
		return nil,
			fmt.Errorf("fetch s3://%s/runs/%s/report.%s: %w (or there is no report yet)", bucket, run, form, hub.ErrDenied)
	}
	return []byte(text), nil
}

func (h *anAccount) Chain(ctx context.Context, name string) ([]store.AuditEntry, error) {
	if h.audit == nil {
		return nil, fmt.Errorf("read audit chain %s: %w: AccessDeniedException: no", name, hub.ErrDenied)
	}
	return h.audit.Chain(ctx, name)
}

func (h *anAccount) AuditKey(_ context.Context, w store.Writer) ([]byte, error) {
	if slices.Contains(h.keyless, w) {
		return nil, fmt.Errorf("fetch the public key of %s: %w", w, hub.ErrNotFound)
	}
	return h.audit.Pairs[w].Public(), nil
}

func (h *anAccount) Object(ctx context.Context, bucket, key string) ([]byte, bool, error) {
	assert.Equal(h.t, "data", bucket)
	return h.audit.Fetch(ctx, key)
}

const richInput = `{
  "runKey": "2026-12 patch!", "requestedBy": "platform team", "requireDistinct": 2, "approval": "perWave", "wavePauseSeconds": 900, "onUnreachable": "stop",
  "abortOnIssues": true, "guards": {"maxInstances": 500},
  "waves": [
    {"name": "canary", "accounts": ["111111111111"], "regions": ["us-east-1"], "filters": {"tags": {}},
     "healthGate": {"alarms": ["arn:aws:cloudwatch:us-east-1:111111111111:alarm:api"], "soakSeconds": 600}},
    {"name": "main", "accounts": ["222222222222", "333333333333"], "regions": ["us-east-1", "eu-west-1"],
     "filters": {"tags": {"Env": ["prod", "stage"], "App": ["api"]}, "platforms": ["Linux"]}, "ssm": {"rebootOption": "NoReboot"}},
    {"name": "rest", "accounts": ["444444444444"], "regions": ["us-east-1"], "filters": {"instanceIds": ["i-0123456789abcdef0"]}, "ssm": {"operation": "Scan"}}
  ]
}`

func TestRun(t *testing.T) {
	rich := strings.Replace(richInput, "2026-12 patch!", "2026-12-patch", 1)
	taken := fmt.Errorf("start run x: %w: ExecutionAlreadyExists: Execution Already Exists", hub.ErrNameTaken)
	tests := []struct {
		name   string
		args   string
		stdin  string
		noHub  bool
		typed  string
		width  int
		hub    anAccount
		starts int
	}{
		{name: "run", args: "run good.json --yes", starts: 1},
		{name: "run-typed", args: "run good.json --name october", typed: "yes\n", starts: 1},
		{name: "run-not-typed", args: "run good.json --name october", typed: "\n"},
		{name: "run-rich", args: "run - --yes", stdin: rich, starts: 1},
		{name: "run-rich-60", args: "run - --yes --format json", stdin: rich, width: 60, starts: 1},
		{name: "run-warned", args: "run - --yes --name now", stdin: warnedInput, starts: 1},
		{name: "run-no-approval", args: "run - --yes --name now", stdin: strings.TrimSuffix(goodInput, "}") + `,"approval":"none"}`, starts: 1},
		{name: "run-scan", args: "run - --yes --name now", stdin: strings.TrimSuffix(goodInput, "}") + `,"dryRun":true}`, starts: 1},
		{name: "run-resume", args: "run good.json --yes --name again --resume october", starts: 1},
		{name: "run-resume-bad", args: "run good.json --yes --resume a.b"},
		{name: "run-no-terminal", args: "run good.json"},
		{name: "run-stdin-asked", args: "run -", stdin: goodInput},
		{name: "run-no-hub", args: "run good.json --yes", noHub: true},
		{name: "run-bad-hub", args: "run good.json --yes --state-machine ec2patch-orchestrator"},
		{name: "run-bad-name", args: "run good.json --yes --name a.b"},
		{name: "run-bad-input", args: "run bad.json --yes"},
		{name: "run-bad-input-json", args: "run bad.json --yes --format json"},
		{name: "run-no-file", args: "run nowhere.json --yes"},
		{name: "run-soak", args: "run - --yes --name october", stdin: `{"waves":[
			{"name":"a","accounts":["111111111111"],"regions":["us-east-1"],"healthGate":{"soakSeconds":600}},
			{"name":"b","accounts":["111111111111"],"regions":["us-east-1"],"healthGate":{"alarms":["arn:aws:cloudwatch:us-east-1:111111111111:alarm:api"],"soakSeconds":0}}]}`, starts: 1},
		{name: "run-denied", args: "run good.json --yes --name october",
			hub: anAccount{start: fmt.Errorf("start run october: %w: AccessDeniedException: no", hub.ErrDenied)}},
		{name: "run-no-caller", args: "run good.json --yes",
			hub: anAccount{caller: fmt.Errorf("ask who signs: %w: ExpiredToken: over", hub.ErrNoCredentials)}},
		{name: "run-taken", args: "run good.json --yes --name october", hub: anAccount{start: taken}},
		{name: "run-taken-ended", args: "run good.json --yes --name october",
			hub: anAccount{start: taken, known: []hub.Execution{{Run: "october", Status: "SUCCEEDED", Started: at("08:00")}}}},
		{name: "run-lost", args: "run good.json --yes --name october",
			hub: anAccount{start: errors.New("start run october: EOF")}},
		{name: "help-run", args: "help run"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			tt.hub.t = t
			tt.hub.reach(&p)
			p.Interactive = func(io.Reader) bool { return tt.typed != "" }
			if tt.width > 0 {
				onTerminal(tt.width)(&p)
			}
			env := []string{machineEnv, "TERM=dumb"}
			if tt.noHub {
				env = nil
			}
			var c call
			t.Run("call", func(t *testing.T) {
				enter(t)
				c = run(t.Context(), p, env, tt.stdin+tt.typed, strings.Fields(tt.args)...)
			})
			text := transcript(tt.args, c)
			require.Len(t, tt.hub.started, tt.starts)
			for name, input := range tt.hub.started {
				text += "-- started as " + name + " --\n" + input + "\n"
			}
			golden.Equal(t, "script/"+tt.name+".txt", []byte(text))
		})
	}
}

// What is started is the person's input, and the hub sees the same as the command line but for who asks.
func TestRun_inNameOfTheCaller(t *testing.T) {
	for _, form := range []string{goodInput, richInput, `{"accounts":["111111111111"],"regions":["us-east-1"],"requestedBy":"somebody else","tagFilters":{"a":"<b>&c"}}`} {
		form = strings.Replace(form, "2026-12 patch!", "2026-12-patch", 1)
		h := &anAccount{t: t}
		p := program()
		h.reach(&p)
		c := run(t.Context(), p, []string{machineEnv}, form, "run", "-", "--yes", "--name", "x")
		require.Zero(t, c.code, c.stderr)
		want, err := runinput.ParseInput([]byte(form), runinput.HubDefaults())
		require.NoError(t, err)
		want.RequestedBy = ann
		got, err := runinput.ParseInput([]byte(h.started["x"]), runinput.HubDefaults())
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// The same command has the same name on the same day, another one on the next day, for another input and for another
// person.
func TestRun_names(t *testing.T) {
	name := func(day int, input, caller string) string {
		h := &anAccount{t: t}
		p := program()
		h.reach(&p)
		p.Runs = func(context.Context, hub.Machine) (cli.Runs, error) { return someoneElse{h, caller}, nil }
		p.Now = func() time.Time { return time.Date(2026, 12, day, 23, 59, 0, 0, time.UTC) }
		c := run(t.Context(), p, []string{machineEnv}, input, "run", "-", "--yes", "--format", "json")
		require.Zero(t, c.code, c.stderr)
		var out struct{ Run string }
		require.NoError(t, json.Unmarshal([]byte(c.stdout), &out))
		require.True(t, hub.IsRun(out.Run), out.Run)
		return out.Run
	}
	first := name(1, goodInput, ann)
	assert.Equal(t, first, name(1, goodInput, ann))
	long := strings.TrimSuffix(goodInput, "}") + `,"runKey":"` + strings.Repeat("a", 60) + `"}`
	for _, other := range []string{name(2, goodInput, ann), name(1, long, ann), name(1, goodInput, ann+"a")} {
		assert.NotEqual(t, first, other)
	}
}

// someoneElse is another identity in the same account.
type someoneElse struct {
	*anAccount
	arn string
}

func (s someoneElse) Caller(context.Context) (string, error) { return s.arn, nil }

func TestRun_Interrupted(t *testing.T) {
	p := program()
	(&anAccount{t: t}).reach(&p)
	p.Interactive = func(io.Reader) bool { return true }
	ctx, cancel := context.WithCancel(t.Context())
	never, hold := io.Pipe()
	t.Cleanup(func() { hold.Close() })
	enter(t)
	var stdout, stderr strings.Builder
	go cancel()
	err := p.Run(ctx, []string{"run", "good.json"}, []string{machineEnv}, never, &stdout, &stderr)
	assert.Equal(t, cli.ExitInterrupted, cli.ExitCode(err))
	assert.Contains(t, stderr.String(), "interrupted: nothing was started")
	assert.Empty(t, stdout.String())
}
