package asl_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

// failing answers like the default host, but fails calls whose parameters hold one of the words, as long as broken is
// set.
func failing(h *fakeHost, words ...string) (broken *bool) {
	broken = new(bool)
	*broken = true
	h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
		for _, w := range words {
			if *broken && strings.Contains(string(c.Parameters), w) {
				reply(asl.TaskResult{Failure: &asl.Failure{Error: "Broken", Cause: w}})
				return
			}
		}
		reply(asl.TaskResult{Output: c.Parameters})
	}
	return broken
}

// parameters are those of the calls since the nth.
func (h *fakeHost) parametersFrom(n int) []string {
	var all []string
	for _, c := range h.calls[n:] {
		all = append(all, string(c.Parameters))
	}
	return all
}

func redrive(t *testing.T, h *fakeHost, x *asl.Execution) {
	t.Helper()
	require.NoError(t, h.engine.Redrive(x.ARN))
	h.run(24 * time.Hour)
}

// wholeHistory checks that ids are those of the places, and that nothing follows what comes later.
func wholeHistory(t *testing.T, x *asl.Execution) {
	t.Helper()
	for i, e := range x.History() {
		require.EqualValues(t, i+1, e.ID)
		require.Less(t, e.PreviousID, e.ID)
	}
}

func TestRedrive_RunsWhatFailedAgain(t *testing.T) {
	h := newHost(1)
	broken := failing(h, "second")
	_, x := execute(t, h, `{"StartAt": "A", "States": {
		"A": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "Parameters": {"n": "first"}, "Assign": {"seen.$": "$.n"}, "Next": "B"},
		"B": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "Parameters": {"n": "second", "seen.$": "$seen", "redrives.$": "$$.Execution.RedriveCount"},
			"Retry": [{"ErrorEquals": ["Broken"], "MaxAttempts": 2}], "End": true}}}`, `{}`)
	require.Equal(t, asl.Failed, x.Status)
	require.Len(t, h.calls, 4, "one of A, three of B")
	events := eventTypes(x)

	redrive(t, h, x)
	assert.Equal(t, asl.Failed, x.Status)
	assert.Len(t, h.calls, 7, "retries begin at none again")

	*broken = false
	redrive(t, h, x)
	assert.Equal(t, asl.Succeeded, x.Status)
	assert.Empty(t, x.Error)
	assert.Equal(t, []string{`{"n":"second","redrives":2,"seen":"first"}`}, h.parametersFrom(7))
	assert.Equal(t, events, eventTypes(x)[:len(events)])
	assert.Equal(t, []string{"ExecutionRedriven", "LambdaFunctionScheduled", "LambdaFunctionStarted",
		"LambdaFunctionSucceeded", "TaskStateExited", "ExecutionSucceeded"},
		eventTypes(x)[len(x.History())-6:])
	wholeHistory(t, x)
	assert.Equal(t, "ExecutionNotRedrivable", codeOf(t, h.engine.Redrive(x.ARN)))
}

func TestRedrive_Refuses(t *testing.T) {
	h := newHost(1)
	e, x := start(t, h, `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}`,
		"run-1", `{}`)
	assert.Equal(t, "ExecutionNotRedrivable", codeOf(t, e.Redrive(x.ARN)), "it runs")
	assert.Equal(t, "ExecutionDoesNotExist", codeOf(t, e.Redrive(x.ARN+"x")))
	require.NoError(t, e.Stop(x.ARN, "", ""))
	h.now = h.now.Add(13 * 24 * time.Hour)
	require.NoError(t, e.Redrive(x.ARN), "13 days later")
	require.NoError(t, e.Stop(x.ARN, "", ""))
	h.now = h.now.Add(14 * 24 * time.Hour)
	assert.Equal(t, "ExecutionNotRedrivable", codeOf(t, e.Redrive(x.ARN)), "14 days later")
}

func TestRedrive_States(t *testing.T) {
	tests := []struct {
		name, definition string
		stopAfter        time.Duration
		then             asl.Status
		takes            time.Duration
		last             []string
	}{
		{"a wait begins anew", `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}`,
			500 * time.Second, asl.Succeeded, 600 * time.Second, []string{"ExecutionRedriven", "WaitStateExited",
				"ExecutionSucceeded"}},
		{"a moment that is past is no wait",
			`{"StartAt": "W", "States": {"W": {"Type": "Wait", "Timestamp": "2026-11-01T12:01:00Z", "End": true}}}`,
			30 * time.Second, asl.Succeeded, 30 * time.Second, []string{"ExecutionRedriven", "WaitStateExited",
				"ExecutionSucceeded"}},
		{"a Fail state fails again", `{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "No"}}}`,
			time.Second, asl.Failed, 0, []string{"ExecutionRedriven", "FailStateEntered", "ExecutionFailed"}},
		{"the execution has all its time again",
			`{"StartAt": "W", "TimeoutSeconds": 100, "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}`,
			200 * time.Second, asl.TimedOut, 100 * time.Second, []string{"ExecutionRedriven", "ExecutionTimedOut"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(1)
			e, x := start(t, h, tt.definition, "run-1", `{}`)
			h.After(tt.stopAfter, func() { require.NoError(t, e.Stop(x.ARN, "", "")) })
			h.run(time.Hour)
			at := h.now
			redrive(t, h, x)
			assert.Equal(t, tt.then, x.Status)
			assert.Equal(t, tt.takes, x.Stop.Sub(at))
			assert.Equal(t, tt.last, eventTypes(x)[len(x.History())-len(tt.last):])
			wholeHistory(t, x)
		})
	}
}

