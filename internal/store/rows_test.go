package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/store"
)

func TestClock_Since(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	m := store.Mark{At: at, Waited: 100}
	tests := []struct {
		name   string
		now    time.Time
		waited int
		want   time.Duration
	}{
		{"the clock is ahead of the waits", at.Add(time.Hour), 160, time.Hour},
		{"shortened waits count in full", at.Add(time.Second), 700, 10 * time.Minute},
		{"a retry of the same moment", at, 100, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := store.Clock{Now: test.now, Waited: test.waited}
			assert.Equal(t, test.want, c.Since(m))
			assert.Zero(t, c.Since(c.Mark()))
		})
	}
	assert.True(t, m.Set())
	assert.False(t, store.Mark{Waited: 5}.Set())
}
