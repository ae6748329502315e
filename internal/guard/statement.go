package guard

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// statement is a statement of a policy document in a template.
type statement struct {
	resource Resource // that the policy hangs on
	node     *yaml.Node
	trust    bool // it stands in the trust policy of a role
}

func (s statement) sid() string { return show(child(s.node, "Sid")) }

func (s statement) allows() bool { return show(child(s.node, "Effect")) == "Allow" }

func (s statement) actions() []string { return shown(child(s.node, "Action")) }

func (s statement) on() []string { return shown(child(s.node, "Resource")) }

// condition is what a condition operator asks of a key; nil when it asks nothing.
func (s statement) condition(operator, key string) []string {
	return shown(dig(s.node, "Condition", operator, key))
}

// does says whether the statement names an action that begins so.
func (s statement) does(prefix string) bool {
	return slices.ContainsFunc(s.actions(), func(a string) bool { return strings.HasPrefix(a, prefix) })
}

// statements lists every statement of a resource: the mappings that have an Effect.
func statements(r Resource) []statement {
	var out []statement
	trust := child(child(r.Node, "Properties"), "AssumeRolePolicyDocument")
	var inTrust []*yaml.Node
	walk(trust, func(n *yaml.Node) { inTrust = append(inTrust, n) })
	walk(r.Node, func(n *yaml.Node) {
		if child(n, "Effect") != nil {
			out = append(out, statement{resource: r, node: n, trust: slices.Contains(inTrust, n)})
		}
	})
	return out
}

// allStatements lists the statements of the whole template.
func (t *Template) allStatements() []statement {
	var out []statement
	for _, r := range t.Resources {
		out = append(out, statements(r)...)
	}
	return out
}

// identityStatements lists what roles and managed policies allow or deny, without trust.
func (t *Template) identityStatements() []statement {
	var out []statement
	for _, s := range t.allStatements() {
		if !s.trust && (s.resource.Type == "AWS::IAM::Role" || s.resource.Type == "AWS::IAM::ManagedPolicy" ||
			s.resource.Type == "AWS::IAM::Policy") {
			out = append(out, s)
		}
	}
	return out
}
