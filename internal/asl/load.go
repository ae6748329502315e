package asl

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Limits of a definition. Source: Step Functions quotas and Developer Guide, read 2026-11.
const (
	maxStateName = 80
	maxSeconds   = 99_999_999
	maxDelay     = 31_622_400
)

// Problem is one reason why a definition is refused.
type Problem struct {
	Line    int
	Path    string // such as /Waves/ItemProcessor/SendCommand/Retry/0
	Message string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Message) }

// Problems is the error of Load: everything that is wrong, by line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Load checks a definition and prepares it to run. Whatever AWS would refuse, and whatever this package does not
// run exactly as AWS does, is a problem; the error is of type Problems and lists all of them.
func Load(root *Node) (*Machine, error) {
	l := &loader{names: map[string]int{}, labels: map[string]int{}}
	m := &Machine{}
	if root == nil {
		return nil, Problems{{Path: "/", Message: "there is no definition"}}
	}
	l.values(root, "/", 0)
	if l.tooDeep {
		return nil, l.problems // the readers below do not count levels
	}
	if o := l.object(root, ""); o != nil {
		l.machine(o, m)
	}
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, l.problems
	}
	return m, nil
}

type loader struct {
	problems Problems
	tooDeep  bool           // some value is nested deeper than the readers go
	names    map[string]int // line of every state name seen
	labels   map[string]int // line of every label of a distributed map
	states   []*state

	scope         *varScope // of the states being read
	links         []link    // transitions of the scope being read
	dangling      []link
	reads, writes []variableUse
	tokenUses     []tokenUse
}

func (l *loader) problem(line int, at, format string, args ...any) {
	if at == "" {
		at = "/"
	}
	l.problems = append(l.problems, Problem{Line: line, Path: at, Message: fmt.Sprintf(format, args...)})
}

// values refuses what no definition may hold anywhere: null, as CloudFormation does in a Definition object, numbers
// that JSON does not know, and values deeper than the readers below go.
func (l *loader) values(n *Node, at string, depth int) {
	if n == nil {
		return
	}
	if depth > maxDepth {
		l.tooDeep = true
		l.problem(n.Line, at, "nested deeper than %d levels", maxDepth)
		return
	}
	switch v := n.Value.(type) {
	case nil:
		l.problem(n.Line, at, "null is not allowed in a definition")
	case bool, string:
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			l.problem(n.Line, at, "%v is no number of JSON", v)
		}
	case []*Node:
		for i, item := range v {
			l.values(item, fmt.Sprintf("%s/%d", strings.TrimSuffix(at, "/"), i), depth+1)
		}
	case []Field:
		for _, f := range v {
			inner := strings.TrimSuffix(at, "/")
			if f.Key != "States" { // paths name states without the level between
				inner += "/" + f.Key
			}
			l.values(f.Value, inner, depth+1)
		}
	default:
		l.problem(n.Line, at, "a value of type %T is no JSON", v)
	}
}

func (l *loader) machine(o *object, m *Machine) {
	o.text("Comment")
	o.queryLanguage()
	if v, ok := o.text("Version"); ok && v != "1.0" {
		o.problem("Version", "must be 1.0")
	}
	if n, ok := o.whole("TimeoutSeconds", 1, maxSeconds); ok {
		m.timeout = time.Duration(n) * time.Second
	}
	m.flow = l.flow(o, nil)
	o.finish()
	l.variables()
	l.reportDangling()
	m.states = l.states
}

// object reads the fields of one object and reports those that nobody asked for.
type object struct {
	l      *loader
	at     string
	line   int
	fields []Field
	used   map[string]bool
}

func (l *loader) object(n *Node, at string) *object {
	if n == nil {
		return nil
	}
	fields, ok := n.Value.([]Field)
	if !ok {
		if n.Value != nil { // null is reported already
			l.problem(n.Line, at, "must be an object, is %s", describe(n.Value))
		}
		return nil
	}
	o := &object{l: l, at: at, line: n.Line, fields: fields, used: map[string]bool{}}
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Key] {
			l.problem(f.Line, at+"/"+f.Key, "the key stands here twice")
		}
		seen[f.Key] = true
	}
	return o
}

func describe(v any) string {
	switch v := v.(type) {
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case float64:
		return "the number " + string(encode(v))
	case string:
		return fmt.Sprintf("the text %q", v)
	case []*Node:
		return "an array"
	case []Field:
		return "an object"
	}
	return "null"
}

func (o *object) has(key string) bool {
	return slices.ContainsFunc(o.fields, func(f Field) bool { return f.Key == key })
}

func (o *object) lineOf(key string) int {
	for _, f := range o.fields {
		if f.Key == key {
			return f.Line
		}
	}
	return o.line
}

func (o *object) problem(key, format string, args ...any) {
	at := o.at
	if key != "" {
		at += "/" + key
	}
	o.l.problem(o.lineOf(key), at, format, args...)
}

