package sim

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// switchboard is the package that stands in the planted binary alone: it says which
// bug is on. Its variable is written before anything runs.
const switchboard = `// Package planted says which planted bug is on.
package planted

import "os"

var bug = os.Getenv("PLANTED_BUG")

// On tells whether the bug of that number is on.
func On(number string) bool { return bug == number }
`

// buildPlanted builds the tests with every bug in them: each function that has one
// stands there twice, and asks the switchboard which of the two it is.
func buildPlanted(t *testing.T, all []mutant, binary string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	sources := plantedSources(t, all)
	sources[filepath.Join(root, "internal", "planted", "planted.go")] = switchboard
	buildOver(t, sources, binary)
}

// buildOver builds the tests with other sources, by path, laid over those on the disk.
func buildOver(t *testing.T, sources map[string]string, binary string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for n, file := range slices.Sorted(maps.Keys(sources)) {
		laid := filepath.Join(dir, fmt.Sprintf("%d.go", n))
		require.NoError(t, os.WriteFile(laid, []byte(sources[file]), 0o600))
		replace[file] = laid
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, list, 0o600))
	out,
		err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-o",
		binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// plantedSources are the product's files with all bugs in them, by path.
func plantedSources(t *testing.T, all []mutant) map[string]string {
	t.Helper()
	sources := map[string]string{}
	for n, m := range all {
		file, clean, planted := m.source(t)
		_, err := parser.ParseFile(token.NewFileSet(), "", planted, 0)
		require.NoError(t, err, "the bug %q planted in %s", m.old, file)
		if sources[file] == "" {
			sources[file] = clean
		}
		sources[file] = plantOne(t, sources[file], clean, planted, n+1)
	}
	for file, s := range sources {
		sources[file] = withSwitchboard(s)
	}
	return sources
}

// plantOne adds to the source of a file the function that one bug changes, under
// another name, and the switch to it.
func plantOne(t *testing.T, source, clean, planted string, n int) string {
	t.Helper()
	at := 0
	for at < len(clean) && clean[at] == planted[at] {
		at++
	}
	name, recv := functionAt(t, clean, at)
	buggy := functionNamed(t, planted, name, recv)
	sound := functionNamed(t, source, name, recv)
	call, header := callOf(t, sound.decl, sound.text, n)
	copied := buggy.text[:buggy.name] + header + buggy.text[buggy.name+len(name):]
	body := sound.start + sound.body + 1
	return source[:body] + "\n" + call + "\n" + source[body:] + "\n" + copied + "\n"
}

// function is one function in a source.
type function struct {
	decl       *ast.FuncDecl
	text       string
	start      int // in the source
	name, body int // in the text
}

// functionAt is the name and the receiver's type of the function at an offset.
func functionAt(t *testing.T, source string, at int) (name, recv string) {
	t.Helper()
	file, set := parsed(t, source)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && set.Position(f.Pos()).Offset <= at && at < set.Position(f.End()).Offset {
			return f.Name.Name, receiverOf(f)
		}
	}
	require.Fail(t, "a planted bug must stand in a function", "%.80q", source[at:])
	return "", ""
}

func functionNamed(t *testing.T, source, name, recv string) function {
	t.Helper()
	file, set := parsed(t, source)
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name && receiverOf(f) == recv {
			start, end := set.Position(f.Pos()).Offset, set.Position(f.End()).Offset
			return function{f, source[start:end], start, set.Position(f.Name.Pos()).Offset - start,
				set.Position(f.Body.Lbrace).Offset - start}
		}
	}
	require.Fail(t, "no function", "%s", name)
	return function{}
}

func parsed(t *testing.T, source string) (*ast.File, *token.FileSet) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, parser.SkipObjectResolution)
	require.NoError(t, err)
	return file, set
}

func receiverOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	expr := f.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, _ := expr.(*ast.Ident)
	return name.Name
}

// callOf is the statement that hands a call over to the function with the bug.
func callOf(t *testing.T, f *ast.FuncDecl, text string, n int) (call, name string) {
	t.Helper()
	name = fmt.Sprintf("%sPlanted%d", f.Name.Name, n)
	var args []string
	for _, p := range f.Type.Params.List {
		for _, id := range p.Names {
			require.NotEqual(t, "_", id.Name, "a parameter without a name cannot be handed on: %.60q", text)
			arg := id.Name
			if _, variadic := p.Type.(*ast.Ellipsis); variadic {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	target := name
	if f.Recv != nil {
		target = f.Recv.List[0].Names[0].Name + "." + name
	}
	handed := target + "(" + strings.Join(args, ", ") + ")"
	if f.Type.Results == nil {
		return fmt.Sprintf("if planted.On(\"%d\") { %s; return }", n, handed), name
	}
	return fmt.Sprintf("if planted.On(\"%d\") { return %s }", n, handed), name
}

// withSwitchboard imports the package of the switches.
func withSwitchboard(source string) string {
	lines := strings.SplitAfter(source, "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "package ") })
	return strings.Join(slices.Insert(lines, at+1, "import \"ec2patch/internal/planted\"\n"), "")
}
