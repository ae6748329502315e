package sim

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
	"ec2patch/internal/store"
	"ec2patch/internal/wire"
)

// bug is a mistake that is put into a rehearsal; the checks must see it.
type bug struct {
	name, rule string
	approve    Approve
	plant      func(*planted)
}

// planted is a rehearsal with a bug in it.
type planted struct {
	*rehearsal
	t *testing.T
}

// send is a command that the product never decided on.
func (p *planted) send(account, comment string, ids ...string) {
	_, err := p.World.SSM(p.insider(account), region).SendCommand(context.Background(), &ssm.SendCommandInput{
		DocumentName: aws.String(patch.Document), InstanceIds: ids, Comment: aws.String(comment),
		TimeoutSeconds: aws.Int32(3600),
		MaxConcurrency: aws.String("50"), MaxErrors: aws.String("50"),
		Parameters: map[string][]string{"Operation": {"Install"}, "RebootOption": {"RebootIfNeeded"},
			"SnapshotId": {plan.SnapshotID(patch.Target{})}},
	})
	require.NoError(p.t, err)
}

// insider is a session of the spoke's role that nobody asked for.
func (p *planted) insider(account string) *core.Principal {
	s, err := p.World.Session("arn:aws:iam::"+account+":role/PatchExecRole", "insider")
	require.NoError(p.t, err)
	return s
}

// planned lists a wave's planned instances, those of the first n that match.
func (p *planted) planned(wave, account string) []string {
	leaf, ok := p.Leaf(patch.Target{Run: p.options.RunID, Wave: wave, Account: patch.AccountID(account), Region: region})
	require.True(p.t, ok, "the plan is not frozen yet")
	var ids []string
	for _, i := range leaf.Instances {
		ids = append(ids, string(i.ID))
	}
	return ids
}

// after runs f some seconds into the rehearsal.
func (p *planted) after(seconds int, f func()) {
	p.World.After(time.Duration(seconds)*time.Second, f)
}

// onFirstSend runs f a moment after the product's first command was accepted.
func (p *planted) onFirstSend(f func(in *ssm.SendCommandInput)) {
	watch, done := p.World.OnMutating, false
	p.World.OnMutating = func(e core.Entry) {
		watch(e)
		if in, ok := e.Input.(*ssm.SendCommandInput); ok && !done {
			done = true
			p.after(1, func() { f(in) })
		}
	}
}

// wrap puts f between a function and whoever calls it.
func (p *planted) wrap(handler string, f func(payload []byte, next wire.Handler) ([]byte, error)) {
	for _, l := range p.Lambdas {
		if l.Function.Handler == handler {
			next := l.Handle
			l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
				return f(payload, func(_ context.Context, payload []byte) ([]byte, error) { return next(ctx, payload) })
			}
		}
	}
}

// believe lets the product read the input with one text replaced by another;
// the checks know the real one.
func (p *planted) believe(real, false string) {
	require.Contains(p.t, string(p.options.Input), real)
	p.wrap(lambdas.Inventory, func(payload []byte, next wire.Handler) ([]byte, error) {
		return next(context.Background(), []byte(strings.Replace(string(payload), real, false, 1)))
	})
}

// rewrite changes the state table behind everybody's back.
func (p *planted) rewrite(items ...types.TransactWriteItem) {
	p.World.IgnoreIAM = true
	defer func() { p.World.IgnoreIAM = false }()
	_,
		err := p.World.DynamoDB(p.machinePrincipal(), stage.HubRegion).TransactWriteItems(context.Background(),
		&dynamodb.TransactWriteItemsInput{TransactItems: items})
	require.NoError(p.t, err)
}

func (p *planted) machinePrincipal() *core.Principal {
	who, err := p.World.Session(p.Machine.RoleARN, "states")
	require.NoError(p.t, err)
	return who
}

// table is the name of the state table.
func (p *planted) table() *string {
	for _, f := range p.Hub.Functions() {
		if name := f.Environment["STATE_TABLE"]; name != "" {
			return &name
		}
	}
	p.t.Fatal("no function knows the state table")
	return nil
}

func rowKey(k store.Key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: k.PK},
		"sk": &types.AttributeValueMemberS{Value: k.SK}}
}

// report changes the report right after it was written.
func (p *planted) report(change func(*report.Report)) {
	p.wrap(lambdas.Verify, func(payload []byte, next wire.Handler) ([]byte, error) {
		out, err := next(context.Background(), payload)
		key := store.ReportObject(p.options.RunID, "json")
		data, ok := p.World.Object(p.Bucket(), key)
		if !ok || err != nil {
			return out, err
		}
		var r report.Report
		require.NoError(p.t, json.Unmarshal(data, &r))
		change(&r)
		data, err = json.Marshal(r)
		require.NoError(p.t, err)
		p.World.PlaceObject(p.Bucket(), key, data)
		return out, nil
	})
}

