package sim

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/fleetfile"
)

// Many rehearsals say which of them ended how.
func TestRunSeeds_endings(t *testing.T) {
	o := options(t, `{"waves":[{"name":"a","accounts":["`+first+`"],"regions":["`+region+`"],"budget":{"maxFailedInstances":"0"}},
		{"name":"b","accounts":["`+second+`"],"regions":["`+region+`"]}],"approval":"none"}`)
	o.Instances, o.Faults = 10, "light"
	res, err := RunSeeds(o, 3, 8, nil)
	require.NoError(t, err)
	var all []uint64
	for status, seeds := range res.Ended {
		assert.Len(t, seeds, res.Statuses[status], "%s", status)
		assert.IsIncreasing(t, append([]uint64{0}, seeds...))
		all = append(all, seeds...)
	}
	assert.ElementsMatch(t, []uint64{3, 4, 5, 6, 7, 8}, all)
}

// Every input that we show to people runs to a good end, and keeps all rules.
func TestRun_examples(t *testing.T) {
	for _, file := range exampleFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := options(t, string(read(t, file)))
			o.Instances = 25
			res := rehearse(t, o)
			assert.Contains(t, []patch.RunStatus{patch.RunSucceeded, patch.RunCompleted}, res.Status, "%s",
				res.Report.StatusReason)
			assert.Zero(t, res.Outcomes[outcome.NotSent])
			assert.Empty(t, res.Violations, replay(file, o))
			assert.Positive(t, res.Planned)
			assert.Positive(t, res.Outcomes[outcome.Patched]+res.Outcomes[outcome.NonCompliant])
			assert.Positive(t, res.DetectionDelaySeconds.Max)
			assert.LessOrEqual(t, res.MaxPayloadBytes, 16<<10)
			for _, form := range []string{"report.json", "report.csv", "report.html", "history.json"} {
				assert.NotEmpty(t, res.Files[form], form)
			}
		})
	}
}

// The same seed gives the same bytes, on one thread and on many, under faults too.
func TestRun_sameSeedSameBytes(t *testing.T) {
	o := options(t, string(read(t, "examples", "run-inputs", "multi-wave-staggered.json")))
	for _, faults := range []string{"calm", "storm"} {
		o.Faults = faults
		a := rehearse(t, o)
		before := runtime.GOMAXPROCS(1)
		b := rehearse(t, o)
		runtime.GOMAXPROCS(before)
		for name, data := range a.Files {
			assert.True(t, bytes.Equal(data, b.Files[name]), "%s differs under %s", name, faults)
		}
		first, err := json.Marshal(a)
		require.NoError(t, err)
		again, err := json.Marshal(b)
		require.NoError(t, err)
		assert.JSONEq(t, string(first), string(again), "rule R-15 at another rehearsal of the same seed")
		o.Seed++
		assert.NotEqual(t, a.Files["report.json"], rehearse(t, o).Files["report.json"], "another seed, another run")
	}
}

func TestRun_refusesWhatIsNotValid(t *testing.T) {
	change := func(f func(*Options)) Options {
		o := options(t, oneWave(""))
		f(&o)
		return o
	}
	tests := map[string]Options{
		"input":  change(func(o *Options) { o.Input = []byte(`{"waves":[]}`) }),
		"faults": change(func(o *Options) { o.Faults = "F-99=1" }),
	}
	for name, o := range tests {
		_, err := Run(o)
		var problems runinput.Problems
		assert.ErrorAs(t, err, &problems, name)
	}
	files := map[string]Options{
		"fleet file":                   change(func(o *Options) { o.Fleet = []byte(`{"accounts":{}}`) }),
		"hub template":                 change(func(o *Options) { o.Hub, o.templates = []byte("Resources: 1"), nil }),
		"organization reader template": change(func(o *Options) { o.Reader, o.templates = []byte("- a"), nil }),
		"spoke template":               change(func(o *Options) { o.Spoke, o.templates = []byte("- a"), nil }),
	}
	for what, o := range files {
		_, err := Run(o)
		var file *stage.FileError
		require.ErrorAs(t, err, &file, what)
		assert.Equal(t, what, file.What)
	}
	_, err := Run(change(func(o *Options) { o.Fleet = []byte(`{"accounts":{"777777777777":{"regions":{}}}}`) }))
	assert.ErrorContains(t, err, "fleet file: accounts: "+first+" is in the input and not in the fleet")
	_, err = Run(change(func(o *Options) { o.Approve = "perhaps" }))
	assert.ErrorContains(t, err, "perhaps")
}

