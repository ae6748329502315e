package world

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Source: B:SendCommandRequest; docs/aws-semantics.md 2.1.
func TestSendCommand_Refuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(in *ssm.SendCommandInput, insts []*Instance)
		code string
	}{
		{"no document", func(in *ssm.SendCommandInput, _ []*Instance) { in.DocumentName = nil }, "ValidationException"},
		{"another document", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.DocumentName = aws.String("AWS-RunShellScript")
		}, "InvalidDocument"},
		{"the document of an account", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.DocumentName = aws.String("arn:aws:ssm:us-east-1:111111111111:document/AWS-RunPatchBaseline")
		}, "InvalidDocument"},
		{"the document of another region", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.DocumentName = aws.String("arn:aws:ssm:eu-west-1::document/AWS-RunPatchBaseline")
		}, "InvalidDocument"},
		{"a version that is no version", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.DocumentVersion = aws.String("x")
		}, "InvalidDocumentVersion"},
		{"51 ids", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.InstanceIds = slices.Repeat([]string{"i-0123456789abcdef0"}, 51)
		}, "ValidationException"},
		{"an id that is none", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.InstanceIds = []string{"web-1"}
		}, "ValidationException"},
		{"an id twice", func(in *ssm.SendCommandInput, i []*Instance) {
			in.InstanceIds = []string{i[0].ID, i[0].ID}
		}, "DuplicateInstanceId"},
		{"one unknown id poisons all", func(in *ssm.SendCommandInput, i []*Instance) {
			in.InstanceIds = []string{i[0].ID, "i-0123456789abcdef0"}
		}, "InvalidInstanceId"},
		{"one unmanaged id poisons all", func(in *ssm.SendCommandInput, i []*Instance) {
			in.InstanceIds = []string{i[0].ID, i[1].ID}
		}, "InvalidInstanceId"},
		{"a terminated id", func(in *ssm.SendCommandInput, i []*Instance) {
			in.InstanceIds = []string{i[2].ID}
		}, "InvalidInstanceId"},
		{"neither ids nor targets", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.InstanceIds = nil
		}, "InvalidParameters"},
		{"a target of another kind", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.InstanceIds, in.Targets = nil, []ssmtypes.Target{{Key: aws.String("resource-groups:Name"), Values: []string{"x"}}}
		}, "UnsupportedBySimulation"},
		{"a timeout too short", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.TimeoutSeconds = aws.Int32(29)
		}, "ValidationException"},
		{"a timeout too long", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.TimeoutSeconds = aws.Int32(2592001)
		}, "ValidationException"},
		{"a comment too long", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.Comment = aws.String(strings.Repeat("x", 101))
		}, "ValidationException"},
		{"concurrency zero", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.MaxConcurrency = aws.String("0")
		}, "ValidationException"},
		{"concurrency of 0 %", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.MaxConcurrency = aws.String("0%")
		}, "ValidationException"},
		{"concurrency of 101 %", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.MaxConcurrency = aws.String("101%")
		}, "ValidationException"},
		{"errors with a zero in front", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.MaxErrors = aws.String("01")
		}, "ValidationException"},
		{"no operation", func(in *ssm.SendCommandInput, _ []*Instance) {
			delete(in.Parameters, "Operation")
		}, "InvalidParameters"},
		{"an operation that is none", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.Parameters["Operation"] = []string{"install"}
		}, "InvalidParameters"},
		{"a reboot option that is none", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.Parameters["RebootOption"] = []string{"Never"}
		}, "InvalidParameters"},
		{"a snapshot id that is no GUID", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.Parameters["SnapshotId"] = []string{"run-1"}
		}, "InvalidParameters"},
		{"an unknown parameter", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.Parameters["executionTimeout"] = []string{"60"}
		}, "InvalidParameters"},
		{"a parameter that is not modelled", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.Parameters["InstallOverrideList"] = []string{"s3://b/k"}
		}, "UnsupportedBySimulation"},
		{"output to S3", func(in *ssm.SendCommandInput, _ []*Instance) {
			in.OutputS3BucketName = aws.String("bucket")
		}, "UnsupportedBySimulation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateUnmanaged, fleetfile.FateOK)
			w.TerminateInstance(insts[2].ID)
			in := patching(insts[0].ID)
			tt.edit(in, insts)
			_, err := s.SendCommand(context.Background(), in)
			requireCode(t, err, tt.code)
			runFor(w, time.Hour)
			require.Empty(t, w.AgentLog(insts[0].ID), "nothing was sent")
			require.Empty(t, w.Ledger.Mutating)
		})
	}
}

