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

// UpperFirst is for a text that begins a sentence.
func UpperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
