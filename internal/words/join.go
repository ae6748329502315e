package words

import "strings"

// Joined puts a text behind another with a semicolon between them. Either may be empty.
func Joined(text, more string) string {
	if text == "" || more == "" {
		return text + more
	}
	return text + "; " + more
}

// UpperFirst is for a text that begins a sentence.
func UpperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
