package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutant is one planted bug.
type mutant struct {
	world, rule, file string
	old, with         string
}

// mutants reads the table of planted bugs.
func mutants(t *testing.T) []mutant {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "mutants.txt"))
	require.NoError(t, err)
	var all []mutant
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		old, isOld := strings.CutPrefix(line, "- ")
		with, isNew := strings.CutPrefix(line, "+ ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case isOld:
			all[len(all)-1].old = old
		case isNew:
			all[len(all)-1].with = with
		default:
			parts := strings.Split(line, " | ")
			require.Len(t, parts, 3, line)
			all = append(all, mutant{world: parts[0], rule: parts[1], file: parts[2]})
		}
	}
	return all
}

// plant lays the changed file over the product's.
func (m mutant) plant(t *testing.T) (overlay string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	file := filepath.Join(root, filepath.FromSlash(m.file))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	n := strings.Count(string(data), m.old)
	require.GreaterOrEqual(t, n, 1, "%s does not have %q", m.file, m.old)
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(data), m.old, m.with, 1)), 0o600))
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	require.NoError(t, err)
	overlay = filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, list, 0o600))
	return overlay
}

// The table names worlds and rules that exist, and text that stands in the product.
func TestMutants_table(t *testing.T) {
	all := mutants(t)
	require.GreaterOrEqual(t, len(all), 30)
	worlds := map[string]bool{}
	for _, w := range troubles() {
		worlds[w.name] = true
	}
	for _, m := range all {
		require.True(t, worlds[m.world] || strings.HasPrefix(m.world, "Test"), "no world is named %q", m.world)
		require.NotEqual(t, m.old, m.with)
		m.plant(t)
	}
}

// Every planted bug breaks the rule that it should. It builds the tests once for
// each, two at a time, so it runs only where MUTANTS is set: `make mutants`.
func TestMutants(t *testing.T) {
	if os.Getenv("MUTANTS") == "" {
		t.Skip("set MUTANTS=1")
	}
	all := mutants(t)
	var caught atomic.Int64
	t.Run("planted", func(t *testing.T) {
		for n, m := range all {
			t.Run(fmt.Sprintf("%02d %s %s", n+1, m.rule, m.world), func(t *testing.T) {
				t.Parallel()
				m.mustBeCaught(t)
				caught.Add(1)
			})
		}
	})
	t.Logf("%d of %d planted bugs were caught by the rule that names them", caught.Load(), len(all))
}

// mustBeCaught rehearses the world of the bug, with the bug in it.
func (m mutant) mustBeCaught(t *testing.T) {
	only := "^TestWorlds$/^" + strings.ReplaceAll(m.world, " ", "_") + "$"
	if strings.HasPrefix(m.world, "Test") {
		only = "^" + m.world + "$"
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", m.plant(t), "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout", "180s", "-run", only, ".")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "nobody noticed %q", m.with)
	var rules []string
	for _, found := range regexp.MustCompile(`rule ([RI]-\d+) at`).FindAllStringSubmatch(string(out), -1) {
		rules = append(rules, found[1])
	}
	slices.Sort(rules)
	rules = slices.Compact(rules)
	require.Contains(t, rules, m.rule, "%s: %q was noticed otherwise:\n%.2000s", m.file, m.with, out)
	t.Logf("caught by %v", rules)
}
