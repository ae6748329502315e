package runinput_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

func parse(t require.TestingT, input string) runinput.Input {
	in, err := runinput.ParseInput([]byte(input), runinput.HubDefaults())
	require.NoError(t, err, input)
	return in
}

func share(percent int) patch.Threshold { return patch.Threshold{Value: percent, Percent: true} }

// smallest is what the smallest input means.
func smallest() runinput.Input {
	return runinput.Input{
		Waves: []runinput.Wave{{
			Name:     "wave-1",
			Accounts: []patch.AccountID{"111111111111"},
			Regions:  []patch.Region{"us-east-1"},
			Filters: runinput.Filters{
				Tags:      map[string][]string{"PatchGroup": {"default"}},
				Platforms: []patch.Platform{patch.Linux, patch.Windows},
			},
			SSM: runinput.SSM{
				MaxConcurrency: share(10), MaxErrors: share(1),
				Operation: patch.Install, RebootOption: patch.RebootIfNeeded,
			},
			MaxConcurrentAccounts: 5,
			CommandTimeoutSeconds: 7200,
			Budget: runinput.WaveBudget{MaxFailedInstances: share(10), MaxFailedAccounts: share(25),
				PerAccount: share(10)},
			SlowStart: true,
		}},
		Approval:               runinput.ApproveOnce,
		ApprovalTimeoutSeconds: 14400,
		RequireDistinct:        1,
		OnUnreachable:          "continue",
		Budget:                 runinput.RunBudget{MaxFailedInstances: share(10)},
		Guards:                 runinput.Guards{MaxShare: share(100), MaxGrowth: share(100)},
	}
}

