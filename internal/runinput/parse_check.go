package runinput

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ec2patch/internal/words"
)

// checker compares a document with its shape and reports what differs.
type checker struct {
	found  *findings
	places map[string]string // where each field stands, by its name
	meant  map[string]bool   // paths of fields that a mistyped name stands for
	flat   bool              // the input has the form of a single wave
}

// wanted says in words what each form is.
func (f form) String() string {
	return [...]string{"text", "a whole number", "true or false", "a list", "an object", "an object"}[f]
}

// String says in words what each kind is.
func (k nodeKind) String() string {
	return [...]string{"null", "an object", "a list", "text", "a number", "a flag"}[k]
}

func (f form) takes(k nodeKind) bool {
	return k == [...]nodeKind{nodeText, nodeNumber, nodeFlag, nodeList, nodeObject, nodeObject}[f]
}

func (c checker) report(n *node, rule, message, remedy string) {
	c.found.add(n.start, Problem{Rule: rule, Path: n.path, Value: n.shown(), Message: message, Remedy: remedy})
}

// shown is the value of a plain node as JSON would write it, shortened.
func (n *node) shown() string {
	const longest = 40
	switch n.kind {
	case nodeText:
		return words.Quoted(n.text)
	case nodeNumber, nodeFlag:
		if len(n.text) > longest {
			return n.text[:longest] + "..."
		}
		return n.text
	}
	return ""
}

func (c checker) value(n *node, s shape) {
	if n.kind == nodeNull {
		c.report(n, RuleType, "is null", "leave it out, or write "+s.form.String())
		return
	}
	if !s.form.takes(n.kind) {
		c.report(n, RuleType, fmt.Sprintf("is %s where %s is due", n.kind, s.form), s.conversion(n))
		return
	}
	switch s.form {
	case formText:
		c.text(n, s)
	case formInteger:
		c.integer(n, s)
	case formList:
		c.list(n, s)
	case formObject:
		c.object(n, s)
	case formMap:
		c.entries(n, s)
	}
}

// conversion is the remedy for a value of the wrong kind.
func (s shape) conversion(n *node) string {
	switch {
	case n.kind == nodeNumber && s.remedy != "":
		return advised(s.adviseNumber, n.text, s.remedy)
	case s.remedy != "":
		return s.remedy
	case s.form == formList && n.kind == nodeText:
		return "put it into brackets: [" + words.Quoted(n.text) + "]"
	case s.form == formFlag:
		return "write true or false without quotes"
	case s.form == formText && n.kind == nodeNumber:
		return "write it in quotes"
	}
	return "write " + s.form.String()
}

func (c checker) text(n *node, s shape) {
	if s.pattern != nil && !s.pattern.MatchString(n.text) {
		c.report(n, RuleText, "is "+s.what, advised(s.advise, n.text, s.remedy))
	}
	if slices.Contains(s.reserved, n.text) {
		c.report(n, RuleText, "is reserved: each run keeps its own objects under this name",
			fmt.Sprintf("use another name, as %q", n.text+"-1"))
	}
	if len(s.options) == 0 || slices.Contains(s.options, n.text) {
		return
	}
	remedy := "write a name as \"us-east-1\""
	if len(s.options) < 10 {
		remedy = "write " + s.what
	}
	if near := Nearest(n.text, s.options); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	c.report(n, RuleText, "is not "+s.what, advised(s.advise, n.text, remedy))
}

// advised is the remedy that is made for this text, else the general one.
func advised(advise func(string) string, text, general string) string {
	if advise == nil {
		return general
	}
	return cmp.Or(advise(text), general)
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,15})$`)

func (c checker) integer(n *node, s shape) {
	if !wholeNumber.MatchString(n.text) {
		c.report(n, RuleType, "is not a whole number in plain digits", s.remedy)
		return
	}
	value, err := strconv.Atoi(n.text)
	if err != nil || value < s.min || value > s.max || n.text == "-0" {
		c.report(n, RuleRange, fmt.Sprintf("is outside %d to %d (%s)", s.min, s.max, s.what), s.remedy)
	}
}

func (c checker) list(n *node, s shape) {
	c.length(n, s, len(n.items))
	first := map[string]string{}
	for _, item := range n.items {
		c.value(item, *s.items)
		if !s.unique || item.kind != nodeText {
			continue
		}
		if path, ok := first[item.text]; ok {
			c.report(item, RuleRepeated, "stands in this list already, at "+path, "name it once")
			continue
		}
		first[item.text] = item.path
	}
}

func (c checker) length(n *node, s shape, length int) {
	switch {
	case length < s.min:
		c.report(n, RuleCount, "is empty", fmt.Sprintf("give %d to %d %s", s.min, s.max, s.what))
	case length > s.max:
		c.report(n, RuleCount, fmt.Sprintf("holds %d, more than %d %s", length, s.max, s.what), s.why)
	}
}

func (c checker) entries(n *node, s shape) {
	c.length(n, s, len(n.members))
	for _, m := range n.members {
		if !s.keys.pattern.MatchString(m.key) {
			c.found.add(m.keyStart, Problem{Rule: RuleText, Path: m.value.path, Value: words.Quoted(m.key),
				Message: "is " + s.keys.what, Remedy: s.keys.remedy})
		}
		c.value(m.value, *s.items)
	}
}

func (c checker) object(n *node, s shape) {
	for _, m := range n.members {
		at := slices.IndexFunc(s.fields, func(f field) bool { return f.name == m.key })
		if at < 0 {
			c.found.add(m.keyStart, Problem{Rule: RuleUnknown, Path: m.value.path,
				Message: "there is no field of this name", Remedy: c.instead(n, m.key, s)})
			continue
		}
		c.value(m.value, s.fields[at].shape)
	}
	for _, f := range s.fields {
		if f.required && f.only == everyForm && n.member(f.name) == nil {
			c.found.add(n.start, Problem{Rule: RuleMissing, Path: fieldPath(n.path, f.name), Message: mustBeGiven,
				Remedy: f.missing()})
		}
	}
	if len(s.oneFilled) > 0 && !slices.ContainsFunc(s.oneFilled, func(name string) bool {
		return !n.member(name).isEmpty()
	}) {
		c.found.add(n.start, Problem{Rule: RuleMissing, Path: n.path, Message: "names no account",
			Remedy: "give at least one entry in " + strings.Join(s.oneFilled, " or ")})
	}
}

// mustBeGiven is the message of the rule RuleMissing for a field.
const mustBeGiven = "must be given"

// isEmpty tells whether there is no list, or nothing in it. What is no list
// has a problem of its own.
func (n *node) isEmpty() bool {
	return n == nil || n.kind == nodeList && len(n.items) == 0
}

func (f field) missing() string {
	if f.form == formList {
		return fmt.Sprintf("give %d to %d %s", f.min, f.max, f.what)
	}
	return "give " + f.form.String()
}
