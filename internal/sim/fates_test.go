package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
)

// ends are the outcomes that a fate may have under Install and RebootIfNeeded;
// nil means that the instance is not in the plan.
func ends() map[fleetfile.Fate][]outcome.Outcome {
	only := func(o ...outcome.Outcome) []outcome.Outcome { return o }
	return map[fleetfile.Fate][]outcome.Outcome{
		fleetfile.FateOffline: nil, fleetfile.FateStopped: nil, fleetfile.FateUnmanaged: nil, fleetfile.FateHybrid: nil,
		fleetfile.FateStartsLater: nil, fleetfile.FateOldAgent: nil, fleetfile.FateHybridRegistered: nil,

		fleetfile.FateOldRecord: only(outcome.Patched), fleetfile.FatePatchedSince: only(outcome.Compliant),
		// It installed nothing, but made the reboot that was due.
		fleetfile.FatePendingBefore: only(outcome.Patched, outcome.Compliant),
		fleetfile.FateRejected:      only(outcome.Patched, outcome.Failed),
		fleetfile.FateFailsEarly:    only(outcome.Failed),

		fleetfile.FateOK: only(outcome.Patched), fleetfile.FateCompliant: only(outcome.Compliant),
		fleetfile.FateNoRebootNeeded: only(outcome.Patched), fleetfile.FateRebootsAnyway: only(outcome.Patched),
		fleetfile.FateDoubleReboot:  only(outcome.Patched),
		fleetfile.FatePendingReboot: only(outcome.PatchedPendingReboot),

		fleetfile.FatePatchFails: only(outcome.Failed), fleetfile.FatePartial: only(outcome.Failed),
		fleetfile.FateNothingInstalled: only(outcome.Failed), fleetfile.FateFailedInstalled: only(outcome.Failed),

		fleetfile.FateStaleState: only(outcome.Unknown), fleetfile.FateNoState: only(outcome.Unknown),
		fleetfile.FateBadState: only(outcome.Unknown),
		// Its record is overwritten minutes after the end: seen before, it is ours.
		fleetfile.FateForeignState: only(outcome.Unknown, outcome.Patched),

		fleetfile.FateUndeliverable: only(outcome.Undeliverable), fleetfile.FateAccessDenied: only(outcome.NotSent),
		fleetfile.FateInvalidPlatform:  only(outcome.Failed),
		fleetfile.FateExecutionTimeout: only(outcome.TimedOut), fleetfile.FateHangs: only(outcome.TimedOut),

		fleetfile.FateAgentDies:  only(outcome.TimedOut, outcome.Undeliverable, outcome.Unhealthy),
		fleetfile.FateKilled:     only(outcome.TimedOut, outcome.Undeliverable, outcome.Unhealthy),
		fleetfile.FateNoReturn:   only(outcome.TimedOut, outcome.Unhealthy),
		fleetfile.FateSlowReturn: only(outcome.Patched, outcome.TimedOut, outcome.Unhealthy),
		// It dies after its success, perhaps before anybody looked.
		fleetfile.FateDiesLater:   only(outcome.Patched, outcome.Unhealthy),
		fleetfile.FateTerminates:  only(outcome.Gone),
		fleetfile.FateStops:       only(outcome.TimedOut, outcome.Undeliverable, outcome.Unhealthy),
		fleetfile.FateASGReplaced: only(outcome.Gone),
	}
}

// Whatever becomes of an instance, the run ends, keeps every rule, and reports
// what happened.
func TestRun_fates(t *testing.T) {
	for _, fate := range fleetfile.Fates() {
		t.Run(string(fate), func(t *testing.T) {
			want, known := ends()[fate]
			require.True(t, known, "no row for the fate")
			for seed := range uint64(2) {
				o := options(t, oneWave(generous))
				o.Seed = seed + 1
				o.Fleet = fleet(t, fleetfile.Instance{Name: "good", Count: 2}, fleetfile.Instance{Name: "odd", Fate: fate})
				res := rehearse(t, o)
				assert.Empty(t, res.Violations, "seed %d", o.Seed)
				assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 1}, outcomes(res, "good-1"), "seed %d", o.Seed)
				got := outcomes(res, "odd")
				if want == nil {
					assert.Empty(t, got, "it is not in the plan")
					continue
				}
				require.Len(t, got, 1, "seed %d", o.Seed)
				for outcome := range got {
					assert.Contains(t, want, outcome, "seed %d", o.Seed)
				}
			}
		})
	}
}

