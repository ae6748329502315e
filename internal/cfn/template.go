package cfn

import (
	"regexp"
	"slices"
	"strings"
)

// Limits of a template. Source: CloudFormation quotas, read 2026-11.
const (
	maxParameters  = 200
	maxResources   = 500
	maxOutputs     = 200
	maxDescription = 1024
)

// Template is a checked template that has not been deployed. It is never written to.
type Template struct {
	Description string

	file       string
	parameters []*parameter
	rules      []rule
	mappings   *node
	conditions []field
	resources  []*declaration
	outputs    []output
}

// Takes says whether the template has a parameter of that name.
func (t *Template) Takes(name string) bool {
	return slices.ContainsFunc(t.parameters, func(p *parameter) bool { return p.name == name })
}

// declaration is a resource as the template has it.
type declaration struct {
	id, kind  string
	line      int
	condition string
	dependsOn []string
	deletion  string
	replace   string
	// properties is nil for a resource without any.
	properties *node
}

type rule struct {
	name       string
	line       int
	condition  *node
	assertions []assertion
}

type assertion struct {
	line        int
	assert      *node
	description string
}

type output struct {
	name      string
	line      int
	condition string
	value     *node
	export    *node
}

var logicalID = regexp.MustCompile(`^[a-zA-Z0-9]{1,255}$`)

// Load reads a template; name is what findings call the file. The error is Findings and has everything that is wrong,
// whatever the parameters will be: references, attributes and conditions are checked here, on every branch.
func Load(name string, data []byte) (*Template, error) {
	l := &loader{reader: reader{&collector{file: name}}, t: &Template{file: name}}
	if root := l.read(data); root != nil {
		l.sections(root.Content)
	}
	if len(l.found) == 0 {
		(&checker{collector: l.collector, t: l.t}).check()
	}
	if err := l.err(); err != nil {
		return nil, err
	}
	return l.t, nil
}

type loader struct {
	reader
	t *Template
}

// ids checks the names of a section and returns its entries, which must be mappings where shape says so.
func (l *loader) ids(section field, shape kind, limit int) []field {
	n := section.value
	if n.kind != mapping {
		l.add(section.line, "%s must be a mapping", section.key)
		return nil
	}
	if limit > 0 && len(n.fields) > limit {
		l.add(section.line, "%s: %d entries, CloudFormation takes %d", section.key, len(n.fields), limit)
	}
	var good []field
	for _, f := range n.fields {
		if !logicalID.MatchString(f.key) {
			l.add(f.line, "%s: a logical id has letters and digits only", f.key)
		}
		if shape == mapping && f.value.kind != mapping {
			l.add(f.line, "%s must be a mapping", f.key)
			continue
		}
		good = append(good, f)
	}
	return good
}

// only reports the keys of a mapping that are not in the list.
func (l *loader) only(what string, n *node, keys ...string) {
	for _, f := range n.fields {
		if !slices.Contains(keys, f.key) {
			l.add(f.line, "%s: unknown key %s (known: %s)", what, f.key, strings.Join(keys, ", "))
		}
	}
}

// word returns a scalar's text, and complains about anything else; "" when the key is absent.
func (l *loader) word(what string, n *node, key string) string {
	v := n.get(key)
	if v == nil {
		return ""
	}
	if v.kind != scalar {
		l.add(v.line, "%s: %s must be plain text", what, key)
		return ""
	}
	return v.text
}
