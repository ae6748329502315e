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

// missing lists the tests that a makefile names one by one and that are not in their package: go test runs none of
// them, and is content.
func missing(t *testing.T, makefile string) (gone []string, found int) {
	t.Helper()
	line := regexp.MustCompile(`go test (?:-race )?(?:-timeout \S+ )?\./(\S+) .*-run '\^(?:\(\?:)?(Test\w+)(?:\$\$)?'`)
	for _, m := range line.FindAllStringSubmatch(makefile, -1) {
		files, err := filepath.Glob(filepath.Join("../..", m[1], "*_test.go"))
		require.NoError(t, err)
		there := false
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			there = there || strings.Contains(string(data), "func "+m[2]+"(")
		}
		if found++; !there {
			gone = append(gone, m[1]+" "+m[2])
		}
	}
	return gone, found
}

// A target that names a test runs one.
func TestMakefile_namesTests(t *testing.T) {
	data, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	gone, found := missing(t, string(data))
	assert.Empty(t, gone)
	assert.Greater(t, found, 2)
	gone, _ = missing(t, "\tATTACK=1 go test ./internal/task -count=1 -v -run '^TestT28_Guessing$$'\n")
	assert.Equal(t, []string{"internal/task TestT28_Guessing"}, gone)
}
