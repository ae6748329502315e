package guard

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"ec2patch/internal/patch"
)

// retryChecks are about how tasks fail.
func retryChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"H-53", "Every task and every distributed map is caught, last by States.ALL.", hub, catches},
		{"H-54", "The send task is repeated only after what had no effect.", hub, sendRetries},
		{"start-retry", "The start of an execution is repeated only after what the service may answer before it began.",
			hub, startRetries},
		{"H-55", "Every task is repeated with full jitter, a largest delay and an end.", hub, retries},
		{"errors", "Every error that is named exists.", hub, errorNames},
	}
}

func catches(t *Template, tell say) {
	for _, s := range t.states() {
		if !s.is("Task") && !s.distributed() && s.name != "RunWaves" {
			continue
		}
		all := items(child(s.node, "Catch"))
		if len(all) == 0 {
			tell(s.node, "%s has no Catch", s.name)
			continue
		}
		if last := all[len(all)-1]; !only(child(last, "ErrorEquals"), "States.ALL") {
			tell(last, "the last Catch of %s must be for States.ALL", s.name)
		}
	}
	for _, s := range t.states() {
		if s.name == "RunWaves" && !only(dig(firstItem(child(s.node, "Catch")), "ErrorEquals"),
			string(patch.ErrWaveStopped)) {
			tell(s.node, "a stopped wave must be told from a failure by its name")
		}
	}
}

func lastItem(n *yaml.Node) *yaml.Node {
	if all := items(n); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

func firstItem(n *yaml.Node) *yaml.Node {
	for _, first := range items(n) {
		return first
	}
	return nil
}

// harmless lists the errors after which nothing was sent. Lambda.TooManyRequestsException means that the function
// never started.
func harmless() []string {
	return []string{string(patch.ErrThrottled), string(patch.ErrConflict), "Lambda.TooManyRequestsException"}
}

func sendRetries(t *Template, tell say) {
	sends := 0
	for _, s := range t.states() {
		if s.function() != "Send" {
			continue
		}
		sends++
		for _, retry := range items(child(s.node, "Retry")) {
			for _, name := range shown(child(retry, "ErrorEquals")) {
				if !slices.Contains(harmless(), name) {
					tell(retry, "%s must not be repeated after %s", s.name, name)
				}
			}
		}
	}
	if sends != 1 {
		tell(nil, "one state sends, not %d", sends)
	}
}

// notBegun lists what StartExecution answers while nothing has begun: the quota, by the name in the guide and by that
// in histories, and whatever is not an error of its own, such as throttling.
func notBegun() []string {
	return []string{"StepFunctions.ExecutionLimitExceeded", "StepFunctions.ExecutionLimitExceededException",
		"StepFunctions.AWSStepFunctionsException"}
}

func startRetries(t *Template, tell say) {
	for _, s := range t.states() {
		if !s.nests() {
			continue
		}
		for _, retry := range items(child(s.node, "Retry")) {
			if !only(child(retry, "ErrorEquals"), notBegun()...) {
				tell(retry, "%s must be repeated after %q", s.name, notBegun())
			}
		}
	}
}

func retries(t *Template, tell say) {
	for _, s := range t.states() {
		if !s.is("Task") {
			continue
		}
		all := items(child(s.node, "Retry"))
		if len(all) == 0 {
			tell(s.node, "%s has no Retry", s.name)
		}
		for _, retry := range all {
			if show(child(retry, "JitterStrategy")) != "FULL" {
				tell(retry, "%s repeats without full jitter", s.name)
			}
			for _, limit := range []struct {
				field string
				most  int
			}{{"IntervalSeconds", 60}, {"MaxAttempts", 10}, {"MaxDelaySeconds", 600}} {
				if n, err := strconv.Atoi(show(child(retry, limit.field))); err != nil || n < 1 || n > limit.most {
					tell(retry, "%s: %s must be 1 to %d", s.name, limit.field, limit.most)
				}
			}
			for _, name := range shown(child(retry, "ErrorEquals")) {
				if strings.HasPrefix(name, "States.") {
					tell(retry, "%s must name what it repeats, not %s", s.name, name)
				}
			}
		}
	}
}

// outside lists the errors of Lambda, of Step Functions and of the language that a task may name.
// Source: Step Functions Developer Guide, handling errors and starting executions; Lambda API Invoke, read 2026-11.
func outside() []string {
	return []string{"States.ALL", "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
		"Lambda.ClientExecutionTimeoutException", "Lambda.TooManyRequestsException", "Lambda.Unknown",
		"Sandbox.Timedout", "Runtime.ExitError", "StepFunctions.ExecutionLimitExceeded",
		"StepFunctions.ExecutionLimitExceededException", "StepFunctions.AWSStepFunctionsException"}
}

// raised lists the kinds that a function or the machine itself ends with.
func raised() []string {
	var out []string
	for _, kind := range []patch.Kind{patch.ErrThrottled, patch.ErrUnavailable, patch.ErrConflict,
		patch.ErrInvalidInput, patch.ErrRefused,
		patch.ErrAccessDenied, patch.ErrTampered, patch.ErrInternal, patch.ErrWaveStopped} {
		out = append(out, string(kind))
	}
	return out
}

func errorNames(t *Template, tell say) {
	for _, m := range t.machines() {
		errorsIn(definitionOf(m), tell)
	}
}

func errorsIn(definition *yaml.Node, tell say) {
	walk(definition, func(n *yaml.Node) {
		for _, name := range shown(child(n, "ErrorEquals")) {
			if !slices.Contains(outside(), name) && !slices.Contains(raised(), name) {
				tell(child(n, "ErrorEquals"), "nothing ends with %s", name)
			}
		}
	})
}
