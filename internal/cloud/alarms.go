package cloud

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"ec2patch/internal/patch"
)

// CloudWatch is what Alarms uses of the SDK's client.
type CloudWatch interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

// Alarms reads alarms of the hub with its own client, and those of a spoke
// through its role.
type Alarms struct {
	Hub        func(region string) CloudWatch
	HubAccount patch.AccountID
	Spokes     *Spokes
}

// Green tells whether every alarm exists and is OK.
func (a *Alarms) Green(ctx context.Context, run patch.RunID, arns []string) (bool, string, error) {
	for _, arn := range arns {
		state, err := a.state(ctx, run, arn)
		if patch.KindOf(err) == patch.ErrAccessDenied && err != nil {
			return false, fmt.Sprintf("alarm %s cannot be read", arn), nil
		}
		if err != nil {
			return false, "", err
		}
		if state != types.StateValueOk {
			return false, fmt.Sprintf("alarm %s is %s", arn, orMissing(state)), nil
		}
	}
	return true, "", nil
}

// state reads one alarm; it is empty if there is no such alarm.
func (a *Alarms) state(ctx context.Context, run patch.RunID, arn string) (types.StateValue, error) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) != 7 {
		return "", nil
	}
	region, account, name := parts[3], patch.AccountID(parts[4]), parts[6]
	client := a.Hub(region)
	if account != a.HubAccount {
		creds, err := a.Spokes.reader(ctx, run, account)
		if err != nil {
			return "", err
		}
		client = a.Spokes.Connect(creds, region).CloudWatch
	}
	out, err := client.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: []string{name}, AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
	})
	if err != nil {
		return "", wrap(err, "read alarm %s", name)
	}
	for _, m := range out.MetricAlarms {
		if aws.ToString(m.AlarmArn) == arn {
			return m.StateValue, nil
		}
	}
	for _, c := range out.CompositeAlarms {
		if aws.ToString(c.AlarmArn) == arn {
			return c.StateValue, nil
		}
	}
	return "", nil
}

func orMissing(s types.StateValue) string {
	if s == "" {
		return "missing"
	}
	return string(s)
}
