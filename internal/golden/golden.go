// Package golden compares what a test produced with a file under testdata, and
// rewrites that file when the test binary runs with -update.
package golden

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// Updating tells whether the test binary runs with -update.
func Updating() bool { return *update }

// Equal fails the test unless got is byte for byte the file testdata/name.
func Equal(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if Updating() {
		write(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no golden file: %v (make golden writes it)", err)
	}
	if d := difference(want, got); d != "" {
		t.Errorf("%s differs from what the test produced (make golden rewrites it):\n%s", path, d)
	}
}

func write(t testing.TB, path string, got []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, got, 0o644); err != nil {
		t.Fatal(err)
	}
}

// difference shows the first line in which the two texts differ. It is empty
// when they are equal.
func difference(want, got []byte) string {
	if bytes.Equal(want, got) {
		return ""
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(w), len(g)) {
		if line(w, i) != line(g, i) {
			return fmt.Sprintf("line %d\n  want %s\n  got  %s", i+1, line(w, i), line(g, i))
		}
	}
	return "the line ends differ"
}

// line quotes the line with that index, or says that the text has ended.
func line(lines []string, i int) string {
	if i >= len(lines) {
		return "(end of text)"
	}
	return fmt.Sprintf("%q", lines[i])
}
