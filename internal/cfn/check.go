package cfn

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// pseudo has the parameters that every template may use without declaring them.
var pseudo = []string{"AWS::AccountId", "AWS::NoValue", "AWS::Partition", "AWS::Region", "AWS::StackId",
	"AWS::StackName", "AWS::URLSuffix"}

// checker looks at every reference of a template, on every branch of every Fn::If.
type checker struct {
	*collector
	t          *Template
	parameters []string
	resources  map[string]string // logical id -> type
	conditions []string
	used       map[string]bool // conditions
}

func (c *checker) check() {
	c.resources, c.used = map[string]string{}, map[string]bool{}
	for _, p := range c.t.parameters {
		c.parameters = append(c.parameters, p.name)
	}
	for _, r := range c.t.resources {
		if slices.Contains(c.parameters, r.id) {
			c.add(r.line, "%s is a parameter already", r.id)
		}
		c.resources[r.id] = r.kind
	}
	for _, f := range c.t.conditions {
		c.conditions = append(c.conditions, f.key)
	}
	for _, r := range c.t.rules {
		c.references(r.condition, false)
		for _, a := range r.assertions {
			c.references(a.assert, false)
		}
	}
	for _, f := range c.t.conditions {
		c.references(f.value, false)
	}
	for _, r := range c.t.resources {
		c.resource(r)
	}
	for _, o := range c.t.outputs {
		c.condition(o.line, o.condition)
		c.references(o.value, true)
		c.references(o.export, true)
	}
	for _, f := range c.t.conditions {
		if !c.used[f.key] {
			c.add(f.line, "condition %s is never used", f.key)
		}
	}
}

func (c *checker) resource(r *declaration) {
	c.condition(r.line, r.condition)
	for _, id := range r.dependsOn {
		if c.resources[id] == "" {
			c.add(r.line, "%s: DependsOn names %s, which is no resource", r.id, id)
		}
	}
	c.references(r.properties, true)
	if r.kind == "AWS::StepFunctions::StateMachine" {
		c.noCalls(r.properties.get("Definition"))
	}
}

// noCalls keeps a Definition free of intrinsics: what it needs comes by DefinitionSubstitutions, so that the machine
// reads the same in the template and when it runs.
func (c *checker) noCalls(n *node) {
	if n == nil {
		return
	}
	if n.kind == call {
		c.add(n.line, "%s inside Definition: use DefinitionSubstitutions", n.name)
		return
	}
	for _, child := range n.children() {
		c.noCalls(child)
	}
}

func (n *node) children() []*node {
	out := slices.Clone(n.items)
	for _, f := range n.fields {
		out = append(out, f.value)
	}
	if n.arg != nil {
		out = append(out, n.arg)
	}
	return out
}

func (c *checker) condition(line int, name string) {
	if name == "" {
		return
	}
	c.used[name] = true
	if !slices.Contains(c.conditions, name) {
		c.add(line, "condition %s is not in the template", name)
	}
}

// named checks the condition that a function names; the name must be written out.
func (c *checker) named(line int, n *node) {
	if n.text == "" {
		c.add(line, "the name of a condition must be written out")
	}
	c.condition(line, n.text)
}

// references checks the calls below a node; resources tells whether they may name resources.
func (c *checker) references(n *node, resources bool) {
	if n == nil {
		return
	}
	if n.kind == call {
		c.call(n, resources)
	}
	for _, child := range n.children() {
		c.references(child, resources)
	}
}

// arguments is how many a function takes as a list, at least and at most. Functions that are not in it take one value.
var arguments = map[string][2]int{
	"Fn::GetAtt": {2, 2}, "Fn::If": {3, 3}, "Fn::FindInMap": {3, 3}, "Fn::Join": {2, 2}, "Fn::Select": {2, 2},
	"Fn::Split":  {2, 2},
	"Fn::Equals": {2, 2}, "Fn::And": {2, 10}, "Fn::Or": {2, 10}, "Fn::Not": {1, 1},
	"Fn::Contains": {2, 2}, "Fn::EachMemberEquals": {2, 2}, "Fn::EachMemberIn": {2, 2},
}

