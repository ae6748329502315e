package guard

import "ec2patch/internal/cfn"

// Where templates are deployed on paper. No test depends on the values.
const (
	account = "999999999999"
	region  = "us-east-1"
	other   = "888888888888" // an account that has nothing to do with us
)

// given are the parameters without defaults, and those that turn on what would not be there.
func given(file string) map[string]string {
	secret := "0123456789abcdef0123456789abcdef"
	key := "arn:aws:kms:" + region + ":" + account + ":key/00000000-0000-0000-0000-000000000000"
	switch file {
	case Hub:
		return map[string]string{"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
			"CrossAccountExternalId": secret, "NotificationEmail": "a@example.com",
			"OrganizationReaderRoleArn": "arn:aws:iam::" + other + ":role/PatchOrganizationReader"}
	case Spoke, Reader:
		return map[string]string{"HubAccountId": account, "ExternalId": secret}
	case Schedule, Rule:
		return map[string]string{"DataKeyArn": key}
	}
	return nil
}

// deploy resolves the template with the given parameters.
func (t *Template) deploy() (*cfn.Stack, error) {
	template, err := cfn.Load(t.Name, t.data)
	if err != nil {
		return nil, err
	}
	return template.Deploy(cfn.Deployment{StackName: "ec2patch", Account: account, Region: region,
		Parameters: given(t.Name)})
}
