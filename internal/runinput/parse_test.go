package runinput_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/golden"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

// wave is a run input with one good wave whose fields end in the given ones.
func wave(fields string) string {
	return `{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]` + fields + `}]}`
}

// run is a run input with one good wave, and the given fields of the run.
func run(fields string) string {
	return `{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]` + fields + `}`
}

func problems(t *testing.T, input string) runinput.Problems {
	t.Helper()
	_, err := runinput.ParseInput([]byte(input), runinput.HubDefaults())
	ps, ok := errors.AsType[runinput.Problems](err)
	require.Truef(t, ok, "ParseInput(%s) = %v, want Problems", input, err)
	return ps
}

func repeat(n int, each func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = each(i)
	}
	return strings.Join(parts, ",")
}

func accountIDs(n int) string {
	return repeat(n, func(i int) string { return fmt.Sprintf(`"%012d"`, i) })
}

func TestParseInput_problem(t *testing.T) {
	tests := []struct {
		name, input string
		want        string // the one problem, as a line
	}{
		// Values.
		{"account too short", `{"waves":[{"accounts":["12345"],"regions":["us-east-1"]}]}`,
			`waves[0].accounts[0]: "12345" is not a 12-digit account id; give all twelve digits in quotes, leading zeros too, as "012345678901"`},
		{"account as a number", `{"waves":[{"accounts":[123456789012],"regions":["us-east-1"]}]}`,
			`waves[0].accounts[0]: 123456789012 is a number where text is due; write it in quotes: "123456789012"`},
		{"account twice in a wave", `{"waves":[{"accounts":["111111111111","111111111111"],"regions":["us-east-1"]}]}`,
			`waves[0].accounts[1]: "111111111111" stands in this list already, at waves[0].accounts[0]; name it once`},
		{"unknown region", `{"waves":[{"accounts":["111111111111"],"regions":["us-esat-1"]}]}`,
			`waves[0].regions[0]: "us-esat-1" is not a region that ec2patch knows; did you mean "us-east-1"?`},
		{"region nowhere near", `{"waves":[{"accounts":["111111111111"],"regions":["atlantis-capital-7"]}]}`,
			`waves[0].regions[0]: "atlantis-capital-7" is not a region that ec2patch knows; write a name as "us-east-1"`},
		{"regions of two partitions",
			`{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]},{"accounts":["111111111111"],"regions":["cn-north-1"]}]}`,
			`waves[1].regions[0]: "cn-north-1" is in the partition aws-cn, the run's first region in aws; start one run for each partition, from a hub in it`},
		{"organizational unit", wave(`,"organizationalUnits":["Production"]`),
			`waves[0].organizationalUnits[0]: "Production" is not an organizational unit; write an id as "ou-ab12-cdef3456", or a root's as "r-ab12"`},
		{"wave name with a slash", wave(`,"name":"../x"`),
			`waves[0].name: "../x" is not a wave's name; use 1 to 40 letters, digits, - and _, and begin with a letter or a digit`},
		{"wave name too long", wave(`,"name":"` + strings.Repeat("a", 41) + `"`),
			`waves[0].name: "` + strings.Repeat("a",
				41) +
				`" is not a wave's name; use 1 to 40 letters, digits, - and _, and begin with a letter or a digit`},
		{"wave name of a folder", wave(`,"name":"plan"`),
			`waves[0].name: "plan" is reserved: each run keeps its own objects under this name; use another name, as "plan-1"`},
		{"wave id of a folder", `{"waveId":"results","accounts":["111111111111"],"regions":["us-east-1"]}`,
			`waveId: "results" is reserved: each run keeps its own objects under this name; use another name, as "results-1"`},
		{"wave names differ by case",
			`{"waves":[{"name":"a","accounts":["111111111111"],"regions":["us-east-1"]},{"name":"A","accounts":["222222222222"],"regions":["us-east-1"]}]}`,
			`waves[1].name: "A" is the name of waves[0] already; give each wave a name of its own`},
		{"default wave name taken",
			`{"waves":[{"name":"Wave-2","accounts":["111111111111"],"regions":["us-east-1"]},{"accounts":["222222222222"],"regions":["us-east-1"]}]}`,
			`waves[1].name: "wave-2" is the name of waves[0] already; give each wave a name of its own`},
		{"concurrency of 0", wave(`,"ssm":{"maxConcurrency":"0"}`),
			`waves[0].ssm.maxConcurrency: "0" is neither a number from 1 to 9999999 nor a percentage from 1% to 100%; write "3" or "10%"`},
		{"concurrency of 0%", wave(`,"ssm":{"maxConcurrency":"0%"}`),
			`waves[0].ssm.maxConcurrency: "0%" is neither a number from 1 to 9999999 nor a percentage from 1% to 100%; write "3" or "10%"`},
		{"errors of 101%", wave(`,"ssm":{"maxErrors":"101%"}`),
			`waves[0].ssm.maxErrors: "101%" is neither a number from 0 to 9999999 nor a percentage from 0% to 100%; write "0", "3" or "10%"`},
		{"errors with a leading zero", wave(`,"ssm":{"maxErrors":"010"}`),
			`waves[0].ssm.maxErrors: "010" is neither a number from 0 to 9999999 nor a percentage from 0% to 100%; write "0", "3" or "10%"`},
		{"errors with a space", wave(`,"ssm":{"maxErrors":"10 %"}`),
			`waves[0].ssm.maxErrors: "10 %" is neither a number from 0 to 9999999 nor a percentage from 0% to 100%; write "0", "3" or "10%"`},
		{"errors longer than the service takes", wave(`,"ssm":{"maxErrors":"10000000"}`),
			`waves[0].ssm.maxErrors: "10000000" is neither a number from 0 to 9999999 nor a percentage from 0% to 100%; write "0", "3" or "10%"`},
		{"threshold as a number", wave(`,"ssm":{"maxErrors":1}`),
			`waves[0].ssm.maxErrors: 1 is a number where text is due; write "0", "3" or "10%"`},
		{"negative budget", wave(`,"budget":{"perAccount":"-1"}`),
			`waves[0].budget.perAccount: "-1" is neither a number from 0 to 9999999 nor a percentage from 0% to 100%; write "0", "3" or "10%"`},
		{"unknown operation", wave(`,"ssm":{"operation":"install"}`),
			`waves[0].ssm.operation: "install" is not one of Install, Scan; did you mean "Install"?`},
		{"unknown reboot option", wave(`,"ssm":{"rebootOption":"never"}`),
			`waves[0].ssm.rebootOption: "never" is not one of RebootIfNeeded, NoReboot; write one of RebootIfNeeded, NoReboot`},
		{"unknown platform", wave(`,"filters":{"platforms":["windows"]}`),
			`waves[0].filters.platforms[0]: "windows" is not one of Linux, Windows, MacOS; did you mean "Windows"?`},
		{"no platform", wave(`,"filters":{"platforms":[]}`),
			`waves[0].filters.platforms: is empty; give 1 to 3 platforms`},
		{"empty tag key", wave(`,"filters":{"tags":{"":["x"]}}`),
			`waves[0].filters.tags[""]: "" is not a tag key; EC2 takes tag keys of 1 to 128 characters, without control characters`},
		{"tag key too long", wave(`,"filters":{"tags":{"` + strings.Repeat("k", 129) + `":["x"]}}`),
			`waves[0].filters.tags["` + strings.Repeat("k", 60) + `"...]: "` + strings.Repeat("k",
				60) + `"... is not a tag key; EC2 takes tag keys of 1 to 128 characters, without control characters`},
		{"wildcard tag value", wave(`,"filters":{"tags":{"PatchGroup":["web-*"]}}`),
			`waves[0].filters.tags.PatchGroup[0]: "web-*" is not a tag value; EC2 takes tag values of at most 256 characters; name each value, for wildcards (*, ?, \) are not understood`},
		{"tag value as text", wave(`,"filters":{"tags":{"PatchGroup":"default"}}`),
			`waves[0].filters.tags.PatchGroup: "default" is text where a list is due; put it into brackets: ["default"]`},
		{"tag without values", wave(`,"filters":{"tags":{"PatchGroup":[]}}`),
			`waves[0].filters.tags.PatchGroup: is empty; give 1 to 50 values under one tag key`},
		{"too many tag values", wave(`,"filters":{"tags":{"K":[` + accountIDs(51) + `]}}`),
			`waves[0].filters.tags.K: holds 51, more than 50 values under one tag key; one EC2 call takes 200; use another tag, or more waves`},
		{"too many tag keys", wave(`,"filters":{"tags":{` + repeat(11, func(i int) string {
			return fmt.Sprintf(
				`"k%d":["v"]`, i)
		}) + `}}`),
			`waves[0].filters.tags: holds 11, more than 10 tag keys; an instance is matched by few tags; use fewer`},
		{"instance id in upper case", wave(`,"filters":{"instanceIds":["i-0123456789ABCDEF0"]}`),
			`waves[0].filters.instanceIds[0]: "i-0123456789ABCDEF0" is not an instance id; write "i-" and 8 or 17 hexadecimal digits in lower case, as "i-0123456789abcdef0"`},
		{"too many instance ids", wave(`,"filters":{"instanceIds":[` + repeat(1001, func(i int) string {
			return fmt.Sprintf(`"i-%08x"`, i)
		}) + `]}`),
			`waves[0].filters.instanceIds: holds 1001, more than 1000 instance ids in a wave; use more waves, or tags`},
		{"too many accounts", `{"waves":[{"accounts":[` + accountIDs(1001) + `],"regions":["us-east-1"]}]}`,
			`waves[0].accounts: holds 1001, more than 1000 accounts in a wave; use more waves, or organizational units`},
		{"too many regions", `{"waves":[{"accounts":["111111111111"],"regions":[` + repeat(21, func(i int) string {
			return `"` + string(patch.Regions()[i]) + `"`
		}) + `]}]}`,
			`waves[0].regions: holds 21, more than 20 regions in a wave; use more waves; the history of one account's execution holds no more`},
		{"too many waves", `{"waves":[` + repeat(101, func(int) string {
			return `{"accounts":["111111111111"],"regions":["us-east-1"]}`
		}) + `]}`,
			`waves: holds 101, more than 100 waves; split the run; the history of one execution holds no more`},
		{"too many alarms", wave(`,"healthGate":{"alarms":[` + repeat(101, func(i int) string {
			return fmt.Sprintf(`"arn:aws:cloudwatch:us-east-1:111111111111:alarm:a%d"`, i)
		}) + `]}`),
			`waves[0].healthGate.alarms: holds 101, more than 100 alarms in a health gate; use a composite alarm; one CloudWatch call takes 100`},
		{"alarm of another service", wave(`,"healthGate":{"alarms":["arn:aws:sns:us-east-1:111111111111:t"]}`),
			`waves[0].healthGate.alarms[0]: "arn:aws:sns:us-east-1:111111111111:t" is not the ARN of a CloudWatch alarm; write it as "arn:aws:cloudwatch:us-east-1:111111111111:alarm:name"`},
		{"soak above a day", wave(`,"healthGate":{"soakSeconds":86401}`),
			`waves[0].healthGate.soakSeconds: 86401 is outside 0 to 86400 (seconds); write a whole number from 0 to 86400`},
		{"command timeout too long", wave(`,"commandTimeoutSeconds":16201`),
			`waves[0].commandTimeoutSeconds: 16201 is outside 60 to 16200 (seconds); write a whole number from 60 to 16200`},
		{"no accounts at the same time", wave(`,"maxConcurrentAccounts":0`),
			`waves[0].maxConcurrentAccounts: 0 is outside 1 to 1000 (accounts); write a whole number from 1 to 1000`},
		{"a fraction", run(`,"wavePauseSeconds":1.5`),
			`wavePauseSeconds: 1.5 is not a whole number in plain digits; write a whole number from 0 to 604800`},
		{"an exponent", run(`,"wavePauseSeconds":1e2`),
			`wavePauseSeconds: 1e2 is not a whole number in plain digits; write a whole number from 0 to 604800`},
		{"a huge number", run(`,"wavePauseSeconds":` + strings.Repeat("9", 400)),
			`wavePauseSeconds: ` + strings.Repeat("9",
				40) + `... is not a whole number in plain digits; write a whole number from 0 to 604800`},
		{"minus zero", run(`,"wavePauseSeconds":-0`),
			`wavePauseSeconds: -0 is outside 0 to 604800 (seconds); write a whole number from 0 to 604800`},
		{"a number as text", run(`,"wavePauseSeconds":"900"`),
			`wavePauseSeconds: "900" is text where a whole number is due; write a whole number from 0 to 604800`},
		{"a flag as text", run(`,"dryRun":"true"`),
			`dryRun: "true" is text where true or false is due; write true or false without quotes`},
		{"null", run(`,"approval":null`),
			`approval: is null; leave it out, or write text`},
		{"three people", run(`,"requireDistinct":3`),
			`requireDistinct: 3 is outside 1 to 2 (people); write a whole number from 1 to 2`},
		{"approval timeout too short", run(`,"approvalTimeoutSeconds":59`),
			`approvalTimeoutSeconds: 59 is outside 60 to 604800 (seconds); write a whole number from 60 to 604800`},
		{"run key with a slash", run(`,"runKey":"a/b"`),
			`runKey: "a/b" is not a run key; use at most 64 letters, digits, -, _ and :, or at most 44 of them and <aws.scheduler.scheduled-time> at the end`},
		{"run key with a placeholder that no key can hold", run(`,"runKey":"a:<aws.scheduler.schedule-arn>"`),
			`runKey: "a:<aws.scheduler.schedule-arn>" is not a run key; use at most 64 letters, digits, -, _ and :, or at most 44 of them and <aws.scheduler.scheduled-time> at the end`},
		{"run key too long with its time",
			run(`,"runKey":"` + strings.Repeat("k", 45) + `<aws.scheduler.scheduled-time>"`),
			`runKey: "` + strings.Repeat("k",
				45) +
				`<aws.scheduler."... is not a run key; use at most 64 letters, digits, -, _ and :, or at most 44 of them and <aws.scheduler.scheduled-time> at the end`},
		{"control character in the reason", run(`,"reason":"a\u001b[2J"`),
			`reason: "a\x1b[2J" is not a reason to show; write one line of at most 1000 characters, without control characters`},
		{"text direction in the requester", run(`,"requestedBy":"\u202eeve"`),
			`requestedBy: "\u202eeve" is not a name to show; write one line of at most 200 characters, without control characters`},
		{"resume by ARN", run(`,"resume":"arn:x"`),
			`resume: "arn:x" is not a run's name; use the name of an execution: at most 80 letters, digits, - and _`},
		{"guard below 0", run(`,"guards":{"maxInstances":-1}`),
			`guards.maxInstances: -1 is outside 0 to 10000000 (instances); write a whole number from 0 to 10000000`},
		{"share of nothing", run(`,"guards":{"maxShare":"0%"}`),
			`guards.maxShare: "0%" is neither a number from 1 to 9999999 nor a percentage from 1% to 100%; write "3" or "10%"`},
		{"unknown answer to the unreachable", run(`,"onUnreachable":"ignore"`),
			`onUnreachable: "ignore" is not one of continue, stop; write one of continue, stop`},

		// Fields.
		{"unknown field with a near name", wave(`,"region":["us-east-1"]`),
			`waves[0].region: there is no field of this name; did you mean "regions"?`},
		{"other case", run(`,"DryRun":true`),
			`DryRun: there is no field of this name; did you mean "dryRun"?`},
		{"field of the run in a wave", wave(`,"dryRun":true`),
			`waves[0].dryRun: there is no field of this name; did you mean dryRun?`},
		{"field of ssm in the wave", wave(`,"maxErrors":"1"`),
			`waves[0].maxErrors: there is no field of this name; did you mean waves[].ssm.maxErrors?`},
		{"name of the flat form in a wave", wave(`,"tagFilters":{}`),
			`waves[0].tagFilters: there is no field of this name; did you mean waves[].filters.tags?`},
		{"unknown field like none", run(`,"budget":{"approvedBy":"me"}`),
			`budget.approvedBy: there is no field of this name; leave it out; the fields here are maxFailedInstances`},
		{"field that would break a line", run(`,"guards":{"a\nb":1}`),
			`guards["a\nb"]: there is no field of this name; leave it out; the fields here are maxInstances, maxShare, maxGrowth`},
		{"field twice", run(`,"dryRun":true,"dryRun":false`),
			`dryRun: stands twice in one object; keep one of the two`},
		{"no regions", `{"waves":[{"accounts":["111111111111"]}]}`,
			`waves[0].regions: must be given; give 1 to 20 regions in a wave`},
		{"no accounts", `{"waves":[{"accounts":[],"organizationalUnits":[],"regions":["us-east-1"]}]}`,
			`waves[0]: names no account; give at least one entry in accounts or organizationalUnits`},
		{"a wave of another kind", `{"waves":["canary"]}`,
			`waves[0]: "canary" is text where an object is due; write an object`},

		// Forms.
		{"no waves", `{}`,
			`waves: must be given; write "waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]`},
		{"waves mistyped", `{"Waves":[]}`, `Waves: there is no field of this name; did you mean "waves"?`},
		{"regions of a wave mistyped", `{"waves":[{"accounts":["111111111111"],"regoins":["us-east-1"]}]}`,
			`waves[0].regoins: there is no field of this name; did you mean "regions"?`},
		{"empty accountWaves beside waves", run(`,"accountWaves":[]`),
			`accountWaves: is another name for waves, which is given too; keep one of the two`},
		{"field of a wave in the flat form", `{"accounts":["111111111111"],"regions":["us-east-1"],"soakSeconds":60}`,
			`soakSeconds: there is no field of this name; the form of a single wave has no healthGate.soakSeconds; write the run with waves, and it is waves[].healthGate.soakSeconds`},
		{"empty waves", `{"waves":[]}`, `waves: is empty; give 1 to 100 waves`},
		{"waves and accountWaves", run(`,"accountWaves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]`),
			`accountWaves: is another name for waves, which is given too; keep one of the two`},
		{"flat field beside waves", run(`,"tagFilters":{"K":"v"}`),
			`tagFilters: belongs to the form of a single wave, and waves is given too; move it into the wave as waves[].filters.tags, or leave out waves`},
		{"flat form without regions", `{"accounts":["111111111111"]}`, `regions: must be given; give 1 to 20 regions`},
		{"flat form without accounts", `{"regions":["us-east-1"]}`,
			`accounts: names no account; give 1 to 1000 account ids`},
		{"flat form with a list of values",
			`{"accounts":["111111111111"],"regions":["us-east-1"],"tagFilters":{"K":["v"]}}`,
			`tagFilters.K: is a list where text is due; EC2 takes tag values of at most 256 characters; name each value, for wildcards (*, ?, \) are not understood`},
		{"approval said twice", run(`,"approval":"once","approvalRequired":false`),
			`approvalRequired: false says what approval says too; keep approval`},

		// Documents.
		{"empty", " \n",
			`$: the input is empty; write at least {"waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]}`},
		{"not an object", `[]`, `$: is a list where an object is due; write an object`},
		{"only null", `null`, `$: is null; leave it out, or write an object`},
		{"trailing data", run("") + `{}`,
			`$: this is not JSON: invalid character '{' after top-level value; mend the JSON here or just before`},
		{"trailing comma", `{"waves":[],}`,
			`$: this is not JSON: invalid character '}' looking for beginning of object key string; mend the JSON here or just before`},
		{"cut short", `{"waves":[`,
			`$: this is not JSON: unexpected end of JSON input; mend the JSON here or just before`},
		{"byte order mark", "\xef\xbb\xbf{}",
			`$: the input starts with a byte order mark; save the file as UTF-8 without a byte order mark`},
		{"not UTF-8", "{\"a\":\"\xff\"}", `$: byte 7 is not UTF-8; save the file as UTF-8`},
		{"too deep", strings.Repeat("[", 21) + strings.Repeat("]", 21),
			`$: the input nests deeper than 20 levels; write a run input as docs/run-input.md shows`},
		{"far too deep", strings.Repeat("[", 50000),
			`$: this is not JSON: invalid character '[' exceeded max depth; mend the JSON here or just before`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, problems(t, test.input).Error())
		})
	}
}

