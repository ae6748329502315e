package cloud_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/doubt"
)

// bells is CloudWatch in one region of the hub, which shows two alarms a page.
type bells struct {
	metric, composite map[string]types.StateValue
	refuse            error
	calls             []int // names asked for
	pages             int
}

func (b *bells) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput,
	_ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	if b.refuse != nil {
		return nil, b.refuse
	}
	b.pages++
	from := 0
	if in.NextToken == nil {
		b.calls = append(b.calls, len(in.AlarmNames))
	} else {
		_, _ = fmt.Sscan(*in.NextToken, &from)
	}
	const size = 2
	out, seen := &cloudwatch.DescribeAlarmsOutput{}, 0
	for _, name := range in.AlarmNames {
		metric, isMetric := b.metric[name]
		composite, isComposite := b.composite[name]
		isComposite = isComposite && slices.Contains(in.AlarmTypes, types.AlarmTypeCompositeAlarm)
		if !isMetric && !isComposite {
			continue
		}
		if seen++; seen <= from {
			continue
		}
		if seen > from+size {
			out.NextToken = aws.String(fmt.Sprint(from + size))
			break
		}
		if isMetric {
			out.MetricAlarms = append(out.MetricAlarms, types.MetricAlarm{AlarmArn: aws.String(bell(name)),
				StateValue: metric})
		} else {
			out.CompositeAlarms = append(out.CompositeAlarms, types.CompositeAlarm{AlarmArn: aws.String(bell(name)),
				StateValue: composite})
		}
	}
	return out, nil
}

func bell(name string) string { return "arn:aws:cloudwatch:eu-west-1:999999999999:alarm:" + name }

func states(t *testing.T, b *bells, arns ...string) ([]doubt.AlarmState, error) {
	t.Helper()
	a := &cloud.Alarms{Hub: func(string) cloud.CloudWatch { return b }, HubAccount: "999999999999"}
	return a.States(t.Context(), "run-1", arns)
}

func TestAlarms_states(t *testing.T) {
	b := &bells{
		metric:    map[string]types.StateValue{"fine": "OK", "red:with colon": "ALARM", "mute": "INSUFFICIENT_DATA"},
		composite: map[string]types.StateValue{"whole": "ALARM"},
	}
	got, err := states(t, b, bell("whole"), bell("fine"), bell("gone"), bell("red:with colon"), bell("mute"),
		bell("fine"), "no arn")
	require.NoError(t, err)
	assert.Equal(t, []doubt.AlarmState{
		{ARN: bell("whole"), State: doubt.AlarmFiring}, {ARN: bell("fine"), State: doubt.AlarmOK},
		{ARN: bell("gone"), State: doubt.AlarmMissing},
		{ARN: bell("red:with colon"), State: doubt.AlarmFiring}, {ARN: bell("mute"), State: doubt.AlarmNoData},
		{ARN: bell("fine"), State: doubt.AlarmOK}, {ARN: "no arn", State: doubt.AlarmMissing},
	}, got)
	assert.Equal(t, []int{5}, b.calls, "one question for all, each name once")
	assert.Equal(t, 2, b.pages, "and every page of the answer")
}

// CloudWatch takes a hundred names a call.
func TestAlarms_hundreds(t *testing.T) {
	b := &bells{metric: map[string]types.StateValue{}}
	var arns []string
	for i := range 101 {
		name := fmt.Sprint("a", i)
		b.metric[name] = "OK"
		arns = append(arns, bell(name))
	}
	got, err := states(t, b, arns...)
	require.NoError(t, err)
	assert.Len(t, got, 101)
	assert.False(t, slices.ContainsFunc(got, doubt.AlarmState.Red))
	assert.Equal(t, []int{100, 1}, b.calls)
}

func TestAlarms_refused(t *testing.T) {
	refusal := func(code string, fault smithy.ErrorFault) error {
		return &smithy.GenericAPIError{Code: code, Fault: fault}
	}
	for _, c := range []struct {
		name    string
		refuse  error
		passing bool
	}{
		{"denied", refusal("AccessDenied", smithy.FaultClient), false},
		{"a region that is not enabled", refusal("OptInRequired", smithy.FaultClient), false},
		{"a name that CloudWatch does not take", refusal("ValidationError", smithy.FaultClient), false},
		{"throttled", refusal("Throttling", smithy.FaultClient), true},
		{"out of order", refusal("InternalServiceFault", smithy.FaultServer), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := states(t, &bells{refuse: c.refuse}, bell("one"))
			if c.passing {
				assert.Error(t, err, "asking again may help")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []doubt.AlarmState{{ARN: bell("one"), State: doubt.AlarmUnreadable}}, got)
		})
	}
}
