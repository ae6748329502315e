package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

const module = "ec2patch/"

// packages lists the packages that a pattern names.
func packages(t *testing.T, pattern ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,Deps"}, pattern...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

// edges says which packages of the project a package may import. One that is
// not here may import none.
func edges() map[string][]string {
	return map[string][]string{
		"internal/report":     {"internal/markup", "internal/patch"},
		"internal/task":       {"internal/markup", "internal/patch", "internal/report"},
		"internal/cloud":      {"internal/patch", "internal/task"},
		"internal/wire":       {"internal/cloud", "internal/patch", "internal/task"},
		"internal/lambdamain": {"internal/cloud", "internal/patch", "internal/task", "internal/wire"},
		"internal/cfn":        {"internal/asl"},
		"internal/sim/world":  {"internal/asl", "internal/iam"},
		"internal/sim": {"internal/asl", "internal/cfn", "internal/cloud", "internal/iam", "internal/lambdamain", "internal/patch",
			"internal/report", "internal/sim/world", "internal/task", "internal/wire"},
		"internal/guard": {"internal/asl", "internal/cfn", "internal/iam", "internal/patch"},
		"internal/cli": {"internal/asl", "internal/cfn", "internal/guard", "internal/iam", "internal/operator", "internal/patch",
			"internal/report", "internal/sim"},
	}
}

func TestImports(t *testing.T) {
	allowed := edges()
	for _, p := range packages(t, "./internal/...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, path := range p.Imports {
			inner, ours := strings.CutPrefix(path, module)
			if ours {
				assert.Contains(t, allowed[name], inner, "%s imports %s", name, inner)
			}
			assert.False(t, strings.HasPrefix(inner, "cmd/"), "%s imports a main", name)
		}
	}
}

func standard(path string) bool { return !strings.Contains(strings.Split(path, "/")[0], ".") }

// The domain and the interpreter know the standard library only; the tasks
// never see the SDK.
func TestImports_foreign(t *testing.T) {
	for _, p := range packages(t, "./internal/patch", "./internal/asl", "./internal/task") {
		for _, path := range p.Imports {
			ours := strings.HasPrefix(path, module)
			assert.True(t, ours || standard(path), "%s imports %s", p.ImportPath, path)
		}
	}
}

// What only a rehearsal needs is in no Lambda.
func TestImports_lambdas(t *testing.T) {
	mains := packages(t, "./cmd/...")
	checked := 0
	for _, p := range mains {
		if p.ImportPath == module+"cmd/ec2patch" {
			continue
		}
		checked++
		for _, path := range p.Deps {
			for _, never := range []string{"internal/sim", "internal/asl", "internal/cfn", "internal/iam", "internal/guard", "internal/cli"} {
				inside := path == module+never || strings.HasPrefix(path, module+never+"/")
				assert.False(t, inside, "%s contains %s", p.ImportPath, path)
			}
			for _, never := range []string{"testing", "math/rand", "github.com/stretchr/testify"} {
				assert.False(t, path == never && !pulledBySDK(path), "%s contains %s", p.ImportPath, path)
			}
		}
	}
	assert.GreaterOrEqual(t, checked, 6)
}

// pulledBySDK are packages that we would not import and the SDK does.
func pulledBySDK(path string) bool { return slices.Contains([]string{"math/rand"}, path) }
