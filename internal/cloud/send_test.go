package cloud_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

func sessionOf(t *testing.T, c *commands) port.Session {
	t.Helper()
	s, _ := newSpokes(c)
	session, err := s.Session(t.Context(), spokeTarget, []patch.InstanceID{"i-1"})
	require.NoError(t, err)
	return session
}

var aCommand = port.Command{
	Instance: "i-1", Operation: patch.Install, RebootOption: patch.RebootIfNeeded, SnapshotID: "snap",
	Marker: "ec2patch x b1.0", DeliverySeconds: 900,
}

func TestSession_Send(t *testing.T) {
	c := &commands{}
	id, err := sessionOf(t, c).Send(t.Context(), aCommand)
	require.NoError(t, err)
	assert.Equal(t, patch.CommandID("cmd-1"), id)
	assert.Equal(t, []*ssm.SendCommandInput{{
		DocumentName: aws.String("AWS-RunPatchBaseline"), InstanceIds: []string{"i-1"},
		Comment:        aws.String("ec2patch x b1.0"),
		MaxConcurrency: aws.String("1"), MaxErrors: aws.String("0"), TimeoutSeconds: aws.Int32(900),
		Parameters: map[string][]string{"Operation": {"Install"}, "RebootOption": {"RebootIfNeeded"},
			"SnapshotId": {"snap"}},
	}}, c.sent)
}

// A definite refusal is told from silence: after that nobody knows, and nothing is sent again.
func TestSession_SendFails(t *testing.T) {
	status := func(code int, inner error) error {
		return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: inner,
		}}
	}
	tests := []struct {
		name string
		err  error
		want patch.Kind
	}{
		{"throttled", refusal("ThrottlingException"), patch.ErrThrottled},
		{"denied", refusal("AccessDeniedException"), patch.ErrAccessDenied},
		{"an instance that SSM does not reach", refusal("InvalidInstanceId"), patch.ErrInvalidInstance},
		{"a document that is not there", refusal("InvalidDocument"), patch.ErrRefusedCommand},
		{"a session that is too old", status(400, refusal("ExpiredTokenException")), patch.ErrThrottled},
		{"a request that is too old", status(400, refusal("RequestExpired")), patch.ErrThrottled},
		{"refused with a status", status(400, refusal("ValidationException")), patch.ErrRefusedCommand},
		{"throttled with a status", status(429, refusal("TooManyRequestsException")), patch.ErrThrottled},
		{"a server error", status(500, refusal("InternalServerError")), patch.ErrUnavailable},
		{"a server error that calls itself a refusal", status(503, refusal("AccessDeniedException")),
			patch.ErrUnavailable},
		{"a server error with a client's status", status(400, &types.InternalServerError{}), patch.ErrUnavailable},
		{"a timeout with another status", status(400, refusal("RequestTimeoutException")), patch.ErrUnavailable},
		{"a timeout of the service", status(408, refusal("RequestTimeout")), patch.ErrUnavailable},
		{"a server's fault", &smithy.GenericAPIError{Code: "Whatever", Fault: smithy.FaultServer},
			patch.ErrUnavailable},
		{"nobody's fault", &smithy.GenericAPIError{Code: "Whatever"}, patch.ErrUnavailable},
		{"no answer", errors.New("EOF"), patch.ErrUnavailable},
		{"no time", context.DeadlineExceeded, patch.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &commands{err: test.err}
			_, err := sessionOf(t, c).Send(t.Context(), aCommand)
			assert.Equal(t, test.want, patch.KindOf(err))
			assert.Len(t, c.sent, 1, "tried once")
		})
	}
	for _, answer := range []*ssm.SendCommandOutput{{}, {Command: &types.Command{}}} {
		_, err := sessionOf(t, &commands{answer: answer}).Send(t.Context(), aCommand)
		assert.Equal(t, patch.ErrUnavailable, patch.KindOf(err), "an answer without an id tells nothing")
	}
}
