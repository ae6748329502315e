package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const glossary = "../../docs/glossary.md"

// tableOf reads the first two cells of each row of the table below a line of a page.
func tableOf(t *testing.T, page, above string) [][2]string {
	t.Helper()
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(data), above)
	require.True(t, found, "%s has no %q", page, above)
	rest, _, _ = strings.Cut(rest, "\n## ")
	var rows [][2]string
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|`).FindAllStringSubmatch(rest, -1) {
		rows = append(rows, [2]string{m[1], m[2]})
	}
	require.Greater(t, len(rows), 2, "%s, below %q", page, above)
	return rows[2:]
}

// No page has a phrase that the glossary bans. Line breaks hide none.
func TestGlossary_phrases(t *testing.T) {
	banned := tableOf(t, glossary, "\n## Phrases that we do not write\n")
	require.GreaterOrEqual(t, len(banned), 11)
	read := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md"} {
		pages, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, page := range pages {
			if page == glossary {
				continue
			}
			data, err := os.ReadFile(page)
			require.NoError(t, err)
			read++
			text := strings.Join(strings.Fields(string(data)), " ")
			for _, row := range banned {
				assert.NotRegexp(t, `(?i)\b`+regexp.QuoteMeta(row[0])+`\b`, text, "%s: write %q", page, row[1])
			}
		}
	}
	assert.Greater(t, read, 20)
}

// Each word stands once in the glossary, so that nobody finds two meanings.
func TestGlossary_words(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range tableOf(t, glossary, "# Words\n") {
		for word := range strings.SplitSeq(row[0], ", ") {
			assert.False(t, seen[word], "%q has two rows", word)
			seen[word] = true
		}
	}
	for _, word := range []string{"run", "wave", "target", "instance", "state machine", "command", "invocation",
		"snapshot", "poll"} {
		assert.True(t, seen[word], "%q has no row", word)
	}
}
