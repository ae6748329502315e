package patch

import (
	"fmt"
	"strings"
)

// instead is the remedy for an unknown field: the field that was probably
// meant, the place where a field of that name does stand, or the names known here.
func (s shape) instead(key string) string {
	var names []string
	for _, f := range s.fields {
		names = append(names, f.name)
	}
	if near := nearest(key, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if path := elsewhere(key); path != "" {
		return fmt.Sprintf("did you mean %s?", path)
	}
	return "leave it out; the fields here are " + strings.Join(names, ", ")
}

// elsewhere finds the path of the first field with this name in a run with waves.
func elsewhere(key string) string {
	switch key {
	case "waveId":
		return "waves[].name"
	case "tagFilters", "tag":
		return "waves[].filters.tags"
	}
	var search func(s shape, path string) string
	search = func(s shape, path string) string {
		for _, f := range s.fields {
			at := strings.TrimPrefix(path+"."+f.name, ".")
			if f.only == flatForm {
				continue
			}
			if f.name == key {
				return at
			}
			inner := f.shape
			if inner.items != nil {
				inner, at = *inner.items, at+"[]"
			}
			if found := search(inner, at); found != "" {
				return found
			}
		}
		return ""
	}
	return search(runShape(HubDefaults()), "")
}

// nearest is the option that a typing error could have turned into s, or
// nothing. Case alone always counts as a typing error.
func nearest(s string, options []string) string {
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
