package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/fleetfile"
)

// The fleet that we show ends as its names say.
func TestExample_fleet(t *testing.T) {
	o := options(t, string(read(t, "examples", "fleets", "notable-fates.input.json")))
	o.Fleet = read(t, "examples", "fleets", "notable-fates.json")
	res := rehearse(t, o)
	require.NotNil(t, res.Report)
	assert.Equal(t, patch.RunIncomplete, res.Status, res.Report.StatusReason)
	assert.Empty(t, res.Violations)

	var unreachable []string
	for _, u := range res.Report.Unreachable {
		unreachable = append(unreachable, fmt.Sprintf("%s/%s", u.Account, u.Region))
	}
	assert.ElementsMatch(t, []string{"222222222222/af-south-1", "333333333333/af-south-1", "333333333333/us-east-1"},
		unreachable,
		"a region that is not enabled, and an account that lets nobody in")

	s, err := stage.New(o.setup(), mustParse(t, o.Input))
	require.NoError(t, err)
	outcomes := map[string]outcome.Outcome{}
	for _, i := range res.Report.Instances {
		outcomes[nameOf(t, s, string(i.InstanceID))] = i.Outcome
	}
	for _, i := range res.Report.Excluded {
		outcomes[nameOf(t, s, string(i.InstanceID))] = i.Outcome
	}
	assert.Equal(t, map[string]outcome.Outcome{
		"111111111111/web-1": outcome.Patched, "111111111111/web-2": outcome.Patched, "111111111111/win": outcome.Patched,
		"111111111111/compliant": outcome.Compliant, "111111111111/patch-fails": outcome.Failed,
		"111111111111/lies":  outcome.Failed,
		"111111111111/stale": outcome.Unknown, "111111111111/no-return": outcome.Unhealthy,
		"111111111111/hangs":      outcome.TimedOut,
		"111111111111/terminates": outcome.Gone, "111111111111/offline": outcome.Offline,
		"111111111111/unmanaged": outcome.Unmanaged,
		"111111111111/excluded":  outcome.Excluded,
		"222222222222/web-1":     outcome.Patched, "222222222222/web-2": outcome.Patched,
		"222222222222/web-3": outcome.Patched,
	}, outcomes, "other-group is not in the filter")
}

func mustParse(t *testing.T, input []byte) runinput.Input {
	t.Helper()
	in, err := runinput.ParseInput(input, runinput.HubDefaults())
	require.NoError(t, err)
	return in
}

// nameOf is account and tag Name of an instance of a fresh stage: ids come out of the seed.
func nameOf(t *testing.T, s *stage.Stage, id string) string {
	t.Helper()
	i, ok := s.World.Instance(id)
	require.True(t, ok, id)
	return i.Account + "/" + i.Tags["Name"]
}

// The catalogue says `--faults` of what --faults knows, and of nothing else.
func TestDocs_faults(t *testing.T) {
	var told []string
	rows := regexp.MustCompile("(?m)^\\| (F-\\d\\d) \\|[^|]*\\| `--faults`")
	for _, row := range rows.FindAllStringSubmatch(string(read(t, "docs", "faults.md")), -1) {
		told = append(told, row[1])
	}
	slices.Sort(told)
	assert.Equal(t, slices.Sorted(slices.Values(stage.FaultNames())), told)
}

// The rates up to which the catalogue promises the rules are those that are rehearsed.
func TestDocs_faultRates(t *testing.T) {
	var want []string
	for _, c := range stage.Classes() {
		want = append(want, fmt.Sprintf("| %s | %v | %v |", c.ID, c.Light, c.Storm))
	}
	row := regexp.MustCompile(`(?m)^\| F-\d\d \| [0-9.]+ \| [0-9.]+ \|$`)
	assert.Equal(t, want, row.FindAllString(string(read(t, "docs", "faults.md")), -1))
}

