package cfn

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// sections reads the top level of a template. What may stand in a section decides how its intrinsics are read.
func (l *loader) sections(content []*yaml.Node) {
	seen := map[string]bool{}
	for pair := range slices.Chunk(content, 2) {
		key, line := l.key(pair[0]), pair[0].Line
		if seen[key] {
			l.add(line, "section %s stands there twice", key)
			continue
		}
		seen[key] = true
		where, known := map[string]place{
			"AWSTemplateFormatVersion": nowhere, "Description": nowhere, "Metadata": nowhere, "Parameters": nowhere,
			"Mappings": nowhere, "Rules": inRules, "Conditions": inConditions, "Resources": inResources,
			"Outputs": inResources,
		}[key]
		if !known {
			l.add(line, "unknown section %s", key)
			continue
		}
		l.section(field{key: key, line: line, value: l.node(pair[1], where, 0)})
	}
	if !seen["AWSTemplateFormatVersion"] {
		l.add(1, `AWSTemplateFormatVersion is missing; write "2010-09-09"`)
	}
	if len(l.t.resources) == 0 {
		l.add(1, "a template needs at least one resource")
	}
}

func (l *loader) section(s field) {
	switch s.key {
	case "AWSTemplateFormatVersion":
		if s.value.text != "2010-09-09" {
			l.add(s.line, `AWSTemplateFormatVersion must be "2010-09-09"`)
		}
	case "Description":
		l.t.Description = s.value.text
		if s.value.kind != scalar || len(s.value.text) > maxDescription {
			l.add(s.line, "Description must be text of at most %d bytes", maxDescription)
		}
	case "Parameters":
		for _, f := range l.ids(s, mapping, maxParameters) {
			l.parameter(f)
		}
	case "Rules":
		for _, f := range l.ids(s, mapping, 0) {
			l.rule(f)
		}
	case "Mappings":
		l.mappingTables(s)
	case "Conditions":
		l.t.conditions = l.ids(s, call, 0)
	case "Resources":
		for _, f := range l.ids(s, mapping, maxResources) {
			l.resource(f)
		}
	case "Outputs":
		for _, f := range l.ids(s, mapping, maxOutputs) {
			l.output(f)
		}
	}
}

func (l *loader) rule(f field) {
	l.only(f.key, f.value, "RuleCondition", "Assertions")
	r := rule{name: f.key, line: f.line, condition: f.value.get("RuleCondition")}
	all := f.value.get("Assertions")
	if all == nil || all.kind != list || len(all.items) == 0 {
		l.add(f.line, "%s: Assertions must be a list", f.key)
		return
	}
	for _, item := range all.items {
		assert := item.get("Assert")
		if assert == nil {
			l.add(item.line, "%s: an assertion needs Assert", f.key)
			continue
		}
		l.only(f.key, item, "Assert", "AssertDescription")
		r.assertions = append(r.assertions, assertion{item.line, assert, l.word(f.key, item, "AssertDescription")})
	}
	l.t.rules = append(l.t.rules, r)
}

// mappingTables checks that every mapping has two levels of keys above its values.
func (l *loader) mappingTables(s field) {
	for _, table := range l.ids(s, mapping, 0) {
		for _, row := range table.value.fields {
			if row.value.kind != mapping {
				l.add(row.line, "%s: %s must be a mapping", table.key, row.key)
			}
			for _, cell := range row.value.fields {
				if cell.value.kind == mapping {
					l.add(cell.line, "%s.%s: %s must be text or a list", table.key, row.key, cell.key)
				}
			}
		}
	}
	l.t.mappings = s.value
}

func (l *loader) resource(f field) {
	n := f.value
	l.only(f.key, n, "Type", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy",
		"CreationPolicy", "Metadata", "Properties")
	d := &declaration{
		id: f.key, line: f.line, kind: l.word(f.key, n, "Type"), condition: l.word(f.key, n, "Condition"),
		deletion: l.word(f.key, n, "DeletionPolicy"), replace: l.word(f.key, n, "UpdateReplacePolicy"),
		properties: n.get("Properties"),
	}
	if _, known := types[d.kind]; !known {
		l.add(f.line, "%s: unknown resource type %q", f.key, d.kind)
	}
	if d.deletion != "" && !slices.Contains([]string{"Delete", "Retain", "RetainExceptOnCreate",
		"Snapshot"}, d.deletion) {
		l.add(f.line, "%s: unknown DeletionPolicy %s", f.key, d.deletion)
	}
	if d.replace != "" && !slices.Contains([]string{"Delete", "Retain", "Snapshot"}, d.replace) {
		l.add(f.line, "%s: unknown UpdateReplacePolicy %s", f.key, d.replace)
	}
	if d.properties != nil && d.properties.kind != mapping {
		l.add(d.properties.line, "%s: Properties must be a mapping", f.key)
		d.properties = nil
	}
	d.dependsOn = l.dependsOn(f.key, n.get("DependsOn"))
	l.t.resources = append(l.t.resources, d)
}

func (l *loader) dependsOn(id string, n *node) []string {
	if n == nil {
		return nil
	}
	items := []*node{n}
	if n.kind == list {
		items = n.items
	}
	var ids []string
	for _, item := range items {
		if item.kind != scalar {
			l.add(item.line, "%s: DependsOn takes logical ids", id)
			continue
		}
		ids = append(ids, item.text)
	}
	return ids
}

func (l *loader) output(f field) {
	l.only(f.key, f.value, "Description", "Condition", "Value", "Export")
	o := output{name: f.key, line: f.line, condition: l.word(f.key, f.value, "Condition"), value: f.value.get("Value")}
	if o.value == nil {
		l.add(f.line, "%s: an output needs Value", f.key)
		return
	}
	if export := f.value.get("Export"); export != nil {
		if o.export = export.get("Name"); o.export == nil {
			l.add(export.line, "%s: Export needs Name", f.key)
		}
	}
	l.t.outputs = append(l.t.outputs, o)
}
