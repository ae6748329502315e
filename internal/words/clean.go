package words

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fit is what the place where a text is shown allows or asks for.
type Fit func(*fit)

type fit struct {
	lines, mail bool
	limit       int
}

// Lines lets line breaks and tabs stay, for command output and errors of several lines.
func Lines(f *fit) { f.lines = true }

// Mail is for plain mail: what is not printable ASCII becomes a question mark, because no charset is declared there,
// and no address stays one that a mail program would make a second link of, with a scheme or without.
func Mail(f *fit) { f.mail = true }

// Limit is for a place that has so much room: at most so many characters.
func Limit(characters int) Fit { return func(f *fit) { f.limit = characters } }

// Clean makes text from outside safe to show: names, tags, reasons and output come from other people's machines and
// forms, and no terminal, log, mail, spreadsheet or browser may take them for anything but text. Without a Fit it is
// one line of any script and length.
//
//   - Terminal escape sequences go as a whole, so that nothing is painted, moved or put into a clipboard.
//   - Control characters go. Line breaks and tabs become spaces unless Lines is given, so that a name cannot forge
//     a line of its own.
//   - Bidirectional marks and overrides go, because they let a text read as what it is not.
//   - Characters that draw nothing or anything go: zero width, fillers, tags, variation selectors, private use and
//     non-characters. A name of these alone is empty, and two names that look alike are alike.
//   - Bytes that are no UTF-8 become U+FFFD: they are shown as what they are.
//   - Space around it goes, unless Lines is given, and so does what is beyond a Limit.
//
// What is clean stays as it is.
func Clean(s string, fits ...Fit) string {
	var f fit
	for _, set := range fits {
		set(&f)
	}
	if f.lines {
		s = strings.ReplaceAll(s, "\r\n", "\n")
	}
	if !plain(s) {
		s = f.clean(s)
	}
	if f.mail {
		s = unlinked(strings.Map(ascii, s))
	}
	return f.trim(f.cut(f.trim(s)))
}

func (f fit) trim(s string) string {
	if f.lines {
		return s
	}
	return strings.TrimSpace(s)
}

func (f fit) cut(s string) string {
	if f.limit <= 0 || utf8.RuneCountInString(s) <= f.limit {
		return s
	}
	return string([]rune(s)[:f.limit])
}

func (f fit) clean(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		if n := escape(s); n > 0 {
			s = s[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case isBreak(r):
			b.WriteByte(f.space(r))
		case !hidden(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// space stands for a line break or a tab.
func (f fit) space(r rune) byte {
	switch {
	case !f.lines:
		return ' '
	case r == '\t':
		return '\t'
	}
	return '\n'
}

func ascii(r rune) rune {
	if r > '~' {
		return '?'
	}
	return r
}

// plain tells that nothing has to be cleaned; most names and reasons are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\t', '\v', '\f', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// hidden tells whether a rune draws nothing, or nothing that one can rely on, and may change how its neighbours are
// read.
func hidden(r rune) bool {
	return unicode.IsControl(r) || r&0xFFFE == 0xFFFE ||
		unicode.In(r, unicode.Cf, unicode.Co, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// escape is the length of the terminal escape sequence at the start of s, 0 if
// there is none. A string sequence (title, clipboard, link) that is never closed
// loses its two introducing characters only, so that it cannot hide the rest.
// Source: ECMA-48, 5th edition, 5.3 to 5.6.
func escape(s string) int {
	kind, n := introducer(s)
	switch kind {
	case 0:
		return 0
	case '[':
		return n + run(s[n:], 0x20, 0x3F) + atMostOne(s[n+run(s[n:], 0x20, 0x3F):], 0x40, 0x7E)
	case ']', 'P', 'X', '^', '_':
		return n + terminated(s[n:])
	}
	return n
}

// introducer reads ESC and the character after it, or its one-character form
// from the C1 set, and returns the 7-bit name of the sequence and its length.
func introducer(s string) (kind byte, n int) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == 0x1B:
		inter := run(s[1:], 0x20, 0x2F)
		if inter > 0 || len(s) == 1 {
			return ' ', 1 + inter + atMostOne(s[1+inter:], 0x30, 0x7E)
		}
		if s[1] < 0x30 || s[1] > 0x7E {
			return ' ', 1
		}
		return s[1], 2
	case r >= 0x80 && r <= 0x9F && size == 2 && r != 0x85:
		return byte(r) - 0x40, size
	}
	return 0, 0
}

// run is how many bytes at the start of s lie between lo and hi.
func run(s string, lo, hi byte) int {
	n := 0
	for n < len(s) && s[n] >= lo && s[n] <= hi {
		n++
	}
	return n
}

// atMostOne is run, at most 1.
func atMostOne(s string, lo, hi byte) int { return min(run(s, lo, hi), 1) }

// terminated is the length of a string up to and with its terminator: BEL, or
// ST in either form. It is 0 if there is none.
func terminated(s string) int {
	best := 0
	for _, end := range []string{"\a", "\x1b\\", "\u009c"} {
		if i := strings.Index(s, end); i >= 0 && (best == 0 || i+len(end) < best) {
			best = i + len(end)
		}
	}
	return best
}
