package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/store"
	"ec2patch/internal/wire"
)

// thief has the credentials of one function, and nothing of its code.
type thief struct {
	t    *testing.T
	r    *rehearsal
	role *core.Principal
}

func (r *rehearsal) thief(t *testing.T, handler string) thief {
	t.Helper()
	for _, l := range r.Lambdas {
		if l.Function.Handler == handler {
			role, err := r.World.Session(l.Function.RoleARN, "thief")
			require.NoError(t, err)
			return thief{t, r, role}
		}
	}
	require.Fail(t, "no function runs "+handler)
	return thief{}
}

// put writes an object, over another if there is one.
func (x thief) put(key string, data []byte) error {
	_, err := x.r.World.S3(x.role, stage.HubRegion).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(x.r.Bucket()), Key: aws.String(key), Body: bytes.NewReader(data)})
	return err
}

// create writes an object where there is none.
func (x thief) create(key string, data []byte) error {
	_, err := x.r.World.S3(x.role, stage.HubRegion).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(x.r.Bucket()), Key: aws.String(key), Body: bytes.NewReader(data),
		IfNoneMatch: aws.String("*")})
	return err
}

// row reads a row of the state table, and item puts one.
func (x thief) row(key store.Key) map[string]types.AttributeValue {
	out, err := x.r.World.DynamoDB(x.role, stage.HubRegion).GetItem(context.Background(), &dynamodb.GetItemInput{
		TableName: aws.String(x.r.table()), ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: key.PK},
			"sk": &types.AttributeValueMemberS{Value: key.SK}}})
	require.NoError(x.t, err)
	return out.Item
}

func (x thief) item(row map[string]types.AttributeValue) error {
	_, err := x.r.World.DynamoDB(x.role, stage.HubRegion).PutItem(context.Background(),
		&dynamodb.PutItemInput{TableName: aws.String(x.r.table()), Item: row})
	return err
}

// table is the state table's name.
func (r *rehearsal) table() string {
	for _, t := range r.Hub.OfType("AWS::DynamoDB::Table") {
		if strings.HasSuffix(t.Name, "-state") {
			return t.Name
		}
	}
	return ""
}

// instead puts a function's code in the place of another's, around the one that was there.
func (r *rehearsal) instead(handler string, do func(payload []byte, real wire.Handler) ([]byte, error)) {
	for _, l := range r.Lambdas {
		if real := l.Handle; l.Function.Handler == handler {
			l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
				return do(payload, func(_ context.Context, p []byte) ([]byte, error) { return real(ctx, p) })
			}
		}
	}
}

// demanding gives functions another environment than their stack.
func (r *rehearsal) demanding(t *testing.T, approval string, handlers ...string) {
	t.Helper()
	for _, f := range r.Hub.Functions() {
		if slices.Contains(handlers, f.Handler) {
			f.Environment = maps.Clone(f.Environment)
			f.Environment["MINIMUM_APPROVAL"] = approval
			l, err := r.NewLambda(f)
			require.NoError(t, err)
			r.Lambdas[f.Name] = l
		}
	}
}

// foiled runs to the end, and fails where anything was sent that nobody had approved.
func (r *rehearsal) foiled(t *testing.T) {
	t.Helper()
	res, err := r.run()
	require.NoError(t, err)
	for _, v := range res.Violations {
		if v.Rule == "R-02" || v.Rule == "I-31" {
			t.Errorf("rule %s at %s: %s", v.Rule, v.At, v.Detail)
		}
	}
	assert.NotContains(t, res.APICalls, "ssm:SendCommand")
	assert.Contains(t, []patch.RunStatus{patch.RunFailed, patch.RunStopped}, res.Status)
}

// sealed makes a plan's index again so that nobody is asked, and gives it the digest that it then has.
func (x thief) sealed(data []byte) plan.Index {
	var index plan.Index
	require.NoError(x.t, json.Unmarshal(data, &index))
	index.Terms.Approval = runinput.ApproveNone
	for i := range index.Waves {
		index.Waves[i].AskScope = "none"
	}
	require.NoError(x.t, index.Seal())
	return index
}

// The inventory's role cannot write over a plan that is frozen, nor over what it was made of.
func TestThief_rewritesThePlan(t *testing.T) {
	o := options(t, strings.Replace(oneWave(""), `"none"`, `"once"`, 1))
	r, err := prepare(o)
	require.NoError(t, err)
	tried := 0
	r.World.After(5*60e9, func() { // people are being asked
		x := r.thief(t, lambdas.Inventory)
		for _, key := range r.World.Objects(r.Bucket(), store.Prefix(o.RunID)) {
			if !strings.Contains(key, "/plan/") && !strings.Contains(key, "/inventory/") &&
				!strings.HasSuffix(key, "/input.json") {
				continue
			}
			tried++
			before, _ := r.World.Object(r.Bucket(), key)
			assert.ErrorContains(t, x.put(key, []byte("{}")), "AccessDenied", key)
			after, _ := r.World.Object(r.Bucket(), key)
			assert.True(t, bytes.Equal(before, after), key)
		}
	})
	o.RunID = r.options.RunID
	res, err := r.run()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, tried, 6)
	assert.NotEqual(t, patch.RunFailed, res.Status)
}

