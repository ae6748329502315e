package guard_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
)

const folder = "../../cloudformation"

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, file))
	require.NoError(t, err)
	return data
}

// TestTemplates holds every template that is shipped to every rule.
func TestTemplates(t *testing.T) {
	files, err := filepath.Glob(folder + "/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 7)
	for _, path := range files {
		template, err := guard.Parse(filepath.Base(path), read(t, filepath.Base(path)))
		require.NoError(t, err)
		for _, f := range guard.All(template) {
			assert.Fail(t, f.String())
		}
	}
}

func TestChecks_ids(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range guard.Checks() {
		assert.False(t, seen[c.ID], "two checks are called %s", c.ID)
		assert.NotEmpty(t, c.Rule, c.ID)
		seen[c.ID] = true
	}
}

func TestParse_refuses(t *testing.T) {
	for _, text := range []string{"", "a: [", "Parameters: {}"} {
		_, err := guard.Parse("t.yaml", []byte(text))
		assert.Error(t, err, text)
	}
}
