package asl

import (
	"strings"
	"time"
)

// test is the condition of a choice rule.
type test interface {
	holds(s *scope) (bool, *fault)
}

type (
	testAnd []test
	testOr  []test
	testNot struct{ of test }
	// testIs asks for the type of a value.
	testIs struct {
		variable *path
		kind     string
		want     bool
	}
	// testCompare compares a value with a literal, or with what another path names.
	testCompare struct {
		variable *path
		typ      string // String, Numeric, Timestamp, Boolean, StringMatches
		op       string // "==" and so on
		literal  any
		other    *path
	}
)

func (t testAnd) holds(s *scope) (bool, *fault) {
	for _, inner := range t {
		if ok, f := inner.holds(s); !ok || f != nil {
			return false, f
		}
	}
	return true, nil
}

func (t testOr) holds(s *scope) (bool, *fault) {
	for _, inner := range t {
		if ok, f := inner.holds(s); ok || f != nil {
			return ok && f == nil, f
		}
	}
	return false, nil
}

func (t testNot) holds(s *scope) (bool, *fault) {
	ok, f := t.of.holds(s)
	return !ok && f == nil, f
}

func (t testIs) holds(s *scope) (bool, *fault) {
	v, f := t.variable.eval(s)
	if t.kind == "IsPresent" {
		return (f == nil) == t.want, nil
	}
	if f != nil {
		return false, f
	}
	return isKind(t.kind, v) == t.want, nil
}

func isKind(kind string, v any) bool {
	switch v := v.(type) {
	case nil:
		return kind == "IsNull"
	case bool:
		return kind == "IsBoolean"
	case float64:
		return kind == "IsNumeric"
	case string:
		if kind == "IsTimestamp" {
			_, ok := parseTimestamp(v)
			return ok
		}
		return kind == "IsString"
	}
	return false
}

// holds: a value of another type than the operator's is simply not equal; a path that names nothing is an error.
func (t testCompare) holds(s *scope) (bool, *fault) {
	v, f := t.variable.eval(s)
	if f != nil {
		return false, f
	}
	w := t.literal
	if t.other != nil {
		if w, f = t.other.eval(s); f != nil {
			return false, f
		}
	}
	return t.compare(v, w), nil
}

func (t testCompare) compare(v, w any) bool {
	switch t.typ {
	case "Boolean":
		a, okA := v.(bool)
		b, okB := w.(bool)
		return okA && okB && a == b
	case "Numeric":
		a, okA := v.(float64)
		b, okB := w.(float64)
		return okA && okB && signMatches(t.op, compareOrdered(a, b))
	}
	a, okA := v.(string)
	b, okB := w.(string)
	if !okA || !okB {
		return false
	}
	switch t.typ {
	case "Timestamp":
		at, okA := parseTimestamp(a)
		bt, okB := parseTimestamp(b)
		return okA && okB && signMatches(t.op, at.Compare(bt))
	case "StringMatches":
		return wildcardMatch(splitPattern(b), a)
	}
	return signMatches(t.op, strings.Compare(a, b))
}

func signMatches(op string, sign int) bool {
	if op == "==" {
		return sign == 0
	}
	return ordered(op, sign)
}

// parseTimestamp wants RFC 3339 with a capital T and a zone, as the language does.
func parseTimestamp(s string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339Nano, s)
	return at, err == nil
}

// splitPattern cuts a StringMatches pattern at its stars; \* and \\ stand for themselves.
func splitPattern(pattern string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c == '*' {
			parts = append(parts, b.String())
			b.Reset()
			continue
		}
		if c == '\\' && i+1 < len(pattern) && (pattern[i+1] == '*' || pattern[i+1] == '\\') {
			i++
			c = pattern[i]
		}
		b.WriteByte(c)
	}
	return append(parts, b.String())
}

func wildcardMatch(parts []string, s string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[last])
}
