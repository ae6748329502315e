package hub

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// Machines is what a Client uses of the SDK's Step Functions client to look at
// the machine itself.
type Machines interface {
	DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput,
		...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error)
}

// Alarms is what a Client uses of the SDK's CloudWatch client.
type Alarms interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput,
		...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

// Deployed is a hub's state machines as they are deployed: that of runs, and that
// of one account and region.
type Deployed struct {
	Active     bool
	Standard   bool
	Definition string // of runs, JSON
	Target     string // of one account and region, JSON; empty if there is no such machine
	Logged     bool   // every event
	LogsData   bool   // inputs and outputs too, task tokens of approvals among them
}

// Deployed looks at the hub's state machines.
func (c *Client) Deployed(ctx context.Context) (Deployed, error) {
	runs, err := c.deployed(ctx, c.Machine.ARN)
	if err != nil {
		return Deployed{}, err
	}
	target, err := c.deployed(ctx, c.Machine.Target())
	if errors.Is(err, ErrNotFound) {
		return runs, nil // an earlier hub, or half of one
	}
	if err != nil {
		return Deployed{}, err
	}
	return Deployed{
		Active: runs.Active && target.Active, Standard: runs.Standard && target.Standard, Definition: runs.Definition,
		Target: target.Definition,
		Logged: runs.Logged && target.Logged, LogsData: runs.LogsData || target.LogsData,
	}, nil
}

// deployed looks at one state machine.
func (c *Client) deployed(ctx context.Context, arn string) (Deployed, error) {
	out, err := c.Machines.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
	if err != nil {
		return Deployed{}, wrap(err, "look at the state machine")
	}
	d := Deployed{
		Active: out.Status == sfntypes.StateMachineStatusActive, Standard: out.Type == sfntypes.StateMachineTypeStandard,
		Definition: aws.ToString(out.Definition),
	}
	if log := out.LoggingConfiguration; log != nil {
		d.Logged, d.LogsData = log.Level == sfntypes.LogLevelAll, log.IncludeExecutionData
	}
	return d, nil
}

// maxAlarms is how many names one call takes. Source: CloudWatch DescribeAlarms, read 2026-11.
const maxAlarms = 100

// Ringing asks for the hub's alarms by the ends of their names, at most 100,
// and gives those that exist and those of them that are on, in order of name.
func (c *Client) Ringing(ctx context.Context, ends []string) (known, on []string, err error) {
	in := &cloudwatch.DescribeAlarmsInput{AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm},
		MaxRecords: aws.Int32(maxAlarms)}
	for _, end := range ends[:min(len(ends), maxAlarms)] {
		in.AlarmNames = append(in.AlarmNames, c.Machine.Prefix()+"-"+end)
	}
	out, err := c.Alarms.DescribeAlarms(ctx, in)
	if err != nil {
		return nil, nil, wrap(err, "look at the alarms")
	}
	for _, a := range out.MetricAlarms {
		name := aws.ToString(a.AlarmName)
		known = append(known, name)
		if a.StateValue == cwtypes.StateValueAlarm {
			on = append(on, name)
		}
	}
	slices.Sort(known)
	slices.Sort(on)
	return known, on, nil
}
