package guard

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"ec2patch/internal/asl"
)

// machineChecks are about the state machine and its definition.
func machineChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"H-46", "Each machine is STANDARD, and says so.", hub, standard},
		{"H-47", "Each definition loads: every state is reachable, every target in scope.", hub, loads},
		{"H-48", "Each machine and every task have a timeout; a task outlasts its function.", hub, taskTimeouts},
		{"H-49", "Every event is logged.", hub, executionLog},
		{"H-50", "Execution data is in no log, and nothing is traced.", hub, executionData},
		{"H-52", "Executions are encrypted with our key.", hub, executionKey},
		{"H-56", "Waves follow each other, and every map says its concurrency.", hub, concurrency},
		{"H-57", "The task token goes to one function, and nowhere else.", hub, tokens},
		{"H-58", "The machine calls published versions.", hub, calledVersions},
		{"machines", "One machine runs waves, one an account and region; the first starts the second, waits for it, " +
			"and nothing else.", hub, nesting},
		{"give-up", "Whatever a target's tasks fail of, they are tried again a few times and not for ever.",
			hub, givingUp},
		{"comment", "Every state says why it is there.", hub, comments},
		{"numbers", "What is text in a parameter never stands where the machine wants a number.", hub, numbers},
		{"paths", "Every task and map says what becomes of its result.", hub, resultPaths},
	}
}

func standard(t *Template, tell say) {
	for _, m := range t.machines() {
		if show(m.property("StateMachineType")) != "STANDARD" {
			tell(m.Node, "StateMachineType must be STANDARD")
		}
	}
}

func loads(t *Template, tell say) {
	stack, err := t.deploy()
	if err != nil {
		tell(nil, "%v", err)
		return
	}
	for _, m := range t.machines() {
		definition, err := stack.Definition(m.ID)
		if err == nil {
			_, err = asl.Load(definition)
		}
		if err != nil {
			tell(definitionOf(m), "%v", err)
		}
	}
}

// longestRun is how long a run and all that belongs to it may take, in seconds.
const longestRun = 30 * 24 * 3600

func taskTimeouts(t *Template, tell say) {
	for _, m := range t.machines() {
		if n, err := strconv.Atoi(show(child(definitionOf(m), "TimeoutSeconds"))); err != nil || n <= 0 ||
			n > longestRun {
			tell(definitionOf(m), "%s must end, within 30 days at most", m.ID)
		}
	}
	for _, s := range t.states() {
		if !s.is("Task") {
			continue
		}
		if s.waits() {
			if show(child(s.node, "TimeoutSecondsPath")) == "" {
				tell(s.node, "%s waits for a token without a timeout of the plan", s.name)
			}
			continue
		}
		seconds, err := strconv.Atoi(show(child(s.node, "TimeoutSeconds")))
		if s.nests() {
			if err != nil || seconds <= 0 || seconds > longestRun {
				tell(s.node, "%s must end with the run, within 30 days at most", s.name)
			}
			continue
		}
		function := functionTimeouts()[s.function()]
		if err != nil || seconds <= function || seconds > function+60 {
			tell(s.node, "%s must have a timeout of up to a minute more than the %d s of its function",
				s.name, function)
		}
	}
}

func executionLog(t *Template, tell say) {
	for _, m := range t.machines() {
		if show(m.property("LoggingConfiguration", "Level")) != "ALL" || len(items(m.property("LoggingConfiguration",
			"Destinations"))) == 0 {
			tell(m.Node, "%s must log every event", m.ID)
		}
	}
}

func executionData(t *Template, tell say) {
	for _, m := range t.machines() {
		if show(m.property("LoggingConfiguration", "IncludeExecutionData")) != "false" {
			tell(m.Node, "execution data, which may hold task tokens, must not be logged")
		}
		if n := m.property("TracingConfiguration"); n != nil && show(child(n, "Enabled")) != "false" {
			tell(n, "traces hold data, too")
		}
	}
}

func executionKey(t *Template, tell say) {
	for _, m := range t.machines() {
		if show(m.property("EncryptionConfiguration", "Type")) != "CUSTOMER_MANAGED_KMS_KEY" ||
			show(m.property("EncryptionConfiguration", "KmsKeyId")) != "${DataKey.Arn}" {
			tell(m.Node, "executions must be encrypted with our key")
		}
	}
}

