package runinput_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/golden"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

func TestSchema_file(t *testing.T) {
	golden.Equal(t, "../../../examples/run-input.schema.json", runinput.Schema())
}

func TestSchema_isVisibleASCII(t *testing.T) {
	assert.Equal(t, -1, strings.IndexFunc(string(runinput.Schema()), func(r rune) bool {
		return r != '\n' &&
			(r < ' ' || r > '~')
	}))
}

func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*-inputs/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 7)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = runinput.ParseInput(data, runinput.HubDefaults())
			assert.NoError(t, err)
			assert.Empty(t, validateSchema(t, data))

			var doc struct {
				Schema string `json:"$schema"`
			}
			require.NoError(t, json.Unmarshal(data, &doc))
			assert.FileExists(t, filepath.Join(filepath.Dir(file), doc.Schema), "$schema leads to the schema")
		})
	}
}

// What the parser refuses the schema refuses too, except for the rules that
// it cannot say.
func TestSchema_refusesWhatTheParserRefuses(t *testing.T) {
	bad := []string{
		`{}`, `[]`, `{"waves":[]}`, `{"waves":[{}]}`, `{"accounts":["111111111111"]}`, `{"regions":["us-east-1"]}`,
		`{"accounts":[],"regions":["us-east-1"]}`,
		`{"waves":[{"accounts":[],"regions":["us-east-1"]}]}`,
		`{"waves":[{"accounts":[123456789012],"regions":["us-east-1"]}]}`,
		`{"waves":[{"accounts":["111111111111"],"regions":["us-east-9"]}]}`,
		`{"waves":[{"accounts":["111111111111","111111111111"],"regions":["us-east-1"]}]}`,
		wave(`,"name":"children"`), `{"waveId":"slices","accounts":["111111111111"],"regions":["us-east-1"]}`,
		run(`,"accountWaves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]`),
		run(`,"tagFilters":{}`), run(`,"approval":"once","approvalRequired":true`), run(`,"wavePauseSeconds":-1`),
		run(`,"requireDistinct":3`), run(`,"dryRun":null`), run(`,"x":1`), run(`,"reason":"a\nb"`),
		run(`,"reason":"` + strings.Repeat("é", 1001) + `"`),
		wave(`,"ssm":{"maxConcurrency":"0"}`), wave(`,"ssm":{"maxErrors":"101%"}`), wave(`,"filters":{"platforms":[]}`),
		wave(`,"filters":{"tags":{"":["x"]}}`), wave(`,"filters":{"tags":{"K":["*"]}}`),
		wave(`,"filters":{"instanceIds":["i-1"]}`),
	}
	for _, input := range bad {
		_, err := runinput.ParseInput([]byte(input), runinput.HubDefaults())
		assert.Error(t, err, input)
		assert.NotEmpty(t, validateSchema(t, []byte(input)), input)
	}
}

// Every field that an input can be stored with is in the schema.
func TestSchema_hasEveryFieldOfTheInput(t *testing.T) {
	in := smallest()
	in.RunKey, in.RequestedBy, in.Reason, in.Resume = "k", "me", "why", "run-1"
	w := &in.Waves[0]
	w.OrganizationalUnits, w.HealthGate.Alarms = []string{"r-ab12"},
		[]string{"arn:aws:cloudwatch:us-east-1:111111111111:alarm:a"}
	w.Filters.InstanceIDs, w.Filters.Tags = []patch.InstanceID{"i-01234567"}, map[string][]string{}
	data, err := json.Marshal(in)
	require.NoError(t, err)
	assert.Empty(t, validateSchema(t, data))
	assert.Equal(t, in, parse(t, string(data)))
}

// validateSchema checks data against Schema. It knows the keywords that
// Schema uses and fails the test on any other.
func validateSchema(t *testing.T, data []byte) []string {
	t.Helper()
	var root map[string]any
	require.NoError(t, json.Unmarshal(runinput.Schema(), &root))
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return []string{err.Error()}
	}
	v := schemaValidator{t: t, defs: root["$defs"].(map[string]any)}
	return v.check("$", root, value)
}

