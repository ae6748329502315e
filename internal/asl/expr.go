package asl

import (
	"fmt"
	"strconv"
	"strings"
)

// maxNesting bounds nested intrinsics. Source: Developer Guide, "Intrinsic functions", limit of 10 (unconfirmed).
const maxNesting = 10

// expr is the value of a template key that ends in ".$": a path or an intrinsic function.
type expr interface {
	eval(s *scope) (any, *fault)
}

// scope is what expressions see.
type scope struct {
	input   any                   // $
	context func() map[string]any // $$
	vars    *variables            // $name
	host    Host
}

type literalExpr struct{ value any }

func (e literalExpr) eval(*scope) (any, *fault) { return e.value, nil }

func (p *path) eval(s *scope) (any, *fault) {
	root := s.input
	switch p.root {
	case rootContext:
		root = s.context()
	case rootVariable:
		v, ok := s.vars.get(p.variable)
		if !ok {
			return nil, runtimeFault("variable $%s has no value", p.variable)
		}
		root = v
	}
	v, ok := p.find(root)
	if !ok {
		return nil, runtimeFault("path '%s' names nothing in its input", p.text)
	}
	return v, nil
}

// parseExpr reads the text of a ".$" key.
func parseExpr(text string) (expr, error) {
	p := &pathParser{text: text}
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if p.pos != len(text) {
		return nil, fmt.Errorf("%q: unexpected %q", text, text[p.pos:])
	}
	return e, nil
}

func (p *pathParser) expr(depth int) (expr, error) {
	if p.peek() == '$' {
		return p.path()
	}
	if strings.HasPrefix(p.text[p.pos:], "States.") {
		return p.call(depth)
	}
	return nil, p.errorf("must be a path ($...) or an intrinsic function (States...)")
}

func (p *pathParser) call(depth int) (expr, error) {
	if depth >= maxNesting {
		return nil, p.errorf("intrinsic functions nested deeper than %d levels", maxNesting)
	}
	p.take("States.")
	name := p.name()
	f, ok := findIntrinsic(name)
	if !ok {
		return nil, p.errorf("unknown intrinsic function States.%s", name)
	}
	if !p.take("(") {
		return nil, p.errorf("States.%s needs its arguments in parentheses", name)
	}
	args, err := p.arguments(depth)
	if err != nil {
		return nil, err
	}
	c := &callExpr{name: name, run: f.run, args: args}
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		return nil, p.errorf("States.%s takes %s, not %d", name, f.arity(), len(args))
	}
	if f.check != nil {
		if err := f.check(args); err != nil {
			return nil, p.errorf("States.%s: %v", name, err)
		}
	}
	return c, nil
}

func (p *pathParser) arguments(depth int) ([]expr, error) {
	var args []expr
	if p.space(); p.take(")") {
		return nil, nil
	}
	for {
		p.space()
		a, err := p.argument(depth)
		if err != nil {
			return nil, err
		}
		args = append(args, a)
		p.space()
		if p.take(")") {
			return args, nil
		}
		if !p.take(",") {
			return nil, p.errorf("a comma or a closing parenthesis is due at position %d", p.pos+1)
		}
	}
}

func (p *pathParser) argument(depth int) (expr, error) {
	switch c := p.peek(); {
	case c == '\'':
		return p.singleQuoted()
	case c == '"':
		return nil, p.errorf("texts in intrinsic functions stand in single quotes, not double ones")
	case isNumberByte(c) && c != 'e' && c != 'E':
		start := p.pos
		for p.pos < len(p.text) && isNumberByte(p.text[p.pos]) {
			p.pos++
		}
		n, err := strconv.ParseFloat(p.text[start:p.pos], 64)
		if err != nil {
			return nil, p.errorf("bad number %q", p.text[start:p.pos])
		}
		return literalExpr{n}, nil
	case p.take("true"):
		return literalExpr{true}, nil
	case p.take("false"):
		return literalExpr{false}, nil
	case p.take("null"):
		return literalExpr{}, nil
	}
	return p.expr(depth + 1)
}

// formatText is a literal argument that may hold {} places; escaped braces are kept apart from them.
type formatText struct {
	text  string   // with escapes resolved
	parts []string // text around the places
}

func (e *formatText) eval(*scope) (any, *fault) { return e.text, nil }

// singleQuoted reads a literal text. The characters ' { } and \ are written with a backslash; braces without
// one are places for States.Format.
func (p *pathParser) singleQuoted() (expr, error) {
	out := &formatText{}
	var whole, part strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == '\'' {
			p.pos++
			out.text, out.parts = whole.String(), append(out.parts, part.String())
			return out, nil
		}
		if strings.HasPrefix(p.text[p.pos:], "{}") {
			whole.WriteString("{}")
			out.parts = append(out.parts, part.String())
			part.Reset()
			p.pos++
			continue
		}
		if c == '\\' && p.pos+1 < len(p.text) && strings.IndexByte(`'{}\`, p.text[p.pos+1]) >= 0 {
			p.pos++
			c = p.text[p.pos]
		}
		whole.WriteByte(c)
		part.WriteByte(c)
	}
	return nil, p.errorf("a quote without its end")
}

type callExpr struct {
	name string
	run  func(s *scope, args []any) (any, error)
	args []expr
}

func (e *callExpr) eval(s *scope) (any, *fault) {
	args := make([]any, len(e.args))
	for i, a := range e.args {
		if t, ok := a.(*formatText); ok && e.name == "Format" && i == 0 {
			args[i] = t
			continue
		}
		v, f := a.eval(s)
		if f != nil {
			return nil, f
		}
		args[i] = v
	}
	v, err := e.run(s, args)
	if err != nil {
		return nil, faultf(errIntrinsic, "States.%s: %v", e.name, err)
	}
	return v, nil
}

// references calls visit for every path below e.
func references(e expr, visit func(*path)) {
	switch e := e.(type) {
	case *path:
		visit(e)
	case *callExpr:
		for _, a := range e.args {
			references(a, visit)
		}
	}
}
