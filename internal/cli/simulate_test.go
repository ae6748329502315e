package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/check"
)

func TestSimulate_PassesItsFlagsOn(t *testing.T) {
	p := program()
	var got sim.Options
	p.Rehearse = func(o sim.Options) (*sim.Result, error) {
		got = o
		return result(o, 0), nil
	}
	enter(t)
	c := run(t.Context(), p, nil, "", "simulate", "good.json", "--seed", "9", "--fleet", "fleet.json", "--faults", "storm",
		"--approve", "timeout", "--template", "other-hub.yaml", "--progress", "quiet")
	require.NoError(t, c.err)
	assert.Equal(t, goodInput, string(got.Input))
	assert.Equal(t, patch.RunID("rehearsal-9"), got.RunID)
	assert.EqualValues(t, 9, got.Seed)
	assert.Equal(t, "{}", string(got.Fleet))
	assert.Equal(t, "storm", got.Faults)
	assert.Equal(t, sim.ApproveTimeout, got.Approve)
	assert.Equal(t, "other hub", string(got.Hub))
	assert.Equal(t, "spoke", string(got.Spoke))
}

func TestSimulate_DefaultsAreTheContract(t *testing.T) {
	p := program()
	var got sim.Options
	p.Rehearse = func(o sim.Options) (*sim.Result, error) {
		got = o
		return result(o, 0), nil
	}
	enter(t)
	require.NoError(t, run(t.Context(), p, nil, "", "simulate", "file://good.json", "--progress", "quiet").err)
	assert.EqualValues(t, 1, got.Seed)
	assert.Equal(t, 25, got.Instances)
	assert.Equal(t, "calm", got.Faults)
	assert.Equal(t, sim.ApproveAuto, got.Approve)
	assert.Equal(t, "hub", string(got.Hub))
}

func TestSimulate_TheSameSeedGivesTheSameBytes(t *testing.T) {
	enter(t)
	one := run(t.Context(), program(), nil, "", "simulate", "good.json", "--out", "a")
	slow := program()
	slow.Now() // another moment
	two := run(t.Context(), slow, nil, "", "simulate", "good.json", "--out", "a")
	assert.Equal(t, one.stdout, two.stdout)
	before, err := os.ReadFile("a/result.json")
	require.NoError(t, err)
	run(t.Context(), slow, nil, "", "simulate", "good.json", "--out", "a")
	after, err := os.ReadFile("a/result.json")
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
	assert.NotContains(t, string(before), "wallSeconds")
}

func TestSimulate_JSONIsTheContract(t *testing.T) {
	enter(t)
	c := run(t.Context(), program(), nil, "", "simulate", "good.json", "--format", "json")
	assert.Equal(t, 1, strings.Count(c.stdout, "\n"), "one object on one line")
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(c.stdout), &got))
	for _, key := range []string{
		"run", "status", "seed", "planned", "outcomes", "waves", "violations", "virtualSeconds", "idealSeconds",
		"wallSeconds", "executions",
		"maxHistoryEvents", "maxPayloadBytes", "stateTransitions", "lambdaInvocations", "apiCalls", "faults",
		"detectionDelaySeconds", "estimatedCostUSD",
		"schemaVersion", "statusReason", "excluded", "unreachable", "approvals", "cost", "files",
	} {
		assert.Contains(t, got, key)
	}
	assert.NotEqualValues(t, 99, got["wallSeconds"], "the command measures the real time")
}

func TestSimulate_WritesWholeFilesOnly(t *testing.T) {
	enter(t)
	run(t.Context(), program(), nil, "", "simulate", "good.json", "--out", "deep/er")
	entries, err := os.ReadDir("deep/er")
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.Equal(t, []string{"history.json", "report.html", "result.json"}, names)
}

// The page of a rehearsal must not pass for that of a run.
func TestSimulate_MarksItsReport(t *testing.T) {
	enter(t)
	run(t.Context(), program(), nil, "", "simulate", "good.json", "--out", "kept")
	page, err := os.ReadFile("kept/report.html")
	require.NoError(t, err)
	assert.Contains(t, string(page), "<strong>Rehearsal.</strong>")
}

