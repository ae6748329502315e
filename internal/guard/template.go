package guard

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is a template as it is written.
type Template struct {
	Name      string // of its file
	Resources []Resource

	root *yaml.Node
	data []byte
}

// Resource is an entry of the section Resources.
type Resource struct {
	ID, Type string
	Node     *yaml.Node // the mapping below the logical id
}

// Parse reads a template. Its error is that of the YAML reader, or says that there are no resources.
func Parse(name string, data []byte) (*Template, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(document.Content) == 0 {
		return nil, fmt.Errorf("%s: is empty", name)
	}
	return newTemplate(name, data, document.Content[0])
}

func newTemplate(name string, data []byte, root *yaml.Node) (*Template, error) {
	t := &Template{Name: name, root: root, data: data}
	for _, p := range pairs(child(t.root, "Resources")) {
		t.Resources = append(t.Resources, Resource{ID: p.key, Type: show(child(p.value, "Type")), Node: p.value})
	}
	if len(t.Resources) == 0 {
		return nil, fmt.Errorf("%s: has no resources", name)
	}
	return t, nil
}

// ofType lists the resources of a type, such as AWS::IAM::Role.
func (t *Template) ofType(kind string) []Resource {
	var out []Resource
	for _, r := range t.Resources {
		if r.Type == kind {
			out = append(out, r)
		}
	}
	return out
}

// resource finds one by its logical id.
func (t *Template) resource(id string) (Resource, bool) {
	for _, r := range t.Resources {
		if r.ID == id {
			return r, true
		}
	}
	return Resource{}, false
}

// property walks from Properties to a node; nil when there is none.
func (r Resource) property(path ...string) *yaml.Node {
	return dig(child(r.Node, "Properties"), path...)
}

// pair is an entry of a mapping.
type pair struct {
	key   string
	at    *yaml.Node // the key
	value *yaml.Node
}

// pairs are the entries of a mapping, in order; none for anything else.
func pairs(n *yaml.Node) []pair {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, pair{n.Content[i].Value, n.Content[i], n.Content[i+1]})
	}
	return out
}

// child is the value under a key of a mapping; nil when there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	for _, p := range pairs(n) {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// dig is the child of a child.
func dig(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		n = child(n, key)
	}
	return n
}

// items are the entries of a list; none for anything else.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// show is what a scalar says, with references written as in Fn::Sub: !Ref X is
// ${X}, !GetAtt X.Arn is ${X.Arn}. It is "" for anything but a scalar.
func show(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	switch n.Tag {
	case "!Ref", "!GetAtt":
		return "${" + n.Value + "}"
	}
	return n.Value
}

// shown are the scalars of a list, or the one scalar that stands for a list.
func shown(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{show(n)}
	}
	var out []string
	for _, c := range items(n) {
		out = append(out, show(c))
	}
	return out
}

// walk calls visit for every node below n, n too, keys of mappings as well.
func walk(n *yaml.Node, visit func(*yaml.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, c := range n.Content {
		walk(c, visit)
	}
}

// mentions says whether a reference to name stands anywhere below n.
func mentions(n *yaml.Node, name string) bool {
	found := false
	walk(n, func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && (strings.Contains(show(n), "${"+name+"}") || strings.Contains(show(n),
			"${"+name+".")) {
			found = true
		}
	})
	return found
}
