package lambdamain_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/lambdamain"
)

func event(t *testing.T, name string) events.APIGatewayV2HTTPRequest {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	var e events.APIGatewayV2HTTPRequest
	require.NoError(t, json.Unmarshal(data, &e))
	return e
}

// seen answers every request and keeps the last one.
func seen(last *approval.HTTPRequest) func(context.Context, approval.HTTPRequest) (approval.HTTPResponse, error) {
	return func(_ context.Context, r approval.HTTPRequest) (approval.HTTPResponse, error) {
		*last = r
		return approval.HTTPResponse{Status: 200, Header: map[string]string{"X-A": "b"}, Body: []byte("é")}, nil
	}
}

func TestHTTP_Get(t *testing.T) {
	var r approval.HTTPRequest
	res, err := lambdamain.HTTP(seen(&r))(t.Context(), event(t, "http_get"))
	require.NoError(t, err)
	assert.Equal(t, events.APIGatewayV2HTTPResponse{StatusCode: 200, Headers: map[string]string{"X-A": "b"},
		Body: "é"}, res)
	assert.Equal(t, "GET", r.Method)
	assert.Equal(t, "/callback", r.Path)
	assert.Equal(t, "a=0123456789abcdef0123456789abcdef&c=x%2By&utm_source=mail", r.RawQuery,
		"the query is not decoded on the way")
	assert.Equal(t, "198.51.100.7", r.SourceIP)
	assert.Equal(t, "abc123.execute-api.us-east-1.amazonaws.com", r.Header["host"])
	assert.Empty(t, r.Caller)
	assert.Empty(t, r.Subject)
}

func TestHTTP_Operator(t *testing.T) {
	var r approval.HTTPRequest
	_, err := lambdamain.HTTP(seen(&r))(t.Context(), event(t, "http_operator"))
	require.NoError(t, err)
	assert.Equal(t, "/operator", r.Path, "the stage is not part of the path")
	assert.Equal(t, "arn:aws:sts::999999999999:assumed-role/Operators/ann", r.Caller)
	assert.Equal(t, `{"run":"x","action":"status"}`, string(r.Body))
}

func TestHTTP_Login(t *testing.T) {
	var r approval.HTTPRequest
	e := event(t, "http_get")
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"sub": "ann"}},
	}
	_, err := lambdamain.HTTP(seen(&r))(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, "ann", r.Subject)
}

func TestHTTP_HeadersInAnyCase(t *testing.T) {
	var r approval.HTTPRequest
	e := event(t, "http_get")
	e.Headers = map[string]string{"Origin": "https://x", "Host": "evil.example"}
	_, err := lambdamain.HTTP(seen(&r))(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"origin": "https://x", "host": "abc123.execute-api.us-east-1.amazonaws.com"},
		r.Header)
}

// TestT42_ForgedEvent and TestT43_OtherEvents: an event that API Gateway would
// not send never reaches the task.
func TestT42_ForgedEvent(t *testing.T) {
	refused(t, map[string]func(*events.APIGatewayV2HTTPRequest){
		"route of another path":   func(e *events.APIGatewayV2HTTPRequest) { e.RawPath = "/operator" },
		"route of another method": func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.HTTP.Method = "POST" },
		"catch-all route":         func(e *events.APIGatewayV2HTTPRequest) { e.RouteKey = "$default" },
		"two routes": func(e *events.APIGatewayV2HTTPRequest) {
			e.RequestContext.RouteKey = "POST /callback"
		},
		"another stage": func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.Stage = "test" },
		"no domain":     func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.DomainName = "" },
		"a login of nobody": func(e *events.APIGatewayV2HTTPRequest) {
			e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
				JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{},
			}
		},
	})
}

func TestT43_OtherEvents(t *testing.T) {
	refused(t, map[string]func(*events.APIGatewayV2HTTPRequest){
		"version 1":         func(e *events.APIGatewayV2HTTPRequest) { e.Version = "1.0" },
		"no version":        func(e *events.APIGatewayV2HTTPRequest) { e.Version = "" },
		"body is no base64": func(e *events.APIGatewayV2HTTPRequest) { e.IsBase64Encoded, e.Body = true, "a=b&c" },
		"a header twice":    func(e *events.APIGatewayV2HTTPRequest) { e.Headers["HOST"] = "x" },
		"empty":             func(e *events.APIGatewayV2HTTPRequest) { *e = events.APIGatewayV2HTTPRequest{} },
	})
}

func refused(t *testing.T, changes map[string]func(*events.APIGatewayV2HTTPRequest)) {
	t.Helper()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			e := event(t, "http_get")
			change(&e)
			h := lambdamain.HTTP(func(context.Context, approval.HTTPRequest) (approval.HTTPResponse, error) {
				t.Error("the task was called")
				return approval.HTTPResponse{}, nil
			})
			res, err := h(t.Context(), e)
			require.NoError(t, err)
			assert.Equal(t, 400, res.StatusCode)
			assert.Equal(t, "no-store", res.Headers["Cache-Control"])
		})
	}
}

func TestHTTP_Failures(t *testing.T) {
	t.Run("an error is not shown", func(t *testing.T) {
		h := lambdamain.HTTP(func(context.Context, approval.HTTPRequest) (approval.HTTPResponse, error) {
			return approval.HTTPResponse{}, errors.New("secret")
		})
		res, err := h(t.Context(), event(t, "http_get"))
		require.NoError(t, err)
		assert.Equal(t, 503, res.StatusCode)
		assert.NotContains(t, res.Body, "secret")
	})
	t.Run("the answer comes in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			h := lambdamain.HTTP(func(ctx context.Context, _ approval.HTTPRequest) (approval.HTTPResponse, error) {
				<-ctx.Done()
				return approval.HTTPResponse{}, ctx.Err()
			})
			res, err := h(t.Context(), event(t, "http_get"))
			require.NoError(t, err)
			assert.Equal(t, 503, res.StatusCode)
			assert.Less(t, time.Since(began), 25*time.Second)
		})
	})
}
