package words

import "strconv"

// Quoted shows a text in one line of bounded length, without control characters.
func Quoted(s string) string {
	const shown = 60
	for i := range s {
		if i >= shown {
			return strconv.Quote(s[:i]) + "..."
		}
	}
	return strconv.Quote(s)
}
