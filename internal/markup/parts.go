package markup

// Page is a whole page in English: its head, with the metas that only this page has, and its body.
func Page(title Part, style Sheet, metas []Part, body ...Part) Part {
	return El("html", Fixed("lang", "en"), Text("\n"), Lines(
		El("head", Text("\n"), Lines(El("meta", Fixed("charset", "utf-8"))), Lines(metas...), Lines(
			Meta("viewport", "width=device-width, initial-scale=1"),
			Meta("color-scheme", "light dark"),
			El("title", title),
			style.Element(),
		)),
		El("body", Text("\n"), Lines(body...)),
	))
}

// LineIf is a part on a line of its own, or nothing.
func LineIf(holds bool, p Part) Part { return If(holds, Lines(p)) }

// Para is a paragraph of a class.
func Para(class constant, text string) Part { return El("p", Class(class), Text(text)) }

// Span is a text of a class.
func Span[S ~string](class constant, text S) Part { return El("span", Class(class), Text(text)) }

// Bold is a text that stands out, without more weight for who listens.
func Bold[S ~string](text S) Part { return El("b", Text(text)) }

// Strong is a text that matters more than those around it.
func Strong[S ~string](text S) Part { return El("strong", Text(text)) }

// Code is an id, or what one types.
func Code[S ~string](text S) Part { return El("code", Text(text)) }

// Term is a name and its value in a list of them.
func Term(name, text string) Part {
	return Group(El("dt", Text(name)), El("dd", Text(text)))
}

// Unread keeps a screen reader from reading an element out.
func Unread() Part { return Fixed("aria-hidden", "true") }

// Mark is a sign beside a word that says the same.
func Mark[S ~string](sign S) Part { return El("span", Unread(), Text(sign)) }
