package sim

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// between lets something happen while a sender is between its last look at the
// run and the write of an intent.
type between struct {
	*stage.Faults
	intents int // left until it happens
	then    func()
}

func (f *between) Before(c *core.Call) error {
	if writesIntent(c) {
		if f.intents--; f.intents == 0 {
			f.then()
		}
	}
	return f.Faults.Before(c)
}

// writesIntent tells whether a call announces a send.
func writesIntent(c *core.Call) bool {
	in, ok := c.Input.(*dynamodb.TransactWriteItemsInput)
	if !ok {
		return false
	}
	for _, a := range in.TransactItems {
		if a.Put != nil && strings.HasPrefix(check.Attribute(a.Put.Item, "sk"), "SEND#") &&
			check.Attribute(a.Put.Item, "commandId") == "" {
			return true
		}
	}
	return false
}

// abortAsItSends: the run is aborted when a sender has read that it goes on, and
// has not written its intent yet.
func abortAsItSends(t *testing.T, seed uint64) *rehearsal {
	t.Helper()
	r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"2","maxErrors":"50%"}`), seed, "", some(8, fleetfile.FateOK))
	r.World.Faults = &between{Faults: r.faults, intents: int(seed) + 1, then: func() {
		r.human.post(operatorName(0), approval.OperatorRequest{Run: r.options.RunID, Action: "abort", Reason: "fire"})
		if r.checks.Order[0].Aborted.IsZero() {
			t.Error("nothing was aborted")
		}
	}}
	return r
}

// closedAsItSends: the run's row says that it is closed when a sender has read
// that it goes on, and has not written its intent yet.
func closedAsItSends(t *testing.T, seed uint64) *rehearsal {
	t.Helper()
	r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"2","maxErrors":"50%"}`), seed, "", some(8, fleetfile.FateOK))
	r.World.Faults = &between{Faults: r.faults, intents: int(seed) + 1, then: func() {
		s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
		send := r.lambdaOf(lambdas.SendCommand).Function
		table := r.World.DynamoDB(&core.Principal{Account: stage.HubAccount, RoleARN: send.RoleARN, SessionName: "close"},
			stage.HubRegion)
		_, err := table.UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
			TableName:        aws.String(send.Environment["STATE_TABLE"]),
			Key:              check.Item{"pk": s("RUN#" + string(r.options.RunID)), "sk": s("META")},
			UpdateExpression: aws.String("SET runStatus = :is ADD version :one"),
			ExpressionAttributeValues: check.Item{":is": s(string(patch.RunAborted)),
				":one": &types.AttributeValueMemberN{Value: "1"}},
		})
		require.NoError(t, err)
		r.checks.Tables.Status[string(r.options.RunID)] = string(patch.RunAborted)
		r.World.After(0, func() { require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand")) })
	}}
	return r
}

// again hands every event to its function a second time, up to so much later:
// Lambda and EventBridge deliver at least once, and say nothing of when. F-40.
func (r *rehearsal) again(within time.Duration) {
	r.checks.Meddled = true
	rand := r.World.Rand("events again")
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l := r.Lambdas[name]
		late := *l // a process of its own
		handle := l.Handle
		l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
			event := bytes.Clone(payload)
			r.open++ // nobody goes home before it came
			r.World.After(time.Duration(rand.Int64N(int64(within))), func() {
				late.Invoke(event)
				r.open--
			})
			return handle(ctx, payload)
		}
	}
}

// cancelledOutside: somebody cancels commands in the console, a moment after
// their agents began and before anybody of ours has looked.
func cancelledOutside(t *testing.T, seed uint64) *rehearsal {
	t.Helper()
	r := inTrouble(t, alone(`,"ssm":{"maxConcurrency":"50%","maxErrors":"100%"}`), seed, "", fleetfile.Instance{Name: "slow", Count: 8, PatchSeconds: 1800})
	admin := &core.Principal{Account: first, RoleARN: "arn:aws:iam::" + first + ":role/Admin", SessionName: "admin"}
	r.World.OnAgentEvent = func(e world.AgentEvent) {
		r.agentEvent(e)
		if e.Kind != world.AgentStarted {
			return
		}
		r.World.After(time.Duration(seed)*time.Second, func() {
			found := r.checks.Found
			r.World.IgnoreIAM = true
			_, err := r.World.SSM(admin, region).CancelCommand(context.Background(), &ssm.CancelCommandInput{
				CommandId: aws.String(e.CommandID), InstanceIds: []string{e.InstanceID},
			})
			r.World.IgnoreIAM = false
			require.NoError(t, err)
			r.checks.Found = found // what the admin did
		})
	}
	return r
}

var _ core.Faults = (*between)(nil)
