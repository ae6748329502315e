package sim

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/asl"
	"ec2patch/internal/decision"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
	"ec2patch/internal/store"
)

// trouble is one kind of world in which every rule must hold. The planted bugs
// of testdata/mutants.txt are run in them, each in the one that it names.
type trouble struct {
	name  string
	seeds uint64
	make  func(t *testing.T, seed uint64) *rehearsal
}

// silent are the worlds in which nothing may be sent at all.
func silent() []string {
	return []string{"forged decision", "sent by hand", "nobody answers", "rejected"}
}

const third = "333333333333"

// canaryAndMain is a small input of two waves over three accounts and two regions.
func canaryAndMain(canary, main, run string) string {
	if !strings.Contains(run, `"budget"`) {
		run += tolerant
	}
	return `{"waves":[{"name":"canary","accounts":["` + first + `"],"regions":["us-east-1","us-west-2"]` + canary + `},
{"name":"main","accounts":["` + second + `","` + third + `"],"regions":["us-east-1","us-west-2"]` + main + `}]` + run + `}`
}

// tolerant lets the whole run fail: what stops it is the wave's own budgets.
const tolerant = `,"budget":{"maxFailedInstances":"100%"}`

// alone is a wave of one account and region, without a budget of the run.
func alone(more string) string {
	return strings.TrimSuffix(oneWave(more), "}") + tolerant + "}"
}

// room lets half of everything fail.
const room = `,"ssm":{"maxConcurrency":"50%","maxErrors":"50%"},"budget":{"maxFailedInstances":"50%","maxFailedAccounts":"100%","perAccount":"50%"}`

// inTrouble prepares a rehearsal of an input with the fleet everywhere alike.
func inTrouble(t *testing.T, input string, seed uint64, faults string, alike ...fleetfile.Instance) *rehearsal {
	t.Helper()
	o := options(t, input)
	o.Seed, o.Faults = seed, faults
	if len(alike) > 0 {
		here := fleetfile.Region{Instances: alike}
		accounts := map[string]fleetfile.Account{}
		for _, a := range []string{first, second, third} {
			accounts[a] = fleetfile.Account{Regions: map[string]fleetfile.Region{"us-east-1": here, "us-west-2": here}}
		}
		o.Fleet = fleetFile(t, accounts)
	}
	r, err := prepare(o)
	require.NoError(t, err)
	return r
}

func some(n int, fate fleetfile.Fate) fleetfile.Instance {
	return fleetfile.Instance{Name: string(fate), Fate: fate, Count: n}
}

// lambdaOf is the function of a binary.
func (r *rehearsal) lambdaOf(name string) *stage.Lambda {
	for _, l := range r.Lambdas {
		if l.Function.Handler == name {
			return l
		}
	}
	return nil
}

// abortAfter lets an operator abort the run.
func (r *rehearsal) abortAfter(d time.Duration, cancel bool) {
	r.World.After(d, func() {
		r.human.post(operatorName(0),
			approval.OperatorRequest{Run: r.options.RunID, Action: "abort", Reason: "fire", CancelInFlight: cancel})
	})
}

