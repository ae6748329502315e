package world

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
	"time"
)

// FleetFile describes a whole estate, as read from JSON:
//
//	{"accounts": {"111111111111": {
//	  "assumable": true,
//	  "externalId": "",
//	  "regions": {"us-east-1": {
//	    "enabled": true,
//	    "instances": [{"name": "web-1", "platform": "Linux", "tags": {"PatchGroup": "default"},
//	      "platformName": "Amazon Linux", "platformVersion": "2023", "patchSeconds": 420, "rebootSeconds": 90, "fate": "ok", "count": 1}],
//	    "alarms": [{"name": "errors", "script": [{"afterSeconds": 0, "state": "OK"}]}]}}}},
//	 "organizationalUnits": {"ou-ab12-production": {"accounts": ["111111111111"], "organizationalUnits": []}}}
//
// Only accounts, regions and instances are required; what is left out of an instance is drawn from the seed.
type FleetFile struct {
	Accounts map[string]FleetAccount `json:"accounts"`                      // by twelve-digit id
	Units    map[string]FleetUnit    `json:"organizationalUnits,omitempty"` // by id, roots too
}

// FleetAccount is one account of a FleetFile.
type FleetAccount struct {
	// Assumable false refuses every AssumeRole into the account; true if left out.
	Assumable *bool `json:"assumable,omitempty"`
	// ExternalID, if given, is the only external id that the account accepts.
	ExternalID string `json:"externalId,omitempty"`
	// State is what AWS Organizations says of the account; ACTIVE if left out. A suspended one refuses everything.
	State   string                 `json:"state,omitempty"`
	Regions map[string]FleetRegion `json:"regions"`
}

// FleetRegion is one region of an account.
type FleetRegion struct {
	// Enabled false makes it an opt-in region that is not enabled; true if left out.
	Enabled   *bool           `json:"enabled,omitempty"`
	Instances []FleetInstance `json:"instances"`
	Alarms    []FleetAlarm    `json:"alarms,omitempty"`
}

// FleetInstance is one instance, or Count alike.
type FleetInstance struct {
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

// FleetAlarm is a CloudWatch alarm whose state follows a script.
type FleetAlarm struct {
	Name      string           `json:"name"`
	Composite bool             `json:"composite,omitempty"` // a composite alarm; a metric alarm if left out
	Script    []FleetAlarmStep `json:"script"`              // INSUFFICIENT_DATA before the first step
}

// FleetAlarmStep sets the state of an alarm from a moment of the rehearsal on.
type FleetAlarmStep struct {
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

// ParseFleet reads a FleetFile. It refuses unknown fields, and its error names every other problem with its JSON path.
func ParseFleet(data []byte) (FleetFile, error) {
	var f FleetFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return FleetFile{}, misread(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return FleetFile{}, errors.New("fleet: text after the JSON document")
	}
	if err := errors.Join(f.Validate(), noInstances(data)); err != nil {
		return FleetFile{}, err
	}
	return f, nil
}

// Validate names every problem of the file with its JSON path, joined into one error.
func (f FleetFile) Validate() error {
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

func (v *fleetCheck) checkAccount(id string, a FleetAccount) {
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

func (v *fleetCheck) checkRegion(at, name string, r FleetRegion) {
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

func (v *fleetCheck) checkInstance(path string, i FleetInstance) {
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

// AddFleet adds the accounts, regions, instances, alarms and units of a file.
func (w *World) AddFleet(f FleetFile) error {
	if err := f.Validate(); err != nil {
		return err
	}
	w.organization.units = f.Units
	for _, id := range slices.Sorted(maps.Keys(f.Accounts)) {
		a := f.Accounts[id]
		known := w.account(id)
		known.refused, known.externalID = a.Assumable != nil && !*a.Assumable, a.ExternalID
		known.state, known.suspended = a.State, a.State == "SUSPENDED"
		for _, region := range slices.Sorted(maps.Keys(a.Regions)) {
			if err := w.addRegion(id, region, a.Regions[region]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) addRegion(account, region string, r FleetRegion) error {
	w.fleet(account, region).disabled = r.Enabled != nil && !*r.Enabled
	for n, i := range r.Instances {
		for _, spec := range i.specs(account, region, n) {
			if _, err := w.AddInstance(spec); err != nil {
				return err
			}
		}
	}
	for _, a := range r.Alarms {
		var steps []AlarmStep
		for _, s := range a.Script {
			steps = append(steps, AlarmStep{After: toDuration(s.AfterSeconds), State: s.State})
		}
		if err := w.addAlarm(account, region, a.Name, a.Composite, steps); err != nil {
			return err
		}
	}
	return nil
}

// specs are the instances that the nth entry of a region stands for.
func (i FleetInstance) specs(account, region string, n int) []InstanceSpec {
	tags := i.Tags
	if tags == nil {
		tags = map[string]string{"PatchGroup": "default"}
	}
	name := i.Name
	if name == "" {
		name = fmt.Sprintf("entry-%d", n+1)
	}
	spec := InstanceSpec{
		Account: account, Region: region, Name: name, Platform: i.Platform, PlatformName: i.PlatformName, PlatformVersion: i.PlatformVersion, Tags: tags, Fate: i.Fate,
		Patch: toDuration(i.PatchSeconds), Reboot: toDuration(i.RebootSeconds),
	}
	if i.Fate == FateASGReplaced {
		spec.ASG = name + "-group"
	}
	if i.Count <= 1 {
		return []InstanceSpec{spec}
	}
	var all []InstanceSpec
	for m := range i.Count {
		spec.Name = fmt.Sprintf("%s-%d", name, m+1)
		all = append(all, spec)
	}
	return all
}

func toDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
