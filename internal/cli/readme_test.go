package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/cloudformation"
	"ec2patch/internal/cli"
	"ec2patch/internal/golden"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim"
)

const root = "../../"

func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(root + name)
	require.NoError(t, err)
	return string(data)
}

// pages are all texts for people, by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/design/*.md", "examples/*.md"} {
		files, err := filepath.Glob(root + pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, f := range files {
			name := strings.TrimPrefix(filepath.ToSlash(f), root)
			all[name] = page(t, name)
		}
	}
	return all
}

func TestReadme_InputIsValid(t *testing.T) {
	_, rest, found := strings.Cut(page(t, "README.md"), "```json\n")
	require.True(t, found)
	input, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	_, err := runinput.ParseInput([]byte(input), runinput.HubDefaults())
	assert.NoError(t, err)
}

// Whose fleet is tagged otherwise would rehearse and patch nothing, so the page says what a wave takes by itself, and
// how another tag is named.
func TestReadme_defaultFilter(t *testing.T) {
	_, section, found := strings.Cut(page(t, "README.md"), "\n## The input\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	in, err := runinput.ParseInput([]byte(`{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`), runinput.HubDefaults())
	require.NoError(t, err)
	require.Len(t, in.Waves[0].Filters.Tags, 1)
	for key, values := range in.Waves[0].Filters.Tags {
		assert.Contains(t, section, "`"+key+"="+strings.Join(values, ",")+"`")
	}
	shown := regexp.MustCompile("`\"filters\": (\\{[^`]+\\})`").FindStringSubmatch(section)
	require.NotNil(t, shown)
	in, err = runinput.ParseInput([]byte(`{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"],"filters":`+shown[1]+`}]}`), runinput.HubDefaults())
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"Team": {"web"}}, in.Waves[0].Filters.Tags)
}

// The table of promises names the rules that the checkers know.
func TestReadme_rules(t *testing.T) {
	rule := regexp.MustCompile(`R-\d\d`)
	known := map[string]bool{}
	files, err := filepath.Glob(root + "internal/sim/check/*.go")
	require.NoError(t, err)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`"(R-\d\d)"`).FindAllSubmatch(data, -1) {
			known[string(m[1])] = true
		}
	}
	require.NotEmpty(t, known)
	told := map[string]bool{}
	for _, id := range rule.FindAllString(page(t, "README.md"), -1) {
		told[id] = true
	}
	assert.Equal(t, known, told)
}

func TestReadme_length(t *testing.T) {
	assert.Less(t, strings.Count(page(t, "README.md"), "\n"), 200)
}

// The picture of the state machine has states that exist.
func TestArchitecture_statesExist(t *testing.T) {
	_, rest, found := strings.Cut(page(t, "docs/architecture.md"), "```mermaid\n")
	require.True(t, found)
	picture, _, _ := strings.Cut(rest, "```")
	names := regexp.MustCompile(`\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b`).FindAllString(picture, -1)
	require.Greater(t, len(names), 20)
	for _, name := range names {
		if name != "StartExecution" {
			assert.Regexp(t, `(?m)^ {10,}`+name+`:$`, string(cloudformation.Hub))
		}
	}
}

func TestExamples_areListed(t *testing.T) {
	list := page(t, "examples/README.md")
	files, err := filepath.Glob(root + "examples/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		assert.Contains(t, list, "| `"+strings.TrimPrefix(filepath.ToSlash(f), root+"examples/")+"` |")
	}
}

// Whoever looks for a page finds it in the index, once under its name at least.
func TestIndex_everyPage(t *testing.T) {
	index := page(t, "docs/README.md")
	listed := 0
	for name := range pages(t) {
		file, found := strings.CutPrefix(name, "docs/")
		if !found || file == "README.md" || strings.Contains(file, "/") {
			continue
		}
		listed++
		assert.Contains(t, index, "]("+file, "docs/README.md does not lead to it")
	}
	assert.Greater(t, listed, 12)
}

// Each decision has the four sections, is short enough to be read, and stands in the index under its own title.
func TestDesign(t *testing.T) {
	const folder = "docs/design/"
	index := page(t, folder+"README.md")
	sections := regexp.MustCompile(`(?m)^## (.*)$`)
	decisions := 0
	for name, text := range pages(t) {
		file, found := strings.CutPrefix(name, folder)
		if !found || file == "README.md" {
			continue
		}
		decisions++
		title, _, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
		assert.Contains(t, index, "- ["+title+"]("+file+")\n")
		var told []string
		for _, m := range sections.FindAllStringSubmatch(text, -1) {
			told = append(told, m[1])
		}
		assert.Equal(t, []string{"Context", "Decision", "Consequences", "Rejected"}, told, name)
		lines := strings.Count(text, "\n")
		assert.True(t, lines >= 20 && lines <= 60, "%s has %d lines", name, lines)
	}
	assert.Equal(t, strings.Count(index, "\n- ["), decisions)
	assert.Greater(t, decisions, 11)
}