type schemaValidator struct {
	t    *testing.T
	defs map[string]any
}

func (v schemaValidator) check(path string, schema, value any) []string {
	rules, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			return []string{path + " is not allowed"}
		}
		return nil
	}
	var found []string
	for _, keyword := range slices.Sorted(maps.Keys(rules)) {
		found = append(found, v.keyword(path, keyword, rules, value)...)
	}
	return found
}

func (v schemaValidator) keyword(path, keyword string, rules map[string]any, value any) []string {
	rule := rules[keyword]
	fail := func(ok bool) []string {
		if ok {
			return nil
		}
		return []string{fmt.Sprintf("%s breaks %s %v", path, keyword, rule)}
	}
	text, _ := value.(string)
	number, _ := value.(float64)
	list, isList := value.([]any)
	object, _ := value.(map[string]any)
	switch keyword {
	case "$schema", "$id", "$defs", "title", "description", "default":
		return nil
	case "$ref":
		return v.check(path, v.defs[strings.TrimPrefix(rule.(string), "#/$defs/")], value)
	case "type":
		return fail(typeOf(value) == rule || rule == "integer" && typeOf(value) == "number" &&
			number == float64(int(number)))
	case "minimum":
		return fail(number >= rule.(float64))
	case "maximum":
		return fail(number <= rule.(float64))
	case "pattern":
		return fail(regexp.MustCompile(rule.(string)).MatchString(text))
	case "enum":
		return fail(slices.Contains(rule.([]any), value))
	case "minItems":
		return fail(!isList || len(list) >= int(rule.(float64)))
	case "maxItems":
		return fail(len(list) <= int(rule.(float64)))
	case "maxProperties":
		return fail(len(object) <= int(rule.(float64)))
	case "uniqueItems":
		return fail(!repeats(list))
	case "required":
		return fail(!slices.ContainsFunc(rule.([]any), func(name any) bool {
			_, ok := object[name.(string)]
			return !ok
		}))
	case "items":
		return v.each(path, rule, list)
	case "propertyNames":
		var found []string
		for _, key := range slices.Sorted(maps.Keys(object)) {
			found = append(found, v.check(path+"."+key, rule, key)...)
		}
		return found
	case "properties":
		return v.members(path, rule.(map[string]any), object)
	case "additionalProperties":
		known, _ := rules["properties"].(map[string]any)
		rest := map[string]any{}
		for key := range object {
			if _, ok := known[key]; !ok {
				rest[key] = rule
			}
		}
		return v.members(path, rest, object)
	case "oneOf":
		return fail(v.count(rule, value) == 1)
	case "anyOf":
		return fail(v.count(rule, value) > 0)
	case "not":
		return fail(len(v.check(path, rule, value)) > 0)
	}
	v.t.Fatalf("the validator of this test does not know the keyword %q", keyword)
	return nil
}

func (v schemaValidator) each(path string, schema any, list []any) []string {
	var found []string
	for i, item := range list {
		found = append(found, v.check(path+"["+strconv.Itoa(i)+"]", schema, item)...)
	}
	return found
}

func (v schemaValidator) members(path string, schemas, object map[string]any) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(schemas)) {
		if value, ok := object[key]; ok {
			found = append(found, v.check(path+"."+key, schemas[key], value)...)
		}
	}
	return found
}

// count tells how many of the schemas take the value.
func (v schemaValidator) count(schemas, value any) int {
	n := 0
	for _, schema := range schemas.([]any) {
		if len(v.check("", schema, value)) == 0 {
			n++
		}
	}
	return n
}

func repeats(list []any) bool {
	for i, item := range list {
		if text, ok := item.(string); ok && utf8.ValidString(text) && slices.Contains(list[:i], item) {
			return true
		}
	}
	return false
}

func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}
