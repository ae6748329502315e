package asl

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// callback is one attempt of a Task while it is awaited, and what its token stands for.
type callback struct {
	v          *visit
	parameters *payload
	attempt    int
	token      string
	submitted  bool // the resource has taken the request of a token task
	answered   bool // the token has been used
	closed     bool // the attempt is over
	answer     *TaskResult
	nested     *Execution    // that a startExecution.sync:2 task has started
	beat       time.Duration // HeartbeatSeconds
	stopBeat   func()
}

// beginTask schedules one attempt.
func (v *visit) beginTask() {
	t := v.s.task
	c := &callback{v: v, attempt: v.attempt}
	v.call, v.context = c, nil
	if t.token {
		c.token = v.engine().newToken()
	}
	parameters := v.effective
	if v.s.parameters != nil {
		out, f := v.s.parameters.eval(v.scope(v.effective.v))
		if f != nil {
			v.failEarly(f)
			return
		}
		parameters = newPayload(out)
	}
	f := v.b.x.tooLarge(parameters, "the effective input of the task")
	var limit, beat float64
	if f == nil && t.timeout.set {
		limit, f = v.number(t.timeout, "TimeoutSecondsPath", 1, maxSeconds)
	}
	if f == nil && t.heartbeat.set {
		beat, f = v.number(t.heartbeat, "HeartbeatSecondsPath", 1, maxSeconds)
	}
	if f == nil && beat > 0 && limit > 0 && beat >= limit {
		f = runtimeFault("HeartbeatSeconds %v must be smaller than TimeoutSeconds %v", beat, limit)
	}
	if f != nil {
		v.failEarly(f)
		return
	}
	v.schedule(c, parameters, limit, beat)
}

func (v *visit) schedule(c *callback, parameters *payload, limit, beat float64) {
	t := v.s.task
	c.parameters = parameters
	v.b.emit(record{typ: t.event("Scheduled"), s: v.s, data: parameters.json(), timeout: int32(limit),
		heartbeat: int32(beat)})
	v.b.emit(record{typ: t.event("Started"), s: v.s})
	if v.closed {
		return
	}
	if c.token != "" {
		v.engine().tokens[c.token] = c
	}
	if limit > 0 {
		v.later(time.Duration(limit)*time.Second, func() { v.taskTimedOut("") })
	}
	c.beat = time.Duration(beat) * time.Second
	c.restartHeartbeat()
	call := TaskCall{ExecutionARN: v.b.x.ARN, State: v.s.name, Resource: t.resource, Parameters: parameters.json(),
		Token: c.token, Attempt: v.retries}
	e := v.engine()
	e.host.Task(call, func(r TaskResult) {
		e.enqueue(func() { c.replied(r) })
		e.pump()
	})
}

func (t *taskFields) event(what string) string {
	if t.bareLambda {
		return "LambdaFunction" + what
	}
	return "Task" + what
}

// replied takes the answer of the resource. For a token task it only says that the request was taken, for a task that
// starts an execution which machine is meant.
func (c *callback) replied(r TaskResult) {
	if c.closed || c.submitted {
		return
	}
	if c.v.s.task.nested && r.Failure == nil && r.Start != nil {
		c.startNested(*r.Start)
		return
	}
	if c.token == "" || r.Failure != nil {
		c.settle(r)
		return
	}
	c.submitted = true
	c.v.b.emit(record{typ: "TaskSubmitted", s: c.v.s, data: r.Output})
	if c.answer != nil && !c.closed {
		c.settle(*c.answer)
	}
}

// settle ends the attempt.
func (c *callback) settle(r TaskResult) {
	v := c.v
	if r.Failure != nil {
		v.taskFailed(r.Failure.fault())
		return
	}
	if len(r.Output) == 0 {
		r.Output = json.RawMessage("null")
	}
	out, err := decodePayload(r.Output)
	if err != nil {
		v.taskFailed(runtimeFault("the output of the task is %v", err))
		return
	}
	if f := v.b.x.tooLarge(out, "the result of the task"); f != nil {
		v.taskFailed(f)
		return
	}
	v.b.emit(record{typ: v.s.task.event("Succeeded"), s: v.s, data: r.Output})
	v.succeed(out)
}

