package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// Inventory is the task of PreEC2Inventory: plan, discover, freeze.
type Inventory struct {
	Table    store.Table
	Objects  store.Objects
	Spokes   port.Spokes
	Alarms   port.Alarms
	Runs     port.Runs
	Units    port.Organization // nil where the hub was given no role to read the organization
	Auditor  store.Signer
	Now      port.Clock
	Defaults runinput.Defaults
	Policy   runinput.Policy // what the hub demands of every run

	Bucket            string
	RegionConcurrency int
	PollInterval      time.Duration
}

// InventoryInput is the payload of all three steps.
type InventoryInput struct {
	Task         patch.Task      `json:"task"`
	Run          patch.RunID     `json:"run"`
	ExecutionARN string          `json:"executionArn"`
	StartedAt    time.Time       `json:"startedAt"`
	Input        json.RawMessage `json:"input"`
	Previous     patch.RunID     `json:"previous"` // the last run of the same waves, empty if there was none
	Account      patch.AccountID `json:"account"`
	Region       patch.Region    `json:"region"`
}

// Handle carries out one step.
func (v *Inventory) Handle(ctx context.Context, in InventoryInput) (any, error) {
	if _, err := patch.ParseRunID(string(in.Run)); err != nil {
		return nil, fmt.Errorf("%w: %w", patch.ErrInvalidInput, err)
	}
	switch in.Task {
	case patch.TaskPlan:
		return v.plan(ctx, in)
	case patch.TaskDiscover:
		return v.discover(ctx, in)
	case patch.TaskFreeze:
		return v.freeze(ctx, in.Run)
	}
	return nil, fmt.Errorf("%w: task %q is none of plan, discover, freeze", patch.ErrInvalidInput, in.Task)
}
