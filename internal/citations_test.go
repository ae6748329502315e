package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What comments cite of our own pages stands there.
func TestCitations(t *testing.T) {
	semantics, err := os.ReadFile("../docs/aws-semantics.md")
	require.NoError(t, err)
	faults, err := os.ReadFile("../docs/faults.md")
	require.NoError(t, err)
	section := regexp.MustCompile(`docs/aws-semantics\.md (\d+(?:\.\d+)?)`)
	fault := regexp.MustCompile(`docs/faults\.md (F-\d\d)`)
	found := 0
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || name == "citations_test.go" {
			return err
		}
		code, err := os.ReadFile(name)
		for _, m := range section.FindAllStringSubmatch(string(code), -1) {
			found++
			assert.Regexp(t, `(?m)^##+ `+regexp.QuoteMeta(m[1])+`\.? `, string(semantics),
				"%s cites section %s", name, m[1])
		}
		for _, m := range fault.FindAllStringSubmatch(string(code), -1) {
			found++
			assert.Contains(t, string(faults), "\n| "+m[1]+" |", "%s cites %s", name, m[1])
		}
		return err
	})
	require.NoError(t, err)
	assert.Greater(t, found, 30)
}
