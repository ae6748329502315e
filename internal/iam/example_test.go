package iam_test

import (
	"fmt"

	"ec2patch/internal/iam"
)

// A send to an instance is allowed only where the document and the instance both are.
func ExampleEvaluate() {
	policy, err := iam.ParsePolicy("patch", []byte(`{"Version": "2012-10-17", "Statement": [
	  {"Sid": "Document", "Effect": "Allow", "Action": "ssm:SendCommand",
	   "Resource": "arn:aws:ssm:*::document/AWS-RunPatchBaseline"},
	  {"Sid": "TaggedInstances", "Effect": "Allow", "Action": "ssm:SendCommand",
	   "Resource": "arn:aws:ec2:*:222222222222:instance/*",
	   "Condition": {"StringEquals": {"ssm:resourceTag/PatchGroup": "default"}}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	machine := "arn:aws:ec2:us-east-1:222222222222:instance/i-0123456789abcdef0"
	for _, group := range []string{"default", "other"} {
		d := iam.Evaluate(iam.Request{
			Principal: iam.Session("arn:aws:iam::222222222222:role/PatchExecRole", "run-1"),
			Action:    "ssm:SendCommand",
			Resources: []string{"arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline", machine},
			ResourceContext: map[string]map[string][]string{
				machine: {"ssm:resourceTag/PatchGroup": {group}},
			},
		}, iam.Policies{Identity: []*iam.Policy{policy}})
		fmt.Println(group, d.Allowed, d.By)
	}
	// Output:
	// default true patch/Document
	// other false
}
