package asl_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"ec2patch/internal/asl"
)

// noon is a Host whose clock stands at noon until the engine has something to wait for, and whose only function fails
// once.
type noon struct {
	now    time.Time
	queue  []func()
	failed bool
}

func (h *noon) Now() time.Time { return h.now }

func (h *noon) After(d time.Duration, f func()) func() {
	stopped := false
	h.queue = append(h.queue, func() {
		if !stopped {
			h.now = h.now.Add(d)
			f()
		}
	})
	return func() { stopped = true }
}

func (h *noon) Task(c asl.TaskCall, reply func(asl.TaskResult)) {
	if !h.failed {
		h.failed = true
		reply(asl.TaskResult{Failure: &asl.Failure{Error: "Patch.Throttled", Cause: "too many requests"}})
		return
	}
	reply(asl.TaskResult{Output: json.RawMessage(`{"Payload": {"sent": 3}}`)})
}

func (h *noon) Rand() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

func (h *noon) UUID() string { return "00000000-0000-4000-8000-000000000000" }

func (h *noon) GetObject(string, string, string) ([]byte, *asl.Failure) { return nil, nil }

func (h *noon) PutObject(string, string, string, []byte) *asl.Failure { return nil }

func (h *noon) Authorize(string, string, string) *asl.Failure { return nil }

// An execution moves when its host says so: here a task is throttled, and tried again two seconds later.
func ExampleEngine() {
	definition, err := asl.ParseJSON([]byte(`{
	  "StartAt": "Send",
	  "States": {
	    "Send": {
	      "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "send"},
	      "Retry": [{"ErrorEquals": ["Patch.Throttled"], "IntervalSeconds": 2}],
	      "OutputPath": "$.Payload", "End": true
	    }
	  }
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	machine, err := asl.Load(definition)
	if err != nil {
		fmt.Println(err)
		return
	}
	host := &noon{now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)}
	execution, err := asl.NewEngine(host).Start(asl.StartInput{
		Machine: machine, MachineName: "patch", Name: "run-1", Input: json.RawMessage(`{}`),
		MachineARN: "arn:aws:states:us-east-1:111111111111:stateMachine:patch",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for len(host.queue) > 0 {
		next := host.queue[0]
		host.queue = host.queue[1:]
		next()
	}
	for _, event := range execution.History() {
		fmt.Println(event.Time.Format(time.TimeOnly), event.Type)
	}
	fmt.Println(execution.Status, string(execution.Output))
	// Output:
	// 12:00:00 ExecutionStarted
	// 12:00:00 TaskStateEntered
	// 12:00:00 TaskScheduled
	// 12:00:00 TaskStarted
	// 12:00:00 TaskFailed
	// 12:00:02 TaskScheduled
	// 12:00:02 TaskStarted
	// 12:00:02 TaskSucceeded
	// 12:00:02 TaskStateExited
	// 12:00:02 ExecutionSucceeded
	// SUCCEEDED {"sent":3}
}

// Everything that is wrong with a definition is named at once, by its line.
func ExampleLoad() {
	definition, err := asl.ParseJSON([]byte(`{
	  "StartAt": "Sned",
	  "States": {
	    "Send": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Next": "Poll"}
	  }
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = asl.Load(definition)
	fmt.Println(err)
	// Output:
	// line 2: /StartAt: there is no state "Sned"
	// line 4: /Send: Parameters with FunctionName is missing
	// line 4: /Send/Next: there is no state "Poll"
}
