package stage

import (
	"fmt"
	"slices"
	"strings"

	"ec2patch/internal/asl"
	"ec2patch/internal/iam"
)

// SameMachine tells whether a deployed definition, JSON as DescribeStateMachine
// returns it, is one of a hub template's. ARNs are not compared: they differ
// with account, region and release. Numbers may have become texts on the way.
func SameMachine(hub []byte, deployed string) (bool, error) {
	t := &Templates{Resources: map[string]*iam.Policy{}}
	if err := t.loadHub(hub, "", nil); err != nil {
		return false, &FileError{What: hubTemplate, Err: err}
	}
	theirs, err := asl.ParseJSON([]byte(deployed))
	if err != nil {
		return false, fmt.Errorf("the deployed definition is no JSON: %w", err)
	}
	for _, m := range t.Hub.OfType(stateMachine) {
		ours, err := t.Hub.Definition(m.LogicalID)
		if err != nil {
			return false, &FileError{What: hubTemplate, Err: err}
		}
		if flat(ours) == flat(theirs) {
			return true, nil
		}
	}
	return false, nil
}

const hubTemplate = "hub template"

// flat writes a definition in one form, whatever the order of its members.
func flat(n *asl.Node) string {
	switch v := n.Value.(type) {
	case []asl.Field:
		var all []string
		for _, f := range v {
			all = append(all, fmt.Sprintf("%q:%s", f.Key, flat(f.Value)))
		}
		slices.Sort(all)
		return "{" + strings.Join(all, ",") + "}"
	case []*asl.Node:
		var all []string
		for _, item := range v {
			all = append(all, flat(item))
		}
		return "[" + strings.Join(all, ",") + "]"
	case string:
		if strings.HasPrefix(v, "arn:") {
			return `"arn"`
		}
	}
	return fmt.Sprintf("%q", fmt.Sprint(n.Value))
}
