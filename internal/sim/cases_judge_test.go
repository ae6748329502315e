package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

// fieldCase is a situation out of a real fleet: an input and the fleet that it met.
func fieldCase(t *testing.T, name string) Options {
	t.Helper()
	o := options(t, string(read(t, "internal", "sim", "testdata", "cases", name+".input.json")))
	o.Fleet = read(t, "internal", "sim", "testdata", "cases", name+".fleet.json")
	return o
}

// Three bad hosts in one of ten accounts are held back there, and cost the others nothing.
func TestCase_oneBadAccount(t *testing.T) {
	res := rehearse(t, fieldCase(t, "one-bad-account"))
	assert.Empty(t, res.Violations)
	const bad = "100000000003"
	wave := res.Report.Waves[0]
	assert.Equal(t, patch.VerdictGood, wave.Verdict, wave.Reason)
	assert.LessOrEqual(t, wave.Outcomes[outcome.Failed], 3)
	for _, i := range res.Report.Instances {
		switch {
		case i.Account != bad:
			assert.Equal(t, outcome.Patched, i.Outcome, "%s of %s in wave %s: %s", i.InstanceID, i.Account, i.Wave, i.Reason)
		case i.Outcome == outcome.NotSent:
			assert.Equal(t, outcome.ReasonBudget, i.NotSent())
		}
	}
	if wave.Outcomes[outcome.NotSent] > 0 {
		assert.Contains(t, wave.Reason, bad+" us-east-1: ")
		assert.Contains(t, wave.Reason, "limit 1 (ssm.maxErrors 1% of 20)")
	}
	assert.Equal(t, patch.VerdictGood, res.Report.Waves[1].Verdict, "and the next wave is patched")
	assert.Equal(t, 3, res.Report.Waves[1].Outcomes[outcome.Patched])
}

// A bad patch meets a few of the canary, and nothing of what comes after it, whoever is asked.
func TestCase_badCanary(t *testing.T) {
	for _, test := range []struct {
		name, from, to string
		approve        Approve
		want           patch.RunStatus
	}{
		{"nobody to ask", "", "", "", patch.RunStopped},
		{"no error tolerated", `"maxConcurrency":"1"`, `"maxConcurrency":"1","maxErrors":"0"`, "", patch.RunStopped},
		{"every failure tolerated", `"ssm":{"maxConcurrency":"1"}`,
			`"ssm":{"maxConcurrency":"1"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`, "", patch.RunStopped},
		{"people are asked", `"approval":"none"`, `"approval":"once"`, ApproveAuto, patch.RunStopped},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := fieldCase(t, "bad-canary")
			o.Input, o.Approve = []byte(strings.Replace(string(o.Input), test.from, test.to, 1)), test.approve
			res := rehearse(t, o)
			assert.Equal(t, test.want, res.Status, res.Report.StatusReason)
			assert.Empty(t, res.Violations)
			canary, main := res.Report.Waves[0], res.Report.Waves[1]
			assert.Equal(t, patch.VerdictStop, canary.Verdict)
			assert.LessOrEqual(t, canary.Outcomes[outcome.Failed], 2)
			assert.Contains(t, canary.Reason, "that were tried)")
			assert.Contains(t, canary.Reason, first+" us-east-1: ")
			assert.Contains(t, canary.Reason, "(ssm.maxErrors ")
			assert.Equal(t, map[outcome.Outcome]int{outcome.NotSent: 100}, main.Outcomes)
		})
	}
}

// While the wave's alarm is red nothing more of it is sent, and it is not forgotten when it is green again.
func TestCase_alarmWhilePatching(t *testing.T) {
	const arn = "arn:aws:cloudwatch:us-east-1:111111111111:alarm:web-5xx"
	for _, test := range []struct {
		approval string
		approve  Approve
		want     patch.RunStatus
	}{{"none", "", patch.RunStopped}, {"once", ApproveAuto, patch.RunStopped}} {
		t.Run(test.approval, func(t *testing.T) {
			o := fieldCase(t, "alarm-while-patching")
			o.Input, o.Approve = []byte(strings.Replace(string(o.Input), `"approval":"none"`, `"approval":"`+test.approval+`"`, 1)), test.approve
			r, err := prepare(o)
			require.NoError(t, err)
			res, err := r.run()
			require.NoError(t, err)
			assert.Equal(t, test.want, res.Status, res.Report.StatusReason)
			assert.Empty(t, res.Violations)
			wave := res.Report.Waves[0]
			assert.Contains(t, wave.Reason, "alarm "+arn+" was ALARM while the wave was patched")
			assert.Positive(t, wave.Outcomes[outcome.NotSent])
			red := r.Start.Add(15 * time.Minute)
			for _, e := range r.World.Ledger.Mutating {
				if e.Name == "ssm:SendCommand" {
					assert.LessOrEqual(t, e.Time.Sub(red), 2*time.Minute, "sent after the alarm was red")
				}
			}
			assert.Equal(t, map[outcome.Outcome]int{outcome.NotSent: 3}, res.Report.Waves[1].Outcomes)
		})
	}
}
