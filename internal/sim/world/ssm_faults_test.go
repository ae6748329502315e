package world

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// oddities is a Faults that implements what a test sets.
type oddities struct {
	size   func(n int) int
	age    time.Duration
	lost   bool
	odd    bool
	before error
	after  error
}

func (o *oddities) Before(*core.Call) error { return o.before }

func (o *oddities) After(*core.Call) error { return o.after }

func (o *oddities) Stale(*core.Call) time.Duration { return o.age }

func (o *oddities) LosesCancel(*core.Call, string) bool { return o.lost }

func (o *oddities) Odd(*core.Call, string) bool { return o.odd }

func (o *oddities) PageSize(_ *core.Call, size int) int {
	if o.size == nil {
		return size
	}
	return o.size(size)
}

// Source: docs/faults.md F-10.
func TestFaults_ShortPages(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateOK)
	id := send(t, s, patching(ids(insts)...))
	turn := 0
	w.Faults = &oddities{size: func(int) int { turn++; return turn % 3 }}
	lists := map[string]func(token *string) (int, *string, error){
		"ListCommandInvocations": func(token *string) (int, *string, error) {
			out,
				err := s.ListCommandInvocations(context.Background(),
				&ssm.ListCommandInvocationsInput{CommandId: &id, NextToken: token})
			if err != nil {
				return 0, nil, err
			}
			return len(out.CommandInvocations), out.NextToken, nil
		},
		"DescribeInstanceInformation": func(token *string) (int, *string, error) {
			out,
				err := s.DescribeInstanceInformation(context.Background(), &ssm.DescribeInstanceInformationInput{NextToken: token})
			if err != nil {
				return 0, nil, err
			}
			return len(out.InstanceInformationList), out.NextToken, nil
		},
		"DescribeInstances": func(token *string) (int, *string, error) {
			out,
				err := w.EC2(testPrincipal(testAccount), testRegion).DescribeInstances(context.Background(),
				&ec2.DescribeInstancesInput{NextToken: token})
			if err != nil {
				return 0, nil, err
			}
			return len(out.Reservations), out.NextToken, nil
		},
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			total, pages := 0, 0
			var token *string
			for pages < 20 {
				n, next, err := list(token)
				require.NoError(t, err)
				total, pages, token = total+n, pages+1, next
				if token == nil {
					break
				}
			}
			require.Equal(t, 5, total)
			require.Greater(t, pages, 3)
		})
	}
}

// Source: docs/faults.md F-19, old status returned after a newer one.
func TestFaults_OldStatuses(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	require.Equal(t, "Success/Success", rows(t, s, id)[insts[0].ID])
	w.Faults = &oddities{age: 55 * time.Minute}
	require.Equal(t, "InProgress/InProgress", rows(t, s, id)[insts[0].ID])
	c := commandNow(t, s, id)
	require.Equal(t, "InProgress", string(c.Status))
	require.Zero(t, c.CompletedCount)
	out,
		err := s.GetCommandInvocation(context.Background(),
		&ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &insts[0].ID, PluginName: aws.String("PatchLinux")})
	require.NoError(t, err)
	require.EqualValues(t, -1, out.ResponseCode)
	w.Faults = &oddities{age: 2 * time.Hour}
	require.Empty(t, rows(t, s, id), "before the send there is nothing to see")
}

// Source: docs/faults.md F-22.
func TestFaults_LostCancel(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, time.Minute)
	w.Faults = &oddities{lost: true}
	cancelCommand(t, s, id, insts[0].ID)
	runFor(w, time.Hour)
	require.Equal(t, "Success/Success", rows(t, s, id)[insts[0].ID])
}

// Source: docs/faults.md F-11.
func TestFaults_OddAnswers(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	w.Faults = &oddities{odd: true}
	require.Nil(t, patchState(t, s, insts[0].ID).SnapshotId)
	require.Nil(t, node(t, s, insts[0].ID).LastPingDateTime)
	out, err := s.ListCommandInvocations(context.Background(), &ssm.ListCommandInvocationsInput{CommandId: &id})
	require.NoError(t, err)
	require.Nil(t, out.CommandInvocations[0].StatusDetails)
}

// Source: docs/faults.md F-23.
func TestForgetCommands(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	w.ForgetCommands(testAccount, testRegion)
	_, err := s.ListCommandInvocations(context.Background(), &ssm.ListCommandInvocationsInput{CommandId: &id})
	requireCode(t, err, "InvalidCommandId")
	out, err := s.ListCommands(context.Background(), &ssm.ListCommandsInput{})
	require.NoError(t, err)
	require.Empty(t, out.Commands)
}

// An answer lost after the effect makes the standard retryer send again; a client that never retries sends once.
// Source: docs/aws-semantics.md 15, three requests on the wire.
func TestFaults_LostAnswerOfSendCommand(t *testing.T) {
	for attempts, commands := range map[int]int{1: 1, 3: 3} {
		w, s, insts := newFleet(t, 1, fleetfile.FateOK)
		s.Attempts = attempts
		w.Faults = &oddities{after: &core.ConnectionError{Call: "ssm:SendCommand"}}
		_, err := s.SendCommand(context.Background(), patching(insts[0].ID))
		var conn *core.ConnectionError
		require.ErrorAs(t, err, &conn)
		require.Len(t, w.fleet(testAccount, testRegion).commands, commands)
	}
}

// Input in the ledger is a copy.
func TestLedger_IsNotAliased(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	in := patching(insts[0].ID)
	send(t, s, in)
	in.InstanceIds[0] = "i-changed"
	in.Parameters["Operation"][0] = "Scan"
	kept := w.Ledger.Mutating[0].Input.(*ssm.SendCommandInput)
	require.Equal(t, insts[0].ID, kept.InstanceIds[0])
	require.Equal(t, install, kept.Parameters["Operation"][0])
}
