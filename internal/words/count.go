package words

import (
	"strconv"
	"strings"
)

// Count says how many there are of something as people say it: "0 instances",
// "1 instance", "2 instances". The noun is given in the singular.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + plural(noun)
}

// plural knows the nouns that our texts count.
func plural(noun string) string {
	if strings.HasSuffix(noun, "ch") {
		return noun + "es"
	}
	return noun + "s"
}
