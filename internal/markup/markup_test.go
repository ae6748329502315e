package markup_test

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/markup"
)

func document(t testing.TB, p markup.Part) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, markup.Document(&b, p))
	page, ok := strings.CutPrefix(b.String(), "<!doctype html>\n")
	require.True(t, ok)
	page, ok = strings.CutSuffix(page, "\n")
	require.True(t, ok)
	return page
}

func TestDocument(t *testing.T) {
	type named string
	tests := []struct {
		name string
		part markup.Part
		want string
	}{
		{name: "nothing", part: nil, want: ""},
		{name: "an empty element has an end tag", part: markup.El("p"), want: "<p></p>"},
		{name: "a void element has none", part: markup.El("br"), want: "<br>"},
		{name: "an empty shape closes itself", part: markup.El("rect", markup.Fixed("rx", "2")), want: `<rect rx="2"/>`},
		{name: "a shape with a title does not", part: markup.El("rect", markup.El("title", markup.Text("a"))),
			want: "<rect><title>a</title></rect>"},
		{name: "text is escaped", part: markup.Text(`a<b>&"'+` + "\x00"), want: "a&lt;b&gt;&amp;&#34;&#39;&#43;\ufffd"},
		{name: "text that looks escaped is escaped", part: markup.Text("&lt;"), want: "&amp;lt;"},
		{name: "bytes that are no UTF-8 are marked", part: markup.Text("a\xff\xc0b"), want: "a\ufffdb"},
		{name: "text of a type of its own", part: markup.Text(named("<")), want: "&lt;"},
		{name: "a value is quoted and escaped", part: markup.El("p", markup.Attr("data-x", named(`"><i>`+"\xff"))), want: `<p data-x="&#34;&gt;&lt;i&gt;` + "\ufffd" + `"></p>`},
		{name: "a constant value is escaped too", part: markup.El("a", markup.Fixed("href", `?a&b"`)), want: `<a href="?a&amp;b&#34;"></a>`},
		{name: "attributes stand in the start tag, in order", part: markup.El("p", markup.Text("a"), markup.Class("x"), nil, markup.Flag("open")), want: `<p class="x" open>a</p>`},
		{name: "a fragment stays in the page", part: markup.El("a", markup.Fragment(`javascript:"x`)), want: `<a href="#javascript:&#34;x"></a>`},
		{name: "meta", part: markup.Meta("robots", "noindex"), want: `<meta name="robots" content="noindex">`},
		{name: "a group is its parts", part: markup.Group(markup.Text("a"), nil, markup.El("br")), want: "a<br>"},
		{name: "lines end", part: markup.Lines(markup.Text("a"), nil, markup.Text("b")), want: "a\n\nb\n"},
		{name: "a condition that fails leaves nothing", part: markup.El("p", markup.If(false, markup.Class("x"))),
			want: "<p></p>"},
		{name: "a condition that holds may give an attribute", part: markup.El("p", markup.If(true, markup.Class("x"))), want: `<p class="x"></p>`},
		{name: "or several parts", part: markup.If(true, markup.Text("a"), markup.Text("b")), want: "ab"},
		{name: "each item is a part", part: markup.Each([]string{"a", "<"}, func(s string) markup.Part {
			return markup.El("li", markup.Text(s))
		}), want: "<li>a</li><li>&lt;</li>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, document(t, tt.part))
		})
	}
}

func TestDocument_Refuses(t *testing.T) {
	tests := []struct {
		name string
		part markup.Part
		want string
	}{
		{name: "a script", part: markup.El("script", markup.Text("x")), want: `element "script"`},
		{name: "a style from text", part: markup.El("style", markup.Text("x")), want: `element "style"`},
		{name: "a frame", part: markup.El("iframe"), want: `element "iframe"`},
		{name: "raw text that is hidden deep", part: markup.El("p", markup.Lines(markup.Group(markup.El("xmp")))), want: `element "xmp"`},
		{name: "an address that is no constant", part: markup.El("a", markup.Attr("href", "x")), want: `attribute "href"`},
		{name: "a handler", part: markup.El("p", markup.Attr("onclick", "x")), want: `attribute "onclick"`},
		{name: "a style attribute", part: markup.El("p", markup.Attr("style", "x")), want: `attribute "style"`},
		{name: "where a form goes", part: markup.El("form", markup.Attr("action", "x")), want: `attribute "action"`},
		{name: "a document in an attribute", part: markup.El("p", markup.Attr("srcdoc", "x")), want: `attribute "srcdoc"`},
		{name: "content of a void element", part: markup.El("br", markup.Text("x")), want: `void element "br"`},
		{name: "an attribute as content", part: markup.Group(markup.Class("x")), want: `attribute "class" outside`},
		{name: "an attribute in a group", part: markup.El("p", markup.If(true, markup.Class("x"), markup.Flag("open"))), want: `attribute "class" outside`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.ErrorContains(t, markup.Document(&strings.Builder{}, tt.part), tt.want)
		})
	}
}

func TestDocument_NamesTheFirstRefusal(t *testing.T) {
	err := markup.Document(&strings.Builder{}, markup.Group(markup.El("script"), markup.El("style")))
	assert.EqualError(t, err, `markup: refused element "script"`)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestDocument_FailsWithItsWriter(t *testing.T) {
	assert.ErrorContains(t, markup.Document(full{}, markup.El("p")), "disk full")
}

//go:embed testdata
var files embed.FS

// The shared style comes first, so that a page's own wins.
func TestSheet_isWrittenAsItIs(t *testing.T) {
	own, err := files.ReadFile("testdata/page.css")
	require.NoError(t, err)
	base, err := os.ReadFile("base.css")
	require.NoError(t, err)
	page := document(t, markup.NewSheet(files, "testdata/page.css").Element())
	assert.Equal(t, "<style>"+string(base)+string(own)+"</style>", page)
}

func TestSheet_SourceIsTheDigestOfTheElement(t *testing.T) {
	sheet := markup.NewSheet(files, "testdata/page.css")
	content, ok := strings.CutPrefix(document(t, sheet.Element()), "<style>")
	require.True(t, ok)
	content, ok = strings.CutSuffix(content, "</style>")
	require.True(t, ok)
	sum := sha256.Sum256([]byte(content))
	assert.Equal(t, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", sheet.Source())
}

// A sheet that is not there, or that ends its element, is an error of the page.
func TestSheet_isRefused(t *testing.T) {
	for _, name := range []string{"testdata/none.css", "testdata/hostile.css"} {
		err := markup.Document(&strings.Builder{}, markup.NewSheet(files, name).Element())
		assert.ErrorContains(t, err, "refused a style sheet", name)
	}
}

func TestPage(t *testing.T) {
	page := document(t, markup.Page(markup.Text("a<b"), markup.NewSheet(files, "testdata/page.css"),
		[]markup.Part{markup.Meta("robots", "noindex")}, markup.Para("lead", "one & two"), markup.Mark("✓")))
	before, _, _ := strings.Cut(page, "<style>")
	_, after, _ := strings.Cut(page, "</style>")
	assert.Equal(t, `<html lang="en">
<head>
<meta charset="utf-8">
<meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>a&lt;b</title>
`, before)
	assert.Equal(t, `
</head>
<body>
<p class="lead">one &amp; two</p>
<span aria-hidden="true">✓</span>
</body>
</html>`, after)
}
