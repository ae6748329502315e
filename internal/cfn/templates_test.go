package cfn_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
	"ec2patch/internal/iam"
)

// TestTemplates reads the templates that are shipped: everything in them must be known here, policies and machine too.
func TestTemplates(t *testing.T) {
	secret := "0123456789abcdef0123456789abcdef"
	tests := []struct {
		file       string
		parameters map[string]string
		machines   int
	}{
		{"hub-cfn.yaml", map[string]string{"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip", "CrossAccountExternalId": secret}, 1},
		{"spoke-cfn.yaml", map[string]string{"HubAccountId": "111111111111", "ExternalId": secret}, 0},
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
			require.Len(t, stack.OfType("AWS::StepFunctions::StateMachine"), test.machines)
			if test.machines == 1 {
				definition, err := stack.Definition()
				require.NoError(t, err)
				_, err = asl.Load(definition)
				require.NoError(t, err)
			}
		})
	}
}
