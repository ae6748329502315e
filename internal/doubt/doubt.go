package doubt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

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

// Severity orders the states, so that a worse one is not forgotten for a better.
func (a AlarmState) Severity() int {
	return slices.Index([]string{AlarmOK, AlarmNoData, AlarmMissing, AlarmUnreadable, AlarmFiring}, a.State)
}

// Doubt is why a wave is not simply good. It is a value: what people approved is compared with what is
// found later cause by cause, never by the text that they were shown.
type Doubt struct {
	Causes []Cause `json:"causes"`
	// Held are the limits that kept something back in one account-region or account. They are no
	// causes: they explain some.
	Held []Cause `json:"held,omitempty"`
}

// Cause is one reason to ask or to stop.
type Cause struct {
	Kind    CauseKind       `json:"kind"`
	Scope   string          `json:"scope"` // of Scope...
	Wave    string          `json:"wave,omitempty"`
	Account patch.AccountID `json:"account,omitempty"`
	Region  patch.Region    `json:"region,omitempty"`
	Count   int             `json:"count,omitempty"` // what there is
	Limit   int             `json:"limit,omitempty"` // what there may be
	Field   string          `json:"field,omitempty"` // of the input that sets the limit
	Of      string          `json:"of,omitempty"`    // as it is written there, and of how many
	Alarm   string          `json:"alarm,omitempty"` // its ARN
	State   string          `json:"state,omitempty"` // of the alarm
}

// CauseKind tells causes apart.
type CauseKind string

// The kinds of causes.
const (
	CauseFailed    CauseKind = "failed"    // instances, of what is planned
	CauseTried     CauseKind = "tried"     // instances, of what was tried where a limit left something unsent
	CauseAccounts  CauseKind = "accounts"  // accounts that failed
	CauseAlarm     CauseKind = "alarm"     // red now
	CauseAlarmSeen CauseKind = "alarmSeen" // red while the wave was patched, which left instances unsent
	CauseNoResult  CauseKind = "noResult"  // account-regions that were not brought to an end
	CauseIssues    CauseKind = "issues"    // abortOnIssues
	CauseAbort     CauseKind = "abort"     // somebody aborted the run
)

// The scopes of causes.
const (
	ScopeRun     = "run"
	ScopeOfWave  = "wave"
	ScopeAccount = "account"
	ScopeTarget  = "target"
	ScopeAlarm   = "alarm"
)

// Any tells whether there is a doubt at all.
func (d Doubt) Any() bool { return len(d.Causes) > 0 }

// Digest names the doubt's value, in what is signed.
func (d Doubt) Digest() (string, error) {
	data, err := patch.Canonical(d)
	return patch.Digest(data), err
}

// Covers tells whether who said yes to this doubt has said yes to a later one: each of its causes was
// asked about, and is not larger than it was then.
func (d Doubt) Covers(later Doubt) bool {
	for _, c := range later.Causes {
		if !slices.ContainsFunc(d.Causes, c.within) {
			return false
		}
	}
	return true
}

// within tells whether the cause is the other one, and not larger.
func (c Cause) within(asked Cause) bool {
	return c.Kind == asked.Kind && c.Scope == asked.Scope && c.Wave == asked.Wave && c.Account == asked.Account &&
		c.Region == asked.Region &&
		c.Alarm == asked.Alarm && c.State == asked.State && c.Count <= asked.Count
}

// Text is the doubt in words, as mail, page and report say it.
func (d Doubt) Text() string { return strings.Join(d.Lines(), "; ") }

// Lines is the text, cause by cause.
func (d Doubt) Lines() []string {
	var lines []string
	for _, c := range slices.Concat(d.Causes, d.Held) {
		lines = append(lines, c.Text())
	}
	return lines
}

// Text is the one function that puts a cause into words.
func (c Cause) Text() string {
	switch c.Kind {
	case CauseAlarm:
		return c.alarmText("is")
	case CauseAlarmSeen:
		return c.alarmText("was") + " while the wave was patched, " + words.BareCount(c.Count, "instance") + " not sent"
	case CauseNoResult:
		return c.place() + ": " + words.BareCount(c.Count, "account-region") + " without a result"
	case CauseAbort:
		return "the run was aborted"
	case CauseAccounts:
		return c.limitText(words.BareCount(c.Count, "account") + " failed")
	}
	return c.limitText(fmt.Sprintf("%d failed", c.Count))
}

func (c Cause) limitText(what string) string {
	field := c.Field
	if c.Of != "" {
		field += " " + c.Of
	}
	return fmt.Sprintf("%s: %s, limit %d (%s)", c.place(), what, c.Limit, field)
}

func (c Cause) alarmText(verb string) string {
	return fmt.Sprintf("alarm %s %s %s", c.Alarm, verb, c.State)
}

// place names the scope as people do.
func (c Cause) place() string {
	switch c.Scope {
	case ScopeOfWave:
		return "wave " + c.Wave
	case ScopeAccount:
		return string(c.Account)
	case ScopeTarget:
		return string(c.Account) + " " + string(c.Region)
	}
	return c.Scope
}

// watchPatience is how long CloudWatch may fail before its alarms count as unreadable.
const Patience = 10 * time.Minute

func Unreadable(arns []string) []AlarmState {
	states := make([]AlarmState, len(arns))
	for i, arn := range arns {
		states[i] = AlarmState{ARN: arn, State: AlarmUnreadable}
	}
	return states
}
