package plan

import (
	"context"
	"encoding/json"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// loadPlan reads the plan that the run was frozen with, and no other.
func Load(ctx context.Context, objects store.Objects, run patch.RunID, digest string) (Index, error) {
	x, found, err := findIndex(ctx, objects, run)
	if err == nil && (!found || x.Digest != digest) {
		return x, fmt.Errorf("%w: the plan of run %s is not the one that was frozen", patch.ErrTampered, run)
	}
	return x, err
}

func LoadIndex(ctx context.Context, objects store.Objects, run patch.RunID) (Index, error) {
	x, found, err := findIndex(ctx, objects, run)
	if err == nil && !found {
		return x, fmt.Errorf("%w: run %s has no plan", patch.ErrInternal, run)
	}
	return x, err
}

func findIndex(ctx context.Context, objects store.Objects, run patch.RunID) (x Index, found bool, err error) {
	data, found, err := objects.Fetch(ctx, store.IndexObject(run))
	if err != nil || !found {
		return x, found, err
	}
	if err := json.Unmarshal(data, &x); err != nil {
		return x, true, fmt.Errorf("%w: plan of run %s: %w", patch.ErrTampered, run, err)
	}
	sealed := x.Digest
	if err := x.Seal(); err != nil {
		return x, true, err
	}
	if x.Digest != sealed {
		return x, true, fmt.Errorf("%w: the plan of run %s does not have its digest", patch.ErrTampered, run)
	}
	return x, true, nil
}

// LoadInput reads the normalised input.
func LoadInput(ctx context.Context, objects store.Objects, run patch.RunID) (runinput.Input, string, error) {
	var in runinput.Input
	data, found, err := objects.Fetch(ctx, store.InputObject(run))
	if err != nil {
		return in, "", err
	}
	if !found {
		return in, "", fmt.Errorf("%w: run %s has no input", patch.ErrInternal, run)
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return in, "", fmt.Errorf("%w: input of run %s: %w", patch.ErrInternal, run, err)
	}
	return in, patch.Digest(data), nil
}

func LoadInventory(ctx context.Context, objects store.Objects, run patch.RunID, account patch.AccountID,
	region patch.Region) (Inventory, error) {
	var inv Inventory
	data, found, err := objects.Fetch(ctx, store.InventoryObject(run, account, region))
	if err != nil || !found {
		return inv, err
	}
	if err := json.Unmarshal(data, &inv); err != nil {
		return inv, fmt.Errorf("%w: inventory of %s/%s: %w", patch.ErrInternal, account, region, err)
	}
	return inv, nil
}

// LoadLeaf reads a target's plan and refuses one that is not the approved one.
func LoadLeaf(ctx context.Context, objects store.Objects, t patch.Target, digest string) (Leaf, error) {
	var leaf Leaf
	data, found, err := objects.Fetch(ctx, store.LeafObject(t))
	if err != nil {
		return leaf, err
	}
	if !found || patch.Digest(data) != digest {
		return leaf, fmt.Errorf("%w: plan of %s/%s in wave %s does not have its digest", patch.ErrTampered, t.Account,
			t.Region, t.Wave)
	}
	if err := json.Unmarshal(data, &leaf); err != nil {
		return leaf, fmt.Errorf("%w: plan of %s/%s: %w", patch.ErrTampered, t.Account, t.Region, err)
	}
	return leaf, nil
}
