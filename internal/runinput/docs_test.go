package runinput

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/golden"
	"ec2patch/internal/patch"
)

const docsFile = "../../docs/run-input.md"

var (
	docsTable = regexp.MustCompile(`(?m)^\| field \|.*\n(\|.*\n)+`)
	docsRow   = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\| (.+?) \\| ([^|]*) \\| ([^|]+) \\|$")
)

func TestDocs_fields(t *testing.T) {
	docs, err := os.ReadFile(docsFile)
	require.NoError(t, err)
	want := "| field | type | default | limits | meaning |\n| --- | --- | --- | --- | --- |\n" +
		strings.Join(fieldRows(runShape(HubDefaults()), ""), "\n") + "\n"
	if golden.Updating() {
		docs = docsTable.ReplaceAllLiteral(docs, []byte(want))
		require.NoError(t, os.WriteFile(docsFile, docs, 0o644))
	}
	assert.Equal(t, want, string(docsTable.Find(docs)))
}

// fieldRows has a row for each field below s, in the order of the table.
func fieldRows(s shape, path string) []string {
	var rows []string
	for _, f := range s.fields {
		at := strings.TrimPrefix(path+"."+f.name, ".")
		inner := f.shape
		if f.form == formList && f.items.form == formObject {
			at, inner = at+"[]", *f.items
		}
		if f.name == "accountWaves" {
			inner.fields = nil // the same as those of waves
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |", at, f.typeName(), f.defaultText(),
			f.limits(), f.doc))
		rows = append(rows, fieldRows(inner, at)...)
	}
	return rows
}

func (s shape) typeName() string {
	switch s.form {
	case formInteger:
		return "integer"
	case formFlag:
		return "true, false"
	case formList:
		return "list of " + map[form]string{formText: "texts", formObject: "objects"}[s.items.form]
	case formMap:
		return "object of " + map[form]string{formText: "texts", formList: "lists of texts"}[s.items.form]
	}
	return map[form]string{formText: "text", formObject: "object"}[s.form]
}

func (f field) defaultText() string {
	switch {
	case f.required:
		return "required"
	case f.def == "":
		return "-"
	case f.name == "maxConcurrency", f.name == "maxErrors", f.name == "maxConcurrentAccounts",
		f.name == "commandTimeoutSeconds", f.name == "approvalTimeoutSeconds":
		return "`" + f.def + "` *"
	}
	return "`" + f.def + "`"
}

func (s shape) limits() string {
	switch s.form {
	case formInteger:
		return fmt.Sprintf("%d to %d", s.min, s.max)
	case formList:
		return fmt.Sprintf("%d to %d", s.min, s.max)
	case formMap:
		return fmt.Sprintf("at most %d", s.max)
	}
	if len(s.options) > 0 {
		return strings.Join(s.options, ", ")
	}
	return map[*regexp.Regexp]string{
		concurrencyPattern: "1 or more, or 1% to 100%",
		toleratedPattern:   "0 or more, or 0% to 100%",
		waveNamePattern: fmt.Sprintf("1 to %d of A-Z a-z 0-9 - _, none of %s", MaxWaveNameLength,
			strings.Join(s.reserved, ", ")),
		runKeyPattern:      fmt.Sprintf("%d of A-Z a-z 0-9 - _ :", MaxRunKeyLength),
		startedByPattern:   fmt.Sprintf("%d characters", MaxStartedByLength),
		resumePattern:      fmt.Sprintf("%d of A-Z a-z 0-9 - _", patch.MaxRunIDLength),
		requestedByPattern: fmt.Sprintf("%d characters", MaxRequestedByLength),
		reasonPattern:      fmt.Sprintf("%d characters", MaxReasonLength),
	}[s.pattern]
}

// The defaults that the page promises are those that an input gets.
func TestDocs_defaults(t *testing.T) {
	docs, err := os.ReadFile(docsFile)
	require.NoError(t, err)
	in, err := ParseInput([]byte(`{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`), HubDefaults())
	require.NoError(t, err)
	full, err := json.Marshal(in)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(full, &doc))

	checked := 0
	for _, line := range strings.Split(strings.TrimSpace(string(docsTable.Find(docs))), "\n")[2:] {
		row := docsRow.FindStringSubmatch(line)
		require.NotNil(t, row, line)
		path, def := row[1], strings.Trim(row[3], "`* ")
		if def == "-" || def == "required" || strings.HasPrefix(row[5], "Flat form") || path == "waves[].name" ||
			path == "waves[].slowStart" || path == "waves[].accounts" {
			continue
		}
		var want any
		require.NoError(t, json.Unmarshal([]byte(def), &want), line)
		got := at(doc, path)
		if got == nil { // left out where it is empty
			assert.Empty(t, want, path)
		} else {
			assert.Equal(t, want, got, path)
		}
		checked++
	}
	assert.Equal(t, 33, checked, "defaults compared")
}

// at finds the value at a path of the table; [] is the first wave.
func at(doc map[string]any, path string) any {
	var value any = doc
	for _, key := range strings.Split(path, ".") {
		object, _ := value.(map[string]any)
		value = object[strings.TrimSuffix(key, "[]")]
		if list, ok := value.([]any); ok && strings.HasSuffix(key, "[]") {
			value = list[0]
		}
	}
	return value
}

// Each rule of a hostile input is explained, and each explained rule exists.
func TestDocs_rules(t *testing.T) {
	docs, err := os.ReadFile(docsFile)
	require.NoError(t, err)
	_, table, found := strings.Cut(string(docs), "| rule | a problem says |\n| --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var explained []string
	for _, line := range strings.Split(table, "\n") {
		explained = append(explained, strings.Split(line, "`")[1])
	}
	assert.Equal(t, []string{
		RuleSyntax, RuleSize, RuleUnknown, RuleTwice, RuleType, RuleText,
		RuleRange, RuleCount, RuleMissing, RuleRepeated, RulePartitions, RuleForms, RuleUnits,
		WarnTagPrefix, WarnTagList, WarnStepTimeout,
	}, explained)
}

// The problems that the page quotes are the parser's words.
func TestDocs_problems(t *testing.T) {
	docs, err := os.ReadFile(docsFile)
	require.NoError(t, err)
	_, err = ParseInput([]byte(`{"dryrun":true,"waves":[
		{"accounts":["111111111111",123456789012],"regions":["us-esat-1"]},{"regions":["us-east-1"]}]}`), HubDefaults())
	ps, ok := err.(Problems)
	require.True(t, ok)
	require.Len(t, ps, 4)
	for _, p := range ps {
		assert.Contains(t, string(docs), "    "+p.String()+"\n")
	}
}
