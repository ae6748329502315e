package estate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"ec2patch/internal/sim/world/core"
)

// CloudWatch is a CloudWatch client of one principal in one region.
type CloudWatch struct {
	w      *Estate
	p      *core.Principal
	region string
}

// CloudWatch returns a client whose calls land in the principal's account.
func (w *Estate) CloudWatch(p *core.Principal, region string) *CloudWatch {
	return &CloudWatch{w, p, region}
}

// AlarmStep is one line of an alarm's script: from After the beginning on it is in State.
type AlarmStep struct {
	After time.Duration
	State string // OK, ALARM or INSUFFICIENT_DATA
}

// alarm is a metric alarm, or a composite one, whose state follows a script.
type alarm struct {
	name      string
	arn       string
	composite bool
	begun     time.Time
	steps     []AlarmStep
}

// kind is the type of the alarm as requests name it.
func (a *alarm) kind() cwtypes.AlarmType {
	if a.composite {
		return cwtypes.AlarmTypeCompositeAlarm
	}
	return cwtypes.AlarmTypeMetricAlarm
}

// AddAlarm adds a metric alarm. It is INSUFFICIENT_DATA before the first step of its script.
func (w *Estate) AddAlarm(account, region, name string, steps ...AlarmStep) error {
	return w.addAlarm(account, region, name, false, steps)
}

// AddCompositeAlarm adds a composite alarm, whose state follows a script as a metric alarm's does and no rule over
// others.
func (w *Estate) AddCompositeAlarm(account, region, name string, steps ...AlarmStep) error {
	return w.addAlarm(account, region, name, true, steps)
}

func (w *Estate) addAlarm(account, region, name string, composite bool, steps []AlarmStep) error {
	for _, s := range steps {
		if !slices.Contains(cwtypes.StateValue("").Values(), cwtypes.StateValue(s.State)) {
			return fmt.Errorf("alarm %s: state %q is none of OK, ALARM, INSUFFICIENT_DATA", name, s.State)
		}
	}
	at := Place{account, region}
	if slices.ContainsFunc(w.alarms[at], func(a *alarm) bool { return a.name == name }) {
		return fmt.Errorf("two alarms named %q in %s %s", name, account, region)
	}
	sorted := slices.Clone(steps)
	slices.SortStableFunc(sorted, func(a, b AlarmStep) int { return cmp.Compare(a.After, b.After) })
	w.alarms[at] = append(w.alarms[at], &alarm{
		name: name, arn: AlarmARN(account, region, name), composite: composite, begun: w.Now(), steps: sorted,
	})
	slices.SortFunc(w.alarms[at], func(a, b *alarm) int { return cmp.Compare(a.name, b.name) })
	return nil
}

// TurnAlarm lets an alarm that exists turn to a state in a while from now. What it was before stays as it was.
func (w *Estate) TurnAlarm(account, region, name, state string, in time.Duration) {
	for _, a := range w.alarms[Place{account, region}] {
		if a.name == name {
			a.steps = append(a.steps, AlarmStep{After: w.Now().Sub(a.begun) + in, State: state})
		}
	}
}

// RemoveAlarm deletes an alarm: it is missing from every answer from now on.
func (w *Estate) RemoveAlarm(account, region, name string) {
	at := Place{account, region}
	w.alarms[at] = slices.DeleteFunc(w.alarms[at], func(a *alarm) bool { return a.name == name })
}

// AlarmWas is the state that an alarm had at a moment, empty if there is no such alarm. It is for checkers.
func (w *Estate) AlarmWas(arn string, t time.Time) string {
	for _, all := range w.alarms {
		for _, a := range all {
			if a.arn == arn {
				state, _ := a.state(t)
				return string(state)
			}
		}
	}
	return ""
}

// AlarmARN is the ARN of an alarm as IAM sees it.
func AlarmARN(account, region, name string) string {
	return "arn:aws:cloudwatch:" + region + ":" + account + ":alarm:" + name
}

func (a *alarm) state(now time.Time) (cwtypes.StateValue, time.Time) {
	state, since := cwtypes.StateValueInsufficientData, a.begun
	for _, s := range a.steps {
		if at := a.begun.Add(s.After); !at.After(now) {
			state, since = cwtypes.StateValue(s.State), at
		}
	}
	return state, since
}