func troubles() []trouble {
	ok := func(n int) fleetfile.Instance { return some(n, fleetfile.FateOK) }
	return append([]trouble{
		{"calm", 2, func(t *testing.T, seed uint64) *rehearsal {
			return inTrouble(t, canaryAndMain(`,"healthGate":{"soakSeconds":600}`+room, room, `,"wavePauseSeconds":900`), seed, "", ok(4))
		}},
		{"wave by wave", 2, func(t *testing.T, seed uint64) *rehearsal {
			return inTrouble(t, canaryAndMain(`,"healthGate":{"soakSeconds":600}`+room, room, `,"wavePauseSeconds":3600,"approval":"perWave"`), seed, "", ok(4))
		}},
		{"storm", 8, func(t *testing.T, seed uint64) *rehearsal {
			return inTrouble(t, canaryAndMain(room, room, ""), seed, "storm", ok(5), some(1, fleetfile.FatePatchFails))
		}},
		{"lost answers to sends", 6, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(6))
			r.World.Faults = &targeted{Faults: r.faults, name: "ssm:SendCommand", after: 0.5}
			return r
		}},
		{"lost answers to sends, everything twice", 3, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(6))
			r.World.Faults = &targeted{Faults: r.faults, name: "ssm:SendCommand", after: 0.5}
			r.twice()
			return r
		}},
		{"lost sends", 6, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(6))
			r.World.Faults = &targeted{Faults: r.faults, name: "ssm:SendCommand", before: 0.5}
			return r
		}},
		{"everything twice", 3, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(4), some(1, fleetfile.FatePatchFails))
			r.twice()
			return r
		}},
		{"edited results", 2, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(3), some(1, fleetfile.FatePatchFails))
			r.editResults()
			return r
		}},
		{"every fate", 4, func(t *testing.T, seed uint64) *rehearsal {
			var all []fleetfile.Instance
			for _, f := range fleetfile.Fates() {
				all = append(all, some(1, f))
			}
			return inTrouble(t, alone(generous), seed, "", append(all, fleetfile.Instance{Name: "spare", Count: 2})...)
		}},
		{"every fate, one after the other", 4, func(t *testing.T, seed uint64) *rehearsal {
			var all []fleetfile.Instance
			for _, f := range fleetfile.Fates() {
				all = append(all, some(1, f))
			}
			in := `,"ssm":{"maxConcurrency":"3","maxErrors":"100%"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`
			return inTrouble(t, alone(in), seed, "", append(all, fleetfile.Instance{Name: "spare", Count: 2})...)
		}},
		{"every fate, scanned", 4, func(t *testing.T, seed uint64) *rehearsal {
			var all []fleetfile.Instance
			for _, f := range fleetfile.Fates() {
				all = append(all, some(2, f))
			}
			return inTrouble(t, alone(`,"ssm":{"operation":"Scan","maxErrors":"100%"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`), seed, "", all...)
		}},
		{"scan", 2, func(t *testing.T, seed uint64) *rehearsal {
			return inTrouble(t, alone(`,"ssm":{"operation":"Scan"}`), seed, "light", ok(4), some(2, fleetfile.FateStaleState), some(2, fleetfile.FateCompliant))
		}},
		{"target over its budget", 3, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"2","maxErrors":"1"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`
			return inTrouble(t, alone(in), seed, "", some(40, fleetfile.FatePatchFails))
		}},
		{"account over its budget", 3, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"2","maxErrors":"100%"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"5%"}`
			return inTrouble(t, alone(in), seed, "", some(40, fleetfile.FatePatchFails))
		}},
		{"wave over its budget", 3, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"2","maxErrors":"100%"},"budget":{"maxFailedInstances":"2","maxFailedAccounts":"100%","perAccount":"100%"}`
			return inTrouble(t, canaryAndMain(in, in, `,"budget":{"maxFailedInstances":"100%"},"approval":"none"`), seed, "", some(25, fleetfile.FatePatchFails))
		}},
		{"run over its budget", 3, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"2","maxErrors":"100%"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`
			return inTrouble(t, canaryAndMain(in, in, `,"budget":{"maxFailedInstances":"3"},"approval":"none"`), seed, "", some(25, fleetfile.FatePatchFails))
		}},
		{"bad wave", 2, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"100%","maxErrors":"100%"},"budget":{"maxFailedInstances":"2","maxFailedAccounts":"100%","perAccount":"100%"}`
			return inTrouble(t, canaryAndMain(in, in, `,"approval":"none"`), seed, "", some(4, fleetfile.FatePatchFails), ok(6))
		}},
		{"lost answers, forgotten commands", 4, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(generous, generous, `,"approval":"none"`), seed, "", fleetfile.Instance{Name: "fast", PatchSeconds: 200, RebootSeconds: 60}, fleetfile.Instance{Name: "dead", Fate: fleetfile.FateNoReturn, PatchSeconds: 200})
			r.World.Faults = &targeted{Faults: r.faults, name: "ssm:SendCommand", after: 0.7, lost: func(c *core.Call) {
				r.World.After(time.Second, func() { r.World.ForgetCommands(c.Account, c.Region) })
			}}
			return r
		}},
		{"lease taken by hand", 2, leaseByHand},
		{"one issue too many", 2, func(t *testing.T, seed uint64) *rehearsal {
			return inTrouble(t, canaryAndMain(generous, generous, `,"budget":{"maxFailedInstances":"100%"},"abortOnIssues":true`), seed, "", ok(3), some(1, fleetfile.FatePatchFails))
		}},
		{"killer patch", 4, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"10%","maxErrors":"5"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`
			r := inTrouble(t, alone(in), seed, "", ok(60))
			r.World.KillerPatch(fleetfile.Linux, 0.5)
			return r
		}},
		{"slow patches", 2, func(t *testing.T, seed uint64) *rehearsal {
			return inTrouble(t, alone(`,"ssm":{"maxConcurrency":"2","maxErrors":"3"}`), seed, "", fleetfile.Instance{Name: "slow", Count: 6, PatchSeconds: 6000})
		}},
		{"abort", 3, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"10%","maxErrors":"50%"}`
			r := inTrouble(t, alone(in), seed, "", ok(60))
			r.abortAfter(time.Duration(10+7*seed)*time.Minute, false)
			return r
		}},
		{"abort of what is at work", 6, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"50%","maxErrors":"50%"}`), seed, "", fleetfile.Instance{Name: "slow", Count: 20, PatchSeconds: 1800})
			r.abortAfter(time.Duration(50+15*seed)*time.Second, true)
			return r
		}},
		{"stopped by hand", 6, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, `,"approval":"none"`), seed, "", ok(4))
			r.World.After(time.Duration(seed*seed)*time.Minute, func() {
				require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand"))
			})
			return r
		}},
		{"stopped by hand and resumed at once", 8, resumedAtOnce},
		{"owner opts out", 2, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(4))
			r.World.After(30*time.Second, func() {
				for n, i := range r.World.Instances() {
					switch n % 4 {
					case 0:
						r.World.SetTags(i.ID, map[string]string{"PatchGroup": "default", plan.ExclusionTag: "yes"})
					case 1:
						r.World.StopInstance(i.ID)
					}
				}
			})
			return r
		}},
		{"gate without data", 2, func(t *testing.T, seed uint64) *rehearsal {
			gate := `,"healthGate":{"soakSeconds":28800,"alarms":["arn:aws:cloudwatch:us-east-1:` + first + `:alarm:errors"]}`
			r := inTrouble(t, canaryAndMain(gate+room, room, `,"approval":"none"`), seed, "", ok(3))
			require.NoError(t, r.World.AddAlarm(first, "us-east-1", "errors", estate.AlarmStep{State: "OK"},
				estate.AlarmStep{After: 5 * time.Hour, State: "INSUFFICIENT_DATA"}))
			return r
		}},
		{"gate turns red", 2, func(t *testing.T, seed uint64) *rehearsal {
			gate := `,"healthGate":{"soakSeconds":28800,"alarms":["arn:aws:cloudwatch:us-east-1:` + first + `:alarm:errors"]}`
			r := inTrouble(t, canaryAndMain(gate+room, room, `,"approval":"none"`), seed, "", ok(3))
			require.NoError(t, r.World.AddAlarm(first, "us-east-1", "errors", estate.AlarmStep{State: "OK"},
				estate.AlarmStep{After: 5 * time.Hour, State: "ALARM"}, estate.AlarmStep{After: 6 * time.Hour, State: "OK"}))
			return r
		}},
		{"forged decision", 1, forgedDecision},
		{"edited plan", 1, editedPlan},
		{"sent by hand", 1, sentByHand},
		{"nobody answers", 1, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(3))
			r.human.does = ApproveTimeout
			return r
		}},
		{"rejected", 1, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, `,"approval":"perWave"`), seed, "", ok(3))
			r.human.does = ApproveReject
			return r
		}},
		{"two runs", 4, twoRuns},
		{"overlapping waves", 2, func(t *testing.T, seed uint64) *rehearsal {
			wave := func(name string) string {
				return `{"name":"` + name + `","accounts":["` + first + `"],"regions":["us-east-1"]` + room + `}`
			}
			return inTrouble(t, `{"waves":[`+wave("a")+`,`+wave("b")+`]`+tolerant+`}`, seed, "", ok(4))
		}},
		{"replaced and tagged since", 3, replacedAndTagged},
		{"opposite orders", 4, oppositeOrders},
		{"dead run", 3, deadRun},
		{"stuck run", 3, stuckRun},
		{"abort as it sends", 3, abortAsItSends},
		{"everything again, a little later", 4, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", ok(6), some(1, fleetfile.FatePatchFails))
			r.again(5 * time.Minute)
			return r
		}},
		{"everything again, much later", 4, func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, `,"wavePauseSeconds":900,"approval":"perWave"`), seed, "light", ok(6), some(1, fleetfile.FatePatchFails))
			r.again(6 * time.Hour)
			return r
		}},
		{"closed as it sends", 3, closedAsItSends},
		{"cancelled from outside", 4, cancelledOutside},
		{"senders die", 6, sendersDie},
		{"two runs, one verifies", 1, twoRunsOneVerifies},
		{"two runs of one key", 1, twoRunsOfOneKey},
		{"nobody may send", 2, nobodyMaySend},
		{"sends lost beyond the budget", 3, lostBeyondBudget},
		{"red while it is patched", 2, redWhilePatched},
		{"slow start", 2, slowStart},
		{"taken back", 3, takenBack},
		{"listed late", 2, listedLate},
		{"half of two regions", 1, func(t *testing.T, seed uint64) *rehearsal {
			other := fleetfile.Instance{Name: "other", Tags: map[string]string{"PatchGroup": "other"}, Count: 6}
			return inTrouble(t, canaryAndMain(room, room, `,"guards":{"maxShare":"50%"}`), seed, "", ok(6), other)
		}},
	}, redrives()...)
}

