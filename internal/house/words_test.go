package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What people read is written in internal/words, so that a number, a time, a span and a plural have one form each, and
// text from outside one cleaner.
func TestWords(t *testing.T) {
	for _, s := range sources(t, "./internal/...", "./cmd/...") {
		if !strings.HasPrefix(s.name, "internal/words/") {
			for _, problem := range s.ownWords() {
				t.Error(problem)
			}
		}
	}
}

// awsForms are the files in which a time is written or read as AWS does it.
func awsForms() []string {
	return []string{
		"internal/asl/event.go", "internal/cloud/ec2.go", "internal/sim/world/ec2.go", "internal/sim/world/ssm_output.go",
	}
}

// inSeconds are the places that speak of a field or a limit that is in seconds, not of a span.
func inSeconds(name string) bool {
	return strings.HasPrefix(name, "internal/sim/") || strings.HasPrefix(name, "internal/guard/") ||
		name == "internal/runinput/warning.go"
}

var (
	layout = regexp.MustCompile(`15:04|\b0?3:04|\bJan\b|January.*2006|\bMon(day)?\b.*2006`)
	units  = `(?:s|m|h|d|min|secs?|mins?|hrs?|(?:second|minute|hour|day)s?)`
	spans  = regexp.MustCompile(`%(?:[0-9]*d|\.[0-9]f) ?` + units + `\b`)
	unit   = regexp.MustCompile(`^ ?` + units + `$`)
)

// ownWords is what a file writes that only internal/words may.
func (s source) ownWords() []string {
	var all []string
	say := func(at ast.Node, format string, args ...any) {
		all = append(all, fmt.Sprintf("%s:%d ", s.name, s.at.Position(at.Pos()).Line)+fmt.Sprintf(format, args...))
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			switch text := literal(n); {
			case layout.MatchString(text) && !slices.Contains(awsForms(), s.name):
				say(n, "lays out a time by %q", text)
			case spans.MatchString(text) && !inSeconds(s.name):
				say(n, "writes a span by %q", text)
			}
		case *ast.BinaryExpr:
			if written(n.X) && unit.MatchString(literal(n.Y)) {
				say(n, "writes a span with %q", literal(n.Y))
			}
		case *ast.CallExpr:
			if called(n, "words.Count", "words.BareCount") && len(n.Args) == 2 && unit.MatchString(literal(n.Args[1])) {
				say(n, "writes a span in %ss", literal(n.Args[1]))
			}
		case *ast.FuncDecl:
			if what := ownName(n); what != "" {
				say(n, "has a function %s of its own", what)
			}
			if separates(n) {
				say(n, "puts something between thousands in %s", n.Name.Name)
			}
		}
		return true
	})
	layouts := []string{
		"Layout", "ANSIC", "UnixDate", "RubyDate", "RFC822", "RFC822Z", "RFC850", "RFC1123", "RFC1123Z", "Kitchen", "Stamp",
		"DateTime", "TimeOnly",
	}
	runes := []string{
		"IsControl", "IsPrint", "IsGraphic", "C", "Cc", "Cf", "Co", "Other", "Bidi_Control", "Variation_Selector",
	}
	s.called(func(pkg, name string, line int) {
		if pkg == "time" && slices.Contains(layouts, name) || pkg == "unicode" && slices.Contains(runes, name) {
			all = append(all, fmt.Sprintf("%s:%d uses %s.%s", s.name, line, pkg, name))
		}
	})
	return all
}

// literal is the text of a literal string or character, else "".
func literal(n ast.Node) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING && lit.Kind != token.CHAR {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return text
}

// called tells whether a call is one of a package's functions.
func called(c *ast.CallExpr, names ...string) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && slices.Contains(names, id.Name+"."+sel.Sel.Name)
}

// written tells whether an expression ends in a number as text.
func written(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return written(e.Y)
	case *ast.CallExpr:
		return called(e, "strconv.Itoa", "strconv.FormatInt", "strconv.FormatUint", "fmt.Sprint", "words.Number")
	}
	return false
}

