package core

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// Retries tells whether a client that may try again does so after this error.
func (w *Core) Retries(err error) bool {
	if w.Retryable != nil {
		return w.Retryable(asAnswered(err))
	}
	return retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(asAnswered(err)) == aws.TrueTernary
}

// asAnswered is an error as a client gets it, which looks at the HTTP status also: errors of this world have none.
func asAnswered(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorFault() == smithy.FaultServer {
		return &serverError{err}
	}
	return err
}

// serverError is an answer with a status of 500.
type serverError struct{ error }

// HTTPStatusCode is what the SDK's retryer reads.
func (*serverError) HTTPStatusCode() int { return 500 }

func (e *serverError) Unwrap() error { return e.error }
