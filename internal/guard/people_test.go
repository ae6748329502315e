package guard_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cfn"
	"ec2patch/internal/guard"
	"ec2patch/internal/iam"
)

const (
	hubAccount = "999999999999"
	machine    = "arn:aws:states:us-east-1:" + hubAccount + ":stateMachine:ec2patch-orchestrator"
	execution  = "arn:aws:states:us-east-1:" + hubAccount + ":execution:ec2patch-orchestrator"
	target     = "arn:aws:states:us-east-1:" + hubAccount + ":stateMachine:ec2patch-target"
	ofTarget   = "arn:aws:states:us-east-1:" + hubAccount + ":execution:ec2patch-target"
	mapRun     = "arn:aws:states:us-east-1:" + hubAccount + ":mapRun:ec2patch-orchestrator/Accounts:1"
	dataKey    = "arn:aws:kms:us-east-1:" + hubAccount + ":key/00000000-0000-0000-0000-000000000000"
	hubStack   = "arn:aws:cloudformation:us-east-1:" + hubAccount + ":stack/ec2patch-hub/1"
	deployRole = "arn:aws:iam::" + hubAccount + ":role/cloudformation-deploys-ec2patch"
)

func deployed(t *testing.T, file string) *cfn.Stack {
	t.Helper()
	parameters := map[string]map[string]string{
		guard.Hub: {"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
			"CrossAccountExternalId": "0123456789abcdef0123456789abcdef"},
		guard.Schedule: {"DataKeyArn": dataKey},
		guard.Rule:     {"DataKeyArn": dataKey},
		guard.GitHub: {"RunSubjects": "repo:org/repo:environment:patching",
			"DeploySubjects": "repo:org/repo:environment:prod", "DataBucketName": "data",
			"DataKeyArn": dataKey, "ArtifactBucket": "artifacts", "DeployServiceRoleArn": deployRole},
	}
	template, err := cfn.Load(file, read(t, file))
	require.NoError(t, err)
	stack, err := template.Deploy(cfn.Deployment{StackName: "ec2patch", Account: hubAccount, Region: "us-east-1",
		Parameters: parameters[file]})
	require.NoError(t, err)
	return stack
}

// policiesOf gives what a role, or whoever has a managed policy attached, may do.
func policiesOf(t *testing.T, stack *cfn.Stack, id string) []*iam.Policy {
	t.Helper()
	documents := map[string][]byte{}
	for _, role := range stack.Roles() {
		for _, d := range role.Policies {
			if role.LogicalID == id {
				documents[id+"/"+d.Name] = d.JSON
			}
		}
	}
	if r := stack.Resources[id]; r != nil && r.Type == "AWS::IAM::ManagedPolicy" {
		data, err := json.Marshal(r.Properties["PolicyDocument"])
		require.NoError(t, err)
		documents[id] = data
	}
	require.NotEmpty(t, documents, id)
	var out []*iam.Policy
	for name, data := range documents {
		p, err := iam.ParsePolicy(name, data)
		require.NoError(t, err)
		out = append(out, p)
	}
	return out
}

