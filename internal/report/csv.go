package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/words"
)

// Columns are the columns of report.csv. New ones are added at the end only.
func Columns() []string {
	return []string{
		"run", "wave", "account", "region", "instanceId", "name", "platform", "planned", "outcome", "reason", "warning",
		"commandId", "status", "beforeInstalled", "beforeMissing", "beforeFailed", "beforePendingReboot",
		"afterInstalled", "afterMissing", "afterFailed", "afterPendingReboot", "afterEnded", "detail",
		"since", "tookSeconds", "patchesInstalled", "patchesFailed", "patchesMissing", "morePatches",
	}
}

// csvForm is report.csv under way.
type csvForm struct {
	out *csv.Writer
	run patch.RunID
}

// NewCSV begins report.csv: one row for each instance, those of the plan first,
// then those that matched a wave and were left out ("planned" says no). A count
// that was not reported is an empty cell. Command output, and more about patches
// by name, stand in report.json only.
func NewCSV(w io.Writer, r *Report) (Form, error) {
	f := &csvForm{out: csv.NewWriter(w), run: r.Run}
	return f, f.row(Columns())
}

func (f *csvForm) Instance(i outcome.InstanceReport) error {
	return f.row(cells(planned(f.run, inert(i))))
}

func (f *csvForm) Excluded(e plan.ExcludedInstance) error {
	return f.row(cells(excluded(f.run, inertExcluded(e))))
}

func (f *csvForm) row(cells []string) error {
	if err := f.out.Write(cells); err != nil {
		return fmt.Errorf("write report.csv: %w", err)
	}
	return nil
}

func (f *csvForm) Close() error {
	f.out.Flush()
	return f.out.Error()
}

func planned(run patch.RunID, i outcome.InstanceReport) []string {
	row := []string{
		string(run), i.Wave, string(i.Account), string(i.Region), string(i.InstanceID), i.Name, string(i.Platform),
		"yes", string(i.Outcome), i.Reason, i.Warning, string(i.CommandID), i.Status,
	}
	row = append(row, stateCells(i.Before)...)
	row = append(row, stateCells(i.After)...)
	ended := ""
	if i.After != nil && !i.After.Ended.IsZero() {
		ended = i.After.Ended.UTC().Format(time.RFC3339)
	}
	since, took, more := "", "", ""
	if i.Since != nil {
		since = i.Since.UTC().Format(time.RFC3339)
	}
	if i.TookSeconds > 0 {
		took = strconv.Itoa(i.TookSeconds)
	}
	if i.MorePatches > 0 {
		more = strconv.Itoa(i.MorePatches)
	}
	row = append(row, ended, i.Detail, since, took)
	return append(append(row, namedCells(i.Patches)...), more)
}

// namedCells are the patches by their KB, or the package on Linux: what was
// installed, what failed, what is missing.
func namedCells(patches []outcome.NamedPatch) []string {
	cells := make([]string, 3)
	for _, p := range patches {
		n := 0
		switch p.State {
		case outcome.PatchFailed:
			n = 1
		case outcome.PatchMissing:
			n = 2
		}
		cells[n] = strings.TrimSpace(cells[n] + " " + cmp.Or(p.KB, p.Title))
	}
	return cells
}

func excluded(run patch.RunID, e plan.ExcludedInstance) []string {
	row := make([]string, len(Columns()))
	copy(row, []string{string(run), e.Wave, string(e.Account), string(e.Region), string(e.InstanceID), "", "", "no",
		string(e.Outcome), e.Reason})
	return row
}

func stateCells(p *outcome.PatchState) []string {
	if p == nil {
		return make([]string, 4)
	}
	return []string{digits(p.Installed), digits(p.Missing), digits(p.Failed), digits(p.InstalledPendingReboot)}
}

func digits(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

var (
	// formula finds what a spreadsheet may run: at the start of a cell, also in
	// the wide forms of the signs, and after a character at which a spreadsheet
	// with other settings would begin a new cell.
	formula = regexp.MustCompile(`(^|[;,|\t])([\s"']*)([=+\-@＝＋－＠])`)
)

// cells makes every cell one line of text that no spreadsheet computes.
func cells(row []string) []string {
	for i, c := range row {
		row[i] = words.Clean(c)
		if mayCompute(row[i]) {
			row[i] = formula.ReplaceAllString(row[i], `${1}'${2}${3}`)
		}
	}
	return row
}

// mayCompute rules most cells out without the slow search.
func mayCompute(c string) bool {
	if strings.ContainsAny(c, ";,|") {
		return true
	}
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(c, " \"'"))
	return strings.ContainsRune("=+-@＝＋－＠", r)
}
