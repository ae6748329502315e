package cfn_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
	"ec2patch/internal/golden"
	"ec2patch/internal/iam"
)

// TestTemplates reads the templates that are shipped: everything in them must be known here, policies and machine too.
func TestTemplates(t *testing.T) {
	tests := []struct {
		file       string
		parameters map[string]string
		machines   []string
	}{
		{"hub-cfn.yaml", map[string]string{"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
			"CrossAccountExternalId": secret}, []string{"OrchestratorStateMachine", "TargetStateMachine"}},
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

const (
	hubAccount   = "111111111111"
	spokeAccount = "222222222222"
	secret       = "0123456789abcdef0123456789abcdef"
)

// spokeRoles deploys a spoke's template, and gives its roles by name.
func spokeRoles(t *testing.T, file string, parameters map[string]string) map[string]cfn.Role {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	template, err := cfn.Load(file, data)
	require.NoError(t, err)
	all := map[string]string{"HubAccountId": hubAccount, "ExternalId": secret}
	maps.Copy(all, parameters)
	stack, err := template.Deploy(cfn.Deployment{
		StackName: "spoke", Account: spokeAccount, Region: "us-east-1", Parameters: all,
	})
	require.NoError(t, err)
	roles := map[string]cfn.Role{}
	for _, role := range stack.Roles() {
		roles[role.Name] = role
	}
	return roles
}

// rights asks for every known action, on every kind of resource of the spoke's account, whether a role may do it.
func rights(t *testing.T, role cfn.Role) []string {
	t.Helper()
	var set iam.Policies
	for _, doc := range role.Policies {
		policy, err := iam.ParsePolicy(doc.Name, doc.JSON)
		require.NoError(t, err)
		set.Identity = append(set.Identity, policy)
	}
	var out []string
	for _, action := range iam.Actions() {
		resources := iam.Sample(action, spokeAccount, "us-east-1")
		if action == "ssm:SendCommand" {
			resources = append(resources, "arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline",
				"arn:aws:ssm:us-east-1::document/AWS-RunShellScript", "arn:aws:ec2:us-east-1:111111111111:instance/sample")
		}
		for _, resource := range resources {
			request := iam.Request{Principal: iam.Session(role.ARN, "test"), Action: action, Resources: []string{resource}}
			if iam.Evaluate(request, set).Allowed {
				out = append(out, action+" on "+resource)
			}
		}
	}
	return out
}

// comers lists the roles of the hub that a spoke's role lets in, with the external id or with another.
func comers(t *testing.T, role cfn.Role, externalID string) []string {
	t.Helper()
	trust, err := iam.ParsePolicy("trust", role.Trust)
	require.NoError(t, err)
	anything, err := iam.ParsePolicy("anything",
		[]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	require.NoError(t, err)
	var out []string
	functions := []string{
		"PreEC2Inventory", "SendSsmCommand", "PollSsmCommand", "PostEC2Verify", "SendApprovalRequest", "ApprovalCallback",
	}
	for _, name := range functions {
		arn := "arn:aws:iam::" + hubAccount + ":role/ec2patch-" + name + "Role"
		d := iam.Evaluate(iam.Request{
			Principal: iam.Session(arn, "test"), Action: "sts:AssumeRole",
			Resources: []string{role.ARN}, ResourceAccount: spokeAccount,
			Context: map[string][]string{"sts:ExternalId": {externalID}, "aws:PrincipalArn": {arn}},
		}, iam.Policies{Identity: []*iam.Policy{anything}, Resource: []*iam.Policy{trust}})
		if d.Allowed {
			out = append(out, name)
		}
	}
	return out
}

// TestTemplates_spokeRoles writes down who gets into the spoke's roles and what they may do there. The file is what a
// customer's security team wants to read; a change of it is a change of what we may do.
func TestTemplates_spokeRoles(t *testing.T) {
	roles := spokeRoles(t, "../../cloudformation/spoke-cfn.yaml", nil)
	require.Len(t, roles, 2)
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role := roles[name]
		fmt.Fprintf(&out, "%s, assumed by %s\n", name, strings.Join(comers(t, role, secret), ", "))
		assert.Empty(t, comers(t, role, "another external id"))
		for _, right := range rights(t, role) {
			fmt.Fprintf(&out, "  %s\n", right)
		}
	}
	golden.Equal(t, "spoke-roles.want.txt", []byte(out.String()))
}

// TestTemplates_formerHub compares the role that a former hub needs, as it was released, with what FormerHub leaves of
// it: the same rights, handed to the same roles.
func TestTemplates_formerHub(t *testing.T) {
	former := spokeRoles(t, "testdata/former-spoke.yaml", nil)["PatchExecRole"]
	require.NotEmpty(t, rights(t, former))
	require.Len(t, comers(t, former, secret), 4)
	on := spokeRoles(t, "../../cloudformation/spoke-cfn.yaml", map[string]string{"FormerHub": "true"})
	assert.Equal(t, rights(t, former), rights(t, on["PatchExecRole"]))
	assert.Equal(t, comers(t, former, secret), comers(t, on["PatchExecRole"], secret))
	assert.Empty(t, comers(t, on["PatchExecRole"], "another external id"))
	assert.Equal(t, former.LogicalID, on["PatchExecRole"].LogicalID, "another one of its name cannot be made beside it")
	assert.Equal(t, former.Policies[0].Name, on["PatchExecRole"].Policies[0].Name, "its policy is replaced in one step")

	off := spokeRoles(t, "../../cloudformation/spoke-cfn.yaml", map[string]string{"FormerHub": "false"})
	assert.Equal(t, []string{"SendSsmCommand"}, comers(t, off["PatchExecRole"], secret))
	assert.Len(t, rights(t, off["PatchExecRole"]), 2, "the document and the instances")
	assert.Equal(t, on["PatchExecRoleReader"], off["PatchExecRoleReader"])
	both := slices.Concat(rights(t, off["PatchExecRole"]), rights(t, off["PatchExecRoleReader"]))
	assert.ElementsMatch(t, rights(t, former), both, "nothing was added or lost")
}

// TestTemplates_rolePath looks at what CloudFormation is given for the path of a role: nothing where it is /, since a
// path that was not written out before may make it replace the role, which fails because of the name.
func TestTemplates_rolePath(t *testing.T) {
	parameters := map[string]map[string]string{
		"hub-cfn.yaml":   {"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip", "CrossAccountExternalId": secret},
		"spoke-cfn.yaml": {"HubAccountId": hubAccount, "ExternalId": secret},
	}
	for file, given := range parameters {
		data, err := os.ReadFile("../../cloudformation/" + file)
		require.NoError(t, err)
		template, err := cfn.Load(file, data)
		require.NoError(t, err)
		roles := deploy(t, template, given).OfType("AWS::IAM::Role")
		require.NotEmpty(t, roles)
		for _, role := range roles {
			assert.NotContains(t, role.Properties, "Path", role.LogicalID)
		}
		given["RolePath"] = "/team/"
		for _, role := range deploy(t, template, given).OfType("AWS::IAM::Role") {
			assert.Contains(t, role.ARN, ":role/team/", role.LogicalID)
		}
	}
}

// TestTemplates_boundary gives a spoke's boundary by name, by ARN, by both and not at all.
func TestTemplates_boundary(t *testing.T) {
	const byARN = "arn:aws:iam::aws:policy/PowerUserAccess"
	for _, test := range []struct{ name, arn, want string }{
		{"", "", ""},
		{"team/Boundary", "", "arn:aws:iam::" + spokeAccount + ":policy/team/Boundary"},
		{"", byARN, byARN},
		{"Boundary", byARN, "arn:aws:iam::" + spokeAccount + ":policy/Boundary"},
	} {
		roles := spokeRoles(t, "../../cloudformation/spoke-cfn.yaml",
			map[string]string{"PermissionsBoundaryName": test.name, "PermissionsBoundaryArn": test.arn})
		require.Len(t, roles, 2)
		for _, role := range roles {
			assert.Equal(t, test.want, role.Boundary)
		}
	}
}
