package target

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// Proven reads the results of those targets that were verified, as they were then.
func Proven(
	ctx context.Context, table store.Table, objects store.Objects, targets []patch.Target,
) ([]json.RawMessage, error) {
	rows, err := LoadRows(ctx, table, targets)
	if err != nil {
		return nil, err
	}
	results := []json.RawMessage{}
	for _, t := range targets {
		data, found, err := FetchProven(ctx, objects, t, rows[t].ResultHash)
		if err != nil {
			return nil, err
		}
		if found {
			results = append(results, data)
		}
	}
	return results, nil
}

// FetchProven reads a target's result. The hash in the row is the truth: found
// is false for an object that is another one, or missing.
func FetchProven(
	ctx context.Context, objects store.Objects, t patch.Target, hash string,
) (data []byte, found bool, err error) {
	if hash == "" {
		return nil, false, nil
	}
	data, found, err = objects.Fetch(ctx, store.ResultObject(t, hash))
	return data, found && err == nil && patch.Digest(data) == hash, err
}

// DecodeResult reads a result whose hash was found right.
func DecodeResult(data []byte) (TargetResult, error) {
	var result TargetResult
	if err := json.Unmarshal(data, &result); err != nil {
		return result, fmt.Errorf("%w: a result with its hash cannot be read: %w", patch.ErrInternal, err)
	}
	return result, nil
}

// TargetResult is what one target leaves in the bucket, under its hash, which the
// target's row has once it is booked.
type TargetResult struct {
	patch.Target
	At        time.Time                `json:"at"`
	Settled   bool                     `json:"settled"`
	Instances []outcome.InstanceReport `json:"instances"`
	Unsettled []patch.InstanceID       `json:"unsettled,omitempty"`
	Newcomers []plan.ExcludedInstance  `json:"newcomers,omitempty"` // when it was settled
}
