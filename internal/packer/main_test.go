package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A package that calls methods by their names makes the linker keep all
// operations of all AWS clients: 45 MB more a binary. The rehearsal and its
// command line belong to the other program.
func TestArtifact_LinksNothingItMustNot(t *testing.T) {
	forbidden := []string{
		"html/template", "text/template", "net/rpc", "testing",
		"ec2patch/internal/sim", "ec2patch/internal/asl", "ec2patch/internal/cfn", "ec2patch/internal/iam",
		"ec2patch/internal/cli",
		"github.com/spf13/cobra", "github.com/stretchr/testify", "go.yaml.in/yaml/v3",
	}
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command("go", "list", "-deps", "-tags", tags, "ec2patch/cmd/"+name).Output()
			require.NoError(t, err)
			deps := strings.Fields(string(out))
			require.Contains(t, deps, "runtime")
			for _, dep := range deps {
				for _, f := range forbidden {
					assert.False(t, dep == f || strings.HasPrefix(dep, f+"/"), "links %s", dep)
				}
			}
		})
	}
}

func TestPack_GivesTheSameBytesForTheSameFiles(t *testing.T) {
	first, err := pack(binaries(t, time.Unix(1, 0)))
	require.NoError(t, err)
	second, err := pack(binaries(t, time.Unix(1_000_000_000, 0)))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(first, second), "the folder or the files' times are in the zip")
}

func TestPack_HoldsExecutables(t *testing.T) {
	data, err := pack(binaries(t, time.Unix(1, 0)))
	require.NoError(t, err)
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	require.Len(t, z.File, len(names()))
	for i, f := range z.File {
		assert.Equal(t, names()[i], f.Name)
		assert.Equal(t, os.FileMode(0o755), f.Mode())
		assert.True(t, f.Modified.Equal(stamp()), f.Modified)
		r, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat(f.Name, 1000), string(content))
	}
}

func TestPack_WithoutABinaryFails(t *testing.T) {
	dir := binaries(t, time.Unix(1, 0))
	require.NoError(t, os.Remove(filepath.Join(dir, "poll")))
	_, err := pack(dir)
	assert.ErrorContains(t, err, "poll")
}

func TestRun_TakesTwoArchitectures(t *testing.T) {
	out := filepath.Join(t.TempDir(), "lambda.zip")
	assert.ErrorContains(t, run("x86_64", out), "neither arm64 nor amd64")
	assert.NoFileExists(t, out)
}

// binaries is a folder with a file for each binary, last changed at a time.
func binaries(t *testing.T, changed time.Time) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names() {
		path := filepath.Join(dir, n)
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(n, 1000)), 0o600))
		require.NoError(t, os.Chtimes(path, changed, changed))
	}
	return dir
}
