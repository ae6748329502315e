package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/hub"
)

const machine = "arn:aws:states:eu-west-1:999999999999:stateMachine:ec2patch-orchestrator"

func TestParseMachine(t *testing.T) {
	m, err := hub.ParseMachine(machine)
	require.NoError(t, err)
	assert.Equal(t, hub.Machine{ARN: machine, Partition: "aws", Region: "eu-west-1", Account: "999999999999",
		Name: "ec2patch-orchestrator"}, m)
	assert.Equal(t, "arn:aws:states:eu-west-1:999999999999:execution:ec2patch-orchestrator:october",
		m.Execution("october"))

	again, run, err := hub.ParseExecution(m.Execution("october"))
	require.NoError(t, err)
	assert.Equal(t, "october", run)
	assert.Equal(t, m, again)
	for _, wrong := range []string{"", "ec2patch-orchestrator", m.Execution("october"), machine + ":1",
		"arn:aws:states:eu-west-1:9:stateMachine:x", machine + "\n", "arn:aws:lambda:eu-west-1:999999999999:stateMachine:x"} {
		_, err := hub.ParseMachine(wrong)
		assert.Error(t, err, wrong)
	}
	for _, wrong := range []string{"", machine, m.Execution("a b"), m.Execution(strings.Repeat("a", 81)),
		"arn:aws:states:eu-west-1:999999999999:execution:x/Patch:y"} {
		_, _, err := hub.ParseExecution(wrong)
		assert.Error(t, err, wrong)
	}
}

func TestMachine_Console(t *testing.T) {
	for partition, want := range map[string]string{
		"aws": "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/" +
			"v2/executions/details/arn:aws:states:",
		"aws-cn": "https://console.amazonaws.cn/states/home?region=eu-west-1#/v2/executions/details/arn:aws-cn:states:",
		"aws-us-gov": "https://console.amazonaws-us-gov.com/states/home?region=eu-west-1#/" +
			"v2/executions/details/arn:aws-us-gov:states:",
		"aws-iso": "",
	} {
		m, err := hub.ParseMachine(strings.Replace(machine, ":aws:", ":"+partition+":", 1))
		require.NoError(t, err)
		got := m.Console("x")
		assert.True(t, strings.HasPrefix(got, want) && (want != "" || got == ""), got)
	}
}

