package words_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/words"
)

func TestClean(t *testing.T) {
	lines, mail := []words.Fit{words.Lines}, []words.Fit{words.Mail}
	tests := []struct {
		name, in, want string
		fits           []words.Fit
	}{
		{name: "plain text stays", in: "web-01", want: "web-01"},
		{name: "letters of any script stay", in: "Größe 東京", want: "Größe 東京"},
		{name: "space around it goes", in: "\u00a0 web-01\t", want: "web-01"},
		{name: "line breaks become spaces", in: "a\r\nb\tc\u2028d", want: "a  b c d"},
		{name: "control characters go", in: "a\x00b\x7fc\u0090d", want: "abcd"},
		{name: "colours go", in: "\x1b[1;31mred\x1b[0m", want: "red"},
		{name: "a title goes as a whole", in: "a\x1b]0;title\ab", want: "ab"},
		{name: "a link keeps its text", in: "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", want: "text"},
		{name: "an unclosed title hides nothing", in: "\x1b]0;rest of it", want: "0;rest of it"},
		{name: "the one-character form counts too", in: "\u009b31mx", want: "x"},
		{name: "an unfinished sequence goes", in: "a\x1b[31", want: "a"},
		{name: "a lone escape goes", in: "a\x1b", want: "a"},
		{name: "bytes that are no text are marked", in: "a\xffb", want: "a\ufffdb"},
		{name: "directions and zero width go", in: "a\u202eb\u200bc\u2066d", want: "abcd"},
		{name: "private use goes", in: "a\ue000b\U000f0000c", want: "abc"},
		{name: "a name of fillers alone is empty", in: "\u3164\u115f\u034f\U000e0041\ufe0f", want: ""},

		{name: "lines stay where they may", in: "a\r\n\tb\n5%\r9%\x00", want: "a\n\tb\n5%\n9%", fits: lines},
		{name: "but nothing else does", in: " \x1b[31mred\u202e\n", want: " red\n", fits: lines},

		{name: "a mail is ASCII", in: "Größe\u200b\x1b[0m", want: "Gr??e", fits: mail},
		{name: "a mail has no second link", in: "to http://evil.test", want: "to http[:]//evil[.]test", fits: mail},
		{name: "nor one without a scheme", in: "see www.Evil.example/x or evil.ma",
			want: "see www[.]Evil[.]example/x or evil[.]ma", fits: mail},
		{name: "nor a host of digits", in: "WWW.1and1", want: "WWW[.]1and1", fits: mail},
		{name: "nor a mailbox", in: "ask help@evil.test, MailTo:x", want: "ask help[@]evil[.]test, MailTo[:]x", fits: mail},
		{name: "nor a share", in: `\\evil\x`, want: `\[\]evil\x`, fits: mail},
		{name: "a number stays", in: "5.10.0-28, at 10:15. Then arn:aws:x", want: "5.10.0-28, at 10:15. Then arn:aws:x",
			fits: mail},
		{name: "nor one that is hidden", in: "to http:\u200b//evil.test", want: "to http[:]//evil[.]test", fits: mail},

		{name: "a limit counts characters", in: "Größe", want: "Grö", fits: []words.Fit{words.Limit(3)}},
		{name: "of what is clean", in: "\u200ba b", want: "a", fits: []words.Fit{words.Limit(2)}},
		{name: "what fits stays", in: "Größe", want: "Größe", fits: []words.Fit{words.Limit(5)}},
		{name: "a limit is of what is sent", in: "a://b", want: "a[:]", fits: []words.Fit{words.Mail, words.Limit(4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, words.Clean(tt.in, tt.fits...))
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"", "two\r\nlines", "\x1b[2J\x1b[31mred", "\x1b]0;title\x07after", "\x1b]8;;http://e\x1b\\link", "\u009b31mC1",
		"\x9b31m", "nul\x00", "right\u202eto left", "zero\u200bwidth\ufeff", "tag\U000e0041",
		"bad \xed\xa0\x80", "\xff\xfe", "\U0001f9e8", "line\u2028sep", "\x1b", "\x1b[", "\x1b]unclosed", "\x1bPq\x1b\\", ":\u200b//", "a.b@c.d", "www.", "mailto:", `\\\\a`, "[.a[@b", "\u3164", "\ue000", "0000\u20080",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines, mail, short := words.Fit(words.Lines), words.Fit(words.Mail), words.Limit(5)
		for _, fits := range [][]words.Fit{nil, {lines}, {mail}, {short}, {lines, mail, short}} {
			once := words.Clean(s, fits...)
			assert.Equal(t, once, words.Clean(once, fits...))
			require.True(t, utf8.ValidString(once))
		}
		for _, r := range words.Clean(s, words.Lines) {
			bad := unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
			if bad && r != '\n' && r != '\t' {
				t.Fatalf("%q keeps %U", s, r)
			}
		}
		assert.False(t, strings.ContainsAny(words.Clean(s), "\n\t"))
		assert.NotRegexp(t, `://|(^|[^\[])@|[0-9A-Za-z]\.[A-Za-z]|(?i)mailto:`, words.Clean(s, words.Mail))
	})
}
