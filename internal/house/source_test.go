package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// source is one parsed file that is no test.
type source struct {
	name string // from the root of the project
	file *ast.File
	at   *token.FileSet
}

func sources(t *testing.T, pattern ...string) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	var all []source
	for _, p := range packages(t, pattern...) {
		for _, name := range p.GoFiles {
			at := token.NewFileSet()
			file, err := parser.ParseFile(at, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			require.NoError(t, err)
			rel, err := filepath.Rel(root, filepath.Join(p.Dir, name))
			require.NoError(t, err)
			all = append(all, source{filepath.ToSlash(rel), file, at})
		}
	}
	require.NotEmpty(t, all)
	return all
}

// called calls f for every mention of a name of an imported package.
func (s source) called(f func(pkg, name string, line int)) {
	imports := map[string]string{}
	for _, i := range s.file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		base := filepath.Base(path)
		if base == "v2" || base == "v3" {
			base = filepath.Base(filepath.Dir(path))
		}
		if i.Name != nil {
			base = i.Name.Name
		}
		imports[base] = path
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && imports[id.Name] != "" {
				f(imports[id.Name], sel.Sel.Name, s.at.Position(sel.Pos()).Line)
			}
		}
		return true
	})
}

// Where a rehearsal runs there is one thread, and the environment is read by mains only.
func TestOneThread(t *testing.T) {
	threads := []string{
		"internal/sim/ask.go",      // serves the page to a browser
		"internal/sim/evidence.go", // many rehearsals at once, each on a thread of its own
	}
	for _, s := range sources(t, "./internal/patch", "./internal/task", "./internal/cloud", "./internal/asl",
		"./internal/sim/...", "./internal/report") {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok && !slices.Contains(threads, s.name) {
				t.Errorf("%s starts a goroutine", s.at.Position(g.Pos()))
			}
			return true
		})
		s.called(func(pkg, name string, line int) {
			if pkg == "os" && (name == "Getenv" || name == "LookupEnv" || name == "Environ") {
				t.Errorf("%s:%d reads the environment", s.name, line)
			}
		})
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t, "./internal/...", "./cmd/...") {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				assert.NotEqual(t, "init", f.Name.Name, s.name)
			}
		}
	}
}

// A retry that hangs on the text of an error breaks with the next SDK: nothing
// outside of the adapter of errors reads codes.
func TestErrorsByKind(t *testing.T) {
	for _, s := range sources(t, "./internal/task", "./internal/patch", "./internal/cloud", "./internal/wire") {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "strings" && slices.Contains([]string{"Contains",
				"HasPrefix", "HasSuffix"}, sel.Sel.Name) && isErrorText(call.Args[0]) {
				t.Errorf("%s matches the text of an error", s.at.Position(call.Pos()))
			}
			if sel.Sel.Name == "ErrorCode" && s.name != "internal/cloud/errors.go" {
				t.Errorf("%s reads an AWS error code", s.at.Position(call.Pos()))
			}
			return true
		})
	}
}

// isErrorText tells whether an expression is x.Error().
func isErrorText(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Error" && len(call.Args) == 0
}
