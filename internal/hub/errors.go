package hub

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/smithy-go"
)

// What a caller can act on. Errors of a Client wrap one of them, or say nothing
// that anybody can mend.
var (
	ErrNoCredentials = errors.New("no valid AWS credentials")
	ErrDenied        = errors.New("not allowed")
	ErrNotFound      = errors.New("not found")
	ErrNameTaken     = errors.New("the name is taken")
	ErrBusy          = errors.New("AWS refuses calls just now")
)

// NoCredentials says why there is nobody to sign. The last place where the SDK
// looks is the metadata service of an instance: who gets that far has none at
// all, and what the service did not answer helps nobody.
func NoCredentials(err error) error {
	if op, ok := errors.AsType[*smithy.OperationError](err); ok && op.ServiceID == "ec2imds" {
		return ErrNoCredentials
	}
	return fmt.Errorf("%w: %w", ErrNoCredentials, err)
}

// wrap names what was tried and sorts what AWS answered.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: no answer from %s: %w", what, host(sent.URL), sent.Err)
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if kind := kindOf(api.ErrorCode()); kind != nil {
		return fmt.Errorf("%s: %w: %s: %s", what, kind, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("%s: %s: %s", what, api.ErrorCode(), api.ErrorMessage())
}

// host is the part of a URL that a person knows.
func host(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "AWS"
	}
	return u.Host
}

func kindOf(code string) error {
	switch code {
	case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException",
		"InvalidSignatureException",
		"SignatureDoesNotMatch", "InvalidAccessKeyId", "MissingAuthenticationToken", "MissingAuthenticationTokenException":
		return ErrNoCredentials
	case "AccessDenied", "AccessDeniedException", "KmsAccessDeniedException", "OptInRequired":
		return ErrDenied
	case "ExecutionDoesNotExist", "StateMachineDoesNotExist", "NoSuchKey", "NoSuchBucket", "ResourceNotFound",
		"ResourceNotFoundException", "NotFoundException":
		return ErrNotFound
	case "ExecutionAlreadyExists":
		return ErrNameTaken
	case "ThrottlingException", "TooManyRequestsException", "ServiceUnavailable", "InternalServerError", "SlowDown",
		"KmsThrottlingException":
		return ErrBusy
	}
	return nil
}
