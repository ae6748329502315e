package world

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

const (
	testAccount = "111111111111"
	testRegion  = "us-east-1"
)

func testStart() time.Time { return time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC) }

// newFleet is a world of one region without IAM, without read lag and with whole pages, whose readings are today's, and
// its client.
func newFleet(t testing.TB, seed uint64, fates ...fleetfile.Fate) (*World, *SSM, []*Instance) {
	t.Helper()
	w := New(seed, testStart())
	w.IgnoreIAM = true
	w.WholePages = true
	w.SSMOptions = SSMOptions{NoReadLag: true, CancelDown: ReadingNo, CancelEnded: ReadingNo, Evidence: EvidenceTwice}
	var insts []*Instance
	for n, f := range fates {
		i, err := w.AddInstance(InstanceSpec{
			Account: testAccount, Region: testRegion, Name: fmt.Sprintf("%s-%d", f, n), Fate: f,
			Tags: map[string]string{"PatchGroup": "default"}, Patch: 10 * time.Minute, Reboot: 2 * time.Minute,
		})
		require.NoError(t, err)
		insts = append(insts, i)
	}
	return w, w.SSM(testPrincipal(testAccount), testRegion), insts
}

func testPrincipal(account string) *core.Principal {
	return &core.Principal{Account: account, RoleARN: "arn:aws:iam::" + account + ":role/PatchExecRole",
		SessionName: "test"}
}

func ids(insts []*Instance) []string {
	var all []string
	for _, i := range insts {
		all = append(all, i.ID)
	}
	return all
}

const testSnapshot = "0a1b2c3d-0000-4000-8000-0123456789ab"

// patching is an Install on instances, everything at once.
func patching(instanceIDs ...string) *ssm.SendCommandInput {
	return &ssm.SendCommandInput{
		DocumentName: aws.String(patchDocument), InstanceIds: instanceIDs, Comment: aws.String("run-1"),
		MaxConcurrency: aws.String("100%"), MaxErrors: aws.String("100%"), TimeoutSeconds: aws.Int32(7200),
		Parameters: map[string][]string{"Operation": {install}, "RebootOption": {rebootIfNeeded},
			"SnapshotId": {testSnapshot}},
	}
}

func send(t testing.TB, s *SSM, in *ssm.SendCommandInput) string {
	t.Helper()
	out, err := s.SendCommand(context.Background(), in)
	require.NoError(t, err)
	return *out.Command.CommandId
}

// runFor lets the world run until d has passed.
func runFor(w *World, d time.Duration) {
	end := false
	w.After(d, func() { end = true })
	for !end && w.Step() {
	}
}

func commandNow(t testing.TB, s *SSM, id string) ssmtypes.Command {
	t.Helper()
	out, err := s.ListCommands(context.Background(), &ssm.ListCommandsInput{CommandId: aws.String(id)})
	require.NoError(t, err)
	require.Len(t, out.Commands, 1)
	return out.Commands[0]
}

// rows maps instance ids to status/details of a command.
func rows(t testing.TB, s *SSM, id string) map[string]string {
	t.Helper()
	out, err := s.ListCommandInvocations(context.Background(), &ssm.ListCommandInvocationsInput{CommandId: aws.String(id)})
	require.NoError(t, err)
	all := map[string]string{}
	for _, r := range out.CommandInvocations {
		all[*r.InstanceId] = string(r.Status) + "/" + *r.StatusDetails
	}
	return all
}

func patchState(t testing.TB, s *SSM, id string) *ssmtypes.InstancePatchState {
	t.Helper()
	out,
		err := s.DescribeInstancePatchStates(context.Background(),
		&ssm.DescribeInstancePatchStatesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
	if len(out.InstancePatchStates) == 0 {
		return nil
	}
	return &out.InstancePatchStates[0]
}

func node(t testing.TB, s *SSM, id string) *ssmtypes.InstanceInformation {
	t.Helper()
	out, err := s.DescribeInstanceInformation(context.Background(), &ssm.DescribeInstanceInformationInput{
		Filters: []ssmtypes.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: []string{id}}},
	})
	require.NoError(t, err)
	if len(out.InstanceInformationList) == 0 {
		return nil
	}
	return &out.InstanceInformationList[0]
}

func requireCode(t testing.TB, err error, code string) {
	t.Helper()
	var api smithy.APIError
	require.ErrorAs(t, err, &api)
	require.Equal(t, code, api.ErrorCode(), err.Error())
}

func kinds(events []AgentEvent) []AgentEventKind {
	var all []AgentEventKind
	for _, e := range events {
		all = append(all, e.Kind)
	}
	return all
}
