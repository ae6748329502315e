package report

import (
	"strconv"
	"strings"

	"ec2patch/internal/words"
)

// numbers are a reason that is nothing but numbers of something: "14 patches
// missing, 2 rejected". Instances that differ in the numbers alone share a group.
type numbers []countRange

// countRange is the smallest and the largest number of one thing.
type countRange struct {
	low, high int
	what      string // in the plural
}

// numbersIn reads a reason; it has none if any part of it is something else.
func numbersIn(reason string) numbers {
	var all numbers
	for part := range strings.SplitSeq(reason, ", ") {
		number, what, _ := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if err != nil || what == "" {
			return nil
		}
		if rest, one := strings.CutPrefix(what, "patch "); one {
			what = "patches " + rest
		}
		all = append(all, countRange{low: n, high: n, what: what})
	}
	return all
}

// kind is the reason without its numbers.
func (c numbers) kind() string {
	var all []string
	for _, r := range c {
		all = append(all, r.what)
	}
	return strings.Join(all, ", ")
}

// widen takes in the numbers of another reason of the same kind.
func (c numbers) widen(other numbers) {
	for i, o := range other {
		c[i].low, c[i].high = min(c[i].low, o.low), max(c[i].high, o.high)
	}
}

// differ tells whether the numbers are not the same for all.
func (c numbers) differ() bool {
	for _, r := range c {
		if r.low != r.high {
			return true
		}
	}
	return false
}

// text is the reason with its numbers: "2 to 16 patches missing".
func (c numbers) text() string {
	var parts []string
	for _, r := range c {
		number, what := words.Number(r.low), r.what
		if r.low != r.high {
			number += " to " + words.Number(r.high)
		} else if rest, patches := strings.CutPrefix(what, "patches "); patches && r.low == 1 {
			what = "patch " + rest
		}
		parts = append(parts, number+" "+what)
	}
	return strings.Join(parts, ", ")
}
