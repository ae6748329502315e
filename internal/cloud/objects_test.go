package cloud_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
