// Package markup writes HTML pages in which text stays text.
//
// A page is a tree of parts. There is no way to hand in ready-made HTML: names of
// elements and attributes are of a type that other packages cannot name, so that
// only constants of the program fit, and every other string is escaped where it
// is written. What is safe by that:
//
//   - Text is always escaped, in every element that El accepts. El refuses the
//     elements whose content a browser does not read as text, such as script.
//   - Attr quotes and escapes its value and takes only attributes that a browser
//     never runs, loads or follows. All others, such as href, take constants
//     (Fixed) or the place of an element in the same page (Fragment).
//   - A style sheet is a file of the program, and its digest for a content security
//     policy comes from the same bytes.
//
// A part that breaks one of these rules is an error of Document, not a hole.
//
// It stands in for html/template, which calls methods by their names: a program
// that links it keeps every exported method of every type, and so all operations
// of every AWS client.
package markup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// constant can be named in this package only. Elsewhere nothing but a constant
// without a type converts to it.
type constant string

// Part is a piece of a page: an element, an attribute, text or several of them.
// A nil Part is nothing.
type Part interface{ write(*writer) }

// Document writes a page: the document type, the root element and a line break.
// It fails if w does, or if a part is not what this package takes to be safe.
func Document(w io.Writer, root Part) error {
	out := &writer{Writer: bufio.NewWriter(w)}
	out.raw("<!doctype html>\n")
	out.part(root)
	out.raw("\n")
	return errors.Join(out.err, out.Flush())
}

// Text is shown as it is. NUL and bytes that are no UTF-8 become U+FFFD.
type Text string

func (t Text) write(w *writer) { w.escape(string(t)) }

// El is an element. Attributes among its parts go to its start tag, wherever
// they stand; everything else is its content, in order.
func El(name constant, parts ...Part) Part { return element{name, parts} }

type element struct {
	name  constant
	parts []Part
}

func (e element) write(w *writer) {
	if !holdsText(e.name) {
		w.refuse("element %q", e.name)
		return
	}
	w.raw("<")
	w.raw(e.name)
	empty := true
	for _, p := range e.parts {
		if a, ok := p.(attribute); ok {
			a.inTag(w)
			continue
		}
		empty = empty && p == nil
	}
	if empty && isShape(e.name) {
		w.raw("/>")
		return
	}
	w.raw(">")
	if isVoid(e.name) {
		if !empty {
			w.refuse("content of the void element %q", e.name)
		}
		return
	}
	for _, p := range e.parts {
		if _, ok := p.(attribute); !ok {
			w.part(p)
		}
	}
	w.raw("</")
	w.raw(e.name)
	w.raw(">")
}

// holdsText tells whether an element's content is markup and escaped text.
// Source: HTML Living Standard, 13.1.2 and 13.2.6, raw text elements and those
// that switch the tokenizer.
func holdsText(name constant) bool {
	switch name {
	case "script", "style", "iframe", "noembed", "noframes", "noscript", "plaintext", "xmp", "object", "embed":
		return false
	}
	return true
}

// isVoid tells whether an element has neither content nor an end tag. Source:
// HTML Living Standard, 13.1.2, void elements.
func isVoid(name constant) bool {
	switch name {
	case "area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr":
		return true
	}
	return false
}

// isShape tells whether an element is one of SVG's, which may close themselves.
func isShape(name constant) bool { return name == "rect" || name == "line" }

type attribute struct {
	name   constant
	prefix constant
	value  string
	kind   kind
}

// kind is what an attribute's value may be.
type kind int

const (
	anyText kind = iota // escaped text, for names that only take text
	settled             // a constant, or made harmless by a prefix
	bare                // no value
)

// Attr is an attribute with a value from anywhere.
func Attr[S ~string](name constant, value S) Part { return attribute{name: name, value: string(value)} }

// Class is the attribute class.
func Class[S ~string](names S) Part { return Attr("class", names) }

// Fixed is an attribute of any name with a constant value.
func Fixed(name, value constant) Part {
	return attribute{name: name, value: string(value), kind: settled}
}

// Flag is an attribute without a value, such as checked.
func Flag(name constant) Part { return attribute{name: name, kind: bare} }

// Fragment is the attribute href that leads to the element with an id.
func Fragment(id string) Part {
	return attribute{name: "href", prefix: "#", value: id, kind: settled}
}

// Meta is the element meta with a name and its content.
func Meta(name, content constant) Part {
	return El("meta", Fixed("name", name), Fixed("content", content))
}

func (a attribute) write(w *writer) { w.refuse("attribute %q outside of a start tag", a.name) }

func (a attribute) inTag(w *writer) {
	if a.kind == anyText && !takesText(a.name) {
		w.refuse("attribute %q with a value that is no constant", a.name)
		return
	}
	w.raw(" ")
	w.raw(a.name)
	if a.kind == bare {
		return
	}
	w.raw(`="`)
	w.raw(a.prefix)
	w.escape(a.value)
	w.raw(`"`)
}

// takesText tells whether an attribute's value is only shown, measured or sent
// back, in every element.
func takesText(name constant) bool {
	switch name {
	case "class", "content", "height", "id", "maxlength", "value", "width", "x", "x1", "x2", "y", "y1", "y2":
		return true
	}
	return strings.HasPrefix(string(name), "aria-") || strings.HasPrefix(string(name), "data-")
}

// Group is its parts one after the other.
func Group(parts ...Part) Part { return group(parts) }

type group []Part

func (g group) write(w *writer) {
	for _, p := range g {
		w.part(p)
	}
}

// Lines is its parts, with a line break after each. A nil part leaves an empty line.
func Lines(parts ...Part) Part { return lines(parts) }

type lines []Part

func (l lines) write(w *writer) {
	for _, p := range l {
		w.part(p)
		w.raw("\n")
	}
}

// If is the parts where the condition holds, else nothing. A single attribute
// stays one.
func If(holds bool, parts ...Part) Part {
	switch {
	case !holds:
		return nil
	case len(parts) == 1:
		return parts[0]
	}
	return group(parts)
}

// Each is one part for each item, made when it is written, so that a long list
// is never in memory as a whole.
func Each[T any](items []T, part func(T) Part) Part {
	return lazy(func(w *writer) {
		for _, item := range items {
			w.part(part(item))
		}
	})
}

type lazy func(*writer)

func (l lazy) write(w *writer) { l(w) }

// writer keeps the first thing that was refused. The output itself keeps the
// first failure to write.
type writer struct {
	*bufio.Writer
	err error
}

func (w *writer) part(p Part) {
	if p != nil {
		p.write(w)
	}
}

func (w *writer) raw(s constant) { w.put(string(s)) }

// put writes without escaping: only constants and what escape cut come here.
func (w *writer) put(s string) {
	_, _ = w.WriteString(s) // Flush returns the failure
}

func (w *writer) escape(s string) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	from := 0
	for i := range len(s) {
		if e := entity(s[i]); e != "" {
			w.put(s[from:i])
			w.raw(e)
			from = i + 1
		}
	}
	w.put(s[from:])
}

// entity is how a character is written that could end text or a quoted value.
// The plus sign is among them for readers that guess at UTF-7.
func entity(c byte) constant {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&#34;"
	case '\'':
		return "&#39;"
	case '+':
		return "&#43;"
	case 0:
		return "\uFFFD"
	}
	return ""
}

func (w *writer) refuse(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("markup: refused "+format, args...)
	}
}