// server answers as AWS does over the wire; the requests must be signed.
func server(t *testing.T, answer func(r *http.Request, body string) (status int, text string)) *hub.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Contains(t, r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/")
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		status, text := answer(r, string(body))
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	m, err := hub.ParseMachine(machine)
	require.NoError(t, err)
	conf := aws.Config{
		Region: m.Region, BaseEndpoint: &s.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
	return &hub.Client{
		Machine: m, States: sfn.NewFromConfig(conf), Machines: sfn.NewFromConfig(conf), Callers: sts.NewFromConfig(conf),
		Bucket: s3.NewFromConfig(conf, func(o *s3.Options) { o.UsePathStyle = true }),
		Tables: dynamodb.NewFromConfig(conf, func(o *dynamodb.Options) { o.DisableValidateResponseChecksum = true }),
		Keys:   kms.NewFromConfig(conf),
	}
}

func TestClient_overTheWire(t *testing.T) {
	c := server(t, func(r *http.Request, body string) (int, string) {
		switch op := r.Header.Get("X-Amz-Target"); {
		case op == "AWSStepFunctions.StartExecution":
			assert.JSONEq(t, `{"stateMachineArn":"`+machine+`","name":"october","input":"{}"}`, body)
			return 200, `{"executionArn":"arn:x","startDate":1796119200}`
		case op == "AWSStepFunctions.GetExecutionHistory":
			assert.JSONEq(t, `{"executionArn":"arn:aws:states:eu-west-1:999999999999:execution:ec2patch-orchestrator:october","reverseOrder":true,"maxResults":1000,"includeExecutionData":true}`, body)
			return 200, `{"events":[{"id":2,"timestamp":1796119201,"type":"TaskStateEntered","stateEnteredEventDetails":{"name":"PlanRun","input":"{}"}},
				{"id":1,"timestamp":1796119200,"type":"ExecutionStarted"}]}`
		case r.URL.Path == "/data/runs/october/report.csv":
			assert.Equal(t, "999999999999", r.Header.Get("X-Amz-Expected-Bucket-Owner"))
			return 200, "a,b\n"
		case strings.Contains(body, "GetCallerIdentity"):
			return 200, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::999999999999:user/ann</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`
		}
		return 400, `{"__type":"InvalidArn","message":"nobody knows"}`
	})
	who, err := c.Caller(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:iam::999999999999:user/ann", who)
	x, err := c.Start(t.Context(), "october", []byte("{}"))
	require.NoError(t, err)
	assert.Equal(t, "2026-12-01T10:00:00Z", x.Started.Format("2006-01-02T15:04:05Z07:00"))
	events, err := c.Events(t.Context(), "october", 0)
	require.NoError(t, err)
	require.Len(t, events, 2)
	assert.Equal(t, []int64{1, 2}, []int64{events[0].ID, events[1].ID})
	assert.Equal(t, "PlanRun", events[1].State)
	data, err := c.Report(t.Context(), "data", "october", "csv")
	require.NoError(t, err)
	assert.Equal(t, "a,b\n", string(data))
	_, err = c.Describe(t.Context(), "x")
	assert.EqualError(t, err, "look at run x: InvalidArn: nobody knows")
}

func TestClient_errors(t *testing.T) {
	for code, want := range map[string]error{
		"AccessDeniedException": hub.ErrDenied, "ExpiredTokenException": hub.ErrNoCredentials,
		"ExpiredToken": hub.ErrNoCredentials, "KmsAccessDeniedException": hub.ErrDenied,
		"ExecutionDoesNotExist": hub.ErrNotFound, "StateMachineDoesNotExist": hub.ErrNotFound,
		"ExecutionAlreadyExists": hub.ErrNameTaken, "ThrottlingException": hub.ErrBusy,
	} {
		c := server(t, func(*http.Request, string) (int, string) {
			return 400, `{"__type":"com.amazonaws#` + code + `","message":"so"}`
		})
		_, err := c.Start(t.Context(), "october", []byte("{}"))
		assert.ErrorIs(t, err, want, code)
		assert.ErrorContains(t, err, "start run october: ")
		assert.ErrorContains(t, err, code+": so")
	}
}

// An address where nobody answers is told without what the SDK says around it.
func TestClient_noAnswer(t *testing.T) {
	c := server(t, nil)
	s := httptest.NewServer(nil)
	s.Close()
	c.Callers = sts.NewFromConfig(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &s.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	})
	_, err := c.Caller(t.Context())
	at := strings.TrimPrefix(s.URL, "http://")
	assert.EqualError(t, err, "ask who signs: no answer from "+at+": dial tcp "+at+": connect: connection refused")
}

func TestNoCredentials(t *testing.T) {
	none := &smithy.OperationError{ServiceID: "ec2imds", OperationName: "GetMetadata", Err: errors.New("no route")}
	assert.EqualError(t, hub.NoCredentials(fmt.Errorf("refresh: %w", none)), "no valid AWS credentials")
	over := errors.New("the SSO session has expired")
	assert.EqualError(t, hub.NoCredentials(over), "no valid AWS credentials: the SSO session has expired")
	assert.ErrorIs(t, hub.NoCredentials(over), hub.ErrNoCredentials)
}

// A page of the history is read as often as needed, and not once more.
func TestClient_Events_pages(t *testing.T) {
	calls := 0
	c := server(t, func(_ *http.Request, body string) (int, string) {
		calls++
		next := map[bool]string{true: "5", false: "3"}[!strings.Contains(body, "nextToken")]
		return 200, strings.ReplaceAll(`{"nextToken":"more","events":[{"id":`+next+`1,"timestamp":1,"type":"PassStateEntered"},{"id":`+next+`0,"timestamp":1,"type":"PassStateEntered"}]}`, "\n", "")
	})
	events, err := c.Events(t.Context(), "october", 30)
	require.NoError(t, err)
	var ids []int64
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	assert.Equal(t, []int64{31, 50, 51}, ids)
	assert.Equal(t, 2, calls)
}

// An order that AWS does not promise is none that a look relies on.
func TestClient_Events_order(t *testing.T) {
	c := server(t, func(*http.Request, string) (int, string) {
		return 200, `{"events":[{"id":1,"timestamp":1,"type":"ExecutionStarted"},{"id":2,"timestamp":1,"type":"PassStateEntered"},{"id":3,"timestamp":1,"type":"PassStateExited"}]}`
	})
	for after, want := range [][]int64{{1, 2, 3}, {2, 3}, {3}, nil} {
		events, err := c.Events(t.Context(), "october", int64(after))
		require.NoError(t, err)
		var ids []int64
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		assert.Equal(t, want, ids)
	}
}

func TestClient_health(t *testing.T) {
	target := func() (int, string) {
		return 200, `{"status":"ACTIVE","type":"STANDARD","definition":"[]","loggingConfiguration":{"level":"ERROR","includeExecutionData":false}}`
	}
	c := server(t, func(r *http.Request, body string) (int, string) {
		if r.Header.Get("X-Amz-Target") == "AWSStepFunctions.DescribeStateMachine" {
			if strings.Contains(body, "-target") {
				return target()
			}
			return 200, `{"status":"ACTIVE","type":"STANDARD","definition":"{}","loggingConfiguration":{"level":"ALL","includeExecutionData":true}}`
		}
		return 400, `{"__type":"ValidationError","message":"` + r.URL.Path + `"}`
	})
	d, err := c.Deployed(t.Context())
	require.NoError(t, err)
	assert.Equal(t, hub.Deployed{Active: true, Standard: true, Definition: "{}", Target: "[]", LogsData: true}, d,
		"what holds for both")
	target = func() (int, string) { return 400, `{"__type":"StateMachineDoesNotExist","message":"none"}` }
	d, err = c.Deployed(t.Context())
	require.NoError(t, err)
	assert.Equal(t, hub.Deployed{Active: true, Standard: true, Definition: "{}", Logged: true, LogsData: true}, d)
	target = func() (int, string) { return 400, `{"__type":"AccessDeniedException","message":"no"}` }
	_, err = c.Deployed(t.Context())
	require.ErrorIs(t, err, hub.ErrDenied)

	alarms := &fakeAlarms{}
	c.Alarms = alarms
	known, on, err := c.Ringing(t.Context(), []string{"B", "A"})
	require.NoError(t, err)
	assert.Equal(t, []string{"ec2patch-A", "ec2patch-B"}, known)
	assert.Equal(t, []string{"ec2patch-A"}, on)
	assert.Equal(t, []string{"ec2patch-B", "ec2patch-A"}, alarms.asked)
}

// fakeAlarms has every alarm that is asked for; the one that ends with A is on.
type fakeAlarms struct{ asked []string }

func (f *fakeAlarms) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput,
	_ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	f.asked = in.AlarmNames
	out := &cloudwatch.DescribeAlarmsOutput{}
	for _, name := range in.AlarmNames {
		state := cwtypes.StateValueOk
		if strings.HasSuffix(name, "A") {
			state = cwtypes.StateValueAlarm
		}
		out.MetricAlarms = append(out.MetricAlarms, cwtypes.MetricAlarm{AlarmName: &name, StateValue: state})
	}
	return out, nil
}

// A run that has gone on for long is listed, however many others came after it.
func TestClient_List_open(t *testing.T) {
	c := server(t, func(_ *http.Request, body string) (int, string) {
		const old, two, three = `{"executionArn":"1","name":"old","status":"RUNNING","startDate":1}`, `{"executionArn":"2","name":"two","status":"%","startDate":2,"stopDate":4}`,
			`{"executionArn":"3","name":"three","status":"FAILED","startDate":3,"stopDate":4}`
		if strings.Contains(body, `"statusFilter":"RUNNING"`) {
			return 200, `{"executions":[` + strings.Replace(two, "%", "RUNNING", 1) + `,` + old + `]}`
		}
		return 200, `{"executions":[` + three + `,` + strings.Replace(two, "%", "SUCCEEDED", 1) + `]}`
	})
	all, err := c.List(t.Context(), 2)
	require.NoError(t, err)
	var got []string
	for _, x := range all {
		got = append(got, x.Run+" "+x.Status)
	}
	assert.Equal(t, []string{"three FAILED", "two SUCCEEDED", "old RUNNING"}, got)
}
