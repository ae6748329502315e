package world

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

func cancelCommand(t *testing.T, s *SSM, id string, instanceIDs ...string) {
	t.Helper()
	_, err := s.CancelCommand(context.Background(), &ssm.CancelCommandInput{CommandId: &id, InstanceIds: instanceIDs})
	require.NoError(t, err)
}

// Source: B:CancelCommand; docs/aws-semantics.md 2.5.
func TestCancelCommand_Whole(t *testing.T) {
	w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 3)...)
	in := patching(ids(insts)...)
	in.MaxConcurrency = aws.String("1")
	id := send(t, s, in)
	runFor(w, time.Minute)
	cancelCommand(t, s, id)
	require.Equal(t, "Cancelling", string(commandNow(t, s, id).Status))
	got := rows(t, s, id)
	require.Equal(t, []string{"Cancelling/Cancelling", "Pending/Pending"}, []string{got[insts[0].ID], got[insts[1].ID]})
	runFor(w, time.Minute)
	for _, i := range insts {
		require.Equal(t, "Cancelled/Cancelled", rows(t, s, id)[i.ID])
	}
	require.Equal(t, "Cancelled", string(commandNow(t, s, id).Status))
	require.Len(t, w.Installs(insts[0].ID), 1)
	require.Empty(t, w.AgentLog(insts[1].ID), "what was not sent never reaches its agent")
}

func TestCancelCommand_SomeIDs(t *testing.T) {
	w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 3)...)
	in := patching(ids(insts)...)
	in.MaxConcurrency = aws.String("1")
	id := send(t, s, in)
	runFor(w, time.Minute)
	cancelCommand(t, s, id, insts[1].ID)
	runFor(w, time.Hour)
	got := rows(t, s, id)
	require.Equal(t, []string{"Success/Success", "Cancelled/Cancelled", "Success/Success"},
		[]string{got[insts[0].ID], got[insts[1].ID], got[insts[2].ID]})
	_, most := w.InFlight(testAccount, testRegion)
	require.Equal(t, 1, most, "what was queued held no slot that its cancel could free")
}

// A cancel on the way to the agent does not stop what the agent has received meanwhile.
func TestCancelCommand_OnTheWay(t *testing.T) {
	received := 0
	for seed := range uint64(20) {
		w, s, insts := newFleet(t, seed, fleetfile.FateOK)
		id := send(t, s, patching(insts[0].ID))
		cancelCommand(t, s, id)
		require.Equal(t, "Cancelling/Cancelling", rows(t, s, id)[insts[0].ID])
		runFor(w, cancelDelay+time.Second)
		if len(w.Installs(insts[0].ID)) > 0 {
			received++
			require.Equal(t, "Cancelling/Cancelling", rows(t, s, id)[insts[0].ID])
		} else {
			require.Equal(t, "Cancelled/Cancelled", rows(t, s, id)[insts[0].ID])
		}
		runFor(w, time.Minute)
		require.Equal(t, "Cancelled/Cancelled", rows(t, s, id)[insts[0].ID])
	}
	require.Positive(t, received)
	require.Less(t, received, 20)
}

// Best effort: the process may run on. Source: B:CancelCommand.
func TestCancelCommand_ProcessMayRunOn(t *testing.T) {
	killed, ranOn := 0, 0
	for seed := range uint64(20) {
		w, s, insts := newFleet(t, seed, fleetfile.FateOK)
		id := send(t, s, patching(insts[0].ID))
		runFor(w, time.Minute)
		cancelCommand(t, s, id)
		runFor(w, time.Hour)
		require.Equal(t, "Cancelled/Cancelled", rows(t, s, id)[insts[0].ID])
		if slices.Contains(kinds(w.AgentLog(insts[0].ID)), AgentCancelled) {
			killed++
			require.Positive(t, insts[0].Missing)
		} else {
			ranOn++
			require.Zero(t, insts[0].Missing)
		}
		now, _ := w.InFlight(testAccount, testRegion)
		require.Zero(t, now)
	}
	require.Positive(t, killed)
	require.Positive(t, ranOn)
}

