package sim

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
	"ec2patch/internal/sim/world"
)

// host is the world as the States Language sees it.
type host struct{ *stage }

func (h host) Now() time.Time { return h.world.Now() }

func (h host) After(d time.Duration, f func()) (stop func()) { return h.world.After(d, f) }

func (h host) Rand() *rand.Rand { return h.world.Rand("states") }

// UUID is a version 4 UUID out of the seed.
func (h host) UUID() string {
	r := h.world.Rand("states/uuid")
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// machinePrincipal is the state machine's own session.
func (h host) machinePrincipal() *world.Principal {
	p, err := h.world.Session(h.machine.RoleARN, "states")
	if err != nil {
		return &world.Principal{RoleARN: h.machine.RoleARN}
	}
	return p
}

// Task invokes a function.
func (h host) Task(c asl.TaskCall, reply func(asl.TaskResult)) {
	later := func(d time.Duration, r asl.TaskResult) { h.world.After(d, func() { reply(r) }) }
	fail := func(name, cause string) {
		later(10*time.Millisecond, asl.TaskResult{Failure: &asl.Failure{Error: name, Cause: cause}})
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
	call := &world.Call{
		Principal: h.machinePrincipal(), Account: hubAccount, Region: hubRegion, Service: "lambda", Operation: "Invoke", Input: p.FunctionName,
		Access: []world.Access{{Action: "lambda:InvokeFunction", Resources: []string{p.FunctionName}}},
	}
	if err := h.world.Allow(context.Background(), call); err != nil {
		fail("Lambda.AWSLambdaException", err.Error())
		return
	}
	f, ok := h.hub.Function(p.FunctionName)
	l := h.lambdas[f.Name]
	if !ok || l == nil {
		fail("Lambda.ResourceNotFoundException", "Function not found: "+p.FunctionName)
		return
	}
	out, took, failure := l.invoke(p.Payload)
	h.watch(l, p.Payload, out, failure)
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

// GetObject reads the items of a map.
func (h host) GetObject(_, bucket, key string) ([]byte, *asl.Failure) {
	out, err := h.world.S3(h.machinePrincipal(), hubRegion).GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
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
func (h host) PutObject(_, bucket, key string, body []byte) *asl.Failure {
	_, err := h.world.S3(h.machinePrincipal(), hubRegion).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return &asl.Failure{Error: "States.ResultWriterFailed", Cause: err.Error()}
	}
	return nil
}

// Authorize judges what the service does itself.
func (h host) Authorize(_, action, resource string) *asl.Failure {
	service, operation, _ := cut(action)
	call := &world.Call{
		Principal: h.machinePrincipal(), Account: hubAccount, Region: hubRegion, Service: service, Operation: operation,
		Access: []world.Access{{Action: action, Resources: []string{resource}}},
	}
	if err := h.world.Allow(context.Background(), call); err != nil {
		return &asl.Failure{Error: "States.Permissions", Cause: err.Error()}
	}
	return nil
}