func TestParseInput_everyProblemOfAHostileFile(t *testing.T) {
	data, err := os.ReadFile("testdata/hostile.json")
	require.NoError(t, err)
	ps := problems(t, string(data))
	var lines strings.Builder
	for i, p := range ps {
		fmt.Fprintf(&lines, "%d:%d %s %s\n", p.Line, p.Column, p.Rule, p)
		if i > 0 {
			before := ps[i-1]
			assert.False(t, p.Line < before.Line || p.Line == before.Line && p.Column < before.Column,
				"%s is out of order", p)
		}
	}
	golden.Equal(t, "hostile.want.txt", []byte(lines.String()))
}

func TestParseInput_sizeLimit(t *testing.T) {
	ps := problems(t, run(`,"reason":"`+strings.Repeat("x", 300*1024)+`"`))
	assert.Len(t, ps, 1)
	assert.Contains(t, ps.Error(), "more than 204800; split the run")

	padded := []byte(run(""))
	padded = append(padded, bytes.Repeat([]byte(" "), runinput.MaxInputBytes-len(padded))...)
	_, err := runinput.ParseInput(padded, runinput.HubDefaults())
	assert.NoError(t, err, "an input of exactly the limit")
	assert.Len(t, problems(t, string(padded)+" "), 1)
}

