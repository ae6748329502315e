package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"ec2patch/internal/sim"
)

// stable is a result without its real time, so that the files of one seed are
// the same bytes whenever they are written.
type stable struct {
	*sim.Result
	WallSeconds *float64 `json:"wallSeconds,omitempty"`
}

type stableSeeds struct {
	*sim.SeedsResult
	WallSeconds    *float64 `json:"wallSeconds,omitempty"`
	SeedsPerSecond *float64 `json:"seedsPerSecond,omitempty"`
}

// writeResult writes the run's files and result.json to dir and returns their
// names in order.
func writeResult(dir string, res *sim.Result) ([]string, error) {
	data, err := json.MarshalIndent(stable{Result: res}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the result: %w", err)
	}
	files := map[string][]byte{"result.json": append(data, '\n')}
	maps.Copy(files, res.Files)
	names := slices.Sorted(maps.Keys(files))
	for _, n := range names {
		if filepath.Base(n) != n {
			return nil, fmt.Errorf("write %q: not a plain file name", n)
		}
		if err := writeFile(filepath.Join(dir, n), files[n]); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func writeSeeds(dir string, res *sim.SeedsResult) error {
	data, err := json.MarshalIndent(stableSeeds{SeedsResult: res}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return writeFile(filepath.Join(dir, "seeds.json"), append(data, '\n'))
}

// writable makes a folder and tells whether files can be written in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".ec2patch-*")
	if err != nil {
		return err
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// writeFile replaces a file as a whole: whoever reads it sees the old bytes or
// the new ones.
func writeFile(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".ec2patch-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(data); err == nil {
		err = temp.Chmod(0o644)
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
