package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// columns is how wide a line of Go may be, a tab counted as one.
const columns = 120

// narrow are the folders whose lines are held to that, with everything below them.
func narrow() []string { return []string{"cloudformation", "cmd", "internal"} }

// A line is too wide unless it is a piece of a raw string: there a line break would be a part of the text.
func TestWidth(t *testing.T) {
	for _, folder := range narrow() {
		read := 0
		err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, _ os.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" {
				read++
				wide(t, path)
			}
			return err
		})
		require.NoError(t, err)
		assert.Positive(t, read, "%s has no Go file", folder)
	}
}

// wide fails for each line of a file that is too wide.
func wide(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	at := token.NewFileSet()
	file, err := parser.ParseFile(at, path, data, parser.SkipObjectResolution)
	require.NoError(t, err)
	raw := map[int]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(s.Value, "`") {
			for line := at.Position(s.Pos()).Line; line <= at.Position(s.End()).Line; line++ {
				raw[line] = true
			}
		}
		return true
	})
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n"))
		if !raw[number] {
			assert.LessOrEqual(t, width, columns, "%s:%d", path, number)
		}
	}
}
