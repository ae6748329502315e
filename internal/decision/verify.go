package decision

import (
	"context"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// Verify reads the decisions and counts the people whose MAC is right. A
// decision with a wrong MAC or after the deadline, or a record about another
// plan, is tampering.
func Verify(ctx context.Context, table store.Table, verifier port.Verifier, people People, rec Approval,
	digest string) (Status, error) {
	if rec.Digest != digest {
		return "", fmt.Errorf("%w: approval %s is about another plan", patch.ErrTampered, rec.ID)
	}
	var all []Decision
	err := table.Scan(ctx, store.ApprovalKey(rec.ID).PK, "DECISION#", func(_ string, decode func(any) error) error {
		var d Decision
		if err := decode(&d); err != nil {
			return err
		}
		all = append(all, d)
		return nil
	})
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if !d.At.Before(rec.Expires) {
			return "", fmt.Errorf("%w: a decision of approval %s is later than its deadline", patch.ErrTampered, rec.ID)
		}
		ok, err := Sealed(ctx, verifier, rec, d)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", fmt.Errorf("%w: a decision of approval %s is not signed by this hub", patch.ErrTampered, rec.ID)
		}
	}
	if rec.Status == ApprovalExpired {
		return ApprovalExpired, nil
	}
	return rec.Tally(people, all), nil
}

// Sealed tells whether a decision carries a MAC of a key that is known here.
func Sealed(ctx context.Context, keys port.Verifier, rec Approval, d Decision) (bool, error) {
	for _, seal := range d.Seals() {
		if ok, err := keys.Check(ctx, rec.DecisionMessage(d), seal); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
