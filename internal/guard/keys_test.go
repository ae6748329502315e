package guard_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
	"ec2patch/internal/iam"
)

// A key that goes in a week takes the audit's proof, or all data, with it before anybody is back from leave. Whoever
// administers the account may schedule a key's end, with the longest wait only.
func TestT73_KeyDeletedInAWeek(t *testing.T) {
	hub := deployed(t, guard.Hub)
	admin, err := iam.ParsePolicy("admin", []byte(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`))
	require.NoError(t, err)
	keys := hub.OfType("AWS::KMS::Key")
	require.NotEmpty(t, keys)
	for _, r := range keys {
		key := resourcePolicy(t, hub, r.LogicalID, "KeyPolicy")
		may := func(action, days string) bool {
			context := map[string][]string{}
			if days != "" {
				context["kms:ScheduleKeyDeletionPendingWindowInDays"] = []string{days}
			}
			return iam.Evaluate(iam.Request{
				Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/admin", "eve"), Action: action,
				Resources: []string{r.ARN}, ResourceAccount: hubAccount, Context: context,
			}, iam.Policies{Identity: []*iam.Policy{admin}, Resource: []*iam.Policy{key}}).Allowed
		}
		for days, want := range map[string]bool{"7": false, "29": false, "30": true, "": true} {
			assert.Equal(t, want, may("kms:ScheduleKeyDeletion", days), "%s in %q days", r.LogicalID, days)
		}
		assert.True(t, may("kms:CancelKeyDeletion", ""), "%s can be called back", r.LogicalID)
	}
}
