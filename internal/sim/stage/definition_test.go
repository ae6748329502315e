package stage

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
)

// plain is a node as encoding/json writes it: in another order than the template's.
func plain(n *asl.Node) any {
	switch v := n.Value.(type) {
	case []asl.Field:
		m := map[string]any{}
		for _, f := range v {
			m[f.Key] = plain(f.Value)
		}
		return m
	case []*asl.Node:
		all := []any{}
		for _, item := range v {
			all = append(all, plain(item))
		}
		return all
	}
	return n.Value
}

func TestSameMachine(t *testing.T) {
	hub, err := os.ReadFile("../../../cloudformation/hub-cfn.yaml")
	require.NoError(t, err)
	template, err := cfn.Load("hub-cfn.yaml", hub)
	require.NoError(t, err)
	stack, err := template.Deploy(cfn.Deployment{StackName: "other", Account: "123456789012", Region: "eu-west-1",
		Parameters: HubParameters(template, "", nil)})
	require.NoError(t, err)
	deployedAs := func(logicalID string) string {
		node, err := stack.Definition(logicalID)
		require.NoError(t, err)
		data, err := json.Marshal(plain(node))
		require.NoError(t, err)
		require.Contains(t, string(data), "eu-west-1")
		return string(data)
	}
	deployed, target := deployedAs(orchestrator), deployedAs("TargetStateMachine")

	for text, want := range map[string]bool{
		deployed: true,
		strings.Replace(deployed, `"TimeoutSeconds":320`, `"TimeoutSeconds":"320"`, 1): true,
		strings.Replace(deployed, `"TimeoutSeconds":320`, `"TimeoutSeconds":321`, 1):   false,
		strings.Replace(deployed, `"Next":"FreezePlan"`, `"Next":"RunWaves"`, 1):       false,
		target: true,
		strings.Replace(target, `"NumericGreaterThan":10`, `"NumericGreaterThan":11`, 1): false,
		`{"States":{}}`: false,
	} {
		same, err := SameMachine(hub, text)
		require.NoError(t, err)
		assert.Equal(t, want, same, text[:min(len(text), 80)])
	}
	_, err = SameMachine(hub, "no JSON")
	assert.ErrorContains(t, err, "is no JSON")
	_, err = SameMachine([]byte("a: ["), "{}")
	assert.ErrorContains(t, err, "hub template")
}
