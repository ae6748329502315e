package cloud_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
)

// An object that was created is never overwritten, and the second writer learns it.
func TestObjects_Create(t *testing.T) {
	o, w, _ := newObjects(t)
	created, err := o.Create(t.Context(), "results/a", "application/json", []byte("first"))
	require.NoError(t, err)
	assert.True(t, created)
	created, err = o.Create(t.Context(), "results/a", "application/json", []byte("second"))
	require.NoError(t, err)
	assert.False(t, created)
	data, _ := w.Object("data", "results/a")
	assert.Equal(t, "first", string(data))

	o.Bucket = "elsewhere"
	_, err = o.Create(t.Context(), "results/a", "application/json", nil)
	assert.Error(t, err)
}

// cutShort answers with a part of the object a few times, and then with all of it.
type cutShort struct {
	cloud.S3
	parts, reads int
}

func (c *cutShort) GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if c.reads++; c.reads <= c.parts {
		return &s3.GetObjectOutput{Body: io.NopCloser(io.MultiReader(strings.NewReader("pa"),
			iotest.ErrReader(io.ErrUnexpectedEOF)))}, nil
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader("part and whole"))}, nil
}

// An object that arrives only in part is read again, three times in all; never is a part taken for the whole.
func TestObjects_Fetch_cutShort(t *testing.T) {
	for parts, reads := range map[int]int{0: 1, 1: 2, 2: 3, 3: 3} {
		c := &cutShort{parts: parts}
		data, found, err := (&cloud.Objects{S3: c, Bucket: "b"}).Fetch(t.Context(), "k")
		assert.Equal(t, reads, c.reads)
		if parts == 3 {
			assert.Equal(t, patch.ErrUnavailable, patch.KindOf(err))
			assert.False(t, found)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, "part and whole", string(data))
	}
}