// Each case is the smallest input and what one more field changes.
func TestParseInput_meaning(t *testing.T) {
	tests := []struct {
		name, input string
		change      func(in *runinput.Input, w *runinput.Wave)
	}{
		{"nothing but defaults", run(""), func(*runinput.Input, *runinput.Wave) {}},
		{"$schema is ignored", run(`,"$schema":"../x.json"`), func(*runinput.Input, *runinput.Wave) {}},
		{"empty texts and lists mean nothing",
			`{"runKey":"","reason":"","requestedBy":"","resume":"","waves":[{"organizationalUnits":[],
			"accounts":["111111111111"],"regions":["us-east-1"],"filters":{"instanceIds":[]},"healthGate":{"alarms":[]}}]}`,
			func(*runinput.Input, *runinput.Wave) {}},
		{"accountWaves is waves", `{"accountWaves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`,
			func(*runinput.Input, *runinput.Wave) {}},
		{"flat form", `{"accounts":["111111111111"],"regions":["us-east-1"]}`,
			func(*runinput.Input, *runinput.Wave) {}},
		{"flat form in full", `{"waveId":"east","dryRun":false,"accounts":["111111111111"],"regions":["us-east-1"],
			"tagFilters":{"A":"1","B":""},"instanceIds":[],"approvalRequired":false}`,
			func(in *runinput.Input, w *runinput.Wave) {
				in.Approval, w.Name = runinput.ApproveNone, "east"
				w.Filters.Tags = map[string][]string{"A": {"1"}, "B": {""}}
			}},
		{"flat form for every instance", `{"accounts":["111111111111"],"regions":["us-east-1"],"tagFilters":{}}`,
			func(_ *runinput.Input, w *runinput.Wave) { w.Filters.Tags = map[string][]string{} }},
		{"flat form with instances",
			`{"accounts":["111111111111"],"regions":["us-east-1"],"tagFilters":{"A":"1"},"instanceIds":["i-01234567"]}`,
			func(_ *runinput.Input, w *runinput.Wave) {
				w.Filters.Tags, w.Filters.InstanceIDs = map[string][]string{}, []patch.InstanceID{"i-01234567"}
			}},
		{"flat form with fields of the run",
			`{"accounts":["111111111111"],"regions":["us-east-1"],"runKey":"k","budget":{"maxFailedInstances":"0"}}`,
			func(in *runinput.Input, _ *runinput.Wave) {
				in.RunKey, in.Budget.MaxFailedInstances = "k", patch.Threshold{}
			}},
		{"no approval required", run(`,"approvalRequired":false`), func(in *runinput.Input, _ *runinput.Wave) {
			in.Approval = runinput.ApproveNone
		}},
		{"approval required", run(`,"approvalRequired":true`), func(*runinput.Input, *runinput.Wave) {}},
		{"approval for each wave", run(`,"approval":"perWave"`), func(in *runinput.Input, _ *runinput.Wave) {
			in.Approval = runinput.ApprovePerWave
		}},
		{"dry run", run(`,"dryRun":true`), func(in *runinput.Input, w *runinput.Wave) {
			in.DryRun, w.SSM.Operation, w.SSM.RebootOption = true, patch.Scan, patch.NoReboot
		}},
		{"dry run overrides the wave",
			`{"dryRun":true,"waves":[{"accounts":["111111111111"],"regions":["us-east-1"],"ssm":{"operation":"Install","rebootOption":"RebootIfNeeded"}}]}`,
			func(in *runinput.Input, w *runinput.Wave) {
				in.DryRun, w.SSM.Operation, w.SSM.RebootOption = true, patch.Scan, patch.NoReboot
			}},
		{"a scan never reboots", wave(`,"ssm":{"operation":"Scan","rebootOption":"RebootIfNeeded"}`),
			func(_ *runinput.Input, w *runinput.Wave) {
				w.SSM.Operation, w.SSM.RebootOption = patch.Scan, patch.NoReboot
			}},
		{"every instance", wave(`,"filters":{"tags":{}}`), func(_ *runinput.Input, w *runinput.Wave) {
			w.Filters.Tags = map[string][]string{}
		}},
		{"instances replace tags", wave(`,"filters":{"tags":{"A":["1"]},"instanceIds":["i-0123456789abcdef0"]}`),
			func(_ *runinput.Input, w *runinput.Wave) {
				w.Filters.Tags, w.Filters.InstanceIDs = map[string][]string{}, []patch.InstanceID{"i-0123456789abcdef0"}
			}},
		{"other tags replace the default", wave(`,"filters":{"tags":{"Env":["a","b"]}}`),
			func(_ *runinput.Input, w *runinput.Wave) { w.Filters.Tags = map[string][]string{"Env": {"a", "b"}} }},
		{"one platform", wave(`,"filters":{"platforms":["MacOS"]}`), func(_ *runinput.Input, w *runinput.Wave) {
			w.Filters.Platforms = []patch.Platform{patch.MacOS}
		}},
		{"only organizational units",
			`{"waves":[{"organizationalUnits":["ou-ab12-cdef3456","r-ab12"],"regions":["us-east-1"]}]}`,
			func(_ *runinput.Input, w *runinput.Wave) {
				w.Accounts, w.OrganizationalUnits = []patch.AccountID{}, []string{"ou-ab12-cdef3456", "r-ab12"}
			}},
		{"a first wave that starts at once", wave(`,"slowStart":false`), func(_ *runinput.Input, w *runinput.Wave) {
			w.SlowStart = false
		}},
		{"a wave that may be empty", wave(`,"allowEmpty":true`), func(_ *runinput.Input, w *runinput.Wave) {
			w.AllowEmpty = true
		}},
		{"a key of a time", run(`,"runKey":"2026-12-patch:2026-12-08T02:00:00Z"`),
			func(in *runinput.Input, _ *runinput.Wave) { in.RunKey = "2026-12-patch:2026-12-08T02:00:00Z" }},
		{"a key of a time to come", run(`,"runKey":"2026-12-patch:<aws.scheduler.scheduled-time>"`),
			func(in *runinput.Input, _ *runinput.Wave) { in.RunKey = "2026-12-patch:<aws.scheduler.scheduled-time>" }},
		{"old warnings are forgotten", run(`,"warnings":["the sky is falling"]`),
			func(*runinput.Input, *runinput.Wave) {}},
		{"the given order stays",
			`{"waves":[{"accounts":["222222222222","111111111111"],"regions":["us-west-2","us-east-1"]}]}`,
			func(_ *runinput.Input, w *runinput.Wave) {
				w.Accounts, w.Regions = []patch.AccountID{"222222222222", "111111111111"},
					[]patch.Region{"us-west-2", "us-east-1"}
			}},
		{"the longest and the shortest",
			run(
				`,"approvalTimeoutSeconds":604800,"wavePauseSeconds":604800,"requireDistinct":2,"guards":{"maxInstances":10000000,"maxGrowth":"0%"}`),
			func(in *runinput.Input, _ *runinput.Wave) {
				in.ApprovalTimeoutSeconds, in.WavePauseSeconds, in.RequireDistinct = 604800, 604800, 2
				in.Guards.MaxInstances, in.Guards.MaxGrowth = 10000000, share(0)
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := smallest()
			test.change(&want, &want.Waves[0])
			assert.Equal(t, want, parse(t, test.input))
		})
	}
}

