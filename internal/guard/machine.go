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

// nests says whether a task runs an execution of another machine.
func (s state) nests() bool { return show(child(s.node, "Resource")) == "${StartAndWait}" }

// waits says whether a task waits for its token.
func (s state) waits() bool { return show(child(s.node, "Resource")) == "${InvokeAndWait}" }

// distributed says whether a map runs its items as executions of their own.
func (s state) distributed() bool {
	return show(dig(s.node, "ItemProcessor", "ProcessorConfig", "Mode")) == "DISTRIBUTED"
}

// machines are the resources that have a definition: that of runs, and that of one account and region.
func (t *Template) machines() []Resource { return t.ofType("AWS::StepFunctions::StateMachine") }

// definitionOf is a machine's Definition.
func definitionOf(m Resource) *yaml.Node { return m.property("Definition") }

// statesOf lists all states of a machine, those of maps after the map.
func statesOf(m Resource) []state { return statesIn(child(definitionOf(m), "States"), nil) }

// states lists the states of all machines.
func (t *Template) states() []state {
	var out []state
	for _, m := range t.machines() {
		out = append(out, statesOf(m)...)
	}
	return out
}

func statesIn(n *yaml.Node, path []string) []state {
	var out []state
	for _, p := range pairs(n) {
		s := state{name: p.key, node: p.value, path: path}
		out = append(out, s)
		out = append(out, statesIn(dig(p.value, "ItemProcessor", "States"),
			append(path[:len(path):len(path)], p.key))...)
		for _, branch := range items(child(p.value, "Branches")) {
			out = append(out, statesIn(child(branch, "States"), append(path[:len(path):len(path)], p.key))...)
		}
	}
	return out
}
