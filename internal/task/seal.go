package task

import (
	"context"
	"crypto/hmac"

	"ec2patch/internal/patch"
)

// Verifiers check with the current key and, after a rotation and while it is
// given, with the previous one. A MAC that neither made costs a check of each.
type Verifiers []Verifier

// Check tells whether any of the keys made the MAC.
func (v Verifiers) Check(ctx context.Context, message, mac []byte) (bool, error) {
	for _, key := range v {
		if ok, err := key.Check(ctx, message, mac); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// seal signs a decision with the current key and with the previous one, if there
// is one: an execution that began before the rotation keeps its code and its
// environment, and knows the previous key alone.
func (c *Callback) seal(ctx context.Context, rec patch.Approval, d patch.Decision) (patch.Decision, error) {
	var err error
	message := rec.DecisionMessage(d)
	if d.MAC, err = c.Decisions.MAC(ctx, message); err != nil || c.OldDecisions == nil {
		return d, err
	}
	d.OldMAC, err = c.OldDecisions.MAC(ctx, message)
	return d, err
}

// sealedHere makes a decision's MACs again and compares them.
func (c *Callback) sealedHere(ctx context.Context, rec patch.Approval, d patch.Decision) (bool, error) {
	for _, key := range []Signer{c.Decisions, c.OldDecisions} {
		if key == nil {
			continue
		}
		mac, err := key.MAC(ctx, rec.DecisionMessage(d))
		if err != nil {
			return false, err
		}
		for _, seal := range d.Seals() {
			if len(mac) > 0 && hmac.Equal(mac, seal) {
				return true, nil
			}
		}
	}
	return false, nil
}

// sealed tells whether a decision carries a MAC of a key that is known here.
func sealed(ctx context.Context, keys Verifier, rec patch.Approval, d patch.Decision) (bool, error) {
	for _, seal := range d.Seals() {
		if ok, err := keys.Check(ctx, rec.DecisionMessage(d), seal); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
