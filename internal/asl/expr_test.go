package asl_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
)

const exprInput = `{"n": 5, "s": "text", "null": null, "yes": true, "l": [3, 1, 2], "o": {"x": 1, "y": {"z": 2}}, "long": [],
	"rows": [{"k": "a", "v": 1}, {"k": "b", "v": 2, "ok": true}, {"k": "c"}], "a-b": {"c d": 7}, "big": 2147483647, "half": 1.5}`

// evaluate runs one expression in a Pass state.
func evaluate(t *testing.T, text string) *asl.Execution {
	t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	_, x := execute(t, newHost(1), `{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"r.$": `+
		string(quoted)+`}, "OutputPath": "$.r", "End": true}}}`, exprInput)
	return x
}

func TestExpressions(t *testing.T) {
	tests := []struct{ expr, want string }{
		{"$.o.y.z", `2`},
		{"$['a-b']['c d']", `7`},
		{`$["o"].x`, `1`},
		{"$.l[-1]", `2`},
		{"$.l[0,2]", `[3, 2]`},
		{"$.l[1:]", `[1, 2]`},
		{"$.l[:-1]", `[3, 1]`},
		{"$.l[0:3:2]", `[3, 2]`},
		{"$.l[9:]", `[]`},
		{"$['n','s']", `[5, "text"]`},
		{"$.o.*", `[1, {"z": 2}]`},
		{"$.rows[*].v", `[1, 2]`},
		{"$..z", `[2]`},
		{"$..rows[0]", `[{"k": "a", "v": 1}]`},
		{"$..[0].k", `["a"]`},
		{"$.rows[?(@.v)].k", `["a", "b"]`},
		{"$.rows[?(@.v > 1)].k", `["b"]`},
		{"$.rows[?(@.v >= 1 && @.v < 2)].k", `["a"]`},
		{"$.rows[?(@.k == 'a' || @.k == 'c')].k", `["a", "c"]`},
		{"$.rows[?(!(@.k == 'a'))].k", `["b", "c"]`},
		{"$.rows[?(@.k != 'a')].k", `["b", "c"]`},
		{"$.rows[?(@.ok == true)].k", `["b"]`},
		{"$.rows[?(@.v <= 1)].k", `["a"]`},
		{"$.rows[?('b' < @.k)].k", `["c"]`},
		{"$.null", `null`},
		{"$$.Execution.Name", `"run-1"`},
		{"States.Array()", `[]`},
		{"States.Array($.n, null, 'x', -1.5, false, States.Array(1))", `[5, null, "x", -1.5, false, [1]]`},
		{"States.ArrayPartition($.l, 2)", `[[3, 1], [2]]`},
		{"States.ArrayContains($.rows, $.rows[2])", `true`},
		{"States.ArrayRange(1, 9, 2)", `[1, 3, 5, 7, 9]`},
		{"States.ArrayRange(1, 0, 1)", `[]`},
		{"States.ArrayUnique(States.Array(1, '1', 1, $.o, $.o))", `[1, "1", {"x": 1, "y": {"z": 2}}]`},
		{"States.Base64Decode(States.Base64Encode('é'))", `"é"`},
		{`States.Format('it\'s \{\} {} {} {} {}', $.n, $.s, true, null)`, `"it's {} 5 text true null"`},
		{"States.Format($.s)", `"text"`},
		{"States.Format('{}', 1.50)", `"1.5"`},
		{"States.Hash('x', 'SHA-1')", `"11f6ad8ec52a2984abaafd7c3b516503785c2072"`},
		{"States.JsonMerge($.o, States.StringToJson('{\"x\": 2}'), false)", `{"x": 2, "y": {"z": 2}}`},
		{"States.JsonToString($.o)", `"{\"x\":1,\"y\":{\"z\":2}}"`},
		{"States.StringSplit('a,,b;c', ',;')", `["a", "b", "c"]`},
		{"States.MathAdd($.n, -7)", `-2`},
		{"States.MathRandom(1, 2)", `1`},
		{"States.ArrayLength(States.Array(States.MathRandom(1, 99, 7), States.UUID()))", `2`},
		{"States.ArrayGetItem($.l, States.MathAdd(1, 1))", `2`},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			x := evaluate(t, tt.expr)
			require.Equal(t, asl.Succeeded, x.Status, x.Cause)
			assert.JSONEq(t, tt.want, string(x.Output))
		})
	}
}

