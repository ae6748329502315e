package approval_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAttacks_listed holds docs/approval.md to its word: each attack is a test
// under its id, or stands in the table with the reason.
func TestAttacks_listed(t *testing.T) {
	page, err := os.ReadFile("../../docs/approval.md")
	require.NoError(t, err)
	settled := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (T-\d\d) \| [^|]+ \| [^|]{20,} \|$`).FindAllStringSubmatch(string(page), -1) {
		settled[row[1]] = true
	}
	tested := map[string]bool{}
	for _, folder := range []string{".", "../guard", "../lambdamain", "../sim", "../target", "../../cloudformation"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`(?m)^func TestT(\d\d)_`).FindAllStringSubmatch(string(text), -1) {
				tested["T-"+m[1]] = true
			}
		}
	}
	last := 46
	for _, id := range regexp.MustCompile(`T-(\d\d)`).FindAllStringSubmatch(string(page), -1) {
		n, err := strconv.Atoi(id[1])
		require.NoError(t, err)
		last = max(last, n)
	}
	assert.NotContains(t, tested, fmt.Sprintf("T-%02d", last+1), "docs/approval.md does not name it")
	for n := 1; n <= last; n++ {
		id := fmt.Sprintf("T-%02d", n)
		assert.NotEqual(t, tested[id], settled[id], "%s must be either a test or a row of the table", id)
	}
	assert.Contains(t, strings.ReplaceAll(string(page), "\n", " "), "T-10")
}
