package world

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
)

const (
	hubRole   = "arn:aws:iam::999999999999:role/hub-SendSsmCommandRole"
	spokeRole = "arn:aws:iam::111111111111:role/PatchExecRole"
)

func policy(t *testing.T, doc string) *iam.Policy {
	t.Helper()
	p, err := iam.ParsePolicy("test", []byte(doc))
	require.NoError(t, err)
	return p
}

// newHub is a world with one hub role and one spoke role, as templates declare them.
func newHub(t *testing.T) (*World, *estate.STS) {
	t.Helper()
	w := New(1, testStart())
	w.AddRole(core.Role{ARN: hubRole, Policies: []*iam.Policy{policy(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/PatchExecRole"}]}`)}})
	w.AddRole(core.Role{
		ARN: spokeRole,
		Trust: policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
			"Principal":{"AWS":"arn:aws:iam::999999999999:root"},
			"Condition":{"StringEquals":{"sts:ExternalId":"secret-1"},"ArnEquals":{"aws:PrincipalArn":"`+hubRole+`"}}}]}`),
		Policies: []*iam.Policy{policy(t, `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ssm:SendCommand"],"Resource":["arn:aws:ssm:*::document/AWS-RunPatchBaseline"]},
			{"Effect":"Allow","Action":["ssm:SendCommand"],"Resource":["arn:aws:ec2:*:111111111111:instance/*"],
			 "Condition":{"StringEquals":{"ssm:resourceTag/PatchGroup":"default"}}},
			{"Effect":"Allow","Action":["ec2:DescribeInstances","ssm:DescribeInstanceInformation"],"Resource":"*"}]}`)},
	})
	p, err := w.Session(hubRole, "send")
	require.NoError(t, err)
	return w, w.STS(p, testRegion)
}

func assuming() *sts.AssumeRoleInput {
	return &sts.AssumeRoleInput{RoleArn: aws.String(spokeRole), RoleSessionName: aws.String("run-1"),
		ExternalId: aws.String("secret-1")}
}

// Source: B:sts/AssumeRole; D23:id_roles_terms-and-concepts; docs/aws-semantics.md 4; docs/faults.md F-13, F-14.
func TestAssumeRole_Refuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(w *World, in *sts.AssumeRoleInput)
		code string
	}{
		{"a wrong external id", func(_ *World, in *sts.AssumeRoleInput) {
			in.ExternalId = aws.String("other")
		}, "AccessDenied"},
		{"no external id", func(_ *World, in *sts.AssumeRoleInput) { in.ExternalId = nil }, "AccessDenied"},
		{"no such role", func(w *World, _ *sts.AssumeRoleInput) { w.RemoveRole(spokeRole) }, "AccessDenied"},
		{"a role that the caller's policies do not name", func(w *World, in *sts.AssumeRoleInput) {
			other := *w.Roles[spokeRole]
			other.ARN = "arn:aws:iam::111111111111:role/Admin"
			w.AddRole(other)
			in.RoleArn = aws.String(other.ARN)
		}, "AccessDenied"},
		{"an account that refuses", func(w *World, _ *sts.AssumeRoleInput) {
			w.RefuseAssume("111111111111", true)
		}, "AccessDenied"},
		{"a region that the account has not enabled", func(w *World, _ *sts.AssumeRoleInput) {
			w.DisableRegion(testAccount, testRegion)
		}, "RegionDisabledException"},
		{"more than an hour when chaining", func(_ *World, in *sts.AssumeRoleInput) {
			in.DurationSeconds = aws.Int32(3601)
		}, "ValidationError"},
		{"less than 15 minutes", func(_ *World, in *sts.AssumeRoleInput) {
			in.DurationSeconds = aws.Int32(899)
		}, "ValidationException"},
		{"a session name with a colon", func(_ *World, in *sts.AssumeRoleInput) {
			in.RoleSessionName = aws.String("run:1")
		}, "ValidationException"},
		{"a session name too long", func(_ *World, in *sts.AssumeRoleInput) {
			in.RoleSessionName = aws.String(strings.Repeat("x", 65))
		}, "ValidationException"},
		{"a session policy that is none", func(_ *World, in *sts.AssumeRoleInput) {
			in.Policy = aws.String("{")
		}, "MalformedPolicyDocument"},
		{"a session policy too long", func(_ *World, in *sts.AssumeRoleInput) {
			in.Policy = aws.String(strings.Repeat(" ", 2049))
		}, "ValidationException"},
		{"managed session policies", func(_ *World, in *sts.AssumeRoleInput) {
			in.PolicyArns = []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}
		}, "UnsupportedBySimulation"},
		{"session tags", func(_ *World, in *sts.AssumeRoleInput) {
			in.Tags = make([]ststypes.Tag, 1)
		}, "UnsupportedBySimulation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s := newHub(t)
			in := assuming()
			tt.edit(w, in)
			_, err := s.AssumeRole(context.Background(), in)
			requireCode(t, err, tt.code)
		})
	}
}

// Only the hub's own roles are trusted. Source: D23:reference_policies_elements_principal.
func TestAssumeRole_AnotherRoleOfTheHub(t *testing.T) {
	w, _ := newHub(t)
	other := core.Role{ARN: "arn:aws:iam::999999999999:role/other", Policies: w.Roles[hubRole].Policies}
	w.AddRole(other)
	p, err := w.Session(other.ARN, "x")
	require.NoError(t, err)
	_, err = w.STS(p, testRegion).AssumeRole(context.Background(), assuming())
	requireCode(t, err, "AccessDenied")
	require.Len(t, w.Ledger.Denied, 1)
}

func TestAssumeRole_Session(t *testing.T) {
	w, s := newHub(t)
	i,
		err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "a",
		Tags: map[string]string{"PatchGroup": "default"}})
	require.NoError(t, err)
	stranger,
		err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "b",
		Tags: map[string]string{"PatchGroup": "other"}})
	require.NoError(t, err)
	session := func(edit func(in *sts.AssumeRoleInput)) *core.Principal {
		in := assuming()
		edit(in)
		out, err := s.AssumeRole(context.Background(), in)
		require.NoError(t, err)
		p, ok := w.ByAccessKey(*out.Credentials.AccessKeyId)
		require.True(t, ok)
		require.Equal(t, p.Expires, *out.Credentials.Expiration)
		return p
	}
	whole := session(func(*sts.AssumeRoleInput) {})
	require.Equal(t, "arn:aws:sts::111111111111:assumed-role/PatchExecRole/run-1", whole.ARN())
	require.Equal(t, w.Now().Add(time.Hour), whole.Expires)

	t.Run("the instance's tags are judged", func(t *testing.T) {
		_, err := w.SSM(whole, testRegion).SendCommand(context.Background(), patching(stranger.ID))
		requireCode(t, err, "AccessDeniedException")
	})
	t.Run("a session policy narrows", func(t *testing.T) {
		p := session(func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeInstances","Resource":"*"}]}`)
		})
		_, err := w.EC2(p, testRegion).DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{})
		require.NoError(t, err)
		_, err = w.SSM(p, testRegion).SendCommand(context.Background(), patching(i.ID))
		requireCode(t, err, "AccessDeniedException")
	})
	t.Run("a session policy of exact instances", func(t *testing.T) {
		p := session(func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:SendCommand","Resource":[
				"arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline","arn:aws:ec2:us-east-1:111111111111:instance/%s"]}]}`, i.ID))
		})
		_, err := w.SSM(p, testRegion).SendCommand(context.Background(), patching(i.ID))
		require.NoError(t, err)
	})
	t.Run("a session ends", func(t *testing.T) {
		p := session(func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(900) })
		runFor(w, 15*time.Minute)
		_, err := w.EC2(p, testRegion).DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{})
		requireCode(t, err, "ExpiredTokenException")
	})
	t.Run("a region that is not enabled", func(t *testing.T) {
		w.DisableRegion(testAccount, "ap-east-1")
		_,
			err := w.SSM(whole, "ap-east-1").DescribeInstanceInformation(context.Background(),
			&ssm.DescribeInstanceInformationInput{})
		requireCode(t, err, "UnrecognizedClientException")
	})
	t.Run("a deleted role", func(t *testing.T) {
		w.RemoveRole(spokeRole)
		_,
			err := w.SSM(whole, testRegion).DescribeInstanceInformation(context.Background(),
			&ssm.DescribeInstanceInformationInput{})
		requireCode(t, err, "InvalidClientTokenId")
	})
}

// Source: B:sts/GetCallerIdentity, no permission is needed.
func TestGetCallerIdentity(t *testing.T) {
	_, s := newHub(t)
	out, err := s.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	require.Equal(t, "999999999999", *out.Account)
	require.Equal(t, "arn:aws:sts::999999999999:assumed-role/hub-SendSsmCommandRole/send", *out.Arn)
}
