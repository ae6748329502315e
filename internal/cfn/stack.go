package cfn

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Deployment says where a template is deployed and with what.
type Deployment struct {
	StackName  string
	Account    string // twelve digits
	Region     string
	Partition  string            // "" means aws
	Parameters map[string]string // by name; text as on the command line
	Imports    map[string]string // values that other stacks export, by export name
}

// Stack is a deployed template.
type Stack struct {
	Name, Account, Region, Partition string

	ID        string               // the ARN that AWS::StackId gives
	Resources map[string]*Resource // by logical id, without those whose condition is false
	Outputs   map[string]string
	Exports   map[string]string // outputs with Export, by export name
	Order     []string          // logical ids, each after those it needs

	file      string
	template  *Template
	roles     []Role
	functions []Function
	policies  []ResourcePolicy
}

// Resource is one resource of a stack with everything resolved.
type Resource struct {
	LogicalID, Type string
	Line            int

	// Properties are as CloudFormation hands them to the service: nil never occurs; a value is a bool, float64, string,
	// []any or map[string]any. What came from a parameter is text, numbers too.
	Properties map[string]any

	Name       string            // the name that it has or was given
	PhysicalID string            // what Ref gives
	ARN        string            // "" for types without an ARN
	Attributes map[string]string // what GetAtt gives

	DeletionPolicy, UpdateReplacePolicy string // as written; "" means Delete
	DependsOn                           []string
}

var (
	stackName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{0,127}$`)
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
)

// deployer carries one deployment through its steps.
type deployer struct {
	*collector
	t        *Template
	with     Deployment
	values   map[string]any // parameters: string or []any
	truth    map[string]bool
	judging  []string // conditions being judged, to find cycles
	making   []string // resources being made, to find cycles
	done     map[string]bool
	declared map[string]*declaration
	versions map[string][]string
	stack    *Stack
}

// Deploy resolves the template as CloudFormation would when it creates the stack. The error is Findings and has every
// problem with the parameters, or else every broken assertion, or else everything that cannot be resolved.
func (t *Template) Deploy(with Deployment) (*Stack, error) {
	if with.Partition == "" {
		with.Partition = "aws"
	}
	d := &deployer{collector: &collector{file: t.file}, t: t, with: with, values: map[string]any{},
		truth: map[string]bool{}, done: map[string]bool{}, declared: map[string]*declaration{},
		versions: map[string][]string{}, stack: &Stack{Name: with.StackName, Account: with.Account, Region: with.Region,
			Partition: with.Partition, Resources: map[string]*Resource{}, Outputs: map[string]string{},
			Exports: map[string]string{}, file: t.file, template: t}}
	d.stack.ID = fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%s", with.Partition, with.Region, with.Account,
		with.StackName, uuid(with.StackName, ""))
	for _, step := range []func(){d.inputs, d.rules, d.resources, d.outputs, d.roles, d.functions, d.resourcePolicies} {
		step()
		if err := d.err(); err != nil {
			return nil, err
		}
	}
	return d.stack, nil
}

// inputs checks where the stack goes and what it was given.
func (d *deployer) inputs() {
	if !stackName.MatchString(d.with.StackName) {
		d.add(0, "stack name %q: letters, digits and hyphens, a letter first, at most 128", d.with.StackName)
	}
	if !accountID.MatchString(d.with.Account) {
		d.add(0, "account %q is not a 12-digit account id", d.with.Account)
	}
	if !regionName.MatchString(d.with.Region) {
		d.add(0, "region %q is no region", d.with.Region)
	}
	if !slices.Contains([]string{"aws", "aws-cn", "aws-us-gov"}, d.with.Partition) {
		d.add(0, "unknown partition %q", d.with.Partition)
	}
	d.parameters()
}

// rules evaluates the assertions of the section Rules.
func (d *deployer) rules() {
	for _, r := range d.t.rules {
		if r.condition != nil && !d.judge(r.condition) {
			continue
		}
		for _, a := range r.assertions {
			if !d.judge(a.assert) {
				d.add(a.line, "rule %s: %s", r.name, a.description)
			}
		}
	}
}

// resources makes every resource whose condition holds, each after those that it refers to.
func (d *deployer) resources() {
	for _, r := range d.t.resources {
		d.declared[r.id] = r
	}
	for _, r := range d.t.resources {
		if d.exists(r) {
			d.make(r)
		}
	}
}

func (d *deployer) exists(r *declaration) bool {
	return r.condition == "" || d.condition(r.line, r.condition)
}

// make resolves one resource; nil if it cannot be made, which has been reported then.
func (d *deployer) make(r *declaration) *Resource {
	if d.done[r.id] {
		return d.stack.Resources[r.id]
	}
	if at := slices.Index(d.making, r.id); at >= 0 {
		d.add(r.line, "circular dependency: %s -> %s", strings.Join(d.making[at:], " -> "), r.id)
		return nil
	}
	d.making = append(d.making, r.id)
	made := d.resolve(r)
	d.making = d.making[:len(d.making)-1]
	d.done[r.id] = true
	if made == nil {
		return nil
	}
	d.identity(made)
	d.stack.Resources[r.id] = made
	d.stack.Order = append(d.stack.Order, r.id)
	return made
}

func (d *deployer) resolve(r *declaration) *Resource {
	good := true
	for _, id := range r.dependsOn {
		if other := d.declared[id]; d.exists(other) && d.make(other) == nil {
			good = false
		}
	}
	properties := map[string]any{}
	if r.properties != nil {
		value, ok := d.eval(r.properties)
		properties, _ = value.(map[string]any)
		good = good && ok
	}
	if !good {
		return nil
	}
	return &Resource{LogicalID: r.id, Type: r.kind, Line: r.line, Properties: properties,
		DependsOn: slices.Clone(r.dependsOn), DeletionPolicy: r.deletion, UpdateReplacePolicy: r.replace}
}

func (d *deployer) outputs() {
	for _, o := range d.t.outputs {
		if o.condition != "" && !d.condition(o.line, o.condition) {
			continue
		}
		value, ok := d.text(o.value)
		if !ok {
			continue
		}
		d.stack.Outputs[o.name] = value
		if o.export == nil {
			continue
		}
		if name, ok := d.text(o.export); ok {
			d.stack.Exports[name] = value
		}
	}
}

// OfType returns the resources of a type, such as AWS::DynamoDB::Table, in the order of their logical ids.
func (s *Stack) OfType(kind string) []*Resource {
	var out []*Resource
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		if r := s.Resources[id]; r.Type == kind {
			out = append(out, r)
		}
	}
	return out
}
