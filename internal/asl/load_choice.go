package asl

import (
	"slices"
	"strings"
)

func (o *object) choice(s *state) {
	c := &choiceFields{}
	s.choice = c
	o.required("Choices")
	rules := o.objects("Choices")
	if len(rules) == 0 && o.has("Choices") {
		o.problem("Choices", "needs at least one rule")
	}
	c.rules = make([]choiceRule, len(rules))
	for i, r := range rules {
		c.rules[i].test = r.rule(0)
		c.rules[i].assign = r.assign()
		r.required("Next")
		r.goTo("Next", s, func(to *state) { c.rules[i].next = to })
		r.finish()
	}
	o.goTo("Default", s, func(to *state) { c.defaultState = to })
}

// rule reads the condition of one rule; the caller reports unknown fields.
func (o *object) rule(depth int) test {
	o.text("Comment")
	if depth > maxDepth {
		return testAnd{}
	}
	var found []string
	for _, f := range o.fields {
		if _, ok := findOperator(f.Key); ok || slices.Contains([]string{"And", "Or", "Not"}, f.Key) {
			found = append(found, f.Key)
		}
	}
	if len(found) != 1 {
		o.problem("", "a rule has one operator, this one has %d", len(found))
		o.node("Variable")
		for _, key := range found {
			o.node(key)
		}
		return testAnd{}
	}
	switch key := found[0]; key {
	case "And":
		return testAnd(o.nested(key, depth))
	case "Or":
		return testOr(o.nested(key, depth))
	case "Not":
		inner := o.l.object(o.node(key), o.at+"/Not")
		if inner == nil {
			return testAnd{}
		}
		defer inner.finish()
		return testNot{inner.rule(depth + 1)}
	default:
		return o.comparison(key)
	}
}

func (o *object) nested(key string, depth int) []test {
	var out []test
	inner := o.objects(key)
	if len(inner) == 0 {
		o.problem(key, "needs at least one rule")
	}
	for _, r := range inner {
		out = append(out, r.rule(depth+1))
		r.finish()
	}
	return out
}

// operator is what the name of a comparison says.
type operator struct {
	typ, op string
	path    bool
}

// findOperator reads names such as NumericLessThanEqualsPath.
func findOperator(name string) (operator, bool) {
	switch name {
	case "IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp":
		return operator{typ: name}, true
	case "StringMatches":
		return operator{typ: "StringMatches"}, true
	}
	for _, typ := range []string{"String", "Numeric", "Timestamp", "Boolean"} {
		rest, ok := strings.CutPrefix(name, typ)
		if !ok {
			continue
		}
		rest, isPath := strings.CutSuffix(rest, "Path")
		signs := map[string]string{"Equals": "==", "LessThan": "<", "GreaterThan": ">", "LessThanEquals": "<=",
			"GreaterThanEquals": ">="}
		op, ok := signs[rest]
		return operator{typ: typ, op: op, path: isPath}, ok && (typ != "Boolean" || op == "==")
	}
	return operator{}, false
}

func (o *object) comparison(key string) test {
	op, _ := findOperator(key)
	o.required("Variable")
	variable := o.one("Variable")
	if strings.HasPrefix(op.typ, "Is") {
		want, _ := o.boolean(key)
		return testIs{variable, op.typ, want}
	}
	t := testCompare{variable: variable, typ: op.typ, op: op.op}
	if op.path {
		t.other = o.one(key)
		return t
	}
	switch op.typ {
	case "Boolean":
		t.literal, _ = o.boolean(key)
	case "Numeric":
		if n := o.node(key); n != nil {
			if _, ok := n.Value.(float64); !ok {
				o.problem(key, "must be a number, is %s", describe(n.Value))
			}
			t.literal = n.Value
		}
	default:
		text, ok := o.text(key)
		if _, valid := parseTimestamp(text); ok && op.typ == "Timestamp" && !valid {
			o.problem(key, "%q is not an RFC 3339 time with a zone", text)
		}
		t.literal = text
	}
	return t
}
