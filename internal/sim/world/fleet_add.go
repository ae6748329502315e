package world

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
)

// AddFleet adds the accounts, regions, instances, alarms and units of a file.
func (w *World) AddFleet(f fleetfile.File) error {
	if err := f.Validate(); err != nil {
		return err
	}
	w.SetUnits(f.Units)
	for _, id := range slices.Sorted(maps.Keys(f.Accounts)) {
		a := f.Accounts[id]
		known := w.Account(id)
		known.Refused, known.ExternalID = a.Assumable != nil && !*a.Assumable, a.ExternalID
		known.State, known.Suspended = a.State, a.State == "SUSPENDED"
		for _, region := range slices.Sorted(maps.Keys(a.Regions)) {
			if err := w.addRegion(id, region, a.Regions[region]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) addRegion(account, region string, r fleetfile.Region) error {
	w.EnableRegion(account, region)
	if r.Enabled != nil && !*r.Enabled {
		w.DisableRegion(account, region)
	}
	for n, i := range r.Instances {
		for _, spec := range specs(i, account, region, n) {
			if _, err := w.AddInstance(spec); err != nil {
				return err
			}
		}
	}
	for _, a := range r.Alarms {
		var steps []estate.AlarmStep
		for _, s := range a.Script {
			steps = append(steps, estate.AlarmStep{After: toDuration(s.AfterSeconds), State: s.State})
		}
		add := w.AddAlarm
		if a.Composite {
			add = w.AddCompositeAlarm
		}
		if err := add(account, region, a.Name, steps...); err != nil {
			return err
		}
	}
	return nil
}

// specs are the instances that the nth entry of a region stands for.
func specs(i fleetfile.Instance, account, region string, n int) []InstanceSpec {
	tags := i.Tags
	if tags == nil {
		tags = map[string]string{"PatchGroup": "default"}
	}
	name := i.Name
	if name == "" {
		name = fmt.Sprintf("entry-%d", n+1)
	}
	spec := InstanceSpec{
		Account: account, Region: region, Name: name, Platform: i.Platform, PlatformName: i.PlatformName,
		PlatformVersion: i.PlatformVersion, Tags: tags, Fate: i.Fate,
		Patch: toDuration(i.PatchSeconds), Reboot: toDuration(i.RebootSeconds),
	}
	if i.Fate == fleetfile.FateASGReplaced {
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