// Every rule holds in every kind of trouble.
func TestWorlds(t *testing.T) {
	for _, w := range troubles() {
		t.Run(w.name, func(t *testing.T) {
			total := 0
			for seed := range w.seeds {
				r := w.make(t, seed+1)
				res, err := r.run()
				require.NoError(t, err)
				sent := res.APICalls["ssm:SendCommand"]
				total += sent
				// A storm may disable a key before anything is sent; not in each of its seeds.
				if w.name != "storm" && slices.Contains(silent(), w.name) != (sent == 0) {
					t.Errorf("seed %d: %d commands were sent, the run ended %s", seed+1, sent, res.Status)
				}
				for _, v := range append(res.Violations, r.rebuilt(t)...) {
					t.Errorf("seed %d, rule %s at %s: %s", seed+1, v.Rule, v.At, v.Detail)
				}
			}
			assert.Equal(t, slices.Contains(silent(), w.name), total == 0, "%d commands were sent", total)
		})
	}
}

// targeted loses one kind of call at a rate of its own.
type targeted struct {
	*stage.Faults
	name          string
	before, after float64
	dies          float64            // the process, as the answer comes
	lost          func(c *core.Call) // told of each answer that is lost, if set
}

func (f *targeted) Before(c *core.Call) error {
	if c.Name() == f.name && f.Rand.Float64() < f.before {
		return &core.ConnectionError{Call: c.Name()}
	}
	return f.Faults.Before(c)
}

