package lambdas_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/lambdas"
)

// What is below cmd is the bootstrap, the command line, and the functions of the list.
func TestBinaries(t *testing.T) {
	folders, err := os.ReadDir(filepath.Join("..", "..", "cmd"))
	require.NoError(t, err)
	var found []string
	for _, f := range folders {
		found = append(found, f.Name())
	}
	assert.ElementsMatch(t, append(lambdas.Binaries(), "bootstrap", "ec2patch"), found)
}
