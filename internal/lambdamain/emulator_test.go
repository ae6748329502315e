package lambdamain

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
	"ec2patch/internal/wire"
)

// emulator is an AWS on some other machine's terms: whatever answers at
// AWS_ENDPOINT_URL. The adapters talk to it through the Lambdas' own clients.
type emulator struct {
	cfg     aws.Config
	clients wire.AWS
	account patch.AccountID
	name    string // new each time, so that an endpoint may be used again
}

// connected skips, saying why, unless there is an emulator. The tests make and
// send things, so they never run against AWS itself.
func connected(t *testing.T) emulator {
	t.Helper()
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	if endpoint == "" {
		t.Skip("********** skipped: AWS_ENDPOINT_URL is not set, the adapters were not tried on an emulator **********")
	}
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	if strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		t.Skip("********** skipped: AWS_ENDPOINT_URL is AWS itself, these tests want an emulator **********")
	}
	for name, value := range map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
		"AWS_SECRET_ACCESS_KEY": "test"} {
		if os.Getenv(name) == "" {
			t.Setenv(name, value)
		}
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	require.NoError(t, err)
	clients, err := AWS(t.Context())
	require.NoError(t, err)
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	return emulator{cfg: cfg, clients: clients, account: patch.AccountID(aws.ToString(who.Account)),
		name: "ec2patch-" + strings.ToLower(rand.Text()[:12])}
}

// refusedHere skips the rest of a test that needs a call which the endpoint does
// not know. Some say so with a web page.
func refusedHere(t *testing.T, err error, call string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, word := range []string{"UnknownOperation", "NotImplemented", "not implemented", "not yet implemented",
		"StatusCode: 501", "StatusCode: 404, RequestID: , deserialization failed", "invalid character '<'"} {
		if strings.Contains(err.Error(), word) {
			t.Skipf("********** skipped: the endpoint does not know %s: %v **********", call, err)
		}
	}
}

// stored is a row as the tasks keep them: its version decides who may replace it.
type stored struct {
	Version int    `json:"version"`
	Text    string `json:"text"`
}

func (e emulator) table(t *testing.T) *cloud.Table {
	t.Helper()
	table := &cloud.Table{DynamoDB: e.clients.DynamoDB, Now: time.Now, State: e.name + "-state",
		Audit: e.name + "-audit"}
	db := dynamodb.NewFromConfig(e.cfg)
	for _, name := range []string{table.State, table.Audit} {
		_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &name, BillingMode: ddbtypes.BillingModePayPerRequest,
			AttributeDefinitions: []ddbtypes.AttributeDefinition{
				{AttributeName: aws.String("pk"), AttributeType: ddbtypes.ScalarAttributeTypeS},
				{AttributeName: aws.String("sk"), AttributeType: ddbtypes.ScalarAttributeTypeS},
			},
			KeySchema: []ddbtypes.KeySchemaElement{
				{AttributeName: aws.String("pk"), KeyType: ddbtypes.KeyTypeHash}, {AttributeName: aws.String("sk"),
					KeyType: ddbtypes.KeyTypeRange},
			},
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			// the name is never used again
			_, _ = db.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name})
		})
		waiter := dynamodb.NewTableExistsWaiter(db)
		require.NoError(t, waiter.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &name}, time.Minute))
	}
	return table
}

