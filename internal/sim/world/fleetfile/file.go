package fleetfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// File describes a whole estate, as read from JSON:
//
//	{"accounts": {"111111111111": {
//	  "assumable": true,
//	  "externalId": "",
//	  "regions": {"us-east-1": {
//	    "enabled": true,
//	    "instances": [{"name": "web-1", "platform": "Linux", "tags": {"PatchGroup": "default"},
//	      "platformName": "Amazon Linux", "platformVersion": "2023", "patchSeconds": 420,
//	      "rebootSeconds": 90, "fate": "ok", "count": 1}],
//	    "alarms": [{"name": "errors", "script": [{"afterSeconds": 0, "state": "OK"}]}]}}}},
//	 "organizationalUnits": {"ou-ab12-production": {"accounts": ["111111111111"], "organizationalUnits": []}}}
//
// Only accounts, regions and instances are required; what is left out of an instance is drawn from the seed.
type File struct {
	Accounts map[string]Account `json:"accounts"`                      // by twelve-digit id
	Units    map[string]Unit    `json:"organizationalUnits,omitempty"` // by id, roots too
}

// Account is one account of a File.
type Account struct {
	// Assumable false refuses every AssumeRole into the account; true if left out.
	Assumable *bool `json:"assumable,omitempty"`
	// ExternalID, if given, is the only external id that the account accepts.
	ExternalID string `json:"externalId,omitempty"`
	// State is what AWS Organizations says of the account; ACTIVE if left out. A suspended one refuses everything.
	State   string            `json:"state,omitempty"`
	Regions map[string]Region `json:"regions"`
}

// Region is one region of an account.
type Region struct {
	// Enabled false makes it an opt-in region that is not enabled; true if left out.
	Enabled   *bool      `json:"enabled,omitempty"`
	Instances []Instance `json:"instances"`
	Alarms    []Alarm    `json:"alarms,omitempty"`
}

// Instance is one instance, or Count alike.
type Instance struct {
	Name            string            `json:"name,omitempty"`            // tag Name, unique in its region
	Platform        string            `json:"platform,omitempty"`        // Linux (default), Windows or MacOS
	PlatformName    string            `json:"platformName,omitempty"`    // of its operating system, as agents read it; a usual one if left out
	PlatformVersion string            `json:"platformVersion,omitempty"` // as platformName
	Tags            map[string]string `json:"tags,omitempty"`            // {"PatchGroup": "default"} if left out
	PatchSeconds    float64           `json:"patchSeconds,omitempty"`    // drawn lognormal if left out
	RebootSeconds   float64           `json:"rebootSeconds,omitempty"`   // drawn from 60 to 360 if left out
	Fate            Fate              `json:"fate,omitempty"`            // ok if left out; see Fates
	Count           int               `json:"count,omitempty"`           // 1 if left out; names get -1, -2 ...
}

// Alarm is a CloudWatch alarm whose state follows a script.
type Alarm struct {
	Name      string      `json:"name"`
	Composite bool        `json:"composite,omitempty"` // a composite alarm; a metric alarm if left out
	Script    []AlarmStep `json:"script"`              // INSUFFICIENT_DATA before the first step
}

// AlarmStep sets the state of an alarm from a moment of the rehearsal on.
type AlarmStep struct {
	AfterSeconds float64 `json:"afterSeconds"`
	State        string  `json:"state"` // OK, ALARM or INSUFFICIENT_DATA
}

// maxFleetCount bounds the instances of one entry, maxFleet those of a file.
const (
	maxFleetCount   = 10_000
	maxFleet        = 100_000
	maxFleetSeconds = 7 * 24 * 3600.0
	maxPlatformName = 200 // ours; AWS states none
	maxTags         = 50  // Source: EC2 User Guide, tag restrictions
)

// Parse reads a File. It refuses unknown fields, and its error names every other problem with its JSON path.
func Parse(data []byte) (File, error) {
	var f File
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return File{}, misread(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return File{}, errors.New("fleet: text after the JSON document")
	}
	if err := errors.Join(f.Validate(), noInstances(data)); err != nil {
		return File{}, err
	}
	return f, nil
}