// DescribeAlarms returns metric alarms, and composite ones if AlarmTypes asks for them, by name; a name without an
// alarm is missing from the answer. It is judged on the ARNs of the alarms named, or on every alarm (alarm:*) when none
// is; one that asks for composite alarms on "*", since a narrower permission does not show them. Source: Service
// Authorization Reference, Amazon CloudWatch; B:cloudwatch/DescribeAlarms.
func (c *CloudWatch) DescribeAlarms(ctx context.Context, in *cloudwatch.DescribeAlarmsInput,
	_ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	var arns []string
	for _, name := range in.AlarmNames {
		arns = append(arns, AlarmARN(c.p.Account, c.region, name))
	}
	switch {
	case slices.Contains(in.AlarmTypes, cwtypes.AlarmTypeCompositeAlarm):
		arns = []string{"*"}
	case arns == nil:
		arns = []string{AlarmARN(c.p.Account, c.region, "*")}
	}
	call := &core.Call{
		Principal: c.p, Account: c.p.Account, Region: c.region, Service: "cloudwatch", Operation: "DescribeAlarms",
		Attempts: core.Attempts, Input: in,
		Access: []core.Access{{Action: "cloudwatch:DescribeAlarms", Resources: arns}},
	}
	return core.Do(ctx, c.w.Core, call, func() (*cloudwatch.DescribeAlarmsOutput, error) {
		size, err := c.check(in)
		if err != nil {
			return nil, err
		}
		kinds := in.AlarmTypes
		if len(kinds) == 0 {
			kinds = []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm}
		}
		var found []*alarm
		for _, a := range c.w.alarms[Place{c.p.Account, c.region}] {
			state, _ := a.state(c.w.Now())
			named := len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, a.name)
			if named && slices.Contains(kinds, a.kind()) && (in.StateValue == "" || in.StateValue == state) {
				found = append(found, a)
			}
		}
		cut, next, err := core.Page("DescribeAlarms", found, core.Some(c.w.PageOf(call, size)), in.NextToken)
		if err != nil {
			return nil, core.Refusal("InvalidNextToken", "The next token specified is invalid.")
		}
		out := &cloudwatch.DescribeAlarmsOutput{NextToken: next}
		for _, a := range cut {
			state, since := a.state(c.w.Now())
			if f, ok := c.w.Faults.(core.MissingAlarms); ok {
				missing, noData := f.Missing(call, a.name)
				if missing {
					continue
				}
				if noData {
					state = cwtypes.StateValueInsufficientData
				}
			}
			if a.composite {
				out.CompositeAlarms = append(out.CompositeAlarms, cwtypes.CompositeAlarm{
					AlarmName: aws.String(a.name), AlarmArn: aws.String(a.arn), StateValue: state,
					StateUpdatedTimestamp: aws.Time(since), StateReason: aws.String("scripted"), ActionsEnabled: aws.Bool(true),
				})
				continue
			}
			out.MetricAlarms = append(out.MetricAlarms, cwtypes.MetricAlarm{
				AlarmName: aws.String(a.name), AlarmArn: aws.String(a.arn), StateValue: state,
				StateUpdatedTimestamp: aws.Time(since), StateReason: aws.String("scripted"), ActionsEnabled: aws.Bool(true),
			})
		}
		return out, nil
	})
}

// check refuses what is not modelled and returns the page size, 50 unless
// given. Source: B:cloudwatch/DescribeAlarmsInput.
func (c *CloudWatch) check(in *cloudwatch.DescribeAlarmsInput) (int, error) {
	switch {
	case in.ActionPrefix != nil || in.AlarmNamePrefix != nil || in.ChildrenOfAlarmName != nil ||
		in.ParentsOfAlarmName != nil:
		return 0, core.Unmodelled("DescribeAlarms by prefix, parent or child")
	case slices.Contains(in.AlarmTypes, cwtypes.AlarmTypeLogAlarm):
		return 0, core.Unmodelled("DescribeAlarms of log alarms")
	case len(in.AlarmNames) > 100:
		return 0, core.Invalid("alarmNames", "length less than or equal to 100")
	case in.MaxRecords == nil:
		return 50, nil
	case *in.MaxRecords < 1 || *in.MaxRecords > 100:
		return 0, core.Invalid("maxRecords", "value between 1 and 100")
	}
	return int(*in.MaxRecords), nil
}
