package core

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/smithy-go"

	"ec2patch/internal/iam"
)

// Principal is who makes a call: a session of a role.
type Principal struct {
	Account     string
	RoleARN     string
	SessionName string
	Session     []*iam.Policy // session policies, nil for none
	Function    string        // ARN of the function whose own credentials these are, empty for others
	Expires     time.Time     // zero for a session that the service itself renews (a Lambda's own)
}

// ARN is the ARN of the assumed-role session.
func (p *Principal) ARN() string {
	return fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", p.Account, roleName(p.RoleARN), p.SessionName)
}

// Access is one permission that a call needs.
type Access struct {
	Action          string // "ssm:SendCommand"
	Resources       []string
	ResourceContext map[string]map[string][]string
	Context         map[string][]string

	// Trust is the trust policy of the role that an sts:AssumeRole names; a role without one lets nobody in.
	Trust *iam.Policy
}

// Call is one API call as the service sees it.
type Call struct {
	Principal *Principal
	Account   string // where the call lands: the account of the credentials
	Region    string
	Service   string // as in IAM: "ssm"
	Operation string // "SendCommand"
	Mutating  bool
	Attempts  int // how often the client's retryer tries, at least 1
	Access    []Access
	Input     any // the SDK's input
}

// Name is service and operation as IAM writes them.
func (c *Call) Name() string { return c.Service + ":" + c.Operation }

// Faults decides what goes wrong. A fault strikes before the effect (the call
// is refused and nothing happened) or after it (it happened, the answer is lost).
// It may panic with Crash: the process that made the call dies there.
type Faults interface {
	Before(c *Call) error
	After(c *Call) error
}

// Crash is the panic value of a process that dies in the middle of a call.
type Crash struct{ Call string }

// Ledger is what the API side of the world saw. It is for checkers, which must
// not rely on what the product believes.
type Ledger struct {
	Calls    map[string]int // attempts by Call.Name
	Denied   []string       // refusals by IAM, in order
	Mutating []Entry        // calls that changed something, in order; of DynamoDB and S3 only with World.KeepInputs
}

// Entry is one accepted mutating call.
type Entry struct {
	Time      time.Time
	Principal *Principal
	Account   string
	Region    string
	Name      string
	Input     any
	Output    any
}

// Do carries out one call: faults, IAM, effect, ledger, in that order, with the
// retries that the SDK's standard retryer would make.
func Do[T any](ctx context.Context, w *Core, c *Call, effect func() (T, error)) (T, error) {
	var zero T
	for attempt := 1; ; attempt++ {
		out, err := once(ctx, w, c, effect)
		if err == nil {
			return out, nil
		}
		if attempt >= c.Attempts || !w.Retries(err) {
			return zero, &smithy.OperationError{ServiceID: c.Service, OperationName: c.Operation, Err: err}
		}
		spend(ctx, time.Duration(attempt)*200*time.Millisecond)
	}
}

func once[T any](ctx context.Context, w *Core, c *Call, effect func() (T, error)) (T, error) {
	var zero T
	if w.Ledger.Calls == nil {
		w.Ledger.Calls = map[string]int{}
	}
	w.Ledger.Calls[c.Name()]++
	if err := w.takes(ctx, c); err != nil {
		return zero, err
	}
	if w.Faults != nil {
		if err := w.Faults.Before(c); err != nil {
			return zero, err
		}
	}
	if d := w.lateness(c); d > 0 {
		return zero, later(w, c, d, effect)
	}
	out, err := arrive(w, c, effect)
	if err == nil && w.twice(c) {
		out, err = arrive(w, c, effect)
	}
	if err != nil {
		return zero, err
	}
	if w.Faults != nil {
		if err := w.Faults.After(c); err != nil {
			return zero, err
		}
	}
	return out, nil
}

// enter shows a call that changed something to the hook, and keeps it.
func (w *Core) enter(c *Call, out any) {
	e := Entry{
		Time: w.Now(), Principal: c.Principal, Account: c.Account, Region: c.Region,
		Name: c.Name(), Input: c.Input, Output: out,
	}
	if w.OnMutating != nil {
		w.OnMutating(e)
	}
	if w.KeepInputs || c.Service != "dynamodb" && c.Service != "s3" {
		w.Ledger.Mutating = append(w.Ledger.Mutating, e)
	}
}

const (
	// Latency is the time that one call takes: a plausible round trip inside a region.
	Latency = 20 * time.Millisecond
	// SendLatency is that of ssm:SendCommand, which finds the nodes, the document and its parameters, and writes the
	// command, before it answers. No source has a figure; field reports speak of some hundred milliseconds. It matters to
	// whoever sends one command an instance.
	SendLatency = 250 * time.Millisecond
)

// usually is how long a call takes when nothing is wrong.
func usually(c *Call) time.Duration {
	if c.Name() == "ssm:SendCommand" {
		return SendLatency
	}
	return Latency
}

// Meter adds up the virtual time that the calls of one Lambda invocation take.
type Meter struct{ Spent time.Duration }

type meterKey struct{}

// WithMeter returns a context whose calls are charged to m.
func WithMeter(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func spend(ctx context.Context, d time.Duration) {
	if m, ok := ctx.Value(meterKey{}).(*Meter); ok {
		m.Spent += d
	}
}

// ConnectionError is a request without an answer: nobody can tell whether it
// took effect.
type ConnectionError struct{ Call string }

// ConnectionError makes the SDK's retryer know it for what it is.
func (e *ConnectionError) ConnectionError() bool { return true }

func (e *ConnectionError) Error() string { return e.Call + ": connection reset by peer" }

// apiError is a service's refusal by code, for codes that the SDK does not model.
func Refusal(code, format string, args ...any) error {
	fault := smithy.FaultClient
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: fault}
}

// SessionOf tells whether the caller's session has that name.
func (c *Call) SessionOf(name string) bool {
	return c.Principal != nil && c.Principal.SessionName == name
}

// Attempts is how often the SDK's standard retryer tries. Source: retry.DefaultMaxAttempts.
const Attempts = 3

// Refused is the effect of a call whose parameters are wrong: services answer
// that before they look at permissions.
func Refused[T any](err error) func() (T, error) {
	return func() (T, error) {
		var zero T
		return zero, err
	}
}

// Optional is nil for an empty text.
func Optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Invalid is the refusal of an input that breaks its model.
func Invalid(member, constraint string) error {
	return Refusal("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have %s", member, constraint)
}

// unsupported is the refusal of what AWS offers and this simulation does not model.
func Unmodelled(what string) error {
	return Refusal("UnsupportedBySimulation", "the simulated AWS does not model %s", what)
}