func TestParseInput_hubParameters(t *testing.T) {
	d := runinput.Defaults{
		MaxConcurrency: patch.Threshold{Value: 7}, MaxErrors: share(3),
		MaxConcurrentAccounts: 11, CommandTimeoutSeconds: 600, ApprovalTimeoutSeconds: 900,
	}
	want := smallest()
	want.ApprovalTimeoutSeconds = 900
	w := &want.Waves[0]
	w.SSM.MaxConcurrency, w.SSM.MaxErrors = d.MaxConcurrency, d.MaxErrors
	w.MaxConcurrentAccounts, w.CommandTimeoutSeconds = 11, 600
	got, err := runinput.ParseInput([]byte(run("")), d)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestParseInput_oneTargetInTwoWaves(t *testing.T) {
	in := parse(t,
		`{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]},{"accounts":["111111111111"],"regions":["us-east-1"]}]}`)
	assert.Equal(t, "wave-1", in.Waves[0].Name)
	assert.Equal(t, "wave-2", in.Waves[1].Name)
}

func TestParseInput_roundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInput(rt)
		data, err := json.Marshal(in)
		require.NoError(rt, err)
		got, err := runinput.ParseInput(data, runinput.HubDefaults())
		require.NoError(rt, err, string(data))
		require.LessOrEqual(rt, len(got.Warnings), runinput.MaxWarnings+1)
		again, err := json.Marshal(got)
		require.NoError(rt, err)
		same, err := runinput.ParseInput(again, runinput.HubDefaults())
		require.NoError(rt, err, string(again))
		require.Equal(rt, got, same, "what was warned of is warned of again")
		got.Warnings = nil
		require.Equal(rt, in, got)
	})
}

// drawInput draws a normalised input.
func drawInput(t *rapid.T) runinput.Input {
	in := runinput.Input{
		RunKey: rapid.StringMatching(
			`[A-Za-z0-9_:-]{0,64}|[A-Za-z0-9_:-]{0,44}<aws\.scheduler\.(scheduled-time|execution-id)>`).Draw(t,
			"runKey"),
		RequestedBy:      rapid.StringMatching(`[ -~äß漢😀<>&]{0,50}`).Draw(t, "requestedBy"),
		Reason:           rapid.StringMatching(`[ -~äß漢😀<>&]{0,50}`).Draw(t, "reason"),
		WavePauseSeconds: rapid.IntRange(0, runinput.MaxWavePauseSeconds).Draw(t, "pause"),
		AbortOnIssues:    rapid.Bool().Draw(t, "abort"),
		Approval: rapid.SampledFrom([]runinput.ApprovalMode{runinput.ApproveOnce, runinput.ApprovePerWave,
			runinput.ApproveNone}).Draw(t, "approval"),
		ApprovalTimeoutSeconds: rapid.IntRange(runinput.MinApprovalTimeoutSeconds,
			runinput.MaxApprovalTimeoutSeconds).Draw(t, "approvalTimeout"),
		RequireDistinct: rapid.IntRange(1, 2).Draw(t, "distinct"),
		DryRun:          rapid.Bool().Draw(t, "dryRun"),
		OnUnreachable: rapid.SampledFrom([]string{runinput.UnreachableContinue, runinput.UnreachableStop}).Draw(t,
			"unreachable"),
		Budget: runinput.RunBudget{MaxFailedInstances: drawThreshold(t, 0)},
		Guards: runinput.Guards{MaxInstances: rapid.IntRange(0, runinput.MaxGuardInstances).Draw(t, "max"),
			MaxShare: drawThreshold(t, 1), MaxGrowth: drawThreshold(t, 0)},
		StartedBy: rapid.StringMatching(`[ -~]{0,50}`).Draw(t, "startedBy"),
		Resume:    patch.RunID(rapid.StringMatching(`[A-Za-z0-9_-]{0,80}`).Draw(t, "resume")),
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "waves") {
		w := drawWave(t)
		w.Name = fmt.Sprintf("%s%d", w.Name, i)
		if in.DryRun {
			w.SSM.Operation = patch.Scan
		}
		if w.SSM.Operation == patch.Scan {
			w.SSM.RebootOption = patch.NoReboot
		}
		in.Waves = append(in.Waves, w)
	}
	return in
}