const twoWaves = `{"waves":[
	{"name":"a","accounts":["` + first + `"],"regions":["` + region + `"],"ssm":{"maxConcurrency":"2","maxErrors":"5"}},
	{"name":"b","accounts":["` + second + `"],"regions":["` + region + `"]}],
	"budget":{"maxFailedInstances":"100%"},"wavePauseSeconds":900,"approval":"once"}`

func bugs() []bug {
	marker := "ec2patch " + strings.Repeat("0", 40) + " b1"
	return []bug{
		{"a command is sent twice", "R-01", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(in *ssm.SendCommandInput) { p.send(first, *in.Comment, in.InstanceIds...) })
		}},
		{"an instance outside of the wave's plan", "R-02", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(in *ssm.SendCommandInput) { p.send(second, *in.Comment, p.planned("b", second)[0]) })
		}},
		{"nobody is asked", "R-02", ApproveAuto, func(p *planted) { p.believe(`"approval":"once"`, `"approval":"none"`) }},
		{"too many at once", "R-03", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(in *ssm.SendCommandInput) { p.send(first, *in.Comment, p.planned("a", first)[4:]...) })
		}},
		{"the abort is forgotten", "R-04", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(*ssm.SendCommandInput) {
				p.abort(p.t)
				p.rewrite(types.TransactWriteItem{Delete: &types.Delete{TableName: p.table(),
					Key: rowKey(store.AbortKey(p.options.RunID))}})
			})
		}},
		{"the report lacks a line", "R-05", ApproveAuto, func(p *planted) {
			p.report(func(r *report.Report) { r.Instances = slices.Delete(r.Instances, 1, 2) })
		}},
		{"the report has a line twice", "R-05", ApproveAuto, func(p *planted) {
			p.report(func(r *report.Report) { r.Instances = append(r.Instances, r.Instances[0]) })
		}},
		{"the pause is left out", "R-06", ApproveAuto, func(p *planted) { p.believe(`"wavePauseSeconds":900`, `"wavePauseSeconds":0`) }},
		{"a failure is called a success", "R-07", ApproveAuto, func(p *planted) {
			_, err := p.World.AddInstance(world.InstanceSpec{
				Account: first, Region: region, Name: "fails", Tags: map[string]string{"PatchGroup": "default"},
				Fate: fleetfile.FatePatchFails,
			})
			require.NoError(p.t, err)
			p.report(func(r *report.Report) {
				for i := range r.Instances {
					if r.Instances[i].Outcome == outcome.Failed {
						r.Instances[i].Outcome = outcome.Patched
					}
				}
			})
		}},
		{"opening the page writes", "R-08", ApproveAuto, func(p *planted) {
			p.wrap(lambdas.ApprovalCallback, func(payload []byte, next wire.Handler) ([]byte, error) {
				if strings.Contains(string(payload), `"GET /callback"`) {
					p.rewrite(types.TransactWriteItem{Put: &types.Put{TableName: p.table(),
						Item: rowKey(store.Key{PK: "APPROVAL#opened", SK: "NOTE"})}})
				}
				return next(context.Background(), payload)
			})
		}},
		{"the fence of a lease shrinks", "R-09", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(*ssm.SendCommandInput) {
				row := rowKey(store.LeaseKey(first, region))
				row["fence"], row["version"] = &types.AttributeValueMemberN{Value: "0"}, &types.AttributeValueMemberN{Value: "9"}
				p.rewrite(types.TransactWriteItem{Put: &types.Put{TableName: p.table(), Item: row}})
			})
		}},
		{"a command without intent and audit", "R-10", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(*ssm.SendCommandInput) { p.send(first, marker, p.planned("a", first)[6]) })
		}},
		{"no report is written", "R-12", ApproveAuto, func(p *planted) {
			p.wrap(lambdas.Verify, func(payload []byte, next wire.Handler) ([]byte, error) {
				if strings.Contains(string(payload), `"report"`) {
					return []byte(`{"next":"done","status":"Succeeded","cause":"","error":"","cursor":0}`), nil
				}
				return next(context.Background(), payload)
			})
		}},
		{"a payload that grows", "R-13", ApproveAuto, func(p *planted) {
			p.wrap(lambdas.Poll, func(payload []byte, next wire.Handler) ([]byte, error) {
				out, err := next(context.Background(), payload)
				return []byte(strings.Replace(string(out), "{", `{"list":"`+strings.Repeat("x", 17<<10)+`",`, 1)), err
			})
		}},
		{"two waves plan an instance", "I-08", ApproveAuto, func(p *planted) {
			p.wrap(lambdas.ApprovalRequest, func(payload []byte, next wire.Handler) ([]byte, error) {
				leaf, ok := p.Leaf(p.target("b", second))
				require.True(p.t, ok)
				other, ok := p.Leaf(p.target("a", first))
				require.True(p.t, ok)
				leaf.Instances = append(leaf.Instances, other.Instances[0])
				data, err := json.Marshal(leaf)
				require.NoError(p.t, err)
				p.World.PlaceObject(p.Bucket(), store.LeafObject(p.target("b", second)), data)
				return next(context.Background(), payload)
			})
		}},
		{"a scan installs", "I-10", ApproveAuto, func(p *planted) { p.checks.Order[0].Input.DryRun = true }},
		{"a command lands by another account's role", "I-11", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(in *ssm.SendCommandInput) {
				stranger := *p.insider(second)
				stranger.Account = first
				p.World.IgnoreIAM = true
				defer func() { p.World.IgnoreIAM = false }()
				_,
					err := p.World.SSM(&stranger, region).CancelCommand(context.Background(),
					&ssm.CancelCommandInput{CommandId: aws.String(p.lastCommand())})
				require.NoError(p.t, err)
			})
		}},
		{"a row is deleted", "I-12", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(*ssm.SendCommandInput) {
				p.World.IgnoreIAM = true
				defer func() { p.World.IgnoreIAM = false }()
				_,
					err := p.World.DynamoDB(p.machinePrincipal(), stage.HubRegion).DeleteItem(context.Background(),
					&dynamodb.DeleteItemInput{TableName: p.table(), Key: rowKey(store.LeaseKey("444444444444", region))})
				require.NoError(p.t, err)
			})
		}},
		{"the report is about another plan", "I-33", ApproveAuto, func(p *planted) {
			p.report(func(r *report.Report) { r.PlanDigest = strings.Repeat("0", 64) })
		}},
		{"a verdict changes", "I-48", ApproveAuto, func(p *planted) {
			judged := false
			p.wrap(lambdas.Verify, func(payload []byte, next wire.Handler) ([]byte, error) {
				out, err := next(context.Background(), payload)
				if !judged && strings.Contains(string(out), `"good"`) {
					judged = true
					row := rowKey(store.WaveKey(p.options.RunID, "a"))
					row["verdict"] = &types.AttributeValueMemberS{Value: "stop"}
					p.rewrite(types.TransactWriteItem{Put: &types.Put{TableName: p.table(), Item: row}})
				}
				return out, err
			})
		}},
		{"a row expires tomorrow", "I-50", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(*ssm.SendCommandInput) {
				row := rowKey(store.Key{PK: "RUN#" + string(p.options.RunID), SK: "NOTE"})
				row["expires"] = &types.AttributeValueMemberN{Value: strconv.FormatInt(p.World.Now().Add(24*time.Hour).Unix(), 10)}
				p.rewrite(types.TransactWriteItem{Put: &types.Put{TableName: p.table(), Item: row}})
			})
		}},
		{"a session without a policy", "I-60", ApproveAuto, func(p *planted) {
			p.onFirstSend(func(*ssm.SendCommandInput) { p.send(first, marker, p.planned("a", first)[6]) })
		}},
	}
}

