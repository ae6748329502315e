package cli_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
)

const root = "../../"

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(root + "README.md")
	require.NoError(t, err)
	return string(data)
}

func TestReadme_InputIsValid(t *testing.T) {
	_, rest, found := strings.Cut(readme(t), "```json\n")
	require.True(t, found)
	input, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	_, err := patch.ParseInput([]byte(input), patch.HubDefaults())
	assert.NoError(t, err)
}

func TestReadme_FilesAndTargetsExist(t *testing.T) {
	text := readme(t)
	makefile, err := os.ReadFile(root + "Makefile")
	require.NoError(t, err)
	targets := regexp.MustCompile(`\bmake ([a-z]+)`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, targets)
	for _, m := range targets {
		assert.Contains(t, string(makefile), "\n"+m[1]+":", "make %s", m[1])
	}
	paths := regexp.MustCompile(`(?:\]\(|file://|\b)((?:docs|examples|cloudformation|params|internal)/[A-Za-z0-9_./-]*[A-Za-z0-9/])`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, paths)
	for _, m := range paths {
		_, err := os.Stat(root + m[1])
		assert.NoError(t, err)
	}
}

func TestReadme_SimulateCommandsAreUnderstood(t *testing.T) {
	lines := regexp.MustCompile(`(?m)^\./ec2patch (simulate [^#\n]*)`).FindAllStringSubmatch(readme(t), -1)
	require.NotEmpty(t, lines)
	p := program()
	t.Chdir(root)
	for _, m := range lines {
		args := append(strings.Fields(m[1]), "--progress", "quiet", "--out", t.TempDir())
		c := run(t.Context(), p, nil, "", args...)
		assert.Contains(t, []int{0, 5}, c.code, "%s: %s", m[1], c.stderr)
	}
}