func (v *visit) taskFailed(f *fault) {
	v.b.emit(record{typ: v.s.task.event("Failed"), s: v.s, fault: f})
	v.fail(f)
}

func (v *visit) taskTimedOut(alias string) {
	f := &fault{name: errTimeout, alias: alias, noCause: true}
	v.b.emit(record{typ: v.s.task.event("TimedOut"), s: v.s, fault: f})
	v.fail(f)
}

func (c *callback) restartHeartbeat() {
	if c.beat <= 0 {
		return
	}
	if c.stopBeat != nil {
		c.stopBeat()
	}
	v := c.v
	c.stopBeat = v.engine().after(c.beat, func() {
		if !c.closed {
			v.taskTimedOut(errHeartbeat)
		}
	})
}

// tokenPrefix makes tokens hold the characters that base64 adds to letters and digits.
const tokenPrefix = "AQC+/8AAAAKgAAAAMAAAAAAAAAA"

// tokenBlocks hashes make tokens as long as those of AWS, about 700 characters.
const tokenBlocks = 8

func (e *Engine) newToken() string {
	seed := e.host.UUID()
	var raw []byte
	for i := range tokenBlocks {
		block := sha512.Sum512([]byte{byte(i), seed[0]})
		block = sha512.Sum512(append(block[:], seed...))
		raw = append(raw, block[:]...)
	}
	return tokenPrefix + base64.StdEncoding.EncodeToString(raw[:len(raw)-1]) + "="
}

// SendTaskSuccess ends a token task with an output. Errors are APIErrors: InvalidToken for what is no token,
// TaskDoesNotExist for one nobody gave out, TaskTimedOut when the task is no longer awaited, InvalidOutput for
// what is not JSON or larger than 256 KiB.
func (e *Engine) SendTaskSuccess(token string, output json.RawMessage) error {
	if len(output) > maxPayload || !json.Valid(output) {
		return APIError{"InvalidOutput", "the output must be JSON of at most 262144 bytes"}
	}
	return e.answerToken(token, TaskResult{Output: output})
}

// Limits of SendTaskFailure in characters. Source: SendTaskFailure, error and cause.
const (
	maxErrorName = 256
	maxCause     = 32_768
)

// SendTaskFailure ends a token task with an error. Errors are those of SendTaskSuccess without InvalidOutput, and
// ValidationException for a name above 256 or a cause above 32,768 characters.
func (e *Engine) SendTaskFailure(token, errorName, cause string) error {
	if utf8.RuneCountInString(errorName) > maxErrorName || utf8.RuneCountInString(cause) > maxCause {
		return APIError{"ValidationException", "error has at most 256 characters, cause 32768"}
	}
	return e.answerToken(token, TaskResult{Failure: &Failure{errorName, cause}})
}

func (e *Engine) answerToken(token string, r TaskResult) error {
	c, err := e.findToken(token)
	if err != nil {
		return err
	}
	c.answered = true
	c.answer = &r
	if c.submitted {
		e.enqueue(func() {
			if !c.closed {
				c.settle(r)
			}
		})
		e.pump()
	}
	return nil
}

// SendTaskHeartbeat starts HeartbeatSeconds anew. It leaves no event.
func (e *Engine) SendTaskHeartbeat(token string) error {
	c, err := e.findToken(token)
	if err != nil {
		return err
	}
	c.restartHeartbeat()
	return nil
}

func (e *Engine) findToken(token string) (*callback, error) {
	if !strings.HasPrefix(token, tokenPrefix) {
		return nil, APIError{"InvalidToken", "Invalid Token: 'Invalid token'"}
	}
	c, ok := e.tokens[token]
	if !ok {
		return nil, APIError{"TaskDoesNotExist", "Task does not exist"}
	}
	if c.closed || c.answered || c.v.b.x.Status != Running {
		return nil, APIError{"TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"}
	}
	return c, nil
}