func (f *targeted) After(c *core.Call) error {
	if f.dies > 0 && c.Name() == f.name && f.Rand.Float64() < f.dies {
		panic(core.Crash{Call: c.Name()})
	}
	if c.Name() == f.name && f.Rand.Float64() < f.after {
		if f.lost != nil {
			f.lost(c)
		}
		return &core.ConnectionError{Call: c.Name()}
	}
	return f.Faults.After(c)
}

// twice hands every event to its function two times: F-40.
func (r *rehearsal) twice() {
	r.checks.Meddled = true
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l := r.Lambdas[name]
		handle := l.Handle
		l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
			_, _ = handle(ctx, payload) // its answer is lost
			return handle(ctx, payload)
		}
	}
}

// editResults: somebody who can write to the bucket makes successes of all failures,
// in each result before an account's results are rolled up. T-35.
func (r *rehearsal) editResults() {
	r.checks.Meddled = true
	l := r.lambdaOf(lambdas.Verify)
	handle := l.Handle
	l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
		if bytes.Contains(payload, []byte(`"rollup"`)) {
			for _, key := range r.World.Objects(r.Bucket(), store.Prefix(r.options.RunID)+"results/") {
				data, _ := r.World.Object(r.Bucket(), key)
				if edited := bytes.ReplaceAll(data, []byte(`"outcome":"Failed"`), []byte(`"outcome":"Patched"`)); !bytes.Equal(edited, data) {
					r.World.PlaceObject(r.Bucket(), key, edited)
				}
			}
		}
		return handle(ctx, payload)
	}
}

