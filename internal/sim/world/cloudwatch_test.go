package world

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
)

// Source: B:cloudwatch/DescribeAlarms; docs/faults.md F-59.
func TestDescribeAlarms_Script(t *testing.T) {
	w := New(1, testStart())
	w.IgnoreIAM = true
	require.NoError(t, w.AddAlarm(testAccount, testRegion, "errors",
		estate.AlarmStep{After: 20 * time.Minute, State: "OK"}, estate.AlarmStep{After: 10 * time.Minute, State: "ALARM"}))
	c := w.CloudWatch(testPrincipal(testAccount), testRegion)
	var got []cwtypes.StateValue
	for range 3 {
		out,
			err := c.DescribeAlarms(context.Background(),
			&cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"errors", "missing"}})
		require.NoError(t, err)
		require.Len(t, out.MetricAlarms, 1, "a missing alarm is not returned")
		got = append(got, out.MetricAlarms[0].StateValue)
		runFor(w, 10*time.Minute)
	}
	require.Equal(t, []cwtypes.StateValue{"INSUFFICIENT_DATA", "ALARM", "OK"}, got)

	w.RemoveAlarm(testAccount, testRegion, "errors")
	out, err := c.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"errors"}})
	require.NoError(t, err)
	require.Empty(t, out.MetricAlarms)
}

func TestDescribeAlarms_Pages(t *testing.T) {
	w := New(1, testStart())
	w.IgnoreIAM, w.WholePages = true, true
	for _, name := range []string{"c", "a", "b"} {
		require.NoError(t, w.AddAlarm(testAccount, testRegion, name, estate.AlarmStep{State: "OK"}))
	}
	c := w.CloudWatch(testPrincipal(testAccount), testRegion)
	one, err := c.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(2)})
	require.NoError(t, err)
	two,
		err := c.DescribeAlarms(context.Background(),
		&cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(2), NextToken: one.NextToken})
	require.NoError(t, err)
	var names []string
	for _, a := range append(one.MetricAlarms, two.MetricAlarms...) {
		names = append(names, *a.AlarmName)
	}
	require.Equal(t, []string{"a", "b", "c"}, names)
	require.Nil(t, two.NextToken)
}

func TestDescribeAlarms_Refuses(t *testing.T) {
	w := New(1, testStart())
	w.IgnoreIAM = true
	c := w.CloudWatch(testPrincipal(testAccount), testRegion)
	tests := []struct {
		name string
		in   cloudwatch.DescribeAlarmsInput
		code string
	}{
		{"101 names", cloudwatch.DescribeAlarmsInput{AlarmNames: make([]string, 101)}, "ValidationException"},
		{"101 a page", cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(101)}, "ValidationException"},
		{"a prefix", cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("x")}, "UnsupportedBySimulation"},
		{"log alarms", cloudwatch.DescribeAlarmsInput{AlarmTypes: []cwtypes.AlarmType{"LogAlarm"}},
			"UnsupportedBySimulation"},
		{"a token that is none", cloudwatch.DescribeAlarmsInput{NextToken: aws.String("x")}, "InvalidNextToken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.DescribeAlarms(context.Background(), &tt.in)
			requireCode(t, err, tt.code)
		})
	}
	require.Error(t, w.AddAlarm(testAccount, testRegion, "x", estate.AlarmStep{State: "Ok"}))
}

// Judged on the ARNs of the alarms that are named. Source: Service Authorization Reference, Amazon CloudWatch.
func TestDescribeAlarms_Permission(t *testing.T) {
	w := New(1, testStart())
	require.NoError(t, w.AddAlarm(testAccount, testRegion, "errors"))
	w.AddRole(core.Role{ARN: spokeRole, Policies: []*iam.Policy{policy(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"cloudwatch:DescribeAlarms","Resource":"arn:aws:cloudwatch:*:111111111111:alarm:errors"}]}`)}})
	p, err := w.Session(spokeRole, "x")
	require.NoError(t, err)
	c := w.CloudWatch(p, testRegion)
	_, err = c.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"errors"}})
	require.NoError(t, err)
	for _, names := range [][]string{{"errors", "other"}, nil} {
		_, err = c.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{AlarmNames: names})
		requireCode(t, err, "AccessDenied")
	}
}

// Both kinds by name in one call; only metric alarms for who does not ask. Source: B:cloudwatch/DescribeAlarms,
// AlarmTypes.
func TestDescribeAlarms_Composite(t *testing.T) {
	w := New(1, testStart())
	w.IgnoreIAM = true
	require.NoError(t, w.AddAlarm(testAccount, testRegion, "metric", estate.AlarmStep{State: "OK"}))
	require.NoError(t, w.AddCompositeAlarm(testAccount, testRegion, "composite", estate.AlarmStep{State: "ALARM"}))
	require.Error(t, w.AddAlarm(testAccount, testRegion, "composite"), "names are of both kinds")
	c := w.CloudWatch(testPrincipal(testAccount), testRegion)
	both := []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm}
	read := func(kinds []cwtypes.AlarmType, names ...string) (got []string) {
		in := &cloudwatch.DescribeAlarmsInput{AlarmNames: names, AlarmTypes: kinds}
		for {
			out, err := c.DescribeAlarms(context.Background(), in)
			require.NoError(t, err)
			for _, a := range out.MetricAlarms {
				got = append(got, *a.AlarmName+" "+string(a.StateValue))
			}
			for _, a := range out.CompositeAlarms {
				got = append(got, *a.AlarmName+" "+string(a.StateValue))
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return got
			}
		}
	}
	require.ElementsMatch(t, []string{"composite ALARM", "metric OK"}, read(both, "metric", "composite", "gone"))
	require.Equal(t, []string{"metric OK"}, read(nil, "metric", "composite"))
	require.Equal(t, []string{"composite ALARM"}, read(both[1:]))
}

// A permission on single alarms shows no composite ones. Source: B:cloudwatch/DescribeAlarms.
func TestDescribeAlarms_CompositePermission(t *testing.T) {
	for resource, code := range map[string]string{"*": "", estate.AlarmARN(testAccount, testRegion, "*"): "AccessDenied"} {
		w := New(1, testStart())
		policy, err := iam.ParsePolicy("p", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudwatch:DescribeAlarms","Resource":"`+resource+`"}]}`))
		require.NoError(t, err)
		p := testPrincipal(testAccount)
		w.AddRole(core.Role{ARN: p.RoleARN, Policies: []*iam.Policy{policy}})
		_, err = w.CloudWatch(p, testRegion).DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{
			AlarmNames: []string{"a"}, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeCompositeAlarm},
		})
		if code == "" {
			require.NoError(t, err)
			continue
		}
		requireCode(t, err, code)
	}
}
