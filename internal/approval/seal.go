package approval

import (
	"context"
	"crypto/hmac"

	"ec2patch/internal/decision"
	"ec2patch/internal/port"
)

// seal signs a decision with the current key and with the previous one, if there
// is one: an execution that began before the rotation keeps its code and its
// environment, and knows the previous key alone.
func (c *Callback) seal(ctx context.Context, rec decision.Approval, d decision.Decision) (decision.Decision, error) {
	var err error
	message := rec.DecisionMessage(d)
	if d.MAC, err = c.Decisions.MAC(ctx, message); err != nil || c.OldDecisions == nil {
		return d, err
	}
	d.OldMAC, err = c.OldDecisions.MAC(ctx, message)
	return d, err
}

// sealedHere makes a decision's MACs again and compares them.
func (c *Callback) sealedHere(ctx context.Context, rec decision.Approval, d decision.Decision) (bool, error) {
	for _, key := range []port.Signer{c.Decisions, c.OldDecisions} {
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
