package cloud

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws/transport/http"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"ec2patch/internal/patch"
)

// kindOf gives AWS's errors their kind, by the list of codes. The empty kind means that
// the error is none that anybody can act on: a fault of ours.
func kindOf(err error) patch.Kind {
	var cancelled *ddbtypes.TransactionCanceledException
	if errors.As(err, &cancelled) {
		return patch.ErrConflict // a condition did not hold, or another transaction was in the way
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return patch.ErrUnavailable // no answer at all
	}
	if known, ok := codesByName[api.ErrorCode()]; ok {
		return known.kind
	}
	if api.ErrorFault() == smithy.FaultServer || status(err) >= 500 {
		return patch.ErrUnavailable
	}
	return ""
}

// notEnabled tells whether the account has not enabled the region that was asked:
// a session that STS gave a moment ago is one that the region does not know.
// Source: IAM User Guide, managing STS in a region; EC2 error codes, read 2026-11.
func notEnabled(err error) bool {
	switch code(err) {
	case "InvalidClientTokenId", "OptInRequired", "UnrecognizedClientException", "AuthFailure",
		"RegionDisabledException":
		return true
	}
	return false
}

// wrap names what was tried and gives the error its kind.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w: %w", what, patch.ErrUnavailable, err)
	}
	if kind := kindOf(err); kind != "" {
		return fmt.Errorf("%s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// definite tells whether AWS answered that it refused the call: a client error.
// After a server error, whatever its status, or no answer, the call may have taken effect.
func definite(err error) bool {
	var api smithy.APIError
	answered := errors.As(err, &api)
	if answered && (api.ErrorFault() == smithy.FaultServer || codesByName[api.ErrorCode()].silent) {
		return false
	}
	if s := status(err); s != 0 {
		return s >= 400 && s < 500 && s != 408
	}
	return answered && api.ErrorFault() == smithy.FaultClient
}

// status is the HTTP status of the answer, 0 if there was none.
func status(err error) int {
	var response *http.ResponseError
	if errors.As(err, &response) && response.ResponseError != nil && response.Response != nil &&
		response.Response.Response != nil {
		return response.HTTPStatusCode()
	}
	return 0
}

// code is AWS's own name of the error, empty if it did not answer.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