// What ends before the agent answers ends as it would have. Source: docs/faults.md F-22.
func TestCancelCommand_TooLate(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	end := time.Duration(0)
	for range 3600 {
		runFor(w, time.Second)
		end += time.Second
		if terminal(commandNowStatus(t, s, id)) {
			break
		}
	}
	w, s, insts = newFleet(t, 1, fleetfile.FateOK)
	id = send(t, s, patching(insts[0].ID))
	runFor(w, end-2*time.Second)
	cancelCommand(t, s, id)
	runFor(w, time.Hour)
	require.Equal(t, "Success/Success", rows(t, s, id)[insts[0].ID])
	cancelCommand(t, s, id)
	require.Equal(t, "Success", string(commandNow(t, s, id).Status), "a cancel of what has ended changes nothing")
}

func commandNowStatus(t *testing.T, s *SSM, id string) string {
	t.Helper()
	return string(commandNow(t, s, id).Status)
}

// Source: docs/faults.md F-22, a cancel that never completes.
func TestCancelCommand_Hanging(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(20) {
		w, s, insts := newFleet(t, seed, fleetfile.FateHangs)
		id := send(t, s, patching(insts[0].ID))
		runFor(w, time.Minute)
		cancelCommand(t, s, id)
		runFor(w, time.Hour)
		ends[rows(t, s, id)[insts[0].ID]]++
		runFor(w, 8*time.Hour)
		require.Equal(t, "Cancelled/Cancelled", rows(t, s, id)[insts[0].ID], "the expiry ends it")
	}
	require.Positive(t, ends["Cancelling/Cancelling"])
	require.Positive(t, ends["Cancelled/Cancelled"])
}

func TestCancelCommand_DelayedIsCancelled(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOffline)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, time.Minute)
	cancelCommand(t, s, id)
	runFor(w, time.Minute)
	require.Equal(t, "Cancelled/Cancelled", rows(t, s, id)[insts[0].ID])
	w.ReturnAgent(insts[0].ID)
	runFor(w, time.Minute)
	require.Empty(t, w.Installs(insts[0].ID))
}

// In flight is what runs and nobody has asked to stop, also when its agent does not answer.
func TestInFlight_EndsWithTheInvocation(t *testing.T) {
	inFlight := func(w *World) int { now, _ := w.InFlight(testAccount, testRegion); return now }
	w, s, insts := newFleet(t, 1, fleetfile.FateHangs)
	id := send(t, s, patching(insts[0].ID))
	runFor(w, time.Minute)
	require.Equal(t, 1, inFlight(w))
	runFor(w, 8*time.Hour)
	require.Equal(t, "TimedOut/DeliveryTimedOut", rows(t, s, id)[insts[0].ID])
	require.Zero(t, inFlight(w), "expired")

	w, s, insts = newFleet(t, 1, fleetfile.FateHangs)
	id = send(t, s, patching(insts[0].ID))
	runFor(w, time.Minute)
	cancelCommand(t, s, id)
	require.Equal(t, "Cancelling/Cancelling", rows(t, s, id)[insts[0].ID])
	require.Zero(t, inFlight(w), "asked to stop")
}

// A cancel that is under way stays visible although the agent turns out to be away.
func TestCancelCommand_StaysVisible(t *testing.T) {
	for seed := range uint64(10) {
		w, s, insts := newFleet(t, seed, fleetfile.FateOffline)
		id := send(t, s, patching(insts[0].ID))
		cancelCommand(t, s, id)
		for range 8 {
			runFor(w, 500*time.Millisecond)
			require.NotEqual(t, "Delayed/Delayed", rows(t, s, id)[insts[0].ID])
		}
	}
}

