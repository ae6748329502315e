package approval

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// SealOutput says which plan was sealed. It is for people who follow the run: no state acts on it.
type SealOutput struct {
	Digest string `json:"digest"`
}

// sealPlan writes what senders believe of the run: its plan and the terms of it, once. A plan that is not whole, or
// that
// asks less than the hub demands, gets no seal, and so nothing of it is ever sent.
func (a *Requests) sealPlan(ctx context.Context, in RequestInput) (SealOutput, error) {
	var run store.RunRow
	if err := a.Table.Load(ctx, &store.Row{Key: store.RunKey(in.Run), Into: &run}); err != nil {
		return SealOutput{}, err
	}
	index, err := plan.Load(ctx, a.Objects, in.Run, run.Digest)
	if err != nil {
		return SealOutput{}, err
	}
	why := index.Broken()
	if why == "" {
		why = index.Below(a.Policy)
	}
	if why == "" && index.Terms.Hub != a.Policy {
		why = "it was made by another policy of the hub"
	}
	if why != "" {
		return SealOutput{}, fmt.Errorf("%w: the plan of run %s is not sealed: %s", patch.ErrTampered, in.Run, why)
	}
	seal := decision.SealOf(&index, a.HubAccount)
	seal.At = a.Now().UTC()
	if seal.MAC, err = a.Seals.MAC(ctx, seal.Message()); err != nil {
		return SealOutput{}, err
	}
	err = a.Table.Write(ctx, store.Write{How: store.Create, Key: store.SealKey(in.Run), Item: seal})
	if !errors.Is(err, patch.ErrConflict) {
		return SealOutput{Digest: seal.Digest}, err
	}
	first, err := a.sealOf(ctx, in.Run)
	if err == nil && !first.Says(seal) {
		err = fmt.Errorf("%w: run %s was sealed with another plan", patch.ErrTampered, in.Run)
	}
	return SealOutput{Digest: first.Digest}, err
}

// sealOf reads the run's seal and makes its MAC again: who makes codes does not check them.
func (a *Requests) sealOf(ctx context.Context, run patch.RunID) (decision.Seal, error) {
	var seal decision.Seal
	row := &store.Row{Key: store.SealKey(run), Into: &seal}
	if err := a.Table.Load(ctx, row); err != nil {
		return seal, err
	}
	if !row.Found || seal.Run != run {
		return seal, fmt.Errorf("%w: the plan of run %s has no seal", patch.ErrTampered, run)
	}
	mac, err := a.Seals.MAC(ctx, seal.Message())
	if err != nil {
		return seal, err
	}
	if len(mac) == 0 || !hmac.Equal(mac, seal.MAC) {
		return seal, fmt.Errorf("%w: the plan of run %s has a seal that is not this hub's", patch.ErrTampered, run)
	}
	return seal, nil
}
