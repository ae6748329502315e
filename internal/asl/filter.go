package asl

import (
	"strconv"
	"strings"
)

// filterExpr is the condition of a path filter, as in $.list[?(@.n > 1 && @.name == 'x')].
type filterExpr interface{ test(item any) bool }

type (
	filterOr      []filterExpr
	filterAnd     []filterExpr
	filterNot     struct{ of filterExpr }
	filterExists  struct{ at *path }
	filterCompare struct {
		left, right filterOperand
		op          string
	}
	// filterOperand is a path below the item (@) or a literal.
	filterOperand struct {
		at      *path
		literal any
	}
)

func (f filterOr) test(v any) bool {
	for _, e := range f {
		if e.test(v) {
			return true
		}
	}
	return false
}

func (f filterAnd) test(v any) bool {
	for _, e := range f {
		if !e.test(v) {
			return false
		}
	}
	return true
}

func (f filterNot) test(v any) bool { return !f.of.test(v) }

func (f filterExists) test(v any) bool {
	_, ok := f.at.find(v)
	return ok
}

func (o filterOperand) value(item any) (any, bool) {
	if o.at == nil {
		return o.literal, true
	}
	return o.at.find(item)
}

func (f filterCompare) test(item any) bool {
	a, okA := f.left.value(item)
	b, okB := f.right.value(item)
	switch f.op {
	case "==":
		return okA && okB && equalValues(a, b)
	case "!=":
		return okA != okB || okA && !equalValues(a, b)
	}
	if !okA || !okB {
		return false
	}
	if x, ok := a.(float64); ok {
		y, ok := b.(float64)
		return ok && ordered(f.op, compareOrdered(x, y))
	}
	x, okX := a.(string)
	y, okY := b.(string)
	return okX && okY && ordered(f.op, strings.Compare(x, y))
}

func compareOrdered(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func ordered(op string, sign int) bool {
	switch op {
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	case ">":
		return sign > 0
	}
	return sign >= 0
}

// filter reads what follows "?": a condition, usually in parentheses.
func (p *pathParser) filter() (filterExpr, error) { return p.filterOr(0) }

func (p *pathParser) filterOr(depth int) (filterExpr, error) {
	var out filterOr
	for {
		e, err := p.filterAnd(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if p.space(); !p.take("||") {
			return out, nil
		}
	}
}

func (p *pathParser) filterAnd(depth int) (filterExpr, error) {
	var out filterAnd
	for {
		e, err := p.filterTerm(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if p.space(); !p.take("&&") {
			return out, nil
		}
	}
}

func (p *pathParser) filterTerm(depth int) (filterExpr, error) {
	if depth > maxNesting {
		return nil, p.errorf("filter nested deeper than %d levels", maxNesting)
	}
	p.space()
	if p.take("!") {
		e, err := p.filterTerm(depth + 1)
		return filterNot{e}, err
	}
	if p.take("(") {
		e, err := p.filterOr(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.space(); !p.take(")") {
			return nil, p.errorf("a closing parenthesis is due at position %d", p.pos+1)
		}
		return e, nil
	}
	return p.filterCompare()
}

func (p *pathParser) filterCompare() (filterExpr, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.space()
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if !p.take(op) {
			continue
		}
		if p.peek() == '~' || p.peek() == '=' {
			break
		}
		p.space()
		right, err := p.operand()
		return filterCompare{left, right, op}, err
	}
	if left.at == nil || strings.IndexByte(")]&| ", p.peek()) < 0 {
		return nil, p.errorf("filters know ==, !=, <, <=, >, >=, &&, || and !, not what stands at position %d", p.pos+1)
	}
	return filterExists{left.at}, nil
}

func (p *pathParser) operand() (filterOperand, error) {
	switch c := p.peek(); {
	case p.take("@"):
		at := &path{}
		err := p.steps(at)
		if err == nil && at.indefinite {
			err = p.errorf("a path in a filter must name one value")
		}
		return filterOperand{at: at}, err
	case c == '\'' || c == '"':
		s, err := p.quoted()
		return filterOperand{literal: s}, err
	case p.take("true"):
		return filterOperand{literal: true}, nil
	case p.take("false"):
		return filterOperand{literal: false}, nil
	case p.take("null"):
		return filterOperand{}, nil
	}
	start := p.pos
	for p.pos < len(p.text) && isNumberByte(p.text[p.pos]) {
		p.pos++
	}
	n, err := strconv.ParseFloat(p.text[start:p.pos], 64)
	if err != nil {
		return filterOperand{},
			p.errorf("a filter compares @-paths, numbers, texts, true, false and null; not what stands at position %d",
				start+1)
	}
	return filterOperand{literal: n}, nil
}
