package markup_test

import (
	"html"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/markup"
)

// token is what a browser's tokenizer would see: a tag with its attributes, or
// a run of text.
type token struct {
	tag   string // with a slash before it for an end tag, empty for text
	attrs [][2]string
	text  string
}

// tokens reads the small part of HTML that this package writes, and fails on
// everything else: a tag is < and a name, then attributes in double quotes or
// bare, then > or />. It takes nothing from the package that it checks.
func tokens(t *testing.T, page string) []token {
	t.Helper()
	var out []token
	for page != "" {
		if page[0] != '<' {
			end := strings.IndexByte(page+"<", '<')
			require.NotContains(t, page[:end], ">", "a tag ends that did not begin")
			out = append(out, token{text: html.UnescapeString(page[:end])})
			page = page[end:]
			continue
		}
		var k token
		k, page = tag(t, page[1:])
		out = append(out, k)
	}
	return out
}

func tag(t *testing.T, s string) (token, string) {
	t.Helper()
	k := token{}
	k.tag, s = word(t, s)
	for {
		switch {
		case strings.HasPrefix(s, "/>"):
			return k, s[2:]
		case strings.HasPrefix(s, ">"):
			return k, s[1:]
		}
		require.True(t, strings.HasPrefix(s, " "), "no space before an attribute: %.40q", s)
		var name, value string
		name, s = word(t, s[1:])
		if rest, ok := strings.CutPrefix(s, `="`); ok {
			value, s, ok = strings.Cut(rest, `"`)
			require.True(t, ok, "a value does not end")
		}
		k.attrs = append(k.attrs, [2]string{name, html.UnescapeString(value)})
	}
}

// word is a name of lower-case letters, digits and dashes.
func word(t *testing.T, s string) (string, string) {
	t.Helper()
	end := strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '/'
	})
	if end > 0 && s[end-1] == '/' && s[end] == '>' {
		end--
	}
	require.Positive(t, end, "no name: %.40q", s)
	return s[:end], s[end:]
}

// shown is the text that a reader gets.
func shown(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		"", "plain", "a & b", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "'--",
		"</title></textarea></style><b>", "<!--", "-->", "]]>", "<![CDATA[",
		"&lt;", "&#60;", "&#x3c;", "&notin;", "&amp", "\x00<\x00", "\xff<\xc0\xaf", "\u2028", "+ADw-script+AD4-",
		"javascript:alert(1)", "a\r\nb", "= onclick=x", "`x`", "/>",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		page := document(t, markup.El("div", markup.Class(value), markup.Attr("aria-label", text),
			markup.El("title", markup.Text(text)),
			markup.El("textarea", markup.Attr("id", value), markup.Text(value)),
			markup.El("input", markup.Attr("value", value), markup.Flag("checked")),
			markup.El("a", markup.Fragment(value), markup.Text(text)),
			markup.El("rect", markup.Attr("x", text)),
			markup.Each([]string{text, value}, func(s string) markup.Part { return markup.El("li", markup.Text(s)) }),
		))
		assert.Equal(t, expected(shown(text), shown(value)), tokens(t, page))
	})
}

// expected are the tokens of the page above; empty text is no token.
func expected(text, value string) []token {
	all := []token{
		{tag: "div", attrs: [][2]string{{"class", value}, {"aria-label", text}}},
		{tag: "title"}, {text: text}, {tag: "/title"},
		{tag: "textarea", attrs: [][2]string{{"id", value}}}, {text: value}, {tag: "/textarea"},
		{tag: "input", attrs: [][2]string{{"value", value}, {"checked", ""}}},
		{tag: "a", attrs: [][2]string{{"href", "#" + value}}}, {text: text}, {tag: "/a"},
		{tag: "rect", attrs: [][2]string{{"x", text}}},
		{tag: "li"}, {text: text}, {tag: "/li"}, {tag: "li"}, {text: value}, {tag: "/li"},
		{tag: "/div"},
	}
	var out []token
	for _, k := range all {
		if k.tag != "" || k.text != "" {
			out = append(out, k)
		}
	}
	return out
}
