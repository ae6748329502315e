package cfn

import (
	"maps"
	"slices"
)

// Function is an AWS::Lambda::Function.
type Function struct {
	LogicalID, Name, ARN string
	Line                 int
	Handler, RoleARN     string
	TimeoutSeconds       int // 3 when the template does not say
	MemoryMB             int // 128 when the template does not say
	Reserved             *int
	Environment          map[string]string
	// VersionARNs are the ARNs of its published versions and of its aliases, in template order.
	VersionARNs []string
}

// What Lambda takes when a function does not say. Source: Lambda API reference, CreateFunction, read 2026-11.
const (
	defaultTimeout = 3
	defaultMemory  = 128
)

// Functions returns the functions of the stack in the order of their logical ids.
func (s *Stack) Functions() []Function { return slices.Clone(s.functions) }

// Function finds the function that an ARN means: its own, or that of a version or an alias that the stack publishes.
func (s *Stack) Function(arn string) (Function, bool) {
	for _, f := range s.functions {
		if f.ARN == arn || slices.Contains(f.VersionARNs, arn) {
			return f, true
		}
	}
	return Function{}, false
}

func (d *deployer) functions() {
	at := map[string]int{}
	for _, r := range d.stack.OfType("AWS::Lambda::Function") {
		at[r.Name] = len(d.stack.functions)
		d.stack.functions = append(d.stack.functions, d.function(r))
	}
	for _, declared := range d.t.resources {
		r := d.stack.Resources[declared.id]
		if r == nil || r.Type != "AWS::Lambda::Version" && r.Type != "AWS::Lambda::Alias" {
			continue
		}
		of, _ := text(r.Properties["FunctionName"])
		i, ok := at[functionName(of)]
		if !ok {
			d.add(r.Line, "%s: function %q is not in this stack", r.LogicalID, of)
			continue
		}
		d.stack.functions[i].VersionARNs = append(d.stack.functions[i].VersionARNs, r.ARN)
	}
}

func (d *deployer) function(r *Resource) Function {
	f := Function{LogicalID: r.LogicalID, Name: r.Name, ARN: r.ARN, Line: r.Line, TimeoutSeconds: defaultTimeout,
		MemoryMB: defaultMemory, Environment: map[string]string{}}
	f.Handler, _ = text(r.Properties["Handler"])
	f.RoleARN, _ = text(r.Properties["Role"])
	if f.RoleARN == "" {
		d.add(r.Line, "%s: a function needs Role", r.LogicalID)
	}
	if set, ok := text(r.Properties["Timeout"]); ok {
		f.TimeoutSeconds = d.whole(r, "Timeout", set)
	}
	if set, ok := text(r.Properties["MemorySize"]); ok {
		f.MemoryMB = d.whole(r, "MemorySize", set)
	}
	if set, ok := text(r.Properties["ReservedConcurrentExecutions"]); ok {
		reserved := d.whole(r, "ReservedConcurrentExecutions", set)
		f.Reserved = &reserved
	}
	environment, _ := r.Properties["Environment"].(map[string]any)
	variables, _ := environment["Variables"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		value, ok := text(variables[key])
		if !ok {
			d.add(r.Line, "%s: environment variable %s must be text", r.LogicalID, key)
		}
		f.Environment[key] = value
	}
	return f
}