// target is one of the run's, in the first region.
func (p *planted) target(wave string, account patch.AccountID) patch.Target {
	return patch.Target{Run: p.options.RunID, Wave: wave, Account: account, Region: region}
}

// lastCommand is the id of the only command so far.
func (p *planted) lastCommand() string {
	ids := slices.Sorted(maps.Keys(p.checks.Commands))
	require.NotEmpty(p.t, ids)
	return ids[0]
}

// Each rule has a bug that breaks it, and the checks see it. Rules 11 and 15
// are held by tests of their own, rule 14 by that of the policies.
func TestChecks_seeEachBug(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range bugs() {
		t.Run(b.rule+" "+b.name, func(t *testing.T) {
			o := options(t, twoWaves)
			o.Approve = b.approve
			r, err := prepare(o)
			require.NoError(t, err)
			b.plant(&planted{r, t})
			res, err := r.run()
			require.NoError(t, err)
			assert.Contains(t, rules(res.Violations), b.rule, "%v", res.Violations)
		})
		seen[b.rule] = true
	}
	assert.Len(t, seen, 20)
}

// Without a bug the same rehearsal breaks nothing.
func TestChecks_calm(t *testing.T) {
	for _, b := range []Approve{ApproveAuto, ApproveReject} {
		o := options(t, twoWaves)
		o.Approve = b
		assert.Empty(t, rehearse(t, o).Violations)
	}
}
