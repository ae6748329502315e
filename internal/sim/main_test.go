package sim

import (
	"log/slog"
	"os"
	"testing"
)

// What the functions of a rehearsal log is not for who reads the tests.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
