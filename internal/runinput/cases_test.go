package runinput_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/golden"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

func caseInput(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/cases/" + name + ".json")
	require.NoError(t, err)
	return data
}

// What people paste is answered with what to write in its place.
func TestParseInput_remedyOfCase(t *testing.T) {
	for _, name := range []string{"accts", "wrapped", "simple-custom-docs"} {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			for _, p := range problems(t, string(caseInput(t, name))) {
				fmt.Fprintln(&lines, p)
			}
			golden.Equal(t, "cases/"+name+".want.txt", []byte(lines.String()))
		})
	}
}

func TestParseInput_advice(t *testing.T) {
	accounts := func(text string) string { return `{"waves":[{"accounts":[` + text + `],"regions":["us-east-1"]}]}` }
	tests := []struct{ name, input, want string }{
		{"account id of a spreadsheet", accounts(`1234567890`),
			`write it in quotes, with the zeros that a number loses: "001234567890"`},
		{"ARN of an account", accounts(`"arn:aws:organizations::999999999999:account/o-a1b2c3d4e5/111111111111"`),
			`write the account id alone: "111111111111"`},
		{"ARN of a unit as account", accounts(`"arn:aws:organizations::999999999999:ou/o-a1b2c3d4e5/ou-ab12-cdef3456"`),
			`this is a unit or a root: put its id "ou-ab12-cdef3456" into organizationalUnits`},
		{"organization as account", accounts(`"o-a1b2c3d4e5"`),
			`this is the id of the organization: put its root, as "r-ab12", into organizationalUnits`},
		{"account id in lines", accounts(`"1234.5678.9012"`),
			`write its twelve digits and nothing else: "123456789012"`},
		{"account as unit", wave(`,"organizationalUnits":["111111111111"]`),
			"this is an account id: put it into accounts"},
		{"organization as unit", wave(`,"organizationalUnits":["o-a1b2c3d4e5"]`),
			`this is the id of the organization: give its root, as "r-ab12"`},
		{"ARN of a root",
			wave(`,"organizationalUnits":["arn:aws:organizations::999999999999:root/o-a1b2c3d4e5/r-ab12"]`),
			`write the id alone: "r-ab12"`},
		{"unit in upper case", wave(`,"organizationalUnits":["OU-AB12-CDEF3456 "]`), `write it so: "ou-ab12-cdef3456"`},
		{"global region", `{"waves":[{"accounts":["111111111111"],"regions":["aws-global"]}]}`,
			`no instance is there; name each region, as "us-east-1"`},
		{"tag key of another tool", run(`,"tagKey":"Env"`),
			`tagKey and tagValue are filters.tags of each wave: "filters": {"tags": {"Env": ["default"]}}`},
		{"a call", `{"stateMachineArn":"arn:x","input":"{\"waves\":[]}"}`, "give what is inside it as the document"},
		{"an event", `{"version":"0","detail":{"accounts":["111111111111"],"regions":["us-east-1"]}}`,
			"give what is inside it as the document"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ps := problems(t, test.input)
			require.Len(t, ps, 1, ps)
			assert.Equal(t, test.want, ps[0].Remedy)
		})
	}
}

// An input that only has a field of that name is not taken for a wrapping.
func TestParseInput_notWrapped(t *testing.T) {
	for _, input := range []string{run(`,"input":{"waves":[]}`), `{"input":{"x":1}}`, `{"input":7}`} {
		ps := problems(t, input)
		assert.Equal(t, runinput.RuleUnknown, ps[len(ps)-1].Rule, input)
	}
}

func TestParseInput_warningOfCase(t *testing.T) {
	tests := []struct {
		name string
		want []string
	}{
		{"tags-prefixed",
			[]string{`waves[0].filters.tags["tag:PatchGroup"]: "tag:PatchGroup" is taken as the whole key of a tag; ` +
				`"tag:" stands before a key in command lines only; write "PatchGroup" if that is the key`}},
		{"tag-list-as-text",
			[]string{`waves[0].filters.tags.PatchGroup[0]: "windows,linux" is taken as one value with a comma in it; ` +
				`write ["windows", "linux"] if these are values of their own`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, parse(t, string(caseInput(t, test.name))).Warnings)
		})
	}
}

// Another state machine that starts a run adds its own field to the input.
func TestParseInput_startedBy(t *testing.T) {
	in := parse(t, string(caseInput(t, "started-by-another-machine")))
	want := smallest()
	want.StartedBy = "arn:aws:states:us-east-1:999999999999:execution:monthly:abc"
	assert.Equal(t, want, in)
	full, err := json.Marshal(in)
	require.NoError(t, err)
	assert.Equal(t, want, parse(t, string(full)), "what is stored says it too")
}

