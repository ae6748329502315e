package cloud

import "ec2patch/internal/patch"

// awsCode is one of AWS's error codes, and what it means to whoever made the call.
// This is the one list of them: which calls are tried again at once is the SDK's
// retryer's own, and a test holds the two together.
//
// Source: the error pages of each service's API reference, read 2026-11.
type awsCode struct {
	name   string
	kind   patch.Kind
	silent bool // it does not say whether the call took effect
}

// awsCodes is every code with a meaning.
func awsCodes() []awsCode {
	return []awsCode{
		{name: "BandwidthLimitExceeded", kind: patch.ErrThrottled},
		{name: "EC2ThrottledException", kind: patch.ErrThrottled},
		{name: "KMSThrottling", kind: patch.ErrThrottled},
		{name: "KmsThrottlingException", kind: patch.ErrThrottled},
		{name: "LimitExceededException", kind: patch.ErrThrottled},
		{name: "PriorRequestNotComplete", kind: patch.ErrThrottled},
		{name: "ProvisionedThroughputExceededException", kind: patch.ErrThrottled},
		{name: "RateExceeded", kind: patch.ErrThrottled},
		{name: "RequestLimitExceeded", kind: patch.ErrThrottled},
		{name: "RequestThrottled", kind: patch.ErrThrottled},
		{name: "RequestThrottledException", kind: patch.ErrThrottled},
		{name: "SlowDown", kind: patch.ErrThrottled},
		{name: "Throttled", kind: patch.ErrThrottled},
		{name: "ThrottledException", kind: patch.ErrThrottled},
		{name: "Throttling", kind: patch.ErrThrottled},
		{name: "ThrottlingException", kind: patch.ErrThrottled},
		{name: "TooManyRequestsException", kind: patch.ErrThrottled},

		{name: "AccessDenied", kind: patch.ErrAccessDenied},
		{name: "AccessDeniedException", kind: patch.ErrAccessDenied},
		{name: "AuthFailure", kind: patch.ErrAccessDenied},
		{name: "AuthorizationError", kind: patch.ErrAccessDenied},
		{name: "InvalidClientTokenId", kind: patch.ErrAccessDenied},
		{name: "KMSAccessDenied", kind: patch.ErrAccessDenied},
		{name: "KmsAccessDeniedException", kind: patch.ErrAccessDenied},
		{name: "NotAuthorized", kind: patch.ErrAccessDenied},
		{name: "OptInRequired", kind: patch.ErrAccessDenied},
		{name: "RegionDisabledException", kind: patch.ErrAccessDenied},
		{name: "UnauthorizedOperation", kind: patch.ErrAccessDenied},
		{name: "UnrecognizedClientException", kind: patch.ErrAccessDenied},

		{name: "ExpiredToken", kind: patch.ErrUnavailable},
		{name: "ExpiredTokenException", kind: patch.ErrUnavailable},
		{name: "InternalError", kind: patch.ErrUnavailable, silent: true},
		{name: "InternalFailure", kind: patch.ErrUnavailable, silent: true},
		{name: "InternalServerError", kind: patch.ErrUnavailable, silent: true},
		{name: "RequestExpired", kind: patch.ErrUnavailable},
		{name: "RequestTimeout", kind: patch.ErrUnavailable, silent: true},
		{name: "RequestTimeoutException", kind: patch.ErrUnavailable, silent: true},
		{name: "ServiceUnavailable", kind: patch.ErrUnavailable, silent: true},
		{name: "TransactionInProgressException", kind: patch.ErrUnavailable},

		{name: "ConditionalCheckFailedException", kind: patch.ErrConflict},
		{name: "ConditionalRequestConflict", kind: patch.ErrConflict},
		{name: "TransactionConflictException", kind: patch.ErrConflict},

		{name: "InvalidInstanceID", kind: patch.ErrInvalidInstance},
		{name: "InvalidInstanceId", kind: patch.ErrInvalidInstance},
		{name: "InvalidInstanceIdException", kind: patch.ErrInvalidInstance},
	}
}

// codesByName finds a code.
var codesByName = func() map[string]awsCode {
	m := map[string]awsCode{}
	for _, c := range awsCodes() {
		m[c.name] = c
	}
	return m
}()
