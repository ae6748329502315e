package cloud

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

// What the SDK tries again may be tried again by the state machine, too: its kind
// says that nothing happened, or that nobody knows.
func TestAWSCodes_agreeWithTheRetryer(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range awsCodes() {
		assert.False(t, seen[c.name], "%s stands twice", c.name)
		assert.NotEmpty(t, c.kind, c.name)
		seen[c.name] = true
	}
	for name := range retry.DefaultThrottleErrorCodes {
		kind := kindOf(&smithy.GenericAPIError{Code: name})
		assert.Contains(t, []patch.Kind{patch.ErrThrottled, patch.ErrUnavailable}, kind, name)
	}
	for name := range retry.DefaultRetryableErrorCodes {
		assert.Equal(t, patch.ErrUnavailable, kindOf(&smithy.GenericAPIError{Code: name}), name)
		assert.False(t, definite(&smithy.GenericAPIError{Code: name, Fault: smithy.FaultClient}), name)
	}
	standard := retry.NewStandard()
	for _, c := range awsCodes() {
		if c.kind == patch.ErrAccessDenied || c.kind == patch.ErrInvalidInstance || c.kind == patch.ErrConflict {
			assert.False(t, standard.IsErrorRetryable(&smithy.GenericAPIError{Code: c.name}), c.name)
		}
	}
	assert.Empty(t, kindOf(&smithy.GenericAPIError{Code: "ValidationException", Fault: smithy.FaultClient}))
	assert.Equal(t, patch.ErrUnavailable, kindOf(&smithy.GenericAPIError{Code: "Whatever", Fault: smithy.FaultServer}))
	assert.True(t, definite(&smithy.GenericAPIError{Code: "AccessDenied", Fault: smithy.FaultClient}))
}
