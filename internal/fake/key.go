package fake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync/atomic"
)

// localKey signs like a KMS key, with a secret of its own.
type Key struct {
	Secret string
	Err    error
	Calls  atomic.Int64
}

func (k *Key) MAC(_ context.Context, message []byte) ([]byte, error) {
	k.Calls.Add(1)
	if k.Err != nil {
		return nil, k.Err
	}
	h := hmac.New(sha256.New, []byte(k.Secret))
	h.Write(message)
	return h.Sum(nil), nil
}

func (k *Key) Check(ctx context.Context, message, mac []byte) (bool, error) {
	want, err := k.MAC(ctx, message)
	return err == nil && hmac.Equal(want, mac), err
}
