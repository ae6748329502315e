package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// nodes is Systems Manager with one node on each page, and an empty page first.
type nodes struct {
	cloud.SSM
	all   []ssmtypes.InstanceInformation
	tags  map[string]map[string][]string // node to key to values
	calls int
	err   error
}

func (n *nodes) DescribeInstanceInformation(_ context.Context, in *ssm.DescribeInstanceInformationInput,
	_ ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error) {
	n.calls++
	if n.err != nil {
		return nil, n.err
	}
	var found []ssmtypes.InstanceInformation
	for _, i := range n.all {
		if !slices.ContainsFunc(in.Filters, func(f ssmtypes.InstanceInformationStringFilter) bool { return !n.hit(i, f) }) {
			found = append(found, i)
		}
	}
	at := -1
	if in.NextToken != nil {
		fmt.Sscan(*in.NextToken, &at)
	}
	out := &ssm.DescribeInstanceInformationOutput{}
	if at >= 0 && at < len(found) {
		out.InstanceInformationList = found[at : at+1]
	}
	if at+1 < len(found) {
		out.NextToken = aws.String(fmt.Sprint(at + 1))
	}
	return out, nil
}

func (n *nodes) hit(i ssmtypes.InstanceInformation, f ssmtypes.InstanceInformationStringFilter) bool {
	switch key := *f.Key; key {
	case "InstanceIds":
		return slices.Contains(f.Values, *i.InstanceId)
	case "ResourceType":
		return slices.Contains(f.Values, string(i.ResourceType))
	default:
		return slices.ContainsFunc(n.tags[*i.InstanceId][key], func(v string) bool { return slices.Contains(f.Values, v) })
	}
}

func info(id string, more func(*ssmtypes.InstanceInformation)) ssmtypes.InstanceInformation {
	i := ssmtypes.InstanceInformation{InstanceId: &id, PlatformType: ssmtypes.PlatformTypeLinux,
		PingStatus: ssmtypes.PingStatusOnline, ResourceType: ssmtypes.ResourceTypeEc2Instance}
	if more != nil {
		more(&i)
	}
	return i
}

// place is a spoke with these clients.
func place(t *testing.T, c cloud.Clients) port.Spoke {
	t.Helper()
	s := &cloud.Spokes{STS: &signIn{}, Connect: func(aws.Credentials, string) cloud.Clients {
		return c
	}, Now: time.Now, Partition: "aws", Reader: "/r"}
	spoke, err := s.Spoke(t.Context(), patch.Target{Run: "r", Account: "111111111111", Region: "eu-south-1"})
	require.NoError(t, err)
	return spoke
}

func TestSpoke_agents(t *testing.T) {
	n := &nodes{}
	var ids []patch.InstanceID
	for i := range 60 {
		id := fmt.Sprintf("i-%017x", i)
		ids = append(ids, patch.InstanceID(id))
		n.all = append(n.all, info(id, func(i *ssmtypes.InstanceInformation) {
			i.PlatformName, i.PlatformVersion, i.IPAddress, i.ComputerName = aws.String("Bottlerocket"), aws.String("1.26.1"),
				aws.String("10.0.0.7"), aws.String("host")
		}))
	}
	agents, err := place(t, cloud.Clients{SSM: n}).Agents(t.Context(), ids)
	require.NoError(t, err)
	assert.Len(t, agents, 60, "of all pages")
	assert.Equal(t, port.Agent{Platform: patch.Linux, System: "Bottlerocket", Release: "1.26.1", Address: "10.0.0.7",
		Name: "host", Online: true}, agents[ids[59]])
}

func TestSpoke_hybrids(t *testing.T) {
	hybrid := func(i *ssmtypes.InstanceInformation) { i.ResourceType = ssmtypes.ResourceTypeManagedInstance }
	n := &nodes{all: []ssmtypes.InstanceInformation{info("i-1", nil), info("mi-1", hybrid), info("i-2", nil),
		info("mi-2", hybrid)}}
	found, err := place(t, cloud.Clients{SSM: n}).Hybrids(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []patch.InstanceID{"mi-1", "mi-2"}, words.SortedKeys(found))
}

