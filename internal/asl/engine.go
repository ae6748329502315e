package asl

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"
)

// Host is everything outside the language: time, chance, tasks, objects and permissions.
type Host interface {
	Now() time.Time
	// After runs f once on the virtual clock; functions due at equal times run in the order of the calls.
	After(d time.Duration, f func()) (stop func())
	// Rand serves jitter and States.MathRandom.
	Rand() *rand.Rand
	UUID() string
	// Task makes one attempt of one Task. It calls reply exactly once, at once or later; the engine ignores the
	// reply of an attempt that has timed out or was aborted.
	Task(c TaskCall, reply func(TaskResult))
	// GetObject reads for ItemReader, PutObject writes for ResultWriter; their failures become States.ItemReaderFailed
	// and States.ResultWriterFailed.
	GetObject(executionARN, bucket, key string) ([]byte, *Failure)
	PutObject(executionARN, bucket, key string, body []byte) *Failure
	// Authorize is asked before the engine itself calls AWS: states:StartExecution on its own machine before a Map
	// Run, states:DescribeExecution and states:StopExecution on an execution that a task started. A refusal fails a Map
	// state with States.Permissions and the refusal's cause, a task with the refusal; what may not be stopped goes on.
	Authorize(executionARN, action, resource string) *Failure
}

// TaskCall is one attempt of a Task.
type TaskCall struct {
	ExecutionARN, State, Resource string          // Resource without ".waitForTaskToken"
	Parameters                    json.RawMessage // effective parameters; not to be written to
	Token                         string          // empty unless .waitForTaskToken
	Attempt                       int             // 0 for the first
}

// TaskResult is the answer to a TaskCall. Output is the whole answer of the resource: for lambda:invoke an object
// with Payload. It is ignored when Failure is set. Start answers a startExecution.sync:2 task in the place of Output:
// it says of which machine; the engine runs the execution, with the name and input of the task's parameters, stops it
// when the task is stopped or times out, and ends the task with it.
type TaskResult struct {
	Output  json.RawMessage
	Failure *Failure
	Start   *StartInput
}

// APIError is what an operation of the Step Functions API refuses with.
type APIError struct{ Code, Message string }

func (e APIError) Error() string { return e.Code + ": " + e.Message }

// ErrExecutionAlreadyExists: the name belongs to an execution that is closed or had another input.
var ErrExecutionAlreadyExists error = APIError{"ExecutionAlreadyExists", "an execution of this name exists"}

// Stats counts what the engine has done so far.
type Stats struct {
	// Transitions are those that are billed: states entered, retries, starts of distributed children.
	Transitions     int
	Executions      int
	MaxEvents       int // of one execution
	MaxPayloadBytes int // of one input, output or result
}

// Engine runs executions. It owns no clock and no thread: it moves when one of its methods or a function that it
// gave to the Host is called, and must not be used from two goroutines at once.
type Engine struct {
	// OnEvent sees every event when it happens. OnEnd sees every execution, children too, when it has ended. Both
	// may call the engine; what they ask for happens after the step that is under way.
	OnEvent func(*Execution, *Event)
	OnEnd   func(*Execution)

	host       Host
	queue      []func()
	head       int
	pumping    bool
	executions []*Execution
	byARN      map[string]*Execution
	tokens     map[string]*callback
	stats      Stats
}

// NewEngine returns an engine without executions.
func NewEngine(h Host) *Engine {
	return &Engine{host: h, byARN: map[string]*Execution{}, tokens: map[string]*callback{}}
}

// enqueue adds a step; steps run one after the other, in order.
func (e *Engine) enqueue(f func()) { e.queue = append(e.queue, f) }

// pump runs steps until none is left. Every execution has a bounded history, so this ends.
func (e *Engine) pump() {
	if e.pumping {
		return
	}
	e.pumping = true
	for e.head < len(e.queue) {
		f := e.queue[e.head]
		e.queue[e.head] = nil
		e.head++
		f()
	}
	e.queue, e.head, e.pumping = e.queue[:0], 0, false
}

// after is Host.After for steps.
func (e *Engine) after(d time.Duration, f func()) func() {
	return e.host.After(d, func() {
		e.enqueue(f)
		e.pump()
	})
}

