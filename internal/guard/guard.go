// Package guard holds our CloudFormation templates to the rules that no public
// linter knows: who may do what on which resource, what is encrypted, kept and
// logged, and how the state machine may fail.
//
// A rule is a Check: one small function with the id of a hardening item (H-10)
// or a word of its own. A check reads the template as it is written, with its
// tags and comments; those that judge policies or the state machine deploy it on
// paper first. Each check is proven by templates that were made wrong on purpose.
//
// Not handled: the schema of properties and the form of policies, which cfn-lint
// checks, and what a parameter's value may break, which its pattern has to keep out.
package guard

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Finding is one place where a template breaks a rule.
type Finding struct {
	Check string // id of the check
	File  string
	Line  int // 1 is the first line; 0 where something is missing as a whole
	Text  string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Check, f.Text)
}

// The templates that checks know, by the names of their files.
const (
	Hub      = "hub-cfn.yaml"
	Spoke    = "spoke-cfn.yaml"
	Reader   = "organization-reader-cfn.yaml"
	StackSet = "spoke-stackset.yaml"
	Schedule = "scheduler-example.yaml"
	Rule     = "rule-example.yaml"
	GitHub   = "github-oidc.yaml"
)

// Check is one rule.
type Check struct {
	ID    string
	Rule  string   // what must hold, in a sentence
	Files []string // the templates that it is about; none means all
	run   func(*Template, say)
}

// say notes a finding at a node, or at the template as a whole when the node is nil.
type say func(at *yaml.Node, format string, args ...any)

// Checks lists every check, in the order of the hardening list.
func Checks() []Check {
	return slices.Concat(templateChecks(), roleChecks(), spokeChecks(), functionChecks(), machineChecks(),
		retryChecks(), apiChecks(), dataChecks(), auditChecks(), topicChecks(), watchChecks(), grantChecks())
}

// Applies says whether the check is about a template of this name.
func (c Check) Applies(file string) bool { return len(c.Files) == 0 || slices.Contains(c.Files, file) }

// Findings lists where the template breaks this one rule, in the order of its
// lines; nothing for a template that the check is not about.
func (c Check) Findings(t *Template) []Finding {
	if !c.Applies(t.Name) {
		return nil
	}
	var out []Finding
	c.run(t, func(at *yaml.Node, format string, args ...any) {
		f := Finding{Check: c.ID, File: t.Name, Text: fmt.Sprintf(format, args...)}
		if at != nil {
			f.Line = at.Line
		}
		out = append(out, f)
	})
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return out
}

// All lists where the template breaks any rule, check by check.
func All(t *Template) []Finding {
	var out []Finding
	for _, c := range Checks() {
		out = append(out, c.Findings(t)...)
	}
	return out
}
