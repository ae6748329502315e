package cfn_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
	"ec2patch/internal/golden"
	"ec2patch/internal/iam"
)

// TestTemplates reads the templates that are shipped: everything in them must be known here, policies and machine too.
func TestTemplates(t *testing.T) {
	secret := "0123456789abcdef0123456789abcdef"
	tests := []struct {
		file       string
		parameters map[string]string
		machines   []string
	}{
		{"hub-cfn.yaml", map[string]string{"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip", "CrossAccountExternalId": secret}, []string{"OrchestratorStateMachine", "TargetStateMachine"}},
		{"organization-reader-cfn.yaml", map[string]string{"HubAccountId": "111111111111", "ExternalId": secret}, nil},
		{"spoke-cfn.yaml", map[string]string{"HubAccountId": "111111111111", "ExternalId": secret}, nil},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			data, err := os.ReadFile("../../cloudformation/" + test.file)
			require.NoError(t, err)
			template, err := cfn.Load(test.file, data)
			require.NoError(t, err)
			stack := deploy(t, template, test.parameters)
			for _, role := range stack.Roles() {
				_, err := iam.ParsePolicy(role.LogicalID+"/trust", role.Trust)
				require.NoError(t, err)
				for _, doc := range role.Policies {
					_, err := iam.ParsePolicy(role.LogicalID+"/"+doc.Name, doc.JSON)
					require.NoError(t, err)
				}
			}
			for _, doc := range stack.ResourcePolicies() {
				_, err := iam.ParsePolicy(doc.Name, doc.JSON)
				require.NoError(t, err)
			}
			require.Len(t, stack.OfType("AWS::StepFunctions::StateMachine"), len(test.machines))
			for _, machine := range test.machines {
				definition, err := stack.Definition(machine)
				require.NoError(t, err)
				_, err = asl.Load(definition)
				require.NoError(t, err)
			}
		})
	}
}

// TestTemplates_spokeRole asks for every known action, on every kind of resource of the spoke's account, whether the spoke's
// role may do it. The file is what a customer's security team wants to read; a change of it is a change of what we may do.
func TestTemplates_spokeRole(t *testing.T) {
	const account = "222222222222"
	data, err := os.ReadFile("../../cloudformation/spoke-cfn.yaml")
	require.NoError(t, err)
	template, err := cfn.Load("spoke-cfn.yaml", data)
	require.NoError(t, err)
	stack, err := template.Deploy(cfn.Deployment{StackName: "spoke", Account: account, Region: "us-east-1",
		Parameters: map[string]string{"HubAccountId": "111111111111", "ExternalId": "0123456789abcdef0123456789abcdef"}})
	require.NoError(t, err)
	require.Len(t, stack.Roles(), 1)
	role := stack.Roles()[0]
	var set iam.Policies
	for _, doc := range role.Policies {
		policy, err := iam.ParsePolicy(doc.Name, doc.JSON)
		require.NoError(t, err)
		set.Identity = append(set.Identity, policy)
	}
	var out strings.Builder
	for _, action := range iam.Actions() {
		resources := iam.Sample(action, account, "us-east-1")
		if action == "ssm:SendCommand" {
			resources = append(resources, "arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline",
				"arn:aws:ssm:us-east-1::document/AWS-RunShellScript", "arn:aws:ec2:us-east-1:111111111111:instance/sample")
		}
		for _, resource := range resources {
			request := iam.Request{Principal: iam.Session(role.ARN, "test"), Action: action, Resources: []string{resource}}
			if d := iam.Evaluate(request, set); d.Allowed {
				fmt.Fprintf(&out, "%s on %s by %s\n", action, resource, d.By)
			}
		}
	}
	golden.Equal(t, "spoke-role.want.txt", []byte(out.String()))
}