// forgedDecision: nobody answers the mail, but somebody who can write to the
// table writes an approval into it, and ends the wait. T-35, T-63.
func forgedDecision(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", some(3, fleetfile.FateOK))
	r.human.does = ApproveTimeout
	r.World.After(20*time.Minute, func() {
		r.checks.Meddled = true
		id := decision.ApprovalID(r.options.RunID, "run")
		s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
		p := &core.Principal{Account: stage.HubAccount, RoleARN: r.lambdaOf(lambdas.ApprovalCallback).Function.RoleARN,
			SessionName: "intruder"}
		r.World.IgnoreIAM = true
		_, err := r.World.DynamoDB(p, stage.HubRegion).PutItem(context.Background(), &dynamodb.PutItemInput{
			TableName: aws.String(r.lambdaOf(lambdas.ApprovalCallback).Function.Environment["STATE_TABLE"]),
			Item: map[string]types.AttributeValue{
				"pk": s("APPROVAL#" + id), "sk": s("DECISION#intruder"), "approval": s(id), "decision": s("approve"),
				"identity": s("intruder"),
				"at":       s(r.World.Now().UTC().Format(time.RFC3339Nano)),
				"mac":      &types.AttributeValueMemberB{Value: make([]byte, 32)},
			},
		})
		r.World.IgnoreIAM = false
		require.NoError(t, err)
		r.checks.Found = nil // the intruder's own write
	})
	return r
}

// editedPlan: after the approval somebody adds an instance to a target's plan. T-65.
func editedPlan(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", some(3, fleetfile.FateOK),
		fleetfile.Instance{Name: "stranger", Tags: map[string]string{"PatchGroup": "other"}})
	r.checks.Meddled = true
	edited := false
	send := r.lambdaOf(lambdas.SendCommand)
	handle := send.Handle
	send.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
		if !edited {
			edited = true
			r.checks.LoadPlan(r.checks.Order[0])
			at := store.LeafObject(patch.Target{Run: r.options.RunID, Wave: "canary", Account: first, Region: region})
			data, ok := r.World.Object(r.Bucket(), at)
			require.True(t, ok)
			for _, i := range r.World.Instances() {
				if i.Tags["PatchGroup"] == "other" && i.Account == first && i.Region == region {
					for _, p := range r.checks.Order[0].Targets[patch.Target{Run: r.options.RunID, Wave: "canary", Account: first,
						Region: region}].Instances[:1] {
						data = []byte(replaceOnce(string(data), string(p.ID), i.ID))
					}
				}
			}
			r.World.PlaceObject(r.Bucket(), at, data)
		}
		return handle(ctx, payload)
	}
	return r
}

func replaceOnce(s, old, with string) string {
	for i := 0; i+len(old) <= len(s); i++ {
		if s[i:i+len(old)] == old {
			return s[:i] + with + s[i+len(old):]
		}
	}
	return s
}

// sentByHand: somebody invokes the sender before anybody approved.
func sentByHand(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, canaryAndMain(room, room, ""), seed, "", some(3, fleetfile.FateOK))
	r.human.does = ApproveTimeout
	r.World.After(20*time.Minute, func() {
		payload := fmt.Sprintf(`{"run":%q,"wave":"canary","account":%q,"region":%q}`, r.options.RunID, first, region)
		_, _, failure := r.lambdaOf(lambdas.SendCommand).Invoke([]byte(payload))
		_ = failure // refused, as it should be: the rules say whether it did anything
	})
	return r
}

