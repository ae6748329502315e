package cli_test

import (
	"bytes"
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
	"ec2patch/internal/follow"
	"ec2patch/internal/golden"
	"ec2patch/internal/hub"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim"
)

// story is the history of a run of two waves, in the looks that a watch has of it.
func story(t *testing.T, told string, end follow.Event) [][]follow.Event {
	t.Helper()
	var all []follow.Event
	var looks [][]follow.Event
	add := func(clock string, events ...follow.Event) {
		for _, e := range events {
			e.ID, e.At = int64(len(all)+1), at(clock)
			all = append(all, e)
		}
		looks = append(looks, append([]follow.Event{}, all...))
	}
	enter := func(state, data string) follow.Event {
		return follow.Event{Type: "TaskStateEntered", State: state, Data: data}
	}
	leave := func(state, data string) follow.Event {
		return follow.Event{Type: "TaskStateExited", State: state, Data: data}
	}
	judge := func(payload string) follow.Event {
		return follow.Event{Type: "TaskSucceeded", Data: `{"Payload":` + payload + `}`}
	}
	add("00:00", follow.Event{Type: "ExecutionStarted"}, enter("PlanRun", "{}"))
	add("00:01", leave("PlanRun", `{"bucket":"data"}`), enter("DiscoverAccounts", "{}"), follow.Event{Type: "MapRunStarted", MapRun: "arn:discover"})
	add("00:02", enter("FreezePlan", "{}"), leave("FreezePlan", `{"waves":[{"name":"canary"},{"name":"main"}]}`),
		enter("RequestApproval", `{"ask":{"scope":"run"},"wave":{"name":"canary"}}`), follow.Event{Type: "TaskSubmitted", Data: told})
	add("00:02")
	add("00:03", leave("SettleApproval", `{"ask":{"scope":"run","status":"approved"}}`),
		enter("PatchAccounts", `{"wave":{"name":"canary"}}`), follow.Event{Type: "MapRunStarted", MapRun: "arn:canary"})
	for range 6 {
		add("00:04")
	}
	add("00:05", enter("JudgeWave", `{"wave":{"name":"canary"}}`), judge(`{"next":"wait","seconds":600,"verdict":""}`))
	add("00:06", enter("JudgeWave", `{"wave":{"name":"canary"}}`), judge(`{"next":"wait","seconds":900,"verdict":"good"}`))
	add("00:07", enter("PatchAccounts", `{"wave":{"name":"main"}}`), follow.Event{Type: "MapRunStarted", MapRun: "arn:main"})
	add("00:08", enter("JudgeWave", `{"wave":{"name":"main"}}`), judge(`{"next":"next","verdict":"good"}`), enter("WriteReport", "{}"))
	add("00:09", end)
	return looks
}

func succeeded() follow.Event { return follow.Event{Type: "ExecutionSucceeded"} }

// reported is the report of the made-up run in the bucket.
func reported(t *testing.T, seed uint64, change func(*report.Report)) map[string]string {
	t.Helper()
	bad := 0
	if seed == 1 {
		bad = 1
	}
	r := result(sim.Options{Seed: seed, RunID: "october"}, bad).Report
	if change != nil {
		change(r)
	}
	data, err := json.Marshal(r)
	require.NoError(t, err)
	return map[string]string{"data/october/json": string(data), "data/october/csv": "instance_id\ni-1\n",
		"data/october/html": "<!doctype html>\n"}
}

