package cfn

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Role is an AWS::IAM::Role with every policy that the stack gives it.
type Role struct {
	LogicalID, Name, ARN string
	Line                 int
	// MaxSessionSeconds is how long a session may last; 3600 when the template does not say.
	MaxSessionSeconds int
	Boundary          string          // ARN of the permissions boundary, or ""
	Trust             json.RawMessage // the assume-role policy document
	Policies          []NamedDocument // inline ones first, then those of other resources, in template order
	ManagedARNs       []string        // managed policies that are not of this stack
}

// NamedDocument is one policy document.
type NamedDocument struct {
	Name      string
	LogicalID string // the resource that has it
	Line      int    // where it begins in the template
	JSON      json.RawMessage
}

// defaultSession is what IAM takes without MaxSessionDuration. Source: IAM API reference, CreateRole, read 2026-11.
const defaultSession = 3600

// Roles returns the roles of the stack in the order of their logical ids.
func (s *Stack) Roles() []Role { return slices.Clone(s.roles) }

func (d *deployer) roles() {
	at := map[string]int{} // role name -> index
	managed := map[string]NamedDocument{}
	for _, r := range d.stack.OfType("AWS::IAM::ManagedPolicy") {
		managed[r.ARN] = d.document(r, r.Name, "PolicyDocument")
	}
	for _, r := range d.stack.OfType("AWS::IAM::Role") {
		at[r.Name] = len(d.stack.roles)
		d.stack.roles = append(d.stack.roles, d.role(r, managed))
	}
	attach := func(r *Resource, role any, doc NamedDocument) {
		name, _ := text(role)
		i, ok := at[name]
		if !ok {
			d.add(r.Line, "%s: role %q is not in this stack", r.LogicalID, name)
			return
		}
		d.stack.roles[i].Policies = append(d.stack.roles[i].Policies, doc)
	}
	for _, declared := range d.t.resources {
		r := d.stack.Resources[declared.id]
		if r == nil {
			continue
		}
		switch r.Type {
		case "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy":
			name := r.Name
			if r.Type == "AWS::IAM::Policy" {
				name, _ = text(r.Properties["PolicyName"])
			}
			for _, role := range d.items(r, "Roles") {
				attach(r, role, d.document(r, name, "PolicyDocument"))
			}
		case "AWS::IAM::RolePolicy":
			name, _ := text(r.Properties["PolicyName"])
			attach(r, r.Properties["RoleName"], d.document(r, name, "PolicyDocument"))
		}
	}
}

func (d *deployer) role(r *Resource, managed map[string]NamedDocument) Role {
	role := Role{LogicalID: r.LogicalID, Name: r.Name, ARN: r.ARN, Line: r.Line, MaxSessionSeconds: defaultSession,
		Trust: d.document(r, "trust", "AssumeRolePolicyDocument").JSON}
	role.Boundary, _ = text(r.Properties["PermissionsBoundary"])
	if set, ok := text(r.Properties["MaxSessionDuration"]); ok {
		role.MaxSessionSeconds = d.whole(r, "MaxSessionDuration", set)
	}
	lines := d.policyLines(r.LogicalID)
	for i, item := range d.items(r, "Policies") {
		policy, _ := item.(map[string]any)
		name, named := text(policy["PolicyName"])
		body, ok := policy["PolicyDocument"].(map[string]any)
		if !ok || !named {
			d.add(r.Line, "%s: Policies[%d] needs PolicyName and PolicyDocument", r.LogicalID, i)
			continue
		}
		line := r.Line
		if i < len(lines) {
			line = lines[i]
		}
		role.Policies = append(role.Policies, NamedDocument{Name: name, LogicalID: r.LogicalID, Line: line,
			JSON: raw(body)})
	}
	for _, item := range d.items(r, "ManagedPolicyArns") {
		arn, _ := text(item)
		if doc, own := managed[arn]; own {
			role.Policies = append(role.Policies, doc)
			continue
		}
		role.ManagedARNs = append(role.ManagedARNs, arn)
	}
	return role
}

// policyLines gives the lines of the inline policies of a role that are there once Fn::If and AWS::NoValue are
// resolved.
func (d *deployer) policyLines(id string) []int {
	all := d.branch(d.declared[id].properties.get("Policies"))
	if all == nil {
		return nil
	}
	var lines []int
	for _, item := range all.items {
		chosen := d.branch(item)
		if chosen.kind == call && chosen.arg.text == "AWS::NoValue" {
			continue
		}
		lines = append(lines, chosen.line)
	}
	return lines
}

// branch follows Fn::If down to what it chooses.
func (d *deployer) branch(n *node) *node {
	for n != nil && n.kind == call && n.name == "Fn::If" {
		n = n.arg.items[d.pick(n)]
	}
	return n
}

// document renders a property that must be a policy document.
func (d *deployer) document(r *Resource, name, property string) NamedDocument {
	line := r.Line
	if n := d.declared[r.LogicalID].properties.get(property); n != nil {
		line = n.line
	}
	body, ok := r.Properties[property].(map[string]any)
	if !ok {
		d.add(line, "%s: %s must be a policy document", r.LogicalID, property)
	}
	return NamedDocument{Name: name, LogicalID: r.LogicalID, Line: line, JSON: raw(body)}
}

// items returns a property that is a list; nil when it is absent.
func (d *deployer) items(r *Resource, property string) []any {
	value, there := r.Properties[property]
	items, ok := value.([]any)
	if there && !ok {
		d.add(r.Line, "%s: %s must be a list", r.LogicalID, property)
	}
	return items
}

// whole reads a number that may have come as text through a parameter.
func (d *deployer) whole(r *Resource, property, value string) int {
	number, err := strconv.Atoi(value)
	if err != nil {
		d.add(r.Line, "%s: %s must be a whole number, not %q", r.LogicalID, property, value)
	}
	return number
}

// raw is JSON with the keys in order and without HTML escapes. What eval makes can always be written.
func raw(value any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil
	}
	return json.RawMessage(strings.TrimSuffix(out.String(), "\n"))
}
