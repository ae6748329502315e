package world

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

func TestParseFleet(t *testing.T) {
	f, err := fleetfile.Parse([]byte(`{"accounts": {
	  "111111111111": {"regions": {"us-east-1": {
	    "instances": [
	      {"name": "web", "platform": "Windows", "platformName": "Windows Server 2016", "platformVersion": "10.0.14393", "patchSeconds": 90, "rebootSeconds": 30.5, "tags": {"Team": "a"}},
	      {"count": 3, "fate": "patch-fails"}],
	    "alarms": [{"name": "errors", "script": [{"afterSeconds": 0, "state": "OK"}]}, {"name": "sum", "composite": true, "script": []}]}}},
	  "222222222222": {"assumable": false, "regions": {"ap-east-1": {"enabled": false, "instances": []}}},
	  "333333333333": {"externalId": "other", "regions": {}}}}`))
	require.NoError(t, err)
	w := New(1, testStart())
	require.NoError(t, w.AddFleet(f))
	all := w.Instances()
	require.Len(t, all, 4)
	require.Equal(t, 90*time.Second, all[0].Patch)
	require.Equal(t, 30500*time.Millisecond, all[0].Reboot)
	require.Equal(t, map[string]string{"Team": "a", "Name": "web"}, all[0].Tags)
	require.Equal(t, fleetfile.Windows, all[0].Platform)
	require.Equal(t, fleetfile.FatePatchFails, all[3].Fate)
	require.Equal(t, "default", all[3].Tags["PatchGroup"])
	require.True(t, w.Account("222222222222").Refused)
	require.Equal(t, "other", w.Account("333333333333").ExternalID)
	require.Error(t, w.Refuses(&core.Call{Account: "222222222222", Region: "ap-east-1"}))
	w.IgnoreIAM, w.WholePages = true, true
	alarms,
		err := w.CloudWatch(testPrincipal("111111111111"), "us-east-1").DescribeAlarms(t.Context(),
		&cloudwatch.DescribeAlarmsInput{
			AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm},
		})
	require.NoError(t, err)
	require.Len(t, alarms.MetricAlarms, 1)
	require.Len(t, alarms.CompositeAlarms, 1)
	require.Equal(t, []string{"Windows Server 2016", "10.0.14393"}, []string{all[0].PlatformName, all[0].PlatformVersion})
	require.Equal(t, []string{"Amazon Linux", "2023"}, []string{all[1].PlatformName, all[1].PlatformVersion})
}

func TestParseFleet_NamesEveryProblem(t *testing.T) {
	_, err := fleetfile.Parse([]byte(`{"accounts": {"12345": {"regions": {"mars": {
	  "instances": [{"fate": "doom", "platform": "Solaris", "patchSeconds": -1, "count": -2}, {"name": "a"}, {"name": "a"}],
	  "alarms": [{"name": "", "script": [{"state": "Ok"}]}]}}}}}`))
	require.Error(t, err)
	for _, want := range []string{
		`accounts["12345"]: "12345" is not a 12-digit account id`,
		`accounts["12345"].regions["mars"]: "mars" is not the name of a region`,
		`.instances[0].fate: "doom" is no fate; fates are offline, stopped`,
		`.instances[0].platform: "Solaris" is none of Linux, Windows, MacOS`,
		`.instances[0].patchSeconds: -1 is not between`,
		`.instances[0].count: -2 is not between`,
		`.instances[2].name: "a" is taken by instances[1]`,
		`.alarms[0].name: "" is empty or taken`,
		`.alarms[0].script[0].state: "Ok" is none of OK, ALARM, INSUFFICIENT_DATA`,
	} {
		require.Contains(t, err.Error(), want)
	}
}

