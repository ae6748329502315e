package guard_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
)

// TestChecks_documented compares the table of checks in docs/security.md with the checks.
func TestChecks_documented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(doc), "## Checks of the templates\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	var want []string
	for _, c := range guard.Checks() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", c.ID, c.Rule))
	}
	var have []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			have = append(have, strings.TrimSpace(line))
		}
	}
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(have, "\n"), "docs/security.md must list every check")
}
