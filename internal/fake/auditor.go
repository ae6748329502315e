package fake

import (
	"context"
	"slices"
	"sync/atomic"

	"ec2patch/internal/store"
)

// Auditor signs entries of the audit as a role's key would, and can be made to fail.
type Auditor struct {
	Err error

	calls atomic.Int64
}

// Calls is how often it was asked.
func (a *Auditor) Calls() int { return int(a.calls.Load()) }

// Sign makes a signature that SignedBy knows.
func (a *Auditor) Sign(_ context.Context, digest []byte) ([]byte, error) {
	a.calls.Add(1)
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
