package asl

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Event is one entry of a history under its AWS name.
type Event struct {
	ID, PreviousID int64
	Type           string
	Time           time.Time
	// State is the name of the state that the event belongs to, empty for events of the execution. AWS does not show
	// it in events such as TaskFailed; MarshalJSON leaves it out.
	State string
	// Details has what GetExecutionHistory shows inside the details object: name, input, output, error, cause,
	// resource, resourceType, parameters, index, length, mapRunArn and so on. Inputs, outputs and parameters are
	// json.RawMessage shared with the engine: do not write to them. Numbers are int64.
	Details map[string]any
}

// record is an event as histories keep it: small, details are made when somebody looks.
type record struct {
	typ                string
	at                 int64 // Unix nanoseconds
	prev, number       int32
	timeout, heartbeat int32
	s                  *state          // whose event it is, if a state's
	data               json.RawMessage // input, output, parameters, or the ARN of a map run
	fault              *fault
}

// MarshalJSON gives the shape of GetExecutionHistory: the details stand under a key made from the type, texts of
// JSON are strings, the time is RFC 3339.
func (e Event) MarshalJSON() ([]byte, error) {
	out := map[string]any{"id": float64(e.ID), "previousEventId": float64(e.PreviousID), "type": e.Type,
		"timestamp": formatTime(e.Time)}
	if key := detailsKey(e.Type); key != "" {
		details := map[string]any{}
		for k, v := range e.Details {
			switch v := v.(type) {
			case json.RawMessage:
				details[k] = string(v)
				if k != "parameters" {
					details[k+"Details"] = map[string]any{"truncated": false}
				}
			case int64:
				details[k] = float64(v)
			default:
				details[k] = v
			}
		}
		out[key] = details
	}
	return encode(out), nil
}

// detailsKey is empty for types that have no details, such as MapStateSucceeded.
func detailsKey(typ string) string {
	switch {
	case strings.HasSuffix(typ, "StateEntered"):
		return "stateEnteredEventDetails"
	case strings.HasSuffix(typ, "StateExited"):
		return "stateExitedEventDetails"
	case typ == "MapStateStarted":
	case strings.HasPrefix(typ, "MapState"), strings.HasPrefix(typ, "ParallelState"), strings.HasSuffix(typ,
		"StateAborted"),
		typ == "MapRunSucceeded", typ == "MapRunAborted", typ == "LambdaFunctionStarted":
		return ""
	}
	r := []rune(typ)
	r[0] = unicode.ToLower(r[0])
	return string(r) + "EventDetails"
}

func (r *record) event(id int64, x *Execution) Event {
	e := Event{ID: id, PreviousID: int64(r.prev), Type: r.typ, Time: time.Unix(0, r.at).UTC(), Details: r.details(x)}
	if r.s != nil {
		e.State = r.s.name
	}
	return e
}

func (r *record) details(x *Execution) map[string]any {
	switch r.typ {
	case "ExecutionStarted":
		return map[string]any{"input": r.data, "roleArn": x.RoleARN}
	case "ExecutionSucceeded":
		return map[string]any{"output": r.data}
	case "MapStateStarted":
		return map[string]any{"length": int64(r.number)}
	case "MapRunStarted":
		return map[string]any{"mapRunArn": string(r.data)}
	case "MapRunRedriven":
		return map[string]any{"mapRunArn": string(r.data), "redriveCount": int64(r.number)}
	case "ExecutionRedriven":
		return map[string]any{"redriveCount": int64(r.number)}
	case "LambdaFunctionScheduled":
		return r.times(map[string]any{"resource": r.s.task.resource, "input": r.data})
	case "TaskScheduled":
		return r.times(r.resource(map[string]any{"region": x.region(), "parameters": r.data}))
	case "TaskStarted":
		return r.resource(map[string]any{})
	case "TaskSubmitted", "TaskSucceeded":
		return r.resource(map[string]any{"output": r.data})
	case "LambdaFunctionSucceeded":
		return map[string]any{"output": r.data}
	case "TaskFailed", "TaskTimedOut":
		return r.failure(r.resource(map[string]any{}))
	case "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted", "LambdaFunctionFailed", "LambdaFunctionTimedOut",
		"MapRunFailed":
		return r.failure(map[string]any{})
	}
	switch {
	case strings.HasSuffix(r.typ, "StateEntered"):
		return map[string]any{"name": r.s.name, "input": r.data}
	case strings.HasSuffix(r.typ, "StateExited"):
		return map[string]any{"name": r.s.name, "output": r.data}
	case strings.HasPrefix(r.typ, "MapIteration"):
		return map[string]any{"name": r.s.name, "index": int64(r.number)}
	}
	return nil
}

func (r *record) resource(d map[string]any) map[string]any {
	if r.s.task.nested {
		d["resourceType"], d["resource"] = "states", "startExecution.sync:2"
		return d
	}
	d["resourceType"] = "lambda"
	d["resource"] = "invoke"
	if r.s.task.token {
		d["resource"] = "invoke" + tokenSuffix
	}
	return d
}

func (r *record) times(d map[string]any) map[string]any {
	if r.timeout > 0 {
		d["timeoutInSeconds"] = int64(r.timeout)
	}
	if r.heartbeat > 0 {
		d["heartbeatInSeconds"] = int64(r.heartbeat)
	}
	return d
}

func (r *record) failure(d map[string]any) map[string]any {
	if r.fault != nil && r.fault.name != "" {
		d["error"] = r.fault.name
	}
	if r.fault != nil && r.fault.cause != "" {
		d["cause"] = r.fault.cause
	}
	return d
}

// formatTime writes times as the context object and histories do, in milliseconds.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
