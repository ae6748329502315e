package world_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The world knows nothing of what it tests: it may see the SDK's types, the
// judge of policies and the interpreter, and none of the product's packages.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	rooms, err := filepath.Glob("*/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.NotEmpty(t, rooms)
	files = append(files, rooms...)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			require.True(t, mayImport(name, path), "%s imports %s", name, path)
		}
	}
}

func mayImport(file, path string) bool {
	switch {
	case path == "ec2patch/internal/iam", strings.HasPrefix(path, "ec2patch/internal/sim/world/"):
		return true
	case path == "ec2patch/internal/asl":
		return strings.HasPrefix(file, filepath.Join("backing", "sfn"))
	case strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/"), strings.HasPrefix(path, "github.com/aws/smithy-go"):
		return true
	}
	return !strings.Contains(path, ".") && !strings.HasPrefix(path, "ec2patch/")
}
