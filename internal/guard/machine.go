package guard

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// state is a state of the machine, wherever it stands.
type state struct {
	name string
	node *yaml.Node
	path []string // names of the maps around it
}

func (s state) is(kind string) bool { return show(child(s.node, "Type")) == kind }

// function is the substitution that a task calls: "Send" for FunctionName ${Send}.
func (s state) function() string {
	return strings.Trim(show(dig(s.node, "Parameters", "FunctionName")), "${}")
}

// waits says whether a task waits for its token.
func (s state) waits() bool { return show(child(s.node, "Resource")) == "${InvokeAndWait}" }

// distributed says whether a map runs its items as executions of their own.
func (s state) distributed() bool {
	return show(dig(s.node, "ItemProcessor", "ProcessorConfig", "Mode")) == "DISTRIBUTED"
}

// machine is the resource that has the definition; the zero value when there is none.
func (t *Template) machine() Resource {
	for _, r := range t.ofType("AWS::StepFunctions::StateMachine") {
		return r
	}
	return Resource{}
}

// definition is the machine's Definition.
func (t *Template) definition() *yaml.Node { return t.machine().property("Definition") }

// states lists all states, those of maps after the map.
func (t *Template) states() []state { return statesIn(child(t.definition(), "States"), nil) }

func statesIn(n *yaml.Node, path []string) []state {
	var out []state
	for _, p := range pairs(n) {
		s := state{name: p.key, node: p.value, path: path}
		out = append(out, s)
		out = append(out, statesIn(dig(p.value, "ItemProcessor", "States"), append(path[:len(path):len(path)], p.key))...)
		for _, branch := range items(child(p.value, "Branches")) {
			out = append(out, statesIn(child(branch, "States"), append(path[:len(path):len(path)], p.key))...)
		}
	}
	return out
}
