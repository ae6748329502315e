package fleetfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// misread says where a fleet file is not what it should be, and what was due there.
func misread(data []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("fleet: line %d: %w", 1+bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n")), err)
	}
	at, err := narrow("", data, err)
	if at == "" {
		at = "fleet"
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field != "" {
			at = strings.TrimPrefix(at+"."+wrong.Field, "fleet.")
		}
		return fmt.Errorf("%s: %s is written where %s is due", at, wrong.Value, due(wrong))
	}
	return fmt.Errorf("%s: %s", at, strings.TrimPrefix(err.Error(), "json: "))
}

// due names a kind of value as JSON does.
func due(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "struct", "map":
		return "an object"
	case "slice":
		return "an array"
	case "int", "float64":
		return "a number"
	case "bool":
		return "true or false"
	default:
		return "text"
	}
}

// loose is any of the objects of a fleet file, with its lists not yet read.
type loose struct {
	Accounts  map[string]json.RawMessage `json:"accounts"`
	Regions   map[string]json.RawMessage `json:"regions"`
	Instances []json.RawMessage          `json:"instances"`
	Count     *int                       `json:"count"`
}

// narrow finds the smallest of accounts, regions and instances that cannot be
// read, and why. err is why data as a whole cannot.
func narrow(at string, data []byte, err error) (string, error) {
	var o loose
	if json.Unmarshal(data, &o) != nil {
		return at, err
	}
	for _, id := range slices.Sorted(maps.Keys(o.Accounts)) {
		if err := strictly[Account](o.Accounts[id]); err != nil {
			return narrow(fmt.Sprintf("accounts[%q]", id), o.Accounts[id], err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Regions)) {
		if err := strictly[Region](o.Regions[name]); err != nil {
			return narrow(fmt.Sprintf("%s.regions[%q]", at, name), o.Regions[name], err)
		}
	}
	for i, instance := range o.Instances {
		if err := strictly[Instance](instance); err != nil {
			return fmt.Sprintf("%s.instances[%d]", at, i), err
		}
	}
	return at, err
}

func strictly[T any](data []byte) error {
	var v T
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(&v)
}

// noInstances refuses a count of 0, which would be read as one that is left out.
func noInstances(data []byte) error {
	var f struct {
		Accounts map[string]struct {
			Regions map[string]struct{ Instances []loose }
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(f.Accounts)) {
		for _, region := range slices.Sorted(maps.Keys(f.Accounts[id].Regions)) {
			for i, instance := range f.Accounts[id].Regions[region].Instances {
				if instance.Count != nil && *instance.Count == 0 {
					problems = append(problems, fmt.Errorf("accounts[%q].regions[%q].instances[%d].count: 0 is not between 1 and %d",
						id, region, i, maxFleetCount))
				}
			}
		}
	}
	return errors.Join(problems...)
}