func drawWave(t *rapid.T) runinput.Wave {
	pattern := rapid.StringMatching
	w := runinput.Wave{
		Name:     pattern(`[A-Za-z0-9][A-Za-z0-9_-]{0,38}`).Draw(t, "name"),
		Accounts: drawSet[patch.AccountID](t, `[0-9]{12}`, 1, 8),
		Regions:  rapid.SliceOfNDistinct(rapid.SampledFrom(patch.Regions()[:34]), 1, 20, rapid.ID).Draw(t, "regions"),
		Filters: runinput.Filters{
			Tags: rapid.MapOfN(pattern(`[ -~é]{1,30}`), rapid.SliceOfNDistinct(pattern(`[ -)+->@-[\]-~é]{0,30}`), 1, 5,
				rapid.ID), 0, 4).Draw(t, "tags"),
			Platforms: rapid.SliceOfNDistinct(rapid.SampledFrom([]patch.Platform{patch.Linux, patch.Windows,
				patch.MacOS}),
				1, 3, rapid.ID).Draw(t, "platforms"),
		},
		SSM: runinput.SSM{
			MaxConcurrency: drawThreshold(t, 1), MaxErrors: drawThreshold(t, 0),
			Operation: rapid.SampledFrom([]patch.Operation{patch.Install, patch.Scan}).Draw(t, "operation"),
			RebootOption: rapid.SampledFrom([]patch.RebootOption{patch.RebootIfNeeded, patch.NoReboot}).Draw(t,
				"reboot"),
		},
		MaxConcurrentAccounts: rapid.IntRange(1, runinput.MaxConcurrentAccountsLimit).Draw(t, "atOnce"),
		CommandTimeoutSeconds: rapid.IntRange(runinput.MinCommandTimeoutSeconds,
			runinput.MaxCommandTimeoutSeconds).Draw(t, "timeout"),
		Budget: runinput.WaveBudget{MaxFailedInstances: drawThreshold(t, 0), MaxFailedAccounts: drawThreshold(t, 0),
			PerAccount: drawThreshold(t, 0)},
		HealthGate: runinput.HealthGate{SoakSeconds: rapid.IntRange(0, runinput.MaxSoakSeconds).Draw(t, "soak")},
		SlowStart:  rapid.Bool().Draw(t, "slowStart"),
		AllowEmpty: rapid.Bool().Draw(t, "allowEmpty"),
	}
	if rapid.Bool().Draw(t, "named") {
		w.Filters.Tags = map[string][]string{}
		w.Filters.InstanceIDs = drawSet[patch.InstanceID](t, `i-([0-9a-f]{8}|[0-9a-f]{17})`, 1, 8)
	}
	if rapid.Bool().Draw(t, "gated") {
		w.HealthGate.Alarms = drawSet[string](t, `arn:aws:cloudwatch:us-east-1:[0-9]{12}:alarm:[ -~]{1,50}`, 1, 4)
	}
	if rapid.Bool().Draw(t, "units") {
		w.OrganizationalUnits = drawSet[string](t, `ou-[0-9a-z]{4,8}-[0-9a-z]{8,12}|r-[0-9a-z]{4,8}`, 1, 4)
	}
	return w
}

func drawSet[T ~string](t *rapid.T, pattern string, low, high int) []T {
	of := rapid.Map(rapid.StringMatching(pattern), func(s string) T { return T(s) })
	return rapid.SliceOfNDistinct(of, low, high, rapid.ID).Draw(t, pattern)
}

func drawThreshold(t *rapid.T, low int) patch.Threshold {
	if rapid.Bool().Draw(t, "percent") {
		return share(rapid.IntRange(low, 100).Draw(t, "share"))
	}
	return patch.Threshold{Value: rapid.IntRange(low, 9999999).Draw(t, "number")}
}

// FuzzParseInput looks for a panic, a refusal without a problem, and a result
// that is not valid input with the same meaning.
func FuzzParseInput(f *testing.F) {
	for _, seed := range []string{run(""), wave(`,"ssm":{"maxErrors":"101%"}`),
		`{"accounts":["111111111111"],"regions":["us-east-1"],"tagFilters":{"K":"v"}}`, `{"waves":[{},null,[[]]]}`,
		`{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	files, err := filepath.Glob("../../examples/*-inputs/*.json")
	require.NoError(f, err)
	for _, file := range append(files, "testdata/hostile.json") {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := runinput.ParseInput(data, runinput.HubDefaults())
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if findings := validateSchema(t, data); len(findings) > 0 {
			t.Errorf("ParseInput takes what the schema refuses: %v", findings)
		}
		full, err := json.Marshal(in)
		require.NoError(t, err)
		again, err := runinput.ParseInput(full, runinput.HubDefaults())
		require.NoError(t, err, string(full))
		require.Equal(t, in, again)
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	ps, ok := err.(runinput.Problems)
	if !ok || len(ps) == 0 {
		t.Fatalf("ParseInput refuses without a problem: %v", err)
	}
	for _, p := range ps {
		if p.Rule == "" || p.Path == "" || p.Message == "" || p.Remedy == "" || p.Line < 1 || p.Column < 1 {
			t.Errorf("the problem %+v does not say all", p)
		}
	}
}