func TestPages_MakeTargetsExist(t *testing.T) {
	makefile := page(t, "Makefile")
	target := regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)\\b")
	found := 0
	for name, text := range pages(t) {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			found++
			assert.Contains(t, makefile, "\n"+m[1]+":", "%s: make %s", name, m[1])
		}
	}
	assert.Greater(t, found, 5)
}

func TestPages_PathsExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	path := regexp.MustCompile(
		"(?:file://|[`\\s(])((?:docs|examples|cloudformation|params|internal|cmd)/[A-Za-z0-9_./-]*[A-Za-z0-9/])[`\\s),.;:]")
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			assert.FileExists(t, filepath.Join(root, filepath.Dir(name), m[1]), "link in %s", name)
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(root + m[1])
			assert.NoError(t, err, "path in %s", name)
		}
	}
}

// Every command line of ec2patch that a page shows has a command and flags that exist.
func TestPages_CommandsAreUnderstood(t *testing.T) {
	found := 0
	for name, text := range pages(t) {
		for _, line := range commands(text) {
			found++
			args := strings.Fields(line)
			if args[0] == "help" {
				c := run(t.Context(), program(), nil, "", args...)
				assert.Zero(t, c.code, "%s: ec2patch %s: %s", name, line, c.stderr)
				continue
			}
			c := run(t.Context(), program(), nil, "", append(args, "--help")...)
			assert.Zero(t, c.code, "%s: ec2patch %s: %s", name, line, c.stderr)
			if !strings.Contains(c.stdout, "\n  ec2patch "+args[0]) || strings.Contains(c.stdout, "Available Commands:") {
				t.Errorf("%s: ec2patch %s: there is no command %s", name, line, args[0])
			}
		}
	}
	assert.Greater(t, found, 10)
}

// commands are the arguments of ec2patch in shell blocks, in indented lines and in `...`.
func commands(text string) []string {
	var all []string
	add := func(shown string, line *regexp.Regexp) {
		for _, m := range line.FindAllStringSubmatch(shown, -1) {
			all = append(all, m[1])
		}
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		add(block[1], regexp.MustCompile(`(?m)^ *(?:\./)?ec2patch ([^#\n]+)`))
	}
	add(text, regexp.MustCompile(`(?m)^    ec2patch ([^#\n]+)`))
	add(text, regexp.MustCompile("`(?:\\./)?ec2patch ([a-z][^`\n]*)`"))
	return all
}

func TestReadme_SimulateCommandsAreUnderstood(t *testing.T) {
	lines := regexp.MustCompile(`(?m)^\./ec2patch (simulate [^#\n]*)`).FindAllStringSubmatch(page(t, "README.md"), -1)
	require.NotEmpty(t, lines)
	p := program()
	t.Chdir(root)
	for _, m := range lines {
		args := append(strings.Fields(m[1]), "--progress", "quiet", "--out", t.TempDir())
		c := run(t.Context(), p, nil, "", args...)
		assert.Contains(t, []int{0, 5}, c.code, "%s: %s", m[1], c.stderr)
	}
}

// rehearsing is a program whose simulate works.
func rehearsing() cli.Program {
	p := program()
	p.Rehearse, p.Hub, p.Spoke, p.Reader = sim.Run, cloudformation.Hub, cloudformation.Spoke, cloudformation.Reader
	return p
}

// shownOf are the parts of a rehearsal's text that pages show: the report without its instances, and the bill.
func shownOf(t *testing.T, stdout string) (summary, cost string) {
	t.Helper()
	part := ""
	for line := range strings.Lines(stdout) {
		switch {
		case strings.HasPrefix(line, "Run "), strings.HasPrefix(line, "On AWS"), strings.HasPrefix(line, "Time:"),
			strings.HasPrefix(line, "Approvals"), strings.HasPrefix(line, "Files in"):
			part = line
		}
		switch {
		case strings.HasPrefix(part, "On AWS"):
			if !strings.HasPrefix(line, "    ") && !strings.Contains(line, "API calls") && strings.TrimSpace(line) != "" {
				cost += line
			}
		case strings.HasPrefix(line, "RECAP"), strings.HasPrefix(line, "Rules"), strings.HasPrefix(line, "Time:"):
			summary += line
		case strings.HasPrefix(part, "Run ") && !strings.HasPrefix(line, "        i-"):
			summary += line
		}
	}
	require.NotEmpty(t, summary)
	require.NotEmpty(t, cost)
	return summary, cost
}

