package stage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ec2patch/internal/asl"
)

// EndedRule is the template's rule for executions that ended, and its target.
type EndedRule struct {
	Function string
	paths    map[string]string // variable to path in the event
	template string
}

// EndedRule finds the rule that matches the status of an execution of our machine.
func (s *Stage) EndedRule(status string) (EndedRule, bool) {
	for _, r := range s.Hub.OfType("AWS::Events::Rule") {
		if text(r.Properties, "State") == "DISABLED" {
			continue
		}
		statuses, _ := dig(r.Properties, "EventPattern", "detail", "status").([]any)
		machines, _ := dig(r.Properties, "EventPattern", "detail", "stateMachineArn").([]any)
		if !slices.Contains(statuses, any(status)) || !slices.Contains(machines, any(s.Machine.MachineARN)) {
			continue
		}
		targets, _ := r.Properties["Targets"].([]any)
		for _, t := range targets {
			f, ok := s.Hub.Function(text(t, "Arn"))
			if !ok {
				continue
			}
			rule := EndedRule{Function: f.Name, paths: map[string]string{},
				template: text(t, "InputTransformer", "InputTemplate")}
			paths, _ := dig(t, "InputTransformer", "InputPathsMap").(map[string]any)
			for name, path := range paths {
				rule.paths[name], _ = path.(string)
			}
			return rule, true
		}
	}
	return EndedRule{}, false
}

// Payload transforms the event as EventBridge does: a variable outside of quotes
// is put in as JSON. Source: EventBridge input transformation, read 2026-11.
func (r EndedRule) Payload(x *asl.Execution) ([]byte, error) {
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
func SplitAction(action string) (service, operation string, ok bool) { return strings.Cut(action, ":") }
