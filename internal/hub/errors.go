package hub

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
)

// What a caller can act on. Errors of a Client wrap one of them, or say nothing
// that anybody can mend.
var (
	ErrDenied    = errors.New("no credentials, or not allowed")
	ErrNotFound  = errors.New("not found")
	ErrNameTaken = errors.New("the name is taken")
	ErrBusy      = errors.New("AWS refuses calls just now")
)

// wrap names what was tried and sorts what AWS answered.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if kind := kindOf(api.ErrorCode()); kind != nil {
		return fmt.Errorf("%s: %w: %s: %s", what, kind, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("%s: %s: %s", what, api.ErrorCode(), api.ErrorMessage())
}

func kindOf(code string) error {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException",
		"InvalidSignatureException", "SignatureDoesNotMatch", "InvalidAccessKeyId", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"KmsAccessDeniedException", "OptInRequired":
		return ErrDenied
	case "ExecutionDoesNotExist", "StateMachineDoesNotExist", "NoSuchKey", "NoSuchBucket", "ResourceNotFound":
		return ErrNotFound
	case "ExecutionAlreadyExists":
		return ErrNameTaken
	case "ThrottlingException", "TooManyRequestsException", "ServiceUnavailable", "InternalServerError", "SlowDown", "KmsThrottlingException":
		return ErrBusy
	}
	return nil
}
