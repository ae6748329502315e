package cfn_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/cfn"
)

func load(t *testing.T, file string) *cfn.Template {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	template, err := cfn.Load(file, data)
	require.NoError(t, err)
	return template
}

func deploy(t *testing.T, template *cfn.Template, parameters map[string]string) *cfn.Stack {
	t.Helper()
	stack, err := template.Deploy(cfn.Deployment{StackName: "hub", Account: "111111111111", Region: "us-east-1",
		Parameters: parameters})
	require.NoError(t, err)
	return stack
}

func TestTemplate_Deploy(t *testing.T) {
	stack := deploy(t, load(t, "hub.yaml"), map[string]string{"ExternalId": "0123456789"})
	require.Equal(t, map[string]string{
		"MachineArn": "arn:aws:states:us-east-1:111111111111:stateMachine:ec2patch-orchestrator",
		"TableArn":   stack.Resources["StateTable"].ARN,
	}, stack.Outputs)
	require.Equal(t, map[string]string{"hub-machine": stack.Outputs["MachineArn"]}, stack.Exports)
	require.Equal(t, []string{"StateTable", "PollRole", "PollFunction", "PollVersion", "PollStarts", "Machine",
		"QuietLog"}, stack.Order)
	require.NotContains(t, stack.Resources, "Topic", "its condition is false")
	require.Equal(t, "/aws/lambda/ec2patch/${Literal}", stack.Resources["QuietLog"].Name)
	require.Equal(t, "Retain", stack.Resources["StateTable"].DeletionPolicy)
}