func concurrency(t *Template, tell say) {
	for _, s := range t.states() {
		if !s.is("Map") {
			continue
		}
		fixed, path := child(s.node, "MaxConcurrency"), child(s.node, "MaxConcurrencyPath")
		if fixed == nil && path == nil || show(fixed) == "0" {
			tell(s.node, "%s must say its concurrency", s.name)
		}
		if show(child(s.node, "ItemsPath")) == "$.waves" && show(fixed) != "1" {
			tell(s.node, "%s: one wave at a time", s.name)
		}
		if s.distributed() && (show(dig(s.node, "ItemProcessor", "ProcessorConfig", "ExecutionType")) != "STANDARD" ||
			show(child(s.node, "Label")) == "") {
			tell(s.node, "%s: children are STANDARD, and their map has a label", s.name)
		}
		if s.distributed() && show(child(s.node, "ToleratedFailurePercentage")) != "100" {
			tell(s.node, "%s: one account may not harm another", s.name)
		}
	}
}

func tokens(t *Template, tell say) {
	var takers []string
	for _, s := range t.states() {
		walk(s.node, func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$$.Task") &&
				!slices.ContainsFunc(statesIn(dig(s.node, "ItemProcessor", "States"), nil),
					func(inner state) bool { return inside(n, inner.node) }) {
				takers = append(takers, s.function())
				if !s.waits() || n.Value != "$$.Task.Token" {
					tell(n, "%s hands the token out", s.name)
				}
			}
		})
		if s.waits() && show(child(s.node, "ResultPath")) != "$.scratch" {
			tell(s.node, "the result of %s must go where nobody reads it", s.name)
		}
		if s.waits() && child(s.node, "HeartbeatSeconds") != nil {
			tell(s.node, "%s: nobody sends heartbeats", s.name)
		}
	}
	if !slices.Equal(takers, []string{"ApprovalRequest"}) {
		tell(nil, "the token must go to ApprovalRequest once, not to %q", takers)
	}
}

func inside(n, tree *yaml.Node) bool {
	found := false
	walk(tree, func(m *yaml.Node) { found = found || m == n })
	return found
}

func calledVersions(t *Template, tell say) {
	for _, m := range t.machines() {
		substitutions := m.property("DefinitionSubstitutions")
		for _, s := range statesOf(m) {
			if !s.is("Task") || s.nests() {
				continue
			}
			if r := show(child(s.node, "Resource")); r != "${Invoke}" && r != "${InvokeAndWait}" {
				tell(s.node, "%s must invoke a function by a substitution", s.name)
			}
			function := show(child(substitutions, s.function()))
			if version, ok := t.resource(strings.Trim(function, "${}")); !ok || version.Type != "AWS::Lambda::Version" {
				tell(s.node, "%s must call a published version, not %q", s.name, function)
			}
		}
	}
}