// node returns a field's value and marks it as read; nil when absent or null.
func (o *object) node(key string) *Node {
	for _, f := range o.fields {
		if f.Key == key {
			o.used[key] = true
			if f.Value == nil || f.Value.Value == nil {
				return nil
			}
			return f.Value
		}
	}
	return nil
}

// required is node, with a problem when the field is absent.
func (o *object) required(key string) *Node {
	n := o.node(key)
	if n == nil && !o.has(key) {
		o.problem("", "%s is missing", key)
	}
	return n
}

func (o *object) text(key string) (string, bool) {
	n := o.node(key)
	if n == nil {
		return "", false
	}
	s, ok := n.Value.(string)
	if !ok {
		o.problem(key, "must be a text, is %s", describe(n.Value))
	}
	return s, ok
}

func (o *object) boolean(key string) (value, ok bool) {
	n := o.node(key)
	if n == nil {
		return false, false
	}
	value, ok = n.Value.(bool)
	if !ok {
		o.problem(key, "must be true or false, is %s", describe(n.Value))
	}
	return value, ok
}

func (o *object) number(key string, low, high float64) (float64, bool) {
	n := o.node(key)
	if n == nil {
		return 0, false
	}
	f, ok := n.Value.(float64)
	if !ok {
		o.problem(key, "must be a number, is %s", describe(n.Value))
		return 0, false
	}
	if f < low || f > high {
		o.problem(key, "must be between %s and %s, is %s", encode(low), encode(high), encode(f))
		return 0, false
	}
	return f, true
}

func (o *object) whole(key string, low, high float64) (float64, bool) {
	f, ok := o.number(key, low, high)
	if ok && f != math.Trunc(f) {
		o.problem(key, "must be a whole number, is %s", encode(f))
		return 0, false
	}
	return f, ok
}

// either reads key as a whole number, or key+"Path" as a path; not both.
func (o *object) either(key string, low, high float64) number {
	var n number
	if f, ok := o.number(key, low, high); ok {
		if f != math.Trunc(f) && key != "ToleratedFailurePercentage" {
			o.problem(key, "must be a whole number, is %s", encode(f))
		}
		n = number{value: f, set: true}
	}
	if p := o.one(key + "Path"); p != nil {
		n = number{at: p, set: true}
	}
	if o.has(key) && o.has(key+"Path") {
		o.problem(key+"Path", "stands beside %s: only one of them is allowed", key)
	}
	return n
}

func (o *object) path(key string) *path {
	s, ok := o.text(key)
	if !ok {
		return nil
	}
	p, err := parsePath(s)
	if err != nil {
		o.problem(key, "%v", err)
		return nil
	}
	o.l.checkPath(o.lineOf(key), o.at+"/"+key, p)
	return p
}

// one is path for fields that must name a single value.
func (o *object) one(key string) *path {
	p := o.path(key)
	if p != nil && p.indefinite {
		o.problem(key, "path %q must name one value, not a list", p.text)
		return nil
	}
	return p
}

func (o *object) texts(key string) []string {
	n := o.required(key)
	if n == nil {
		return nil
	}
	items, ok := n.Value.([]*Node)
	if !ok || len(items) == 0 {
		o.problem(key, "must be an array with at least one text")
		return nil
	}
	var out []string
	for _, item := range items {
		s, ok := item.Value.(string)
		if !ok {
			o.l.problem(item.Line, o.at+"/"+key, "must be a text, is %s", describe(item.Value))
			continue
		}
		out = append(out, s)
	}
	return out
}

// objects reads an array of objects.
func (o *object) objects(key string) []*object {
	n := o.node(key)
	if n == nil {
		return nil
	}
	items, ok := n.Value.([]*Node)
	if !ok {
		o.problem(key, "must be an array, is %s", describe(n.Value))
		return nil
	}
	var out []*object
	for i, item := range items {
		if inner := o.l.object(item, fmt.Sprintf("%s/%s/%d", o.at, key, i)); inner != nil {
			out = append(out, inner)
		}
	}
	return out
}

func (o *object) queryLanguage() {
	if q, ok := o.text("QueryLanguage"); ok && q != "JSONPath" {
		o.problem("QueryLanguage", "%s is not supported, only JSONPath", q)
	}
}

// unsupported refuses fields that AWS knows and this package does not run.
func (o *object) unsupported(why string, keys ...string) {
	for _, key := range keys {
		if o.has(key) {
			o.used[key] = true
			o.problem(key, "%s", why)
		}
	}
}

// finish reports fields that nobody read.
func (o *object) finish() {
	for _, f := range o.fields {
		if !o.used[f.Key] {
			o.used[f.Key] = true
			o.l.problem(f.Line, o.at+"/"+f.Key, "unknown field %q here", f.Key)
		}
	}
}