func TestWatch(t *testing.T) {
	const submitted, unheard = `{"Payload":{}}`, `{"Payload":{"told":false}}`
	good, some := reported(t, 2, nil), reported(t, 1, nil)
	stopped := func(status patch.RunStatus) map[string]string {
		return reported(t, 2, func(r *report.Report) { r.Status, r.StatusReason = status, "somebody said so" })
	}
	older := reported(t, 2, func(r *report.Report) {
		r.Started, r.Ended = at("00:00").AddDate(0, -4, 0), at("01:00").AddDate(0, -4, 0)
	})
	failed := follow.Event{Type: "ExecutionFailed", Error: "Patch.Rejected", Cause: "Rejected: see the report"}
	begun := story(t, submitted, succeeded())[:5]
	tests := []struct {
		name  string
		args  string
		hub   anAccount
		width int
	}{
		{name: "watch", args: "watch october", hub: anAccount{looks: story(t, submitted, succeeded()), reports: good}},
		{name: "watch-failures", args: "watch october --progress quiet",
			hub: anAccount{looks: story(t, submitted, succeeded()), reports: some}},
		{name: "watch-unheard-quiet", args: "watch october --progress quiet",
			hub: anAccount{looks: story(t, unheard, succeeded()), reports: good}},
		{name: "watch-json", args: "watch october --format json --progress json",
			hub: anAccount{looks: story(t, submitted, succeeded()), reports: some}},
		{name: "watch-terminal-60", args: "watch october --format json", width: 60,
			hub: anAccount{looks: story(t, unheard, succeeded()), reports: good}},
		{name: "watch-arn", args: "watch arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:october " +
			"--progress quiet --format json",
			hub: anAccount{looks: story(t, submitted, failed), reports: stopped(patch.RunRejected)}},
		{name: "watch-stopped", args: "watch october --progress quiet",
			hub: anAccount{looks: story(t, submitted, follow.Event{Type: "ExecutionAborted"}),
				reports: stopped(patch.RunAborted)}},
		{name: "watch-no-report", args: "watch october --progress quiet",
			hub: anAccount{looks: story(t, submitted, follow.Event{Type: "ExecutionAborted", Cause: "the console"})}},
		{name: "watch-no-report-json", args: "watch october --progress quiet --format json",
			hub: anAccount{looks: story(t, submitted, follow.Event{Type: "ExecutionTimedOut"})}},
		{name: "watch-report-denied", args: "watch october --progress quiet",
			hub: anAccount{looks: story(t, submitted, succeeded())}},
		{name: "watch-nothing-matched", args: "watch october --progress quiet",
			hub: anAccount{looks: story(t, submitted, succeeded()), reports: reported(t, 2, func(r *report.Report) {
				r.Totals = report.Totals{Outcomes: map[outcome.Outcome]int{}}
			})}},
		{name: "watch-timeout", args: "watch october --timeout 5m", hub: anAccount{looks: begun}},
		{name: "watch-refused-input", args: "watch october --progress quiet", hub: anAccount{looks: [][]follow.Event{{
			{ID: 1, At: at("00:00"), Type: "ExecutionStarted"},
			{ID: 2, At: at("00:00"), Type: "ExecutionFailed", Error: "Patch.Refused", Cause: "Refused: waves: missing"},
		}}}},
		{name: "watch-older-report", args: "watch october --progress quiet --bucket data",
			hub: anAccount{reports: older, looks: [][]follow.Event{{
				{ID: 1, At: at("00:00"), Type: "ExecutionStarted"},
				{ID: 2, At: at("00:00"), Type: "ExecutionFailed", Error: "Patch.Refused",
					Cause: "Patch.InvalidInput: a run of the name october started at 2026-08-01T00:00:00Z"},
			}}}},
		{name: "watch-older-report-json", args: "watch october --progress quiet --format json",
			hub: anAccount{looks: story(t, submitted, follow.Event{Type: "ExecutionAborted"}), reports: older}},
		{name: "watch-nothing-seen", args: "watch october --timeout 5m", hub: anAccount{looks: [][]follow.Event{{}}}},
		{name: "watch-never-reached", args: "watch october --timeout 20s --state-machine " + machineARN,
			hub: anAccount{missed: errors.New("read the history of run october: no answer from " +
				"states.us-east-1.amazonaws.com: connection refused")}},
		{name: "watch-never-reached-60", args: "watch october --timeout 20s", width: 60,
			hub: anAccount{missed: errors.New("read the history of run october: connection refused")}},
		{name: "watch-timeout-elsewhere", args: "watch october --timeout 5m --state-machine " + machineARN,
			hub: anAccount{looks: begun}},
		{name: "watch-unknown", args: "watch october"},
		{name: "watch-bad-name", args: "watch a.b"},
		{name: "watch-other-hub", args: "watch " +
			"arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:october " +
			"--state-machine arn:aws:states:us-east-1:999999999999:stateMachine:other"},
		{name: "watch-nothing", args: "watch"},
		{name: "run-wait", args: "run good.json --yes --name october --wait --progress quiet",
			hub: anAccount{looks: story(t, submitted, succeeded()), reports: some}},
		{name: "run-wait-json", args: "run good.json --yes --name october --wait --progress quiet --format json",
			hub: anAccount{looks: story(t, submitted, succeeded()), reports: good}},
		{name: "run-timeout-alone", args: "run good.json --yes --timeout 5m"},
		{name: "help-watch", args: "help watch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			tt.hub.t = t
			tt.hub.reach(&p)
			env := []string{machineEnv, "NO_COLOR=1"}
			if tt.width > 0 {
				onTerminal(tt.width)(&p)
				env = append(env, "LANG=C.UTF-8", "TERM=xterm")
			}
			var c call
			t.Run("call", func(t *testing.T) {
				enter(t)
				c = run(t.Context(), p, env, "", strings.Fields(tt.args)...)
			})
			golden.Equal(t, "script/"+tt.name+".txt", []byte(transcript(tt.args, c)))
		})
	}
}

