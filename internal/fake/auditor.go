package fake

import (
	"context"
	"slices"

	"ec2patch/internal/store"
)

// Auditor signs entries of the audit as a role's key would, and can be made to fail.
type Auditor struct {
	Err   error
	Calls int
}

// Sign makes a signature that SignedBy knows.
func (a *Auditor) Sign(_ context.Context, digest []byte) ([]byte, error) {
	a.Calls++
	if a.Err != nil {
		return nil, a.Err
	}
	return signature(digest), nil
}

func signature(digest []byte) []byte { return append([]byte("signed "), digest...) }

// Signed tells whether an Auditor signed the entry.
func Signed(e store.AuditEntry) bool {
	digest, err := e.Digest()
	return err == nil && slices.Equal(e.Signature, signature(digest))
}
