package asl_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

const (
	nestedARN = "arn:aws:states:us-east-1:123456789012:stateMachine:target"
	outer     = `{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
		"Parameters": {"StateMachineArn": "` + nestedARN + `", "Input": {"by.$": "$$.Execution.Id", "v.$": "$.v"}},
		"TimeoutSeconds": 3600, %s "End": true}}}`
)

// nesting answers tasks that start executions with a machine; the tasks of that machine answer as the host did before.
func nesting(t *testing.T, h *fakeHost, definition string) {
	t.Helper()
	m, before := load(t, definition), h.task
	h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
		if !strings.HasSuffix(c.Resource, "startExecution.sync:2") {
			before(c, reply)
			return
		}
		var p struct{ StateMachineArn string }
		require.NoError(t, json.Unmarshal(c.Parameters, &p))
		reply(asl.TaskResult{Start: &asl.StartInput{Machine: m, MachineARN: p.StateMachineArn, MachineName: "target",
			RoleARN: "arn:aws:iam::123456789012:role/target"}})
	}
}

func outerWith(fields string) string { return strings.Replace(outer, "%s", fields, 1) }

// nestedOf is the one execution that the first one started.
func nestedOf(t *testing.T, e *asl.Engine) *asl.Execution {
	t.Helper()
	all := e.Executions()
	require.Len(t, all, 2)
	assert.Same(t, all[0], all[1].Parent)
	return all[1]
}

func TestNested(t *testing.T) {
	h := newHost(1)
	nesting(t, h, `{"StartAt": "P", "States": {"P": {"Type": "Wait", "Seconds": 60, "End": true}}}`)
	e, x := execute(t, h, outerWith(""), `{"v": 3}`)
	assert.Equal(t, asl.Succeeded, x.Status, x.Cause)
	assert.Equal(t, []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted",
		"TaskSucceeded", "TaskStateExited", "ExecutionSucceeded"}, eventTypes(x))

	n := nestedOf(t, e)
	assert.Equal(t, "target", n.MachineName)
	assert.Equal(t, nestedARN, n.MachineARN)
	assert.Empty(t, n.Label, "no map started it")
	assert.JSONEq(t, `{"by": "`+x.ARN+`", "v": 3}`, string(n.Input))
	assert.Equal(t, []string{"ExecutionStarted", "WaitStateEntered", "WaitStateExited", "ExecutionSucceeded"},
		eventTypes(n))

	var out map[string]any
	require.NoError(t, json.Unmarshal(x.Output, &out))
	assert.Equal(t, n.ARN, out["ExecutionArn"])
	assert.Equal(t, "SUCCEEDED", out["Status"])
	assert.Equal(t, map[string]any{"by": x.ARN, "v": 3.0}, out["Output"], "a value, not a text")
	assert.InDelta(t, 60_000, out["StopDate"].(float64)-out["StartDate"].(float64), 0, "milliseconds")
	assert.Equal(t, 61*time.Second, x.Stop.Sub(x.Start))
	submitted := x.History()[4]
	assert.Equal(t, "states", submitted.Details["resourceType"])
	assert.Equal(t, "startExecution.sync:2", submitted.Details["resource"])
	assert.Contains(t, string(submitted.Details["output"].(json.RawMessage)), n.ARN)
	assert.Equal(t, 2, e.Stats().Executions)
	assert.Equal(t, 2, e.Stats().Transitions, "a state of each, and nothing for the start")
}

func TestNested_fails(t *testing.T) {
	tests := map[string]struct{ definition, status, err string }{
		"failed": {`{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "No", "Cause": "why"}}}`,
			"FAILED", "No"},
		"timed out": {
			`{"StartAt": "W", "TimeoutSeconds": 5, "States": {"W": {"Type": "Wait", "Seconds": 60, "End": true}}}`,
			"TIMED_OUT", "States.Timeout"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(1)
			nesting(t, h, test.definition)
			_, x := execute(t, h, outerWith(""), `{"v": 3}`)
			assert.Equal(t, asl.Failed, x.Status)
			assert.Equal(t, "States.TaskFailed", x.Error)
			var cause map[string]any
			require.NoError(t, json.Unmarshal([]byte(x.Cause), &cause))
			assert.Equal(t, test.status, cause["Status"])
			assert.Equal(t, test.err, cause["Error"])
		})
	}
}

// What the nested execution failed of can be caught, and a refused start be tried again.
func TestNested_retryAndCatch(t *testing.T) {
	h := newHost(1)
	nesting(t, h, `{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}`)
	before, refused := h.task, 2
	h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
		if refused > 0 {
			refused--
			reply(asl.TaskResult{Failure: &asl.Failure{Error: "StepFunctions.ExecutionLimitExceeded"}})
			return
		}
		before(c, reply)
	}
	e, x := execute(t, h,
		outerWith(`"Retry": [{"ErrorEquals": ["StepFunctions.ExecutionLimitExceeded"], "MaxAttempts": 2}],`),
		`{"v": 3}`)
	assert.Equal(t, asl.Succeeded, x.Status)
	assert.Equal(t, asl.Succeeded, nestedOf(t, e).Status)
}

