package cfn_test

import (
	"fmt"

	"ec2patch/internal/cfn"
)

// A template is deployed on paper: what CloudFormation would make of it, without an account.
func ExampleTemplate_Deploy() {
	template, err := cfn.Load("role.yaml", []byte(`
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  NamePrefix:
    Type: String
    AllowedPattern: "[a-z0-9-]+"
    Default: ec2patch
Resources:
  PollRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub "${NamePrefix}-poll"
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: lambda.amazonaws.com}
            Action: sts:AssumeRole
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	where := cfn.Deployment{StackName: "hub", Account: "111111111111", Region: "us-east-1"}
	stack, err := template.Deploy(where)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, role := range stack.Roles() {
		fmt.Println(role.LogicalID, role.ARN)
	}

	where.Parameters = map[string]string{"NamePrefix": "EC2 Patch"}
	_, err = template.Deploy(where)
	fmt.Println(err)
	// Output:
	// PollRole arn:aws:iam::111111111111:role/ec2patch-poll
	// role.yaml:4: parameter NamePrefix: "EC2 Patch" does not match [a-z0-9-]+
}