func TestRedrive_TakesANewToken(t *testing.T) {
	h := newHost(1)
	h.task = func(_ asl.TaskCall, reply func(asl.TaskResult)) { reply(asl.TaskResult{Output: json.RawMessage(`{}`)}) }
	e, x := start(t, h,
		`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
		"Parameters": {"FunctionName": "f", "Payload": {"t.$": "$$.Task.Token"}}, "TimeoutSeconds": 3600, "End": true}}}`, "run-1", `{}`)
	require.NoError(t, e.Stop(x.ARN, "", ""))
	require.NoError(t, e.Redrive(x.ARN))
	require.Len(t, h.calls, 2)
	assert.Equal(t, "TaskTimedOut", codeOf(t, e.SendTaskSuccess(h.calls[0].Token, json.RawMessage(`1`))))
	require.NoError(t, e.SendTaskSuccess(h.calls[1].Token, json.RawMessage(`2`)))
	assert.Equal(t, asl.Succeeded, x.Status)
	assert.Equal(t, "2", string(x.Output))
}

const inlineMap = `{"StartAt": "M", "States": {"M": {"Type": "Map", "MaxConcurrency": 2, "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"},
	"StartAt": "P", "States": {"P": {"Type": "Pass", "Next": "T"},
		"T": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "Parameters": {"n.$": "$"}, "OutputPath": "$.n", "End": true}}}, "End": true}}}`

func TestRedrive_RunsOnlyIterationsThatDidNotSucceed(t *testing.T) {
	h := newHost(1)
	broken := failing(h, `"c"`)
	_, x := execute(t, h, inlineMap, `["a","b","c","d","e"]`)
	require.Equal(t, asl.Failed, x.Status)
	n := len(h.calls)
	done := slices.DeleteFunc(h.parametersFrom(0), func(p string) bool { return p == `{"n":"c"}` })

	*broken = false
	redrive(t, h, x)
	assert.Equal(t, asl.Succeeded, x.Status)
	assert.JSONEq(t, `["a","b","c","d","e"]`, string(x.Output))
	again := h.parametersFrom(n)
	assert.Equal(t, `{"n":"c"}`, again[0], "what had begun comes first")
	for _, p := range again {
		assert.NotContains(t, done[:2], p, "the first two had succeeded")
	}
	assert.NotContains(t, eventTypes(x)[len(x.History())-3:], "MapStateFailed")
	wholeHistory(t, x)
}

func TestRedrive_RunsOnlyChildrenThatDidNotSucceed(t *testing.T) {
	h := newHost(1)
	broken := failing(h, `"n":3`, `"n":4`)
	definition := distributed(`"MaxConcurrency": 1,`, "T",
		`"T": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "Parameters": {"n.$": "$"}, "OutputPath": "$.n", "End": true}`)
	e, x := execute(t, h, definition, `[1,2,3,4,5,6]`)
	require.Equal(t, asl.Failed, x.Status)
	n, before := len(h.calls), e.Executions()
	assert.Equal(t, "ExecutionNotRedrivable", codeOf(t, e.Redrive(before[len(before)-1].ARN)), "a child by itself")

	*broken = false
	redrive(t, h, x)
	assert.Equal(t, asl.Succeeded, x.Status)
	assert.JSONEq(t, `[1,2,3,4,5,6]`, string(x.Output))
	again := h.parametersFrom(n)
	assert.Equal(t, `{"n":3}`, again[0])
	assert.Len(t, again, 6-(n-1), "all but those that had succeeded")
	assert.Contains(t, eventTypes(x), "MapRunRedriven")
	for _, child := range e.Executions()[1:] {
		assert.Equal(t, asl.Succeeded, child.Status)
		assert.Equal(t, slices.Contains(eventTypes(child), "ExecutionRedriven"), child.Redrives == 1)
		wholeHistory(t, child)
	}
	assert.Len(t, e.Executions(), 7, "a child keeps its name")
}

func TestRedrive_StoppedParentRedrivesItsChildren(t *testing.T) {
	definition := distributed(`"MaxConcurrency": 2,`, "W", sleeper)
	for _, refused := range []bool{false, true} {
		h := newHost(1)
		e, x := start(t, h, definition, "run-1", `[1,2,3,4]`)
		h.run(30 * time.Second)
		require.NoError(t, e.Stop(x.ARN, "", "by hand"))
		if refused {
			h.refuse = map[string]asl.Failure{"states:RedriveExecution": {Error: "AccessDenied", Cause: "no"}}
		}
		redrive(t, h, x)
		if refused {
			assert.Equal(t, "States.Permissions", x.Error)
			continue
		}
		assert.Equal(t, asl.Succeeded, x.Status)
		assert.Equal(t, 120*time.Second, x.Stop.Sub(x.Redriven).Truncate(time.Second))
	}
}
