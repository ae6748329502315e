package runinput

import (
	"fmt"
	"strings"

	"ec2patch/internal/patch"
)

// Problem is one thing that is wrong with a run input, and what to do about it.
type Problem struct {
	Rule    string // one of the rules below; it stays the same when the words change
	Path    string // where, as `waves[1].accounts[0]`; "$" is the whole document
	Value   string // the offending value as JSON would write it, shortened; empty where something is missing
	Message string // what is wrong with the value, to be read after it
	Remedy  string // what to write instead
	Line    int    // 1 is the first line
	Column  int    // 1 is the first character of the line
}

// The rules of the run input. docs/run-input.md explains each.
const (
	RuleSyntax     = "input-syntax"
	RuleSize       = "input-size"
	RuleUnknown    = "unknown-field"
	RuleTwice      = "field-twice"
	RuleType       = "wrong-type"
	RuleText       = "wrong-text"
	RuleRange      = "out-of-range"
	RuleCount      = "wrong-count"
	RuleMissing    = "missing"
	RuleRepeated   = "repeated"
	RulePartitions = "mixed-partitions"
	RuleForms      = "mixed-forms"
	RuleUnits      = "units"
)

// String is one line without control characters, whatever the input held.
func (p Problem) String() string {
	text := p.Path + ": "
	if p.Value != "" {
		text += p.Value + " "
	}
	text += p.Message
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// Problems are all problems of one input in document order.
type Problems []Problem

// Error lists all problems, one a line.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Summary lists as many problems as fit in maxBytes and says how many more
// there are. It is for places that limit the length of a text, as the cause of
// a failed execution does.
func (ps Problems) Summary(maxBytes int) string {
	const moreBytes = 40 // room for the last line
	var b strings.Builder
	for i, p := range ps {
		line := p.String()
		if b.Len()+len(line)+1+moreBytes > maxBytes {
			fmt.Fprintf(&b, "and %d more problems", len(ps)-i)
			break
		}
		b.WriteString(line)
		if i < len(ps)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Unwrap makes errors.Is find the kind that the state machine knows.
func (ps Problems) Unwrap() error { return patch.ErrInvalidInput }
