package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"ec2patch/internal/outcome"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/sim"
)

// printed is a result as --format json prints it: the rehearsal's own fields,
// and what scripts ask of the run's report.
type printed struct {
	SchemaVersion int `json:"schemaVersion"`
	*sim.Result
	StatusReason string                    `json:"statusReason"`
	Excluded     map[outcome.Outcome]int   `json:"excluded"`
	Unreachable  []plan.UnreachableAccount `json:"unreachable"`
	Approvals    []report.ApprovalReport   `json:"approvals"`
	Cost         []costItem                `json:"cost"`
	Files        []string                  `json:"files,omitempty"` // paths; not in result.json
}

type costItem struct {
	Name     string  `json:"name"`
	Quantity float64 `json:"quantity"`
	Unit     string  `json:"unit"`
	USD      float64 `json:"usd"`
}

// newPrinted has no lists that are null.
func newPrinted(res *sim.Result) printed {
	r := reportOf(res)
	p := printed{
		SchemaVersion: 1, Result: res, StatusReason: r.StatusReason, Excluded: map[outcome.Outcome]int{},
		Unreachable: append([]plan.UnreachableAccount{}, r.Unreachable...),
		Approvals:   append([]report.ApprovalReport{}, r.Approvals...),
		Cost:        []costItem{},
	}
	for _, e := range r.Excluded {
		p.Excluded[e.Outcome]++
	}
	for _, c := range res.Cost {
		p.Cost = append(p.Cost, costItem(c))
	}
	return p
}

// stable is a result without its real time, so that the files of one seed are
// the same bytes whenever they are written.
type stable struct {
	printed
	WallSeconds *float64 `json:"wallSeconds,omitempty"`
}

// printedSeeds are many rehearsals as --format json prints them.
type printedSeeds struct {
	SchemaVersion int    `json:"schemaVersion"`
	Kind          string `json:"kind"`
	*sim.SeedsResult
}

type stableSeeds struct {
	printedSeeds
	WallSeconds    *float64 `json:"wallSeconds,omitempty"`
	SeedsPerSecond *float64 `json:"seedsPerSecond,omitempty"`
}

// writeResult writes the run's files and result.json to dir and returns their
// names in order.
func writeResult(dir string, res *sim.Result) ([]string, error) {
	data, err := json.MarshalIndent(stable{printed: newPrinted(res)}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the result: %w", err)
	}
	for _, form := range []string{"json", formCSV, formHTML} { // a run without a report leaves none of another run
		if err := os.Remove(filepath.Join(dir, "report."+form)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove a former report: %w", err)
		}
	}
	files := map[string][]byte{"result.json": append(data, '\n')}
	maps.Copy(files, res.Files)
	if page, ok := files["report.html"]; ok {
		files["report.html"] = []byte(sim.Mark(string(page)))
	}
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
	data,
		err := json.MarshalIndent(stableSeeds{printedSeeds: printedSeeds{SchemaVersion: 1, Kind: "rehearsals",
		SeedsResult: res}}, "", "  ")
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
