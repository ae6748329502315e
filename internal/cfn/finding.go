package cfn

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing that is wrong with a template or with what it was deployed with.
type Finding struct {
	File string
	Line int // 1 is the first line; 0 where no line is to blame, as for an unknown parameter
	Text string
}

func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// Findings is the error of Load and Deploy: everything that is wrong, in the order of the lines.
type Findings []Finding

func (f Findings) Error() string {
	lines := make([]string, 0, len(f))
	for _, one := range f {
		lines = append(lines, one.String())
	}
	return strings.Join(lines, "\n")
}

// collector gathers findings for one file.
type collector struct {
	file  string
	found Findings
}

func (c *collector) add(line int, format string, args ...any) {
	c.found = append(c.found, Finding{File: c.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// err is nil when nothing was found; a finding that two paths came across is told once.
func (c *collector) err() error {
	if len(c.found) == 0 {
		return nil
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	c.found = slices.Compact(c.found)
	return c.found
}