func TestParseInput_largerWithDefaultsThanWritten(t *testing.T) {
	value := strings.Repeat("<", runinput.MaxTagValueLength) // six bytes each when written as JSON
	waves := repeat(30, func(i int) string {
		return fmt.Sprintf(`{"accounts":["111111111111"],"regions":["us-east-1"],"filters":{"tags":{"a":[%s]}}}`,
			repeat(20, func(j int) string { return fmt.Sprintf(`"%02d%s"`, j, value[:250]) }))
	})
	ps := problems(t, `{"waves":[`+waves+`]}`)
	require.Len(t, ps, 1)
	assert.Contains(t, ps[0].Message, "with every default filled in, more than 204800")
}

// Each of these inputs is as many problems as fit in the limit. The test ends
// in a moment because the work grows with the input's length and no faster.
func TestParseInput_manyProblems(t *testing.T) {
	tests := []struct {
		name, head, item, tail string
	}{
		{"accounts", `{"waves":[{"regions":["us-east-1"],"accounts":[`, `1`, `]}]}`},
		{"waves", `{"waves":[`, `{}`, `]}`},
		{"regions", `{"waves":[{"accounts":["111111111111"],"regions":[`, `"us-esat-1"`, `]}]}`},
		{"equal fields", `{`, `"a":1`, `}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			room := runinput.MaxInputBytes - len(test.head) - len(test.tail)
			n := room / (len(test.item) + 1)
			input := test.head + repeat(n, func(int) string { return test.item }) + test.tail
			assert.GreaterOrEqual(t, len(problems(t, input)), n)
		})
	}
	fields := repeat(14000, func(i int) string { return fmt.Sprintf(`"waev%d":1`, i) })
	assert.Len(t, problems(t, `{`+fields+`}`), 14000)
}

func TestParseInput_place(t *testing.T) {
	ps := problems(t, "{\n  \"waves\": [\n    {\"name\": \"é\", \"accounts\": [\"1\"], \"regions\": "+
		"[\"us-east-1\"]}\n  ],\n  \"x\": 1\n}")
	require.Len(t, ps, 3)
	for i, want := range []string{"3:14 waves[0].name", "3:32 waves[0].accounts[0]", "5:3 x"} {
		assert.Equal(t, want, fmt.Sprintf("%d:%d %s", ps[i].Line, ps[i].Column, ps[i].Path))
	}
}

func TestProblem_StringIsOneVisibleLine(t *testing.T) {
	data, err := os.ReadFile("testdata/hostile.json")
	require.NoError(t, err)
	for _, p := range problems(t, string(data)) {
		assert.NotEmpty(t, p.Remedy, p.String())
		assert.Equal(t, -1, strings.IndexFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }), p.String())
	}
}

func TestProblems_Summary(t *testing.T) {
	ps := problems(t, `{"waves":[{},{},{},{}]}`)
	assert.Equal(t, ps.Error(), ps.Summary(10000))
	short := ps.Summary(250)
	assert.LessOrEqual(t, len(short), 250)
	assert.Regexp(t, `(?s)^waves\[0\].*\nand \d problems?$|(?s)^waves\[0\].*\nand \d more problems$`, short)
	assert.Equal(t, "and 8 more problems", ps.Summary(0))
}

func TestProblems_kind(t *testing.T) {
	_, err := runinput.ParseInput([]byte(`{}`), runinput.HubDefaults())
	assert.ErrorIs(t, err, patch.ErrInvalidInput)
}

func TestParseRunID(t *testing.T) {
	for _, good := range []string{"a", "2026-12_patch", strings.Repeat("x", 80)} {
		id, err := patch.ParseRunID(good)
		assert.NoError(t, err)
		assert.Equal(t, patch.RunID(good), id)
	}
	for _, bad := range []string{"", "a b", "a/b", "é", "a\n", strings.Repeat("x", 81)} {
		_, err := patch.ParseRunID(bad)
		assert.ErrorContains(t, err, "is not a run's name; use 1 to 80", "%q", bad)
	}
}

func TestDefaults_Check(t *testing.T) {
	assert.NoError(t, runinput.HubDefaults().Check())
	err := runinput.Defaults{}.Check()
	require.Error(t, err)
	for _, path := range []string{"ssm.maxConcurrency", "maxConcurrentAccounts", "commandTimeoutSeconds",
		"approvalTimeoutSeconds"} {
		assert.ErrorContains(t, err, path)
	}
}
