package runinput

import (
	"cmp"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// ParseInput reads a run input in any of its forms, checks it and fills in
// every default, so that the result is valid input itself. d holds what the
// hub's parameters set; it must be within the limits of this package.
//
// The error is Problems: everything that is wrong, in document order. Only a
// document that is too large, too deep, not JSON or wrapped into another has
// one problem alone. What is no problem and probably means something else is in
// the input's Warnings.
func ParseInput(data []byte, d Defaults) (Input, error) {
	var found findings
	root := tree(data, &found)
	if root == nil {
		return Input{}, found.problems(data)
	}
	if inside := wrapper(root); inside != nil {
		found.add(inside.keyStart, Problem{Rule: RuleForms, Path: inside.value.path,
			Message: "holds the whole run input", Remedy: "give what is inside it as the document"})
		return Input{}, found.problems(data)
	}
	run := runShape(d)
	flat := len(flatMembers(root)) > 0 && root.member("waves") == nil && root.member("accountWaves") == nil
	check := checker{found: &found, places: places(run), meant: map[string]bool{}, flat: flat}
	check.value(root, run)
	if root.kind == nodeObject {
		check.forms(root)
	}
	found.drop(RuleMissing, func(path string) bool { return check.meant[path] }) // its name is mistyped, which is told
	if len(found.list) > 0 {
		return Input{}, found.problems(data)
	}
	in, err := build(data, root, d)
	if err != nil {
		found.add(0, Problem{Rule: RuleSize, Path: "$", Message: err.Error(),
			Remedy: "make the run smaller, or split it"})
		return Input{}, found.problems(data)
	}
	return in, nil
}

// Check tells what is wrong with defaults that come from outside. The paths of
// the Problems are those of the run input that the defaults stand in for.
func (d Defaults) Check() error {
	const smallest = `{"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`
	in, err := ParseInput([]byte(smallest), d)
	if err != nil {
		return err
	}
	full, err := json.Marshal(in)
	if err != nil {
		return err
	}
	_, err = ParseInput(full, d)
	return err
}

// findings collects problems with the byte of the document that they stand at.
type findings struct {
	list []finding
}

type finding struct {
	offset int
	Problem
}

func (f *findings) add(offset int, p Problem) {
	f.list = append(f.list, finding{offset, p})
}

// drop forgets what another finding says better.
func (f *findings) drop(rule string, at func(path string) bool) {
	f.list = slices.DeleteFunc(f.list, func(one finding) bool { return one.Rule == rule && at(one.Path) })
}

// problems puts the findings into document order and counts lines and columns,
// in one pass over the document, however many there are.
func (f *findings) problems(data []byte) Problems {
	slices.SortStableFunc(f.list, func(a, b finding) int { return cmp.Compare(a.offset, b.offset) })
	ps := make(Problems, 0, len(f.list))
	line, column, at := 1, 1, 0
	for _, found := range f.list {
		for at < min(found.offset, len(data)) {
			r, size := utf8.DecodeRune(data[at:])
			at, column = at+size, column+1
			if r == '\n' {
				line, column = line+1, 1
			}
		}
		found.Line, found.Column = line, column
		ps = append(ps, found.Problem)
	}
	return ps
}
