package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
	"ec2patch/internal/lambdamain"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/wire"
)

// Lambda is one function: a warm process that handles one event after the other.
type Lambda struct {
	Function    cfn.Function
	Handle      wire.Handler
	rand        *rand.Rand
	Invocations int
	Spent       time.Duration // billed
	stage       *Stage
	Faults      *Faults // nil: none
}

// handlerNamed wires the task that a function's Handler names, as its binary's
// main does.
func handlerNamed(name string, env wire.Getenv, a wire.AWS) (wire.Handler, error) {
	switch name {
	case lambdas.Inventory:
		t, err := wire.NewInventory(env, a)
		return serve(lambdamain.Named(t.Handle)), err
	case lambdas.SendCommand:
		t, err := wire.NewSend(env, a)
		return serve(lambdamain.Named(t.Handle)), err
	case lambdas.Poll:
		t, err := wire.NewPoll(env, a)
		return serve(lambdamain.Named(t.Handle)), err
	case lambdas.ApprovalRequest:
		t, err := wire.NewApprovals(env, a)
		return serve(lambdamain.Named(t.Handle)), err
	case lambdas.ApprovalCallback:
		t, err := wire.NewCallback(env, a)
		return serve[events.APIGatewayV2HTTPRequest, events.APIGatewayV2HTTPResponse](lambdamain.HTTP(t.Handle)), err
	case lambdas.Verify:
		t, err := wire.NewVerify(env, a)
		return serve(lambdamain.Named(t.Handle)), err
	}
	return nil, fmt.Errorf("the Handler %q names no binary", name)
}

// serve decodes and encodes as the runtime does.
func serve[In, Out any](h func(context.Context, In) (Out, error)) wire.Handler {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var in In
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, err
		}
		out, err := h(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}

const (
	// runtimeOverhead is what an invocation costs besides its calls: a warm Go process.
	runtimeOverhead = 15 * time.Millisecond
)

// Invoke runs one event. The handler acts at one virtual moment; its answer is
// there when the time that its calls took has passed.
func (l *Lambda) Invoke(payload []byte) (out []byte, took time.Duration, failure *asl.Failure) {
	if failure = l.Faults.notStarted(); failure != nil {
		return nil, runtimeOverhead, failure
	}
	l.twin(payload)
	l.Invocations++
	meter := &core.Meter{Spent: runtimeOverhead}
	out, failure = l.call(core.WithMeter(context.Background(), meter), payload)
	took = meter.Spent
	if limit := time.Duration(l.Function.TimeoutSeconds) * time.Second; took > limit {
		took = limit
		out, failure = nil, lambdaError("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds()))
	}
	l.Spent += took
	return out, took, failure
}

// call turns errors, and a process that dies, into what Step Functions is told.
func (l *Lambda) call(ctx context.Context, payload []byte) (out []byte, failure *asl.Failure) {
	defer func() {
		if p := recover(); p != nil {
			crash, ok := p.(core.Crash)
			if !ok {
				panic(p)
			}
			out, failure = nil, lambdaError("Runtime.ExitError", "RequestId: simulated Error: Runtime exited in "+crash.Call)
		}
	}()
	l.stage.skew, l.stage.Serving = l.Faults.skew(), runOf(payload)
	defer func() { l.stage.skew, l.stage.Serving = 0, "" }()
	out, err := l.Handle(ctx, payload)
	if err == nil {
		return out, nil
	}
	var named messages.InvokeResponse_Error
	if errors.As(err, &named) {
		return nil, lambdaError(named.Type, named.Message)
	}
	return nil, lambdaError(fmt.Sprintf("%T", err), err.Error())
}

// runOf is the run that an event is about, empty for one that names none.
func runOf(payload []byte) string {
	var event struct {
		Run string `json:"run"`
	}
	if json.Unmarshal(payload, &event) != nil {
		return ""
	}
	return event.Run
}

// lambdaError is an error as Step Functions sees it: the type as its name, the
// runtime's whole payload as its cause.
func lambdaError(name, message string) *asl.Failure {
	cause, err := json.Marshal(map[string]string{"errorMessage": message, "errorType": name})
	if err != nil {
		panic(fmt.Sprintf("two strings cannot be encoded: %v", err))
	}
	return &asl.Failure{Error: name, Cause: string(cause)}
}