// With the shipped budgets a patch that kills is stopped early: what was
// touched when the first deaths show is all that it gets.
func TestRun_killerPatch(t *testing.T) {
	for seed := range uint64(2) {
		o := options(t, oneWave(`,"ssm":{"maxConcurrency":"10%","maxErrors":"1"}`))
		o.Seed = seed + 1
		o.Fleet = fleet(t, fleetfile.Instance{Name: "web", Count: 100})
		r, err := prepare(o)
		require.NoError(t, err)
		r.World.KillerPatch(fleetfile.Linux, 1)
		res, err := r.run()
		require.NoError(t, err)
		assert.Equal(t, patch.RunStopped, res.Status)
		assert.Empty(t, res.Violations)
		touched := 0
		for _, i := range r.World.Instances() {
			touched += len(r.World.Installs(i.ID))
		}
		assert.LessOrEqual(t, touched, 10+1, "concurrency and the tolerated errors")
		// What was queued behind a dead one waits for it until the command's deadline.
		assert.Equal(t, 100-touched, res.Outcomes[outcome.NotSent]+res.Outcomes[outcome.Undeliverable],
			"the others were left alone")
		assert.GreaterOrEqual(t, res.Outcomes[outcome.NotSent], 80)
	}
}

// A zone that goes away in the middle is followed to the end; the run ends.
func TestRun_zoneLost(t *testing.T) {
	o := options(t, oneWave(`,"ssm":{"maxConcurrency":"50%","maxErrors":"10%"}`))
	o.Fleet = fleet(t, fleetfile.Instance{Name: "web", Count: 40, PatchSeconds: 1200})
	r, err := prepare(o)
	require.NoError(t, err)
	zones := []string{}
	for _, i := range r.World.Instances() {
		if !slices.Contains(zones, i.Zone) {
			zones = append(zones, i.Zone)
		}
	}
	r.World.After(600e9, func() { r.World.LoseZone(first, region, zones[0]) })
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	assert.Equal(t, 40, res.Planned)
	assert.NotEqual(t, patch.RunSucceeded, res.Status)
	assert.Positive(t, res.Outcomes[outcome.Patched]+res.Outcomes[outcome.NotSent])
}

// An account that is closed in the middle of its wave is given up in bounded
// time; nothing that it was sent is called a success.
func TestRun_accountSuspended(t *testing.T) {
	o := options(t, `{"waves":[{"name":"w","accounts":["`+first+`","`+second+`"],"regions":["`+region+`"]}],"approval":"none"}`)
	some := map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Name: "web", Count: 6}}}}
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{first: {Regions: some}, second: {Regions: some}})
	r, err := prepare(o)
	require.NoError(t, err)
	r.World.After(300e9, func() { r.World.SuspendAccount(first) })
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	assert.NotEqual(t, patch.RunSucceeded, res.Status)
	in := map[patch.AccountID]map[outcome.Outcome]int{}
	for _, a := range res.Report.Waves[0].Accounts {
		in[a.Account] = a.Outcomes
	}
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 6}, in[second], "the other account is not harmed")
	assert.Zero(t, in[first][outcome.Patched])
	assert.Positive(t, in[first][outcome.Unknown])
}

// An owner who opts out between plan and send is left alone, and so is an
// instance that was stopped or terminated meanwhile.
func TestRun_changesBetweenPlanAndSend(t *testing.T) {
	o := options(t, `{"waves":[{"name":"w","accounts":["`+first+`"],"regions":["`+region+`"]`+generous+`}]}`)
	o.Fleet = fleet(t, fleetfile.Instance{Name: "good"}, fleetfile.Instance{Name: "opts-out"},
		fleetfile.Instance{Name: "stops"}, fleetfile.Instance{Name: "goes"})
	r, err := prepare(o)
	require.NoError(t, err)
	named := map[string]string{}
	for _, i := range r.World.Instances() {
		named[i.Tags["Name"]] = i.ID
	}
	r.World.After(30e9, func() { // the plan is frozen, the mail is on its way
		r.World.SetTags(named["opts-out"],
			map[string]string{"PatchGroup": "default", plan.ExclusionTag: "true", "Name": "opts-out"})
		r.World.StopInstance(named["stops"])
		r.World.TerminateInstance(named["goes"])
	})
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	for name, want := range map[string]outcome.Outcome{"good": outcome.Patched, "opts-out": outcome.NotSent,
		"stops": outcome.NotSent, "goes": outcome.Gone} {
		assert.Equal(t, map[outcome.Outcome]int{want: 1}, outcomes(res, name), name)
	}
	for _, name := range []string{"opts-out", "stops", "goes"} {
		assert.Empty(t, r.World.Installs(named[name]), name)
	}
}

