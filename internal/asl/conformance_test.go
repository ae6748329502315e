package asl_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

// conformanceCase is one file of testdata/conformance: a machine, what its functions do, and what must come of it.
type conformanceCase struct {
	Name  string `json:"name"`
	Shows string `json:"shows"`
	// ComparedWith is "moto 5.2.1" when that interpreter gave the wanted outcome, "facts" when what is known of AWS
	// decides against it; Note then says what differs, with the source.
	ComparedWith string                     `json:"comparedWith"`
	Note         string                     `json:"note"`
	Unordered    bool                       `json:"unordered"` // events run side by side: only their counts matter
	Machine      json.RawMessage            `json:"machine"`
	Input        json.RawMessage            `json:"input"`
	Tasks        map[string][]scriptStep    `json:"tasks"` // by function name; the last step repeats
	Objects      map[string]json.RawMessage `json:"objects"`
	Want         conformanceWant            `json:"want"`
}

type scriptStep struct {
	Output     json.RawMessage `json:"output"`
	Echo       bool            `json:"echo"`
	Hang       bool            `json:"hang"`
	Big        int             `json:"big"`
	Error      string          `json:"error"`
	Message    string          `json:"message"`
	Heartbeats []int           `json:"heartbeats"`
	Answer     *struct {
		After        int             `json:"after"`
		Output       json.RawMessage `json:"output"`
		Error, Cause string
	} `json:"answer"`
}

type conformanceWant struct {
	Status      asl.Status      `json:"status"`
	Output      json.RawMessage `json:"output"`
	Error       string          `json:"error"`
	Cause       string          `json:"cause"` // of errors that the machine or its functions make; "" is not compared
	Events      []string        `json:"events"`
	Previous    []int64         `json:"previous"`
	Children    map[string]int  `json:"children"`    // by status
	ChildEvents []string        `json:"childEvents"` // of the first child
	Files       map[string]int  `json:"files"`       // written by ResultWriter: records, or fields of the manifest
}

func TestConformance(t *testing.T) {
	files, err := filepath.Glob("testdata/conformance/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 40)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var c conformanceCase
			require.NoError(t, json.Unmarshal(data, &c))
			require.Contains(t, []string{"moto 5.2.1", "facts"}, c.ComparedWith)
			require.False(t, c.ComparedWith == "facts" && c.Note == "",
				"a note goes with every decision against the comparison")
			c.run(t)
		})
	}
}

func (c *conformanceCase) run(t *testing.T) {
	h := newHost(1)
	for k, v := range c.Objects {
		h.objects[k] = v
	}
	h.task = c.script(t, h)
	e, x := execute(t, h, string(c.Machine), string(c.Input))

	assert.Equal(t, c.Want.Status, x.Status, "cause: %s", x.Cause)
	assert.Equal(t, c.Want.Error, x.Error, "cause: %s", x.Cause)
	if c.Want.Cause != "" {
		assert.Equal(t, c.Want.Cause, x.Cause)
	}
	if c.Want.Output != nil {
		assert.JSONEq(t, string(c.Want.Output), string(x.Output))
	}
	c.compareEvents(t, x)
	c.compareChildren(t, e, h)
}

func (c *conformanceCase) compareEvents(t *testing.T, x *asl.Execution) {
	got, want := eventTypes(x), slices.Clone(c.Want.Events)
	if c.Unordered {
		slices.Sort(got)
		slices.Sort(want)
		assert.Equal(t, want, got)
		return
	}
	assert.Equal(t, want, got)
	var previous []int64
	for _, e := range x.History() {
		previous = append(previous, e.PreviousID)
	}
	assert.Equal(t, c.Want.Previous, previous, "ids of previous events")
}

func (c *conformanceCase) compareChildren(t *testing.T, e *asl.Engine, h *fakeHost) {
	children := map[string]int{}
	var first *asl.Execution
	for _, x := range e.Executions()[1:] {
		children[string(x.Status)]++
		if first == nil {
			first = x
		}
	}
	assert.Equal(t, len(c.Want.Children), len(children))
	for status, n := range c.Want.Children {
		assert.Equal(t, n, children[status], status)
	}
	if first != nil {
		assert.Equal(t, c.Want.ChildEvents, eventTypes(first))
	}
	files := map[string]int{}
	for _, key := range h.put {
		var list []any
		var object map[string]any
		if json.Unmarshal(h.objects[key], &list) != nil {
			require.NoError(t, json.Unmarshal(h.objects[key], &object))
		}
		files[filepath.Base(key)] = len(list) + len(object)
	}
	assert.True(t, maps.Equal(c.Want.Files, files), "want files %v, got %v", c.Want.Files, files)
}

// script answers tasks as the case says.
func (c *conformanceCase) script(t *testing.T, h *fakeHost) func(asl.TaskCall, func(asl.TaskResult)) {
	calls := map[string]int{}
	return func(call asl.TaskCall, reply func(asl.TaskResult)) {
		var p struct {
			FunctionName string
			Payload      json.RawMessage
		}
		require.NoError(t, json.Unmarshal(call.Parameters, &p))
		invoke := p.FunctionName != ""
		if !invoke {
			p.FunctionName = call.Resource[strings.LastIndexByte(call.Resource, ':')+1:]
			p.Payload = call.Parameters
		}
		steps := c.Tasks[p.FunctionName]
		require.NotEmpty(t, steps, "function %s has no script", p.FunctionName)
		step := steps[min(calls[p.FunctionName], len(steps)-1)]
		calls[p.FunctionName]++
		step.play(t, h, call, p.Payload, invoke, reply)
	}
}

func (s scriptStep) play(t *testing.T, h *fakeHost, call asl.TaskCall, payload json.RawMessage, invoke bool,
	reply func(asl.TaskResult)) {
	if s.Hang {
		return
	}
	if s.Error != "" {
		cause, err := json.Marshal(struct {
			Type    string `json:"errorType"`
			Message string `json:"errorMessage"`
		}{s.Error, s.Message})
		require.NoError(t, err)
		reply(asl.TaskResult{Failure: &asl.Failure{Error: s.Error, Cause: string(cause)}})
		return
	}
	out := s.Output
	if s.Echo {
		out = payload
	}
	if s.Big > 0 {
		out = json.RawMessage(`"` + strings.Repeat("x", s.Big) + `"`)
	}
	if invoke {
		out = json.RawMessage(`{"ExecutedVersion":"$LATEST","Payload":` + string(out) + `,"StatusCode":200}`)
	}
	s.answer(t, h, call.Token)
	reply(asl.TaskResult{Output: out})
}

func (s scriptStep) answer(t *testing.T, h *fakeHost, token string) {
	for _, at := range s.Heartbeats {
		h.After(time.Duration(at)*time.Second, func() { assert.NoError(t, h.engine.SendTaskHeartbeat(token)) })
	}
	if a := s.Answer; a != nil {
		h.After(time.Duration(a.After)*time.Second, func() {
			if a.Error != "" {
				assert.NoError(t, h.engine.SendTaskFailure(token, a.Error, a.Cause))
				return
			}
			assert.NoError(t, h.engine.SendTaskSuccess(token, a.Output))
		})
	}
}
