package sim

import (
	"fmt"
	"go/parser"
	"go/token"
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

// source is the file of the bug, and how it reads with the bug in it.
func (m mutant) source(t *testing.T) (file, clean, planted string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	file = filepath.Join(root, filepath.FromSlash(m.file))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.Contains(string(data), m.old), "%s does not have %q", m.file, m.old)
	return file, string(data), strings.Replace(string(data), m.old, m.with, 1)
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
		require.True(t, worlds[m.world] || strings.HasPrefix(m.world, "Test") || strings.HasPrefix(m.world, "drawn "),
			"no world is named %q", m.world)
		require.NotEqual(t, m.old, m.with)
		m.source(t)
	}
	for _, s := range plantedSources(t, all) {
		_, err := parser.ParseFile(token.NewFileSet(), "", s, 0)
		require.NoError(t, err)
	}
}

// Every planted bug breaks the rule that it should. All of them stand in one test
// binary, each behind a switch: `make mutants` builds it once, and runs it once for each.
func TestMutants(t *testing.T) {
	if os.Getenv("MUTANTS") == "" {
		t.Skip("set MUTANTS=1")
	}
	all := mutants(t)
	binary := filepath.Join(t.TempDir(), "planted.test")
	buildPlanted(t, all, binary)
	var caught atomic.Int64
	t.Run("planted", func(t *testing.T) {
		for n, m := range all {
			t.Run(fmt.Sprintf("%03d %s %s", n+1, m.rule, m.world), func(t *testing.T) {
				t.Parallel()
				m.mustBeCaught(t, binary, n+1)
				caught.Add(1)
			})
		}
	})
	t.Logf("%d of %d planted bugs were caught by the rule that names them", caught.Load(), len(all))
}

// mustBeCaught rehearses the world of the bug, with the bug switched on.
func (m mutant) mustBeCaught(t *testing.T, binary string, n int) {
	t.Helper()
	only, env := "^TestWorlds$/^"+strings.ReplaceAll(m.world, " ", "_")+"$", ""
	if strings.HasPrefix(m.world, "Test") {
		only = "^" + m.world + "$"
	}
	if worlds, ok := strings.CutPrefix(m.world, "drawn "); ok {
		only, env = "^TestMutants_drawn$", worlds
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.count=1", "-test.timeout=300s", "-test.run", only)
	cmd.Env = append(os.Environ(), fmt.Sprintf("PLANTED_BUG=%d", n), "PLANTED_WORLDS="+env, "PLANTED_RULE="+m.rule)
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

// Drawn worlds for a planted bug, "calm 1-40" in PLANTED_WORLDS: until one breaks the rule that it should.
func TestMutants_drawn(t *testing.T) {
	faults, seeds, ok := strings.Cut(os.Getenv("PLANTED_WORLDS"), " ")
	if !ok {
		t.Skip("set PLANTED_WORLDS")
	}
	var from, to uint64
	_, err := fmt.Sscanf(seeds, "%d-%d", &from, &to)
	require.NoError(t, err)
	found := false
	for seed := from; seed <= to && !found; seed++ {
		w := draw(seed)
		if os.Getenv("PLANTED_RULE") == "R-17" && (!w.untimed() || seed%twinEvery != 0) {
			continue // it has no twin to be compared with
		}
		res, err := rehearseDrawn(t, w, faults)
		require.NoError(t, err)
		for _, v := range res.Violations {
			found = found || v.Rule == os.Getenv("PLANTED_RULE")
			t.Errorf("seed %d, rule %s at %s: %s", seed, v.Rule, v.At, v.Detail)
		}
	}
}
