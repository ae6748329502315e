package words

import (
	"strconv"
	"strings"
)

// Number writes a number with a comma between thousands: "1,234".
func Number[N ~int | ~int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	first := len(s) - len(strings.TrimPrefix(s, "-"))
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count says how many there are of something as people say it: "0 instances",
// "1 instance", "1,234 instances". The noun is given in the singular.
func Count(n int, noun string) string { return Number(n) + " " + Noun(n, noun) }

// BareCount is Count without the comma, for texts that are kept and that programs read.
func BareCount(n int, noun string) string { return strconv.Itoa(n) + " " + Noun(n, noun) }

// Noun is the noun, given in the singular, as it stands behind the number. It knows the nouns that our texts count.
func Noun(n int, noun string) string {
	switch {
	case n == 1:
		return noun
	case strings.HasSuffix(noun, "ch"):
		return noun + "es"
	}
	return noun + "s"
}
