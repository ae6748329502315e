package sim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/fleetfile"
)

// unusedRights are the rights that no rehearsal needs, by the end of their
// policy's name and Sid, and why they stand in the templates all the same.
func unusedRights() map[string]string {
	return map[string]string{
		"logs/WriteOwnLogs":               "the runtime writes the logs, the rehearsal has no runtime",
		"logs/DeliverLogs":                "Step Functions sets up its log delivery when the machine is created",
		"key/EncryptExecutions":           "Step Functions encrypts executions itself",
		"key/EncryptLogDelivery":          "Step Functions encrypts delivered logs itself",
		"accounts/FollowAndStopChildren":  "Step Functions follows its children, and stops them with their parent",
		"key/ReadTargets":                 "Step Functions decrypts the end of an execution that it waits for",
		"targets/HearOfTargets":           "Step Functions makes its rule when the machine is created",
		"accounts/WriteResultsOfChildren": "a large result is uploaded in parts, which may be given up",
		"PollSsmCommandRole/key/DecryptOwnData": "DynamoDB decrypts for its caller, which the simulated one does not " +
			"ask for",
		"PostEC2VerifyRole/key/EncryptOwnData":       "needed where a report is stored",
		"SendApprovalRequestRole/key/DecryptOwnData": "DynamoDB and S3 decrypt for their caller",
	}
}

// excused finds the reason of a right that was not used.
func excused(right string) bool {
	for _, part := range slices.Sorted(maps.Keys(unusedRights())) {
		if strings.Contains(right, part+" ") {
			return true
		}
	}
	return false
}

// corpus is every rehearsal whose calls are held against the policies.
func corpus(t *testing.T) []*rehearsal {
	t.Helper()
	var all []*rehearsal
	add := func(o Options, before func(*rehearsal)) {
		r, err := prepare(o)
		require.NoError(t, err)
		if before != nil {
			before(r)
		}
		_, err = r.run()
		require.NoError(t, err)
		all = append(all, r)
	}
	for _, file := range exampleFiles(t) {
		o := options(t, string(read(t, file)))
		if strings.Contains(string(o.Input), "perWave") {
			add(o, nil) // under a storm it may not come as far as its second wave
		}
		o.Faults = "storm" // what is done only after trouble is needed too
		add(o, nil)
	}
	add(alarmed(t), nil)
	add(alarmed(t), func(r *rehearsal) {
		r.World.OnMail = func(m backing.Mail) { // somebody goes on all the same
			r.human.mail(m)
			r.human.doubts = false
		}
	})
	add(overBudget(t), nil)
	o := options(t, oneWave(""))
	add(o, func(r *rehearsal) { r.World.After(300e9, func() { r.abort(t) }) })
	add(o, func(r *rehearsal) { r.forgetRun(t) })
	add(o, func(r *rehearsal) { // reported without results
		r.World.After(20*60e9, func() {
			require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand"))
		})
	})
	add(o, func(r *rehearsal) { // redriven at once
		r.World.After(5*60e9, func() {
			require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand"))
		})
		r.redriven(t, 1e9, 1)
	})
	return all
}

// alarmed is a run whose health gate has a green alarm in a spoke, and one in the hub that turns red while the wave is
// patched: senders and polls look at both.
func alarmed(t *testing.T) Options {
	arn := func(account, name string) string {
		return "arn:aws:cloudwatch:" + region + ":" + account + ":alarm:" + name
	}
	o := options(t, `{"waves":[{"name":"w","accounts":["`+first+`"],"regions":["`+region+`"],
		"healthGate":{"alarms":["`+arn(first, "errors")+`","`+arn(stage.HubAccount, "errors")+`"]}}]}`)
	alarm := func(later string) []fleetfile.Alarm {
		return []fleetfile.Alarm{{Name: "errors",
			Script: []fleetfile.AlarmStep{{State: "OK"}, {AfterSeconds: 900, State: later}}}}
	}
	o.Fleet = fleetFile(t, map[string]fleetfile.Account{
		first: {Regions: map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Count: 2}},
			Alarms: alarm("OK")}}},
		stage.HubAccount: {Regions: map[string]fleetfile.Region{region: {Alarms: alarm("ALARM")}}},
	})
	return o
}

