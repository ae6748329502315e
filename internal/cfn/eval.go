package cfn

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// noValue is what AWS::NoValue gives: the key or list item that has it goes away.
type noValue struct{}

// eval resolves a node. It is false after a problem, which has been reported where it arose.
func (d *deployer) eval(n *node) (any, bool) {
	switch n.kind {
	case list:
		out, good := []any{}, true
		for _, item := range n.items {
			value, ok := d.eval(item)
			good = good && ok
			if _, gone := value.(noValue); !gone {
				out = append(out, value)
			}
		}
		return out, good
	case mapping:
		out, good := make(map[string]any, len(n.fields)), true
		for _, f := range n.fields {
			value, ok := d.eval(f.value)
			good = good && ok
			if _, gone := value.(noValue); !gone {
				out[f.key] = value
			}
		}
		return out, good
	case call:
		return d.call(n)
	}
	return n.value, true
}

func (d *deployer) call(n *node) (any, bool) {
	switch n.name {
	case "Ref":
		return d.ref(n.line, n.arg.text)
	case "Fn::GetAtt":
		return d.attribute(n.line, n.arg.items[0].text, n.arg.items[1].text)
	case "Fn::Sub":
		return d.sub(n)
	case "Fn::If":
		return d.eval(n.arg.items[d.pick(n)])
	case "Fn::FindInMap":
		return d.findInMap(n)
	case "Fn::Join":
		return d.join(n)
	case "Fn::Select":
		return d.choose(n)
	case "Fn::Split":
		return d.split(n)
	case "Fn::Base64":
		value, ok := d.text(n.arg)
		return base64.StdEncoding.EncodeToString([]byte(value)), ok
	case "Fn::ImportValue":
		return d.importValue(n)
	}
	d.add(n.line, "%s gives no value", n.name)
	return "", false
}

// pick is the index of the branch that an Fn::If takes.
func (d *deployer) pick(n *node) int {
	if d.condition(n.line, n.arg.items[0].text) {
		return 1
	}
	return 2
}

// text resolves a node that must come out as one text; numbers and booleans are written as CloudFormation writes them.
func (d *deployer) text(n *node) (string, bool) {
	value, ok := d.eval(n)
	if !ok {
		return "", false
	}
	out, ok := text(value)
	if !ok {
		d.add(n.line, "text is needed here, not a list, a mapping or nothing")
	}
	return out, ok
}

// text renders a scalar; it is false for everything else.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// texts resolves a node that must come out as a list of texts.
func (d *deployer) texts(n *node) ([]string, bool) {
	value, ok := d.eval(n)
	if !ok {
		return nil, false
	}
	items, ok := value.([]any)
	if !ok {
		d.add(n.line, "a list is needed here")
		return nil, false
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		one, ok := text(item)
		if !ok {
			d.add(n.line, "a list of texts is needed here")
			return nil, false
		}
		out = append(out, one)
	}
	return out, true
}

func (d *deployer) ref(line int, name string) (any, bool) {
	switch name {
	case "AWS::AccountId":
		return d.stack.Account, true
	case "AWS::Region":
		return d.stack.Region, true
	case "AWS::Partition":
		return d.stack.Partition, true
	case "AWS::StackName":
		return d.stack.Name, true
	case "AWS::StackId":
		return d.stack.ID, true
	case "AWS::URLSuffix":
		return suffix(d.stack.Partition), true
	case "AWS::NoValue":
		return noValue{}, true
	}
	if value, ok := d.values[name]; ok {
		return value, true
	}
	r := d.need(line, name)
	if r == nil {
		return "", false
	}
	return r.PhysicalID, true
}

// need makes the resource that a reference names; nil if it cannot be had.
func (d *deployer) need(line int, id string) *Resource {
	declared := d.declared[id]
	if declared == nil {
		return nil // reported when the template was loaded
	}
	if !d.exists(declared) {
		d.add(line, "%s is referred to, but its condition %s is false", id, declared.condition)
		return nil
	}
	return d.make(declared)
}

func (d *deployer) attribute(line int, id, attribute string) (any, bool) {
	r := d.need(line, id)
	if r == nil {
		return "", false
	}
	return r.Attributes[attribute], true
}

func (d *deployer) sub(n *node) (any, bool) {
	body, own := subParts(n)
	good := true
	out := variable.ReplaceAllStringFunc(body.text, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		value, ok := d.variable(n.line, name, own)
		good = good && ok
		return value
	})
	return out, good
}

