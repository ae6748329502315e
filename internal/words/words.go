package words

import (
	"slices"
	"strings"
)

func OrElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func OrDash(s string) string { return OrElse(s, "-") }

// SortedKeys lists a map's keys in order.
func SortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// LowerFirst is for a text that goes on in a sentence.
func LowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