func TestParseInput_slowStartOfEachWave(t *testing.T) {
	one := `{"accounts":["111111111111"],"regions":["us-east-1"]`
	in := parse(t, `{"waves":[`+one+`},`+one+`},`+one+`,"slowStart":true}]}`)
	assert.Equal(t, []bool{true, false, true}, []bool{in.Waves[0].SlowStart, in.Waves[1].SlowStart,
		in.Waves[2].SlowStart})
}

func TestParseInput_stepTimeoutWarning(t *testing.T) {
	assert.Empty(t, parse(t, wave(`,"commandTimeoutSeconds":7200`)).Warnings)
	assert.Equal(t, []string{"waves[0].commandTimeoutSeconds: 7201 is longer than AWS-RunPatchBaseline gives one of " +
		"its own steps by default, 7200 seconds; an update that takes longer may end as failed at that time, " +
		"whatever stands here"}, parse(t, wave(`,"commandTimeoutSeconds":7201`)).Warnings)
	d := runinput.HubDefaults()
	d.CommandTimeoutSeconds = 10800
	in, err := runinput.ParseInput([]byte(run("")), d)
	require.NoError(t, err)
	assert.Len(t, in.Warnings, 1, "the hub's parameter counts as well")
}

func TestParseInput_warningsAreBounded(t *testing.T) {
	values := repeat(50, func(i int) string { return fmt.Sprintf(`"%d,x"`, i) })
	in := parse(t, wave(`,"filters":{"tags":{"tag:K":[`+values+`]}}`))
	require.Len(t, in.Warnings, runinput.MaxWarnings+1)
	assert.Equal(t, "and 31 more warnings", in.Warnings[runinput.MaxWarnings])
}

// Two keys that look alike where they are shortened make one line twice, and
// what is stored can still be read.
func TestParseInput_warningsThatLookAlike(t *testing.T) {
	key := "tag:" + strings.Repeat("k", 100)
	in := parse(t, wave(fmt.Sprintf(`,"filters":{"tags":{"%sa":["v"],"%sb":["v"]}}`, key, key)))
	require.Len(t, in.Warnings, 2)
	full, err := json.Marshal(in)
	require.NoError(t, err)
	assert.Equal(t, in, parse(t, string(full)))
}

// A warning stands where the file has what it is about, in whatever form.
func TestWarnings_place(t *testing.T) {
	d := runinput.HubDefaults()
	d.CommandTimeoutSeconds = 10800
	tests := []struct {
		name, input string
		want        []string
	}{
		{"waves",
			"{\"waves\":[{\"accounts\":[\"111111111111\"],\"regions\":[\"us-east-1\"],\n" +
				"\"commandTimeoutSeconds\":7201,\"filters\":{\"tags\":{\"K\":[\"v\",\"a,b\"]}}}]}",
			[]string{"2:25 step-timeout waves[0].commandTimeoutSeconds", "2:58 tag-list waves[0].filters.tags.K[1]"}},
		{"another name for waves",
			"{\"accountWaves\":[{\"accounts\":[\"111111111111\"],\"regions\":[\"us-east-1\"],\n" +
				"\"commandTimeoutSeconds\":7201}]}",
			[]string{"2:25 step-timeout accountWaves[0].commandTimeoutSeconds"}},
		{"a single wave",
			"{\"accounts\":[\"111111111111\"],\"regions\":[\"us-east-1\"],\n\"tagFilters\":{\"tag:K\":\"a,b,c,d\"}}",
			[]string{"1:1 step-timeout waves[0].commandTimeoutSeconds", "2:23 tag-prefix tagFilters[\"tag:K\"]",
				"2:23 tag-list tagFilters[\"tag:K\"]"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in, err := runinput.ParseInput([]byte(test.input), d)
			require.NoError(t, err)
			var got []string
			for _, p := range runinput.Warnings([]byte(test.input), in) {
				got = append(got, fmt.Sprintf("%d:%d %s %s", p.Line, p.Column, p.Rule, p.Path))
				assert.NotEmpty(t, p.Remedy)
			}
			assert.Equal(t, test.want, got)
		})
	}
	assert.Empty(t, runinput.Warnings([]byte(run("")), parse(t, run(""))))
}

// What a reading is warned of makes no other series.
func TestSeriesKey_withoutWarnings(t *testing.T) {
	in := parse(t, wave(`,"commandTimeoutSeconds":9000`))
	other := in
	other.Warnings, other.StartedBy = nil, "another"
	require.NotEmpty(t, in.Warnings)
	assert.Equal(t, store.SeriesKey(in), store.SeriesKey(other))
}