// TestPolicies_people holds the policies of people, schedules, workflows and of the machine against what they do, both
// ways: each call is allowed, no right is without a call, and what they must not do is refused. Functions are held
// against rehearsals.
func TestPolicies_people(t *testing.T) {
	hub := deployed(t, guard.Hub)
	bucket, key := hub.Resources["DataBucket"].ARN, hub.Resources["DataKey"].ARN
	audit := hub.Resources["AuditTable"].ARN
	api := "arn:aws:execute-api:us-east-1:" + hubAccount + ":" + hub.Resources["ApprovalApi"].PhysicalID +
		"/$default/POST/"
	via := func(services ...string) map[string][]string {
		for i := range services {
			services[i] += ".us-east-1.amazonaws.com"
		}
		return map[string][]string{"kms:ViaService": services}
	}
	tests := []struct {
		file, id string
		allowed  []call
		refused  []call
	}{
		{guard.Hub, "ViewerPolicy", []call{
			{"states:ListExecutions", machine, nil}, {"states:DescribeStateMachine", machine, nil},
			{"states:DescribeExecution", execution + ":run", nil},
			{"states:GetExecutionHistory", execution + "/Accounts:child", nil}, {"states:ListExecutions", target, nil},
			{"states:DescribeStateMachine", target, nil}, {"states:DescribeExecution", ofTarget + ":id", nil},
			{"states:GetExecutionHistory", ofTarget + ":id", nil}, {"states:ListMapRuns", execution + ":run", nil},
			{"states:DescribeMapRun", mapRun, nil},
			{"sns:GetTopicAttributes", hub.Resources["ApprovalsTopic"].ARN, nil},
			{"sns:ListSubscriptionsByTopic", hub.Resources["ApprovalsTopic"].ARN, nil},
			{"s3:GetObject", bucket + "/runs/run/report.json", nil}, {"kms:Decrypt", key, via("s3")},
			{"kms:Decrypt", key, via("states")},
			{"cloudwatch:GetDashboard", hub.Resources["Dashboard"].ARN, nil}, {"cloudwatch:DescribeAlarms",
				hub.Resources["PatchFailuresAlarm"].ARN, nil},
			{"cloudwatch:GetMetricData", "*", nil},
			{"dynamodb:Query", audit, nil}, {"kms:Decrypt", key, via("dynamodb")},
			{"s3:GetObject", bucket + "/runs/run/plan/index.json", nil},
			{"s3:GetObject", bucket + "/runs/run/heads/0f.json", nil},
			{"kms:GetPublicKey", hub.Resources["InventoryAuditKey"].ARN, nil},
			{"kms:GetPublicKey", hub.Resources["SendAuditKey"].ARN, nil},
			{"kms:GetPublicKey", hub.Resources["PollAuditKey"].ARN, nil},
			{"kms:GetPublicKey", hub.Resources["VerifyAuditKey"].ARN, nil},
			{"kms:GetPublicKey", hub.Resources["ApprovalRequestAuditKey"].ARN, nil},
			{"kms:GetPublicKey", hub.Resources["ApprovalCallbackAuditKey"].ARN, nil},
		}, []call{
			{"states:StartExecution", machine, nil}, {"states:StopExecution", execution + ":run", nil},
			{"s3:GetObject", bucket + "/runs/run/plan/canary/111111111111/us-east-1.json", nil},
			{"dynamodb:PutItem", audit, nil},
			{"dynamodb:Query", hub.Resources["StateTable"].ARN, nil}, {"kms:Sign", hub.Resources["VerifyAuditKey"].ARN, nil},
			{"states:StartExecution", target, nil}, {"states:StopExecution", ofTarget + ":id", nil},
			{"s3:PutObject", bucket + "/runs/run/report.json", nil}, {"execute-api:Invoke", api + "operator", nil},
		}},
		{guard.Hub, "OperatorPolicy", []call{{"execute-api:Invoke", api + "operator", nil}},
			[]call{{"execute-api:Invoke", api + "callback", nil}, {"states:StartExecution", machine, nil}}},
		{guard.Hub, "OrchestratorRole", machineCalls(hub), []call{
			{"lambda:InvokeFunction", hub.Resources["ApprovalCallbackVersion"].ARN, nil}, {"lambda:InvokeFunction",
				hub.Resources["SendFunction"].ARN, nil},
			{"s3:PutObject", bucket + "/runs/run/plan/index.json", nil}, {"states:SendTaskSuccess", machine, nil},
			{"sts:AssumeRole", "arn:aws:iam::111111111111:role/PatchExecRole", nil},
			{"kms:Decrypt", key, via("dynamodb")}, {"states:RedriveExecution", execution + ":run", nil},
			{"lambda:InvokeFunction", hub.Resources["SendVersion"].ARN, nil}, {"lambda:InvokeFunction",
				hub.Resources["PollVersion"].ARN, nil},
			{"states:StartExecution", target + "2", nil}, {"states:RedriveExecution", ofTarget + ":id", nil},
			{"kms:GenerateDataKey", key, context(target)},
			{"events:PutTargets", "arn:aws:events:us-east-1:" + hubAccount + ":rule/ec2patch-run-ended", nil},
		}},
		{guard.Hub, "TargetRole", targetCalls(hub), []call{
			{"lambda:InvokeFunction", hub.Resources["InventoryVersion"].ARN, nil}, {"lambda:InvokeFunction",
				hub.Resources["ApprovalRequestVersion"].ARN, nil},
			{"lambda:InvokeFunction", hub.Resources["SendFunction"].ARN, nil}, {"states:StartExecution", target, nil},
			{"states:StartExecution", machine, nil},
			{"s3:GetObject", bucket + "/runs/run/plan/canary/accounts.json", nil},
			{"kms:Decrypt", key, context(machine)},
		}},
		{guard.Schedule, "ScheduleRole", []call{
			{"states:StartExecution", machine, nil}, {"kms:GenerateDataKey", dataKey, via("states")},
			{"kms:Decrypt", dataKey, via("states")},
			{"sqs:SendMessage", "arn:aws:sqs:us-east-1:" + hubAccount + ":ec2patch-monthly-undelivered", nil},
		}, []call{{"states:StartExecution", machine + "2", nil}, {"states:StopExecution", execution + ":run", nil},
			{"kms:Decrypt", dataKey, nil}}},
		{guard.Rule, "RuleRole", []call{{"states:StartExecution", machine, nil}, {"kms:GenerateDataKey", dataKey,
			via("states")}, {"kms:Decrypt", dataKey, via("states")}},
			[]call{{"states:StopExecution", execution + ":run", nil}, {"kms:Decrypt", dataKey, via("s3")}}},
		{guard.GitHub, "RunRole", []call{
			{"states:StartExecution", machine, nil}, {"states:DescribeExecution", execution + ":ec2patch-1-1", nil},
			{"states:StopExecution", execution + ":ec2patch-1-1", nil},
			{"states:GetExecutionHistory", execution + ":ec2patch-1-1", nil}, {"states:DescribeMapRun", mapRun, nil},
			{"s3:GetObject", "arn:aws:s3:::data/runs/run/report.html", nil}, {"kms:Decrypt", dataKey, via("s3")},
			{"kms:GenerateDataKey", dataKey, via("states")},
		}, []call{
			{"states:SendTaskSuccess", machine, nil}, {"execute-api:Invoke", api + "operator", nil},
			{"s3:GetObject", "arn:aws:s3:::data/runs/run/plan/index.json", nil},
			{"cloudformation:CreateChangeSet", hubStack, nil}, {"iam:PassRole", deployRole,
				map[string][]string{"iam:PassedToService": {"cloudformation.amazonaws.com"}}},
		}},
		{guard.GitHub, "DeployRole", []call{
			{"cloudformation:CreateChangeSet", hubStack, nil}, {"cloudformation:DescribeChangeSet", hubStack, nil},
			{"cloudformation:ExecuteChangeSet", hubStack, nil},
			{"cloudformation:DeleteChangeSet", hubStack, nil}, {"cloudformation:DescribeStacks", hubStack, nil},
			{"cloudformation:DescribeStackEvents", hubStack, nil},
			{"cloudformation:GetTemplateSummary", "*", nil}, {"iam:PassRole", deployRole,
				map[string][]string{"iam:PassedToService": {"cloudformation.amazonaws.com"}}},
			{"s3:GetObject", "arn:aws:s3:::artifacts/ec2patch/1/lambda.zip", nil}, {"s3:GetObjectVersion",
				"arn:aws:s3:::artifacts/ec2patch/1/lambda.zip", nil},
			{"s3:PutObject", "arn:aws:s3:::artifacts/ec2patch/1/lambda.zip", nil},
		}, []call{
			{"states:StartExecution", machine, nil}, {"cloudformation:ExecuteChangeSet",
				hubStack[:len(hubStack)-2] + "2/1", nil},
			{"iam:PassRole", deployRole, map[string][]string{"iam:PassedToService": {"ec2.amazonaws.com"}}},
			{"iam:PassRole", "arn:aws:iam::" + hubAccount + ":role/admin", nil},
		}},
	}
	for _, test := range tests {
		t.Run(test.id, func(t *testing.T) {
			policies := policiesOf(t, deployed(t, test.file), test.id)
			var coverage iam.Coverage
			judge := func(c call) iam.Decision {
				return iam.Evaluate(iam.Request{Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/somebody",
					"test"), Action: c.action,
					Resources: []string{c.on}, ResourceAccount: hubAccount, Context: c.context},
					iam.Policies{Identity: policies, Resource: delegating(t, c.on)})
			}
			for _, c := range test.allowed {
				d := judge(c)
				assert.True(t, d.Allowed, "%s on %s: %s", c.action, c.on, d.Reason)
				coverage.Record(d)
			}
			for _, c := range test.refused {
				assert.False(t, judge(c).Allowed, "%s on %s", c.action, c.on)
			}
			for _, use := range coverage.Unused(policies...) {
				assert.Fail(t, "nobody needs "+use.Statement.Label()+" "+use.Pattern)
			}
		})
	}
}

