package asl

import "maps"

// template is a payload template: JSON in which keys ending in ".$" take the value of an expression.
type template struct {
	value   any // the whole value, when nothing in it is computed
	fields  []templateField
	items   []*template
	expr    expr
	dynamic bool
}

type templateField struct {
	key   string
	value *template
}

func (t *template) eval(s *scope) (any, *fault) {
	switch {
	case !t.dynamic:
		return t.value, nil
	case t.expr != nil:
		return t.expr.eval(s)
	case t.items != nil:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			v, f := item.eval(s)
			if f != nil {
				return nil, f
			}
			out[i] = v
		}
		return out, nil
	}
	out := make(map[string]any, len(t.fields))
	for i := range t.fields {
		v, f := t.fields[i].value.eval(s)
		if f != nil {
			return nil, f
		}
		out[t.fields[i].key] = v
	}
	return out, nil
}

// place puts v into input as ResultPath says. Objects on the way are copied, missing ones are made.
func (p *path) place(input, v any) (any, *fault) {
	out, ok := placeSteps(p.steps, input, v)
	if !ok {
		return nil, faultf(errResultPath, "ResultPath '%s' cannot be applied to the input", p.text)
	}
	return out, nil
}

func placeSteps(steps []step, at, v any) (any, bool) {
	if len(steps) == 0 {
		return v, true
	}
	s := &steps[0]
	if s.kind == stepIndexes {
		return placeIndex(steps, at, v)
	}
	m, ok := at.(map[string]any)
	if !ok {
		return nil, false
	}
	name := s.names[0]
	inner, exists := m[name]
	if !exists && len(steps) > 1 {
		inner = map[string]any{}
	}
	placed, ok := placeSteps(steps[1:], inner, v)
	if !ok {
		return nil, false
	}
	out := make(map[string]any, len(m)+1)
	maps.Copy(out, m)
	out[name] = placed
	return out, true
}

func placeIndex(steps []step, at, v any) (any, bool) {
	list, ok := at.([]any)
	n := steps[0].indexes[0]
	if !ok || n < 0 || n >= len(list) {
		return nil, false
	}
	placed, ok := placeSteps(steps[1:], list[n], v)
	if !ok {
		return nil, false
	}
	out := append([]any(nil), list...)
	out[n] = placed
	return out, true
}

// variables are those of one scope: the execution, or one iteration or branch, which reads its parents' too.
type variables struct {
	parent *variables
	values map[string]any
}

func (v *variables) get(name string) (any, bool) {
	for ; v != nil; v = v.parent {
		if x, ok := v.values[name]; ok {
			return x, true
		}
	}
	return nil, false
}

func (v *variables) set(values map[string]any) {
	if v.values == nil {
		v.values = make(map[string]any, len(values))
	}
	maps.Copy(v.values, values)
}
