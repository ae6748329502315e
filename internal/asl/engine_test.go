package asl_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

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

func TestEngine_RunsTasksInOrder(t *testing.T) {
	_, x := execute(t, newHost(1), twoTasks, `{"v": 7}`)

	assert.Equal(t, asl.Succeeded, x.Status)
	assert.JSONEq(t, `{"got": 7}`, string(x.Output))
	assert.Equal(t, []string{"ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded",
		"TaskStateExited", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"}, eventTypes(x))
}
