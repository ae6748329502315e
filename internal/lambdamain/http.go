package lambdamain

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"ec2patch/internal/approval"
)

// httpTimeout ends a request before the HTTP API's own limit of 30 seconds, so
// that the visitor sees a page of ours.
// Source: API Gateway quotas, HTTP API integration timeout, read 2026-11.
const httpTimeout = 24 * time.Second

// httpEventVersion is the one form of event that is understood.
const httpEventVersion = "2.0"

// HTTP makes a handler of an HTTP API's events, payload format 2.0, out of a
// task. It returns no error: API Gateway would show it to a stranger.
func HTTP(h func(context.Context, approval.HTTPRequest) (approval.HTTPResponse, error)) func(context.Context,
	events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		r, ok := httpRequest(e)
		if !ok {
			return sentence(http.StatusBadRequest, "This is not a request."), nil
		}
		ctx, cancel := context.WithTimeout(ctx, httpTimeout)
		defer cancel()
		res, err := h(ctx, r)
		if err != nil {
			slog.Error("request not answered", "err", err)
			return sentence(http.StatusServiceUnavailable, "Not possible just now. Try again in a minute."), nil
		}
		return events.APIGatewayV2HTTPResponse{StatusCode: res.Status, Headers: res.Header, Body: string(res.Body)}, nil
	}
}

// httpRequest reads an event. It refuses one whose parts contradict each other:
// API Gateway sends none, so somebody else made it.
func httpRequest(e events.APIGatewayV2HTTPRequest) (approval.HTTPRequest, bool) {
	at := e.RequestContext
	path, ok := withoutStage(e.RawPath, at.Stage)
	route := at.HTTP.Method + " " + path
	if e.Version != httpEventVersion || !ok || e.RouteKey != route || at.RouteKey != route || at.DomainName == "" {
		return approval.HTTPRequest{}, false
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.Strict().DecodeString(e.Body); err != nil {
			return approval.HTTPRequest{}, false
		}
	}
	header, ok := lowerCase(e.Headers)
	if !ok {
		return approval.HTTPRequest{}, false
	}
	header["host"] = at.DomainName // what the client wrote there decides nothing
	r := approval.HTTPRequest{
		Method: at.HTTP.Method, Path: path, RawQuery: e.RawQueryString,
		Header: header, Body: body, SourceIP: at.HTTP.SourceIP,
	}
	if at.Authorizer != nil && at.Authorizer.IAM != nil {
		r.Caller = at.Authorizer.IAM.UserARN
	}
	if at.Authorizer != nil && at.Authorizer.JWT != nil {
		r.Subject = at.Authorizer.JWT.Claims["sub"]
		if r.Subject == "" {
			return approval.HTTPRequest{}, false // a login without a subject is nobody's, and not the bearer's
		}
	}
	return r, true
}

// withoutStage cuts a named stage off the path.
func withoutStage(path, stage string) (string, bool) {
	if stage == "$default" || stage == "" {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, "/"+stage)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// lowerCase gives each header its lower-case name. Two spellings of one name
// contradict each other.
func lowerCase(headers map[string]string) (map[string]string, bool) {
	lower := make(map[string]string, len(headers)+1)
	for name, value := range headers {
		key := strings.ToLower(name)
		if _, twice := lower[key]; twice {
			return nil, false
		}
		lower[key] = value
	}
	return lower, true
}

func sentence(status int, text string) events.APIGatewayV2HTTPResponse {
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers: map[string]string{
			"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		},
		Body: text + "\n",
	}
}
