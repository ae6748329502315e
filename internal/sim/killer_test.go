package sim

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
)

// The knobs of the killer's world: the same for a run and for one command of
// Run Command by tag in each account-region.
const (
	killerCanary = 5  // instances of the canary wave
	killerEach   = 30 // instances of each account-region of the main wave
	killerKnobs  = `,"ssm":{"maxConcurrency":"10%","maxErrors":"2"},"budget":{"maxFailedInstances":"5%","maxFailedAccounts":"0","perAccount":"5%"}`
)

// killerWorld is a fleet whose Linux patches kill one in five, one in two, or
// every machine that installs them.
func killerWorld(t *testing.T, seed uint64) *rehearsal {
	t.Helper()
	o := options(t, `{"waves":[{"name":"canary","accounts":["`+first+`"],"regions":["us-east-1"]`+killerKnobs+`},
{"name":"main","accounts":["`+second+`","`+third+`"],"regions":["us-east-1","us-west-2"]`+killerKnobs+`}],"approval":"none","budget":{"maxFailedInstances":"5%"}}`)
	o.Seed = seed
	many := fleetfile.Region{Instances: []fleetfile.Instance{{Name: "web", Count: killerEach}}}
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{
		first: {Regions: map[string]fleetfile.Region{"us-east-1": {Instances: []fleetfile.Instance{{Name: "web",
			Count: killerCanary}}}}},
		second: {Regions: map[string]fleetfile.Region{"us-east-1": many, "us-west-2": many}},
		third:  {Regions: map[string]fleetfile.Region{"us-east-1": many, "us-west-2": many}},
	})
	r, err := prepare(o)
	require.NoError(t, err)
	r.World.KillerPatch(fleetfile.Linux, []float64{0.2, 0.5, 1}[seed%3])
	return r
}

// killedIn counts the machines that were lost, in all and by wave.
func killedIn(w *world.World) (all, canary int, perTarget map[string]int) {
	perTarget = map[string]int{}
	for _, i := range w.Instances() {
		for _, e := range w.AgentLog(i.ID) {
			if e.Kind != world.AgentLost {
				continue
			}
			all++
			if i.Account == first {
				canary++
			}
			perTarget[i.Account+"/"+i.Region]++
			break
		}
	}
	return all, canary, perTarget
}

// byTag loses machines the way that people do without us: one command by tag
// in each account-region, with the same MaxConcurrency and MaxErrors.
func byTag(t *testing.T, seed uint64) int {
	t.Helper()
	r := killerWorld(t, seed)
	r.World.IgnoreIAM = true
	for _, place := range [][2]string{{first, "us-east-1"}, {second, "us-east-1"}, {second, "us-west-2"},
		{third, "us-east-1"}, {third, "us-west-2"}} {
		p := &core.Principal{Account: place[0], RoleARN: "arn:aws:iam::" + place[0] + ":role/Admin", SessionName: "admin"}
		r.World.OnMutating = nil // this is not our command
		_, err := r.World.SSM(p, place[1]).SendCommand(context.Background(), &ssm.SendCommandInput{
			DocumentName: aws.String("AWS-RunPatchBaseline"), MaxConcurrency: aws.String("10%"), MaxErrors: aws.String("2"),
			TimeoutSeconds: aws.Int32(10 * 7200), // so that each instance gets its turn
			Targets:        []ssmtypes.Target{{Key: aws.String("tag:PatchGroup"), Values: []string{"default"}}},
			Parameters:     map[string][]string{"Operation": {"Install"}, "RebootOption": {"RebootIfNeeded"}},
		})
		require.NoError(t, err)
	}
	for n := 0; r.World.Step(); n++ {
		require.Less(t, n, 1_000_000)
	}
	all, _, _ := killedIn(r.World)
	return all
}

// A patch that kills what it touches costs at most the run's error budget, in which
// the canary wave's losses count, and what is in flight: I-24. KILLER (`make killer`) asks for 1,000 seeds.
func TestKillerPatch(t *testing.T) {
	seeds := 12
	if os.Getenv("KILLER") != "" {
		seeds = 1000
	}
	const (
		concurrency = killerEach / 10                                      // of an account-region
		budget      = (killerCanary + 4*killerEach) * 5 / 100              // of the run: the canary wave counts, too
		canaryBound = max(killerCanary*5/100, 1) + max(killerCanary/10, 1) // its own budget, and what is in flight
		bound       = max(canaryBound, budget+4*concurrency)
		target      = 2 + concurrency // MaxErrors and what is in flight
	)
	worst, sum, worstTag, sumTag := 0, 0, 0, 0
	for seed := range seeds {
		r := killerWorld(t, uint64(seed)+1)
		res, err := r.run()
		require.NoError(t, err)
		require.Empty(t, res.Violations, "seed %d", seed+1)
		lost, canary, perTarget := killedIn(r.World)
		require.LessOrEqual(t, canary, canaryBound, "seed %d lost %d machines of the canary wave", seed+1, canary)
		require.LessOrEqual(t, lost, bound, "seed %d lost %d machines, %d of them in the canary wave", seed+1, lost, canary)
		for place, n := range perTarget {
			require.LessOrEqual(t, n, target, "seed %d lost %d machines in %s", seed+1, n, place)
		}
		tag := byTag(t, uint64(seed)+1)
		worst, sum, worstTag, sumTag = max(worst, lost), sum+lost, max(worstTag, tag), sumTag+tag
	}
	t.Logf("%d seeds, %d instances: ec2patch lost %.1f on average and %d at most (bound %d); one command by tag in each "+
		"account-region with the same knobs lost %.1f and %d",
		seeds, killerCanary+4*killerEach, float64(sum)/float64(seeds), worst, bound, float64(sumTag)/float64(seeds), worstTag)
}

