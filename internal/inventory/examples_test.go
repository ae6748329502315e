package inventory_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/site"
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
			s := site.New(t, 1)
			require.NoError(t, s.Plan("first", string(data)))
			s.End("first", patch.RunFailed)
			require.NoError(t, s.Plan("again", string(data)))
			s.End("again", patch.RunIncomplete)
			require.ErrorIs(t, s.Plan("twice", string(data)), patch.ErrInvalidInput)

			input["resume"] = "again"
			resumed, err := json.Marshal(input)
			require.NoError(t, err)
			require.NoError(t, s.Plan("resumed", string(resumed)))
			s.End("resumed", patch.RunSucceeded)
			s.Now = s.Now.Add(2 * time.Hour)
			require.NoError(t, s.Plan("next", string(data)))
		})
	}
	assert.GreaterOrEqual(t, keyed, 5)
}