// A rejection and silence end the run without a single send.
func TestRun_withoutApproval(t *testing.T) {
	tests := []struct {
		name    string
		approve Approve
		input   string
		want    patch.RunStatus
		reason  outcome.Reason
	}{
		{"rejected", ApproveReject, "once", patch.RunRejected, outcome.ReasonRejected},
		{"nobody answers", ApproveTimeout, "once", patch.RunExpired, outcome.ReasonExpired},
		{"rejected wave", ApproveReject, "perWave", patch.RunRejected, outcome.ReasonRejected},
		{"nobody answers for a wave", ApproveTimeout, "perWave", patch.RunExpired, outcome.ReasonExpired},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, `{"waves":[
				{"name":"a","accounts":["`+first+`"],"regions":["`+region+`"]},
				{"name":"b","accounts":["`+second+`"],"regions":["`+region+`"]}],"approval":"`+test.input+`"}`)
			o.Approve = test.approve
			res := rehearse(t, o)
			assert.Equal(t, test.want, res.Status)
			assert.Zero(t, res.APICalls["ssm:SendCommand"])
			assert.Empty(t, res.Violations)
			assert.Equal(t, map[outcome.Outcome]int{outcome.NotSent: res.Planned}, res.Outcomes)
			assert.Equal(t, test.reason, res.Report.Instances[0].NotSent())
			require.Len(t, res.Report.Approvals, 1, "the second wave is not asked about")
		})
	}
}

// Silence lasts as long as the approval may take, not longer.
func TestRun_approvalExpires(t *testing.T) {
	o := options(t, `{"waves":[{"accounts":["`+first+`"],"regions":["`+region+`"]}],"approvalTimeoutSeconds":7200}`)
	o.Approve = ApproveTimeout
	res := rehearse(t, o)
	assert.GreaterOrEqual(t, res.VirtualSeconds, int64(7200))
	assert.Less(t, res.VirtualSeconds, int64(7200+120))
	assert.GreaterOrEqual(t, res.APICalls["sns:Publish"], 8, "a mail, seven reminders and a notice")
}

// An account that lets nobody in is told as unreachable; all others are patched.
func TestRun_accountThatLetsNobodyIn(t *testing.T) {
	no := false
	o := options(t, `{"waves":[{"name":"w","accounts":["`+first+`","`+second+`"],"regions":["`+region+`"]}],"approval":"none"}`)
	some := map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Name: "web", Count: 4}}}}
	tests := map[string]fleetfile.Account{
		"refused":             {Assumable: &no, Regions: some},
		"another external id": {ExternalID: "of-somebody-else", Regions: some},
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			o.Fleet = fleetFile(t, map[string]fleetfile.Account{first: bad, second: {Regions: some}})
			res := rehearse(t, o)
			assert.Equal(t, patch.RunIncomplete, res.Status)
			assert.Empty(t, res.Violations)
			assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 4}, res.Outcomes)
			require.Len(t, res.Report.Unreachable, 1)
			assert.Equal(t, patch.AccountID(first), res.Report.Unreachable[0].Account)
			assert.NotEmpty(t, res.Report.Unreachable[0].Reason)
		})
	}
}

