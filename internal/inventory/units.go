package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// resolveUnits adds the active accounts of the waves' organizational units to
// the waves, after those that the input lists. The others are noted beside them.
// Every problem of every wave is named at once.
func (v *Inventory) resolveUnits(ctx context.Context, run patch.RunID, in runinput.Input) (runinput.Input, error) {
	var all []string
	for _, w := range in.Waves {
		for _, unit := range w.OrganizationalUnits {
			if !slices.Contains(all, unit) {
				all = append(all, unit)
			}
		}
	}
	if len(all) == 0 {
		return in, nil
	}
	if v.Units == nil {
		return in, refuseUnits(in, "cannot be resolved",
			"deploy organization-reader-cfn.yaml and give the hub its role as OrganizationReaderRoleArn, or list the "+
				"accounts")
	}
	units, err := v.Units.Below(ctx, run, all)
	if patch.KindOf(err) == patch.ErrAccessDenied && err != nil {
		return in, refuseUnits(in, "cannot be resolved: "+err.Error(),
			"the role OrganizationReaderRoleArn must trust this hub with its external id, in the management account "+
				"or a delegated administrator")
	}
	if err != nil {
		return in, err
	}
	var problems runinput.Problems
	in.Waves = slices.Clone(in.Waves)
	for i := range in.Waves {
		inactive, found := addUnits(&in.Waves[i], fmt.Sprintf("waves[%d]", i), units)
		in.Inactive = append(in.Inactive, inactive...)
		problems = append(problems, found...)
	}
	if len(problems) == 0 {
		problems = tooLarge(in)
	}
	if len(problems) > 0 {
		return in, problems
	}
	return in, nil
}

// refuseUnits says the same of every wave that names units.
func refuseUnits(in runinput.Input, message, remedy string) error {
	var problems runinput.Problems
	for i, w := range in.Waves {
		if len(w.OrganizationalUnits) > 0 {
			problems = append(problems, runinput.Problem{Rule: runinput.RuleUnits,
				Path: fmt.Sprintf("waves[%d].organizationalUnits", i), Message: message, Remedy: remedy})
		}
	}
	return problems
}

// addUnits adds the active accounts of a wave's units, by id, to those that the
// wave lists, and returns the inactive ones.
func addUnits(w *runinput.Wave, path string,
	units map[string]port.Unit) ([]runinput.InactiveAccount, runinput.Problems) {
	if len(w.OrganizationalUnits) == 0 {
		return nil, nil
	}
	var problems runinput.Problems
	members := map[patch.AccountID]string{}
	for i, id := range w.OrganizationalUnits {
		if p := units[id].Problem; p != "" {
			problems = append(problems, runinput.Problem{Rule: runinput.RuleUnits,
				Path: fmt.Sprintf("%s.organizationalUnits[%d]", path, i), Value: fmt.Sprintf("%q", id), Message: p,
				Remedy: "correct the id, or list the accounts"})
		}
		for _, m := range units[id].Members {
			members[m.Account] = m.State
		}
	}
	var inactive []runinput.InactiveAccount
	listed := slices.Clone(w.Accounts)
	for _, account := range words.SortedKeys(members) {
		switch {
		case slices.Contains(w.Accounts, account): // the input asks for it by name, whatever its state
		case members[account] == activeAccount:
			listed = append(listed, account)
		default:
			inactive = append(inactive, runinput.InactiveAccount{Account: account, Wave: w.Name,
				State: members[account]})
		}
	}
	w.Accounts = listed
	at := path + ".organizationalUnits"
	switch {
	case len(problems) > 0:
	case len(listed) == 0:
		problems = append(problems, runinput.Problem{Rule: runinput.RuleUnits, Path: at,
			Message: "hold no active account", Remedy: "name other units, or leave the wave out"})
	case len(listed) > runinput.MaxAccountsPerWave:
		problems = append(problems, runinput.Problem{Rule: runinput.RuleCount, Path: at,
			Message: fmt.Sprintf("make %d accounts, more than %d in a wave", len(listed), runinput.MaxAccountsPerWave),
			Remedy:  "use more waves, of the units below them"})
	}
	return inactive, problems
}

// activeAccount is the state of an account that can be used. Source: Organizations API, Account, read 2026-11.
const activeAccount = "ACTIVE"

// tooLarge holds a run of units to the size of one that lists its accounts: the
// tasks read the whole input at every step.
func tooLarge(in runinput.Input) runinput.Problems {
	in.Inactive = nil
	full, err := json.Marshal(in)
	if err == nil && len(full) <= runinput.MaxInputBytes {
		return nil
	}
	return runinput.Problems{{Rule: runinput.RuleSize, Path: "waves",
		Message: fmt.Sprintf("have %d bytes with every account written out, more than %d", len(full),
			runinput.MaxInputBytes), Remedy: "split the run"}}
}