func TestEmulator_Table(t *testing.T) {
	e := connected(t)
	table, ctx := e.table(t), t.Context()
	key := func(sk string) store.Key { return store.Key{PK: "RUN#emulator", SK: sk} }
	load := func(sk string) (stored, bool) {
		var into stored
		row := &store.Row{Key: key(sk), Into: &into}
		require.NoError(t, table.Load(ctx, row))
		return into, row.Found
	}

	t.Run("create once", func(t *testing.T) {
		create := store.Write{How: store.Create, Key: key("A"), Item: stored{Version: 1, Text: "é <&>"}}
		require.NoError(t, table.Write(ctx, create))
		assert.Equal(t, patch.ErrConflict, patch.KindOf(table.Write(ctx, create)))
		got, found := load("A")
		assert.True(t, found)
		assert.Equal(t, stored{Version: 1, Text: "é <&>"}, got)
	})
	t.Run("replace by version", func(t *testing.T) {
		replace := store.Write{How: store.Replace, Key: key("A"), Item: stored{Version: 2, Text: "b"}, Was: 1}
		require.NoError(t, table.Write(ctx, replace))
		assert.Equal(t, patch.ErrConflict, patch.KindOf(table.Write(ctx, replace)))
		missing := store.Write{How: store.Replace, Key: key("NONE"), Item: stored{Version: 2}, Was: 1}
		assert.Equal(t, patch.ErrConflict, patch.KindOf(table.Write(ctx, missing)))
	})
	t.Run("all or none", func(t *testing.T) {
		err := table.Write(ctx,
			store.Write{How: store.Put, Key: key("B"), Item: stored{Text: "b"}},
			store.Write{How: store.Replace, Key: key("A"), Item: stored{Version: 9}, Was: 8})
		assert.Equal(t, patch.ErrConflict, patch.KindOf(err), "%v", err)
		_, found := load("B")
		assert.False(t, found)
		require.NoError(t, table.Write(ctx,
			store.Write{How: store.Put, Key: key("B"), Item: stored{Text: "b"}},
			store.Write{How: store.Add, Key: key("COUNT"), Add: map[string]int{"good": 2, "bad": 1}},
			store.Write{How: store.Replace, Key: key("A"), Item: stored{Version: 3, Text: "c"}, Was: 2}))
		_, found = load("B")
		assert.True(t, found)
	})
	t.Run("add to counters", func(t *testing.T) {
		require.NoError(t, table.Write(ctx, store.Write{How: store.Add, Key: key("COUNT"),
			Add: map[string]int{"good": 3, "bad": -1}}))
		var counters struct{ Good, Bad int }
		require.NoError(t, table.Load(ctx, &store.Row{Key: key("COUNT"), Into: &counters}))
		assert.Equal(t, struct{ Good, Bad int }{5, 0}, counters)
	})
	t.Run("delete, also what is not there", func(t *testing.T) {
		gone := store.Write{How: store.Delete, Key: key("B")}
		require.NoError(t, table.Write(ctx, gone))
		require.NoError(t, table.Write(ctx, gone))
		_, found := load("B")
		assert.False(t, found)
	})
	t.Run("load several, some missing", func(t *testing.T) {
		var a, none stored
		rows := []*store.Row{{Key: key("A"), Into: &a}, {Key: key("NONE"), Into: &none}}
		require.NoError(t, table.Load(ctx, rows...))
		assert.True(t, rows[0].Found)
		assert.Equal(t, "c", a.Text)
		assert.False(t, rows[1].Found)
	})
	t.Run("audit chain", func(t *testing.T) { auditChain(t, table) })
	t.Run("scan of several pages", func(t *testing.T) { scanPages(t, table) })
}

func auditChain(t *testing.T, table *cloud.Table) {
	t.Helper()
	const chain = "RUN#emulator"
	head, err := table.LastAudit(t.Context(), chain)
	require.NoError(t, err)
	assert.Equal(t, store.ChainHead{}, head)
	for n := range 12 {
		entry, next := head.Append(chain, "test", "Step", fmt.Sprintf("step %d", n), time.Date(2026, 1, 1, 0, 0,
			n, 0, time.UTC))
		write := store.Write{How: store.Audit, Key: entry.Key(), Item: entry}
		require.NoError(t, table.Write(t.Context(), write))
		assert.Equal(t, patch.ErrConflict, patch.KindOf(table.Write(t.Context(), write)), "nothing is written over")
		head = next
	}
	last, err := table.LastAudit(t.Context(), chain)
	require.NoError(t, err)
	assert.Equal(t, head, last)
}

// scanPages writes more than the megabyte that one page holds.
func scanPages(t *testing.T, table *cloud.Table) {
	t.Helper()
	const rows, long = 15, 200_000
	for n := range rows {
		k := store.Key{PK: "RUN#pages", SK: fmt.Sprintf("TARGET#%02d", n)}
		require.NoError(t, table.Write(t.Context(), store.Write{How: store.Put, Key: k,
			Item: stored{Text: strings.Repeat("x", long)}}))
	}
	require.NoError(t, table.Write(t.Context(), store.Write{How: store.Put, Key: store.Key{PK: "RUN#pages", SK: "META"},
		Item: stored{}}))
	var seen []string
	err := table.Scan(t.Context(), "RUN#pages", "TARGET#", func(sk string, decode func(any) error) error {
		var row stored
		require.NoError(t, decode(&row))
		assert.Len(t, row.Text, long)
		seen = append(seen, sk)
		return nil
	})
	require.NoError(t, err)
	require.Len(t, seen, rows)
	assert.IsIncreasing(t, seen)
}