func (c *checker) call(n *node, resources bool) {
	if bounds, ok := arguments[n.name]; ok {
		if n.arg.kind != list || len(n.arg.items) < bounds[0] || len(n.arg.items) > bounds[1] {
			c.add(n.line, "%s takes a list of %d to %d arguments", n.name, bounds[0], bounds[1])
			n.arg = &node{line: n.line, kind: list}
			return
		}
	}
	switch n.name {
	case "Ref":
		c.ref(n.line, n.arg.text, resources)
	case "Condition":
		c.named(n.line, n.arg)
	case "Fn::If":
		c.named(n.line, n.arg.items[0])
	case "Fn::GetAtt":
		c.attribute(n.line, n.arg.items[0].text, n.arg.items[1].text)
	case "Fn::FindInMap":
		if table := n.arg.items[0]; table.kind == scalar && c.t.mappings.get(table.text) == nil {
			c.add(n.line, "mapping %s is not in the template", table.text)
		}
	case "Fn::Sub":
		c.sub(n, resources)
	}
}

func (c *checker) ref(line int, name string, resources bool) {
	switch {
	case slices.Contains(c.parameters, name), slices.Contains(pseudo, name):
	case c.resources[name] != "" && resources:
	case c.resources[name] != "":
		c.add(line, "Ref %s: conditions and rules may refer to parameters only", name)
	default:
		c.add(line, "Ref %s: neither a parameter nor a resource", name)
	}
}

func (c *checker) attribute(line int, id, attribute string) {
	kind, ok := c.resources[id]
	if !ok {
		c.add(line, "GetAtt %s: no such resource", id)
		return
	}
	known := types[kind].attributes
	if _, ok := known[attribute]; !ok {
		c.add(line, "GetAtt %s: %s has no attribute %q (known: %s)", id, kind, attribute,
			strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
}

var (
	variable     = regexp.MustCompile(`\$\{([^}]*)\}`)
	variableName = regexp.MustCompile(`^[A-Za-z0-9]+(::[A-Za-z0-9]+)?(\.[A-Za-z0-9.]+)?$`)
)

func (c *checker) sub(n *node, resources bool) {
	text, own := subParts(n)
	if text == nil {
		c.add(n.line, "Fn::Sub takes text, or a list of text and a mapping")
		n.arg = &node{line: n.line, value: ""}
		return
	}
	if strings.Count(text.text, "${") != len(variable.FindAllString(text.text, -1)) {
		c.add(n.line, "Fn::Sub: ${ without its }")
	}
	seen := map[string]bool{}
	for _, m := range variable.FindAllStringSubmatch(text.text, -1) {
		name := m[1]
		seen[name] = true
		switch {
		case strings.HasPrefix(name, "!"), own.get(name) != nil:
		case !variableName.MatchString(name):
			c.add(n.line, "Fn::Sub: ${%s} is no name", name)
		case strings.Contains(name, "."):
			id, attribute, _ := strings.Cut(name, ".")
			if !resources {
				c.add(n.line, "Fn::Sub: ${%s}: conditions and rules may refer to parameters only", name)
			}
			c.attribute(n.line, id, attribute)
		default:
			c.ref(n.line, name, resources)
		}
	}
	if own != nil {
		for _, f := range own.fields {
			if !seen[f.key] {
				c.add(f.line, "Fn::Sub: %s is not in the text", f.key)
			}
		}
	}
}

// subParts splits both forms of Fn::Sub; the text is nil when it is neither.
func subParts(n *node) (text, own *node) {
	switch arg := n.arg; {
	case arg.kind == scalar:
		return arg, nil
	case arg.kind == list && len(arg.items) == 2 && arg.items[0].kind == scalar && arg.items[1].kind == mapping:
		return arg.items[0], arg.items[1]
	}
	return nil, nil
}
