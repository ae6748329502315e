package patch

// AlarmState is what CloudWatch said of one alarm.
type AlarmState struct {
	ARN   string `json:"arn"`
	State string `json:"state"` // of Alarm...
}

// The states of an alarm: CloudWatch's own three, and two of ours.
// Source: CloudWatch DescribeAlarms, StateValue, read 2026-11.
const (
	AlarmOK         = "OK"
	AlarmFiring     = "ALARM"
	AlarmNoData     = "INSUFFICIENT_DATA"
	AlarmMissing    = "missing"    // there is no such alarm
	AlarmUnreadable = "unreadable" // we may not read it, or CloudWatch refuses to say
)

// Red tells whether the alarm is anything but OK: what cannot be seen is no good sign.
func (a AlarmState) Red() bool { return a.State != AlarmOK }
