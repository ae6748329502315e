package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/operator"
)

func clock() time.Time { return time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC) }

func client(url string) *operator.Client {
	return &operator.Client{
		URL: url, Region: "eu-west-1", Now: clock,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "session-token"),
	}
}

func TestClient_Do(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		io.WriteString(w,
			`{"run":"r1","runStatus":"Running","approvals":[{"scope":"run","status":"approved"}],"recorded":true}`)
	}))
	defer server.Close()

	state, err := client(server.URL+"/operator").Do(t.Context(), operator.Request{Run: "r1", Action: operator.Approve,
		Digest: "abc"})
	require.NoError(t, err)
	assert.True(t, state.Recorded)
	assert.Equal(t, decision.ApprovalApproved, state.Questions[0].Status)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "/operator", got.URL.Path)
	assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
	assert.Equal(t, "session-token", got.Header.Get("X-Amz-Security-Token"))
	assert.Equal(t, "20261201T100000Z", got.Header.Get("X-Amz-Date"))
	auth := got.Header.Get("Authorization")
	assert.True(t, strings.HasPrefix(auth,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261201/eu-west-1/execute-api/aws4_request, SignedHeaders="), auth)
	for _, header := range []string{"content-type", "host", "x-amz-date", "x-amz-security-token"} {
		assert.Contains(t, auth, header)
	}
	assert.JSONEq(t, `{"run":"r1","action":"approve","digest":"abc"}`, string(body))
	assert.NotContains(t, auth, "secret")
}

func TestClient_RegionOfTheHost(t *testing.T) {
	var auth string
	c := client("https://abc123.execute-api.us-gov-west-1.amazonaws.com/operator")
	c.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		auth = r.Header.Get("Authorization")
		return nil, errors.New("no network here")
	})}
	_, err := c.Do(t.Context(), operator.Request{Run: "r1", Action: operator.Status})
	assert.ErrorContains(t, err, "no answer from abc123.execute-api.us-gov-west-1.amazonaws.com")
	assert.Contains(t, auth, "/us-gov-west-1/execute-api/")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClient_Refusals(t *testing.T) {
	tests := []struct {
		name    string
		status  int
		body    string
		code    string
		message string
	}{
		{"the function's own", 409,
			`{"code":"already_decided","message":"decided before","state":{"run":"r1","approvals":[]}}`,
			"already_decided", "decided before"},
		{"denied by IAM", 403, `{"message":"Forbidden"}`, "forbidden",
			"your identity may not operate this hub, or its credentials are not valid: Forbidden"},
		{"throttled by the stage", 429, `{"message":"Too Many Requests"}`, "unavailable", "Too Many Requests"},
		{"a gateway's page", 502, `<html>`, "unavailable", "the hub answered with 502 Bad Gateway"},
		{"a redirect is not followed", 302, ``, "", "the hub answered with 302 Found"},
		{"an empty object", 404, `{}`, "", "the hub answered with 404 Not Found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://evil.example/")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			defer server.Close()
			_, err := client(server.URL).Do(t.Context(), operator.Request{Run: "r1", Action: operator.Status})
			no, ok := errors.AsType[*operator.Refusal](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tt.status, no.HTTPStatus)
			assert.Equal(t, tt.code, no.Code)
			assert.Equal(t, tt.message, no.Error())
			assert.Equal(t, tt.code == "already_decided", no.State != nil)
		})
	}
}

func TestClient_SendsNothing(t *testing.T) {
	sent := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent = true }))
	defer server.Close()
	t.Run("without credentials", func(t *testing.T) {
		c := client(server.URL)
		c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("expired")
		})
		_, err := c.Do(t.Context(), operator.Request{})
		assert.ErrorIs(t, err, operator.ErrNoCredentials)
		assert.ErrorContains(t, err, "expired")
	})
	t.Run("without a region", func(t *testing.T) {
		c := client(server.URL)
		c.Region = ""
		_, err := c.Do(t.Context(), operator.Request{})
		assert.ErrorContains(t, err, "set AWS_REGION")
	})
	for _, url := range []string{"", "abc", "http://hub.example.com/operator", "ftp://hub.example.com",
		"https://user@hub.example.com/operator", "https://hub.example.com/operator?x=1", "http://[::1"} {
		t.Run("to "+url, func(t *testing.T) {
			_, err := client(url).Do(t.Context(), operator.Request{})
			assert.Error(t, err)
		})
	}
	assert.False(t, sent)
}

func TestClient_AnswerOfSomebodyElse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	defer server.Close()
	_, err := client(server.URL).Do(t.Context(), operator.Request{})
	assert.ErrorContains(t, err, "is not an operator's")
	var syntax *json.SyntaxError
	assert.ErrorAs(t, err, &syntax)
}
