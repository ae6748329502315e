package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/cli"
	"ec2patch/internal/follow"
	"ec2patch/internal/hub"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/check"
)

// warnedInput is valid, and has what a person may not mean.
const warnedInput = `{"waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"],
  "filters": {"tags": {"tag:PatchGroup": ["web,db"]}}, "commandTimeoutSeconds": 10800}]}`

const goodInput = `{"waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]}`

const badInput = `{
  "waves": [
    {"accounts": ["12345"], "regions": ["us-east-9"]}
  ]
}`

// program is a program whose rehearsals are made up and whose clock steps by
// 40 ms each time that it is read.
func program() cli.Program {
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	return cli.Program{
		Parse:    func(data []byte) (runinput.Input, error) { return runinput.ParseInput(data, runinput.HubDefaults()) },
		Rehearse: func(o sim.Options) (*sim.Result, error) { return rehearse(o) },
		RehearseSeeds: func(_ sim.Options, from, to uint64, progress func(int)) (*sim.SeedsResult, error) {
			for n := range int(to - from + 1) {
				progress(n + 1)
			}
			return &sim.SeedsResult{
				From: from, To: to, Seeds: int(to - from + 1),
				Statuses: map[patch.RunStatus]int{patch.RunSucceeded: int(to - from + 1)},
				Planned:  50, Outcomes: map[outcome.Outcome]int{outcome.Patched: 48, outcome.Failed: 2},
				Faults: map[string]int{"F-04": 3}, VirtualYears: 0.25,
				MaxHistoryEvents: 2900, MaxPayloadBytes: 9000,
			}, nil
		},
		SameMachine: func(_ []byte, deployed string) (bool, error) { return strings.HasPrefix(deployed, "ours"), nil },
		Hub:         []byte("hub"), Spoke: []byte("spoke"),
		Now: func() time.Time {
			at = at.Add(40 * time.Millisecond)
			return at
		},
		Wait: func(ctx context.Context, d time.Duration) error {
			at = at.Add(d)
			return ctx.Err()
		},
		Faults:  []string{"F-04", "F-38"},
		Version: "v1.2.3", Commit: "0123456789ab", Go: "go1.26",
		Operator: func(context.Context, string) (cli.Operator, error) {
			return nil, errors.New("this test has no hub")
		},
		Runs: func(context.Context, hub.Machine) (cli.Runs, error) {
			return nil, errors.New("this test has no hub")
		},
		Interactive: func(io.Reader) bool { return false },
		Terminal:    func(io.Writer) (int, bool) { return 0, false },
	}
}

// rehearse makes up a run of two waves, in which seed 1 has one failure, and
// tells its progress.
func rehearse(o sim.Options) (*sim.Result, error) {
	bad := 0
	if o.Seed == 1 {
		bad = 1
	}
	tell := func(p follow.Progress) {
		if o.Progress != nil {
			o.Progress(p)
		}
	}
	canary := follow.Wave{Name: "canary", Planned: 2, Accounts: follow.Accounts{Total: 1}}
	main := follow.Wave{Name: "main", Planned: 4, Accounts: follow.Accounts{Total: 2}}
	tell(follow.Progress{Phase: "planning"})
	waves := func() []follow.Wave { return []follow.Wave{canary, main} }
	tell(follow.Progress{Elapsed: 30 * time.Second, Phase: "waiting for approval", Waves: waves(),
		Played: follow.Played{Approval: "asked"}})
	tell(follow.Progress{Elapsed: 90 * time.Second, Phase: "patching", Wave: "canary", Waves: waves()})
	canary.InFlight = 2
	tell(follow.Progress{Elapsed: 95 * time.Second, Phase: "patching", Wave: "canary", Waves: waves()})
	canary.InFlight, canary.Accounts.Done, canary.Verdict = 0, 1, patch.VerdictGood
	canary.Outcomes = map[outcome.Outcome]int{outcome.Patched: 2}
	tell(follow.Progress{Elapsed: 10 * time.Minute, Phase: "patching", Wave: "main", Waves: waves()})
	main.Outcomes = map[outcome.Outcome]int{outcome.Patched: 4 - bad, outcome.Failed: bad}
	main.Accounts.Done, main.Verdict = 2, patch.VerdictGood
	tell(follow.Progress{Elapsed: 35 * time.Minute, Phase: "done", Waves: waves()})
	return result(o, bad), nil
}