func TestRun_regionThatIsNotEnabled(t *testing.T) {
	no := false
	o := options(t, `{"waves":[{"name":"w","accounts":["`+first+`"],"regions":["us-east-1","af-south-1"]}],"approval":"none"}`)
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{first: {Regions: map[string]fleetfile.Region{
		region:       {Instances: []fleetfile.Instance{{Name: "web", Count: 2}}},
		"af-south-1": {Enabled: &no},
	}}})
	res := rehearse(t, o)
	assert.Equal(t, patch.RunIncomplete, res.Status)
	assert.Empty(t, res.Violations)
	assert.Equal(t, 2, res.Outcomes[outcome.Patched])
	require.Len(t, res.Report.Unreachable, 1)
	assert.Equal(t, patch.Region("af-south-1"), res.Report.Unreachable[0].Region)
}

func TestRun_unreachableStops(t *testing.T) {
	no := false
	o := options(t, `{"waves":[{"accounts":["`+first+`","`+second+`"],"regions":["`+region+`"]}],"approval":"none","onUnreachable":"stop"}`)
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{
		first:  {Assumable: &no},
		second: {Regions: map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Count: 2}}}}},
	})
	res := rehearse(t, o)
	assert.Equal(t, patch.RunRefused, res.Status)
	assert.Contains(t, res.Report.StatusReason, "onUnreachable")
	require.Len(t, res.Report.Unreachable, 1, "the report says which account")
	assert.Empty(t, res.Report.Instances)
	assert.Zero(t, res.APICalls["ssm:SendCommand"])
}

// The second wave begins after the first was judged and the pause is over.
func TestRun_wavesOneAfterTheOther(t *testing.T) {
	o := options(t, `{"waves":[
		{"name":"a","accounts":["`+first+`"],"regions":["`+region+`"],"healthGate":{"soakSeconds":1200}},
		{"name":"b","accounts":["`+second+`"],"regions":["`+region+`"]}],"wavePauseSeconds":1800,"approval":"none"}`)
	res := rehearse(t, o)
	require.Equal(t, patch.RunSucceeded, res.Status)
	assert.Empty(t, res.Violations)
	a, b := res.Report.Waves[0], res.Report.Waves[1]
	require.NotNil(t, a.Ended)
	require.NotNil(t, b.Started)
	assert.GreaterOrEqual(t, b.Started.Sub(*a.Ended), 30*time.Minute)
	assert.Less(t, b.Started.Sub(*a.Ended), 31*time.Minute)
	assert.GreaterOrEqual(t, res.VirtualSeconds, int64(1200+1800))
}

// A wave over its budget stops the run; what comes after it is not sent.
func TestRun_badWaveStopsTheRun(t *testing.T) {
	bad := map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Name: "bad", Count: 10,
		Fate: fleetfile.FatePatchFails}}}}
	good := map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Name: "good", Count: 5}}}}
	o := options(t, `{"waves":[
		{"name":"a","accounts":["`+first+`"],"regions":["`+region+`"]},
		{"name":"b","accounts":["`+second+`"],"regions":["`+region+`"]}],"approval":"none"}`)
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{first: {Regions: bad}, second: {Regions: good}})
	res := rehearse(t, o)
	assert.Equal(t, patch.RunStopped, res.Status)
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.VerdictStop, res.Report.Waves[0].Verdict)
	assert.Empty(t, res.Report.Waves[1].Verdict)
	assert.Equal(t, 5, res.Report.Waves[1].Outcomes[outcome.NotSent])
	assert.Equal(t, outcome.ReasonStopped, res.Report.Instances[len(res.Report.Instances)-1].NotSent())
	assert.LessOrEqual(t, res.Outcomes[outcome.Failed], 4, "one more than the limit for each of the lanes")
}

// A dry run is a scan: nothing is installed, nobody is asked.
func TestRun_dryRun(t *testing.T) {
	o := options(t, `{"waves":[{"accounts":["`+first+`"],"regions":["`+region+`"]}],"dryRun":true}`)
	res := rehearse(t, o)
	assert.Equal(t, patch.RunSucceeded, res.Status)
	assert.Empty(t, res.Violations)
	assert.Empty(t, res.Report.Approvals)
	assert.Positive(t, res.Outcomes[outcome.NonCompliant])
	assert.Zero(t, res.Outcomes[outcome.Patched])
	assert.True(t, res.Report.DryRun)
}

