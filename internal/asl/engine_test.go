package asl_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

const twoTasks = `{
  "StartAt": "Send",
  "States": {
    "Send": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
      "Parameters": {"FunctionName": "send", "Payload.$": "$"}, "OutputPath": "$.Payload", "Next": "Shape"},
    "Shape": {"Type": "Pass", "Parameters": {"got.$": "$.v"}, "End": true}
  }
}`

func start(t *testing.T, h *fakeHost, definition, name, input string) (*asl.Engine, *asl.Execution) {
	t.Helper()
	e := asl.NewEngine(h)
	h.engine = e
	x, err := e.Start(asl.StartInput{Machine: load(t, definition), MachineARN: machineARN,
		MachineName: "patch", Name: name, RoleARN: "arn:aws:iam::123456789012:role/patch",
		Input: json.RawMessage(input)})
	require.NoError(t, err)
	return e, x
}

func TestEngine_RunsTasksInOrder(t *testing.T) {
	e, x := execute(t, newHost(1), twoTasks, `{"v": 7}`)

	assert.Equal(t, asl.Succeeded, x.Status)
	assert.JSONEq(t, `{"got": 7}`, string(x.Output))
	assert.Equal(t, []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded",
		"TaskStateExited", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"}, eventTypes(x))
	assert.Equal(t, "arn:aws:states:us-east-1:123456789012:execution:patch:run-1", x.ARN)
	assert.Equal(t, asl.Stats{Transitions: 2, Executions: 1, MaxEvents: 9, MaxPayloadBytes: 41}, e.Stats())
}

func TestEvent_MarshalJSON(t *testing.T) {
	_, x := execute(t, newHost(1),
		`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
		"Parameters": {"FunctionName": "f"}, "TimeoutSeconds": 30, "End": true}}}`, `{"v": "é<"}`)

	var got []string
	for _, e := range x.History() {
		b, err := json.Marshal(e)
		require.NoError(t, err)
		got = append(got, string(b))
	}

	want := []string{
		`{"executionStartedEventDetails":{"input":"{\"v\": \"é<\"}","inputDetails":{"truncated":false},"roleArn":"arn:aws:iam::123456789012:role/patch"},"id":1,"previousEventId":0,"timestamp":"2026-11-01T12:00:00.000Z","type":"ExecutionStarted"}`,
		`{"id":2,"previousEventId":0,"stateEnteredEventDetails":{"input":"{\"v\": \"é<\"}","inputDetails":{"truncated":false},"name":"A"},"timestamp":"2026-11-01T12:00:00.000Z","type":"TaskStateEntered"}`,
		`{"id":3,"previousEventId":2,"taskScheduledEventDetails":{"parameters":"{\"FunctionName\":\"f\"}","region":"us-east-1","resource":"invoke","resourceType":"lambda","timeoutInSeconds":30},"timestamp":"2026-11-01T12:00:00.000Z","type":"TaskScheduled"}`,
		`{"id":4,"previousEventId":3,"taskStartedEventDetails":{"resource":"invoke","resourceType":"lambda"},"timestamp":"2026-11-01T12:00:00.000Z","type":"TaskStarted"}`,
		`{"id":5,"previousEventId":4,"taskSucceededEventDetails":{"output":"{\"FunctionName\":\"f\"}","outputDetails":{"truncated":false},"resource":"invoke","resourceType":"lambda"},"timestamp":"2026-11-01T12:00:00.000Z","type":"TaskSucceeded"}`,
		`{"id":6,"previousEventId":5,"stateExitedEventDetails":{"name":"A","output":"{\"FunctionName\":\"f\"}","outputDetails":{"truncated":false}},"timestamp":"2026-11-01T12:00:00.000Z","type":"TaskStateExited"}`,
		`{"executionSucceededEventDetails":{"output":"{\"FunctionName\":\"f\"}","outputDetails":{"truncated":false}},"id":7,"previousEventId":6,"timestamp":"2026-11-01T12:00:00.000Z","type":"ExecutionSucceeded"}`,
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "<", `\u003c`) // json.Marshal escapes what MarshalJSON returns
	}
	assert.Equal(t, want, got)
}

func TestEngine_StartIsIdempotentWhileItRuns(t *testing.T) {
	wait := `{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": true}}}`
	h := newHost(1)
	e, x := start(t, h, wait, "once", `{"a":1}`)
	again := asl.StartInput{Machine: load(t, wait), MachineARN: machineARN, Name: "once",
		Input: json.RawMessage(`{"a":1}`)}

	same, err := e.Start(again)
	require.NoError(t, err)
	assert.Same(t, x, same)

	other := again
	other.Input = json.RawMessage(`{"a":2}`)
	_, err = e.Start(other)
	assert.ErrorIs(t, err, asl.ErrExecutionAlreadyExists)

	h.run(time.Hour)
	_, err = e.Start(again)
	assert.ErrorIs(t, err, asl.ErrExecutionAlreadyExists, "the execution has ended")
}

