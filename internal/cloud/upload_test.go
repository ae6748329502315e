package cloud_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
)

// counted is S3 with the calls that were made, and a part that may fail.
type counted struct {
	*backing.S3
	calls    []string
	failPart int32
}

func (c *counted) PutObject(ctx context.Context, in *s3.PutObjectInput,
	o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	c.calls = append(c.calls, "put")
	return c.S3.PutObject(ctx, in, o...)
}

func (c *counted) UploadPart(ctx context.Context, in *s3.UploadPartInput,
	o ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	c.calls = append(c.calls, "part")
	if *in.PartNumber == c.failPart {
		return nil, errors.New("connection reset")
	}
	return c.S3.UploadPart(ctx, in, o...)
}

func newObjects(t *testing.T) (*cloud.Objects, *world.World, *counted) {
	t.Helper()
	w := world.New(1, time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC))
	w.IgnoreIAM = true
	w.AddBucket(backing.BucketSpec{Name: "data", Account: "999999999999", Region: "us-east-1"})
	c := &counted{S3: w.S3(&core.Principal{Account: "999999999999", RoleARN: "arn:aws:iam::999999999999:role/writer",
		SessionName: "s"}, "us-east-1")}
	return &cloud.Objects{S3: c, Bucket: "data"}, w, c
}

// An object of any size arrives as it was written, whatever the pieces.
func TestObjects_Begin(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name  string
		size  int
		piece int
		calls []string
	}{
		{"nothing", 0, 1, []string{"put"}},
		{"less than a part", 3 * mib, 1000, []string{"put"}},
		{"a part and no more", 8 * mib, mib, []string{"part"}},
		{"some parts and a rest", 20*mib + 7, 3*mib + 1, []string{"part", "part", "part"}},
		{"all at once", 17 * mib, 17 * mib, []string{"part", "part", "part"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, w, c := newObjects(t)
			data := make([]byte, tt.size)
			for i := range data {
				data[i] = byte(i / 251)
			}
			u := o.Begin(t.Context(), "big", "text/plain")
			for rest := data; len(rest) > 0; {
				n := min(tt.piece, len(rest))
				wrote, err := u.Write(rest[:n])
				require.NoError(t, err)
				require.Equal(t, n, wrote)
				rest = rest[n:]
				_, there := w.Object("data", "big")
				require.False(t, there, "it appears as a whole or not at all")
			}
			require.NoError(t, u.Close())
			got, there := w.Object("data", "big")
			require.True(t, there)
			assert.True(t, bytes.Equal(data, got))
			assert.Equal(t, tt.calls, c.calls)
			assert.Zero(t, w.OpenUploads("data"))
		})
	}
}

// An upload that fails leaves what was there.
func TestObjects_Begin_failure(t *testing.T) {
	o, w, c := newObjects(t)
	require.NoError(t, o.Store(t.Context(), "big", "text/plain", []byte("old")))
	c.failPart = 2
	u := o.Begin(t.Context(), "big", "text/plain")
	_, err := u.Write(make([]byte, 20<<20))
	require.ErrorContains(t, err, "part 2 of object big")
	got, _ := w.Object("data", "big")
	assert.Equal(t, "old", string(got))
}