// Whatever ends the task before its execution, stops that.
func TestNested_stops(t *testing.T) {
	long := `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 7200, "End": true}}}`
	start := func(h *fakeHost, definition string) (*asl.Engine, *asl.Execution) {
		nesting(t, h, long)
		e := asl.NewEngine(h)
		h.engine = e
		x, err := e.Start(asl.StartInput{Machine: load(t, definition), MachineARN: machineARN, MachineName: "patch",
			Name: "run-1", Input: json.RawMessage(`{"v": 3}`)})
		require.NoError(t, err)
		h.run(time.Minute)
		require.Equal(t, asl.Running, nestedOf(t, e).Status)
		return e, x
	}
	t.Run("stopped", func(t *testing.T) {
		e, x := start(newHost(1), outerWith(""))
		require.NoError(t, e.Stop(x.ARN, "", "by hand"))
		assert.Equal(t, asl.Aborted, x.Status)
		assert.Equal(t, asl.Aborted, nestedOf(t, e).Status)
	})
	t.Run("the task timed out", func(t *testing.T) {
		h := newHost(1)
		e, x := start(h, outerWith(""))
		h.run(2 * time.Hour)
		assert.Equal(t, "States.Timeout", x.Error)
		assert.Equal(t, asl.Aborted, nestedOf(t, e).Status)
	})
	t.Run("a child of a map is stopped with its parent", func(t *testing.T) {
		h := newHost(1)
		nesting(t, h, long)
		e := asl.NewEngine(h)
		x, err := e.Start(asl.StartInput{MachineARN: machineARN, Name: "run-1", Input: json.RawMessage(`[{"v": 3}]`),
			Machine: load(t, `{"StartAt": "M", "States": {"M": {
			"Type": "Map", "Label": "L", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, `+outerWith("")[1:]+`, "End": true}}}`)})
		require.NoError(t, err)
		h.run(time.Minute)
		require.Len(t, e.Executions(), 3)
		require.NoError(t, e.Stop(x.ARN, "", ""))
		for _, x := range e.Executions() {
			assert.Equal(t, asl.Aborted, x.Status, x.ARN)
		}
	})
	t.Run("without the right to stop it goes on", func(t *testing.T) {
		h := newHost(1)
		h.refuse = map[string]asl.Failure{"states:StopExecution": {Error: "States.Permissions"}}
		e, x := start(h, outerWith(""))
		require.NoError(t, e.Stop(x.ARN, "", ""))
		h.run(24 * time.Hour)
		assert.Equal(t, asl.Succeeded, nestedOf(t, e).Status)
		assert.Equal(t, asl.Aborted, x.Status)
	})
}

func TestNested_mayNotBeDescribed(t *testing.T) {
	h := newHost(1)
	h.refuse = map[string]asl.Failure{"states:DescribeExecution": {Error: "States.Permissions", Cause: "no"}}
	nesting(t, h, `{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}`)
	_, x := execute(t, h, outerWith(""), `{"v": 3}`)
	assert.Equal(t, "States.Permissions", x.Error)
}

// A redriven execution starts its task again, and that a new execution.
func TestNested_redrive(t *testing.T) {
	h := newHost(1)
	nesting(t, h, `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}`)
	e := asl.NewEngine(h)
	h.engine = e
	x, err := e.Start(asl.StartInput{Machine: load(t, outerWith("")), MachineARN: machineARN, Name: "run-1",
		Input: json.RawMessage(`{"v": 3}`)})
	require.NoError(t, err)
	h.run(time.Minute)
	require.NoError(t, e.Stop(x.ARN, "", ""))
	redrive(t, h, x)
	assert.Equal(t, asl.Succeeded, x.Status)
	all := e.Executions()
	require.Len(t, all, 3)
	assert.Equal(t, asl.Aborted, all[1].Status)
	assert.Equal(t, asl.Succeeded, all[2].Status)
	wholeHistory(t, x)

	require.NoError(t, e.Redrive(all[1].ARN), "an execution of its own can be redriven by itself")
	h.run(time.Hour)
	assert.Equal(t, asl.Succeeded, all[1].Status)
}

// A name that is taken by another input is refused, one that runs with the same input is joined.
func TestNested_name(t *testing.T) {
	h := newHost(1)
	nesting(t, h, `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}`)
	two := func(first, second string) string {
		task := func(input string) string {
			return `{"StartAt": "T` + input + `", "States": {"T` + input +
				`": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {"StateMachineArn": "` + nestedARN + `", "Name": "one", "Input": "` + input[:1] + `"}, "End": true}}}`
		}
		return `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [` + task(first) + `,` +
			task(second) + `], "End": true}}}`
	}
	_, x := execute(t, h, two("1", "11"), `{}`)
	assert.Equal(t, asl.Succeeded, x.Status, x.Cause)
	h = newHost(1)
	nesting(t, h, `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}`)
	_, x = execute(t, h, two("1", "2"), `{}`)
	assert.Equal(t, "StepFunctions.ExecutionAlreadyExistsException", x.Error)
}
