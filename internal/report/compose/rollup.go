package compose

import (
	"context"
	"encoding/json"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// maxRollUp bounds the planned and excluded instances of one account whose
// regions are folded into one object: some 5 MB. A larger account's results are
// read region by region.
const maxRollUp = 5000

// AccountResult is one account's roll-up in one wave. The results stand in it
// byte for byte, so that each can be compared with the hash in its target's row.
type AccountResult struct {
	Run      patch.RunID             `json:"run"`
	Wave     string                  `json:"wave"`
	Account  patch.AccountID         `json:"account"`
	Results  []json.RawMessage       `json:"results"`
	Excluded []plan.ExcludedInstance `json:"excluded"` // of the wave, in all its regions
}

// RollUpOutput names the account that was rolled up.
type RollUpOutput struct {
	Account patch.AccountID `json:"account"`
}

// RollUp folds the results of an account's regions into one object.
func (v *Reports) RollUp(ctx context.Context, in ReportInput) (RollUpOutput, error) {
	out := RollUpOutput{in.Account}
	var run store.RunRow
	if err := v.Table.Load(ctx, &store.Row{Key: store.RunKey(in.Run), Into: &run}); err != nil {
		return out, err
	}
	index, err := plan.Load(ctx, v.Objects, in.Run, run.Digest)
	if err != nil {
		return out, err
	}
	for _, p := range piecesOf(index) {
		if p.wave != in.Wave || p.account != in.Account || !p.whole {
			continue
		}
		all := AccountResult{Run: in.Run, Wave: in.Wave, Account: in.Account}
		if all.Results, err = target.Proven(ctx, v.Table, v.Objects, p.targets(in.Run)); err != nil {
			return out, err
		}
		if all.Excluded, err = excludedIn(ctx, v.Objects, in.Run, p); err != nil {
			return out, err
		}
		data, err := patch.Canonical(all)
		if err != nil {
			return out, err
		}
		return out, v.Objects.Store(ctx, store.RollUpObject(in.Run, in.Wave, in.Account), "application/json", data)
	}
	return out, nil
}

// excludedIn lists what a wave matched in a piece and does not patch.
func excludedIn(ctx context.Context, objects store.Objects, run patch.RunID, p piece) ([]plan.ExcludedInstance, error) {
	excluded := []plan.ExcludedInstance{}
	for _, region := range p.excluding {
		inv, err := plan.LoadInventory(ctx, objects, run, p.account, region)
		if err != nil {
			return nil, err
		}
		for _, e := range inv.Excluded {
			if e.Wave == p.wave {
				excluded = append(excluded, e)
			}
		}
	}
	return excluded, nil
}
