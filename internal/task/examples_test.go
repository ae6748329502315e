package task_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
)

// Each example with a key of its own can be started again after it failed, and
// resumed after it ended well: the file is the same.
func TestPlan_examplesAgain(t *testing.T) {
	files, err := filepath.Glob("../../examples/*-inputs/*.json")
	require.NoError(t, err)
	keyed := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var input map[string]any
		require.NoError(t, json.Unmarshal(data, &input))
		if input["runKey"] == nil {
			continue
		}
		keyed++
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := newSite(t, 1)
			require.NoError(t, s.plan("first", string(data)))
			s.end("first", patch.RunFailed)
			require.NoError(t, s.plan("again", string(data)))
			s.end("again", patch.RunIncomplete)
			require.ErrorIs(t, s.plan("twice", string(data)), patch.ErrInvalidInput)

			input["resume"] = "again"
			resumed, err := json.Marshal(input)
			require.NoError(t, err)
			require.NoError(t, s.plan("resumed", string(resumed)))
			s.end("resumed", patch.RunSucceeded)
			s.now = s.now.Add(2 * time.Hour)
			require.NoError(t, s.plan("next", string(data)))
		})
	}
	assert.GreaterOrEqual(t, keyed, 5)
}
