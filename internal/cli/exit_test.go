package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/check"
)

func TestExitOfRun(t *testing.T) {
	wave := func(reboot patch.RebootOption, outcomes map[outcome.Outcome]int) *report.Report {
		w := report.WaveReport{Name: "w", Reboot: reboot, Outcomes: outcomes}
		for _, n := range outcomes {
			w.Planned += n
		}
		return &report.Report{Waves: []report.WaveReport{w}}
	}
	good := func() *report.Report {
		return wave(patch.RebootIfNeeded, map[outcome.Outcome]int{outcome.Patched: 3, outcome.Compliant: 1})
	}
	left := func(o outcome.Outcome, id patch.InstanceID) *report.Report {
		r := good()
		r.Excluded = []plan.ExcludedInstance{{InstanceID: id, Outcome: o}}
		return r
	}
	unreached := good()
	unreached.Unreachable = []plan.UnreachableAccount{{Account: "111111111111"}}
	for _, test := range []struct {
		name   string
		status patch.RunStatus
		report *report.Report
		want   int
	}{
		{"all is done", patch.RunSucceeded, good(), ExitDone},
		{"a reboot that was forbidden", patch.RunSucceeded,
			wave(patch.NoReboot, map[outcome.Outcome]int{outcome.PatchedPendingReboot: 1}), ExitDone},
		{"a reboot that was asked for", patch.RunSucceeded,
			wave(patch.RebootIfNeeded, map[outcome.Outcome]int{outcome.PatchedPendingReboot: 1}), ExitNotPatched},
		{"a scan that found something", patch.RunSucceeded,
			wave(patch.NoReboot, map[outcome.Outcome]int{outcome.NonCompliant: 1}), ExitNotPatched},
		{"gone before the send", patch.RunSucceeded, wave(patch.RebootIfNeeded, map[outcome.Outcome]int{outcome.Gone: 1}),
			ExitNotPatched},
		{"left out on purpose", patch.RunSucceeded, left(outcome.Excluded, "i-1"), ExitDone},
		{"offline", patch.RunSucceeded, left(outcome.Offline, "i-1"), ExitNotPatched},
		{"a machine outside of EC2", patch.RunSucceeded, left(outcome.Hybrid, "mi-1"), ExitDone},
		{"an EC2 instance that SSM knows as another", patch.RunSucceeded, left(outcome.Hybrid, "i-1"), ExitNotPatched},
		{"not reached", patch.RunSucceeded, unreached, ExitNotPatched},
		{"planned", patch.RunPlanned, wave(patch.RebootIfNeeded, map[outcome.Outcome]int{outcome.NotSent: 4}), ExitDone},
		{"planned, not reached", patch.RunPlanned, unreached, ExitNotPatched},
		{"refused", patch.RunRefused, good(), ExitInvalid},
		{"completed with failures", patch.RunCompleted, good(), ExitNotPatched},
		{"incomplete", patch.RunIncomplete, good(), ExitNotPatched},
		{"stopped", patch.RunStopped, good(), ExitNotPatched},
		{"aborted", patch.RunAborted, good(), ExitNotPatched},
		{"failed", patch.RunFailed, good(), ExitNotPatched},
		{"rejected", patch.RunRejected, good(), ExitNotApproved},
		{"expired", patch.RunExpired, good(), ExitNotApproved},
	} {
		assert.Equal(t, test.want, exitOfRun(test.status, test.report), test.name)
	}
}

// A rehearsal that left no report is judged by what was counted.
func TestExitOf_withoutAReport(t *testing.T) {
	res := &sim.Result{Status: patch.RunSucceeded, Outcomes: map[outcome.Outcome]int{outcome.Patched: 2}}
	assert.Equal(t, ExitDone, exitOf(res))
	res.Outcomes[outcome.Unhealthy] = 1
	assert.Equal(t, ExitNotPatched, exitOf(res))
	res.Outcomes = map[outcome.Outcome]int{outcome.Patched: 2}
	res.Violations = []check.Violation{{}}
	assert.Equal(t, ExitNotPatched, exitOf(res))
}
