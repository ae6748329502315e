package report

import (
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/words"
)

// numbers are a reason that is nothing but numbers of something: "14 patches
// missing, 2 rejected". Instances that differ in the numbers alone share a group.
type numbers []countRange

// countRange is the smallest and the largest number of one thing.
type countRange struct {
	low, high int
	what      string
	patches   bool // the number is followed by what is counted
}

// numbersOf are those of one instance, nil where its reason is something else.
func numbersOf(counts []outcome.Counted) numbers {
	var all numbers
	for _, c := range counts {
		all = append(all, countRange{low: c.N, high: c.N, what: words.Clean(c.What), patches: c.Patches})
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
		number := words.Number(r.low)
		if r.low != r.high {
			number += " to " + words.Number(r.high)
		}
		switch {
		case r.patches && r.high == 1 && r.low == 1:
			number += " patch"
		case r.patches:
			number += " patches"
		}
		parts = append(parts, number+" "+r.what)
	}
	return strings.Join(parts, ", ")
}
