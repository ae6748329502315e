package lambdamain

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// sessions gives credentials without a call, so that all that the server sees is a send.
type sessions struct{}

func (sessions) AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput,
	error) {
	return &sts.AssumeRoleOutput{Credentials: &ststypes.Credentials{
		AccessKeyId: aws.String("ASIAEXAMPLE"), SecretAccessKey: aws.String("secret"), SessionToken: aws.String("token"),
		Expiration: aws.Time(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)),
	}}, nil
}

const sentAnswer = `{"Command":{"CommandId":"11111111-2222-3333-4444-555555555555"}}`

// TestSend_OneRequest sends over a real socket with the client that the Lambdas
// use. However the other side behaves, it sees one request, and what is reported
// as a refusal is one.
func TestSend_OneRequest(t *testing.T) {
	cases := []struct {
		name     string
		patience time.Duration
		answer   http.HandlerFunc
		want     patch.Kind // empty: sent
		definite bool       // nothing was sent for certain
	}{
		{name: "accepted", answer: says(200, sentAnswer)},
		{name: "connection dropped before an answer", answer: drop, want: patch.ErrUnavailable},
		{name: "connection dropped within the answer", answer: half, want: patch.ErrUnavailable},
		{name: "server error", answer: says(500, `{"__type":"InternalServerError","message":"sorry"}`), want: patch.ErrUnavailable},
		{name: "server error of a proxy", answer: says(503, "<html>busy</html>"), want: patch.ErrUnavailable},
		{name: "throttled by a server error", answer: says(503, `{"__type":"ThrottlingException"}`), want: patch.ErrUnavailable},
		{name: "answer later than we wait", answer: silent, patience: 100 * time.Millisecond, want: patch.ErrUnavailable},
		{name: "answer that is no answer", answer: says(200, "not JSON"), want: patch.ErrUnavailable},
		{name: "answer without a command", answer: says(200, "{}"), want: patch.ErrUnavailable},
		{name: "request timed out there", answer: says(408, `{"__type":"RequestTimeout"}`), want: patch.ErrUnavailable},
		{name: "throttled", answer: says(400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`), want: patch.ErrThrottled, definite: true},
		{name: "instance not known", answer: says(400, `{"__type":"InvalidInstanceId"}`), want: patch.ErrInvalidInstance, definite: true},
		{name: "denied", answer: says(400, `{"__type":"AccessDeniedException"}`), want: patch.ErrAccessDenied, definite: true},
		{name: "session expired", answer: says(400, `{"__type":"ExpiredTokenException"}`), want: patch.ErrThrottled, definite: true}, // a new one fares better
		{name: "any other refusal", answer: says(400, `{"__type":"InvalidParameters"}`), want: patch.ErrRefusedCommand, definite: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			seen, send := sender(t, c.answer)
			ctx := t.Context()
			if c.patience > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.patience)
				defer cancel()
			}
			id, err := send(ctx)
			assert.EqualValues(t, 1, seen.Load(), "requests on the wire")
			if c.want == "" {
				require.NoError(t, err)
				assert.Equal(t, patch.CommandID("11111111-2222-3333-4444-555555555555"), id)
				return
			}
			require.Error(t, err)
			assert.Empty(t, id)
			assert.Equal(t, c.want, patch.KindOf(err), "%v", err)
			assert.Equal(t, c.definite, isDefinite(err), "%v", err)
		})
	}
}

// TestSend_KeptConnection drops a connection that has served before: net/http
// may only repeat what it has not begun to write.
func TestSend_KeptConnection(t *testing.T) {
	first := true
	seen, send := sender(t, func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			says(200, sentAnswer)(w, r)
			return
		}
		drop(w, r)
	})
	_, err := send(t.Context())
	require.NoError(t, err)
	_, err = send(t.Context())
	assert.Equal(t, patch.ErrUnavailable, patch.KindOf(err), "%v", err)
	assert.EqualValues(t, 2, seen.Load(), "one request for each of the two sends")
}

// isDefinite is how the send task reads an error of a Sender.
func isDefinite(err error) bool {
	switch patch.KindOf(err) {
	case patch.ErrThrottled, patch.ErrAccessDenied, patch.ErrInvalidInstance, patch.ErrRefusedCommand:
		return true
	}
	return false
}

// sender serves SSM on a socket of this machine and returns how many sends arrived there.
func sender(t *testing.T, answer http.HandlerFunc) (*atomic.Int64, func(context.Context) (patch.CommandID, error)) {
	t.Helper()
	seen := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "AmazonSSM.SendCommand", r.Header.Get("X-Amz-Target"))
		assert.Contains(t, string(body), `"InstanceIds":["i-0123456789abcdef0"]`)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	spokes := &cloud.Spokes{
		STS: sessions{}, Connect: connect(aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL}), Now: Wall,
		Partition: "aws", Reader: "/PatchExecRoleReader", Sender: "/PatchExecRole", ExternalID: "external-id",
	}
	return seen, func(ctx context.Context) (patch.CommandID, error) {
		t := patch.Target{Run: "run", Wave: "canary", Account: "111111111111", Region: "us-east-1"}
		session, err := spokes.Session(ctx, t, []patch.InstanceID{"i-0123456789abcdef0"})
		if err != nil {
			return "", err
		}
		return session.Send(ctx, port.Command{
			Instance: "i-0123456789abcdef0", Operation: patch.Install, RebootOption: patch.RebootIfNeeded,
			SnapshotID: "00000000-0000-4000-8000-000000000000", Marker: "marker.0", DeliverySeconds: 600,
		})
	}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.Copy(w, strings.NewReader(body)) // a client that has gone is its own affair
	}
}

// drop ends the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// silent answers nothing until the client has gone.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// half ends the connection in the middle of an answer that would be good.
func half(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "4096")
	says(200, sentAnswer[:20])(w, r)
	drop(w, r)
}
