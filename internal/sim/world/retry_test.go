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
)

// The world retries what the SDK's standard retryer does, by its own lists.
func TestRetries(t *testing.T) {
	w := New(1, testStart())
	for code := range retry.DefaultThrottleErrorCodes {
		require.True(t, w.retries(apiError(code, "no")), code)
	}
	for code := range retry.DefaultRetryableErrorCodes {
		require.True(t, w.retries(apiError(code, "no")), code)
	}
	require.True(t, w.retries(&ConnectionError{Call: "x"}))
	require.True(t, w.retries(&smithy.GenericAPIError{Code: "Whatever", Fault: smithy.FaultServer}), "a status of 500")
	for _, code := range []string{"AccessDenied", "ValidationException", "ConditionalCheckFailedException", "InvalidInstanceId", "InternalError"} {
		require.False(t, w.retries(apiError(code, "no")), code)
	}
	require.False(t, w.retries(&ddb.TransactionCanceledException{}))
}

// A rehearsal has the retryer of the product decide.
func TestRetries_Product(t *testing.T) {
	w, s, _ := newFleet(t, 1, FateOK)
	asked := 0
	w.Retryable = func(err error) bool {
		asked++
		var api smithy.APIError
		return errors.As(err, &api) && api.ErrorCode() == "Odd"
	}
	w.Faults = &oddities{before: apiError("Odd", "no")}
	_, err := s.ListCommands(context.Background(), &ssm.ListCommandsInput{})
	requireCode(t, err, "Odd")
	require.Equal(t, attempts, w.Ledger.Calls["ssm:ListCommands"])
	require.Equal(t, attempts-1, asked)
}

// SendCommand takes its time; whoever sends one command an instance feels it.
func TestLatency(t *testing.T) {
	_, s, insts := newFleet(t, 1, FateOK)
	m := &Meter{}
	ctx := WithMeter(context.Background(), m)
	_, err := s.SendCommand(ctx, patching(insts[0].ID))
	require.NoError(t, err)
	require.Equal(t, sendLatency, m.Spent)
	_, err = s.ListCommands(ctx, &ssm.ListCommandsInput{})
	require.NoError(t, err)
	require.Equal(t, sendLatency+latency, m.Spent)
}
