package iam_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
)

func TestAssumeRole(t *testing.T) {
	trust := parse(t, "trust", `{"Version":"2012-10-17","Statement":[{"Sid":"HubAssumes","Effect":"Allow",
		"Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"sts:AssumeRole","Condition":{
		"StringEquals":{"sts:ExternalId":"correct-horse-battery"},
		"ArnLike":{"aws:PrincipalArn":["arn:aws:iam::111111111111:role/ec2patch-SendSsmCommandRole","arn:aws:iam::111111111111:role/ec2patch-PollSsmCommandRole"]}}}]}`)
	may := statement(t, "assume",
		`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/PatchExecRole"`)
	tests := []struct {
		rule       string
		caller     iam.Principal
		identity   []*iam.Policy
		role       string
		externalID string
		noTrust    bool
		want       bool
	}{
		{rule: "the hub's role with the external id", caller: hubSend, identity: may, role: patchARN,
			externalID: "correct-horse-battery", want: true},
		{rule: "a wrong external id", caller: hubSend, identity: may, role: patchARN, externalID: "correct-horse"},
		{rule: "no external id", caller: hubSend, identity: may, role: patchARN},
		{rule: "a star as the external id", caller: hubSend, identity: may, role: patchARN, externalID: "*"},
		{rule: "the right id in another case", caller: hubSend, identity: may, role: patchARN,
			externalID: "CORRECT-horse-battery"},
		{rule: "another account that knows the external id", caller: outsider, identity: may, role: patchARN,
			externalID: "correct-horse-battery"},
		{rule: "another role of the hub", caller: iam.Session("arn:aws:iam::111111111111:role/admin", "x"),
			identity: may, role: patchARN, externalID: "correct-horse-battery"},
		{rule: "a role whose name begins alike", caller: iam.Session(sendRole+"2", "x"), identity: may, role: patchARN,
			externalID: "correct-horse-battery"},
		{rule: "the hub's role without a policy of its own", caller: hubSend, role: patchARN,
			externalID: "correct-horse-battery"},
		{rule: "a role that the hub's policy does not name", caller: hubSend, identity: may,
			role: "arn:aws:iam::222222222222:role/admin", externalID: "correct-horse-battery"},
		{rule: "a role without a trust policy", caller: hubSend, identity: may, role: patchARN,
			externalID: "correct-horse-battery", noTrust: true},
		{rule: "a service that the trust policy does not name", caller: lambdaSvc, role: patchARN,
			externalID: "correct-horse-battery"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			call := iam.Assumption{Caller: test.caller, Policies: iam.Policies{Identity: test.identity},
				RoleARN: test.role, Trust: trust, ExternalID: test.externalID, SessionName: "run-1"}
			if test.noTrust {
				call.Trust = nil
			}
			d := iam.AssumeRole(call)
			require.Equal(t, test.want, d.Allowed, d.Reason)
		})
	}
}

func TestAssumeRole_inOneAccount(t *testing.T) {
	root := parse(t, "trust",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}}`)
	named := parse(t, "trust", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+sendRole+
		`"},"Action":"sts:AssumeRole"}}`)
	const role = "arn:aws:iam::111111111111:role/reader"
	require.False(t, iam.AssumeRole(iam.Assumption{Caller: hubSend, RoleARN: role, Trust: root}).Allowed,
		"the root delegates")
	require.True(t, iam.AssumeRole(iam.Assumption{Caller: hubSend, RoleARN: role, Trust: named}).Allowed,
		"the role is named")
}

func TestAssumeRole_byAService(t *testing.T) {
	trust := parse(t, "trust",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},
		"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"111111111111"},
		"ArnLike":{"aws:SourceArn":"arn:aws:states:*:111111111111:stateMachine:ec2patch-orchestrator"}}}}`)
	states := iam.Principal{Service: "states.amazonaws.com"}
	source := func(account, machine string) map[string][]string {
		return values("aws:SourceAccount", account, "aws:SourceArn", "arn:aws:states:us-east-1:"+account+
			":stateMachine:"+machine)
	}
	tests := []struct {
		rule    string
		caller  iam.Principal
		context map[string][]string
		want    bool
	}{
		{"our machine", states, source(hub, "ec2patch-orchestrator"), true},
		{"another machine of the account", states, source(hub, "other"), false},
		{"a confused deputy: the same name in another account", states,
			source(stranger, "ec2patch-orchestrator"), false},
		{"the service without its source", states, nil, false},
		{"another service", lambdaSvc, source(hub, "ec2patch-orchestrator"), false},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			d := iam.AssumeRole(iam.Assumption{Caller: test.caller, RoleARN: "arn:aws:iam::111111111111:role/m",
				Trust: trust, Context: test.context})
			require.Equal(t, test.want, d.Allowed, d.Reason)
		})
	}
}

func TestEvaluate_webIdentity(t *testing.T) {
	const provider = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"
	trust := statement(t, "trust", `"Effect":"Allow","Principal":{"Federated":"`+provider+
		`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{
		"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"},
		"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/patching:environment:*"}}`)
	tests := []struct {
		rule, provider, sub string
		want                bool
	}{
		{"our repository", provider, "repo:acme/patching:environment:prod", true},
		{"a fork", provider, "repo:evil/patching:environment:prod", false},
		{"a pull request", provider, "repo:acme/patching:pull_request", false},
		{"another provider", "arn:aws:iam::111111111111:oidc-provider/example.com",
			"repo:acme/patching:environment:prod", false},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			d := one(iam.Principal{Federated: test.provider}, "sts:AssumeRoleWithWebIdentity",
				"arn:aws:iam::111111111111:role/ci", values("token.actions.githubusercontent.com:aud",
					"sts.amazonaws.com", "token.actions.githubusercontent.com:sub", test.sub),
				iam.Policies{Resource: trust})
			require.Equal(t, test.want, d.Allowed, d.Reason)
		})
	}
}

func TestSession(t *testing.T) {
	require.Equal(t, iam.Principal{Account: hub, RoleARN: "arn:aws:iam::111111111111:role/team/send",
		ARN: "arn:aws:sts::111111111111:assumed-role/send/run-1"},
		iam.Session("arn:aws:iam::111111111111:role/team/send", "run-1"))
}