// A run that leaves no report leaves none of the run before either.
func TestSimulate_RemovesAFormerReport(t *testing.T) {
	enter(t)
	run(t.Context(), program(), nil, "", "simulate", "good.json", "--out", "kept")
	require.FileExists(t, "kept/report.html")
	p := program()
	ends(func(r *sim.Result) { r.Report, r.Status, r.Files = nil, patch.RunFailed, nil })(&p)
	run(t.Context(), p, nil, "", "simulate", "good.json", "--out", "kept")
	assert.NoFileExists(t, "kept/report.html")
	assert.FileExists(t, "kept/result.json")
}

func TestSimulate_AFolderThatCannotBeWritten(t *testing.T) {
	enter(t)
	require.NoError(t, os.WriteFile("taken", nil, 0o644))
	c := run(t.Context(), program(), nil, "", "simulate", "good.json", "--out", "taken")
	assert.Equal(t, 2, c.code)
	assert.Contains(t, c.stderr, "taken: not a directory")
}

func TestSimulate_FileNamesThatLeaveTheFolder(t *testing.T) {
	p := program()
	p.Rehearse = func(o sim.Options) (*sim.Result, error) {
		res := result(o, 0)
		res.Files["../escaped"] = []byte("x")
		return res, nil
	}
	enter(t)
	assert.Equal(t, 1, run(t.Context(), p, nil, "", "simulate", "good.json").code)
	assert.NoFileExists(t, "ec2patch-out/escaped")
}

func TestSimulate_ExitCodes(t *testing.T) {
	tests := []struct {
		name   string
		change func(*sim.Result)
		want   int
	}{
		{name: "everything patched", change: func(*sim.Result) {}, want: 0},
		{name: "left out on purpose", change: exclude(outcome.Excluded), want: 0},
		{name: "appeared after the plan", change: exclude(outcome.Newcomer), want: 0},
		{name: "offline when planned", change: exclude(outcome.Offline), want: 5},
		{name: "not known to SSM", change: exclude(outcome.Unmanaged), want: 5},
		{name: "scan found missing patches", change: oneEnded(outcome.NonCompliant, patch.NoReboot), want: 5},
		{name: "not sent", change: oneEnded(outcome.NotSent, patch.RebootIfNeeded), want: 5},
		{name: "reboot due where reboots are forbidden", change: oneEnded(outcome.PatchedPendingReboot, patch.NoReboot),
			want: 0},
		{name: "reboot due as a failure", change: oneEnded(outcome.PatchedPendingReboot, patch.RebootIfNeeded), want: 5},
		{name: "account that was not reached", change: func(r *sim.Result) {
			r.Status = patch.RunIncomplete
			r.Report.Unreachable = []plan.UnreachableAccount{{Account: "222222222222"}}
		}, want: 5},
		{name: "stopped", change: func(r *sim.Result) { r.Status = patch.RunStopped }, want: 5},
		{name: "failed", change: func(r *sim.Result) { r.Status = patch.RunFailed }, want: 5},
		{name: "rejected", change: func(r *sim.Result) { r.Status = patch.RunRejected }, want: 6},
		{name: "expired", change: func(r *sim.Result) { r.Status = patch.RunExpired }, want: 6},
		{name: "rule broken in a good run", change: violate, want: 5},
		{name: "rule broken in a rejected run", change: func(r *sim.Result) {
			r.Status = patch.RunRejected
			violate(r)
		}, want: 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			ends(tt.change)(&p)
			enter(t)
			assert.Equal(t, tt.want, run(t.Context(), p, nil, "", "simulate", "good.json").code)
		})
	}
}

// oneEnded lets one instance of the last wave end otherwise, under a reboot option.
func oneEnded(o outcome.Outcome, reboot patch.RebootOption) func(*sim.Result) {
	return func(r *sim.Result) {
		w := &r.Report.Waves[len(r.Report.Waves)-1]
		w.Reboot, w.Outcomes = reboot, map[outcome.Outcome]int{outcome.Patched: w.Planned - 1, o: 1}
	}
}

func exclude(o outcome.Outcome) func(*sim.Result) {
	return func(r *sim.Result) { r.Report.Excluded = []plan.ExcludedInstance{{InstanceID: "i-1", Outcome: o}} }
}

func violate(r *sim.Result) { r.Violations = []check.Violation{{Rule: "R-01"}} }

func TestSimulate_NoEscapesInAPipe(t *testing.T) {
	enter(t)
	for _, progress := range []string{"auto", "plain", "json", "quiet"} {
		c := run(t.Context(), program(), []string{"TERM=xterm"}, "", "simulate", "good.json", "--progress", progress)
		assert.NotContains(t, c.stdout+c.stderr, "\x1b", progress)
	}
}