func TestCancelCommand_Refuses(t *testing.T) {
	_, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	tests := []struct {
		name string
		in   ssm.CancelCommandInput
		code string
	}{
		{"an unknown command", ssm.CancelCommandInput{CommandId: aws.String(testSnapshot)}, "InvalidCommandId"},
		{"an instance that it was not sent to",
			ssm.CancelCommandInput{CommandId: &id, InstanceIds: []string{"i-0123456789abcdef0"}}, "InvalidInstanceId"},
		{"an instance twice", ssm.CancelCommandInput{CommandId: &id, InstanceIds: []string{insts[0].ID, insts[0].ID}},
			"DuplicateInstanceId"},
		{"51 ids", ssm.CancelCommandInput{CommandId: &id, InstanceIds: make([]string, 51)}, "ValidationException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.CancelCommand(context.Background(), &tt.in)
			requireCode(t, err, tt.code)
		})
	}
}

// Source: B:InvalidInstanceId: a node that is shutting down, terminated or not registered; by the reading, one whose
// agent is not running.
func TestCancelCommand_RefusesNodes(t *testing.T) {
	tests := []struct {
		name    string
		away    func(w *World, id string)
		reading Reading
		refused bool
	}{
		{"shutting down", func(w *World, id string) { w.TerminateInstance(id) }, ReadingNo, true},
		{"terminated", func(w *World, id string) { w.TerminateInstance(id); runFor(w, 2*time.Minute) }, ReadingNo, true},
		{"stopped, and read so", func(w *World, id string) { w.StopInstance(id) }, ReadingYes, true},
		{"stopped, and not read so", func(w *World, id string) { w.StopInstance(id) }, ReadingNo, false},
		{"agent lost, and read so", func(w *World, id string) { w.LoseAgent(id) }, ReadingYes, true},
		{"agent lost, and not read so", func(w *World, id string) { w.LoseAgent(id) }, ReadingNo, false},
		{"online", func(*World, string) {}, ReadingYes, false},
	}
	for _, tt := range tests {
		for _, named := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, named %t", tt.name, named), func(t *testing.T) {
				w, s, insts := newFleet(t, 1, fleetfile.FateOK)
				w.SSMOptions.CancelDown = tt.reading
				id := send(t, s, patching(insts[0].ID))
				runFor(w, time.Minute)
				tt.away(w, insts[0].ID)
				in := &ssm.CancelCommandInput{CommandId: &id}
				if named {
					in.InstanceIds = ids(insts)
				}
				_, err := s.CancelCommand(context.Background(), in)
				if !tt.refused {
					require.NoError(t, err)
					require.Equal(t, "Cancelling/Cancelling", rows(t, s, id)[insts[0].ID])
					return
				}
				requireCode(t, err, "InvalidInstanceId")
				require.Equal(t, "InProgress/InProgress", rows(t, s, id)[insts[0].ID], "a refusal changes nothing")
			})
		}
	}
}

// Named instances are all or nothing; of a whole command the others are cancelled.
func TestCancelCommand_RefusesSome(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateOK)
	w.SSMOptions.NoRamp = true
	id := send(t, s, patching(ids(insts)...))
	runFor(w, time.Minute)
	w.TerminateInstance(insts[0].ID)
	_, err := s.CancelCommand(context.Background(), &ssm.CancelCommandInput{CommandId: &id, InstanceIds: ids(insts)})
	requireCode(t, err, "InvalidInstanceId")
	require.Equal(t, "InProgress/InProgress", rows(t, s, id)[insts[1].ID])
	cancelCommand(t, s, id)
	require.Equal(t, "Cancelling/Cancelling", rows(t, s, id)[insts[1].ID])
	require.Equal(t, "InProgress/InProgress", rows(t, s, id)[insts[0].ID])
}

func TestCancelCommand_RefusesEnded(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	w.SSMOptions.CancelEnded = ReadingYes
	id := send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	_, err := s.CancelCommand(context.Background(), &ssm.CancelCommandInput{CommandId: &id})
	requireCode(t, err, "InvalidCommandId")
}

// A reading that nobody chose is drawn once for a world.
func TestReading_Drawn(t *testing.T) {
	yes := 0
	for seed := range uint64(100) {
		w := New(seed, testStart())
		first := w.reads(ReadingDrawn, "cancel-down")
		require.Equal(t, first, w.reads(ReadingDrawn, "cancel-down"))
		if first {
			yes++
		}
	}
	require.InDelta(t, 50, yes, 20)
}
