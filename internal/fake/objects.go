package fake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
)

type Objects map[string][]byte

func (o Objects) Store(context.Context, string, string, []byte) error {
	return errors.New("the callback stores nothing")
}

func (o Objects) Create(context.Context, string, string, []byte) (bool, error) {
	return false, errors.New("the callback stores nothing")
}

func (o Objects) Fetch(_ context.Context, key string) ([]byte, bool, error) {
	data, ok := o[key]
	return data, ok, nil
}

// Bucket keeps objects in memory.
type Bucket struct {
	Objects
	Stored []string
}

func (b *Bucket) Store(_ context.Context, key, _ string, data []byte) error {
	b.Objects[key] = slices.Clone(data)
	b.Stored = append(b.Stored, key)
	return nil
}

func (b *Bucket) Create(ctx context.Context, key, contentType string, data []byte) (bool, error) {
	if _, there := b.Objects[key]; there {
		return false, nil
	}
	return true, b.Store(ctx, key, contentType, data)
}

// Begin is an object that appears when it is closed.
func (b *Bucket) Begin(_ context.Context, key, _ string) io.WriteCloser {
	return &upload{bucket: b, key: key}
}

type upload struct {
	bytes.Buffer
	bucket *Bucket
	key    string
}

func (u *upload) Close() error {
	return u.bucket.Store(context.Background(), u.key, "", u.Bytes())
}
