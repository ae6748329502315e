package task

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"ec2patch/internal/patch"
)

// maxRollUp bounds the planned and excluded instances of one account whose
// regions are folded into one object: some 5 MB. A larger account's results are
// read region by region.
const maxRollUp = 5000

// AccountResult is one account's roll-up in one wave. The results stand in it
// byte for byte, so that each can be compared with the hash in its target's row.
type AccountResult struct {
	Run      patch.RunID              `json:"run"`
	Wave     string                   `json:"wave"`
	Account  patch.AccountID          `json:"account"`
	Results  []json.RawMessage        `json:"results"`
	Excluded []patch.ExcludedInstance `json:"excluded"` // of the wave, in all its regions
}

// RollUpOutput names the account that was rolled up.
type RollUpOutput struct {
	Account patch.AccountID `json:"account"`
}

// RollUp folds the results of an account's regions into one object.
func (v *Reports) RollUp(ctx context.Context, in ReportInput) (RollUpOutput, error) {
	out := RollUpOutput{in.Account}
	var run patch.RunRow
	if err := v.Table.Load(ctx, &Row{Key: patch.RunKey(in.Run), Into: &run}); err != nil {
		return out, err
	}
	index, err := loadPlan(ctx, v.Objects, in.Run, run.Digest)
	if err != nil {
		return out, err
	}
	for _, p := range piecesOf(index) {
		if p.wave != in.Wave || p.account != in.Account || !p.whole {
			continue
		}
		all := AccountResult{Run: in.Run, Wave: in.Wave, Account: in.Account}
		if all.Results, err = proven(ctx, v.Table, v.Objects, p.targets(in.Run)); err != nil {
			return out, err
		}
		if all.Excluded, err = excludedIn(ctx, v.Objects, in.Run, p); err != nil {
			return out, err
		}
		data, err := patch.Canonical(all)
		if err != nil {
			return out, err
		}
		return out, v.Objects.Store(ctx, patch.RollUpObject(in.Run, in.Wave, in.Account), "application/json", data)
	}
	return out, nil
}

// proven reads the results of those targets that were verified, as they were then.
func proven(ctx context.Context, table Table, objects Objects, targets []patch.Target) ([]json.RawMessage, error) {
	rows, err := loadRows(ctx, table, targets)
	if err != nil {
		return nil, err
	}
	results := []json.RawMessage{}
	for _, t := range targets {
		data, found, err := fetchProven(ctx, objects, t, rows[t].ResultHash)
		if err != nil {
			return nil, err
		}
		if found {
			results = append(results, data)
		}
	}
	return results, nil
}

// fetchProven reads a target's result. The hash in the row is the truth: found
// is false for an object that is another one, or missing.
func fetchProven(ctx context.Context, objects Objects, t patch.Target, hash string) (data []byte, found bool, err error) {
	if hash == "" {
		return nil, false, nil
	}
	data, found, err = objects.Fetch(ctx, patch.ResultObject(t, hash))
	return data, found && err == nil && patch.Digest(data) == hash, err
}

func decodeResult(data []byte) (TargetResult, error) {
	var result TargetResult
	if err := json.Unmarshal(data, &result); err != nil {
		return result, fmt.Errorf("%w: a result with its hash cannot be read: %w", patch.ErrInternal, err)
	}
	return result, nil
}

// loadRows reads the rows of targets; one that does not exist stays empty.
func loadRows(ctx context.Context, table Table, targets []patch.Target) (map[patch.Target]patch.TargetRow, error) {
	all := make(map[patch.Target]patch.TargetRow, len(targets))
	for some := range slices.Chunk(targets, maxLoad) {
		found := make([]patch.TargetRow, len(some))
		rows := make([]*Row, len(some))
		for i, t := range some {
			rows[i] = &Row{Key: patch.TargetKey(t), Into: &found[i]}
		}
		if err := table.Load(ctx, rows...); err != nil {
			return nil, err
		}
		for i, t := range some {
			all[t] = found[i]
		}
	}
	return all, nil
}

// excludedIn lists what a wave matched in a piece and does not patch.
func excludedIn(ctx context.Context, objects Objects, run patch.RunID, p piece) ([]patch.ExcludedInstance, error) {
	excluded := []patch.ExcludedInstance{}
	for _, region := range p.excluding {
		inv, err := loadInventory(ctx, objects, run, p.account, region)
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

func loadInventory(ctx context.Context, objects Objects, run patch.RunID, account patch.AccountID, region patch.Region) (patch.Inventory, error) {
	var inv patch.Inventory
	data, found, err := objects.Fetch(ctx, patch.InventoryObject(run, account, region))
	if err != nil || !found {
		return inv, err
	}
	if err := json.Unmarshal(data, &inv); err != nil {
		return inv, fmt.Errorf("%w: inventory of %s/%s: %w", patch.ErrInternal, account, region, err)
	}
	return inv, nil
}