func TestEngine_StartRefuses(t *testing.T) {
	tests := []struct {
		name, execution, arn, input, code string
	}{
		{"name with a space", "a b", machineARN, `{}`, "InvalidName"},
		{"name too long", strings.Repeat("n", 81), machineARN, `{}`, "InvalidName"},
		{"no ARN of a machine", "n", "arn:aws:lambda:us-east-1:1:function:f", `{}`, "InvalidArn"},
		{"input that is no JSON", "n", machineARN, `{`, "InvalidExecutionInput"},
		{"input above 256 KiB", "n", machineARN, `"` + strings.Repeat("x", 262_143) + `"`, "InvalidExecutionInput"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := asl.NewEngine(newHost(1)).Start(asl.StartInput{Machine: load(t, twoTasks), MachineARN: tt.arn,
				Name: tt.execution, Input: json.RawMessage(tt.input)})
			var refused asl.APIError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tt.code, refused.Code)
		})
	}
}

func TestEngine_HistoryLimitFailsTheExecution(t *testing.T) {
	_, x := execute(t, newHost(1),
		`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}}`, `{}`)

	assert.Equal(t, asl.Failed, x.Status)
	assert.Equal(t, "States.Runtime", x.Error)
	history := x.History()
	require.Len(t, history, 25_000)
	assert.Equal(t, "ExecutionFailed", history[24_999].Type)
}