// The inventory's code is another one: it freezes a plan that nobody is asked about. While the plan is sealed all looks
// well;
// then it writes the plan over (here somebody let it), and puts the run's row.
func TestThief_planAndRunRewritten(t *testing.T) {
	r, err := prepare(optionsOn(t, nil, strings.Replace(oneWave(""), `"none"`, `"once"`, 1)))
	require.NoError(t, err)
	r.instead(lambdas.Inventory, func(payload []byte, real wire.Handler) ([]byte, error) {
		out, err := real(context.Background(), payload)
		return bytes.ReplaceAll(out, []byte(`"ask":{"scope":"run"`), []byte(`"ask":{"scope":"none"`)), err
	})
	sends := 0
	r.instead(lambdas.SendCommand, func(payload []byte, real wire.Handler) ([]byte, error) {
		if sends++; sends == 1 {
			x, key := r.thief(t, lambdas.Inventory), store.IndexObject(r.options.RunID)
			data, _ := r.World.Object(r.Bucket(), key)
			index := x.sealed(data)
			data, err := patch.Canonical(index)
			require.NoError(t, err)
			assert.Error(t, x.put(key, data))
			r.World.PlaceObject(r.Bucket(), key, data)
			row := x.row(store.RunKey(r.options.RunID))
			row["digest"] = &types.AttributeValueMemberS{Value: index.Digest}
			require.NoError(t, x.item(row))
		}
		return real(context.Background(), payload)
	})
	r.foiled(t)
	assert.Positive(t, sends)
}

// The seal of another plan cannot be put by the roles that write runs.
func TestThief_putsASeal(t *testing.T) {
	r, err := prepare(options(t, oneWave("")))
	require.NoError(t, err)
	tried := 0
	r.World.After(15*60e9, func() {
		for _, handler := range []string{lambdas.Inventory, lambdas.SendCommand, lambdas.Poll, lambdas.Verify,
			lambdas.ApprovalCallback} {
			x := r.thief(t, handler)
			key := store.SealKey(r.options.RunID)
			err := x.item(map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: key.PK},
				"sk": &types.AttributeValueMemberS{Value: key.SK}})
			assert.ErrorContains(t, err, "AccessDenied", handler)
			_, err = r.World.KMS(x.role, stage.HubRegion).GenerateMac(context.Background(), &kms.GenerateMacInput{
				KeyId: aws.String(r.keyARN("SealKey")), Message: []byte("seal"),
				MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256})
			assert.ErrorContains(t, err, "AccessDenied", handler)
			tried++
		}
	})
	_, err = r.run()
	require.NoError(t, err)
	assert.Equal(t, 5, tried)
}

// keyARN is the ARN of one of the hub's keys.
func (r *rehearsal) keyARN(logicalID string) string {
	for _, k := range r.Hub.OfType("AWS::KMS::Key") {
		if k.LogicalID == logicalID {
			return k.ARN
		}
	}
	return ""
}

// Whoever freezes and whoever seals were told that nobody need be asked. Send was told otherwise.
func TestThief_weakPlan(t *testing.T) {
	r, err := prepare(optionsOn(t, nil, oneWave("")))
	require.NoError(t, err)
	r.demanding(t, "none", lambdas.Inventory, lambdas.ApprovalRequest)
	r.foiled(t)
}

// The inventory writes a plan that asks nobody before the true one is frozen: Freeze takes it as the first, and it is
// not sealed.
func TestThief_planBeforeTheFreeze(t *testing.T) {
	r, err := prepare(optionsOn(t, nil, strings.Replace(oneWave(""), `"none"`, `"once"`, 1)))
	require.NoError(t, err)
	r.demanding(t, "none", lambdas.Inventory) // its code looks away
	froze := false
	r.instead(lambdas.Inventory, func(payload []byte, real wire.Handler) ([]byte, error) {
		if bytes.Contains(payload, []byte(`"task":"freeze"`)) && !froze {
			froze = true
			_, err := real(context.Background(), payload) // of a run that nobody will see
			require.NoError(t, err)
			x, key := r.thief(t, lambdas.Inventory), store.IndexObject(r.options.RunID)
			data, _ := r.World.Object(r.Bucket(), key)
			index := x.sealed(data)
			data, err = patch.Canonical(index)
			require.NoError(t, err)
			r.World.PlaceObject(r.Bucket(), key, nil)
			require.NoError(t, x.create(key, data))
			row := x.row(store.RunKey(r.options.RunID))
			delete(row, "digest")
			require.NoError(t, x.item(row))
		}
		return real(context.Background(), payload)
	})
	r.foiled(t)
	assert.True(t, froze)
}

// The inventory's code plans a scan, which asks nobody, and writes a leaf that installs.
func TestThief_leafBeyondItsWave(t *testing.T) {
	o := optionsOn(t, nil, oneWave(`,"ssm":{"operation":"Scan","rebootOption":"NoReboot"}`))
	r, err := prepare(o)
	require.NoError(t, err)
	r.checks.Order[0].Input.Approval = runinput.ApproveOnce // what a run that installs needs on this hub
	r.instead(lambdas.Inventory, func(payload []byte, real wire.Handler) ([]byte, error) {
		if bytes.Contains(payload, []byte(`"task":"discover"`)) {
			x, at := r.thief(t, lambdas.Inventory), patch.Target{Run: r.options.RunID, Wave: "only", Account: first,
				Region: region}
			leaf := plan.Leaf{Target: at, Document: patch.Document, Operation: patch.Install,
				RebootOption: patch.NoReboot,
				SnapshotID:   plan.SnapshotID(at), CommandTimeoutSeconds: 7200, Concurrency: 1, ErrorLimit: 1,
				OptOutTag: plan.ExclusionTag}
			for _, i := range r.World.Instances() {
				if i.Account == first && i.Region == region && i.Tags["PatchGroup"] == "default" {
					leaf.Instances = append(leaf.Instances, outcome.PlannedInstance{ID: patch.InstanceID(i.ID),
						Wave: "only", Platform: patch.Linux})
				}
			}
			data, err := patch.Canonical(leaf)
			require.NoError(t, err)
			require.NoError(t, x.create(store.LeafObject(at), data))
		}
		return real(context.Background(), payload)
	})
	r.foiled(t)
}