func result(o sim.Options, bad int) *sim.Result {
	start := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	r := &report.Report{SchemaVersion: 1, Run: o.RunID, Status: patch.RunSucceeded, PlanDigest: strings.Repeat("ab", 32),
		Started: start, Ended: start.Add(35 * time.Minute)}
	outcomes := map[outcome.Outcome]int{}
	for n := range 6 {
		i := outcome.InstanceReport{InstanceID: patch.InstanceID(fmt.Sprintf("i-%017x", n)), Account: "111111111111",
			Region: "us-east-1", Wave: "main", Platform: patch.Linux, Outcome: outcome.Patched}
		if n < 2 {
			i.Wave = "canary"
		}
		if n == 5 && bad > 0 {
			i.Outcome, i.Reason = outcome.Failed, "the command failed (exit status 1)"
		}
		outcomes[i.Outcome]++
		r.Instances = append(r.Instances, i)
	}
	r.Waves = []report.WaveReport{
		wave("canary", map[outcome.Outcome]int{outcome.Patched: 2}),
		wave("main", map[outcome.Outcome]int{outcome.Patched: 4 - bad, outcome.Failed: bad}),
	}
	r.Totals = report.Totals{Planned: 6, Good: 6 - bad, Failures: bad, Outcomes: outcomes}
	var html bytes.Buffer
	if err := report.HTML(&html, r); err != nil {
		panic(err)
	}
	return &sim.Result{
		Run: o.RunID, Status: r.Status, Seed: o.Seed, Planned: 6, Outcomes: outcomes, Waves: r.Waves,
		Violations:     []check.Violation{},
		VirtualSeconds: 2100, IdealSeconds: 1800, WallSeconds: 99, Executions: 4, MaxHistoryEvents: 310,
		MaxPayloadBytes: 4096, StateTransitions: 240,
		LambdaInvocations: 66, APICalls: map[string]int{"ssm:SendCommand": 3, "ssm:ListCommands": 41},
		Faults:                map[string]int{},
		DetectionDelaySeconds: sim.Quantiles{P50: 6, P95: 14, Max: 15}, EstimatedCostUSD: 0.0171,
		Report: r, Files: map[string][]byte{"report.html": html.Bytes(), "history.json": []byte("[]\n")},
		Cost: []sim.CostItem{{Name: "Step Functions state transitions", Quantity: 240, Unit: "transitions", USD: 0.006}},
	}
}

func wave(name string, m map[outcome.Outcome]int) report.WaveReport {
	n := 0
	for _, k := range m {
		n += k
	}
	return report.WaveReport{
		Name: name, Verdict: patch.VerdictGood, Planned: n, Outcomes: m,
		Accounts: []report.AccountReport{{Account: "111111111111", Planned: n, Outcomes: m}},
	}
}

// call is one command line in a folder of its own and what came of it.
type call struct {
	stdout, stderr string
	code           int
	err            error
}

func run(ctx context.Context, p cli.Program, env []string, stdin string, args ...string) call {
	var stdout, stderr bytes.Buffer
	err := p.Run(ctx, args, env, strings.NewReader(stdin), &stdout, &stderr)
	return call{stdout: stdout.String(), stderr: stderr.String(), code: cli.ExitCode(err), err: err}
}

// enter changes to an empty folder with the inputs that the tests name.
func enter(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"good.json": goodInput, "bad.json": badInput, "fleet.json": "{}", "real-fleet.json": `{"accounts": {"111111111111": {"regions": {}}}}`, "empty.json": "\n", "other-hub.yaml": "other hub"} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
}
