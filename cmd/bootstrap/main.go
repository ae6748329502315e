// Command bootstrap starts the binary that the function's Handler names. One
// zip holds all six, so there is one artifact to check and to pin.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ec2patch/internal/lambdas"
)

func main() {
	if err := run(os.Getenv("_HANDLER"), os.Getenv("LAMBDA_TASK_ROOT")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run replaces this process by the named binary; it returns only on failure.
func run(handler, root string) error {
	if all := lambdas.Binaries(); !slices.Contains(all, handler) {
		return fmt.Errorf("the function's Handler %q is none of %s", handler, strings.Join(all, ", "))
	}
	path := filepath.Join(root, handler)
	if err := syscall.Exec(path, []string{path}, os.Environ()); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	return nil
}
