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

const approval = `{"StartAt": "Ask", "States": {
  "Ask": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "TimeoutSeconds": 900,
    "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}}, "Next": "Rest"},
  "Rest": {"Type": "Wait", "Seconds": 60, "End": true}}}`

func codeOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var api asl.APIError
	require.ErrorAs(t, err, &api)
	return api.Code
}

func TestEngine_TokenErrors(t *testing.T) {
	h := newHost(1)
	e, x := start(t, h, approval, "r", `{}`)
	token := h.calls[0].Token
	require.Equal(t, "arn:aws:states:::lambda:invoke", h.calls[0].Resource)
	require.Contains(t, string(h.calls[0].Parameters), token)
	assert.Greater(t, len(token), 500)
	assert.LessOrEqual(t, len(token), 1024)
	assert.True(t, strings.Contains(token, "+") && strings.Contains(token, "/") && strings.HasSuffix(token, "="))

	assert.Equal(t, "InvalidOutput", codeOf(t, e.SendTaskSuccess(token, json.RawMessage(`{`))))
	assert.Equal(t, "InvalidOutput",
		codeOf(t, e.SendTaskSuccess(token, json.RawMessage(`"`+strings.Repeat("x", 262_143)+`"`))))
	assert.Equal(t, "InvalidToken", codeOf(t, e.SendTaskSuccess("nonsense", json.RawMessage(`1`))))
	assert.Equal(t, "TaskDoesNotExist", codeOf(t, e.SendTaskFailure(token[:len(token)-2]+"A=", "E", "c")))
	assert.Equal(t, "ValidationException", codeOf(t, e.SendTaskFailure(token, strings.Repeat("e", 257), "")))
	assert.Equal(t, asl.Running, x.Status)

	assert.NoError(t, e.SendTaskSuccess(token, json.RawMessage(`{"decision": "approved"}`)))
	assert.Equal(t, "TaskTimedOut", codeOf(t, e.SendTaskSuccess(token, json.RawMessage(`1`))), "a second answer")
	assert.Equal(t, "TaskTimedOut", codeOf(t, e.SendTaskHeartbeat(token)))
	h.run(time.Hour)
	assert.JSONEq(t, `{"decision": "approved"}`, string(x.Output))
	assert.Equal(t, "TaskTimedOut", codeOf(t, e.SendTaskFailure(token, "E", "c")), "after the end")
}

func TestEngine_AnswerBeforeTheFunctionReturns(t *testing.T) {
	h := newHost(1)
	h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
		assert.NoError(t, h.engine.SendTaskSuccess(c.Token, json.RawMessage(`"early"`)))
		h.After(time.Second, func() { reply(asl.TaskResult{Output: json.RawMessage(`{"Payload": null}`)}) })
	}
	e := asl.NewEngine(h)
	h.engine = e
	x, err := e.Start(asl.StartInput{Machine: load(t, approval), MachineARN: machineARN, Name: "n"})
	require.NoError(t, err)
	h.run(time.Hour)

	assert.Equal(t, []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted",
		"TaskSucceeded", "TaskStateExited", "WaitStateEntered", "WaitStateExited", "ExecutionSucceeded"}, eventTypes(x))
	assert.JSONEq(t, `"early"`, string(x.Output))
}

func TestEngine_TokenTimeoutSpansTheWholeWait(t *testing.T) {
	h := newHost(1)
	h.task = func(_ asl.TaskCall, reply func(asl.TaskResult)) {
		h.After(600*time.Second, func() { reply(asl.TaskResult{Output: json.RawMessage(`{}`)}) })
	}
	e, x := start(t, h, approval, "r", `{}`)
	h.run(time.Hour)

	assert.Equal(t, asl.Failed, x.Status)
	assert.Equal(t, "States.Timeout", x.Error)
	assert.Equal(t, 900*time.Second, x.Stop.Sub(x.Start), "the call to the function counts")
	assert.Equal(t, "TaskTimedOut", codeOf(t, e.SendTaskSuccess(h.calls[0].Token, json.RawMessage(`1`))))
}

func TestEngine_HeartbeatsDoNotExtendTheTimeout(t *testing.T) {
	h := newHost(1)
	e, x := start(t, h, strings.Replace(approval, `"TimeoutSeconds": 900`,
		`"TimeoutSeconds": 900, "HeartbeatSeconds": 100`, 1), "r", `{}`)
	for at := 50; at < 2000; at += 50 {
		h.After(time.Duration(at)*time.Second, func() { _ = e.SendTaskHeartbeat(h.calls[0].Token) })
	}
	h.run(time.Hour)

	assert.Equal(t, "States.Timeout", x.Error)
	assert.Equal(t, 900*time.Second, x.Stop.Sub(x.Start))
}

func TestEngine_EveryAttemptHasItsOwnToken(t *testing.T) {
	h := newHost(1)
	e, _ := start(t, h, strings.Replace(approval, `"Next": "Rest"`,
		`"Retry": [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1}], "Next": "Rest"`, 1), "r", `{}`)
	h.run(901 * time.Second)

	require.Len(t, h.calls, 2)
	assert.NotEqual(t, h.calls[0].Token, h.calls[1].Token)
	assert.Equal(t, 1, h.calls[1].Attempt)
	assert.Equal(t, "TaskTimedOut", codeOf(t, e.SendTaskSuccess(h.calls[0].Token, json.RawMessage(`1`))))
	assert.NoError(t, e.SendTaskSuccess(h.calls[1].Token, json.RawMessage(`1`)))
}
