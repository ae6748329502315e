package operator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// ErrNoCredentials means that nothing was sent: there is nobody to sign.
var ErrNoCredentials = errors.New("no AWS credentials")

// ErrNoRegion means that nothing was sent: a signature names the hub's region,
// and neither the URL nor the configuration says which it is.
var ErrNoRegion = errors.New("the hub's region is not known, set AWS_REGION")

const (
	// service is the name that IAM has for an HTTP API.
	service = "execute-api"
	// maxAnswer bounds what is read of an answer: 100 waves with two questions of a few decisions each.
	maxAnswer = 4 << 20
	// timeout is more than the function takes at most. Source: API Gateway
	// quotas, HTTP API integration timeout, read 2026-11.
	timeout = 35 * time.Second
)

// Client signs requests with AWS Signature Version 4 and sends them.
type Client struct {
	URL         string // the hub's output OperatorUrl
	Region      string // of the hub; empty: as the URL's host says
	Credentials aws.CredentialsProvider
	HTTP        *http.Client // nil: one without redirects
	Now         func() time.Time
}

// Do sends one request, once. Its error is ErrNoCredentials, ErrNoRegion,
// a *Refusal, or something that says nothing about whether the request took effect.
func (c *Client) Do(ctx context.Context, in Request) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := c.request(ctx, in)
	if err != nil {
		return State{}, err
	}
	res, err := c.http().Do(req)
	if err != nil {
		return State{}, fmt.Errorf("no answer from %s: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return State{}, fmt.Errorf("no whole answer from %s: %w", req.URL.Host, err)
	}
	if res.StatusCode != http.StatusOK {
		return State{}, refusal(res.StatusCode, data)
	}
	var out State
	if err := json.Unmarshal(data, &out); err != nil {
		return State{}, fmt.Errorf("the answer of %s is not an operator's: %w", req.URL.Host, err)
	}
	return out, nil
}

// request makes a signed request.
func (c *Client) request(ctx context.Context, in Request) (*http.Request, error) {
	u, err := Check(c.URL)
	if err != nil {
		return nil, err
	}
	region := c.Region
	if at, ok := regionOf(u.Hostname()); ok {
		region = at
	}
	if region == "" {
		return nil, fmt.Errorf("%s: %w", u.Host, ErrNoRegion)
	}
	creds, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), service, region, c.Now())
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return req, nil
}

func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	// A redirect would carry the signature to somebody else.
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Check reads the URL of a hub's operator route. Only this machine may be
// spoken to without TLS.
func Check(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil,
			fmt.Errorf("%q is not the URL of an operator's route, as "+
				"https://abc123.execute-api.us-east-1.amazonaws.com/operator", text)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && !(u.Scheme == "http" && ip != nil && ip.IsLoopback()) {
		return nil, fmt.Errorf("%q is not https", text)
	}
	return u, nil
}

// regionOf reads the region out of the API's default host name.
func regionOf(host string) (string, bool) {
	parts := strings.Split(host, ".")
	if len(parts) >= 5 && parts[1] == service && parts[3] == "amazonaws" {
		return parts[2], true
	}
	return "", false
}

// refusal reads an answer that says no. API Gateway itself answers without a
// code: then nobody has looked at the request yet.
func refusal(status int, data []byte) error {
	r := &Refusal{}
	if err := json.Unmarshal(data, r); err != nil || r.Message == "" {
		r = &Refusal{Message: fmt.Sprintf("the hub answered with %d %s", status, http.StatusText(status))}
	}
	r.HTTPStatus = status
	if r.Code == "" && status == http.StatusForbidden {
		r.Code = CodeForbidden
		r.Message = "your identity may not operate this hub, or its credentials are not valid: " + r.Message
	}
	if r.Code == "" && (status == http.StatusTooManyRequests || status >= 500) {
		r.Code = CodeUnavailable
	}
	return r
}
