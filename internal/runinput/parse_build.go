package runinput

import (
	"encoding/json"
	"fmt"
	"strconv"

	"ec2patch/internal/patch"
)

// build makes the input from a document in which no problem was found.
func build(data []byte, root *node, d Defaults) (Input, error) {
	in := Input{
		WavePauseSeconds:       DefaultWavePauseSeconds,
		Approval:               DefaultApproval,
		ApprovalTimeoutSeconds: d.ApprovalTimeoutSeconds,
		RequireDistinct:        DefaultRequireDistinct,
		OnUnreachable:          DefaultOnUnreachable,
		Budget:                 RunBudget{MaxFailedInstances: share(DefaultFailedInstancesPercent)},
		Guards: Guards{MaxInstances: DefaultGuardInstances, MaxShare: share(DefaultGuardPercent),
			MaxGrowth: share(DefaultGuardPercent)},
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return Input{}, fmt.Errorf("read the input: %w", err)
	}
	switch required := root.member("approvalRequired"); {
	case required == nil:
	case required.text == "false":
		in.Approval = ApproveNone
	default:
		in.Approval = ApproveOnce
	}
	waves, err := buildWaves(data, root, d)
	if err != nil {
		return Input{}, fmt.Errorf("read the waves: %w", err)
	}
	in.Waves = waves
	for i := range in.Waves {
		in.Waves[i].settle(in.DryRun)
	}
	in.Warnings = in.warned().lines()
	return in, fits(in)
}

// fits refuses an input that would be too large to be read again: defaults
// and escapes make it longer than it was written.
func fits(in Input) error {
	full, err := json.Marshal(in)
	if err == nil && len(full) > MaxInputBytes {
		err = fmt.Errorf("the input has %d bytes with every default filled in, more than %d", len(full), MaxInputBytes)
	}
	return err
}

func share(percent int) patch.Threshold { return patch.Threshold{Value: percent, Percent: true} }

func defaultWaveName(i int) string { return "wave-" + strconv.Itoa(i+1) }

// defaultWave is the i-th wave of a run before its fields are read. Its tags
// are filled in by settle, when the instance ids are known.
func defaultWave(i int, d Defaults) Wave {
	return Wave{
		Name:     defaultWaveName(i),
		Accounts: []patch.AccountID{},
		Filters:  Filters{Platforms: []patch.Platform{patch.Linux, patch.Windows}},
		SSM: SSM{MaxConcurrency: d.MaxConcurrency, MaxErrors: d.MaxErrors, Operation: patch.Install,
			RebootOption: patch.RebootIfNeeded},
		MaxConcurrentAccounts: d.MaxConcurrentAccounts,
		CommandTimeoutSeconds: d.CommandTimeoutSeconds,
		Budget: WaveBudget{
			MaxFailedInstances: share(DefaultFailedInstancesPercent),
			MaxFailedAccounts:  share(DefaultFailedAccountsPercent),
			PerAccount:         share(DefaultFailedInstancesPercent),
		},
		HealthGate: HealthGate{SoakSeconds: DefaultSoakSeconds},
		SlowStart:  i == 0,
	}
}

func buildWaves(data []byte, root *node, d Defaults) ([]Wave, error) {
	list := root.member("waves")
	if list == nil {
		list = root.member("accountWaves")
	}
	if list == nil {
		return buildFlat(data, d)
	}
	waves := make([]Wave, len(list.items))
	for i, item := range list.items {
		waves[i] = defaultWave(i, d)
		if err := json.Unmarshal(data[item.start:item.end], &waves[i]); err != nil {
			return nil, err
		}
	}
	return waves, nil
}

// buildFlat reads the form of a single wave.
func buildFlat(data []byte, d Defaults) ([]Wave, error) {
	wave := defaultWave(0, d)
	flat := struct {
		WaveID      *string             `json:"waveId"`
		Accounts    *[]patch.AccountID  `json:"accounts"`
		Regions     *[]patch.Region     `json:"regions"`
		TagFilters  map[string]string   `json:"tagFilters"`
		InstanceIDs *[]patch.InstanceID `json:"instanceIds"`
	}{WaveID: &wave.Name, Accounts: &wave.Accounts, Regions: &wave.Regions, InstanceIDs: &wave.Filters.InstanceIDs}
	if err := json.Unmarshal(data, &flat); err != nil {
		return nil, err
	}
	if flat.TagFilters != nil {
		wave.Filters.Tags = map[string][]string{}
	}
	for key, value := range flat.TagFilters {
		wave.Filters.Tags[key] = []string{value}
	}
	return []Wave{wave}, nil
}

// settle gives the wave the one form that means what was written: no empty
// lists, no tags beside instance ids, and no reboot after a scan.
func (w *Wave) settle(dryRun bool) {
	if len(w.OrganizationalUnits) == 0 {
		w.OrganizationalUnits = nil
	}
	if len(w.HealthGate.Alarms) == 0 {
		w.HealthGate.Alarms = nil
	}
	switch {
	case len(w.Filters.InstanceIDs) > 0:
		w.Filters.Tags = map[string][]string{}
	case w.Filters.Tags == nil:
		w.Filters.Tags = map[string][]string{DefaultTagKey: {DefaultTagValue}}
	}
	if len(w.Filters.InstanceIDs) == 0 {
		w.Filters.InstanceIDs = nil
	}
	if dryRun {
		w.SSM.Operation = patch.Scan
	}
	if w.SSM.Operation == patch.Scan {
		w.SSM.RebootOption = patch.NoReboot
	}
}
