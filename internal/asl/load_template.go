package asl

import (
	"fmt"
	"slices"
	"strings"
)

// objectTemplate reads a payload template, which is an object.
func (o *object) objectTemplate(key string) *template {
	n := o.node(key)
	if n == nil {
		return nil
	}
	if _, ok := n.Value.([]Field); !ok {
		o.problem(key, "must be an object, is %s", describe(n.Value))
		return nil
	}
	return o.l.template(n, o.at+"/"+key, 0)
}

// constant reads JSON in which ".$" has no meaning.
func constant(n *Node, depth int) any {
	if n == nil || depth > maxDepth {
		return nil
	}
	switch v := n.Value.(type) {
	case []*Node:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = constant(item, depth+1)
		}
		return out
	case []Field:
		out := make(map[string]any, len(v))
		for _, f := range v {
			out[f.Key] = constant(f.Value, depth+1)
		}
		return out
	}
	return n.Value
}

func (l *loader) template(n *Node, at string, depth int) *template {
	if n == nil || depth > maxDepth {
		return &template{}
	}
	switch v := n.Value.(type) {
	case []*Node:
		return l.arrayTemplate(n, v, at, depth)
	case []Field:
		return l.fieldsTemplate(n, v, at, depth)
	}
	return &template{value: n.Value}
}

func (l *loader) arrayTemplate(n *Node, items []*Node, at string, depth int) *template {
	t := &template{}
	for i, item := range items {
		inner := l.template(item, fmt.Sprintf("%s/%d", at, i), depth+1)
		t.items = append(t.items, inner)
		t.dynamic = t.dynamic || inner.dynamic
	}
	if !t.dynamic {
		return &template{value: constant(n, 0)}
	}
	return t
}

func (l *loader) fieldsTemplate(n *Node, fields []Field, at string, depth int) *template {
	t := &template{}
	seen := map[string]bool{}
	for _, f := range fields {
		key, computed := strings.CutSuffix(f.Key, ".$")
		where := at + "/" + f.Key
		if seen[key] {
			l.problem(f.Line, where, "the key %q is given twice", key)
		}
		seen[key] = true
		inner := &template{}
		if computed {
			inner = l.computed(f, where)
		} else {
			inner = l.template(f.Value, where, depth+1)
		}
		t.fields = append(t.fields, templateField{key, inner})
		t.dynamic = t.dynamic || inner.dynamic
	}
	if !t.dynamic {
		return &template{value: constant(n, 0)}
	}
	return t
}

func (l *loader) computed(f Field, at string) *template {
	t := &template{dynamic: true, expr: literalExpr{}}
	if f.Value == nil || f.Value.Value == nil {
		return t
	}
	text, ok := f.Value.Value.(string)
	if !ok {
		l.problem(f.Line, at, "a key that ends in .$ needs a path or an intrinsic function, not %s",
			describe(f.Value.Value))
		return t
	}
	if e := l.expr(f.Line, at, text); e != nil {
		t.expr = e
	}
	return t
}

func (l *loader) expr(line int, at, text string) expr {
	e, err := parseExpr(text)
	if err != nil {
		l.problem(line, at, "%v", err)
		return nil
	}
	references(e, func(p *path) { l.checkPath(line, at, p) })
	return e
}

// checkPath knows the fields of the context object; variables are checked when all scopes are known.
func (l *loader) checkPath(line int, at string, p *path) {
	switch p.root {
	case rootVariable:
		l.reads = append(l.reads, variableUse{line, at, p.variable, l.scope})
	case rootContext:
		if len(p.steps) == 0 || p.steps[0].kind != stepNames {
			return
		}
		first := p.steps[0].names[0]
		if !slices.Contains([]string{"Execution", "State", "StateMachine", "Task", "Map"}, first) {
			l.problem(line, at, "the context object has no field %s", first)
		}
		if first == "Task" {
			l.tokenUses = append(l.tokenUses, tokenUse{line, at})
		}
	}
}

type tokenUse struct {
	line int
	at   string
}

// varScope is a stretch of a machine that shares variables: the machine, an iteration, a branch. A processor of a
// distributed map has no parent: its children do not see the variables of the machine around them.
type varScope struct {
	parent   *varScope
	assigned map[string]bool
}

type variableUse struct {
	line  int
	at    string
	name  string
	scope *varScope
}

// assign reads an Assign field and notes the names that it sets.
func (o *object) assign() *template {
	n := o.node("Assign")
	if n == nil {
		return nil
	}
	fields, ok := n.Value.([]Field)
	if !ok {
		o.problem("Assign", "must be an object, is %s", describe(n.Value))
		return nil
	}
	for _, f := range fields {
		name := strings.TrimSuffix(f.Key, ".$")
		if !validVariable(name) {
			o.l.problem(f.Line, o.at+"/Assign/"+f.Key, "%q is no name for a variable", name)
			continue
		}
		o.l.scope.assigned[name] = true
		o.l.writes = append(o.l.writes, variableUse{f.Line, o.at + "/Assign/" + f.Key, name, o.l.scope})
	}
	return o.l.template(n, o.at+"/Assign", 0)
}

func validVariable(name string) bool {
	if name == "" || len(name) > maxStateName || name == "states" || !isNameStart(name[0]) {
		return false
	}
	p := &pathParser{text: name}
	return p.name() == name && !strings.Contains(name, "-")
}

// variables reports names that are read and never assigned in reach, and inner assignments that would hide outer ones.
func (l *loader) variables() {
	for _, r := range l.reads {
		if !r.scope.reaches(r.name) {
			l.problem(r.line, r.at, "variable $%s is assigned nowhere in its scope", r.name)
		}
	}
	for _, w := range l.writes {
		if w.scope.parent.reaches(w.name) {
			l.problem(w.line, w.at, "variable $%s is assigned in an outer scope, which inner ones can only read",
				w.name)
		}
	}
}

func (s *varScope) reaches(name string) bool {
	for ; s != nil; s = s.parent {
		if s.assigned[name] {
			return true
		}
	}
	return false
}
