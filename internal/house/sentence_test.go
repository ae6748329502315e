package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mayRead are the texts that somebody may look for in another text, with the reason.
func mayRead() []string {
	return []string{
		`internal/cli/simulate.go: ": "`,                                        // a place, as compilers write it
		`internal/guard/check_api.go: "POST /operator"`,                         // a route, as the template writes it
		`internal/guard/check_machine.go: "States.MathAdd($.step.failures, 1)"`, // the machine's language
		`internal/guard/check_watch.go: "fields "`,                              // a query language's word
		`internal/report/outcome.go: " in account "`,                            // report.json has no more of it
		`internal/report/outcome.go: ": "`,                                      // the same
		`internal/report/outcome.go: "assume role "`,                            // the same
		`internal/sim/check/end.go: " because "`,                                // IAM's words, as the simulated accounts deny with
		`internal/sim/check/end.go: "on resource: "`,                            // the same
		`internal/sim/check/end.go: "security token"`,                           // STS's
		`internal/sim/world/fleetfile/misread.go: "json: "`,                     // the standard library's
		`internal/words/join.go: "; "`,                                          // who joins takes apart
	}
}

// Whoever decides by a sentence of ours is wrong when somebody words it better: the fact is carried as a value.
func TestNobodyReadsSentences(t *testing.T) {
	folders := map[string][]source{}
	for _, s := range sources(t, "./internal/...", "./cmd/...") {
		folders[path.Dir(s.name)] = append(folders[path.Dir(s.name)], s)
	}
	var found []string
	for _, all := range folders {
		consts := texts(all)
		for _, s := range all {
			found = append(found, s.sentences(consts)...)
		}
	}
	slices.Sort(found)
	assert.Equal(t, mayRead(), slices.Compact(found))
}

func TestNobodyReadsSentences_planted(t *testing.T) {
	at := token.NewFileSet()
	file, err := parser.ParseFile(at, "planted.go", `package planted

import "strings"

const apart = ", "

func f(reason string) bool {
	parts := strings.Split(reason, apart)
	_, rest, _ := strings.Cut(parts[0], "reason"+": ")
	if reason == "still missing" || strings.HasPrefix(reason, "arn:") {
		return false
	}
	switch rest {
	case "the agent is silent":
		return true
	}
	return strings.Contains(reason, "patches missing") || strings.HasSuffix(reason, string("failed "))
}
`, 0)
	require.NoError(t, err)
	s := source{"planted.go", file, at}
	assert.ElementsMatch(t, []string{
		`planted.go: ", "`, `planted.go: ": "`, `planted.go: "still missing"`, `planted.go: "the agent is silent"`,
		`planted.go: "patches missing"`, `planted.go: "failed "`,
	}, s.sentences(texts([]source{s})))
}

// texts are the constants of a package that are one literal.
func texts(all []source) map[string]string {
	consts := map[string]string{}
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
				for _, spec := range d.Specs {
					v := spec.(*ast.ValueSpec)
					for i, value := range v.Values {
						if text := literal(value); text != "" {
							consts[v.Names[i].Name] = text
						}
					}
				}
			}
			return true
		})
	}
	return consts
}

// sentences are the texts with a space beside something else that the file compares with, or looks for in another text.
func (s source) sentences(consts map[string]string) (found []string) {
	look := func(all ...ast.Expr) {
		for _, e := range all {
			for _, text := range parts(e, consts) {
				if strings.TrimSpace(text) != "" && strings.Contains(text, " ") {
					found = append(found, s.name+": "+strconv.Quote(text))
				}
			}
		}
	}
	readers := []string{
		"Contains", "HasPrefix", "HasSuffix", "Cut", "CutPrefix", "CutSuffix", "Index", "LastIndex", "EqualFold",
		"Split", "SplitN", "SplitSeq", "TrimPrefix", "TrimSuffix",
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 1 && slices.Contains(readers, sel.Sel.Name) {
				if id, ok := sel.X.(*ast.Ident); ok && (id.Name == "strings" || id.Name == "bytes") {
					look(n.Args[1])
				}
			}
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				look(n.X, n.Y)
			}
		case *ast.CaseClause:
			look(n.List...)
		}
		return true
	})
	return found
}

// parts are the literals of which a text is put together, by concatenation or conversion, and the package's constants.
func parts(e ast.Expr, consts map[string]string) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text := literal(e); text != "" {
			return []string{text}
		}
	case *ast.Ident:
		if text, ok := consts[e.Name]; ok {
			return []string{text}
		}
	case *ast.ParenExpr:
		return parts(e.X, consts)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return append(parts(e.X, consts), parts(e.Y, consts)...)
		}
	case *ast.CallExpr:
		if id, ok := e.Fun.(*ast.Ident); ok && id.Name == "string" && len(e.Args) == 1 {
			return parts(e.Args[0], consts)
		}
		if a, ok := e.Fun.(*ast.ArrayType); ok && a.Len == nil && len(e.Args) == 1 { // []byte("...")
			return parts(e.Args[0], consts)
		}
	}
	return nil
}
