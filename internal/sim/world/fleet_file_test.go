package world

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseFleet(t *testing.T) {
	f, err := ParseFleet([]byte(`{"accounts": {
	  "111111111111": {"regions": {"us-east-1": {
	    "instances": [
	      {"name": "web", "platform": "Windows", "patchSeconds": 90, "rebootSeconds": 30.5, "tags": {"Team": "a"}},
	      {"count": 3, "fate": "patch-fails"}],
	    "alarms": [{"name": "errors", "script": [{"afterSeconds": 0, "state": "OK"}]}]}}},
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
	require.Equal(t, Windows, all[0].Platform)
	require.Equal(t, FatePatchFails, all[3].Fate)
	require.Equal(t, "default", all[3].Tags["PatchGroup"])
	require.True(t, w.account("222222222222").refused)
	require.Equal(t, "other", w.account("333333333333").externalID)
	require.True(t, w.fleet("222222222222", "ap-east-1").disabled)
	require.Len(t, w.fleet("111111111111", "us-east-1").alarms, 1)
}

func TestParseFleet_NamesEveryProblem(t *testing.T) {
	_, err := ParseFleet([]byte(`{"accounts": {"12345": {"regions": {"mars": {
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
			_, err := ParseFleet([]byte(tt.doc))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestDefaultFleet(t *testing.T) {
	tests := []struct {
		n    int
		want map[Fate]int // stopped stands for stopped and unmanaged
	}{
		{n: 9, want: map[Fate]int{FateOK: 9}},
		{n: 10, want: map[Fate]int{FateOK: 6, FateOffline: 1, FateStopped: 1, FatePatchFails: 1, FateCompliant: 1}},
		{n: 25, want: map[Fate]int{FateOK: 21, FateOffline: 1, FateStopped: 1, FatePatchFails: 1, FateCompliant: 1}},
		{n: 100, want: map[Fate]int{FateOK: 84, FateOffline: 4, FateStopped: 4, FatePatchFails: 4, FateCompliant: 4}},
	}
	for _, tt := range tests {
		for seed := range uint64(10) {
			f := DefaultFleet(seed, map[string][]string{testAccount: {testRegion, "eu-west-1"}}, tt.n)
			require.NoError(t, f.Validate())
			got, windows := map[Fate]int{}, 0
			for _, i := range f.Accounts[testAccount].Regions["eu-west-1"].Instances {
				fate := i.Fate
				if fate == FateUnmanaged {
					fate = FateStopped
				}
				got[fate]++
				if i.Platform == Windows {
					windows++
				}
				require.Equal(t, "default", i.Tags["PatchGroup"])
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.n*2/5, windows)
		}
	}
}

// A default fleet written as JSON is a fleet file.
func TestDefaultFleet_RoundTrip(t *testing.T) {
	f := DefaultFleet(3, map[string][]string{testAccount: {testRegion}}, 25)
	doc, err := json.Marshal(f)
	require.NoError(t, err)
	again, err := ParseFleet(doc)
	require.NoError(t, err)
	require.Equal(t, f, again)
}
