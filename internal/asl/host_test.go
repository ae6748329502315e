package asl_test

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

const machineARN = "arn:aws:states:us-east-1:123456789012:stateMachine:patch"

// timer is one entry of the fake clock.
type timer struct {
	at      time.Time
	seq     int
	f       func()
	stopped bool
}

type timers []*timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}

func (h timers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *timers) Push(x any) { *h = append(*h, x.(*timer)) }

func (h *timers) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// fakeHost is a host with its own clock; tasks answer as task says.
type fakeHost struct {
	now     time.Time
	heap    timers
	seq     int
	rand    *rand.Rand
	uuids   int
	calls   []asl.TaskCall
	task    func(c asl.TaskCall, reply func(asl.TaskResult))
	objects map[string][]byte
	put     []string
	refuse  map[string]asl.Failure // by action
	engine  *asl.Engine            // for scripts that answer tokens
}

func newHost(seed uint64) *fakeHost {
	return &fakeHost{
		now:     time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
		rand:    rand.New(rand.NewPCG(seed, 0)),
		objects: map[string][]byte{},
		task:    func(c asl.TaskCall, reply func(asl.TaskResult)) { reply(asl.TaskResult{Output: c.Parameters}) },
	}
}

func (h *fakeHost) Now() time.Time { return h.now }

func (h *fakeHost) Rand() *rand.Rand { return h.rand }

func (h *fakeHost) UUID() string {
	h.uuids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", h.uuids)
}

func (h *fakeHost) After(d time.Duration, f func()) func() {
	h.seq++
	t := &timer{at: h.now.Add(d), seq: h.seq, f: f}
	heap.Push(&h.heap, t)
	return func() { t.stopped = true }
}

func (h *fakeHost) Task(c asl.TaskCall, reply func(asl.TaskResult)) {
	h.calls = append(h.calls, c)
	h.task(c, reply)
}

func (h *fakeHost) GetObject(_, bucket, key string) ([]byte, *asl.Failure) {
	body, ok := h.objects[bucket+"/"+key]
	if !ok {
		return nil, &asl.Failure{Error: "S3.NoSuchKeyException", Cause: "The specified key does not exist."}
	}
	return body, nil
}

func (h *fakeHost) PutObject(_, bucket, key string, body []byte) *asl.Failure {
	if f, ok := h.refuse["s3:PutObject"]; ok {
		return &f
	}
	h.put = append(h.put, bucket+"/"+key)
	h.objects[bucket+"/"+key] = body
	return nil
}

func (h *fakeHost) Authorize(_, action, _ string) *asl.Failure {
	if f, ok := h.refuse[action]; ok {
		return &f
	}
	return nil
}

// run moves the clock until nothing is due, at most for the given virtual time.
func (h *fakeHost) run(limit time.Duration) {
	end := h.now.Add(limit)
	for len(h.heap) > 0 && !h.heap[0].at.After(end) {
		t := heap.Pop(&h.heap).(*timer)
		if !t.stopped {
			h.now = t.at
			t.f()
		}
	}
	if h.now.Before(end) && len(h.heap) > 0 {
		h.now = end
	}
}

func load(t testing.TB, definition string) *asl.Machine {
	t.Helper()
	root, err := asl.ParseJSON([]byte(definition))
	require.NoError(t, err)
	m, err := asl.Load(root)
	require.NoError(t, err)
	return m
}

// execute runs a definition to its end.
func execute(t testing.TB, h *fakeHost, definition, input string) (*asl.Engine, *asl.Execution) {
	t.Helper()
	e := asl.NewEngine(h)
	h.engine = e
	x, err := e.Start(asl.StartInput{Machine: load(t, definition), MachineARN: machineARN, MachineName: "patch",
		RoleARN: "arn:aws:iam::123456789012:role/patch", Name: "run-1", Input: json.RawMessage(input)})
	require.NoError(t, err)
	h.run(400 * 24 * time.Hour)
	return e, x
}

func eventTypes(x *asl.Execution) []string {
	var out []string
	for _, e := range x.History() {
		out = append(out, e.Type)
	}
	return out
}
