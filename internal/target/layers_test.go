package target_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// layerOf is what each file of the package belongs to, as doc.go tells: the rules, what the handlers share, or one of
// the handlers.
func layerOf() map[string]string {
	layers := map[string]string{}
	for layer, files := range map[string]string{
		"rules":   "doc rows life slots polling clock answer",
		"shared":  "state lease watch intents facts survey cancel frozen results",
		"Send":    "send approved order takeover reconcile",
		"Poll":    "poll",
		"Verify":  "verify newcomers",
		"Abandon": "abandon",
	} {
		for _, f := range strings.Fields(files) {
			layers[f+".go"] = layer
		}
	}
	return layers
}

// checked is the package with the types of its own names. What it imports is left out: those names stay unknown.
type checked struct {
	set   *token.FileSet
	files []*ast.File
	types.Info
}

func check(t *testing.T) *checked {
	t.Helper()
	c := &checked{set: token.NewFileSet(), Info: types.Info{
		Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(c.set, name, data, parser.SkipObjectResolution)
		require.NoError(t, err)
		c.files = append(c.files, file)
	}
	conf := types.Config{Importer: nothing{}, Error: func(error) {}}
	_, err = conf.Check("target", c.set, c.files, &c.Info)
	require.Error(t, err, "the imports are unknown")
	return c
}

// nothing imports empty packages.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}

func (c *checked) fileOf(p token.Pos) string { return c.set.Position(p).Filename }

// Rules know nothing of handlers and tables, what is shared knows nothing of handlers, and no handler of another.
func TestCallsRunOneWay(t *testing.T) {
	c, layers := check(t), layerOf()
	crossed := map[string]int{}
	for _, f := range c.files {
		require.Contains(t, layers, c.fileOf(f.Pos()), "doc.go and this test say what a file belongs to")
	}
	for id, used := range c.Uses {
		if used.Pkg() == nil || used.Pkg().Path() != "target" || !used.Pos().IsValid() {
			continue
		}
		from, to := layers[c.fileOf(id.Pos())], layers[c.fileOf(used.Pos())]
		if from != to {
			crossed[from+" > "+to]++
		}
		assert.True(t, from == to || to == "rules" || to == "shared" && from != "rules",
			"%s: %s of %s is used by %s", c.set.Position(id.Pos()), id.Name, c.fileOf(used.Pos()), from)
	}
	for _, way := range []string{"shared > rules", "Send > shared", "Poll > rules", "Verify > shared", "Abandon > rules"} {
		assert.Positive(t, crossed[way], "the test sees that %s", way)
	}
}

// The rules read no table and ask no account: they know what they are given.
func TestRulesAreArithmetic(t *testing.T) {
	c, layers := check(t), layerOf()
	outside := []string{`"context"`, `"log/slog"`, `"ec2patch/internal/port"`, `"ec2patch/internal/decision"`}
	rules := 0
	for _, f := range c.files {
		if layers[c.fileOf(f.Pos())] != "rules" {
			continue
		}
		rules++
		for _, i := range f.Imports {
			assert.NotContains(t, outside, i.Path.Value, c.fileOf(f.Pos()))
		}
	}
	assert.Equal(t, 7, rules)
}

// A target's row is changed by its transitions alone: a handler that sets a field of it, or of an open intent, goes
// round their guards. The version, which every row has from package store, is counted up by who saves it.
func TestRowsAreChangedByTransitionsAlone(t *testing.T) {
	rows := []string{"TargetRow", "OpenIntent"}
	c, layers := check(t), layerOf()
	var found []string
	seen := 0
	for _, f := range c.files {
		for field, pos := range c.changes(f, rows) {
			seen++
			if layers[c.fileOf(f.Pos())] != "rules" {
				found = append(found, c.set.Position(pos).String()+" sets "+field)
			}
		}
	}
	assert.Empty(t, found)
	assert.Greater(t, seen, 30, "the test sees the fields that life.go and slots.go set")
}

// changes are the fields of the given types that a file assigns, counts up or down, or takes the address of, and those
// whose Add or Remove it calls.
func (c *checked) changes(f *ast.File, names []string) map[string]token.Pos {
	found := map[string]token.Pos{}
	note := func(x ast.Expr) {
		for {
			switch e := x.(type) {
			case *ast.ParenExpr:
				x = e.X
			case *ast.StarExpr:
				x = e.X
			case *ast.IndexExpr:
				x = e.X
			case *ast.SelectorExpr:
				if owner := c.ownerOf(e); slices.Contains(names, owner) {
					found[owner+"."+e.Sel.Name] = e.Pos()
				}
				x = e.X
			default:
				return
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, x := range n.Lhs {
				note(x)
			}
		case *ast.IncDecStmt:
			note(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				note(n.X)
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Add", "Remove"}, s.Sel.Name) {
				note(s.X)
			}
		}
		return true
	})
	return found
}

// ownerOf is the type of which a selector names a field, empty if it names none.
func (c *checked) ownerOf(e *ast.SelectorExpr) string {
	s := c.Selections[e]
	if s == nil || s.Kind() != types.FieldVal {
		return ""
	}
	x := s.Recv()
	if p, ok := x.(*types.Pointer); ok {
		x = p.Elem()
	}
	if n, ok := x.(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}