// nesting checks the one task that starts executions of another machine: what it hands over, and by which resource.
func nesting(t *Template, tell say) {
	orchestrator, ok := t.resource("OrchestratorStateMachine")
	target, found := t.resource("TargetStateMachine")
	if !ok || !found || len(t.machines()) != 2 {
		tell(nil, "there must be OrchestratorStateMachine and TargetStateMachine")
		return
	}
	substitutions := orchestrator.property("DefinitionSubstitutions")
	if show(child(substitutions, "StartAndWait")) != "arn:${AWS::Partition}:states:::states:startExecution.sync:2" {
		tell(substitutions, "StartAndWait must be startExecution.sync:2, whose result is a value")
	}
	name := show(target.property("StateMachineName"))
	if show(child(substitutions, "TargetMachine")) !=
		"arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:"+name {
		tell(substitutions, "TargetMachine must be the ARN of TargetStateMachine")
	}
	var names []string
	for _, s := range t.states() {
		if !s.nests() {
			continue
		}
		names = append(names, s.name)
		given := child(s.node, "Parameters")
		if show(child(given, "StateMachineArn")) != "${TargetMachine}" {
			tell(s.node, "%s must start TargetMachine", s.name)
		}
		if child(given, "Name") != nil || child(given, "Name.$") != nil {
			tell(s.node, "%s must leave the name to the service: a repeated start would be refused", s.name)
		}
		if show(dig(given, "Input", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$")) != "$$.Execution.Id" {
			tell(s.node, "%s must say who starts the execution", s.name)
		}
		if !slices.Contains(s.path, "PatchRegions") {
			tell(s.node, "%s must start one execution a region", s.name)
		}
	}
	if !slices.Equal(names, []string{"PatchTarget"}) {
		tell(definitionOf(orchestrator), "one task starts executions, not %q", names)
	}
	for _, s := range statesOf(target) {
		if s.is("Map") || s.is("Parallel") || s.is("Fail") {
			tell(s.node, "%s: a target is one line of states that ends by itself", s.name)
		}
	}
}

// giveUp is how many failed tasks in a row end a target.
const giveUp = 10

func givingUp(t *Template, tell say) {
	target, _ := t.resource("TargetStateMachine")
	var limit *yaml.Node
	for _, s := range statesOf(target) {
		if s.is("Task") && show(dig(lastItem(child(s.node, "Catch")), "Next")) != "NoteTaskFailure" {
			tell(s.node, "a failure of %s must be counted", s.name)
		}
		if s.name == "NoteTaskFailure" && (show(dig(s.node, "Parameters", "step", "failures.$")) !=
			"States.MathAdd($.step.failures, 1)" || show(child(s.node, "Next")) != "HasFailedTooOften") {
			tell(s.node, "NoteTaskFailure must count, and ask whether it was one too many")
		}
		if s.name == "HasFailedTooOften" {
			limit = firstItem(child(s.node, "Choices"))
		}
	}
	if show(child(limit, "Variable")) != "$.step.failures" || show(child(limit, "NumericGreaterThan")) !=
		strconv.Itoa(giveUp) || show(child(limit, "Next")) != "EndTarget" {
		tell(target.Node, "a target is given up after %d failures", giveUp)
	}
}

func comments(t *Template, tell say) {
	for _, s := range t.states() {
		if comment := show(child(s.node, "Comment")); len(comment) < 10 || !strings.HasSuffix(comment, ".") {
			tell(s.node, "%s must say in a sentence why it is there", s.name)
		}
	}
}

// numeric lists the fields in which the machine wants numbers.
func numeric() []string {
	return []string{"TimeoutSeconds", "HeartbeatSeconds", "Seconds", "MaxConcurrency", "IntervalSeconds", "MaxAttempts",
		"MaxDelaySeconds", "BackoffRate", "ToleratedFailurePercentage", "ToleratedFailureCount", "MaxItems",
		"NumericEquals", "NumericGreaterThan", "NumericLessThan", "NumericGreaterThanEquals", "NumericLessThanEquals"}
}

var wholeSubstitution = regexp.MustCompile(`^\$\{[A-Za-z]+\}$`)

func numbers(t *Template, tell say) {
	for _, m := range t.machines() {
		for _, p := range pairs(m.property("DefinitionSubstitutions")) {
			if id := strings.Trim(show(p.value), "${}"); child(child(t.root, "Parameters"), id) != nil {
				tell(p.at, "%s puts a parameter into the definition; let the plan carry it", p.key)
			}
		}
		numbersIn(definitionOf(m), tell)
	}
}

func numbersIn(definition *yaml.Node, tell say) {
	walk(definition, func(n *yaml.Node) {
		for _, p := range pairs(n) {
			if slices.Contains(numeric(), p.key) && p.value.Tag != "!!int" && p.value.Tag != "!!float" {
				tell(p.at, "%s must be a number as it stands", p.key)
			}
		}
		if n.Kind != yaml.ScalarNode {
			return
		}
		if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			tell(n, "no intrinsic function inside the definition")
		}
		if strings.Contains(n.Value, "${") && !wholeSubstitution.MatchString(n.Value) {
			tell(n, "%q: a substitution must be the whole text", n.Value)
		}
	})
}

func resultPaths(t *Template, tell say) {
	for _, s := range t.states() {
		if !s.is("Task") && !s.is("Map") {
			continue
		}
		result, output := child(s.node, "ResultPath"), child(s.node, "OutputPath")
		if result == nil && output == nil && show(child(s.node, "End")) != "true" {
			tell(s.node, "%s must say where its result goes", s.name)
		}
		if s.nests() && child(s.node, "ResultSelector") == nil {
			tell(s.node, "%s takes all that is known of an execution", s.name)
			continue
		}
		if s.is("Task") && !s.waits() && child(s.node, "ResultSelector") == nil && show(output) != "$.Payload" {
			tell(s.node, "%s takes more than the payload of its function", s.name)
		}
	}
}