// Beyond those rates a run may fail to tell how it ended, and breaks no other rule.
func TestDocs_faultsBeyond(t *testing.T) {
	unreported := 0
	for _, id := range stage.FaultNames() {
		if id == "F-05" {
			continue // TestLateSend shows what a send that comes too late can break
		}
		o := options(t, oneWave(""))
		o.Faults, o.Instances = id+"=0.6", 6
		res := rehearse(t, o)
		if res.Report == nil {
			unreported++
		}
		for _, v := range res.Violations {
			assert.Contains(t, []string{"R-05", "R-12"}, v.Rule, "%s: %s", o.Faults, v.Detail)
		}
	}
	assert.Positive(t, unreported, "nothing is beyond these rates")
}

// Every rule stands in the table of docs/safety.md, or beneath it with the reason
// why not, and every check that the table names is there.
func TestDocs_safety(t *testing.T) {
	page := string(read(t, "docs", "safety.md"))
	var want []string
	for n := range check.LastRule + 1 {
		want = append(want, fmt.Sprintf("R-%02d", n+1))
	}
	for n := range 50 {
		if n < 24 || n >= 33 {
			want = append(want, fmt.Sprintf("I-%02d", n+1))
		}
	}
	for _, id := range want {
		row := regexp.MustCompile("(?m)^\\|[^|]*\\b" + id + "\\b[^|]*\\|").MatchString(page)
		assert.True(t, row || strings.Contains(page, "("+id+")"), "%s is missing", id)
	}
	code := ""
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	checks, err := filepath.Glob("check/*.go")
	require.NoError(t, err)
	for _, f := range append(files, checks...) {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		code += string(data)
	}
	rows := regexp.MustCompile(`(?m)^\| [RI]-\d\d[^|]*\|[^|]*\|([^|]*)\|`).FindAllStringSubmatch(page, -1)
	require.Greater(t, len(rows), 20)
	for _, row := range rows {
		names := regexp.MustCompile("`([A-Za-z_]+)`").FindAllStringSubmatch(row[1], -1)
		assert.NotEmpty(t, names, row[0])
		for _, name := range names {
			is := regexp.MustCompile(`(?m)^func (\([a-z]+ \*?[A-Za-z]+\) )?` + name[1] + `\(`).MatchString(code)
			assert.True(t, is, "no check is named %s: %s", name[1], row[0])
		}
	}
}

// Every fate, and every field of the object that --format json prints, is explained.
func TestDocs_simulation(t *testing.T) {
	page := string(read(t, "docs", "simulation.md"))
	for _, f := range fleetfile.Fates() {
		assert.Contains(t, page, "\n| `"+string(f)+"` |", "fate")
	}
	data, err := json.Marshal(Result{})
	require.NoError(t, err)
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &fields))
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		assert.Contains(t, page, "\n| `"+f+"` |", "field of the result")
	}
	for _, v := range []any{fleetfile.File{}, fleetfile.Account{}, fleetfile.Region{}, fleetfile.Instance{},
		fleetfile.Alarm{}, fleetfile.AlarmStep{}} {
		for _, f := range jsonNames(v) {
			assert.Contains(t, page, "`"+f+"`", "field of the fleet file")
		}
	}
	example := string(read(t, "examples", "fleets", "notable-fates.json"))
	_, err = fleetfile.Parse([]byte(example))
	assert.NoError(t, err)
}

func jsonNames(v any) []string {
	var names []string
	for f := range reflect.TypeOf(v).Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// The prices that we tell are those that we count with.
func TestDocs_prices(t *testing.T) {
	page := string(read(t, "docs", "cost.md"))
	const million = 1_000_000
	for _, want := range []string{
		fmt.Sprintf("| %.3f for 1,000 transitions", perTransition*1000),
		fmt.Sprintf("| %.2f for 1,000,000 requests; %.10f for a GB-second", perInvocation*million, perGBSecond),
		fmt.Sprintf("| %.3f for 1,000,000 write units, %.3f for 1,000,000 read units", perWriteUnit*million,
			perReadUnit*million),
		fmt.Sprintf("| %.3f for 1,000 writes, %.4f for 1,000 reads", perS3Put*1000, perS3Get*1000),
		fmt.Sprintf("| %.2f for 10,000 requests", perKMSRequest*10_000),
		fmt.Sprintf("| %.2f for 100,000 mails", perMail*100_000),
	} {
		assert.Contains(t, page, want)
	}
}
