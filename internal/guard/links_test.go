package guard_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cfn"
	"ec2patch/internal/guard"
	"ec2patch/internal/iam"
)

// resourcePolicy reads the policy that a resource of a stack has in one of its properties.
func resourcePolicy(t *testing.T, stack *cfn.Stack, id, property string) *iam.Policy {
	t.Helper()
	require.NotNil(t, stack.Resources[id], id)
	data, err := json.Marshal(stack.Resources[id].Properties[property])
	require.NoError(t, err)
	p, err := iam.ParsePolicy(id, data)
	require.NoError(t, err)
	return p
}

// Whoever can make a link can decide with it. So whoever gets hold of the role's credentials, or may pass the role to a
// function of their own, must not make one; nor a seal, which is the decision itself.
func TestT59_LinkMadeElsewhere(t *testing.T) {
	hub := deployed(t, guard.Hub)
	for _, maker := range []struct{ role, function, key string }{
		{"ApprovalRequestRole", "SendApprovalRequest", "LinkKey"}, {"ApprovalRequestRole", "SendApprovalRequest", "SealKey"},
		{"ApprovalCallbackRole", "ApprovalCallback", "DecisionKey"},
	} {
		own := policiesOf(t, hub, maker.role)
		key := resourcePolicy(t, hub, maker.key, "KeyPolicy")
		function := "arn:aws:lambda:us-east-1:" + hubAccount + ":function:ec2patch-" + maker.function
		for source, may := range map[string]bool{
			function: true, function + ":7": true, function + ":live": true,
			"": false, function + "2": false, strings.Replace(function, maker.function, "PollSsmCommand", 1): false,
			strings.Replace(function, hubAccount, "111111111111", 1): false,
		} {
			context := map[string][]string{}
			if source != "" {
				context["lambda:SourceFunctionArn"] = []string{source}
			}
			d := iam.Evaluate(iam.Request{
				Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/ec2patch-"+maker.function+"Role", "x"),
				Action:    "kms:GenerateMac", Resources: []string{hub.Resources[maker.key].ARN}, Context: context,
			}, iam.Policies{Identity: own, Resource: []*iam.Policy{key}})
			assert.Equal(t, may, d.Allowed, "%s with the credentials of %q: %s", maker.role, source, d.Reason)
		}
	}
}

// A new subscriber of the approvals topic gets every link.
func TestT60_NewSubscriber(t *testing.T) {
	template, err := cfn.Load(guard.Hub, read(t, guard.Hub))
	require.NoError(t, err)
	everything, err := iam.ParsePolicy("admin", []byte(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sns:Subscribe","Resource":"*"}]}`))
	require.NoError(t, err)
	for _, hub := range []struct {
		mail, more string
		may        []string
	}{
		{"", "none", nil}, {"team@example.com", "none", []string{"team@example.com"}},
		{"team@example.com", "a@example.com,b@example.com", []string{"team@example.com", "a@example.com", "b@example.com"}},
	} {
		parameters := map[string]string{
			"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
			"CrossAccountExternalId": "0123456789abcdef0123456789abcdef",
			"NotificationEmail":      hub.mail, "ApprovalEndpoints": hub.more,
		}
		stack, err := template.Deploy(cfn.Deployment{
			StackName: "ec2patch", Account: hubAccount, Region: "us-east-1", Parameters: parameters,
		})
		require.NoError(t, err)
		topic := resourcePolicy(t, stack, "ApprovalsTopicPolicy", "PolicyDocument")
		for _, endpoint := range []string{
			"team@example.com", "a@example.com", "b@example.com", "eve@example.com", "https://evil.example/",
			"xteam@example.com",
		} {
			d := iam.Evaluate(iam.Request{
				Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/admin", "eve"), Action: "sns:Subscribe",
				Resources: []string{stack.Resources["ApprovalsTopic"].ARN},
				Context:   map[string][]string{"sns:Endpoint": {endpoint}, "sns:Protocol": {"email"}},
			}, iam.Policies{Identity: []*iam.Policy{everything}, Resource: []*iam.Policy{topic}})
			want := false
			for _, may := range hub.may {
				want = want || may == endpoint
			}
			assert.Equal(t, want, d.Allowed, "%+v: %s %s", hub, endpoint, d.Reason)
		}
	}
}