// A wave that matches nothing is no success, and said so.
func TestRun_nothingToDo(t *testing.T) {
	o := options(t, oneWave(""))
	o.Fleet = fleet(t, fleetfile.Instance{Tags: map[string]string{"PatchGroup": "other"}})
	res := rehearse(t, o)
	assert.Equal(t, patch.RunIncomplete, res.Status)
	assert.Zero(t, res.Planned)
	assert.Equal(t, patch.VerdictGood, res.Report.Waves[0].Verdict)
	assert.Empty(t, res.Violations)
}

// A person may let the run go on after a doubtful wave.
func TestRun_doubtOverruled(t *testing.T) {
	o := options(t, `{"waves":[{"name":"a","accounts":["`+first+`"],"regions":["`+region+`"],
		"healthGate":{"alarms":["arn:aws:cloudwatch:`+region+`:`+first+`:alarm:errors"]}}]}`)
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{first: {Regions: map[string]fleetfile.Region{region: {
		Instances: []fleetfile.Instance{{Count: 3}},
		Alarms: []fleetfile.Alarm{{Name: "errors",
			Script: []fleetfile.AlarmStep{{State: "OK"}, {AfterSeconds: 300, State: "ALARM"}}}},
	}}}})
	r, err := prepare(o)
	require.NoError(t, err)
	r.World.OnMail = func(m backing.Mail) {
		r.human.mail(m)
		r.human.doubts = false
	}
	res, err := r.run()
	require.NoError(t, err)
	assert.Equal(t, patch.RunCompleted, res.Status, res.Report.StatusReason)
	assert.Equal(t, 2, res.Outcomes[outcome.NotSent], "nothing is sent while the alarm is red")
	assert.Equal(t, patch.VerdictGood, res.Report.Waves[0].Verdict)
	assert.Contains(t, res.Report.Waves[0].Reason, "approved")
	assert.Empty(t, res.Violations)
}

// An alarm that is not green makes the wave doubtful; with nobody to ask, the run stops.
func TestRun_redAlarm(t *testing.T) {
	input := func(approval string) string {
		return `{"waves":[{"name":"a","accounts":["` + first + `"],"regions":["` + region + `"],
			"healthGate":{"alarms":["arn:aws:cloudwatch:` + region + `:` + first + `:alarm:errors"],"soakSeconds":600}}],"approval":"` + approval + `"}`
	}
	file := func(script ...fleetfile.AlarmStep) []byte {
		return fleetFile(t, map[string]fleetfile.Account{first: {Regions: map[string]fleetfile.Region{region: {
			Instances: []fleetfile.Instance{{Count: 3}}, Alarms: []fleetfile.Alarm{{Name: "errors", Script: script}}}}}})
	}
	green := fleetfile.AlarmStep{State: "OK"}
	red := fleetfile.AlarmStep{AfterSeconds: 60, State: "ALARM"}
	tests := []struct {
		name, approval string
		approve        Approve
		script         []fleetfile.AlarmStep
		want           patch.RunStatus
	}{
		{"green", "none", "", []fleetfile.AlarmStep{green}, patch.RunSucceeded},
		{"red, nobody to ask", "none", "", []fleetfile.AlarmStep{green, red}, patch.RunStopped},
		{"no data is not green", "none", "", nil, patch.RunStopped},
		{"red, and nobody goes on by himself", "once", ApproveAuto, []fleetfile.AlarmStep{green, red}, patch.RunStopped},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options(t, input(test.approval))
			o.Approve, o.Fleet = test.approve, file(test.script...)
			res := rehearse(t, o)
			assert.Equal(t, test.want, res.Status, res.Report.StatusReason)
			assert.Empty(t, res.Violations)
		})
	}
}