// twoRuns: a second run over the same accounts begins a minute after the first.
func twoRuns(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, canaryAndMain(room, room, `,"approval":"none"`), seed, map[bool]string{true: "light"}[seed%2 == 0], some(3, fleetfile.FateOK))
	r.another(t, time.Minute)
	return r
}

// another starts a second run of the same input.
func (r *rehearsal) another(t *testing.T, after time.Duration) {
	r.alsoRun(t, after, r.options.RunID+"-again", string(r.options.Input))
}

// alsoRun starts a run of another input.
func (r *rehearsal) alsoRun(t *testing.T, after time.Duration, id patch.RunID, input string) {
	t.Helper()
	in, err := runinput.ParseInput([]byte(input), runinput.HubDefaults())
	require.NoError(t, err)
	r.checks.Expect(id, r.Demands.Of(in))
	r.open++ // it is awaited from the beginning
	r.World.After(after, func() {
		_, err := r.Engine.Start(asl.StartInput{
			Machine: r.Machine.Machine, MachineARN: r.Machine.MachineARN, MachineName: r.Machine.MachineName,
			RoleARN: r.Machine.RoleARN,
			Name:    string(id), Input: []byte(input),
		})
		require.NoError(t, err)
	})
}

// resumedAtOnce: a run is stopped by hand while its agents are at work, and
// seconds later another one goes on from it.
func resumedAtOnce(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, canaryAndMain(room, room, `,"approval":"none"`), seed, "", some(4, fleetfile.FateOK), some(1, fleetfile.FateHangs))
	at := time.Duration(2+seed*seed)*time.Minute + time.Duration(13*seed)*time.Second
	r.World.After(at, func() { require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand")) })
	input := strings.TrimSuffix(string(r.options.Input), "}") + `,"resume":"` + string(r.options.RunID) + `"}`
	// Step Functions shows the end by then
	r.alsoRun(t, at+time.Duration(5+seed)*time.Second, r.options.RunID+"-again", input)
	return r
}

// oppositeOrders: three runs whose waves take the same account-regions in
// different orders. Each holds one wave's leases at a time, so none can wait for
// another for ever: I-23.
func oppositeOrders(t *testing.T, seed uint64) *rehearsal {
	waves := func(accounts ...string) string {
		var all []string
		for _, a := range accounts {
			all = append(all, `{"name":"w`+a[:1]+`","accounts":["`+a+`"],"regions":["us-east-1","us-west-2"]`+room+`}`)
		}
		return `{"waves":[` + strings.Join(all, ",") + `],"approval":"none"` + tolerant + `}`
	}
	r := inTrouble(t, waves(first, second, third), seed, map[bool]string{true: "light"}[seed%2 == 0],
		some(4, fleetfile.FateOK))
	r.alsoRun(t, time.Duration(seed)*20*time.Second, "rehearsal-second", waves(third, second, first))
	r.alsoRun(t, time.Duration(seed)*5*time.Minute, "rehearsal-third", waves(second, third, first))
	return r
}

// deadRun: an execution ends and nobody is told, its agents still at work. The
// next run over the same accounts comes when its leases have run out.
func deadRun(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"2","maxErrors":"50%"}`), seed, "", fleetfile.Instance{Name: "slow", Count: 4, PatchSeconds: 4000})
	r.another(t, 40*time.Minute)
	r.World.After(5*time.Minute, func() {
		r.checks.Order[0].Abandoned, r.checks.Order[0].Ended = true, true
		onEnd := r.Engine.OnEnd
		r.Engine.OnEnd = func(x *asl.Execution) {
			if x.Parent == nil {
				r.open--
			}
		}
		require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "nobody is told"))
		r.Engine.OnEnd = onEnd
	})
	return r
}

// stuckRun: for a while none of a run's functions works, and its leases run out
// while its agents are at work. Another run over the same accounts is waiting.
func stuckRun(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"2","maxErrors":"50%"}`), seed, "", fleetfile.Instance{Name: "slow", Count: 4, PatchSeconds: 7000})
	r.another(t, 20*time.Minute)
	r.checks.Order[0].Abandoned, r.checks.Meddled = true, true // what becomes of its report is not the point
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l := r.Lambdas[name]
		handle := l.Handle
		l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
			if v := r.Virtual(); strings.Contains(string(payload), `"`+string(r.options.RunID)+`"`) && v > 5*time.Minute && v < 3*time.Hour {
				return nil, messages.InvokeResponse_Error{Type: string(patch.ErrUnavailable), Message: "nothing works"}
			}
			return handle(ctx, payload)
		}
	}
	return r
}

