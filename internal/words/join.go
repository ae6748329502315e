package words

import (
	"slices"
	"strings"
)

// between stands between the parts of a text.
const between = "; "

// Joined puts texts behind each other with a semicolon between them, without those that are empty.
func Joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return s == "" }), between)
}

// Parts are the texts of which Joined made one.
func Parts(text string) []string { return strings.Split(text, between) }

// UpperFirst is for a text that begins a sentence.
func UpperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
