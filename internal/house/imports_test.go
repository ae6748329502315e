package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
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
	cmd := exec.CommandContext(t.Context(), "go",
		append([]string{"list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,Deps"}, pattern...)...)
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
			for _, never := range []string{"internal/sim", "internal/asl", "internal/cfn", "internal/iam",
				"internal/guard", "internal/cli"} {
				inside := path == module+never || strings.HasPrefix(path, module+never+"/")
				assert.False(t, inside, "%s contains %s", p.ImportPath, path)
			}
			for _, never := range []string{"testing", "github.com/stretchr/testify"} {
				assert.NotEqual(t, never, path, "%s contains %s", p.ImportPath, path)
			}
		}
	}
	assert.GreaterOrEqual(t, checked, 6)
}