// overBudget is a run that stops itself while instances are queued.
func overBudget(t *testing.T) Options {
	o := options(t, oneWave(`,"ssm":{"maxConcurrency":"10%","maxErrors":"0"}`))
	o.Fleet = fleet(t, fleetfile.Instance{Name: "bad", Count: 3, Fate: fleetfile.FatePatchFails, PatchSeconds: 60},
		fleetfile.Instance{Name: "web", Count: 60})
	return o
}

// abort is an operator who stops the run and what is in flight.
func (r *rehearsal) abort(t *testing.T) {
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "POST /operator", RawPath: "/operator",
		Headers: map[string]string{"host": "api", "content-type": "application/json"},
		Body:    `{"action":"abort","run":"` + string(r.options.RunID) + `","reason":"rehearsal","cancelInFlight":true}`,
	}
	e.RequestContext.RouteKey, e.RequestContext.Stage, e.RequestContext.DomainName = e.RouteKey, "$default", "api"
	e.RequestContext.HTTP.Method, e.RequestContext.HTTP.Path = "POST", "/operator"
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: "arn:aws:sts::" + stage.HubAccount +
			":assumed-role/Operators/ann", AccountID: stage.HubAccount},
	}
	res := r.human.send(e)
	assert.Equal(t, 200, res.StatusCode, res.Body)
}

// forgetRun leaves an open run behind whose execution is long gone.
func (r *rehearsal) forgetRun(t *testing.T) {
	payload, err := json.Marshal(map[string]any{
		"task": "plan", "run": "forgotten",
		"executionArn": strings.Replace(r.Machine.MachineARN, "stateMachine", "execution", 1) + ":forgotten",
		"startedAt":    r.Start, "input": json.RawMessage(r.options.Input),
	})
	require.NoError(t, err)
	for _, l := range r.Lambdas {
		if l.Function.Handler == lambdas.Inventory {
			_, _, failure := l.Invoke(payload)
			require.Nil(t, failure)
		}
	}
}

// Every right of the templates is used by some rehearsal, and no call of any
// is denied but those that open sessions in accounts that let nobody in.
func TestPolicies_noneUnused(t *testing.T) {
	used, all := map[string]bool{}, map[string]bool{}
	for _, r := range corpus(t) {
		left := r.World.Coverage.Unused(r.Policies...)
		for _, p := range r.Policies {
			for _, u := range p.Uses() {
				if !u.Statement.Allow {
					continue
				}
				right := u.Statement.Label() + " " + u.Pattern
				all[right] = true
				if !slices.Contains(left, u) {
					used[right] = true
				}
			}
		}
		for _, d := range r.World.Ledger.Denied {
			expired := strings.Contains(d, "token included in the request is")
			assert.True(t, expired || strings.Contains(d, "sts:AssumeRole"), "denied: %s", d)
		}
	}
	require.NotEmpty(t, used)
	for _, right := range slices.Sorted(maps.Keys(all)) {
		assert.True(t, used[right] || excused(right), "no rehearsal needs %s: drop it or say why it stands", right)
	}
	for part := range unusedRights() {
		stands := slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(right string) bool {
			return strings.Contains(right, part+" ")
		})
		assert.True(t, stands, "%s is excused and does not exist", part)
	}
}

// A policy that lacks a right is noticed.
func TestPolicies_missingRightIsNoticed(t *testing.T) {
	o := options(t, oneWave(""))
	o.Spoke,
		o.templates = []byte(strings.Replace(string(o.Spoke), "\n                  - ssm:DescribeInstancePatchStates\n", "\n",
		1)), nil
	res := rehearse(t, o)
	assert.Contains(t, rules(res.Violations), "R-14")
	assert.NotEqual(t, patch.RunSucceeded, res.Status)
}