// Source: B:SendCommand against field reports, docs/aws-semantics.md 2.1.
func TestSendCommand_OfflineNodes(t *testing.T) {
	for _, f := range []fleetfile.Fate{fleetfile.FateOffline, fleetfile.FateStopped} {
		w, s, insts := newFleet(t, 1, f)
		send(t, s, patching(insts[0].ID))
		w.SSMOptions.RefuseOffline = true
		_, err := s.SendCommand(context.Background(), patching(insts[0].ID))
		requireCode(t, err, "InvalidInstanceId")
	}
}

// Source: B:Command; D23:patch-manager-cli-commands (600 + 3 x 7200 = 22,200 s).
func TestSendCommand_Answer(t *testing.T) {
	_, s, insts := newFleet(t, 1, fleetfile.FateOK)
	in := patching(insts[0].ID)
	in.TimeoutSeconds, in.MaxConcurrency, in.MaxErrors = aws.Int32(600), nil, nil
	in.DocumentName = aws.String("arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline")
	out, err := s.SendCommand(context.Background(), in)
	require.NoError(t, err)
	c := out.Command
	require.Equal(t, 22200*time.Second, c.ExpiresAfter.Sub(*c.RequestedDateTime))
	require.Equal(t, "Pending", string(c.Status))
	require.Equal(t, []string{"50", "0", "run-1"}, []string{*c.MaxConcurrency, *c.MaxErrors, *c.Comment})
	require.EqualValues(t, 1, c.TargetCount)
}

// No client token: the same request twice is two commands. Source: docs/aws-semantics.md 2.1.
func TestSendCommand_NotIdempotent(t *testing.T) {
	_, s, insts := newFleet(t, 1, fleetfile.FateOK)
	require.NotEqual(t, send(t, s, patching(insts[0].ID)), send(t, s, patching(insts[0].ID)))
}

// Source: D23:send-commands-multiple.
func TestSendCommand_TagTargets(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateUnmanaged)
	w.SetTags(insts[1].ID, map[string]string{"PatchGroup": "other"})
	in := patching()
	in.InstanceIds, in.Targets = nil,
		[]ssmtypes.Target{{Key: aws.String("tag:PatchGroup"), Values: []string{"default", "x"}}}
	id := send(t, s, in)
	require.Equal(t, map[string]string{insts[0].ID: "Pending/Pending"}, rows(t, s, id))

	in.Targets = []ssmtypes.Target{{Key: aws.String("tag:PatchGroup"), Values: []string{"nobody"}}}
	c := commandNow(t, s, send(t, s, in))
	require.Equal(t, "NoInstancesInTag", *c.StatusDetails)
}

// Source: D23:send-commands-multiple, 1 node, then 2, doubling, up to MaxConcurrency.
func TestSendCommand_Ramp(t *testing.T) {
	tests := []struct {
		name        string
		concurrency string
		noRamp      bool
		want        []int // agents at work in each round of twelve and a half minutes
	}{
		{"ramps to the limit", "4", false, []int{1, 2, 4, 4, 4, 1}},
		{"percent is rounded down", "20%", false, []int{1, 2, 3, 3, 3, 3, 1}},
		{"percent is at least one", "1%", false, []int{1, 1, 1}},
		{"without a ramp", "8", true, []int{8, 8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 16)...)
			w.SSMOptions.NoRamp, w.SSMOptions.Delivery = tt.noRamp, DeliveryFromSend
			in := patching(ids(insts)...)
			in.MaxConcurrency = aws.String(tt.concurrency)
			send(t, s, in)
			var got []int
			for range tt.want {
				runFor(w, 5*time.Minute)
				now, _ := w.InFlight(testAccount, testRegion)
				got = append(got, now)
				runFor(w, 7*time.Minute+25*time.Second)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// Source: D23:send-commands-multiple: sending stops when errors exceed MaxErrors; docs/aws-semantics.md 2.2 for what
// counts.
func TestSendCommand_MaxErrors(t *testing.T) {
	tests := []struct {
		name      string
		fate      fleetfile.Fate
		maxErrors string
		errors    int
		detail    string
		left      string // detail of the last instance
	}{
		{"0 stops after the first", fleetfile.FatePatchFails, "0", 1, "Failed", "Terminated"},
		{"3 stops on the fourth", fleetfile.FatePatchFails, "3", 4, "Failed", "Terminated"},
		{"10 % of 20 stops on the third", fleetfile.FatePatchFails, "10%", 3, "Failed", "Terminated"},
		{"execution timeouts count", fleetfile.FateExecutionTimeout, "1", 2, "ExecutionTimedOut", "Terminated"},
		{"undeliverable does not count", fleetfile.FateUndeliverable, "0", 0, "Incomplete", "Undeliverable"},
		{"access denied does not count", fleetfile.FateAccessDenied, "0", 0, "Incomplete", "AccessDenied"},
		{"invalid platform does not count", fleetfile.FateInvalidPlatform, "0", 0, "Incomplete", "InvalidPlatform"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{tt.fate}, 20)...)
			w.SSMOptions.Delivery = DeliveryFromSend
			in := patching(ids(insts)...)
			in.MaxConcurrency, in.MaxErrors = aws.String("1"), aws.String(tt.maxErrors)
			id := send(t, s, in)
			runFor(w, 5*time.Hour)
			c := commandNow(t, s, id)
			require.EqualValues(t, tt.errors, c.ErrorCount)
			require.EqualValues(t, 20, c.CompletedCount)
			if c.ErrorCount > 0 || tt.errors == 0 {
				require.Contains(t, rows(t, s, id)[insts[19].ID], tt.left)
			}
			require.True(t, terminal(string(c.Status)))
		})
	}
}