// Values under one key are OR, keys are AND, however many values there are.
func TestSpoke_tagged(t *testing.T) {
	n := &nodes{tags: map[string]map[string][]string{
		"mi-1": {"tag:Stage": {"prod"}, "tag:PatchGroup": {"v150"}}, "mi-2": {"tag:Stage": {"prod"}},
		"mi-3": {"tag:PatchGroup": {"v3"}},
	}}
	for _, id := range []string{"mi-1", "mi-2", "mi-3"} {
		n.all = append(n.all, info(id, nil))
	}
	var many []string
	for v := range 160 {
		many = append(many, fmt.Sprintf("v%d", v))
	}
	found,
		err := place(t, cloud.Clients{SSM: n}).Tagged(t.Context(),
		map[string][]string{"PatchGroup": many, "Stage": {"test", "prod"}})
	require.NoError(t, err)
	assert.Equal(t, map[patch.InstanceID]bool{"mi-1": true}, found)
}

// machines is EC2 that refuses.
type machines struct {
	cloud.EC2
	err error
	all []ec2types.Instance
}

func (m machines) DescribeInstances(context.Context, *ec2.DescribeInstancesInput,
	...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	return &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{{Instances: m.all}}}, m.err
}

// A session that STS has just given and that a region does not know tells that
// the account has not enabled the region. A policy that denies tells no such thing.
func TestSpoke_regionNotEnabled(t *testing.T) {
	tests := []struct {
		code    string
		kind    patch.Kind
		enabled bool
	}{
		{"AuthFailure", patch.ErrAccessDenied, false},
		{"OptInRequired", patch.ErrAccessDenied, false},
		{"InvalidClientTokenId", patch.ErrAccessDenied, false},
		{"UnrecognizedClientException", patch.ErrAccessDenied, false},
		{"UnauthorizedOperation", patch.ErrAccessDenied, true},
		{"AccessDeniedException", patch.ErrAccessDenied, true},
		{"RequestLimitExceeded", patch.ErrThrottled, true},
	}
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			refused := &smithy.GenericAPIError{Code: test.code, Message: http.StatusText(http.StatusForbidden),
				Fault: smithy.FaultClient}
			s := place(t, cloud.Clients{EC2: machines{err: refused}, SSM: &nodes{err: refused}})
			_, err := s.Matching(t.Context(), runinput.Filters{})
			require.ErrorIs(t, err, test.kind)
			assert.Equal(t, test.kind, patch.KindOf(err), "what it is to whoever does not care why")
			assert.Equal(t, !test.enabled, errors.Is(err, patch.ErrRegionDisabled))
			_, err = s.Hybrids(t.Context())
			assert.Equal(t, !test.enabled, errors.Is(err, patch.ErrRegionDisabled))
		})
	}
}

func TestSpoke_address(t *testing.T) {
	s := place(t, cloud.Clients{EC2: machines{all: []ec2types.Instance{{InstanceId: aws.String("i-1"),
		PrivateIpAddress: aws.String("10.0.0.7")}}}})
	found, err := s.Matching(t.Context(), runinput.Filters{})
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.7", found[0].Address)
}

// rows keeps what the table puts.
type rows struct {
	cloud.DynamoDB
	puts    []*dynamodb.PutItemInput
	updates []*dynamodb.UpdateItemInput
	all     []*dynamodb.TransactWriteItemsInput
}

func (r *rows) PutItem(_ context.Context, in *dynamodb.PutItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	r.puts = append(r.puts, in)
	return &dynamodb.PutItemOutput{}, nil
}

func (r *rows) UpdateItem(_ context.Context, in *dynamodb.UpdateItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	r.updates = append(r.updates, in)
	return &dynamodb.UpdateItemOutput{}, nil
}

