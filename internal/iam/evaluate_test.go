package iam_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
)

const (
	hub      = "111111111111"
	spoke    = "222222222222"
	stranger = "999999999999"
	sendRole = "arn:aws:iam::" + hub + ":role/ec2patch-SendSsmCommandRole"
	patchARN = "arn:aws:iam::" + spoke + ":role/PatchExecRole"
	document = "arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline"
	instance = "arn:aws:ec2:us-east-1:" + spoke + ":instance/i-0123456789abcdef0"
	keyARN   = "arn:aws:kms:us-east-1:" + hub + ":key/0123"
	tableARN = "arn:aws:dynamodb:us-east-1:" + hub + ":table/ec2patch-state"
)

func parse(t testing.TB, name, doc string) *iam.Policy {
	t.Helper()
	p, err := iam.ParsePolicy(name, []byte(doc))
	require.NoError(t, err)
	return p
}

// statement wraps the inside of one statement into a policy.
func statement(t testing.TB, name, inside string) []*iam.Policy {
	t.Helper()
	return []*iam.Policy{parse(t, name, `{"Version":"2012-10-17","Statement":[{`+inside+`}]}`)}
}

// spokePolicies are like those of a spoke role: the document, and the instances that carry the tag.
func spokePolicies(t testing.TB) []*iam.Policy {
	t.Helper()
	return []*iam.Policy{parse(t, "patch", `{"Version":"2012-10-17","Statement":[
		{"Sid":"PatchDocument","Effect":"Allow","Action":"ssm:SendCommand","Resource":"arn:aws:ssm:*::document/AWS-RunPatchBaseline"},
		{"Sid":"TaggedInstances","Effect":"Allow","Action":"ssm:SendCommand","Resource":"arn:aws:ec2:*:222222222222:instance/*",
		 "Condition":{"StringLike":{"ssm:resourceTag/PatchGroup":"*"}}},
		{"Sid":"ReadCommands","Effect":"Allow","Action":["ssm:List*","ssm:CancelCommand"],"Resource":"*"}]}`)}
}

func TestEvaluate_sendCommand(t *testing.T) {
	tags := map[string]map[string][]string{instance: {"ssm:resourceTag/PatchGroup": {"default"}}}
	d := iam.Evaluate(iam.Request{Principal: iam.Session(patchARN, "run"), Action: "ssm:SendCommand",
		Resources: []string{document, instance}, ResourceContext: tags}, iam.Policies{Identity: spokePolicies(t)})
	require.True(t, d.Allowed, d.Reason)
	require.Equal(t, "patch/PatchDocument", d.By)
	require.Len(t, d.Used, 2)

	d = iam.Evaluate(iam.Request{Principal: iam.Session(patchARN, "run"), Action: "ssm:SendCommand",
		Resources: []string{document, instance}}, iam.Policies{Identity: spokePolicies(t)})
	require.False(t, d.Allowed)
	require.Equal(t, "ssm:SendCommand on "+instance+": no identity policy allows it", d.Reason)
}