// Instances under NoReboot are not rebooted, and a reboot that is due is good.
func TestRun_noReboot(t *testing.T) {
	o := options(t, oneWave(`,"ssm":{"rebootOption":"NoReboot"}`))
	o.Fleet = fleet(t, fleetfile.Instance{Name: "web", Count: 5})
	r, err := prepare(o)
	require.NoError(t, err)
	res, err := r.run()
	require.NoError(t, err)
	assert.Equal(t, patch.RunSucceeded, res.Status)
	assert.Empty(t, res.Violations)
	assert.Equal(t, map[outcome.Outcome]int{outcome.PatchedPendingReboot: 5}, res.Outcomes)
	for _, i := range r.World.Instances() {
		for _, e := range r.World.AgentLog(i.ID) {
			assert.NotEqual(t, world.AgentRebooting, e.Kind, i.ID)
		}
	}
}

// Under faults the run still ends and keeps every rule. Each class of fault strikes somewhere.
func TestRun_faults(t *testing.T) {
	struck := map[string]int{}
	input := `{"waves":[{"name":"a","accounts":["` + first + `"],"regions":["` + region + `"],"ssm":{"maxConcurrency":"30%","maxErrors":"3"}},
		{"name":"b","accounts":["` + second + `"],"regions":["` + region + `"],"ssm":{"maxConcurrency":"30%","maxErrors":"3"}}],"wavePauseSeconds":300}`
	input = strings.Replace(input, `{"name":"a",`, `{"name":"a","healthGate":{"soakSeconds":600,"alarms":["arn:aws:cloudwatch:`+region+`:`+first+`:alarm:errors"]},`, 1)
	under := func(faults string, seeds uint64) {
		for seed := range seeds {
			o := options(t, input)
			o.Seed, o.Faults, o.Instances = seed+1, faults, 10
			r, err := prepare(o)
			require.NoError(t, err)
			require.NoError(t, r.World.AddAlarm(first, region, "errors", estate.AlarmStep{State: "OK"}))
			res, err := r.run()
			require.NoError(t, err, replay("<the input of this test>", o))
			assert.Empty(t, res.Violations, replay("<the input of this test>", o))
			total := 0
			for _, n := range res.Outcomes {
				total += n
			}
			assert.Equal(t, res.Planned, total, "%s, seed %d", faults, seed+1)
			for id, n := range res.Faults {
				struck[id] += n
			}
		}
	}
	for _, faults := range []string{"light", "storm", "swarm"} {
		under(faults, 7)
	}
	for _, id := range stage.FaultNames() {
		if struck[id] == 0 {
			under(id+"=0.3", 3) // too rare for so few seeds
		}
		assert.Positive(t, struck[id], "%s never struck", id)
	}
}

// Every fate at once, under faults: nothing is forgotten and nothing is called
// good that is not.
func TestRun_everyFateUnderFaults(t *testing.T) {
	var all []fleetfile.Instance
	for _, f := range fleetfile.Fates() {
		all = append(all, fleetfile.Instance{Name: string(f), Fate: f})
	}
	for seed := uint64(1); seed <= 3; seed++ {
		for _, faults := range []string{"calm", "light", "storm"} {
			o := options(t, oneWave(generous))
			o.Seed, o.Faults, o.Fleet = seed, faults, fleet(t, all...)
			res, err := Run(o)
			require.NoError(t, err, "seed %d, %s", seed, faults)
			assert.Empty(t, res.Violations, "seed %d, %s", seed, faults)
			for _, i := range res.Report.Instances {
				good := i.Outcome == outcome.Patched || i.Outcome == outcome.Compliant
				may := slices.Contains(ends()[fleetfile.Fate(i.Name)], i.Outcome)
				assert.False(t, good && !may, fmt.Sprintf("seed %d, %s: %s is reported %s", seed, faults, i.Name, i.Outcome))
			}
		}
	}
}
