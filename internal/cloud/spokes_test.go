package cloud_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// spokeRoles hands out sessions of an hour and remembers what was asked for.
type spokeRoles struct {
	now   time.Time
	asked []*sts.AssumeRoleInput
	err   error
}

func (r *spokeRoles) AssumeRole(_ context.Context, in *sts.AssumeRoleInput,
	_ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	r.asked = append(r.asked, in)
	if r.err != nil {
		return nil, r.err
	}
	return &sts.AssumeRoleOutput{Credentials: &ststypes.Credentials{
		AccessKeyId: aws.String("id"), SecretAccessKey: aws.String("secret"), SessionToken: aws.String("token"),
		Expiration: aws.Time(r.now.Add(time.Hour)),
	}}, nil
}

// newSpokes opens sessions in which the commands of one account-region are seen.
func newSpokes(c *commands) (*cloud.Spokes, *spokeRoles) {
	roles := &spokeRoles{now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	return &cloud.Spokes{
		STS: roles, Connect: func(aws.Credentials, string) cloud.Clients { return cloud.Clients{SSM: c, Sending: c} },
		Now: func() time.Time {
			return roles.now
		}, Partition: "aws", Reader: "/PatchExecRoleReader", Sender: "/PatchExecRole",
		ExternalID: "secret",
	}, roles
}

var spokeTarget = patch.Target{Run: "run-1", Wave: "w", Account: "111111111111", Region: "us-east-1"}

func refusal(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "because", Fault: smithy.FaultClient}
}

// A session for reading is good for every region of an account, in its own run, until shortly before it expires.
func TestSpokes_readersAreKept(t *testing.T) {
	s, roles := newSpokes(&commands{})
	open := func(at patch.Target) {
		_, err := s.Spoke(t.Context(), at)
		require.NoError(t, err)
	}
	other := spokeTarget
	other.Region = "eu-west-1"
	open(spokeTarget)
	open(other)
	require.Len(t, roles.asked, 1)
	in := roles.asked[0]
	assert.Equal(t, "arn:aws:iam::111111111111:role/PatchExecRoleReader", *in.RoleArn)
	assert.Equal(t, "secret", *in.ExternalId)
	assert.Equal(t, "ec2patch-run-1", *in.RoleSessionName)
	assert.NotContains(t, *in.Policy, "SendCommand")
	other.Run = "run-2"
	open(other)
	require.Len(t, roles.asked, 2, "another run reads under its own name")
	roles.now = roles.now.Add(55*time.Minute - time.Second)
	open(spokeTarget)
	assert.Len(t, roles.asked, 2)
	roles.now = roles.now.Add(time.Minute)
	open(spokeTarget)
	assert.Len(t, roles.asked, 3)
}

// A session for sending names the very instances and the one document, is never kept, and never longer than STS takes.
func TestSpokes_Session(t *testing.T) {
	s, roles := newSpokes(&commands{})
	s.Partition = "aws-iso-f" // nowhere are names longer
	at := patch.Target{Run: "run-1", Account: "111111111111", Region: "us-isof-south-1"}
	var ids []patch.InstanceID
	for range port.SessionInstances {
		ids = append(ids, "i-0123456789abcdef0")
	}
	for range 2 {
		_, err := s.Session(t.Context(), at, ids)
		require.NoError(t, err)
	}
	require.Len(t, roles.asked, 2)
	assert.Equal(t, "arn:aws-iso-f:iam::111111111111:role/PatchExecRole", *roles.asked[0].RoleArn)
	assert.LessOrEqual(t, len(*roles.asked[0].Policy), 2048)
	var policy struct {
		Statement []struct {
			Effect, Action string
			Resource       []string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(*roles.asked[0].Policy), &policy))
	require.Len(t, policy.Statement, 1)
	st := policy.Statement[0]
	assert.Equal(t, "Allow", st.Effect)
	assert.Equal(t, "ssm:SendCommand", st.Action)
	require.Len(t, st.Resource, 1+len(ids))
	assert.Equal(t, "arn:aws-iso-f:ssm:us-isof-south-1::document/AWS-RunPatchBaseline", st.Resource[0])
	for _, r := range st.Resource[1:] {
		assert.Equal(t, "arn:aws-iso-f:ec2:us-isof-south-1:111111111111:instance/i-0123456789abcdef0", r)
	}
	assert.NotContains(t, strings.Join(st.Resource, " "), "*")
	assert.Equal(t, int32(900), *roles.asked[0].DurationSeconds)

	_, err := s.Session(t.Context(), at, append(ids, ids...))
	assert.Equal(t, patch.ErrInternal, patch.KindOf(err), "more than a policy can name")
	assert.Len(t, roles.asked, 2)
}

// Whatever is wrong with a session: nothing was sent, so the error is a definite one.
func TestSpokes_SessionFails(t *testing.T) {
	for code, want := range map[string]patch.Kind{
		"AccessDenied": patch.ErrAccessDenied, "RegionDisabledException": patch.ErrAccessDenied,
		"Throttling":         patch.ErrThrottled,
		"ServiceUnavailable": patch.ErrThrottled, "MalformedPolicyDocument": patch.ErrThrottled,
	} {
		s, roles := newSpokes(&commands{})
		roles.err = refusal(code)
		_, err := s.Session(t.Context(), spokeTarget, []patch.InstanceID{"i-1"})
		assert.Equal(t, want, patch.KindOf(err), code)
	}
}

// A path of the roles stands in what is assumed, and not in what people read.
func TestSpokes_paths(t *testing.T) {
	s, roles := newSpokes(&commands{})
	s.Reader, s.Sender = "/team/patching/PatchReader", "/team/patching/Patch"
	_, err := s.Spoke(t.Context(), spokeTarget)
	require.NoError(t, err)
	_, err = s.Session(t.Context(), spokeTarget, []patch.InstanceID{"i-1"})
	require.NoError(t, err)
	require.Len(t, roles.asked, 2)
	assert.Equal(t, "arn:aws:iam::111111111111:role/team/patching/PatchReader", *roles.asked[0].RoleArn)
	assert.Equal(t, "arn:aws:iam::111111111111:role/team/patching/Patch", *roles.asked[1].RoleArn)
	roles.err = refusal("AccessDenied")
	_, err = s.Session(t.Context(), spokeTarget, []patch.InstanceID{"i-1"})
	assert.ErrorContains(t, err, "assume role Patch in account 111111111111")
}