func TestEngine_RetryDelays(t *testing.T) {
	tests := []struct {
		name, retrier string
		want          []float64 // seconds between the attempts
	}{
		{"defaults", `{"ErrorEquals": ["E"]}`, []float64{1, 2, 4}},
		{"interval and rate", `{"ErrorEquals": ["E"], "IntervalSeconds": 10, "BackoffRate": 1.5, "MaxAttempts": 3}`,
			[]float64{10, 15, 22.5}},
		{"largest delay",
			`{"ErrorEquals": ["E"], "IntervalSeconds": 10, "BackoffRate": 3, "MaxDelaySeconds": 40, "MaxAttempts": 4}`,
			[]float64{10, 30, 40, 40}},
		{"no attempts", `{"ErrorEquals": ["E"], "MaxAttempts": 0}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, retryGaps(t, tt.retrier))
		})
	}
	t.Run("full jitter stays between zero and the delay", func(t *testing.T) {
		gaps := retryGaps(t,
			`{"ErrorEquals": ["E"], "IntervalSeconds": 100, "BackoffRate": 1, "MaxAttempts": 50, "JitterStrategy": "FULL"}`)
		low, high := gaps[0], gaps[0]
		for _, g := range gaps {
			low, high = min(low, g), max(high, g)
		}
		assert.Less(t, low, 20.0)
		assert.Greater(t, high, 80.0)
		assert.LessOrEqual(t, high, 100.0)
	})
}

func retryGaps(t *testing.T, retrier string) []float64 {
	h := newHost(1)
	var gaps []float64
	last := h.now
	h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
		if c.Attempt > 0 {
			gaps = append(gaps, h.now.Sub(last).Seconds())
		}
		last = h.now
		reply(asl.TaskResult{Failure: &asl.Failure{Error: "E"}})
	}
	_, x := execute(t, h,
		fmt.Sprintf(`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
		"Parameters": {"FunctionName": "f"}, "Retry": [%s], "End": true}}}`, retrier), `{}`)
	require.Equal(t, asl.Failed, x.Status)
	return gaps
}

func TestEngine_RefusesATimeoutOfZeroByPath(t *testing.T) {
	h := newHost(1)
	_, x := execute(t, h,
		`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSecondsPath": "$$.State.RetryCount",
		"Parameters": {"FunctionName": "f"}, "End": true}}}`, `{}`)
	assert.Equal(t, "States.Runtime", x.Error)
	assert.Empty(t, h.calls)
}

func TestEngine_IgnoresLateReplies(t *testing.T) {
	h := newHost(1)
	n := 0
	h.task = func(_ asl.TaskCall, reply func(asl.TaskResult)) {
		n++
		out := json.RawMessage(fmt.Sprintf(`"attempt %d"`, n))
		h.After(time.Duration(100-n*50)*time.Second, func() { reply(asl.TaskResult{Output: out}) })
	}
	_, x := execute(t, h,
		`{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 30,
		"Parameters": {"FunctionName": "f"}, "Retry": [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 15}], "Next": "W"},
		"W": {"Type": "Wait", "Seconds": 60, "End": true}}}`, `{}`)
	assert.JSONEq(t, `"attempt 2"`, string(x.Output))
	assert.Equal(t, 1, strings.Count(strings.Join(eventTypes(x), " "), "TaskSucceeded"))
}

func TestEngine_StopAbortsEverythingBelow(t *testing.T) {
	h := newHost(1)
	h.task = func(asl.TaskCall, func(asl.TaskResult)) {}
	e, x := start(t, h, `{"StartAt": "M", "States": {"M": {"Type": "Map", "Label": "m", "End": true, "ItemProcessor": {
		"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "T", "States": {
		"T": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {"FunctionName": "f", "Payload": {"t.$": "$$.Task.Token"}}, "End": true}}}}}}`,
		"stopped", `[1, 2, 3]`)
	var ended []string
	e.OnEnd = func(x *asl.Execution) { ended = append(ended, string(x.Status)) }
	h.run(10 * time.Millisecond) // two of three children have started

	require.NoError(t, e.Stop(x.ARN, "Operator", "enough"))

	assert.Equal(t, asl.Aborted, x.Status)
	assert.Equal(t, "Operator", x.Error)
	assert.Equal(t, "enough", x.Cause)
	assert.Equal(t, []string{"ABORTED", "ABORTED", "ABORTED"}, ended)
	assert.Len(t, e.Executions(), 3)
	assert.Equal(t, []string{"ExecutionStarted", "MapStateEntered", "MapStateStarted", "MapRunStarted",
		"ExecutionAborted"}, eventTypes(x))
	assert.Equal(t, asl.APIError{Code: "TaskTimedOut",
		Message: "Task Timed Out: 'Provided task does not exist anymore'"},
		e.SendTaskSuccess(h.calls[0].Token, json.RawMessage(`1`)))
	assert.NoError(t, e.Stop(x.ARN, "", ""), "a closed execution stays as it is")
	assert.Equal(t, "Operator", x.Error)
	var unknown asl.APIError
	require.ErrorAs(t, e.Stop("arn:nobody", "", ""), &unknown)
	assert.Equal(t, "ExecutionDoesNotExist", unknown.Code)
	h.run(time.Hour)
	assert.Len(t, e.Executions(), 3, "nothing starts after the stop")
}

func TestEngine_ContextObject(t *testing.T) {
	_, x := execute(t, newHost(1),
		`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"all.$": "$$"}, "OutputPath": "$.all", "End": true}}}`, `{"v": 1}`)

	assert.JSONEq(t, `{
		"Execution": {"Id": "arn:aws:states:us-east-1:123456789012:execution:patch:run-1", "Input": {"v": 1}, "Name": "run-1",
			"RoleArn": "arn:aws:iam::123456789012:role/patch", "StartTime": "2026-11-01T12:00:00.000Z", "RedriveCount": 0},
		"State": {"EnteredTime": "2026-11-01T12:00:00.000Z", "Name": "A", "RetryCount": 0},
		"StateMachine": {"Id": "`+machineARN+`", "Name": "patch"}}`, string(x.Output))
}

func TestEngine_WaitsOnTheVirtualClock(t *testing.T) {
	tests := []struct {
		name, wait, input string
		want              time.Duration
	}{
		{"seconds", `"Seconds": 90`, `{}`, 90 * time.Second},
		{"zero seconds", `"Seconds": 0`, `{}`, 0},
		{"seconds by path", `"SecondsPath": "$.s"`, `{"s": 7}`, 7 * time.Second},
		{"timestamp", `"Timestamp": "2026-11-01T13:00:00Z"`, `{}`, time.Hour},
		{"timestamp by path with a zone", `"TimestampPath": "$.at"`, `{"at": "2026-11-01T14:00:00.250+01:00"}`,
			time.Hour + 250*time.Millisecond},
		{"moment that has passed", `"Timestamp": "2020-01-01T00:00:00Z"`, `{}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, x := execute(t, newHost(1), `{"StartAt": "W", "States": {"W": {"Type": "Wait", `+tt.wait+
				`, "End": true}}}`, tt.input)
			require.Equal(t, asl.Succeeded, x.Status, x.Cause)
			assert.Equal(t, tt.want, x.Stop.Sub(x.Start))
		})
	}
}

func TestEngine_SameSeedSameBytes(t *testing.T) {
	digest := func(seed uint64) string {
		h := newHost(seed)
		h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
			h.After(time.Duration(h.rand.IntN(5000))*time.Millisecond, func() {
				if h.rand.IntN(3) == 0 {
					reply(asl.TaskResult{Failure: &asl.Failure{Error: "Patch.Throttled"}})
					return
				}
				reply(
					asl.TaskResult{Output: json.RawMessage(
						`{"Payload": {"next": "wait", "seconds": 5, "b": 1, "a": {"d": 1, "c": 2}}}`)})
			})
		}
		retrying := strings.Replace(fleetMachine, `["Patch.Throttled"]}`,
			`["Patch.Throttled"], "JitterStrategy": "FULL", "MaxAttempts": 9}`, 1)
		e, _ := execute(t, h, retrying, fleetInput(20))
		sum := sha256.New()
		for _, x := range e.Executions() {
			b, err := json.Marshal(x.History())
			require.NoError(t, err)
			sum.Write(b)
		}
		for _, key := range h.put {
			sum.Write(h.objects[key])
		}
		return fmt.Sprintf("%x", sum.Sum(nil))
	}
	assert.Equal(t, digest(7), digest(7))
	assert.NotEqual(t, digest(7), digest(8))
}

