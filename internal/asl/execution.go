package asl

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxEvents is the length of a history at which an execution fails; the last event is its ExecutionFailed.
// Source: Step Functions quotas, "Execution history size".
const maxEvents = 25_000

// Status of an execution.
type Status string

// The statuses of DescribeExecution that this package knows.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// Execution is one run of a machine, or of the processor of a distributed map. Its exported fields are for reading.
type Execution struct {
	ARN, Name, MachineARN, MachineName, RoleARN string
	// Label of the distributed map that started this child; empty for others.
	Label string
	// Parent started this execution, by a distributed map or by a task that waits for its end; nil for others.
	Parent *Execution
	// MapRunARN is that of the run that started this child; empty for what no distributed map started.
	MapRunARN     string
	Status        Status
	Input, Output json.RawMessage // Output is nil unless SUCCEEDED
	Error, Cause  string
	Start, Stop   time.Time // Stop is zero while RUNNING
	Redrives      int       // how often it was redriven
	Redriven      time.Time // the last time, zero if it was not

	engine    *Engine
	machine   *Machine
	flow      *flow
	input     *payload
	result    *payload // the output, decoded; nil unless SUCCEEDED
	root      *branch
	events    []record
	stopTimer func()
	run       *mapRun // that this child belongs to
	index     int     // of its item
	waiters   []func()
	context   map[string]any
	published int64 // id of the last event
}

// History returns all events so far.
func (x *Execution) History() []Event {
	out := make([]Event, len(x.events))
	for i := range x.events {
		out[i] = x.events[i].event(int64(i+1), x)
	}
	return out
}

// Events counts the events so far.
func (x *Execution) Events() int { return len(x.events) }

// region is that of the machine's ARN.
func (x *Execution) region() string {
	parts := strings.SplitN(x.MachineARN, ":", 5)
	if len(parts) < 5 {
		return ""
	}
	return parts[3]
}

// emit appends an event and returns its id. The event that would fill the history ends the execution instead.
func (x *Execution) emit(r record) int64 {
	if x.Status != Running {
		return x.published
	}
	if len(x.events) >= maxEvents-1 {
		x.finish(Failed, nil,
			runtimeFault("the execution reached the maximum number of history events (%d)", maxEvents))
		return x.published
	}
	return x.publish(r)
}

func (x *Execution) publish(r record) int64 {
	e := x.engine
	r.at = e.host.Now().UnixNano()
	x.events = append(x.events, r)
	x.published = int64(len(x.events))
	e.stats.MaxEvents = max(e.stats.MaxEvents, len(x.events))
	e.stats.MaxPayloadBytes = max(e.stats.MaxPayloadBytes, len(r.data))
	if e.OnEvent != nil {
		ev := r.event(x.published, x)
		e.OnEvent(x, &ev)
	}
	return x.published
}

// tooLarge checks the size of a payload.
func (x *Execution) tooLarge(p *payload, what string) *fault {
	if n := len(p.json()); n > maxPayload {
		return faultf(errDataLimit, "%s has %d bytes, %d are allowed", what, n, maxPayload)
	}
	return nil
}

func (x *Execution) timeOut() {
	x.finish(TimedOut, nil, &fault{name: errTimeout, noCause: true})
}

// finish closes the execution: what still runs in it stops without events, its children are aborted.
func (x *Execution) finish(status Status, out *payload, f *fault) {
	if x.Status != Running {
		return
	}
	last := record{prev: int32(x.root.prev), fault: f}
	switch status {
	case Succeeded:
		last.typ, last.data = "ExecutionSucceeded", out.json()
		x.result, x.Output = out, out.json()
	case Failed:
		last.typ = "ExecutionFailed"
	case TimedOut:
		last.typ = "ExecutionTimedOut"
	default:
		last.typ = "ExecutionAborted"
	}
	if f != nil {
		x.Error, x.Cause = f.name, f.cause
	}
	x.Status, x.Stop = status, x.engine.host.Now()
	if x.stopTimer != nil {
		x.stopTimer()
	}
	x.root.kill(false)
	x.publish(last)
	if x.engine.OnEnd != nil {
		x.engine.OnEnd(x)
	}
	x.tellWaiters()
	if run := x.run; run != nil {
		x.engine.enqueue(func() { run.ended(x) })
	}
}

// executionContext is $$.Execution.
func (x *Execution) executionContext() map[string]any {
	if x.context == nil {
		x.context = map[string]any{"Id": x.ARN, "Input": x.input.v, "Name": x.Name, "RoleArn": x.RoleARN,
			"StartTime": formatTime(x.Start), "RedriveCount": float64(x.Redrives)}
		if x.Redrives > 0 {
			x.context["RedriveTime"] = formatTime(x.Redriven)
		}
	}
	return x.context
}

// machineContext is $$.StateMachine; a child's names the map that started it.
func (x *Execution) machineContext() map[string]any {
	id, name := x.MachineARN, x.MachineName
	if name == "" {
		name = id[strings.LastIndexByte(id, ':')+1:]
	}
	if x.Label != "" {
		id, name = fmt.Sprintf("%s/%s", id, x.Label), fmt.Sprintf("%s/%s", name, x.Label)
	}
	return map[string]any{"Id": id, "Name": name}
}