// leaseByHand: an operator gives the account-region to somebody else while
// agents are at work. What runs may end; nothing more may be sent.
func leaseByHand(t *testing.T, seed uint64) *rehearsal {
	r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"2","maxErrors":"50%"}`), seed, "", some(20, fleetfile.FateOK))
	r.World.After(time.Duration(9+seed)*time.Minute, func() {
		s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
		n := func(v int) types.AttributeValue { return &types.AttributeValueMemberN{Value: fmt.Sprint(v)} }
		l := r.checks.Tables.Leases[first+"/"+region]
		r.checks.HandedOver = true
		r.World.IgnoreIAM = true
		_,
			err := r.World.DynamoDB(&core.Principal{Account: stage.HubAccount,
			RoleARN: "arn:aws:iam::" + stage.HubAccount + ":role/Admin", SessionName: "admin"},
			stage.HubRegion).PutItem(context.Background(), &dynamodb.PutItemInput{
			TableName: aws.String(r.lambdaOf(lambdas.SendCommand).Function.Environment["STATE_TABLE"]),
			Item: map[string]types.AttributeValue{
				"pk": s("LEASE#" + first + "#" + region), "sk": s("LEASE"), "run": s("somebody-else"), "fence": n(l.Fence + 1),
				"version":      n(1000),
				"leaseExpires": s(r.World.Now().Add(100 * time.Hour).UTC().Format(time.RFC3339Nano)),
			},
		})
		r.World.IgnoreIAM = false
		require.NoError(t, err)
		r.checks.Found = nil // what the operator did
	})
	return r
}

// replacedAndTagged: while a run is at work, Auto Scaling groups replace machines,
// and somebody tags machines that were none of its. The second wave selects what
// the first one does, and more. F-30, T-55.
func replacedAndTagged(t *testing.T, seed uint64) *rehearsal {
	wave := func(name, tags string) string {
		return `{"name":"` + name + `","accounts":["` + first + `"],"regions":["us-east-1","us-west-2"],"filters":{"tags":{"PatchGroup":` + tags + `}}` + generous + `}`
	}
	other := func(name, group string, n int) fleetfile.Instance {
		return fleetfile.Instance{Name: name, Tags: map[string]string{"PatchGroup": group, "aws:autoscaling:groupName": name},
			Count: n}
	}
	r := inTrouble(t, `{"waves":[`+wave("few", `["few"]`)+`,`+wave("all", `["default","few"]`)+`]`+tolerant+`}`, seed, map[bool]string{true: "light"}[seed%2 == 0],
		some(4, fleetfile.FateOK), some(2, fleetfile.FateASGReplaced), some(1, fleetfile.FateOffline), other("few", "few", 3),
		other("victim", "other", 2))
	tag := func(group string) func() {
		return func() {
			for _, i := range r.World.Instances() {
				if i.Tags["PatchGroup"] == "other" {
					r.World.SetTags(i.ID, map[string]string{"PatchGroup": group})
					return
				}
			}
		}
	}
	r.World.After(2*time.Minute, tag("default"))
	r.World.After(3*time.Minute, tag("few"))
	r.World.After(20*time.Second, func() {
		for _, i := range r.World.Instances() {
			if strings.HasPrefix(i.Name, "few") {
				r.World.ReplaceInstance(i.ID)
				return
			}
		}
	})
	return r
}
