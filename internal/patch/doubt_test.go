package patch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
)

func TestCause_text(t *testing.T) {
	for want, c := range map[string]patch.Cause{
		"333333333333 us-east-1: 3 failed, limit 2 (ssm.maxErrors 10% of 23)": {Kind: patch.CauseFailed, Scope: patch.ScopeTarget,
			Account: "333333333333", Region: "us-east-1", Count: 3, Limit: 2, Field: "ssm.maxErrors", Of: "10% of 23"},
		"333333333333: 3 failed, limit 2 (budget.perAccount 2)": {Kind: patch.CauseFailed, Scope: patch.ScopeAccount,
			Account: "333333333333", Count: 3, Limit: 2, Field: "budget.perAccount", Of: "2"},
		"wave a: 1 account failed, limit 0 (budget.maxFailedAccounts)": {Kind: patch.CauseAccounts, Scope: patch.ScopeOfWave,
			Wave: "a", Count: 1, Field: "budget.maxFailedAccounts"},
		"run: 11 failed, limit 10 (budget.maxFailedInstances 10% of 100)": {Kind: patch.CauseFailed, Scope: patch.ScopeRun,
			Count: 11, Limit: 10, Field: "budget.maxFailedInstances", Of: "10% of 100"},
		"alarm x is unreadable": {Kind: patch.CauseAlarm, Scope: patch.ScopeAlarm, Alarm: "x", State: patch.AlarmUnreadable},
		"alarm x was ALARM while the wave was patched, 1 instance not sent": {Kind: patch.CauseAlarmSeen, Scope: patch.ScopeAlarm,
			Alarm: "x", State: patch.AlarmFiring, Count: 1},
		"wave a: 2 account-regions without a result": {Kind: patch.CauseNoResult, Scope: patch.ScopeOfWave, Wave: "a", Count: 2},
		"the run was aborted":                        {Kind: patch.CauseAbort, Scope: patch.ScopeRun},
	} {
		assert.Equal(t, want, c.Text())
	}
}

// An approval covers what people were asked about, whatever its text: an alarm whose name is the beginning of
// another's, a count that has grown, another state.
func TestDoubt_covers(t *testing.T) {
	alarm := func(name, state string) patch.Cause {
		return patch.Cause{Kind: patch.CauseAlarm, Scope: patch.ScopeAlarm, Alarm: name, State: state}
	}
	failed := func(wave string, n int) patch.Cause {
		return patch.Cause{Kind: patch.CauseFailed, Scope: patch.ScopeOfWave, Wave: wave, Count: n, Limit: 1}
	}
	asked := patch.Doubt{Causes: []patch.Cause{failed("a", 3), alarm("web-5xx", patch.AlarmFiring)}}
	for _, test := range []struct {
		name   string
		later  []patch.Cause
		covers bool
	}{
		{"the same", asked.Causes, true},
		{"nothing any more", nil, true},
		{"less", []patch.Cause{failed("a", 2)}, true},
		{"more of it", []patch.Cause{failed("a", 4)}, false},
		{"another wave", []patch.Cause{failed("b", 3)}, false},
		{"another alarm", []patch.Cause{alarm("web", patch.AlarmFiring)}, false},
		{"another state", []patch.Cause{alarm("web-5xx", patch.AlarmUnreadable)}, false},
		{"one of two is new", []patch.Cause{failed("a", 3), alarm("db", patch.AlarmFiring)}, false},
		{"another kind", []patch.Cause{{Kind: patch.CauseTried, Scope: patch.ScopeOfWave, Wave: "a", Count: 3}}, false},
	} {
		assert.Equal(t, test.covers, asked.Covers(patch.Doubt{Causes: test.later}), test.name)
	}
}

// What explains a doubt is part of its value, and no cause.
func TestDoubt_held(t *testing.T) {
	d := patch.Doubt{Held: []patch.Cause{{Kind: patch.CauseFailed, Scope: patch.ScopeTarget, Account: "1", Region: "r", Count: 2, Limit: 1, Field: "ssm.maxErrors"}}}
	assert.False(t, d.Any())
	assert.Equal(t, "1 r: 2 failed, limit 1 (ssm.maxErrors)", d.Text())
	one, err := d.Digest()
	require.NoError(t, err)
	two, err := patch.Doubt{}.Digest()
	require.NoError(t, err)
	assert.NotEqual(t, one, two)
}

// The worst that was seen of an alarm stays.
func TestWatch_saw(t *testing.T) {
	var w patch.Watch
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for i, state := range []string{patch.AlarmOK, patch.AlarmNoData, patch.AlarmFiring, patch.AlarmMissing, patch.AlarmOK} {
		w.Saw([]patch.AlarmState{{ARN: "a", State: state}, {ARN: "b", State: patch.AlarmOK}}, now.Add(time.Duration(i)*time.Minute))
		assert.Equal(t, i > 0, w.Red(), state)
	}
	assert.Equal(t, []patch.AlarmState{{ARN: "a", State: patch.AlarmFiring}}, w.Seen)
	assert.Equal(t, patch.AlarmOK, w.Alarms[0].State)
	assert.Equal(t, now.Add(4*time.Minute), w.Read)
}

// A question without a doubt is signed as it always was: decisions of earlier releases stay true.
func TestApproval_signsTheDoubt(t *testing.T) {
	a := patch.Approval{ID: "id", Run: "r", Scope: "soak:w"}
	d := patch.Decision{Decision: patch.Approve}
	plain := a.DecisionMessage(d)
	a.Doubt = "1f"
	assert.Equal(t, string(plain)+"2:1f,", string(a.DecisionMessage(d)))
}