func (r *rows) TransactWriteItems(_ context.Context, in *dynamodb.TransactWriteItemsInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	r.all = append(r.all, in)
	return &dynamodb.TransactWriteItemsOutput{}, nil
}

// Rows of a run and of its questions go when a year and a month are past. A lease
// and an audit line stay, and so does what tells of runs.
func TestTable_expires(t *testing.T) {
	now := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	want := &ddbtypes.AttributeValueMemberN{Value: fmt.Sprint(now.Add(400 * 24 * time.Hour).Unix())}
	at := patch.Target{Run: "r", Wave: "w", Account: "111111111111", Region: "us-east-1"}
	tests := []struct {
		key  store.Key
		goes bool
	}{
		{store.RunKey("r"), true}, {store.TargetKey(at), true}, {store.SendKey(at, 1), true}, {store.WaveKey("r", "w"), true},
		{store.ApprovalKey("a"), true}, {store.DecisionKey("a", "link"), true}, {store.AbortKey("r"), true},
		{store.LeaseKey(at.Account, at.Region), false}, {store.OpenRunKey("r"), false}, {store.RunKeyKey("k"), false},
	}
	for _, test := range tests {
		t.Run(test.key.PK+" "+test.key.SK, func(t *testing.T) {
			r := &rows{}
			table := &cloud.Table{DynamoDB: r, State: "state", Audit: "audit", Now: func() time.Time { return now }}
			require.NoError(t, table.Write(t.Context(), store.Write{How: store.Put, Key: test.key, Item: store.Abort{}}))
			require.NoError(t, table.Write(t.Context(),
				store.Write{How: store.Audit, Key: test.key, Item: store.AuditEntry{}},
				store.Write{How: store.Create, Key: test.key, Item: store.Abort{}}))
			got, ok := r.puts[0].Item["expires"]
			assert.Equal(t, test.goes, ok)
			assert.NotContains(t, r.all[0].TransactItems[0].Put.Item, "expires", "an audit line")
			if test.goes {
				assert.Equal(t, want, got)
				assert.Equal(t, want, r.all[0].TransactItems[1].Put.Item["expires"])
			}
		})
	}

	r := &rows{}
	table := &cloud.Table{DynamoDB: r, State: "state", Now: func() time.Time { return now }}
	require.NoError(t, table.Write(t.Context(),
		store.Write{How: store.Add, Key: store.CountersKey("r", "w"), Add: map[string]int{"done": 1, "sent": 3}}))
	assert.Equal(t, "ADD #n0 :v0, #n1 :v1 SET #e = :e", *r.updates[0].UpdateExpression)
	assert.Equal(t, "expires", r.updates[0].ExpressionAttributeNames["#e"])
	assert.Equal(t, want, r.updates[0].ExpressionAttributeValues[":e"])
}

// execution is Step Functions that knows one execution, or none.
type execution struct {
	cloud.SFN
	status sfntypes.ExecutionStatus
}

func (e execution) DescribeExecution(context.Context, *sfn.DescribeExecutionInput,
	...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	if e.status == "" {
		return nil, &sfntypes.ExecutionDoesNotExist{}
	}
	return &sfn.DescribeExecutionOutput{Status: e.status}, nil
}

func TestStepFunctions_ended(t *testing.T) {
	tests := []struct {
		status  sfntypes.ExecutionStatus
		running bool
	}{{"RUNNING", true}, {"PENDING_REDRIVE", true}, {"ABORTED", false}, {"TIMED_OUT", false}, {"", false}}
	for _, test := range tests {
		w := &cloud.StepFunctions{SFN: execution{status: test.status}}
		status, running, err := w.Ended(t.Context(), "arn")
		require.NoError(t, err)
		assert.Equal(t, string(test.status), status)
		assert.Equal(t, test.running, running)
		running, err = w.Running(t.Context(), "arn")
		require.NoError(t, err)
		assert.Equal(t, test.running, running)
	}
}
