// Package cloudformation_test compares the templates with what is written about them: the documentation and the files
// of parameters. What they must hold by themselves is checked in internal/guard.
package cloudformation_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"ec2patch/internal/guard"
)

// statement is a policy statement of a template: where it stands and what it is called.
type statement struct{ file, resource, sid string }

func TestStatements_documented(t *testing.T) {
	var inTemplates []statement
	for _, file := range templates(t) {
		for _, resource := range pairs(child(load(t, file), "Resources")) {
			for _, s := range statements(resource.value) {
				sid := text(child(s, "Sid"))
				if assert.NotEmpty(t, sid, "%s:%d: a statement of %s has no Sid", file, s.Line, resource.key) {
					inTemplates = append(inTemplates, statement{file, resource.key, sid})
				}
			}
		}
	}
	require.NotEmpty(t, inTemplates)

	inDocs := documented(t, "../docs/security.md")
	for _, s := range inTemplates {
		assert.Equal(t, 1, count(inTemplates, s), "%s: %s has several statements %s", s.file, s.resource, s.sid)
		assert.Equal(t, 1, count(inDocs, s), "docs/security.md must have one row for %s of %s in %s", s.sid,
			s.resource, s.file)
	}
	for _, s := range inDocs {
		assert.Contains(t, inTemplates, s, "docs/security.md explains a statement that is in no template")
	}
}

// TestStatements_tested looks for the test or the check that the documentation names beside each statement.
func TestStatements_tested(t *testing.T) {
	known := map[string]bool{}
	for _, c := range guard.Checks() {
		known[c.ID] = true
	}
	for _, folder := range []string{"../internal/sim", "../internal/guard"} {
		files, err := filepath.Glob(folder + "/*_test.go")
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range testFunction.FindAllStringSubmatch(string(data), -1) {
				known[m[1]] = true
			}
		}
	}
	doc, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(doc)) {
		if m := row.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			rows++
			assert.True(t, known[m[3]], "%s of %s: there is no test %s", m[2], m[1], m[3])
		}
	}
	assert.Positive(t, rows)
}

var testFunction = regexp.MustCompile(`(?m)^func (Test[A-Za-z_]+)\(`)

func TestParams_fit(t *testing.T) {
	// What no file may hold, and what is given at deployment instead.
	given := map[string][]string{"hub": {"CrossAccountExternalId"}, "spoke": {"ExternalId"}}
	files, err := filepath.Glob("../params/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		stack, _, _ := strings.Cut(filepath.Base(file), ".")
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var assignments []string
		require.NoError(t, json.Unmarshal(data, &assignments), "%s must be a list of Key=Value texts", file)

		var set []string
		for _, assignment := range assignments {
			key, _, ok := strings.Cut(assignment, "=")
			assert.True(t, ok, "%s: %s", file, assignment)
			assert.NotContains(t, set, key, file)
			assert.NotContains(t, given[stack], key, "%s holds a secret", file)
			set = append(set, key)
		}
		var known []string
		for _, parameter := range pairs(child(load(t, stack+"-cfn.yaml"), "Parameters")) {
			known = append(known, parameter.key)
			if child(parameter.value, "Default") == nil && !slices.Contains(given[stack], parameter.key) {
				assert.Contains(t, set, parameter.key, file)
			}
		}
		for _, key := range set {
			assert.Contains(t, known, key, "%s: the AWS CLI ignores unknown parameters without a word", file)
		}
	}
}

func TestParameters_documented(t *testing.T) {
	doc, err := os.ReadFile("../docs/deployment-guide.md")
	require.NoError(t, err)
	for _, file := range []string{"hub-cfn.yaml", "spoke-cfn.yaml"} {
		for _, parameter := range pairs(child(load(t, file), "Parameters")) {
			row := "| `" + parameter.key + "` | `" + snake(parameter.key) + "` |"
			assert.Contains(t, string(doc), row, "docs/deployment-guide.md must explain %s of %s", parameter.key, file)
		}
	}
}

var capital = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake is the name that texts outside CloudFormation use: NamePrefix is name_prefix.
func snake(name string) string { return strings.ToLower(capital.ReplaceAllString(name, "${1}_${2}")) }

var (
	heading = regexp.MustCompile("^### .*`([a-z-]+\\.yaml)`$")
	row     = regexp.MustCompile("^\\| `([A-Za-z0-9]+)` \\| `([A-Za-z0-9]+)` \\| [^|]{10,} \\| [^|]{10,} \\| " +
		"`([A-Za-z0-9_-]+)` \\|$")
)

// documented reads the rows of the tables that stand below a heading with a template's name.
func documented(t *testing.T, path string) []statement {
	t.Helper()
	doc, err := os.ReadFile(path)
	require.NoError(t, err)
	var out []statement
	file := ""
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			file = m[1]
		} else if strings.HasPrefix(line, "#") {
			file = ""
		}
		if m := row.FindStringSubmatch(line); m != nil && file != "" {
			out = append(out, statement{file, m[1], m[2]})
		}
	}
	return out
}

func count(all []statement, one statement) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// statements finds the policy statements below a node: the mappings that have an Effect.
func statements(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	if child(n, "Effect") != nil {
		return []*yaml.Node{n}
	}
	var out []*yaml.Node
	for _, c := range n.Content {
		out = append(out, statements(c)...)
	}
	return out
}

func templates(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func load(t *testing.T, file string) *yaml.Node {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(data, &document), file)
	require.NotEmpty(t, document.Content, file)
	return document.Content[0]
}

type pair struct {
	key   string
	value *yaml.Node
}

// pairs are the entries of a mapping, in order; none for anything else.
func pairs(n *yaml.Node) []pair {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, pair{n.Content[i].Value, n.Content[i+1]})
	}
	return out
}

// child is the value under a key of a mapping; nil when there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	for _, p := range pairs(n) {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// text is what a scalar says, "" for anything else.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}