// Validate names every problem of the file with its JSON path, joined into one error.
func (f File) Validate() error {
	v := fleetCheck{
		account: regexp.MustCompile(`^\d{12}$`),
		region:  regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`),
	}
	if len(f.Accounts) == 0 {
		v.add("accounts", "no account is given")
	}
	for _, id := range slices.Sorted(maps.Keys(f.Accounts)) {
		v.checkAccount(id, f.Accounts[id])
	}
	v.checkUnits(f.Units)
	if v.total > maxFleet {
		v.add("accounts", "%d instances are more than %d", v.total, maxFleet)
	}
	return errors.Join(v.problems...)
}

type fleetCheck struct {
	account, region *regexp.Regexp
	problems        []error
	total           int
}

func (v *fleetCheck) add(path, format string, args ...any) {
	v.problems = append(v.problems, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (v *fleetCheck) checkAccount(id string, a Account) {
	at := fmt.Sprintf("accounts[%q]", id)
	if !v.account.MatchString(id) {
		v.add(at, "%q is not a 12-digit account id", id)
	}
	if a.State != "" && !slices.Contains(accountStates(), a.State) {
		v.add(at+".state", "%q is none of %s", a.State, strings.Join(accountStates(), ", "))
	}
	for _, region := range slices.Sorted(maps.Keys(a.Regions)) {
		v.checkRegion(fmt.Sprintf("%s.regions[%q]", at, region), region, a.Regions[region])
	}
}

func (v *fleetCheck) checkRegion(at, name string, r Region) {
	if !v.region.MatchString(name) {
		v.add(at, "%q is not the name of a region", name)
	}
	names := map[string]int{}
	for n, i := range r.Instances {
		path := fmt.Sprintf("%s.instances[%d]", at, n)
		v.checkInstance(path, i)
		if first, taken := names[i.Name]; taken && i.Name != "" {
			v.add(path+".name", "%q is taken by instances[%d]", i.Name, first)
			continue
		}
		names[i.Name] = n
	}
	taken := map[string]bool{}
	for n, a := range r.Alarms {
		path := fmt.Sprintf("%s.alarms[%d]", at, n)
		if a.Name == "" || taken[a.Name] {
			v.add(path+".name", "%q is empty or taken", a.Name)
		}
		taken[a.Name] = true
		for m, s := range a.Script {
			step := fmt.Sprintf("%s.script[%d]", path, m)
			v.number(step+".afterSeconds", s.AfterSeconds)
			if !slices.Contains(alarmStates(), s.State) {
				v.add(step+".state", "%q is none of %s", s.State, strings.Join(alarmStates(), ", "))
			}
		}
	}
}

func (v *fleetCheck) checkInstance(path string, i Instance) {
	if i.Platform != "" && !slices.Contains([]string{Linux, Windows, MacOS}, i.Platform) {
		v.add(path+".platform", "%q is none of Linux, Windows, MacOS", i.Platform)
	}
	v.text(path+".platformName", i.PlatformName)
	v.text(path+".platformVersion", i.PlatformVersion)
	if i.Fate != "" && !slices.Contains(Fates(), i.Fate) {
		v.add(path+".fate", "%q is no fate; fates are %s", i.Fate, fateNames())
	}
	v.number(path+".patchSeconds", i.PatchSeconds)
	v.number(path+".rebootSeconds", i.RebootSeconds)
	if i.Count < 0 || i.Count > maxFleetCount {
		v.add(path+".count", "%d is not between 1 and %d", i.Count, maxFleetCount)
	}
	if len(i.Tags) > maxTags {
		v.add(path+".tags", "%d tags are more than %d", len(i.Tags), maxTags)
	}
	v.total += max(1, i.Count)
}

func (v *fleetCheck) text(path, text string) {
	if len(text) > maxPlatformName {
		v.add(path, "%d characters are more than %d", len(text), maxPlatformName)
	}
}

func (v *fleetCheck) number(path string, n float64) {
	if n < 0 || n > maxFleetSeconds || math.IsNaN(n) {
		v.add(path, "%v is not between 0 and %.0f", n, maxFleetSeconds)
	}
}

func alarmStates() []string { return []string{"OK", "ALARM", "INSUFFICIENT_DATA"} }

func fateNames() string {
	var names []string
	for _, f := range Fates() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}
