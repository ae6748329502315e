package words

import (
	"slices"
	"strings"
)

// Clean makes text from outside fit for one line of a mail: printable ASCII, and
// no address that a mail program would make a second link of.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.ReplaceAll(s, "://", "[:]//"))
}

func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// SortedKeys lists a map's keys in order.
func SortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