func TestEmulator_Objects(t *testing.T) {
	e := connected(t)
	ctx := t.Context()
	o := &cloud.Objects{S3: e.pathStyle(), Bucket: e.name}
	_, err := e.pathStyle().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &o.Bucket})
	require.NoError(t, err)

	_, found, err := o.Fetch(ctx, "runs/emulator/none.json")
	require.NoError(t, err)
	assert.False(t, found)
	for _, body := range []string{`{"a":"é"}`, "", strings.Repeat("0123456789", 300_000)} {
		require.NoError(t, o.Store(ctx, "runs/emulator/a b+c.json", "application/json", []byte(body)))
		got, found, err := o.Fetch(ctx, "runs/emulator/a b+c.json")
		require.NoError(t, err)
		assert.True(t, found)
		assert.True(t, body == string(got), "what was stored comes back")
	}
}

// pathStyle is S3 without the bucket in the host's name, which only AWS can resolve.
func (e emulator) pathStyle() *s3.Client {
	return s3.NewFromConfig(e.cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

func TestEmulator_Mail(t *testing.T) {
	e := connected(t)
	topic, err := sns.NewFromConfig(e.cfg).CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &e.name})
	require.NoError(t, err)
	require.NoError(t, (&cloud.Mail{SNS: e.clients.SNS, Topic: *topic.TopicArn}).Send(t.Context(), "subject",
		"line\nhttps://example.com/?a=b&c=d"))
	assert.Error(t, (&cloud.Mail{SNS: e.clients.SNS, Topic: *topic.TopicArn + "-none"}).Send(t.Context(),
		"subject", "body"))
}

func TestEmulator_MACKey(t *testing.T) {
	e := connected(t)
	ctx := t.Context()
	made, err := kms.NewFromConfig(e.cfg).CreateKey(ctx, &kms.CreateKeyInput{KeySpec: kmstypes.KeySpecHmac256,
		KeyUsage: kmstypes.KeyUsageTypeGenerateVerifyMac})
	require.NoError(t, err)
	key := &cloud.MACKey{KMS: e.clients.KMS, Key: *made.KeyMetadata.Arn}
	mac, err := key.MAC(ctx, []byte("message"))
	refusedHere(t, err, "GenerateMac")
	require.NoError(t, err)
	assert.Len(t, mac, 32)
	other := append([]byte{mac[0] ^ 1}, mac[1:]...)
	for name, c := range map[string]struct {
		message string
		mac     []byte
		want    bool
	}{
		"right": {"message", mac, true}, "another message": {"massage", mac, false}, "another mac": {"message",
			other, false},
		"short mac": {"message", mac[:16], false}, "no mac": {"message", nil, false},
	} {
		ok, err := key.Check(ctx, []byte(c.message), c.mac)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, ok, name)
	}
}

func TestEmulator_Alarms(t *testing.T) {
	e := connected(t)
	ctx := t.Context()
	cw := cloudwatch.NewFromConfig(e.cfg)
	_, err := cw.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: &e.name, Namespace: aws.String("Test"), MetricName: aws.String("M"), Statistic: cwtypes.StatisticSum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
	})
	refusedHere(t, err, "CloudWatch's protocol, Smithy RPC with CBOR")
	require.NoError(t, err)
	arn := fmt.Sprintf("arn:aws:cloudwatch:%s:%s:alarm:%s", e.cfg.Region, e.account, e.name)
	alarms := &cloud.Alarms{Hub: e.clients.CloudWatch, HubAccount: e.account}
	for _, c := range []struct {
		state cwtypes.StateValue
		arns  []string
		green bool
	}{
		{cwtypes.StateValueOk, []string{arn}, true},
		{cwtypes.StateValueAlarm, []string{arn}, false},
		{cwtypes.StateValueInsufficientData, []string{arn}, false},
		{cwtypes.StateValueOk, []string{arn, arn + "-none"}, false},
	} {
		_, err := cw.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &e.name, StateValue: c.state,
			StateReason: aws.String("test")})
		require.NoError(t, err)
		states, err := alarms.States(ctx, "emulator", c.arns)
		require.NoError(t, err)
		assert.Equal(t, c.green, !slices.ContainsFunc(states, doubt.AlarmState.Red), "%s: %v", c.state, states)
	}
}

// policy encodes a policy document.
func policy(t *testing.T, statement map[string]any) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{statement}})
	require.NoError(t, err)
	return string(data)
}
