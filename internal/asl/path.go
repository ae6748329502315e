package asl

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// path is a JSONPath as JSONPath-mode states use it: a root, then steps. It is definite when it names at most one
// value (names and single indexes only); an indefinite path yields a list of what it finds.
type path struct {
	text       string
	root       pathRoot
	variable   string // name of the variable when root is rootVariable
	steps      []step
	indefinite bool
}

type pathRoot int

const (
	rootInput    pathRoot = iota // $
	rootContext                  // $$
	rootVariable                 // $name
)

// step moves from one value to some of its parts. Deep steps look at all descendants too.
type step struct {
	kind    stepKind
	deep    bool
	names   []string
	indexes []int
	slice   slice
	filter  filterExpr
}

type stepKind int

const (
	stepNames stepKind = iota
	stepIndexes
	stepWildcard
	stepSlice
	stepFilter
)

type slice struct {
	start, end       int
	hasStart, hasEnd bool
	step             int
}

// parsePath reads a whole text as one path.
func parsePath(text string) (*path, error) {
	p := &pathParser{text: text}
	out, err := p.path()
	if err != nil {
		return nil, err
	}
	if p.pos != len(text) {
		return nil, fmt.Errorf("%q: unexpected %q", text, text[p.pos:])
	}
	return out, nil
}

// find returns the value of a definite path, or the list an indefinite one finds; false when a definite path
// leads nowhere.
func (p *path) find(root any) (any, bool) {
	if !p.indefinite {
		return p.findOne(root)
	}
	found := []any{root}
	for i := range p.steps {
		var next []any
		for _, v := range found {
			next = p.steps[i].apply(next, v)
		}
		found = next
	}
	if found == nil {
		found = []any{}
	}
	return found, true
}

func (p *path) findOne(v any) (any, bool) {
	for i := range p.steps {
		s := &p.steps[i]
		if s.kind == stepNames {
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[s.names[0]]; !ok {
				return nil, false
			}
			continue
		}
		list, ok := v.([]any)
		if !ok {
			return nil, false
		}
		n := s.indexes[0]
		if n < 0 {
			n += len(list)
		}
		if n < 0 || n >= len(list) {
			return nil, false
		}
		v = list[n]
	}
	return v, true
}

func (s *step) apply(out []any, v any) []any {
	out = s.applyHere(out, v)
	if !s.deep {
		return out
	}
	for _, c := range children(v) {
		out = s.apply(out, c)
	}
	return out
}

func (s *step) applyHere(out []any, v any) []any {
	switch s.kind {
	case stepNames:
		if m, ok := v.(map[string]any); ok {
			for _, n := range s.names {
				if c, ok := m[n]; ok {
					out = append(out, c)
				}
			}
		}
	case stepIndexes:
		if list, ok := v.([]any); ok {
			for _, n := range s.indexes {
				if n < 0 {
					n += len(list)
				}
				if n >= 0 && n < len(list) {
					out = append(out, list[n])
				}
			}
		}
	case stepWildcard:
		out = append(out, children(v)...)
	case stepSlice:
		if list, ok := v.([]any); ok {
			out = s.slice.apply(out, list)
		}
	case stepFilter:
		for _, c := range children(v) {
			if s.filter.test(c) {
				out = append(out, c)
			}
		}
	}
	return out
}

func (s slice) apply(out, list []any) []any {
	start, end := 0, len(list)
	if s.hasStart {
		start = clampIndex(s.start, len(list))
	}
	if s.hasEnd {
		end = clampIndex(s.end, len(list))
	}
	for i := start; i < end; i += s.step {
		out = append(out, list[i])
	}
	return out
}

func clampIndex(n, length int) int {
	if n < 0 {
		n += length
	}
	return min(max(n, 0), length)
}

// children are the members of a list, or of an object in the order of its keys.
func children(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case map[string]any:
		out := make([]any, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, v[k])
		}
		return out
	}
	return nil
}

type pathParser struct {
	text string
	pos  int
}

func (p *pathParser) errorf(format string, args ...any) error {
	return fmt.Errorf("%q: %s", p.text, fmt.Sprintf(format, args...))
}

