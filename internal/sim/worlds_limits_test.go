package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
)

// sendersDie: SendSsmCommand dies in the middle of its steps, just after a command was accepted.
func sendersDie(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, canaryAndMain(generous, generous, `,"approval":"none"`), seed, "", some(8, fleetfile.FateOK))
	r.World.Faults = &targeted{Faults: r.faults, name: "ssm:SendCommand", dies: 0.2}
	return r
}

// twoRunsOneVerifies: another run wants the account-region while all commands of the first have ended, and it still
// waits for a record that does not come.
func twoRunsOneVerifies(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, alone(generous), seed, "", some(3, fleetfile.FateNoState))
	r.another(t, time.Minute)
	return r
}

// twoRunsOfOneKey: a start is delivered twice.
func twoRunsOfOneKey(t *testing.T, seed uint64) *rehearsal {
	input := strings.TrimSuffix(alone(generous), "}") + `,"runKey":"weekly"}`
	r := inTrouble(t, input, seed, "", some(3, fleetfile.FateOK))
	r.another(t, time.Minute)
	return r
}

// nobodyMaySend: an account's owner wants a tag that none of its instances has.
func nobodyMaySend(t *testing.T, seed uint64) *rehearsal {
	o := options(t, alone(`,"slowStart":false,"ssm":{"maxConcurrency":"`+[]string{"3", "100%"}[seed%2]+`","maxErrors":"50%"}`))
	o.Seed = seed
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{first: {Regions: map[string]fleetfile.Region{
		"us-east-1": {Instances: []fleetfile.Instance{some(25, fleetfile.FateOK)}},
	}}})
	o.spoke = map[string]string{"OptInTag": "PatchOptIn"}
	r, err := prepare(o)
	require.NoError(t, err)
	return r
}

// lostBeyondBudget: sends are lost on their way, and more of them than an account may have of failures.
func lostBeyondBudget(t *testing.T, seed uint64) *rehearsal {
	in := `,"ssm":{"maxConcurrency":"1","maxErrors":"1"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`
	r := inTrouble(t, alone(in), seed, "", some(30, fleetfile.FateOK))
	r.World.Faults = &targeted{Faults: r.faults, name: "ssm:SendCommand", before: 0.3}
	return r
}

// redWhilePatched: an alarm of a wave, or a composite one of it, turns red as the wave is patched, and green again.
func redWhilePatched(t *testing.T, seed uint64) *rehearsal {
	gate := `,"healthGate":{"soakSeconds":60,"alarms":["arn:aws:cloudwatch:us-east-1:` + first + `:alarm:errors","arn:aws:cloudwatch:us-east-1:` + first + `:alarm:any"]}`
	r := inTrouble(t, alone(gate+`,"ssm":{"maxConcurrency":"2","maxErrors":"50%"}`), seed, "", some(30, fleetfile.FateOK))
	red := []estate.AlarmStep{{State: "OK"}, {After: time.Hour, State: "ALARM"}, {After: 2 * time.Hour, State: "OK"}}
	green := []estate.AlarmStep{{State: "OK"}}
	if seed%2 == 0 {
		red, green = green, red
	}
	require.NoError(t, r.World.AddAlarm(first, "us-east-1", "errors", red...))
	require.NoError(t, r.World.AddCompositeAlarm(first, "us-east-1", "any", green...))
	return r
}

// slowStart: a target that begins slowly.
func slowStart(t *testing.T, seed uint64) *rehearsal {
	return inTrouble(t, alone(`,"slowStart":true,"ssm":{"maxConcurrency":"100%","maxErrors":"50%"}`), seed, "", some(40, fleetfile.FateOK))
}

// takenBack: SSM forgets the first sends, whose answers are lost, and the machines' own records show later that they
// went well: they are no failures of the run.
func takenBack(t *testing.T, seed uint64) *rehearsal {
	in := `,"slowStart":false,"ssm":{"maxConcurrency":"100%","maxErrors":"100%"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`
	r := inTrouble(t, canaryAndMain(in, in, `,"approval":"none","budget":{"maxFailedInstances":"1"}`), seed, "", fleetfile.Instance{Name: "fast", PatchSeconds: 200, RebootSeconds: 60, Count: 4})
	n := 0
	f := &targeted{Faults: r.faults, name: "ssm:SendCommand", after: 1}
	f.lost = func(c *core.Call) {
		if n++; n == 2 {
			f.after = 0
		}
		r.World.After(time.Second, func() { r.World.ForgetCommands(c.Account, c.Region) })
	}
	r.World.Faults = f
	return r
}

// listedLate: Run Command shows a minute late what it has accepted and what became of it.
func listedLate(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, alone(`,"ssm":{"operation":"Scan","maxConcurrency":"2"}`), seed, "", some(10, fleetfile.FateOK))
	r.World.Faults = &stale{r.faults}
	return r
}

// stale lets everything that Systems Manager shows be of a minute ago.
type stale struct{ *stage.Faults }

func (*stale) Stale(c *core.Call) time.Duration {
	if c.Service != "ssm" {
		return 0
	}
	return time.Minute
}
