package stage

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ec2patch/internal/asl"
	"ec2patch/internal/sim/world/core"
)

// host is the world as the States Language sees it.
type host struct{ *Stage }

func (h host) Now() time.Time { return h.World.Now() }

func (h host) After(d time.Duration, f func()) (stop func()) { return h.World.After(d, f) }

func (h host) Rand() *rand.Rand { return h.World.Rand("states") }

// UUID is a version 4 UUID out of the seed.
func (h host) UUID() string {
	r := h.World.Rand("states/uuid")
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// principal is the session of the machine that an execution belongs to.
func (h host) principal(executionARN string) *core.Principal {
	role := h.Machine.RoleARN
	if x, ok := h.Engine.Execution(executionARN); ok {
		role = x.RoleARN
	}
	p, err := h.World.Session(role, "states")
	if err != nil {
		return &core.Principal{RoleARN: role}
	}
	return p
}

// Task invokes a function, or says which machine a task starts.
func (h host) Task(c asl.TaskCall, reply func(asl.TaskResult)) {
	later := func(d time.Duration, r asl.TaskResult) { h.World.After(d, func() { reply(r) }) }
	fail := func(name, cause string) {
		later(10*time.Millisecond, asl.TaskResult{Failure: &asl.Failure{Error: name, Cause: cause}})
	}
	if c.Resource == "arn:aws:states:::states:startExecution.sync:2" {
		if start, failure := h.nested(c); failure != nil {
			fail(failure.Error, failure.Cause)
		} else {
			later(startTime, asl.TaskResult{Start: start})
		}
		return
	}
	if c.Resource != "arn:aws:states:::lambda:invoke" {
		fail("States.TaskFailed", "the simulation has no resource "+c.Resource)
		return
	}
	var p struct {
		FunctionName string
		Payload      json.RawMessage
	}
	if err := json.Unmarshal(c.Parameters, &p); err != nil {
		fail("States.Runtime", err.Error())
		return
	}
	call := &core.Call{
		Principal: h.principal(c.ExecutionARN), Account: HubAccount, Region: HubRegion, Service: "lambda",
		Operation: "Invoke", Input: p.FunctionName,
		Access: []core.Access{{Action: "lambda:InvokeFunction", Resources: []string{p.FunctionName}}},
	}
	if err := h.World.Allow(context.Background(), call); err != nil {
		fail("Lambda.AWSLambdaException", err.Error())
		return
	}
	f, ok := h.Hub.Function(p.FunctionName)
	l := h.Lambdas[f.Name]
	if !ok || l == nil {
		fail("Lambda.ResourceNotFoundException", "Function not found: "+p.FunctionName)
		return
	}
	out, took, failure := l.Invoke(p.Payload)
	h.told(l, p.Payload, out, failure)
	if failure != nil {
		later(took, asl.TaskResult{Failure: failure})
		return
	}
	answer, err := json.Marshal(map[string]any{"ExecutedVersion": "1", "StatusCode": 200, "Payload": json.RawMessage(out)})
	if err != nil {
		fail("States.Runtime", err.Error())
		return
	}
	later(took, asl.TaskResult{Output: answer})
}

// startTime is what StartExecution takes, as any quick call.
const startTime = 30 * time.Millisecond

// nested is the machine that a task starts, if the role of the task's machine may. A refusal has the name that the
// integration gives to what is no error of StartExecution's own.
func (h host) nested(c asl.TaskCall) (*asl.StartInput, *asl.Failure) {
	var p struct{ StateMachineArn string }
	if err := json.Unmarshal(c.Parameters, &p); err != nil {
		return nil, &asl.Failure{Error: "States.Runtime", Cause: err.Error()}
	}
	call := &core.Call{
		Principal: h.principal(c.ExecutionARN), Account: HubAccount, Region: HubRegion, Service: "states",
		Operation: "StartExecution", Input: p.StateMachineArn,
		Access: []core.Access{{Action: "states:StartExecution", Resources: []string{p.StateMachineArn}}},
	}
	if err := h.World.Allow(context.Background(), call); err != nil {
		return nil, &asl.Failure{Error: "StepFunctions.AWSStepFunctionsException", Cause: err.Error()}
	}
	start, ok := h.machines[p.StateMachineArn]
	if !ok {
		return nil,
			&asl.Failure{Error: "StepFunctions.StateMachineDoesNotExistException",
				Cause: "State Machine Does Not Exist: '" + p.StateMachineArn + "'"}
	}
	return &start, nil
}

// GetObject reads the items of a map.
func (h host) GetObject(executionARN, bucket, key string) ([]byte, *asl.Failure) {
	out,
		err := h.World.S3(h.principal(executionARN), HubRegion).GetObject(context.Background(),
		&s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, &asl.Failure{Error: "States.ItemReaderFailed", Cause: err.Error()}
	}
	data, err := io.ReadAll(out.Body)
	if err != nil {
		return nil, &asl.Failure{Error: "States.ItemReaderFailed", Cause: err.Error()}
	}
	return data, nil
}

// PutObject writes the results of a map.
func (h host) PutObject(executionARN, bucket, key string, body []byte) *asl.Failure {
	_, err := h.World.S3(h.principal(executionARN), HubRegion).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return &asl.Failure{Error: "States.ResultWriterFailed", Cause: err.Error()}
	}
	return nil
}

// Authorize judges what the service does itself.
func (h host) Authorize(executionARN, action, resource string) *asl.Failure {
	service, operation, _ := SplitAction(action)
	call := &core.Call{
		Principal: h.principal(executionARN), Account: HubAccount, Region: HubRegion, Service: service, Operation: operation,
		Access: []core.Access{{Action: action, Resources: []string{resource}}},
	}
	if err := h.World.Allow(context.Background(), call); err != nil {
		return &asl.Failure{Error: "States.Permissions", Cause: err.Error()}
	}
	return nil
}
