package words

import (
	"slices"
	"strings"
)

// unlinked puts brackets around what makes an address: the colon of a scheme, the at of a mailbox, the dots of a host,
// the second backslash of a share. Mail programs make links of addresses without any scheme too, and each knows other
// top-level domains, so each dot before a letter counts. It looks back alone, so that a text that is cut stays as it
// is.
func unlinked(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if links(s, i) && (i == 0 || s[i-1] != '[') {
			b.WriteString("[" + s[i:i+1] + "]")
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// links tells whether a character may make an address of what stands around it.
func links(s string, i int) bool {
	next := byte(0)
	if i+1 < len(s) {
		next = s[i+1]
	}
	switch s[i] {
	case '@':
		return true
	case '.':
		return i > 0 && isHost(s[i-1]) && isLetter(next) || slices.Contains([]string{"www", "ftp"}, wordBefore(s, i))
	case ':':
		return strings.HasPrefix(s[i:], "://") || slices.Contains(schemes(), wordBefore(s, i))
	case '\\':
		return i > 0 && s[i-1] == '\\'
	}
	return false
}

// schemes are those that mail programs know without two slashes behind them.
func schemes() []string {
	return []string{
		"mailto", "tel", "sms", "callto", "sip", "sips", "skype", "facetime", "xmpp", "magnet", "webcal", "data",
		"javascript", "file", "urn", "news",
	}
}

// wordBefore are the letters that end before i, in lower case.
func wordBefore(s string, i int) string {
	from := i
	for from > 0 && isLetter(s[from-1]) {
		from--
	}
	return strings.ToLower(s[from:i])
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isHost(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' || c == '-' || c == '_' }