func TestEngine_OnEventSeesEveryEventInOrder(t *testing.T) {
	h := newHost(1)
	e := asl.NewEngine(h)
	var got []string
	e.OnEvent = func(_ *asl.Execution, ev *asl.Event) {
		got = append(got, fmt.Sprintf("%d %s %s", ev.ID, ev.Type, ev.State))
	}
	x, err := e.Start(asl.StartInput{Machine: load(t, twoTasks), MachineARN: machineARN, Name: "n",
		Input: json.RawMessage(`{"v":1}`)})
	require.NoError(t, err)

	var want []string
	for _, ev := range x.History() {
		want = append(want, fmt.Sprintf("%d %s %s", ev.ID, ev.Type, ev.State))
	}
	assert.Equal(t, want, got)
	assert.Equal(t, "5 TaskSucceeded Send", got[4])
}

func TestEngine_HooksMayCallTheEngine(t *testing.T) {
	h := newHost(1)
	e := asl.NewEngine(h)
	e.OnEvent = func(x *asl.Execution, ev *asl.Event) {
		if ev.Type == "TaskStarted" {
			assert.NoError(t, e.Stop(x.ARN, "Checker", "seen enough"))
			assert.Equal(t, asl.Running, x.Status, "the stop happens after the step under way")
		}
	}
	x, err := e.Start(asl.StartInput{Machine: load(t, twoTasks), MachineARN: machineARN, Name: "n",
		Input: json.RawMessage(`{"v":1}`)})
	require.NoError(t, err)

	assert.Equal(t, asl.Aborted, x.Status)
	assert.Equal(t, "Checker", x.Error)
	assert.Len(t, h.calls, 1)
}

func TestEngine_UnnamedExecutionsGetAName(t *testing.T) {
	h := newHost(1)
	e := asl.NewEngine(h)
	in := asl.StartInput{Machine: load(t, twoTasks), MachineARN: machineARN, Input: json.RawMessage(`{"v":1}`)}
	a, err := e.Start(in)
	require.NoError(t, err)
	b, err := e.Start(in)
	require.NoError(t, err)
	assert.NotEqual(t, a.ARN, b.ARN)
}

func TestEngine_DataLimits(t *testing.T) {
	big := `{"a": "` + strings.Repeat("x", 140_000) + `"}`
	tests := []struct{ name, state string }{
		{"effective input of a task",
			`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f", "Payload": {"a.$": "$.a", "b.$": "$.a"}}, "End": true}`},
		{"output of a pass", `{"Type": "Pass", "Parameters": {"a.$": "$.a", "b.$": "$.a"}, "End": true}`},
		{"output with a result in it",
			`{"Type": "Pass", "Parameters": {"b.$": "$.a"}, "ResultPath": "$.b", "End": true}`},
		{"assigned variables", `{"Type": "Pass", "Assign": {"a.$": "$.a", "b.$": "$.a"}, "End": true}`},
		{"effective input of a parallel state",
			`{"Type": "Parallel", "Parameters": {"a.$": "$.a", "b.$": "$.a"}, "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}], "End": true}`},
		{"input of an iteration",
			`{"Type": "Map", "ItemsPath": "$.l", "ItemSelector": {"a.$": "$.a", "b.$": "$.a"}, "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}, "End": true}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			input := strings.TrimSuffix(big, "}") + `, "l": [1]}`
			h := newHost(1)
			_, x := execute(t, h, `{"StartAt": "A", "States": {"A": `+tt.state+`}}`, input)
			assert.Equal(t, asl.Failed, x.Status)
			assert.Equal(t, "States.DataLimitExceeded", x.Error, x.Cause)
			assert.Empty(t, h.calls)
		})
	}
}

func TestEngine_HeartbeatByPathMustBeBelowTheTimeout(t *testing.T) {
	h := newHost(1)
	machine := strings.Replace(approval, `"TimeoutSeconds": 900`,
		`"TimeoutSeconds": 900, "HeartbeatSecondsPath": "$.beat"`, 1)
	_, x := start(t, h, machine, "r", `{"beat": 900}`)
	assert.Equal(t, "States.Runtime", x.Error)
	assert.Empty(t, h.calls)
}