// What the pages show of the demo is what the demo prints. `make golden` writes it.
func TestPages_demo(t *testing.T) {
	demo := regexp.MustCompile(`(?m)^INPUT +\?= (.*)$`).FindStringSubmatch(page(t, "Makefile"))
	require.NotNil(t, demo)
	c := run(t.Context(), rehearsing(), nil, "", "simulate", root+demo[1], "--progress", "quiet", "--out", t.TempDir())
	require.Equal(t, cli.ExitNotPatched, c.code, c.stderr)
	summary, cost := shownOf(t, c.stdout)
	excerpt(t, "README.md", "demo:summary", summary)
	excerpt(t, "docs/cost.md", "demo:cost", cost)
}

// The larger run of docs/cost.md costs what the page says, and the page's rule of thumb holds for it within a tenth.
func TestPages_largerRun(t *testing.T) {
	text := page(t, "docs/cost.md")
	_, input, found := strings.Cut(text, "```json\n")
	require.True(t, found)
	input, _, _ = strings.Cut(input, "```")
	command := regexp.MustCompile("`ec2patch (simulate ten.json [^`]*)` says:").FindStringSubmatch(text)
	require.NotNil(t, command)
	file := filepath.Join(t.TempDir(), "ten.json")
	require.NoError(t, os.WriteFile(file, []byte(input), 0o600))
	args := append(strings.Fields(strings.Replace(command[1], "ten.json", file, 1)), "--progress", "quiet", "--out",
		t.TempDir())
	c := run(t.Context(), rehearsing(), nil, "", args...)
	require.Equal(t, cli.ExitNotPatched, c.code, c.stderr)
	summary, cost := shownOf(t, c.stdout)
	size := regexp.MustCompile(`([\d,]+) instances in 1 wave, took \S+`).FindStringSubmatch(summary)
	require.NotNil(t, size, summary)
	excerpt(t, "docs/cost.md", "larger:cost", size[0]+"\n"+cost)

	number := func(pattern, from string) float64 {
		m := regexp.MustCompile(pattern).FindStringSubmatch(from)
		require.NotNil(t, m, "%s is not in %s", pattern, from)
		n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
		require.NoError(t, err)
		return n
	}
	const targets, cent = 20, 0.01
	assert.InEpsilon(t, number(`([\d,]+) state transitions`, cost), targets*number(`\*\*([\d,]+) state transitions`, text), 0.1)
	assert.InEpsilon(t, number(`about USD ([0-9.]+)`, cost), targets*cent*number(`transitions, ([0-9.]+) cents`, text), 0.1)
	assert.InEpsilon(t, number(`([\d,]+) instances`, size[0]), targets*number(`account-region of ([\d,]+) instances`, text), 0.1)
}

// excerpt compares the fenced block after a comment that begins with a marker, or writes it under -update.
func excerpt(t *testing.T, name, marker, want string) {
	t.Helper()
	text := page(t, name)
	block := regexp.MustCompile("(?s)(<!-- " + marker + "[^\n]*-->\n```\n)(.*?)(```\n)")
	m := block.FindStringSubmatch(text)
	require.NotNil(t, m, "%s has no block %s", name, marker)
	if golden.Updating() {
		text = block.ReplaceAllStringFunc(text, func(string) string { return m[1] + want + m[3] })
		require.NoError(t, os.WriteFile(root+name, []byte(text), 0o644))
		return
	}
	assert.Equal(t, want, m[2], "%s: what the demo prints has changed; `make golden` writes it", name)
}

// docs/cli.md lists every command, and the exit codes as the help does. `make golden` writes those.
func TestCliPage(t *testing.T) {
	text := page(t, "docs/cli.md")
	help := run(t.Context(), program(), nil, "", "--help").stdout
	_, list, found := strings.Cut(help, "Available Commands:\n")
	require.True(t, found)
	list, _, _ = strings.Cut(list, "\n\n")
	names := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(list, -1)
	require.Greater(t, len(names), 8)
	for _, m := range names {
		if m[1] != "help" {
			assert.Contains(t, text, "`ec2patch "+m[1], "the table has no row for it")
		}
	}
	codes := run(t.Context(), program(), nil, "", "help", "exit-codes").stdout
	_, codes, _ = strings.Cut(codes, ":\n\n")
	codes, _, _ = strings.Cut(codes, "\n\n")
	excerpt(t, "docs/cli.md", "help:exit-codes", codes+"\n")
}

// The kinds of objects that docs/cli.md names are those that are printed.
func TestCliPage_kinds(t *testing.T) {
	printed := map[string]bool{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`SchemaVersion: 1, Kind: "(\w+)"`).FindAllSubmatch(data, -1) {
			printed[string(m[1])] = true
		}
	}
	_, told, _ := strings.Cut(page(t, "docs/cli.md"), "a `kind`:")
	told, _, _ = strings.Cut(told, ".")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(told, -1) {
		named[m[1]] = true
	}
	assert.Equal(t, printed, named)
}
