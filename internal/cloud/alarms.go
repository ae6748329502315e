package cloud

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// CloudWatch is what Alarms uses of the SDK's client.
type CloudWatch interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput,
		...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

// maxAlarms is how many names one call takes, and how many alarms a page has at
// most. Source: CloudWatch DescribeAlarms, AlarmNames and MaxRecords, read 2026-11.
const maxAlarms = 100

// Alarms reads alarms of the hub with its own client, and those of a spoke
// through its role.
type Alarms struct {
	Hub        func(region string) CloudWatch
	HubAccount patch.AccountID
	Spokes     *Spokes
}

// alarmPlace is where alarms are read with one client.
type alarmPlace struct {
	account patch.AccountID
	region  string
}

// States reads the state of each alarm, in the order of the ARNs, with one call for each hundred of an
// account-region. An alarm that CloudWatch definitely refuses to show is unreadable; a refusal that may
// pass is an error.
func (a *Alarms) States(ctx context.Context, run patch.RunID, arns []string) ([]doubt.AlarmState, error) {
	var places []alarmPlace // in the order of the ARNs, so that equal questions make equal calls
	names := map[alarmPlace][]string{}
	for _, arn := range arns {
		p, name, ok := splitAlarm(arn)
		if !ok {
			continue
		}
		if names[p] == nil {
			places = append(places, p)
		}
		if !slices.Contains(names[p], name) {
			names[p] = append(names[p], name)
		}
	}
	known := map[string]string{}
	for _, p := range places {
		if err := a.read(ctx, run, p, names[p], known); err != nil {
			return nil, err
		}
	}
	states := make([]doubt.AlarmState, len(arns))
	for i, arn := range arns {
		states[i] = doubt.AlarmState{ARN: arn, State: doubt.AlarmMissing}
		p, _, ok := splitAlarm(arn)
		switch state, found := known[arn]; {
		case found:
			states[i].State = state
		case ok && known[p.denied()] != "":
			states[i].State = doubt.AlarmUnreadable
		}
	}
	return states, nil
}

// denied is the key under which a whole account-region is marked as unreadable. No ARN looks like it.
func (p alarmPlace) denied() string { return string(p.account) + " " + p.region }

// splitAlarm takes an alarm's ARN apart.
func splitAlarm(arn string) (alarmPlace, string, bool) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) != 7 {
		return alarmPlace{}, "", false
	}
	return alarmPlace{patch.AccountID(parts[4]), parts[3]}, parts[6], true
}

// read adds the states of one account-region's alarms, by ARN.
func (a *Alarms) read(ctx context.Context, run patch.RunID, p alarmPlace, names []string,
	known map[string]string) error {
	client, err := a.client(ctx, run, p)
	for err == nil && len(names) > 0 {
		n := min(len(names), maxAlarms)
		err = describeAlarms(ctx, client, names[:n], known)
		names = names[n:]
	}
	switch kind := patch.KindOf(err); {
	case err == nil:
		return nil
	case kind == patch.ErrAccessDenied, kind == patch.ErrInternal && definite(err):
		known[p.denied()] = doubt.AlarmUnreadable
		return nil
	}
	return err
}

func (a *Alarms) client(ctx context.Context, run patch.RunID, p alarmPlace) (CloudWatch, error) {
	if p.account == a.HubAccount {
		return a.Hub(p.region), nil
	}
	creds, err := a.Spokes.reader(ctx, run, p.account)
	if err != nil {
		return nil, err
	}
	return a.Spokes.Connect(creds, p.region).CloudWatch, nil
}

// describeAlarms reads all pages of at most a hundred names. Without the types CloudWatch shows no composite alarm.
func describeAlarms(ctx context.Context, client CloudWatch, names []string, known map[string]string) error {
	in := &cloudwatch.DescribeAlarmsInput{
		AlarmNames: names, MaxRecords: aws.Int32(maxAlarms),
		AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
	}
	for {
		out, err := client.DescribeAlarms(ctx, in)
		if err != nil {
			return wrap(err, "read %s", words.BareCount(len(names), "alarm"))
		}
		for _, m := range out.MetricAlarms {
			known[aws.ToString(m.AlarmArn)] = string(m.StateValue)
		}
		for _, c := range out.CompositeAlarms {
			known[aws.ToString(c.AlarmArn)] = string(c.StateValue)
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		in.NextToken = out.NextToken
	}
}
