package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ec2patch/internal/asl"
)

// endedRule is the template's rule for executions that ended, and its target.
type endedRule struct {
	function string
	paths    map[string]string // variable to path in the event
	template string
}

// endedRule finds the rule that matches the status of an execution of our machine.
func (s *stage) endedRule(status string) (endedRule, bool) {
	for _, r := range s.hub.OfType("AWS::Events::Rule") {
		if text(r.Properties, "State") == "DISABLED" {
			continue
		}
		statuses, _ := dig(r.Properties, "EventPattern", "detail", "status").([]any)
		machines, _ := dig(r.Properties, "EventPattern", "detail", "stateMachineArn").([]any)
		if !slices.Contains(statuses, any(status)) || !slices.Contains(machines, any(s.machine.MachineARN)) {
			continue
		}
		targets, _ := r.Properties["Targets"].([]any)
		for _, t := range targets {
			f, ok := s.hub.Function(text(t, "Arn"))
			if !ok {
				continue
			}
			rule := endedRule{function: f.Name, paths: map[string]string{}, template: text(t, "InputTransformer", "InputTemplate")}
			paths, _ := dig(t, "InputTransformer", "InputPathsMap").(map[string]any)
			for name, path := range paths {
				rule.paths[name], _ = path.(string)
			}
			return rule, true
		}
	}
	return endedRule{}, false
}

// payload transforms the event as EventBridge does: a variable outside of quotes
// is put in as JSON. Source: EventBridge input transformation, read 2026-11.
func (r endedRule) payload(x *asl.Execution) ([]byte, error) {
	event := map[string]any{"detail": map[string]any{
		"executionArn": x.ARN, "stateMachineArn": x.MachineARN, "name": x.Name, "status": string(x.Status),
	}}
	out := r.template
	for name, path := range r.paths {
		value, err := json.Marshal(dig(event, strings.Split(strings.TrimPrefix(path, "$."), ".")...))
		if err != nil {
			return nil, fmt.Errorf("input transformer, path %s: %w", path, err)
		}
		out = strings.ReplaceAll(out, "<"+name+">", string(value))
	}
	if !json.Valid([]byte(out)) {
		return nil, fmt.Errorf("the input transformer makes no JSON: %s", out)
	}
	return []byte(out), nil
}

// cut splits an IAM action.
func cut(action string) (service, operation string, ok bool) { return strings.Cut(action, ":") }