// variable is the text that stands for ${name} in an Fn::Sub.
func (d *deployer) variable(line int, name string, own *node) (string, bool) {
	if value := own.get(name); value != nil {
		return d.text(value)
	}
	var value any
	ok := false
	if id, attribute, dotted := strings.Cut(name, "."); dotted {
		value, ok = d.attribute(line, id, attribute)
	} else {
		value, ok = d.ref(line, name)
	}
	if !ok {
		return "", false
	}
	out, ok := text(value)
	if !ok {
		d.add(line, "Fn::Sub: ${%s} is a list or nothing, not text", name)
	}
	return out, ok
}

func (d *deployer) findInMap(n *node) (any, bool) {
	at := d.t.mappings
	path := make([]string, 0, 3)
	for _, item := range n.arg.items {
		key, ok := d.text(item)
		if !ok {
			return "", false
		}
		path = append(path, key)
		if at = at.get(key); at == nil {
			d.add(n.line, "Fn::FindInMap: no %s", strings.Join(path, "."))
			return "", false
		}
	}
	return d.eval(at)
}

func (d *deployer) join(n *node) (any, bool) {
	if n.arg.items[0].kind != scalar {
		d.add(n.line, "Fn::Join: the delimiter must be written out")
		return "", false
	}
	parts, ok := d.texts(n.arg.items[1])
	return strings.Join(parts, n.arg.items[0].text), ok
}

func (d *deployer) choose(n *node) (any, bool) {
	index, good := d.text(n.arg.items[0])
	parts, ok := d.texts(n.arg.items[1])
	if !good || !ok {
		return "", false
	}
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(parts) {
		d.add(n.line, "Fn::Select: no element %s in a list of %d", index, len(parts))
		return "", false
	}
	return parts[i], true
}

func (d *deployer) split(n *node) (any, bool) {
	if n.arg.items[0].kind != scalar || n.arg.items[0].text == "" {
		d.add(n.line, "Fn::Split: the delimiter must be written out")
		return "", false
	}
	whole, ok := d.text(n.arg.items[1])
	out := []any{}
	for _, part := range strings.Split(whole, n.arg.items[0].text) {
		out = append(out, part)
	}
	return out, ok
}

func (d *deployer) importValue(n *node) (any, bool) {
	name, ok := d.text(n.arg)
	if !ok {
		return "", false
	}
	value, ok := d.with.Imports[name]
	if !ok {
		d.add(n.line, "Fn::ImportValue: no stack exports %s", name)
	}
	return value, ok
}

// condition judges a condition by its name, once.
func (d *deployer) condition(line int, name string) bool {
	if truth, known := d.truth[name]; known {
		return truth
	}
	if at := slices.Index(d.judging, name); at >= 0 {
		d.add(line, "circular condition: %s -> %s", strings.Join(d.judging[at:], " -> "), name)
		return false
	}
	d.judging = append(d.judging, name)
	for _, f := range d.t.conditions {
		if f.key == name {
			d.truth[name] = d.judge(f.value)
		}
	}
	d.judging = d.judging[:len(d.judging)-1]
	return d.truth[name]
}

// judge evaluates a condition function; what is none is reported.
func (d *deployer) judge(n *node) bool {
	if n.kind != call {
		d.add(n.line, "a condition function is needed here")
		return false
	}
	switch n.name {
	case "Condition":
		return d.condition(n.line, n.arg.text)
	case "Fn::Not":
		return !d.judge(n.arg.items[0])
	case "Fn::And":
		return d.count(n) == len(n.arg.items)
	case "Fn::Or":
		return d.count(n) > 0
	case "Fn::Equals":
		a, okA := d.text(n.arg.items[0])
		b, okB := d.text(n.arg.items[1])
		return okA && okB && a == b
	case "Fn::Contains":
		all, okA := d.texts(n.arg.items[0])
		one, okB := d.text(n.arg.items[1])
		return okA && okB && slices.Contains(all, one)
	case "Fn::EachMemberEquals":
		all, okA := d.texts(n.arg.items[0])
		one, okB := d.text(n.arg.items[1])
		return okA && okB && !slices.ContainsFunc(all, func(s string) bool { return s != one })
	case "Fn::EachMemberIn":
		all, okA := d.texts(n.arg.items[0])
		allowed, okB := d.texts(n.arg.items[1])
		return okA && okB && !slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(allowed, s) })
	}
	d.add(n.line, "%s gives no truth value", n.name)
	return false
}

// count judges every argument, so that all problems are found, and counts those that hold.
func (d *deployer) count(n *node) int {
	hits := 0
	for _, item := range n.arg.items {
		if d.judge(item) {
			hits++
		}
	}
	return hits
}
