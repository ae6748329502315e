package asl_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

// TestLoad_Problems compares everything that Load says about broken definitions, with the lines.
func TestLoad_Problems(t *testing.T) {
	data, err := os.ReadFile("testdata/load.json")
	require.NoError(t, err)
	var cases []struct {
		Name             string
		Definition, Want []string
	}
	require.NoError(t, json.Unmarshal(data, &cases))
	require.Greater(t, len(cases), 50)
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			root, err := asl.ParseJSON([]byte(strings.Join(tt.Definition, "\n")))
			require.NoError(t, err)

			_, err = asl.Load(root)

			var problems asl.Problems
			require.True(t, errors.As(err, &problems))
			assert.Equal(t, tt.Want, strings.Split(err.Error(), "\n"))
		})
	}
}

func TestLoad_NothingAtAll(t *testing.T) {
	_, err := asl.Load(nil)
	assert.EqualError(t, err, "line 0: /: there is no definition")
}

func TestLoad_RefusesValuesThatAreNoJSON(t *testing.T) {
	pass := func(result *asl.Node) *asl.Node {
		return &asl.Node{Line: 1, Value: []asl.Field{
			{Key: "StartAt", Line: 1, Value: &asl.Node{Line: 1, Value: "A"}},
			{Key: "States", Line: 2, Value: &asl.Node{Line: 2, Value: []asl.Field{
				{Key: "A", Line: 3, Value: &asl.Node{Line: 3, Value: []asl.Field{
					{Key: "Type", Line: 4, Value: &asl.Node{Line: 4, Value: "Succeed"}},
					{Key: "Comment", Line: 5, Value: result}}}}}}}}}
	}
	cyclic := &asl.Node{Line: 5}
	cyclic.Value = []*asl.Node{cyclic}
	tests := []struct {
		name  string
		value *asl.Node
		want  string
	}{
		{"a Go integer", &asl.Node{Line: 5, Value: 7}, "line 5: /A/Comment: a value of type int is no JSON"},
		{"an infinite number", &asl.Node{Line: 5, Value: math.Inf(1)}, "line 5: /A/Comment: +Inf is no number of JSON"},
		{"a cycle", cyclic, "nested deeper than 200 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := asl.Load(pass(tt.value))
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestParseJSON_RefusesWhatIsNoJSON(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty text", "", "line 1: the text ends where a value is due"},
		{"text after the value", "{}\n{}", "line 2: text after the value"},
		{"key without quotes", "{\na: 1}", "line 2: a key in double quotes is due"},
		{"missing colon", `{"a" 1}`, `line 1: a colon is due after key "a"`},
		{"missing comma in an object", `{"a": 1 "b": 2}`, "line 1: a comma or the end of the object is due"},
		{"missing comma in an array", "[1\n2]", "line 2: a comma or the end of the array is due"},
		{"trailing comma", "[1,]", "line 1: unexpected character ']'"},
		{"bad number", "[01]", "line 1: bad number 01"},
		{"number out of range", "[1e999]", "line 1: number 1e999 is out of range"},
		{"open string", `"abc`, "line 1: a string without its end"},
		{"bad escape", `"\x"`, "line 1: bad string"},
		{"line break in a string", "\"a\nb\"", "line 1: control character in a string"},
		{"not UTF-8", "\"\xff\"", "line 1: the text is not UTF-8"},
		{"too deep", strings.Repeat("[", 300), "line 1: nested deeper than 200 levels"},
		{"unknown word", "nul", "line 1: unexpected character 'n'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := asl.ParseJSON([]byte(tt.text))
			assert.EqualError(t, err, tt.want)
		})
	}
}

func TestParseJSON_KeepsLines(t *testing.T) {
	n, err := asl.ParseJSON([]byte("{\n\"a\": [1,\n\"x\\u00e9\"],\n\"b\":\n true}"))
	require.NoError(t, err)

	fields := n.Value.([]asl.Field)
	assert.Equal(t, 2, fields[0].Line)
	items := fields[0].Value.Value.([]*asl.Node)
	assert.Equal(t, 3, items[1].Line)
	assert.Equal(t, "xé", items[1].Value)
	assert.Equal(t, 4, fields[1].Line)
	assert.Equal(t, 5, fields[1].Value.Line)
}

func TestMachine_States(t *testing.T) {
	m := load(t, `{"StartAt": "Send", "TimeoutSeconds": 60, "States": {
"Send": {"Type": "Task", "Comment": "why", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"},
  "TimeoutSeconds": 5, "ResultPath": "$.r", "Next": "Waves",
  "Retry": [{"ErrorEquals": ["A", "B"], "MaxAttempts": 7}], "Catch": [{"ErrorEquals": ["C"], "Next": "Done"}]},
"Waves": {"Type": "Map", "Next": "Done", "ItemProcessor": {"StartAt": "Ask", "States": {
  "Ask": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": true, "Next": "Good"}], "Default": "Good"},
  "Good": {"Type": "Succeed"}}}},
"Done": {"Type": "Succeed"}}}`)

	states := m.States()

	require.Len(t, states, 5)
	assert.Equal(t, asl.StateInfo{Name: "Send", Type: "Task", Comment: "why", Line: 2, Path: "/Send",
		Resource: "arn:aws:states:::lambda:invoke", Retry: []string{"A", "B"}, Attempts: []int{7}, Catch: []string{"C"},
		HasTimeout: true, ResultPath: "$.r", Next: []string{"Done", "Waves"}}, states[0])
	assert.Equal(t, asl.StateInfo{Name: "Ask", Type: "Choice", Line: 6, Path: "/Waves/ItemProcessor/Ask",
		Next: []string{"Good"}}, states[2])
	assert.Equal(t, []string{"arn:aws:states:::lambda:invoke"}, m.Resources())
	assert.Equal(t, "1m0s", m.Timeout().String())
}

// FuzzLoad: whatever the text, parsing, loading and running end without a panic.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(twoTasks))
	f.Add(
		[]byte(
			`{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"x.$": "States.Format('{}', $.l[?(@.a > 1 && !(@.b == 'x'))][0:2:1])"}, "End": true}}}`))
	f.Add(
		[]byte(
			`{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Not": {"Variable": "$..x[-1]", "StringMatches": "a*\\*"}, "Next": "A"}]}}}`))
	f.Add(
		[]byte(
			`{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true}}}`))
	files, err := filepath.Glob("testdata/conformance/*.json")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		var c conformanceCase
		require.NoError(f, json.Unmarshal(data, &c))
		f.Add([]byte(c.Machine))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := asl.ParseJSON(data)
		if err != nil {
			return
		}
		m, err := asl.Load(root)
		if err != nil {
			return
		}
		h := newHost(1)
		x, err := asl.NewEngine(h).Start(asl.StartInput{Machine: m, MachineARN: machineARN, Name: "fuzz",
			Input: json.RawMessage(`{"v": 1, "l": [{"a": 2, "b": "y"}, {"a": 1}]}`)})
		require.NoError(t, err)
		h.run(3_600_000_000_000)
		require.LessOrEqual(t, x.Events(), 25_000)
	})
}