// ownName is the name of a function that writes what internal/words has a function for.
func ownName(f *ast.FuncDecl) string {
	name := strings.ToLower(f.Name.Name)
	if f.Recv == nil && slices.Contains([]string{"plural", "count", "clean"}, f.Name.Name) {
		return f.Name.Name
	}
	names := []string{
		"plural", "plurals", "pluralize", "count", "counted", "several", "number", "thousands", "stamp", "duration", "clean",
		"cleantext", "sanitize",
	}
	if slices.Contains(names, name) && f.Type.Results != nil && slices.ContainsFunc(f.Type.Results.List, isText) {
		return f.Name.Name
	}
	return ""
}

func isText(f *ast.Field) bool {
	id, ok := f.Type.(*ast.Ident)
	return ok && id.Name == "string"
}

// separates tells whether a function writes a number, counts to three, and has what stands between thousands.
func separates(f *ast.FuncDecl) bool {
	var writes, three, between bool
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			writes = writes || written(n) || called(n, "fmt.Sprintf")
		case *ast.BasicLit:
			three = three || n.Kind == token.INT && (n.Value == "3" || n.Value == "1000")
			between = between || slices.Contains([]string{",", "'", "’", "\u00a0", "\u2009", "\u202f"}, literal(n))
		}
		return true
	})
	return writes && three && between
}

// The test sees what it is there for: each of these was in the project once, in one form or another.
func TestWords_planted(t *testing.T) {
	tests := []struct{ name, code, want string }{
		{"a month", `func a(t time.Time) string { return t.Format("2 January 2006") }`,
			`3 lays out a time by "2 January 2006"`},
		{"a clock", `func a(t time.Time) string { return t.Format("2006-01-02 15:04") }`,
			`3 lays out a time by "2006-01-02 15:04"`},
		{"a mail's date", `func a(t time.Time) string { return t.Format(time.RFC1123) }`, `3 uses time.RFC1123`},
		{"a span", `func a(n int) string { return fmt.Sprintf("%d h %02d min", n/60, n%60) }`,
			`3 writes a span by "%d h %02d min"`},
		{"a span in seconds", `func a(f float64) string { return fmt.Sprintf("%.2fs", f) }`,
			`3 writes a span by "%.2fs"`},
		{"a span put together", `func a(n int) string { return "in " + strconv.Itoa(n) + " min" }`,
			`3 writes a span with " min"`},
		{"a span that is counted", `func a(n int) string { return words.Count(n, "minute") }`,
			`3 writes a span in minutes`},
		{"commas", `func a(n int) string { s := strconv.Itoa(n); i := len(s) - 3; return s[:i] + "," + s[i:] }`,
			`3 puts something between thousands in a`},
		{"small spaces", `func a(n int) string { return fmt.Sprint(n/1000) + "\u202f" + fmt.Sprint(n) }`,
			`3 puts something between thousands in a`},
		{"a plural", `func plural(n int, s string) string { return s }`, `3 has a function plural of its own`},
		{"a count", `func count(n int) int { return n }`, `3 has a function count of its own`},
		{"a method that counts in words", `func (x T) Counted() string { return "" }`,
			`3 has a function Counted of its own`},
		{"a cleaner", `func cleanText(s string) string { return s }`, `3 has a function cleanText of its own`},
		{"a cleaner by another name", `func a(r rune) bool { return unicode.IsControl(r) }`,
			`3 uses unicode.IsControl`},

		{"data", `func a(t time.Time) string { return t.Format(time.RFC3339) + t.Format("20060102") }`, ""},
		{"names", `func a(n []string) string { return fmt.Sprintf("%d more", len(n)) + strings.Join(n[:3], ", ") }`,
			""},
		{"a method that counts", `func (x *T) count(n int) *T { return x }`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := token.NewFileSet()
			code := "package x\nimport (\"time\"; \"unicode\")\n" + tt.code
			file, err := parser.ParseFile(at, "x.go", code, 0)
			require.NoError(t, err)
			want := []string(nil)
			if tt.want != "" {
				want = []string{"internal/x/x.go:" + tt.want}
			}
			assert.Equal(t, want, source{"internal/x/x.go", file, at}.ownWords())
		})
	}
}