func TestExpressions_Fail(t *testing.T) {
	tests := []struct{ expr, errorName, cause string }{
		{"$.missing", "States.Runtime", "path '$.missing' names nothing in its input"},
		{"$.l[3]", "States.Runtime", "path '$.l[3]' names nothing in its input"},
		{"$.l.x", "States.Runtime", "path '$.l.x' names nothing in its input"},
		{"$.n[0]", "States.Runtime", "path '$.n[0]' names nothing in its input"},
		{"States.Format('{}', $.o)", "States.IntrinsicFailure",
			"States.Format: values must be texts, numbers, booleans or null"},
		{"States.Format($.s, 1)", "States.IntrinsicFailure",
			"States.Format: the text has 0 places {}, there are 1 values"},
		{"States.Format($.n)", "States.IntrinsicFailure", "States.Format: the first argument must be a text"},
		{"States.ArrayLength($.n)", "States.IntrinsicFailure", "States.ArrayLength: the argument must be an array"},
		{"States.ArrayGetItem($.l, 3)", "States.IntrinsicFailure",
			"States.ArrayGetItem: index 3 is outside an array of 3"},
		{"States.ArrayPartition($.l, 0)", "States.IntrinsicFailure",
			"States.ArrayPartition: the size of a part must be a positive whole number"},
		{"States.ArrayRange(1, 1001, 1)", "States.IntrinsicFailure", "States.ArrayRange: more than 1000 elements"},
		{"States.ArrayRange(1, 3, 0)", "States.IntrinsicFailure", "States.ArrayRange: the step must be positive"},
		{"States.MathAdd($.big, 1)", "States.IntrinsicFailure", "States.MathAdd: the sum does not fit 32 bits"},
		{"States.MathAdd($.half, 1)", "States.IntrinsicFailure",
			"States.MathAdd: the argument must be a 32-bit whole number"},
		{"States.MathRandom(2, 2)", "States.IntrinsicFailure", "States.MathRandom: the end must be above the start"},
		{"States.JsonMerge($.o, $.n, false)", "States.IntrinsicFailure",
			"States.JsonMerge: the first two arguments must be objects"},
		{"States.JsonMerge($.o, $.o, $.yes)", "States.IntrinsicFailure",
			"States.JsonMerge: the third argument must be false: deep merging does not exist"},
		{"States.StringToJson($.s)", "States.IntrinsicFailure",
			"States.StringToJson: invalid character 'e' in literal true (expecting 'r')"},
		{"States.StringSplit($.n, ',')", "States.IntrinsicFailure", "States.StringSplit: the argument must be a text"},
		{"States.Hash('x', $.s)", "States.IntrinsicFailure",
			"States.Hash: the algorithm must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512"},
		{"States.Base64Encode(States.Format('{}{}{}', States.JsonToString(States.ArrayRange(1, 1000, 1)), " +
			"States.JsonToString(States.ArrayRange(1, 1000, 1)), States.JsonToString(States.ArrayRange(1, 1000, 1))))",
			"States.IntrinsicFailure", "States.Base64Encode: more than 10000 characters"},
		{"States.Base64Decode('*')", "States.IntrinsicFailure",
			"States.Base64Decode: illegal base64 data at input byte 0"},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			x := evaluate(t, tt.expr)
			assert.Equal(t, tt.errorName, x.Error)
			_, cause, _ := strings.Cut(x.Cause, "). ")
			assert.Equal(t, tt.cause, cause)
		})
	}
}

func TestChoice_Operators(t *testing.T) {
	tests := []struct {
		rule string
		want bool
	}{
		{`"Variable": "$.s", "StringEquals": "text"`, true},
		{`"Variable": "$.s", "StringEquals": "Text"`, false},
		{`"Variable": "$.s", "StringLessThan": "u"`, true},
		{`"Variable": "$.s", "StringLessThanEquals": "text"`, true},
		{`"Variable": "$.s", "StringGreaterThan": "text"`, false},
		{`"Variable": "$.s", "StringGreaterThanEqualsPath": "$.s"`, true},
		{`"Variable": "$.s", "StringMatches": "t*t"`, true},
		{`"Variable": "$.s", "StringMatches": "*"`, true},
		{`"Variable": "$.s", "StringMatches": "t*x"`, false},
		{`"Variable": "$.s", "StringMatches": "te*ext"`, false},
		{`"Variable": "$.s", "StringMatches": "tex"`, false},
		{`"Variable": "$.n", "StringEquals": "5"`, false},
		{`"Variable": "$.n", "NumericEquals": 5`, true},
		{`"Variable": "$.n", "NumericLessThan": 5`, false},
		{`"Variable": "$.n", "NumericLessThanEquals": 5`, true},
		{`"Variable": "$.n", "NumericGreaterThan": 4.9`, true},
		{`"Variable": "$.n", "NumericGreaterThanEqualsPath": "$.big"`, false},
		{`"Variable": "$.n", "NumericEqualsPath": "$.s"`, false},
		{`"Variable": "$.yes", "BooleanEquals": true`, true},
		{`"Variable": "$.yes", "BooleanEquals": false`, false},
		{`"Variable": "$.s", "BooleanEquals": true`, false},
		{`"Variable": "$.yes", "BooleanEqualsPath": "$.yes"`, true},
		{`"Variable": "$$.Execution.StartTime", "TimestampEquals": "2026-11-01T13:00:00+01:00"`, true},
		{`"Variable": "$$.Execution.StartTime", "TimestampGreaterThan": "2026-11-01T12:00:00Z"`, false},
		{`"Variable": "$$.Execution.StartTime", "TimestampLessThanEqualsPath": "$$.State.EnteredTime"`, true},
		{`"Variable": "$.s", "TimestampEquals": "2026-11-01T12:00:00Z"`, false},
		{`"Variable": "$$.Execution.StartTime", "IsTimestamp": true`, true},
		{`"Variable": "$.s", "IsTimestamp": true`, false},
		{`"Variable": "$.null", "IsNull": true`, true},
		{`"Variable": "$.null", "IsPresent": true`, true},
		{`"Variable": "$.missing", "IsPresent": false`, true},
		{`"Variable": "$.o", "IsString": true`, false},
		{`"Variable": "$.half", "IsNumeric": true`, true},
		{`"Variable": "$.yes", "IsBoolean": false`, false},
		{`"Not": {"Variable": "$.yes", "BooleanEquals": true}`, false},
		{`"Or": [{"Variable": "$.n", "NumericEquals": 5}, {"Variable": "$.missing", "NumericEquals": 5}]`, true},
		{`"And": [{"Variable": "$.n", "NumericEquals": 6}, {"Variable": "$.missing", "NumericEquals": 5}]`, false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, x := execute(t, newHost(1), `{"StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [{`+tt.rule+
				`, "Next": "Y"}], "Default": "N"},
				"Y": {"Type": "Pass", "Result": true, "End": true}, "N": {"Type": "Pass", "Result": false, "End": true}}}`, exprInput)
			require.Equal(t, asl.Succeeded, x.Status, x.Cause)
			assert.Equal(t, tt.want, string(x.Output) == "true")
		})
	}
}
