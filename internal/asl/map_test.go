package asl_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

// distributed wraps a processor's states in a distributed map with more fields.
func distributed(more, startAt, states string) string {
	return fmt.Sprintf(
		`{"StartAt": "M", "States": {"M": {"Type": "Map", "Label": "m", %s "End": true, "ItemProcessor": {
		"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": %q, "States": {%s}}}}}`,
		more, startAt, states)
}

const sleeper = `"W": {"Type": "Wait", "Seconds": 60, "End": true}`

func numbers(n int) string {
	return strings.ReplaceAll(strings.Trim(strings.Repeat("1 ", n), " "), " ", ",")
}

// busiest returns how many of the intervals overlap at most.
func busiest(list []*asl.Execution) int {
	most := 0
	for _, x := range list {
		n := 0
		for _, y := range list {
			if !y.Start.After(x.Start) && y.Stop.After(x.Start) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestMapRun_StartsAHundredChildrenASecond(t *testing.T) {
	e, x := execute(t, newHost(1), distributed("", "W", sleeper), "["+numbers(250)+"]")

	require.Equal(t, asl.Succeeded, x.Status, x.Cause)
	children := e.Executions()[1:]
	require.Len(t, children, 250)
	assert.Equal(t, x.Start, children[0].Start)
	assert.Equal(t, 2490*time.Millisecond, children[249].Start.Sub(x.Start))
	assert.Equal(t, 251+250, e.Stats().Transitions, "the map, 250 waits, and 250 starts")
}

func TestMapRun_KeepsItsConcurrency(t *testing.T) {
	e, x := execute(t, newHost(1), distributed(`"MaxConcurrencyPath": "$[0]",`, "W", sleeper), "[7,"+numbers(30)+"]")

	require.Equal(t, asl.Succeeded, x.Status, x.Cause)
	assert.Equal(t, 7, busiest(e.Executions()[1:]))
}

func TestMap_InlineRunsFortyAtOnce(t *testing.T) {
	h := newHost(1)
	running, most := 0, 0
	h.task = func(_ asl.TaskCall, reply func(asl.TaskResult)) {
		running++
		most = max(most, running)
		h.After(time.Minute, func() {
			running--
			reply(asl.TaskResult{Output: json.RawMessage(`{}`)})
		})
	}
	_, x := execute(t, h,
		`{"StartAt": "M", "States": {"M": {"Type": "Map", "MaxConcurrency": 1000, "End": true, "ItemProcessor": {"StartAt": "T", "States": {
		"T": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": true}}}}}}`, "["+numbers(100)+"]")

	require.Equal(t, asl.Succeeded, x.Status, x.Cause)
	assert.Equal(t, 40, most)
	assert.Equal(t, 3*time.Minute, x.Stop.Sub(x.Start))
}

func TestMapRun_ChildrenAreExecutionsOfTheirOwn(t *testing.T) {
	e, x := execute(t, newHost(1),
		distributed(
			`"ItemSelector": {"v.$": "$$.Map.Item.Value", "s.$": "$$.Map.Item.Source", "parent.$": "$$.Execution.Name"},`, "P",
			`"P": {"Type": "Pass", "Parameters": {"c.$": "$$", "in.$": "$"}, "End": true}`), `["a"]`)

	require.Equal(t, asl.Succeeded, x.Status, x.Cause)
	child := e.Executions()[1]
	assert.Same(t, x, child.Parent)
	assert.Equal(t, "m", child.Label)
	assert.Equal(t, "arn:aws:states:us-east-1:123456789012:execution:patch/m:"+child.Name, child.ARN)
	assert.True(t, strings.HasPrefix(child.MapRunARN, "arn:aws:states:us-east-1:123456789012:mapRun:patch/m:"),
		child.MapRunARN)
	found, ok := e.Execution(child.ARN)
	assert.True(t, ok)
	assert.Same(t, child, found)

	var out struct {
		In struct{ V, S, Parent string }
		C  struct {
			Execution    struct{ ID, Name string }
			StateMachine struct{ ID, Name string }
			Map          any
		}
	}
	require.NoError(t, json.Unmarshal(child.Output, &out))
	assert.Equal(t, "a", out.In.V)
	assert.Equal(t, "STATE_DATA", out.In.S)
	assert.Equal(t, "run-1", out.In.Parent)
	assert.Equal(t, child.ARN, out.C.Execution.ID)
	assert.Equal(t, machineARN+"/m", out.C.StateMachine.ID)
	assert.Nil(t, out.C.Map, "children do not see the parent's item")
}

func TestMapRun_ThresholdAbortsWhatRuns(t *testing.T) {
	h := newHost(1)
	h.task = func(c asl.TaskCall, reply func(asl.TaskResult)) {
		h.After(time.Minute, func() {
			if strings.Contains(string(c.Parameters), `"Payload":2`) {
				reply(asl.TaskResult{Failure: &asl.Failure{Error: "Bad", Cause: "told to"}})
			}
		})
	}
	task := `"T": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f", "Payload.$": "$"}, "End": true}`
	writer := `"ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}}, "MaxConcurrency": 3,`
	e, x := execute(t, h, distributed(writer, "T", task), `[1, 2, 3, 4]`)

	assert.Equal(t, "States.ExceedToleratedFailureThreshold", x.Error)
	var got []string
	for _, c := range e.Executions()[1:] {
		got = append(got, string(c.Status))
	}
	assert.Equal(t, []string{"ABORTED", "FAILED", "ABORTED"}, got)
	assert.Equal(t, []string{"MapRunFailed", "MapStateFailed", "ExecutionFailed"}, eventTypes(x)[4:])

	manifest := readManifest(t, h)
	assert.Empty(t, manifest.ResultFiles.Succeeded)
	assert.Len(t, readRows(t, h, manifest.ResultFiles.Failed), 3)
	pending := readRows(t, h, manifest.ResultFiles.Pending)
	require.Len(t, pending, 1)
	assert.Equal(t, "4", pending[0].Input)
}

type manifestFile struct {
	DestinationBucket, MapRunArn string
	ResultFiles                  struct {
		Succeeded []resultFile `json:"SUCCEEDED"`
		Failed    []resultFile `json:"FAILED"`
		Pending   []resultFile `json:"PENDING"`
	}
}

type resultFile struct {
	Key  string
	Size int
}

type resultRow struct {
	ExecutionArn, Name, Status, StartDate, StopDate string
	Input, Output, Error, Cause                     string
}

func readManifest(t *testing.T, h *fakeHost) manifestFile {
	t.Helper()
	var m manifestFile
	require.NotEmpty(t, h.put)
	last := h.put[len(h.put)-1]
	require.True(t, strings.HasSuffix(last, "/manifest.json"), last)
	require.NoError(t, json.Unmarshal(h.objects[last], &m))
	return m
}

func readRows(t *testing.T, h *fakeHost, files []resultFile) []resultRow {
	t.Helper()
	require.Len(t, files, 1)
	body := h.objects["b/"+files[0].Key]
	assert.Len(t, body, files[0].Size)
	var rows []resultRow
	require.NoError(t, json.Unmarshal(body, &rows))
	return rows
}

func TestMapRun_ResultWriterRecords(t *testing.T) {
	h := newHost(1)
	e, x := execute(t, h,
		distributed(
			`"ToleratedFailureCount": 1, "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix.$": "$$.Execution.Name"}},`, "C",
			`"C": {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "F"}], "Default": "P"},
		 "F": {"Type": "Fail", "Error": "E", "Cause": "c"}, "P": {"Type": "Pass", "Parameters": {"r.$": "$"}, "End": true}`), `[1, 2]`)

	require.Equal(t, asl.Succeeded, x.Status, x.Cause)
	m := readManifest(t, h)
	id := m.MapRunArn[strings.LastIndex(m.MapRunArn, ":")+1:]
	assert.JSONEq(t,
		fmt.Sprintf(`{"MapRunArn": %q, "ResultWriterDetails": {"Bucket": "b", "Key": "run-1/%s/manifest.json"}}`,
			m.MapRunArn, id), string(x.Output))
	assert.Equal(t, "b", m.DestinationBucket)
	assert.Empty(t, m.ResultFiles.Pending)
	children := e.Executions()[1:]
	assert.Equal(t, []resultRow{{ExecutionArn: children[0].ARN, Name: children[0].Name, Status: "SUCCEEDED", Input: "1",
		Output: `{"r":1}`, StartDate: "2026-11-01T12:00:00.000Z", StopDate: "2026-11-01T12:00:00.000Z"}},
		readRows(t, h, m.ResultFiles.Succeeded))
	assert.Equal(t, []resultRow{{ExecutionArn: children[1].ARN, Name: children[1].Name, Status: "FAILED", Input: "2",
		Error: "E", Cause: "c", StartDate: "2026-11-01T12:00:00.010Z", StopDate: "2026-11-01T12:00:00.010Z"}},
		readRows(t, h, m.ResultFiles.Failed))
}

func TestMapRun_FailuresOfTheService(t *testing.T) {
	caught := `"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Z"}],`
	reader := `"ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/a/items"}, "Parameters": {"Bucket": "b", "Key": "k"}},`
	writer := `"ItemsPath": "$.l", "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}},`
	tests := []struct {
		name, fields, object, refuse, want string
	}{
		{"start refused", `"ItemsPath": "$.l",`, "", "states:StartExecution", "States.Permissions"},
		{"no object", reader, "", "", "States.ItemReaderFailed"},
		{"object that is no JSON", reader, "{", "", "States.ItemReaderFailed"},
		{"pointer that leads nowhere", reader, `{"a": []}`, "", "States.ItemReaderFailed"},
		{"items by pointer", reader, `{"a": {"items": [1]}}`, "", ""},
		{"writer refused", writer, "", "s3:PutObject", "States.ResultWriterFailed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(1)
			if tt.object != "" {
				h.objects["b/k"] = []byte(tt.object)
			}
			h.refuse = map[string]asl.Failure{tt.refuse: {Error: "States.Permissions", Cause: "denied"}}
			machine := strings.Replace(distributed(tt.fields+caught, "P", `"P": {"Type": "Succeed"}`), `"End": true`,
				`"ResultPath": "$.out", "Next": "Z"`, 1)
			machine = strings.TrimSuffix(machine, "}}") + `, "Z": {"Type": "Succeed"}}}`

			_, x := execute(t, h, machine, `{"l": [1]}`)

			require.Equal(t, asl.Succeeded, x.Status, x.Cause)
			var out struct{ E struct{ Error string } }
			require.NoError(t, json.Unmarshal(x.Output, &out))
			assert.Equal(t, tt.want, out.E.Error)
		})
	}
}

func TestMap_FailureAbortsInnerStatesFirst(t *testing.T) {
	h := newHost(1)
	h.task = func(_ asl.TaskCall, reply func(asl.TaskResult)) {}
	_, x := execute(t, h,
		`{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "C", "States": {
		"C": {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "P"}], "Default": "W"},
		"P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "T", "States": {
			"T": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": true}}}]},
		"W": {"Type": "Wait", "Seconds": 5, "Next": "F"}, "F": {"Type": "Fail", "Error": "E"}}}}}}`, `[1, 2]`)

	assert.Equal(t, "E", x.Error)
	types := eventTypes(x)
	assert.Equal(t, []string{"WaitStateExited", "FailStateEntered", "MapIterationFailed", "TaskStateAborted",
		"ParallelStateAborted", "MapIterationAborted", "MapStateFailed", "ExecutionFailed"}, types[len(types)-8:])
}

func TestMap_ItemIsSeenBelowAParallel(t *testing.T) {
	_, x := execute(t, newHost(1),
		`{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "P", "States": {
		"P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "Q", "States": {
			"Q": {"Type": "Pass", "Parameters": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value"}, "End": true}}}]}}}}}}`, `["a"]`)

	assert.JSONEq(t, `[[{"i": 0, "v": "a"}]]`, string(x.Output))
}
