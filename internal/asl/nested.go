package asl

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// hearTime passes between the end of a nested execution and that of the task that waits for it: the service hears of
// it by an event, and then asks. No figure is published; histories show about a second.
const hearTime = time.Second

// startNested begins the execution that the task waits for. The host says of which machine; name and input are
// parameters of the task.
func (c *callback) startNested(in StartInput) {
	v, e := c.v, c.v.engine()
	in.Name, in.Input = c.nestedParameters()
	in.parent = v.b.x
	x, err := e.Start(in)
	if err != nil {
		c.settle(TaskResult{Failure: startFailure(err)})
		return
	}
	c.submitted, c.nested = true, x
	v.b.emit(record{typ: "TaskSubmitted", s: v.s, data: encode(map[string]any{"ExecutionArn": x.ARN,
		"StartDate": millis(x.Start)})})
	x.waiters = append(x.waiters, func() { c.nestedEnded(x) })
	if x.Status != Running {
		x.tellWaiters()
	}
}

// nestedParameters are Name and Input of the task. An input that is no text is handed on as JSON.
func (c *callback) nestedParameters() (name string, input json.RawMessage) {
	given, _ := c.parameters.v.(map[string]any)
	name, _ = given["Name"].(string)
	switch in := given["Input"].(type) {
	case nil:
	case string:
		input = json.RawMessage(in)
	default:
		input = encode(in)
	}
	return name, input
}

// startFailure names a refusal of StartExecution as the integration does.
func startFailure(err error) *Failure {
	var api APIError
	if !errors.As(err, &api) {
		return &Failure{Error: errTaskFailed, Cause: err.Error()}
	}
	return &Failure{Error: "StepFunctions." + strings.TrimSuffix(api.Code, "Exception") + "Exception",
		Cause: api.Message}
}

// tellWaiters lets the tasks go on that wait for an execution that has ended.
func (x *Execution) tellWaiters() {
	for _, waiter := range x.waiters {
		x.engine.after(hearTime, waiter)
	}
	x.waiters = nil
}

// nestedEnded ends the task with what DescribeExecution says of the execution.
func (c *callback) nestedEnded(x *Execution) {
	if c.closed {
		return
	}
	if refused := x.engine.host.Authorize(c.v.b.x.ARN, "states:DescribeExecution", x.ARN); refused != nil {
		c.settle(TaskResult{Failure: refused})
		return
	}
	if x.Status != Succeeded {
		c.settle(TaskResult{Failure: &Failure{Error: errTaskFailed, Cause: string(encode(x.described()))}})
		return
	}
	c.settle(TaskResult{Output: encode(x.described())})
}

// described is DescribeExecution's answer as startExecution.sync:2 gives it: input and output are values, not texts.
func (x *Execution) described() map[string]any {
	out := map[string]any{
		"ExecutionArn": x.ARN, "Name": x.Name, "StateMachineArn": x.MachineARN, "Status": string(x.Status),
		"Input": x.input.v, "InputDetails": included(), "RedriveCount": float64(x.Redrives),
		"StartDate": millis(x.Start), "StopDate": millis(x.Stop),
	}
	if x.Status == Succeeded {
		out["Output"], out["OutputDetails"] = x.result.v, included()
	}
	if x.Error != "" {
		out["Error"] = x.Error
	}
	if x.Cause != "" {
		out["Cause"] = x.Cause
	}
	return out
}

// stopNested stops the execution of a task that is over before it: the task timed out, or was stopped with its own
// execution. The service does so with the rights of the machine's role; without them the execution goes on.
func (c *callback) stopNested() {
	x := c.nested
	if x == nil || x.Status != Running || c.v.engine().host.Authorize(c.v.b.x.ARN, "states:StopExecution",
		x.ARN) != nil {
		return
	}
	x.finish(Aborted, nil, nil)
}

func millis(t time.Time) float64 { return float64(t.UnixMilli()) }