// TestPolicies_starters holds the policy that docs/deployment-guide.md has people paste to what starting a run takes,
// both ways, and with the viewer's to what following it takes.
func TestPolicies_starters(t *testing.T) {
	page, err := os.ReadFile("../../docs/deployment-guide.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(page), "\n## Who may do what\n")
	require.True(t, found)
	_, shown, found = strings.Cut(shown, "```json\n")
	require.True(t, found)
	document, _, found := strings.Cut(shown, "```")
	require.True(t, found)
	pasted, err := iam.ParsePolicy("docs/deployment-guide.md", []byte(document))
	require.NoError(t, err)

	hub := deployed(t, guard.Hub)
	bucket := hub.Resources["DataBucket"].ARN
	via := func(service string) map[string][]string {
		return map[string][]string{"kms:ViaService": {service + ".us-east-1.amazonaws.com"}}
	}
	judge := func(c call, identity ...*iam.Policy) iam.Decision {
		return iam.Evaluate(iam.Request{Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/starter", "test"),
			Action: c.action, Resources: []string{c.on}, ResourceAccount: hubAccount, Context: c.context},
			iam.Policies{Identity: identity, Resource: delegating(t, c.on)})
	}
	var coverage iam.Coverage
	for _, c := range []call{
		{"states:StartExecution", machine, nil}, {"kms:GenerateDataKey", dataKey, via("states")},
		{"kms:Decrypt", dataKey, via("states")},
	} {
		d := judge(c, pasted)
		assert.True(t, d.Allowed, "%s on %s: %s", c.action, c.on, d.Reason)
		coverage.Record(d)
	}
	for _, use := range coverage.Unused(pasted) {
		assert.Fail(t, "nobody needs "+use.Statement.Label()+" "+use.Pattern)
	}
	both := append(policiesOf(t, hub, "ViewerPolicy"), pasted)
	for _, c := range []call{
		{"states:DescribeExecution", execution + ":run", nil}, {"states:GetExecutionHistory", execution + ":run", nil},
		{"states:DescribeMapRun", mapRun, nil}, {"states:DescribeStateMachine", machine, nil},
		{"s3:GetObject", bucket + "/runs/run/report.json", nil},
	} {
		d := judge(c, both...)
		assert.True(t, d.Allowed, "%s on %s: %s", c.action, c.on, d.Reason)
	}
	for _, c := range []call{
		{"states:StartExecution", machine + "2", nil}, {"states:StopExecution", execution + ":run", nil},
		{"states:RedriveExecution", execution + ":run", nil},
		{"states:UpdateStateMachine", machine, nil}, {"states:SendTaskSuccess", machine, nil},
		{"kms:Decrypt", dataKey, nil}, {"kms:Decrypt", dataKey, via("dynamodb")}, {"kms:GenerateDataKey",
			dataKey, via("s3")},
		{"s3:GetObject", bucket + "/runs/run/plan/canary/accounts.json", nil},
		{"s3:PutObject", bucket + "/runs/run/report.json", nil},
		{"execute-api:Invoke", "arn:aws:execute-api:us-east-1:" + hubAccount + ":" +
			hub.Resources["ApprovalApi"].PhysicalID + "/$default/POST/operator", nil},
	} {
		assert.False(t, judge(c, both...).Allowed, "%s on %s", c.action, c.on)
	}
}

// call is an API call: what, on what, with which condition keys.
type call struct {
	action, on string
	context    map[string][]string
}

// machineCalls are those that Step Functions makes with the machine's role, its children's and its logs' among them.
func machineCalls(hub *cfn.Stack) []call {
	bucket, key := hub.Resources["DataBucket"].ARN, hub.Resources["DataKey"].ARN
	rule := "arn:aws:events:us-east-1:" + hubAccount + ":rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
	s3 := map[string][]string{"kms:ViaService": {"s3.us-east-1.amazonaws.com"}}
	out := []call{
		{"states:StartExecution", machine, nil}, {"states:DescribeExecution", execution + "/Accounts:child", nil},
		{"states:StopExecution", execution + "/Accounts:child", nil},
		{"states:RedriveExecution", execution + "/Accounts:child", nil},
		{"s3:GetObject", bucket + "/runs/run/plan/canary/accounts.json", nil},
		{"s3:PutObject", bucket + "/runs/run/children/canary/1/manifest.json", nil},
		{"s3:ListMultipartUploadParts", bucket + "/runs/run/children/canary/1/x", nil}, {"s3:AbortMultipartUpload",
			bucket + "/runs/run/children/canary/1/x", nil},
		{"kms:GenerateDataKey", key, s3}, {"kms:Decrypt", key, s3}, {"kms:Decrypt", key, context(target)},
		{"states:StartExecution", target, nil}, {"states:DescribeExecution", ofTarget + ":id", nil},
		{"states:StopExecution", ofTarget + ":id", nil},
		{"events:PutTargets", rule, nil}, {"events:PutRule", rule, nil}, {"events:DescribeRule", rule, nil},
	}
	return append(out, callsOf(hub, machine, "Inventory", "ApprovalRequest", "Verify")...)
}

// targetCalls are those that Step Functions makes with the role of the machine of one account and region.
func targetCalls(hub *cfn.Stack) []call { return callsOf(hub, target, "Send", "Poll", "Verify") }

// context is that in which the data of a machine's executions is encrypted.
func context(machine string) map[string][]string {
	return map[string][]string{"kms:EncryptionContext:aws:states:stateMachineArn": {machine}}
}

// callsOf are those that any machine needs: to functions, for its data and for its log.
func callsOf(hub *cfn.Stack, machine string, functions ...string) []call {
	key, own := hub.Resources["DataKey"].ARN, context(machine)
	logs := map[string][]string{"kms:EncryptionContext:SourceArn": {"arn:aws:logs:us-east-1:" + hubAccount + ":*"}}
	out := []call{{"kms:GenerateDataKey", key, own}, {"kms:Decrypt", key, own}, {"kms:GenerateDataKey", key, logs}}
	for _, function := range functions {
		out = append(out, call{"lambda:InvokeFunction", hub.Resources[function+"Version"].ARN, nil})
	}
	for _, action := range []string{"CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery",
		"ListLogDeliveries",
		"PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups"} {
		out = append(out, call{"logs:" + action, "*", nil})
	}
	return out
}

// delegating is the policy of a key that leaves the decision to the account's IAM policies, as the data key's does.
func delegating(t *testing.T, on string) []*iam.Policy {
	t.Helper()
	if len(on) < 11 || on[:11] != "arn:aws:kms" {
		return nil
	}
	p, err := iam.ParsePolicy("key",
		[]byte(
			`{"Version":"2012-10-17","Statement":[{"Sid":"Account","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+
				hubAccount+`:root"},"Action":"kms:*","Resource":"*"}]}`))
	require.NoError(t, err)
	return []*iam.Policy{p}
}
