package doubt_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/store"
)

func TestCause_text(t *testing.T) {
	for want, c := range map[string]doubt.Cause{
		"333333333333 us-east-1: 3 failed, limit 2 (ssm.maxErrors 10% of 23)": {Kind: doubt.CauseFailed,
			Scope: doubt.ScopeTarget, Account: "333333333333", Region: "us-east-1", Count: 3, Limit: 2,
			Field: "ssm.maxErrors", Of: "10% of 23"},
		"333333333333: 3 failed, limit 2 (budget.perAccount 2)": {Kind: doubt.CauseFailed, Scope: doubt.ScopeAccount,
			Account: "333333333333", Count: 3, Limit: 2, Field: "budget.perAccount", Of: "2"},
		"wave a: 1 account failed, limit 0 (budget.maxFailedAccounts)": {Kind: doubt.CauseAccounts,
			Scope: doubt.ScopeOfWave, Wave: "a", Count: 1, Field: "budget.maxFailedAccounts"},
		"run: 11 failed, limit 10 (budget.maxFailedInstances 10% of 100)": {Kind: doubt.CauseFailed,
			Scope: doubt.ScopeRun, Count: 11, Limit: 10, Field: "budget.maxFailedInstances", Of: "10% of 100"},
		"alarm x is unreadable": {Kind: doubt.CauseAlarm, Scope: doubt.ScopeAlarm, Alarm: "x",
			State: doubt.AlarmUnreadable},
		"alarm x was ALARM while the wave was patched, 1 instance not sent": {Kind: doubt.CauseAlarmSeen,
			Scope: doubt.ScopeAlarm, Alarm: "x", State: doubt.AlarmFiring, Count: 1},
		"wave a: 2 account-regions without a result": {Kind: doubt.CauseNoResult, Scope: doubt.ScopeOfWave,
			Wave: "a", Count: 2},
		"the run was aborted": {Kind: doubt.CauseAbort, Scope: doubt.ScopeRun},
	} {
		assert.Equal(t, want, c.Text())
	}
}

// An approval covers what people were asked about, whatever its text: an alarm whose name is the beginning of
// another's, a count that has grown, another state.
func TestDoubt_covers(t *testing.T) {
	alarm := func(name, state string) doubt.Cause {
		return doubt.Cause{Kind: doubt.CauseAlarm, Scope: doubt.ScopeAlarm, Alarm: name, State: state}
	}
	failed := func(wave string, n int) doubt.Cause {
		return doubt.Cause{Kind: doubt.CauseFailed, Scope: doubt.ScopeOfWave, Wave: wave, Count: n, Limit: 1}
	}
	asked := doubt.Doubt{Causes: []doubt.Cause{failed("a", 3), alarm("web-5xx", doubt.AlarmFiring)}}
	for _, test := range []struct {
		name   string
		later  []doubt.Cause
		covers bool
	}{
		{"the same", asked.Causes, true},
		{"nothing any more", nil, true},
		{"less", []doubt.Cause{failed("a", 2)}, true},
		{"more of it", []doubt.Cause{failed("a", 4)}, false},
		{"another wave", []doubt.Cause{failed("b", 3)}, false},
		{"another alarm", []doubt.Cause{alarm("web", doubt.AlarmFiring)}, false},
		{"another state", []doubt.Cause{alarm("web-5xx", doubt.AlarmUnreadable)}, false},
		{"one of two is new", []doubt.Cause{failed("a", 3), alarm("db", doubt.AlarmFiring)}, false},
		{"another kind", []doubt.Cause{{Kind: doubt.CauseTried, Scope: doubt.ScopeOfWave, Wave: "a", Count: 3}}, false},
	} {
		assert.Equal(t, test.covers, asked.Covers(doubt.Doubt{Causes: test.later}), test.name)
	}
}

// What explains a doubt is part of its value, and no cause.
func TestDoubt_held(t *testing.T) {
	d := doubt.Doubt{Held: []doubt.Cause{{Kind: doubt.CauseFailed, Scope: doubt.ScopeTarget, Account: "1", Region: "r",
		Count: 2, Limit: 1, Field: "ssm.maxErrors"}}}
	assert.False(t, d.Any())
	assert.Equal(t, "1 r: 2 failed, limit 1 (ssm.maxErrors)", d.Text())
	one, err := d.Digest()
	require.NoError(t, err)
	two, err := doubt.Doubt{}.Digest()
	require.NoError(t, err)
	assert.NotEqual(t, one, two)
}

// The worst that was seen of an alarm stays.
func TestWatch_saw(t *testing.T) {
	var w store.Watch
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for i, state := range []string{doubt.AlarmOK, doubt.AlarmNoData, doubt.AlarmFiring, doubt.AlarmMissing,
		doubt.AlarmOK} {
		w.Saw([]doubt.AlarmState{{ARN: "a", State: state}, {ARN: "b", State: doubt.AlarmOK}},
			now.Add(time.Duration(i)*time.Minute))
		assert.Equal(t, i > 0, w.Red(), state)
	}
	assert.Equal(t, []doubt.AlarmState{{ARN: "a", State: doubt.AlarmFiring}}, w.Seen)
	assert.Equal(t, doubt.AlarmOK, w.Alarms[0].State)
	assert.Equal(t, now.Add(4*time.Minute), w.Read)
}

// A question without a doubt is signed as it always was: decisions of earlier releases stay true.
func TestApproval_signsTheDoubt(t *testing.T) {
	a := decision.Approval{ID: "id", Run: "r", Scope: "soak:w"}
	d := decision.Decision{Decision: decision.Approve}
	plain := a.DecisionMessage(d)
	a.Doubt = "1f"
	assert.Equal(t, string(plain)+"2:1f,", string(a.DecisionMessage(d)))
}