// killerSoak is how long the canary wave of the slow killer's world soaks.
const killerSoak = time.Hour

// slowKillerWorld is a fleet in which one in five, one in two, or every machine
// dies ten minutes to four hours after its patch was a success. An alarm of its
// owners tells within a minute that a canary machine is gone.
func slowKillerWorld(t *testing.T, seed uint64) *rehearsal {
	t.Helper()
	gate := `,"healthGate":{"soakSeconds":3600,"alarms":["arn:aws:cloudwatch:us-east-1:` + first + `:alarm:alive"]}`
	o := options(t, `{"waves":[{"name":"canary","accounts":["`+first+`"],"regions":["us-east-1"]`+gate+killerKnobs+`},
{"name":"main","accounts":["`+second+`","`+third+`"],"regions":["us-east-1","us-west-2"]`+killerKnobs+`}],"approval":"none","budget":{"maxFailedInstances":"5%"}}`)
	o.Seed = seed
	share := []int{5, 2, 1}[seed%3]
	region := func(n int) fleetfile.Region {
		all := []fleetfile.Instance{{Name: "dying", Fate: fleetfile.FateDiesLater, Count: n / share}}
		if n > n/share {
			all = append(all, fleetfile.Instance{Name: "web", Count: n - n/share})
		}
		return fleetfile.Region{Instances: all}
	}
	many := map[string]fleetfile.Region{"us-east-1": region(killerEach), "us-west-2": region(killerEach)}
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{
		first: {Regions: map[string]fleetfile.Region{"us-east-1": region(killerCanary)}}, second: {Regions: many},
		third: {Regions: many},
	})
	r, err := prepare(o)
	require.NoError(t, err)
	require.NoError(t, r.World.AddAlarm(first, "us-east-1", "alive", estate.AlarmStep{State: "OK"}))
	watch := r.World.OnAgentEvent
	r.World.OnAgentEvent = func(e world.AgentEvent) {
		watch(e)
		if i, ok := r.World.Instance(e.InstanceID); ok && e.Kind == world.AgentLost && i.Account == first {
			r.World.TurnAlarm(first, "us-east-1", "alive", "ALARM", time.Minute)
		}
	}
	return r
}

// A patch that kills slowly costs at most the canary wave where one of its
// machines dies while the wave soaks. Where all die later nothing bounds the loss:
// I-24, F-34.
func TestSlowKiller(t *testing.T) {
	seeds := 12
	if os.Getenv("KILLER") != "" {
		seeds = 300
	}
	var within, later struct{ seeds, worst, sum int }
	for seed := range seeds {
		r := slowKillerWorld(t, uint64(seed)+1)
		res, err := r.run()
		require.NoError(t, err)
		require.Empty(t, res.Violations, "seed %d", seed+1)
		canary := r.checks.Order[0].ByName["canary"]
		inSoak := false
		for _, i := range r.World.Instances() {
			for _, e := range r.World.AgentLog(i.ID) {
				// One that dies in the last minutes is not in any alarm's answer before the wave is judged.
				inSoak = inSoak || i.Account == first && e.Kind == world.AgentLost &&
					e.Time.Before(canary.Last.Add(killerSoak-5*time.Minute))
			}
		}
		for r.World.Step() { // what dies after the end of the run
			require.Less(t, r.Virtual(), maxVirtual)
		}
		lost, _, _ := killedIn(r.World)
		n := &later
		if inSoak {
			n = &within
			require.LessOrEqual(t, lost, killerCanary, "seed %d", seed+1)
			require.Equal(t, patch.RunStopped, res.Status, "seed %d", seed+1)
		}
		n.seeds, n.worst, n.sum = n.seeds+1, max(n.worst, lost), n.sum+lost
	}
	require.Positive(t, within.seeds)
	t.Logf("slow killer, %d instances: in %d seeds a machine died while the canary wave soaked, %.1f were lost on "+
		"average and %d at most (bound %d); in %d seeds all died later, and %.1f were lost on average and %d at most",
		killerCanary+4*killerEach, within.seeds, float64(within.sum)/float64(max(within.seeds, 1)), within.worst,
		killerCanary,
		later.seeds, float64(later.sum)/float64(max(later.seeds, 1)), later.worst)
}
