// Package internal_test holds the packages below internal to the rules of docs/architecture.md.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	sdk    = "github.com/aws/"
	lambda = "github.com/aws/aws-lambda-go/"
)

// allowed says what a package may import besides the standard library. Packages without an entry may import nothing
// else: whoever adds one decides it here and in docs/architecture.md.
func allowed() map[string][]string {
	return map[string][]string{
		// Rooms of subjects, from the vocabulary up. A target never imports approval, and nobody below report knows it.
		"patch":     {"words"},
		"runinput":  {"patch", "words"},
		"outcome":   {"patch", "words"},
		"doubt":     {"patch", "words"},
		"store":     {"doubt", "patch", "runinput"},
		"plan":      {"outcome", "patch", "runinput", "store", "words"},
		"port":      {"doubt", "outcome", "patch", "runinput"},
		"decision":  {"patch", "plan", "port", "store", "words"},
		"target":    {"decision", "doubt", "outcome", "patch", "plan", "port", "runinput", "store", "words"},
		"inventory": {"decision", "doubt", "outcome", "patch", "plan", "port", "runinput", "store", "target", "words"},
		"wave":      {"decision", "doubt", "outcome", "patch", "plan", "port", "runinput", "store", "target", "words"},
		"approval": {"decision", "doubt", "markup", "patch", "plan", "port", "runinput", "store", "words",
			lambda + "events"},
		"report":         {"decision", "markup", "outcome", "patch", "plan", "runinput", "words"},
		"report/compose": {"decision", "doubt", "outcome", "patch", "plan", "port", "report", "store", "target", "words"},
		"task":           {"patch", "report/compose", "target", "wave"},
		"audit":          {"decision", "patch", "plan", "store"},

		// What the tests of the rooms stand on.
		"fake": {"patch", "store", "github.com/stretchr/testify/"},
		"site": {"decision", "doubt", "fake", "inventory", "outcome", "patch", "plan", "port", "report", "report/compose",
			"runinput",
			"store", "target", "task", "wave", "words", "github.com/stretchr/testify/"},

		// AWS, and what puts it together with the rooms.
		"cloud": {"doubt", "outcome", "patch", "port", "runinput", "store", "words", sdk},
		"wire": {"approval", "cloud", "decision", "inventory", "patch", "port", "report/compose", "runinput", "target",
			"task", "wave", sdk},
		"lambdamain": {"approval", "cloud", "patch", "port", "wire", sdk},

		// The hub seen from outside, and the command line.
		"follow":   {"decision", "lambdas", "outcome", "patch"},
		"hub":      {"follow", "patch", "store", sdk},
		"operator": {"decision", "patch", sdk},
		"packer":   {"lambdas"},
		"cli": {"audit", "decision", "follow", "hub", "operator", "outcome", "patch", "plan", "report", "runinput", "sim",
			"sim/check", "sim/stage", "store", "words", "github.com/spf13/"},

		// Rehearsals, and the checks of the templates.
		"cfn":                 {"asl", "go.yaml.in/yaml/v3"},
		"guard":               {"asl", "cfn", "iam", "lambdas", "patch", "go.yaml.in/yaml/v3"},
		"sim/world/core":      {"iam", sdk},
		"sim/world/dynamo":    {sdk},
		"sim/world/backing":   {"asl", "iam", "sim/world/core", "sim/world/dynamo", sdk},
		"sim/world/fleetfile": {"sim/world/core"},
		"sim/world/estate":    {"iam", "sim/world/core", "sim/world/fleetfile", sdk},
		"sim/world":           {"sim/world/backing", "sim/world/core", "sim/world/estate", "sim/world/fleetfile", sdk},
		"sim/stage": {"asl", "cfn", "cloud", "iam", "lambdamain", "lambdas", "patch", "plan", "runinput", "sim/world",
			"sim/world/backing", "sim/world/core", "sim/world/fleetfile", "store", "wire", sdk},
		"sim/check": {"asl", "decision", "inventory", "lambdas", "outcome", "patch", "plan", "report", "runinput",
			"sim/stage",
			"sim/world", "sim/world/core", "sim/world/fleetfile", "store", "target", "task", sdk},
		"sim": {"approval", "asl", "decision", "follow", "inventory", "lambdas", "outcome", "patch", "plan", "report",
			"runinput",
			"sim/check", "sim/stage", "sim/world", "sim/world/backing", "store", "target", "task",
			lambda + "events"},
	}
}

// source is one Go file that is no test.
type source struct {
	name, folder string // "task/send.go", "task"
	ast          *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		name = filepath.ToSlash(name)
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			strings.Contains(name, "testdata/") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		all = append(all, source{name, path.Dir(name), file})
		return err
	})
	require.NoError(t, err)
	require.Greater(t, len(all), 100)
	return all
}

func TestImports(t *testing.T) {
	rules := allowed()
	for _, s := range sources(t) {
		for _, spec := range s.ast.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			target, ours := strings.CutPrefix(target, "ec2patch/internal/")
			if !ours && !strings.Contains(strings.Split(target, "/")[0], ".") && !strings.HasPrefix(target, "ec2patch") {
				continue // the standard library
			}
			ok := slices.ContainsFunc(rules[s.folder], func(may string) bool {
				return target == may || strings.HasSuffix(may, "/") && strings.HasPrefix(target, may)
			})
			assert.True(t, ok, "%s imports %s, which is against the rules", s.name, target)
		}
	}
}

// realTime are the places that may use real time. Everything else is told what time it is.
func realTime() []string {
	return []string{
		"lambdamain/metrics.go uses time.Now",   // the clock of the functions
		"lambdamain/pace.go uses time.Now",      // sends are a quarter of a second apart
		"lambdamain/pace.go uses time.NewTimer", // and wait for it
		"sim/ask.go uses time.After",            // a browser that shows the page of a rehearsal to a person
	}
}

// The same seed gives the same bytes only if nothing reads the wall clock, waits, or draws from the global source.
func TestDeterminism(t *testing.T) {
	forbidden := map[string][]string{
		"time": {"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc"},
		"rand": {"Int", "IntN", "Intn", "Int64", "Int64N", "Uint32", "Uint64", "Float64", "Perm", "Shuffle", "Seed", "Read",
			"N"},
	}
	var found []string
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || !slices.Contains(forbidden[pkg.Name], sel.Sel.Name) || !imports(s.ast, pkg.Name) {
				return true
			}
			found = append(found, s.name+" uses "+pkg.Name+"."+sel.Sel.Name)
			return true
		})
	}
	assert.Equal(t, realTime(), found)
}

// imports tells whether the name is one of a package of the standard library in this file.
func imports(f *ast.File, name string) bool {
	return slices.ContainsFunc(f.Imports, func(spec *ast.ImportSpec) bool {
		p, err := strconv.Unquote(spec.Path.Value)
		return err == nil && spec.Name == nil &&
			(p == name || p == "math/rand/v2" && name == "rand" || p == "math/rand" && name == "rand")
	})
}