// The exit code says how a run ended.
func TestWatch_exitCodes(t *testing.T) {
	for status, want := range map[patch.RunStatus]int{
		patch.RunSucceeded: 0, patch.RunIncomplete: 5, patch.RunStopped: 5, patch.RunFailed: 5, patch.RunAborted: 5,
		patch.RunRejected: 6, patch.RunExpired: 6,
	} {
		h := &anAccount{t: t, looks: story(t, "{}", succeeded()), reports: reported(t, 2, func(r *report.Report) {
			r.Status = status
		})}
		p := program()
		h.reach(&p)
		c := run(t.Context(), p, []string{machineEnv}, "", "watch", "october")
		assert.Equal(t, want, c.code, status)
	}
}

// A run that did not succeed ends well for nobody, whatever stands in the bucket.
func TestWatch_notSucceeded(t *testing.T) {
	for _, end := range []string{"ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"} {
		h := &anAccount{t: t, looks: story(t, "{}", follow.Event{Type: end, Cause: "the last state"}),
			reports: reported(t, 2, nil)}
		p := program()
		h.reach(&p)
		c := run(t.Context(), p, []string{machineEnv}, "", "watch", "october", "--progress", "quiet")
		assert.Equal(t, cli.ExitNotPatched, c.code, end)
		assert.Contains(t, c.stderr, ", after its report was written: the last state", end)
	}
}

// flaky fails some looks.
type flaky struct {
	*anAccount
	fails int
	err   error
	tries int

	sometimes bool // every other look
}

func (f *flaky) Events(ctx context.Context, run string, after int64) ([]follow.Event, error) {
	f.tries++
	if f.tries > 3 && f.fails > 0 && (!f.sometimes || f.tries%2 == 0) {
		f.fails--
		return nil, f.err
	}
	return f.anAccount.Events(ctx, run, after)
}

var errSometimes = errors.New("connection reset")

func TestWatch_network(t *testing.T) {
	tests := []struct {
		name  string
		fails int
		err   error
		code  int
	}{
		{"throttled for a while", 20, fmt.Errorf("x: %w", hub.ErrBusy), 0},
		{"no network for a while", 39, errors.New("no route to host"), 0},
		{"a bad network all day", 45, errSometimes, 0},
		{"no network for long", 1000, errors.New("no route to host"), 1},
		{"credentials ended", 1, fmt.Errorf("x: %w: ExpiredToken", hub.ErrNoCredentials), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &flaky{anAccount: &anAccount{t: t, looks: story(t, "{}", succeeded()), reports: reported(t, 2, nil)},
				fails: tt.fails, err: tt.err, sometimes: errors.Is(tt.err, errSometimes)}
			h.looks = append(slices.Repeat(h.looks[:1], 100), h.looks...) // long enough
			p := program()
			p.Runs = func(context.Context, hub.Machine) (cli.Runs, error) { return h, nil }
			c := run(t.Context(), p, []string{machineEnv}, "", "watch", "october")
			assert.Equal(t, tt.code, c.code, c.stderr)
		})
	}
}

func TestWatch_Interrupted(t *testing.T) {
	h := &anAccount{t: t, looks: story(t, "{}", succeeded())[:4]}
	p := program()
	h.reach(&p)
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	p.Wait = func(ctx context.Context, _ time.Duration) error {
		if looks++; looks == 3 {
			cancel()
		}
		return ctx.Err()
	}
	var stdout, stderr bytes.Buffer
	err := p.Run(ctx, []string{"watch", "october"}, []string{machineEnv}, io.NopCloser(&stdout), &stdout, &stderr)
	assert.Equal(t, cli.ExitInterrupted, cli.ExitCode(err))
	assert.Contains(t, stderr.String(), "interrupted: the run continues; ec2patch watch october")
	assert.Empty(t, stdout.String())
}
