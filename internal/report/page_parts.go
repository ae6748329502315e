package report

import (
	"strings"

	"ec2patch/internal/markup"
	"ec2patch/internal/outcome"
	"ec2patch/internal/words"
)

// section is a section of the page, each of its parts on a line.
func section(parts ...markup.Part) markup.Part {
	return markup.El("section", markup.Text("\n"), markup.Lines(parts...))
}

// block is a section that not every page has, set off by empty lines.
func block(parts ...markup.Part) markup.Part {
	return markup.Group(markup.Text("\n"), section(parts...), markup.Text("\n"))
}

// more says where the rest of a list is.
func more(text, file string) markup.Part {
	return markup.El("p", markup.Class("more"), markup.Text(text), markup.Bold(file), markup.Text("."))
}

// optional is a text with a word before it, or nothing.
func optional(before, text string) markup.Part {
	return markup.If(text != "", markup.El("span", markup.Text(before+text)))
}

func outcomeChip(o outcome.Outcome) markup.Part {
	l := lookOf(o)
	return markup.El("span", markup.Class("chip "+l.Tone), markup.Mark(l.Sign), markup.Text(" "+o))
}

// barMarkup draws segments and names them for those who cannot see them.
func barMarkup(segments []segment) markup.Part {
	var label strings.Builder
	for _, s := range segments {
		label.WriteString(s.text() + ". ")
	}
	return markup.El("svg", markup.Class("bar"), markup.Fixed("width", "100%"), markup.Fixed("height", "10"),
		markup.Fixed("role", "img"),
		markup.Attr("aria-label", label.String()), markup.Each(segments, func(s segment) markup.Part {
			return markup.El("rect", markup.Class("o-"+s.Outcome), markup.Attr("x", s.X), markup.Attr("width", s.Width),
				markup.Fixed("height", "10"),
				markup.El("title", markup.Text(s.text())))
		}))
}

func (s segment) text() string { return string(s.Outcome) + " " + words.Number(s.Count) }

// scroll is a table that moves sideways by itself on a narrow screen.
func scroll(parts ...markup.Part) markup.Part {
	return markup.El("div", markup.Class("scroll"), markup.El("table", parts...))
}

// titles is the head of a table.
func titles(names ...string) markup.Part {
	return markup.El("thead", markup.El("tr", markup.Each(names, title)))
}

func title(name string) markup.Part { return markup.El("th", markup.Text(name)) }

func cell(parts ...markup.Part) markup.Part { return markup.El("td", parts...) }

// tightCell is a short text that is not broken.
func tightCell[S ~string](text S) markup.Part {
	return markup.El("td", markup.Class("tight"), markup.Text(text))
}

func numCell(content markup.Part) markup.Part {
	return markup.El("td", markup.Class("num"), content)
}
