package runinput

import (
	"fmt"
	"strings"
)

// instead is the remedy for an unknown field: the field that was probably
// meant, by the place where a field of that name does stand or by its spelling.
func (c checker) instead(n *node, key string, s shape) string {
	if way := wayOver(n, key); way != "" {
		return way
	}
	path := c.places[key]
	if wave, of := strings.CutPrefix(path, "waves[]."); of && c.flat {
		return fmt.Sprintf("the form of a single wave has no %s; write the run with waves, and it is %s", wave, path)
	}
	if path != "" {
		return fmt.Sprintf("did you mean %s?", path)
	}
	var names []string
	for _, f := range s.fields {
		names = append(names, f.name)
	}
	if near := Nearest(key, names); near != "" {
		c.meant[fieldPath(n.path, near)] = true
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "leave it out; the fields here are " + strings.Join(names, ", ")
}

// places maps the name of each field to its first path in a run with waves.
// Names of the flat form map to what they become there.
func places(run shape) map[string]string {
	found := map[string]string{"waveId": "waves[].name", "tagFilters": "waves[].filters.tags"}
	var walk func(s shape, path string)
	walk = func(s shape, path string) {
		for _, f := range s.fields {
			if f.only == flatForm {
				continue
			}
			at := strings.TrimPrefix(path+"."+f.name, ".")
			if found[f.name] == "" {
				found[f.name] = at
			}
			if f.items != nil {
				walk(*f.items, at+"[]")
			}
			walk(f.shape, at)
		}
	}
	walk(run, "")
	return found
}

// Nearest is the option that a typing error could have turned into s, or
// nothing. Case alone always counts as a typing error.
func Nearest(s string, options []string) string {
	const longest = 40 // of what people mistype; it also bounds the work
	if len(s) > longest {
		return ""
	}
	best, bestDistance := "", len(s)/3+2
	for _, option := range options {
		if strings.EqualFold(s, option) {
			return option
		}
		distance := editDistance(strings.ToLower(s), strings.ToLower(option))
		if distance < bestDistance && distance < len(option) {
			best, bestDistance = option, distance
		}
	}
	return best
}

// editDistance counts the insertions, deletions and replacements of single
// bytes that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
