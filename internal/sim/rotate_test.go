package sim

import (
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/cloudformation"
	"ec2patch/internal/cfn"
	"ec2patch/internal/decision"
	"ec2patch/internal/iam"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/backing"
)

// rotate deploys the hub anew with other HMAC keys, as docs/runbook-operations.md tells
// it. What executes keeps its functions; the API calls the new callback. The
// keys that are replaced stay, and are given as previous ones unless forgotten.
func rotate(t *testing.T, r *rehearsal, forgotten bool) {
	t.Helper()
	old := map[string]string{}
	for _, k := range r.Hub.OfType("AWS::KMS::Key") {
		old[k.LogicalID] = k.ARN
	}
	require.NotEmpty(t, old["LinkKey"])
	require.NotEmpty(t, old["DecisionKey"])
	renamed := regexp.MustCompile(`\b(Link|Decision)Key\b`).ReplaceAll(cloudformation.Hub, []byte("${1}KeyNext"))
	template, err := cfn.Load("hub-cfn.yaml", renamed)
	require.NoError(t, err)
	parameters := stage.HubParameters(template, "", r.options.Parameters)
	if !forgotten {
		parameters["PreviousLinkKeyArn"], parameters["PreviousDecisionKeyArn"] = old["LinkKey"], old["DecisionKey"]
	}
	stack,
		err := template.Deploy(cfn.Deployment{StackName: "ec2patch-hub", Account: stage.HubAccount, Region: stage.HubRegion,
		Parameters: parameters})
	require.NoError(t, err)
	next := stage.Templates{Hub: stack, Resources: map[string]*iam.Policy{}}
	require.NoError(t, next.ReadPolicies())
	for _, k := range stack.OfType("AWS::KMS::Key") {
		if _, kept := old[k.LogicalID]; !kept {
			r.World.AddKey(stage.KeySpec(k, next.Resources))
		}
	}
	for _, role := range next.Roles {
		r.World.AddRole(role)
	}
	for _, f := range stack.Functions() {
		if f.Handler != lambdas.ApprovalCallback {
			continue
		}
		l, err := r.NewLambda(f)
		require.NoError(t, err)
		r.Lambdas[f.Name], r.human.callback = l, l
	}
}

// A key is rotated while a question is open: T-25, H-83.
func TestT25_Rotation(t *testing.T) {
	for _, tt := range []struct {
		name      string
		decision  decision.Choice
		forgotten bool
		page      int
		want      patch.RunStatus
	}{
		{name: "an approval by the link of an old mail", decision: decision.Approve, page: 303, want: patch.RunSucceeded},
		{name: "a rejection by the link of an old mail", decision: decision.Reject, page: 303, want: patch.RunRejected},
		{name: "the previous key was not given", decision: decision.Approve, forgotten: true, page: 404,
			want: patch.RunExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := prepared(t, asks(`,"approvalTimeoutSeconds":3600`), ApproveTimeout)
			r.World.After(20*time.Minute, func() { rotate(t, r, tt.forgotten) })
			var links []*url.URL
			r.World.OnMail = func(m backing.Mail) {
				if u, ok := stage.Link(m.Body); ok {
					links = append(links, u)
				}
			}
			r.World.After(50*time.Minute, func() {
				typed, _ := code(r.human.request(links[0], "GET", "").Body)
				r.checks.Decided(tt.decision == decision.Approve && !tt.forgotten)
				form := url.Values{"decision": {string(tt.decision)}, "name": {"Ann"}, "reason": {"because"}, "code": {typed}}
				assert.Equal(t, tt.page, r.human.request(links[0], "POST", form.Encode()).StatusCode)
			})
			res, err := r.run()
			require.NoError(t, err)
			assert.Equal(t, tt.want, res.Status)
			if tt.forgotten { // what waits may not even make its link again
				assert.Equal(t, []string{"R-14"}, slices.Compact(rules(res.Violations)))
				assert.Zero(t, res.APICalls["ssm:SendCommand"])
				return
			}
			assert.Empty(t, res.Violations)
			require.Len(t, res.Report.Approvals, 1)
			require.Len(t, res.Report.Approvals[0].Decisions, 1)
			assert.True(t, res.Report.Approvals[0].Decisions[0].Counted, "the run knows the previous key alone")
			assert.Equal(t, "Ann", res.Report.Approvals[0].Name)
			require.Len(t, links, 4, "the run that waits goes on to remind")
			assert.Equal(t, links[0].String(), links[3].String(), "with the link that it made before")
		})
	}
}