// What is in flight when MaxErrors stops a command runs on. Source: D23:send-commands-multiple.
func TestSendCommand_InFlightRunsOn(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FatePatchFails, fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateOK)
	w.SSMOptions.NoRamp = true
	in := patching(ids(insts)...)
	in.MaxConcurrency, in.MaxErrors = aws.String("2"), aws.String("0")
	insts[0].Patch = time.Minute
	id := send(t, s, in)
	runFor(w, 5*time.Minute)
	require.Equal(t, "InProgress", string(commandNow(t, s, id).Status))
	runFor(w, time.Hour)
	got := rows(t, s, id)
	require.Equal(t, "Success/Success", got[insts[1].ID])
	require.Contains(t, got[insts[2].ID], "Terminated")
	require.Equal(t, "Failed", *commandNow(t, s, id).StatusDetails)
	require.Empty(t, w.AgentLog(insts[3].ID))
}

// Source: B:SendCommandRequest TimeoutSeconds; D23:monitor-commands; docs/aws-semantics.md 15.
func TestSendCommand_DeliveryTimeout(t *testing.T) {
	tests := []struct {
		name    string
		clock   DeliveryClock
		at      time.Duration
		offline string
		queued  string
	}{
		{"from the request: the queue is lost too", DeliveryFromRequest, 11 * time.Minute, "TimedOut/DeliveryTimedOut",
			"TimedOut/DeliveryTimedOut"},
		{"from the send: the queue goes on", DeliveryFromSend, 11 * time.Minute, "TimedOut/DeliveryTimedOut",
			"InProgress/InProgress"},
		{"at the expiry: all wait", DeliveryAtExpiry, 11 * time.Minute, "Delayed/Delayed", "Pending/Pending"},
		{"at the expiry: all are lost", DeliveryAtExpiry, 22201 * time.Second, "TimedOut/DeliveryTimedOut",
			"TimedOut/DeliveryTimedOut"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, s, insts := newFleet(t, 1, fleetfile.FateOffline, fleetfile.FateOK)
			w.SSMOptions.Delivery = tt.clock
			in := patching(ids(insts)...)
			in.MaxConcurrency, in.TimeoutSeconds = aws.String("1"), aws.Int32(600)
			id := send(t, s, in)
			runFor(w, time.Minute)
			require.Equal(t, "Delayed/Delayed", rows(t, s, id)[insts[0].ID])
			runFor(w, tt.at-time.Minute)
			got := rows(t, s, id)
			require.Equal(t, []string{tt.offline, tt.queued}, []string{got[insts[0].ID], got[insts[1].ID]})
			require.Zero(t, commandNow(t, s, id).ErrorCount, "delivery timeouts are no errors")
		})
	}
}

// Source: docs/faults.md F-29: started again inside the delivery timeout.
func TestSendCommand_RunsWhenTheAgentIsBack(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateStopped, fleetfile.FateOffline)
	id := send(t, s, patching(ids(insts)...))
	runFor(w, 30*time.Minute)
	w.StartInstance(insts[0].ID)
	w.ReturnAgent(insts[1].ID)
	runFor(w, time.Hour)
	got := rows(t, s, id)
	require.Equal(t, []string{"Success/Success", "Success/Success"}, []string{got[insts[0].ID], got[insts[1].ID]})
}

// Source: docs/aws-semantics.md 2.4, RateExceeded.
func TestSendCommand_RateExceeded(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateOK)
	w.SSMOptions.MaxPending = 1
	id := send(t, s, patching(ids(insts)...))
	runFor(w, time.Hour)
	require.Equal(t, "RateExceeded", *commandNow(t, s, id).StatusDetails)
	require.Empty(t, w.AgentLog(insts[0].ID))
}
