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

// widest is how many files a package has without a reason. Source: the widest package of six code bases that we learn
// from.
const widest = 23

// tooWide tells why a package with so many files is too wide, empty if it is not: its doc.go may give the reason.
func tooWide(files int, doc string) string {
	if files > widest && !regexp.MustCompile(`more files than a package should:(\s|//)+\S`).MatchString(doc) {
		return "more than 23 files, and its doc.go does not say why"
	}
	return ""
}

// A package is one subject: one that grows beyond what fits on a screen is parted, or says why not.
func TestPackages_width(t *testing.T) {
	assert.NotEmpty(t, tooWide(24, "// Package x is wide."))
	assert.Empty(t, tooWide(24, "// It has more files than a package should: because."))
	assert.Empty(t, tooWide(23, ""))
	files := map[string]int{}
	for _, pattern := range []string{"../*/*.go", "../*/*/*.go", "../*/*/*/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "testdata") {
				files[filepath.Dir(name)]++
			}
		}
	}
	assert.Greater(t, len(files), 30)
	for dir, n := range files {
		doc, err := os.ReadFile(filepath.Join(dir, "doc.go"))
		if n > widest {
			require.NoError(t, err)
		}
		assert.Empty(t, tooWide(n, string(doc)), dir)
	}
}
