package world

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// The world retries what the SDK's standard retryer does, by its own lists.
func TestRetries(t *testing.T) {
	w := New(1, testStart())
	for code := range retry.DefaultThrottleErrorCodes {
		require.True(t, w.Retries(core.Refusal(code, "no")), code)
	}
	for code := range retry.DefaultRetryableErrorCodes {
		require.True(t, w.Retries(core.Refusal(code, "no")), code)
	}
	require.True(t, w.Retries(&core.ConnectionError{Call: "x"}))
	require.True(t, w.Retries(&smithy.GenericAPIError{Code: "Whatever", Fault: smithy.FaultServer}), "a status of 500")
	for _, code := range []string{"AccessDenied", "ValidationException", "ConditionalCheckFailedException",
		"InvalidInstanceId", "InternalError"} {
		require.False(t, w.Retries(core.Refusal(code, "no")), code)
	}
	require.False(t, w.Retries(&ddb.TransactionCanceledException{}))
}

// A rehearsal has the retryer of the product decide.
func TestRetries_Product(t *testing.T) {
	w, s, _ := newFleet(t, 1, fleetfile.FateOK)
	asked := 0
	w.Retryable = func(err error) bool {
		asked++
		var api smithy.APIError
		return errors.As(err, &api) && api.ErrorCode() == "Odd"
	}
	w.Faults = &oddities{before: core.Refusal("Odd", "no")}
	_, err := s.ListCommands(context.Background(), &ssm.ListCommandsInput{})
	requireCode(t, err, "Odd")
	require.Equal(t, core.Attempts, w.Ledger.Calls["ssm:ListCommands"])
	require.Equal(t, core.Attempts-1, asked)
}

// SendCommand takes its time; whoever sends one command an instance feels it.
func TestLatency(t *testing.T) {
	_, s, insts := newFleet(t, 1, fleetfile.FateOK)
	m := &core.Meter{}
	ctx := core.WithMeter(context.Background(), m)
	_, err := s.SendCommand(ctx, patching(insts[0].ID))
	require.NoError(t, err)
	require.Equal(t, core.SendLatency, m.Spent)
	_, err = s.ListCommands(ctx, &ssm.ListCommandsInput{})
	require.NoError(t, err)
	require.Equal(t, core.SendLatency+core.Latency, m.Spent)
}
