package asl

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep a definition may nest, so that a hostile text cannot exhaust the stack.
const maxDepth = 200

// Node is one value of a definition and the line of the template it stands on.
type Node struct {
	Line  int
	Value any // nil, bool, float64, string, []*Node or []Field (object in document order)
}

// Field is one member of an object, with the line of its key.
type Field struct {
	Key   string
	Line  int
	Value *Node
}

// ParseJSON reads a JSON text and keeps the line (counted from 1) of every key and value. It fails on anything
// that RFC 8259 does not allow; repeated keys are kept, Load reports them.
func ParseJSON(data []byte) (*Node, error) {
	p := &jsonParser{data: data, line: 1}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.data) {
		return nil, p.errorf("text after the value")
	}
	return n, nil
}

type jsonParser struct {
	data []byte
	pos  int
	line int
}

func (p *jsonParser) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", p.line, fmt.Sprintf(format, args...))
}

func (p *jsonParser) space() {
	for ; p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case '\n':
			p.line++
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

// take consumes c after white space and says whether it stood there.
func (p *jsonParser) take(c byte) bool {
	p.space()
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *jsonParser) value(depth int) (*Node, error) {
	p.space()
	if depth > maxDepth {
		return nil, p.errorf("nested deeper than %d levels", maxDepth)
	}
	if p.pos >= len(p.data) {
		return nil, p.errorf("the text ends where a value is due")
	}
	n := &Node{Line: p.line}
	var err error
	switch c := p.data[p.pos]; {
	case c == '{':
		n.Value, err = p.object(depth)
	case c == '[':
		n.Value, err = p.array(depth)
	case c == '"':
		n.Value, err = p.str()
	case c == '-' || c >= '0' && c <= '9':
		n.Value, err = p.number()
	default:
		n.Value, err = p.word()
	}
	return n, err
}

func (p *jsonParser) object(depth int) ([]Field, error) {
	p.pos++
	fields := []Field{}
	if p.take('}') {
		return fields, nil
	}
	for {
		p.space()
		line := p.line
		if p.pos >= len(p.data) || p.data[p.pos] != '"' {
			return nil, p.errorf("a key in double quotes is due")
		}
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		if !p.take(':') {
			return nil, p.errorf("a colon is due after key %q", key)
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, Field{Key: key, Line: line, Value: v})
		if p.take('}') {
			return fields, nil
		}
		if !p.take(',') {
			return nil, p.errorf("a comma or the end of the object is due")
		}
	}
}

func (p *jsonParser) array(depth int) ([]*Node, error) {
	p.pos++
	items := []*Node{}
	if p.take(']') {
		return items, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		if p.take(']') {
			return items, nil
		}
		if !p.take(',') {
			return nil, p.errorf("a comma or the end of the array is due")
		}
	}
}

// str leaves escapes to encoding/json; it only finds the end.
func (p *jsonParser) str() (string, error) {
	start := p.pos
	for p.pos++; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; {
		case c == '\\':
			p.pos++
		case c == '"':
			p.pos++
			var s string
			if err := json.Unmarshal(p.data[start:p.pos], &s); err != nil {
				return "", p.errorf("bad string")
			}
			return s, nil
		case c < ' ':
			return "", p.errorf("control character in a string")
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(p.data[p.pos:])
			if r == utf8.RuneError && size == 1 {
				return "", p.errorf("the text is not UTF-8")
			}
			p.pos += size - 1
		}
	}
	return "", p.errorf("a string without its end")
}

func (p *jsonParser) number() (float64, error) {
	start := p.pos
	for p.pos < len(p.data) && isNumberByte(p.data[p.pos]) {
		p.pos++
	}
	text := p.data[start:p.pos]
	if !json.Valid(text) {
		return 0, p.errorf("bad number %s", text)
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, p.errorf("number %s is out of range", text)
	}
	return f, nil
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

func (p *jsonParser) word() (any, error) {
	for _, w := range []struct {
		text  string
		value any
	}{{"null", nil}, {"true", true}, {"false", false}} {
		if rest := p.data[p.pos:]; len(rest) >= len(w.text) && string(rest[:len(w.text)]) == w.text {
			p.pos += len(w.text)
			return w.value, nil
		}
	}
	return nil, p.errorf("unexpected character %q", p.data[p.pos])
}
