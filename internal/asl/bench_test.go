package asl_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

// fleetMachine polls targets in children of a distributed map, as the real machine does: about 60 transitions each.
const fleetMachine = `{
  "StartAt": "Accounts",
  "States": {
    "Accounts": {"Type": "Map", "Label": "accounts", "ItemsPath": "$.targets", "ToleratedFailurePercentage": 100,
      "ItemSelector": {"target.$": "$$.Map.Item.Value", "run.$": "$.run", "polls": 0},
      "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}},
      "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Send", "States": {
        "Send": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 60,
          "Parameters": {"FunctionName": "send", "Payload": {"target.$": "$.target", "run.$": "$.run"}},
          "ResultSelector": {"next.$": "$.Payload.next", "seconds.$": "$.Payload.seconds"}, "ResultPath": "$.answer",
          "Retry": [{"ErrorEquals": ["Patch.Throttled"]}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Done"}], "Next": "Count"},
        "Count": {"Type": "Pass", "Parameters": {"target.$": "$.target", "run.$": "$.run", "answer.$": "$.answer",
          "polls.$": "States.MathAdd($.polls, 1)"}, "Next": "IsDone"},
        "IsDone": {"Type": "Choice", "Choices": [{"Variable": "$.polls", "NumericGreaterThan": 15, "Next": "Done"}], "Default": "Wait"},
        "Wait": {"Type": "Wait", "SecondsPath": "$.answer.seconds", "Next": "Send"},
        "Done": {"Type": "Pass", "Parameters": {"outcome": "ok"}, "End": true}
      }},
      "End": true}
  }
}`

func fleetInput(targets int) string {
	items := make([]string, targets)
	for i := range items {
		items[i] = fmt.Sprintf(
			`{"account": "%012d", "region": "eu-west-1", "selector": {"platform": "Linux", "tags": {"PatchGroup": "default"}}, "units": 4}`, i)
	}
	return `{"run": "run-2026-11-01", "targets": [` + strings.Join(items, ",") + `]}`
}

func runFleet(tb testing.TB, targets int) (*asl.Engine, *fakeHost) {
	h := newHost(1)
	answer := json.RawMessage(
		`{"ExecutedVersion": "$LATEST", "StatusCode": 200, "Payload": {"next": "wait", "seconds": 45}}`)
	h.task = func(_ asl.TaskCall, reply func(asl.TaskResult)) {
		h.After(1500*time.Millisecond, func() { reply(asl.TaskResult{Output: answer}) })
	}
	e, x := execute(tb, h, fleetMachine, fleetInput(targets))
	require.Equal(tb, asl.Succeeded, x.Status, x.Cause)
	return e, h
}

// BenchmarkFleet runs 1,500 targets, about 98,000 transitions, and reports transitions a second.
func BenchmarkFleet(b *testing.B) {
	b.ReportAllocs()
	transitions := 0
	for b.Loop() {
		e, _ := runFleet(b, 1_500)
		transitions += e.Stats().Transitions
	}
	b.ReportMetric(float64(transitions)/b.Elapsed().Seconds(), "transitions/s")
}
