package cfn

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"ec2patch/internal/asl"
)

var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`)

// Definition returns the Definition object of a state machine of the stack, named by its logical id, with its
// DefinitionSubstitutions put in and the lines of the template. As in AWS a substitution is text put into text: a
// number stays quoted. The error is Findings: no such machine, a placeholder without substitution, a substitution
// without placeholder, a value that would break the JSON.
func (s *Stack) Definition(logicalID string) (*asl.Node, error) {
	c := &collector{file: s.file}
	machine := s.Resources[logicalID]
	if machine == nil || machine.Type != "AWS::StepFunctions::StateMachine" {
		c.add(0, "the stack has no state machine %s", logicalID)
		return nil, c.err()
	}
	body := s.declared(machine.LogicalID).properties.get("Definition")
	if body == nil || body.kind != mapping {
		c.add(machine.Line, "%s: Definition must be an object in the template", machine.LogicalID)
		return nil, c.err()
	}
	w := &definition{collector: c, used: map[string]bool{}, values: map[string]string{}}
	given, _ := machine.Properties["DefinitionSubstitutions"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(given)) {
		value, ok := text(given[key])
		if !ok || strings.ContainsAny(value, "\"\\\x00\n\r\t") {
			c.add(machine.Line, "%s: substitution %s must be text without quotes, backslashes and line breaks",
				machine.LogicalID, key)
		}
		w.values[key] = value
	}
	out := w.node(body)
	for _, key := range slices.Sorted(maps.Keys(w.values)) {
		if !w.used[key] {
			c.add(machine.Line, "%s: substitution %s is not in the Definition", machine.LogicalID, key)
		}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Stack) declared(id string) *declaration {
	for _, r := range s.template.resources {
		if r.id == id {
			return r
		}
	}
	return nil
}

// definition turns a template's nodes into nodes of the states language.
type definition struct {
	*collector
	values map[string]string
	used   map[string]bool
}

func (w *definition) node(n *node) *asl.Node {
	out := &asl.Node{Line: n.line}
	switch n.kind {
	case scalar:
		out.Value = n.value
		if s, ok := n.value.(string); ok {
			out.Value = w.fill(n.line, s)
		}
	case list:
		items := make([]*asl.Node, 0, len(n.items))
		for _, item := range n.items {
			items = append(items, w.node(item))
		}
		out.Value = items
	case mapping:
		fields := make([]asl.Field, 0, len(n.fields))
		for _, f := range n.fields {
			fields = append(fields, asl.Field{Key: w.fill(f.line, f.key), Line: f.line, Value: w.node(f.value)})
		}
		out.Value = fields
	}
	return out
}

// fill puts the substitutions into a text. Whatever else begins with ${ is refused: AWS would leave it as it is.
func (w *definition) fill(line int, s string) string {
	if strings.Count(s, "${") != len(substitution.FindAllString(s, -1)) {
		w.add(line, "%q: ${ that is no placeholder", s)
	}
	return substitution.ReplaceAllStringFunc(s, func(match string) string {
		key := match[2 : len(match)-1]
		value, ok := w.values[key]
		if !ok {
			w.add(line, "%s has no substitution", match)
		}
		w.used[key] = true
		return value
	})
}