func TestParseFleet_Refuses(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"an unknown field", `{"accounts": {"111111111111": {"regions": {"us-east-1": {"instances": [{"os": "Linux"}]}}}}}`, `unknown field "os"`},
		{"text after the document", `{"accounts": {"111111111111": {"regions": {}}}} {}`, "text after"},
		{"no account", `{}`, "no account is given"},
		{"a list for a fleet", `[]`, "fleet: array is written where an object is due"},
		{"text for a number", `{"accounts": {"111111111111": {"regions": {"us-east-1": {"instances": [{}, {"count": "3"}]}}}}}`,
			`accounts["111111111111"].regions["us-east-1"].instances[1].count: string is written where a number is due`},
		{"a list for regions", `{"accounts": {"111111111111": {"regions": []}}}`, `accounts["111111111111"].regions: array is written where an object is due`},
		{"where an unknown field is", `{"accounts": {"111111111111": {"regions": {"us-east-1": {"instances": [{}, {"os": "Linux"}]}}}}}`,
			`accounts["111111111111"].regions["us-east-1"].instances[1]: unknown field "os"`},
		{"an unknown field of an account", `{"accounts": {"111111111111": {"region": {}}}}`, `accounts["111111111111"]: unknown field "region"`},
		{"an unknown field of the file", `{"account": {}}`, `fleet: unknown field "account"`},
		{"the line of a mistake", "{\n\"accounts\": {\n,}}", "fleet: line 3: invalid character"},
		{"no instance", `{"accounts": {"111111111111": {"regions": {"us-east-1": {"instances": [{"count": 0}]}}}}}`,
			`accounts["111111111111"].regions["us-east-1"].instances[0].count: 0 is not between`},
		{"no JSON", `accounts:`, "invalid character"},
		{"too many instances", `{"accounts": {"111111111111": {"regions": {"us-east-1": {"instances": [` +
			strings.TrimSuffix(strings.Repeat(`{"count": 10000},`, 11), ",") + `]}}}}}`, "more than 100000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fleetfile.Parse([]byte(tt.doc))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// anything is regions in which nothing particular is wanted.
func anything(regions ...string) map[string][]fleetfile.Wanted {
	all := map[string][]fleetfile.Wanted{}
	for _, r := range regions {
		all[r] = nil
	}
	return all
}

func TestDefaultFleet(t *testing.T) {
	tests := []struct {
		n    int
		want map[fleetfile.Fate]int // stopped stands for stopped and unmanaged, ok for patch-fails also
	}{
		{n: 9, want: map[fleetfile.Fate]int{fleetfile.FateOK: 9}},
		{n: 10, want: map[fleetfile.Fate]int{fleetfile.FateOK: 7, fleetfile.FateOffline: 1, fleetfile.FateStopped: 1,
			fleetfile.FateCompliant: 1}},
		{n: 25, want: map[fleetfile.Fate]int{fleetfile.FateOK: 22, fleetfile.FateOffline: 1, fleetfile.FateStopped: 1,
			fleetfile.FateCompliant: 1}},
		{n: 100, want: map[fleetfile.Fate]int{fleetfile.FateOK: 88, fleetfile.FateOffline: 4, fleetfile.FateStopped: 4,
			fleetfile.FateCompliant: 4}},
	}
	for _, tt := range tests {
		for seed := range uint64(10) {
			f := fleetfile.Default(seed,
				map[string]map[string][]fleetfile.Wanted{testAccount: anything(testRegion, "eu-west-1")}, tt.n)
			require.NoError(t, f.Validate())
			got, windows := map[fleetfile.Fate]int{}, 0
			for _, i := range f.Accounts[testAccount].Regions["eu-west-1"].Instances {
				switch i.Fate {
				case fleetfile.FateUnmanaged:
					got[fleetfile.FateStopped]++
				case fleetfile.FatePatchFails:
					got[fleetfile.FateOK]++
				default:
					got[i.Fate]++
				}
				if i.Platform == fleetfile.Windows {
					windows++
				}
				require.Equal(t, "default", i.Tags["PatchGroup"])
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.n*2/5, windows)
		}
	}
}

// One in 200 fails, rounded up or down in proportion.
func TestDefaultFleet_Failing(t *testing.T) {
	failing := func(seed uint64, n int) (fails int) {
		f := fleetfile.Default(seed, map[string]map[string][]fleetfile.Wanted{testAccount: anything(testRegion)}, n)
		for _, i := range f.Accounts[testAccount].Regions[testRegion].Instances {
			if i.Fate == fleetfile.FatePatchFails {
				fails++
			}
		}
		return fails
	}
	total := 0
	for seed := range uint64(400) {
		n := failing(seed, 25)
		require.LessOrEqual(t, n, 1)
		total += n
		require.Contains(t, []int{1, 2}, failing(seed, 300))
	}
	require.InDelta(t, 50, total, 25)
	require.Equal(t, 5, failing(1, 1000))
	for seed := range uint64(50) {
		require.Zero(t, failing(seed, 9))
	}
}

// Instances are such as the waves look for: each value of each tag, platforms as asked.
func TestDefaultFleet_Wanted(t *testing.T) {
	wanted := []fleetfile.Wanted{
		{Tags: map[string][]string{"Env": {"prod", "stage"}, "Team": {"a", "b"}}, Platforms: []string{fleetfile.Windows}},
		{Tags: map[string][]string{"Ring": {"1"}}, Platforms: []string{fleetfile.Linux, fleetfile.Windows}},
		{Platforms: []string{fleetfile.MacOS}},
	}
	f := fleetfile.Default(2, map[string]map[string][]fleetfile.Wanted{testAccount: {testRegion: wanted}}, 48)
	require.NoError(t, f.Validate())
	found := map[string]int{}
	for _, i := range f.Accounts[testAccount].Regions[testRegion].Instances {
		switch {
		case i.Tags["Ring"] != "":
			found["Ring "+i.Platform]++
		case i.Tags["Env"] != "":
			require.Equal(t, fleetfile.Windows, i.Platform)
			found[i.Tags["Env"]+i.Tags["Team"]]++
		default:
			require.Equal(t, fleetfile.MacOS, i.Platform)
			require.Equal(t, "default", i.Tags["PatchGroup"])
		}
	}
	require.Equal(t, 16, found["Ring Linux"]+found["Ring Windows"])
	require.Positive(t, found["Ring Linux"])
	require.Positive(t, found["Ring Windows"])
	for _, both := range []string{"proda", "prodb", "stagea", "stageb"} {
		require.Equal(t, 4, found[both], both)
	}
}

// A default fleet written as JSON is a fleet file.
func TestDefaultFleet_RoundTrip(t *testing.T) {
	f := fleetfile.Default(3, map[string]map[string][]fleetfile.Wanted{testAccount: anything(testRegion)}, 25)
	doc, err := json.Marshal(f)
	require.NoError(t, err)
	again, err := fleetfile.Parse(doc)
	require.NoError(t, err)
	require.Equal(t, f, again)
}
