package cloud_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// commands is Run Command in one account and region. A call that is not planned here panics on the embedded
// interface. Every list has an empty page first, and one entry on each page after it.
type commands struct {
	cloud.SSM
	all         []types.Command
	invocations map[string][]types.CommandInvocation
	err         error
	endless     bool
	sent        []*ssm.SendCommandInput
	answer      *ssm.SendCommandOutput
	listed      []*ssm.ListCommandsInput
	cancelled   []*ssm.CancelCommandInput
}

// page cuts one page out of n entries.
func (c *commands) page(token *string, n int) (at int, next *string) {
	at = -1
	if token != nil {
		fmt.Sscan(*token, &at)
	}
	if at+1 < n || c.endless {
		next = aws.String(fmt.Sprint(at + 1))
	}
	return at, next
}

func (c *commands) ListCommands(_ context.Context, in *ssm.ListCommandsInput,
	_ ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error) {
	asked := *in
	c.listed = append(c.listed, &asked)
	at, next := c.page(in.NextToken, len(c.all))
	out := &ssm.ListCommandsOutput{NextToken: next}
	if at >= 0 && at < len(c.all) {
		out.Commands = c.all[at : at+1]
	}
	return out, c.err
}

func (c *commands) ListCommandInvocations(_ context.Context, in *ssm.ListCommandInvocationsInput,
	_ ...func(*ssm.Options)) (*ssm.ListCommandInvocationsOutput, error) {
	all := c.invocations[*in.CommandId]
	at, next := c.page(in.NextToken, len(all))
	out := &ssm.ListCommandInvocationsOutput{NextToken: next}
	if at >= 0 && at < len(all) {
		out.CommandInvocations = all[at : at+1]
	}
	return out, c.err
}

func (c *commands) CancelCommand(_ context.Context, in *ssm.CancelCommandInput,
	_ ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error) {
	c.cancelled = append(c.cancelled, in)
	return &ssm.CancelCommandOutput{}, c.err
}

func (c *commands) SendCommand(_ context.Context, in *ssm.SendCommandInput,
	_ ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	c.sent = append(c.sent, in)
	if c.answer != nil || c.err != nil {
		return c.answer, c.err
	}
	return &ssm.SendCommandOutput{Command: &types.Command{CommandId: aws.String("cmd-1")}}, nil
}

func spokeOf(t *testing.T, c *commands) port.Spoke {
	t.Helper()
	s, _ := newSpokes(c)
	spoke, err := s.Spoke(t.Context(), spokeTarget)
	require.NoError(t, err)
	return spoke
}

// All pages are read, and what has ended though it is listed does not execute.
func TestSpoke_Executing(t *testing.T) {
	c := &commands{all: []types.Command{
		{CommandId: aws.String("a"), Status: types.CommandStatusInProgress}, {CommandId: aws.String("b"),
			Status: types.CommandStatusSuccess},
		{CommandId: aws.String("c"), Status: types.CommandStatusPending}, {CommandId: aws.String("d"),
			Status: types.CommandStatusCancelling},
	}}
	at := time.Date(2026, 12, 1, 2, 3, 4, 5, time.FixedZone("", 3600))
	got, err := spokeOf(t, c).Executing(t.Context(), at)
	require.NoError(t, err)
	assert.Equal(t, map[patch.CommandID]bool{"a": true, "c": true, "d": true}, got)
	want := []types.CommandFilter{
		{Key: types.CommandFilterKeyInvokedAfter, Value: aws.String("2026-12-01T01:03:04Z")},
		{Key: types.CommandFilterKeyDocumentName, Value: aws.String("AWS-RunPatchBaseline")},
		{Key: types.CommandFilterKeyExecutionStage, Value: aws.String("Executing")},
	}
	for _, in := range c.listed {
		assert.Equal(t, want, in.Filters)
	}
}

func TestSpoke_listsFail(t *testing.T) {
	for _, c := range []*commands{{err: refusal("ThrottlingException")}, {endless: true}} {
		spoke := spokeOf(t, c)
		_, err := spoke.Executing(t.Context(), time.Now())
		assert.Error(t, err, "a listing that is not whole is none")
		_, err = spoke.Marked(t.Context(), []string{"m"}, time.Now())
		assert.Error(t, err)
		_, _, err = spoke.Invocation(t.Context(), "a")
		assert.Error(t, err)
	}
}

// An empty list, or an empty page, is not the end of a command.
func TestSpoke_Invocation(t *testing.T) {
	c := &commands{invocations: map[string][]types.CommandInvocation{"a": {{
		InstanceId: aws.String("i-1"), Status: types.CommandInvocationStatusTimedOut,
		StatusDetails: aws.String("Delivery Timed Out"),
	}}}}
	v, found, err := spokeOf(t, c).Invocation(t.Context(), "a")
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, outcome.Invocation{InstanceID: "i-1", Command: "a", Status: "TimedOut",
		Details: "DeliveryTimedOut"}, v)
	v, found, err = spokeOf(t, c).Invocation(t.Context(), "b")
	require.NoError(t, err)
	assert.False(t, found)
	assert.False(t, v.Terminal())
	c.err = refusal("InvalidCommandId")
	_, found, err = spokeOf(t, c).Invocation(t.Context(), "b")
	assert.NoError(t, err, "SSM does not know it yet")
	assert.False(t, found)
}

// Only whole markers count: that of intent 1 is not the beginning of that of intent 11.
func TestSpoke_Marked(t *testing.T) {
	at := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	var all []types.Command
	for i, comment := range []string{"ec2patch x b1.0", "ec2patch x b11.0", "ec2patch x b1.7", "ec2patch x b1",
		"by hand", "ec2patch x b2.3"} {
		all = append(all, types.Command{CommandId: aws.String(fmt.Sprint("c", i)), Comment: aws.String(comment),
			RequestedDateTime: aws.Time(at)})
	}
	got, err := spokeOf(t, &commands{all: append(all, types.Command{CommandId: aws.String("none")})}).Marked(
		t.Context(), []string{"ec2patch x b1", "ec2patch x b2"}, at)
	require.NoError(t, err)
	assert.Equal(t, map[string]port.Accepted{
		"ec2patch x b1.0": {ID: "c0", At: at}, "ec2patch x b1.7": {ID: "c2", At: at},
		"ec2patch x b2.3": {ID: "c5", At: at},
	}, got)
}

// A cancel names its instance: one without would be for all, and there is but one.
func TestSpoke_Cancel(t *testing.T) {
	c := &commands{}
	spoke := spokeOf(t, c)
	require.NoError(t, spoke.Cancel(t.Context(), "a", "i-1"))
	assert.Equal(t, []*ssm.CancelCommandInput{{CommandId: aws.String("a"), InstanceIds: []string{"i-1"}}}, c.cancelled)
	for _, code := range []string{"InvalidInstanceId", "InvalidCommandId", "DuplicateInstanceId"} {
		c.err = refusal(code)
		assert.ErrorContains(t, spoke.Cancel(t.Context(), "a", "i-1"), code)
	}
}