// StartInput says what to start. Name may be empty: then a UUID is taken.
type StartInput struct {
	Machine                                *Machine
	MachineARN, MachineName, RoleARN, Name string
	Input                                  json.RawMessage

	parent *Execution // whose task starts it
}

// executionName: source: StartExecution, name.
var executionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// Start begins an execution. A name that belongs to a running execution with the same input returns that one;
// otherwise a name that was used is ErrExecutionAlreadyExists. Other errors are APIErrors InvalidName,
// InvalidArn and InvalidExecutionInput.
func (e *Engine) Start(in StartInput) (*Execution, error) {
	if in.Name == "" {
		in.Name = e.host.UUID()
	}
	if !executionName.MatchString(in.Name) {
		return nil, APIError{"InvalidName", fmt.Sprintf("%q is no name for an execution", in.Name)}
	}
	arn, ok := executionARN(in.MachineARN, in.Name)
	if !ok {
		return nil, APIError{"InvalidArn", fmt.Sprintf("%q is no ARN of a state machine", in.MachineARN)}
	}
	if len(in.Input) == 0 {
		in.Input = json.RawMessage("{}")
	}
	if old, ok := e.byARN[arn]; ok {
		if old.Status == Running && string(old.Input) == string(in.Input) {
			return old, nil
		}
		return nil, ErrExecutionAlreadyExists
	}
	input, err := decodePayload(in.Input)
	if err != nil {
		return nil, APIError{"InvalidExecutionInput", err.Error()}
	}
	if len(in.Input) > maxPayload {
		return nil, APIError{"InvalidExecutionInput", fmt.Sprintf("the input has %d bytes, %d are allowed",
			len(in.Input), maxPayload)}
	}
	x := &Execution{ARN: arn, Name: in.Name, MachineARN: in.MachineARN, MachineName: in.MachineName,
		RoleARN: in.RoleARN, Parent: in.parent, engine: e, machine: in.Machine, flow: in.Machine.flow, input: input}
	e.begin(x)
	if t := in.Machine.timeout; t > 0 {
		x.stopTimer = e.after(t, x.timeOut)
	}
	e.pump()
	return x, nil
}

// executionARN turns ...:stateMachine:NAME into ...:execution:NAME:EXECUTION.
func executionARN(machine, name string) (string, bool) {
	parts := strings.Split(machine, ":")
	if len(parts) != 7 || parts[0] != "arn" || parts[5] != "stateMachine" {
		return "", false
	}
	parts[5] = "execution"
	return strings.Join(parts, ":") + ":" + name, true
}

// begin registers an execution and queues its first state.
func (e *Engine) begin(x *Execution) {
	x.Status, x.Start, x.Input = Running, e.host.Now(), x.input.json()
	e.executions = append(e.executions, x)
	e.byARN[x.ARN] = x
	e.stats.Executions++
	x.root = &branch{x: x, flow: x.flow, vars: &variables{}}
	x.root.done = func(out *payload, f *fault) {
		if f != nil {
			x.finish(Failed, nil, f)
			return
		}
		x.finish(Succeeded, out, nil)
	}
	x.emit(record{typ: "ExecutionStarted", data: x.Input})
	e.enqueue(func() {
		if f := x.tooLarge(x.input, "the input of the execution"); f != nil {
			x.root.end(nil, f)
			return
		}
		x.root.start(x.input)
	})
}

// Execution finds an execution, children included, by its ARN.
func (e *Engine) Execution(arn string) (*Execution, bool) {
	x, ok := e.byARN[arn]
	return x, ok
}

// Executions lists all executions in the order of their start, children included.
func (e *Engine) Executions() []*Execution { return append([]*Execution(nil), e.executions...) }

// Stop aborts an execution, its children and its tasks. A closed execution stays as it is; an unknown one is an
// APIError ExecutionDoesNotExist.
func (e *Engine) Stop(arn, errorName, cause string) error {
	x, ok := e.byARN[arn]
	if !ok {
		return APIError{"ExecutionDoesNotExist", "there is no execution " + arn}
	}
	e.enqueue(func() { x.finish(Aborted, nil, &fault{name: errorName, cause: cause}) })
	e.pump()
	return nil
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats { return e.stats }
