package runinput

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ec2patch/internal/words"
)

// The rules of warnings: what is taken as it is written, and probably means
// something else. docs/run-input.md explains each.
const (
	WarnTagPrefix   = "tag-prefix"
	WarnTagList     = "tag-list"
	WarnStepTimeout = "step-timeout"
)

// MaxWarnings bounds how many warnings an input keeps, one line each; a line
// more says how many there are beside them. Plan, mail and report show them all.
const MaxWarnings = 20

// StepTimeoutSeconds is how long AWS-RunPatchBaseline lets one of its own steps
// run unless its parameter StepTimeoutSeconds says otherwise, which we never
// send: a version of the document that lacks it would refuse the command.
// Source: Systems Manager user guide, AWS-RunPatchBaseline, read 2026-11.
const StepTimeoutSeconds = 7200

// Warnings tells what in a run input is taken as it is written and probably
// means something else. in is what ParseInput made of data. The paths and the
// places are those of data, in whatever form it is.
func Warnings(data []byte, in Input) Problems {
	warned := in.warned()
	if len(warned) == 0 {
		return nil
	}
	var found findings
	root := tree(data, &found)
	if root == nil {
		return warned
	}
	at := map[string]*node{}
	root.index(at)
	found = findings{}
	for _, p := range warned {
		n := written(at, p.Path)
		if n == nil {
			n = root // a default of the hub, which stands nowhere
		} else {
			p.Path = n.path
		}
		found.add(n.start, p)
	}
	return found.problems(data)
}

// index finds every node below n, and n itself, by its path.
func (n *node) index(at map[string]*node) {
	at[n.path] = n
	for _, m := range n.members {
		m.value.index(at)
	}
	for _, item := range n.items {
		item.index(at)
	}
}

// written finds the node of a path of the form with waves in a document of any form.
func written(at map[string]*node, path string) *node {
	other := "accountWaves" + strings.TrimPrefix(path, "waves")
	flat := strings.Replace(path, "waves[0].filters.tags", "tagFilters", 1)
	for _, p := range []string{path, other, flat, strings.TrimSuffix(flat, "[0]")} {
		if n := at[p]; n != nil {
			return n
		}
	}
	return nil
}

// warned lists the warnings with the paths of the form with waves.
func (in Input) warned() Problems {
	var all Problems
	for i, w := range in.Waves {
		path := fmt.Sprintf("waves[%d]", i)
		for _, key := range slices.Sorted(maps.Keys(w.Filters.Tags)) {
			all = append(all, warnTag(fieldPath(path+".filters.tags", key), key, w.Filters.Tags[key])...)
		}
		if w.CommandTimeoutSeconds > StepTimeoutSeconds {
			all = append(all, Problem{
				Rule: WarnStepTimeout, Path: path + ".commandTimeoutSeconds", Value: fmt.Sprint(w.CommandTimeoutSeconds),
				Message: fmt.Sprintf("is longer than AWS-RunPatchBaseline gives one of its own steps by default, %d seconds",
					StepTimeoutSeconds),
				Remedy: "an update that takes longer may end as failed at that time, whatever stands here",
			})
		}
	}
	return all
}

// warnTag warns of a tag filter that is copied from a command line.
func warnTag(path, key string, values []string) Problems {
	var all Problems
	if name, ok := strings.CutPrefix(key, "tag:"); ok {
		all = append(all, Problem{Rule: WarnTagPrefix, Path: path, Value: words.Quoted(key),
			Message: `is taken as the whole key of a tag; "tag:" stands before a key in command lines only`,
			Remedy:  "write " + words.Quoted(name) + " if that is the key"})
	}
	for i, value := range values {
		if parts := strings.Split(value, ","); len(parts) > 1 {
			all = append(all, Problem{Rule: WarnTagList, Path: fmt.Sprintf("%s[%d]", path, i), Value: words.Quoted(value),
				Message: "is taken as one value with a comma in it",
				Remedy:  "write " + valuesOf(parts) + " if these are values of their own"})
		}
	}
	return all
}

// valuesOf writes the first parts of a value as a list.
func valuesOf(parts []string) string {
	const shown = 3
	var texts []string
	for _, part := range parts[:min(len(parts), shown)] {
		texts = append(texts, words.Quoted(strings.TrimSpace(part)))
	}
	if len(parts) > shown {
		texts = append(texts, "...")
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// lines are the warnings as an input keeps them.
func (ps Problems) lines() []string {
	var lines []string
	for i, p := range ps {
		if i == MaxWarnings {
			lines = append(lines, "and "+words.BareCount(len(ps)-i, "more warning"))
			break
		}
		lines = append(lines, p.String())
	}
	return lines
}