func (p *pathParser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *pathParser) take(s string) bool {
	if strings.HasPrefix(p.text[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *pathParser) space() {
	for p.peek() == ' ' {
		p.pos++
	}
}

// path reads a path from the current position and stops at the first byte that cannot belong to it.
func (p *pathParser) path() (*path, error) {
	start := p.pos
	if !p.take("$") {
		return nil, p.errorf("must start with $")
	}
	out := &path{}
	switch {
	case p.take("$"):
		out.root = rootContext
	case isNameStart(p.peek()):
		out.root, out.variable = rootVariable, p.name()
	}
	if err := p.steps(out); err != nil {
		return nil, err
	}
	out.text = p.text[start:p.pos]
	return out, nil
}

func (p *pathParser) steps(out *path) error {
	for {
		var s step
		var err error
		switch {
		case p.take(".."):
			s, err = p.afterDots()
			s.deep = true
		case p.take("."):
			s, err = p.afterDot()
		case p.take("["):
			s, err = p.bracket()
		default:
			return nil
		}
		if err != nil {
			return err
		}
		single := s.kind == stepNames && len(s.names) == 1 || s.kind == stepIndexes && len(s.indexes) == 1
		out.indefinite = out.indefinite || s.deep || !single
		out.steps = append(out.steps, s)
	}
}

func (p *pathParser) afterDots() (step, error) {
	if p.take("[") {
		return p.bracket()
	}
	return p.afterDot()
}

func (p *pathParser) afterDot() (step, error) {
	if p.take("*") {
		return step{kind: stepWildcard}, nil
	}
	n := p.name()
	if n == "" {
		return step{}, p.errorf("a name is due at position %d", p.pos+1)
	}
	if p.peek() == '(' {
		return step{}, p.errorf("function %s() is not supported", n)
	}
	return step{kind: stepNames, names: []string{n}}, nil
}

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (p *pathParser) name() string {
	start := p.pos
	for c := p.peek(); isNameStart(c) || c >= '0' && c <= '9' || c == '-'; c = p.peek() {
		p.pos++
	}
	return p.text[start:p.pos]
}

// bracket reads what follows "[": names, indexes, a slice, a wildcard or a filter.
func (p *pathParser) bracket() (step, error) {
	p.space()
	var s step
	var err error
	switch c := p.peek(); {
	case p.take("*"):
		s.kind = stepWildcard
	case p.take("?"):
		s.kind = stepFilter
		s.filter, err = p.filter()
	case c == '\'' || c == '"':
		s, err = p.names()
	default:
		s, err = p.numbers()
	}
	if err != nil {
		return s, err
	}
	if p.space(); !p.take("]") {
		return s, p.errorf("a closing bracket is due at position %d", p.pos+1)
	}
	return s, nil
}

func (p *pathParser) names() (step, error) {
	s := step{kind: stepNames}
	for {
		p.space()
		n, err := p.quoted()
		if err != nil {
			return s, err
		}
		s.names = append(s.names, n)
		if p.space(); !p.take(",") {
			return s, nil
		}
	}
}

// quoted reads a name or text in single or double quotes; a backslash keeps the next byte.
func (p *pathParser) quoted() (string, error) {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		return "", p.errorf("a quoted name is due at position %d", p.pos+1)
	}
	var b strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == quote {
			p.pos++
			return b.String(), nil
		}
		if c == '\\' && p.pos+1 < len(p.text) {
			p.pos++
			c = p.text[p.pos]
		}
		b.WriteByte(c)
	}
	return "", p.errorf("a quote without its end")
}

func (p *pathParser) numbers() (step, error) {
	n, ok, err := p.integer()
	if err != nil {
		return step{}, err
	}
	if p.space(); p.peek() == ':' {
		return p.slice(n, ok)
	}
	if !ok {
		return step{}, p.errorf("an index is due at position %d", p.pos+1)
	}
	s := step{kind: stepIndexes, indexes: []int{n}}
	for p.space(); p.take(","); p.space() {
		p.space()
		n, ok, err := p.integer()
		if err != nil || !ok {
			return s, p.errorf("an index is due at position %d", p.pos+1)
		}
		s.indexes = append(s.indexes, n)
	}
	return s, nil
}

func (p *pathParser) slice(start int, has bool) (step, error) {
	s := step{kind: stepSlice, slice: slice{start: start, hasStart: has, step: 1}}
	p.take(":")
	p.space()
	var err error
	if s.slice.end, s.slice.hasEnd, err = p.integer(); err != nil {
		return s, err
	}
	if p.space(); p.take(":") {
		p.space()
		n, ok, err := p.integer()
		if err != nil || !ok || n <= 0 {
			return s, p.errorf("the step of a slice must be a positive number")
		}
		s.slice.step = n
	}
	return s, nil
}

// integer reads a whole number; false when none stands here.
func (p *pathParser) integer() (int, bool, error) {
	start := p.pos
	p.take("-")
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	if p.pos == start {
		return 0, false, nil
	}
	n, err := strconv.Atoi(p.text[start:p.pos])
	if err != nil {
		return 0, false, p.errorf("bad number %q", p.text[start:p.pos])
	}
	return n, true, nil
}
