package approval_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// twoReds is a doubt with two causes and what explains one of them.
func twoReds() doubt.Doubt {
	return doubt.Doubt{
		Causes: []doubt.Cause{
			{Kind: doubt.CauseAlarm, Scope: doubt.ScopeAlarm, Alarm: "arn:aws:cloudwatch:us-east-1:111111111111:alarm:web",
				State: doubt.AlarmFiring},
			{Kind: doubt.CauseAlarm, Scope: doubt.ScopeAlarm, Alarm: "arn:aws:cloudwatch:us-east-1:111111111111:alarm:web<b>",
				State: doubt.AlarmMissing},
		},
		Held: []doubt.Cause{{Kind: doubt.CauseFailed, Scope: doubt.ScopeTarget, Account: "111111111111", Region: "us-east-1",
			Count: 3, Limit: 2, Field: "ssm.maxErrors", Of: "10% of 23"}},
	}
}

// The mail of a doubt names every cause, and its record has the digest of what was asked.
func TestApprovals_Doubt(t *testing.T) {
	a := newAsker(t)
	a.table.Put(store.WaveKey(fake.StandRun, "canary"), store.WaveRow{Wave: "canary", Doubt: twoReds()})
	_,
		err := a.Requests.Handle(t.Context(),
		approval.RequestInput{Task: patch.TaskRequest, Run: fake.StandRun, Scope: "soak:canary", Token: "t"})
	require.NoError(t, err)
	require.Len(t, a.mails.Sent, 1)
	for _, line := range []string{
		"Why you are asked:\n  alarm arn:aws:cloudwatch:us-east-1:111111111111:alarm:web is ALARM\n",
		"  alarm arn:aws:cloudwatch:us-east-1:111111111111:alarm:web<b> is missing\n",
		"  111111111111 us-east-1: 3 failed, limit 2 (ssm.maxErrors 10% of 23)\n",
	} {
		assert.Contains(t, a.mails.Sent[0], line)
	}
	var rec decision.Approval
	require.NoError(t, a.table.Load(t.Context(),
		&store.Row{Key: store.ApprovalKey(decision.ApprovalID(fake.StandRun, "soak:canary")), Into: &rec}))
	want, err := twoReds().Digest()
	require.NoError(t, err)
	assert.Equal(t, want, rec.Doubt)
}

// A question about a plan has no doubt.
func TestApprovals_noDoubt(t *testing.T) {
	a := newAsker(t)
	a.table.Put(store.WaveKey(fake.StandRun, "canary"), store.WaveRow{Wave: "canary", Doubt: twoReds()})
	_,
		err := a.Requests.Handle(t.Context(),
		approval.RequestInput{Task: patch.TaskRequest, Run: fake.StandRun, Scope: "wave:canary", Token: "t"})
	require.NoError(t, err)
	assert.NotContains(t, a.mails.Sent[0], "Why you are asked")
}

// The page shows the doubt that was asked about, cause by cause, and none that stands there now instead.
func TestCallback_Doubt(t *testing.T) {
	digest, err := twoReds().Digest()
	require.NoError(t, err)
	s := newStand(t, func(rec *decision.Approval, _ *store.RunRow, _ *plan.Index) {
		rec.Scope, rec.Instances, rec.Doubt = "soak:canary", 12, digest
	})
	s.table.Put(store.WaveKey(fake.StandRun, "canary"), store.WaveRow{Wave: "canary", Doubt: twoReds()})
	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, "<li>alarm arn:aws:cloudwatch:us-east-1:111111111111:alarm:web is ALARM</li>")
	assert.Contains(t, page, "<li>alarm arn:aws:cloudwatch:us-east-1:111111111111:alarm:web&lt;b&gt; is missing</li>")
	assert.Contains(t, page, "<li>111111111111 us-east-1: 3 failed, limit 2 (ssm.maxErrors 10% of 23)</li>")

	other := twoReds()
	other.Causes = other.Causes[:1]
	s.table.Put(store.WaveKey(fake.StandRun, "canary"), store.WaveRow{Wave: "canary", Doubt: other})
	assert.Equal(t, 409, s.get(t, s.query()).Status)
}
