package iam_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
)

func TestParsePolicy_refuses(t *testing.T) {
	const allow = `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`
	condition := func(inside string) string {
		return `"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{` + inside + `}`
	}
	resource := func(arn string) string {
		return `"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + arn + `"`
	}
	principal := func(inside string) string {
		return `"Effect":"Allow","Action":"sts:AssumeRole","Principal":` + inside
	}
	tests := []struct {
		rule, statement, want string
	}{
		{"an unknown element", allow + `,"Resources":"*"`, "p/#0: unknown element Resources"},
		{"NotPrincipal is not supported", allow + `,"NotPrincipal":"*"`, "p/#0: unknown element NotPrincipal"},
		{"elements keep their case", `"effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`,
			"p/#0: unknown element effect\np/#0: Effect must be Allow or Deny"},
		{"an unknown effect", `"Effect":"allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`,
			"p/#0: Effect must be Allow or Deny"},
		{"a Sid with other characters", `"Sid":"read all",` + allow,
			"p/read all: Sid has other characters than letters and digits"},
		{"no action", `"Effect":"Allow","Resource":"*"`, "p/#0: one of Action and NotAction is needed"},
		{"an empty list of actions", `"Effect":"Allow","Action":[],"Resource":"*"`, "p/#0: Action is empty"},
		{"an unknown action", `"Effect":"Allow","Action":"ssm:SendCommands","Resource":"*"`,
			"p/#0: unknown action ssm:SendCommands"},
		{"an unknown service", `"Effect":"Allow","Action":"xray:PutTraceSegments","Resource":"*"`,
			"p/#0: unknown action xray:PutTraceSegments"},
		{"a pattern without any action", `"Effect":"Allow","Action":"ssm:Sand*","Resource":"*"`,
			"p/#0: unknown action ssm:Sand*"},
		{"a pattern for services", `"Effect":"Allow","Action":"s*:Publish","Resource":"*"`,
			`p/#0: action "s*:Publish": service:Name is needed`},
		{"no resource", `"Effect":"Allow","Action":"s3:GetObject"`, "p/#0: Resource is missing"},
		{"a resource that is no ARN", resource("table/ec2patch-state"),
			`p/#0: resource "table/ec2patch-state": not an ARN: six parts with colons between them`},
		{"an ARN with five parts", resource("arn:aws:dynamodb:us-east-1:table"),
			`p/#0: resource "arn:aws:dynamodb:us-east-1:table": not an ARN: six parts with colons between them`},
		{"an ARN without partition, as unresolved templates have",
			resource("arn::dynamodb:us-east-1:111111111111:table/x"),
			`p/#0: resource "arn::dynamodb:us-east-1:111111111111:table/x": not an ARN: six parts with colons between them`},
		{"an unknown partition", resource("arn:amazon:dynamodb:us-east-1:111111111111:table/x"),
			`p/#0: resource "arn:amazon:dynamodb:us-east-1:111111111111:table/x": not an ARN: partition "amazon"`},
		{"an account of eleven digits", resource("arn:aws:dynamodb:us-east-1:11111111111:table/x"),
			`p/#0: resource "arn:aws:dynamodb:us-east-1:11111111111:table/x": not an ARN: account "11111111111"`},
		{"a star for the service", resource("arn:aws:*:us-east-1:111111111111:table/x"),
			`p/#0: resource "arn:aws:*:us-east-1:111111111111:table/x": not an ARN: the service must be written out`},
		{"an unknown variable", resource("arn:aws:dynamodb:*:*:table/${AWS::StackName}"),
			`p/#0: resource "arn:aws:dynamodb:*:*:table/${AWS::StackName}": unknown policy variable ${AWS::StackName}`},
		{"a variable with several values", resource("arn:aws:dynamodb:*:*:table/${dynamodb:LeadingKeys}"),
			`p/#0: resource "arn:aws:dynamodb:*:*:table/${dynamodb:LeadingKeys}": unknown policy variable ${dynamodb:LeadingKeys}`},
		{"a variable without its end", resource("arn:aws:dynamodb:*:*:table/${aws:userid"),
			`p/#0: resource "arn:aws:dynamodb:*:*:table/${aws:userid": ${ without its }`},
		{"Resource and NotResource", allow + `,"NotResource":"*"`, "p/#0: Resource and NotResource together"},

		{"an unknown operator", condition(`"StringMatches":{"s3:prefix":"x"}`),
			"p/#0: unknown condition operator StringMatches"},
		{"an operator in the wrong case", condition(`"stringEquals":{"s3:prefix":"x"}`),
			"p/#0: unknown condition operator stringEquals"},
		{"an unknown quantifier", condition(`"ForSomeValues:StringEquals":{"s3:prefix":"x"}`),
			"p/#0: unknown condition operator ForSomeValues:StringEquals"},
		{"NullIfExists does not exist", condition(`"NullIfExists":{"s3:prefix":"true"}`),
			"p/#0: unknown condition operator NullIfExists"},
		{"an unknown condition key", condition(`"StringEquals":{"s3:prefixes":"x"}`),
			"p/#0: unknown condition key s3:prefixes"},
		{"a tag key without a tag", condition(`"StringEquals":{"aws:PrincipalTag/":"x"}`),
			"p/#0: unknown condition key aws:PrincipalTag/"},
		{"a key that no action of the statement sets", condition(`"StringEquals":{"sts:ExternalId":"x"}`),
			"p/#0: no action of the statement sets the condition key sts:externalid"},
		{"a key without a value", condition(`"StringEquals":{"s3:prefix":[]}`),
			"p/#0: condition key s3:prefix has no value"},
		{"a value that is an object", condition(`"StringEquals":{"s3:prefix":{"a":"b"}}`),
			"p/#0: condition key s3:prefix: a value must be text, a number or a boolean\np/#0: condition key " +
				"s3:prefix has no value"},
		{"an empty condition", condition(``), "p/#0: Condition must be an object that is not empty"},
		{"a boolean that is none", condition(`"Bool":{"aws:SecureTransport":"yes"}`),
			`p/#0: condition key aws:SecureTransport: bad value "yes" for Bool`},
		{"a number that is none", condition(`"NumericEquals":{"s3:max-keys":"ten"}`),
			`p/#0: condition key s3:max-keys: bad value "ten" for NumericEquals`},
		{"a date that is none", condition(`"DateLessThan":{"aws:CurrentTime":"tomorrow"}`),
			`p/#0: condition key aws:CurrentTime: bad value "tomorrow" for DateLessThan`},
		{"an address that is none", condition(`"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}`),
			`p/#0: condition key aws:SourceIp: bad value "10.0.0.0/33" for IpAddress`},
		{"an ARN condition without an ARN", condition(`"ArnLike":{"aws:PrincipalArn":"ec2patch-*"}`),
			`p/#0: condition key aws:PrincipalArn: "ec2patch-*": not an ARN: six parts with colons between them`},
		{"an operator that does not suit the key", condition(`"NumericEquals":{"s3:prefix":"1"}`),
			"p/#0: NumericEquals does not suit the condition key s3:prefix"},
		{"a key of several values without a quantifier", `"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` +
			tableARN + `","Condition":{"StringLike":{"dynamodb:LeadingKeys":"RUN#*"}}`,
			"p/#0: dynamodb:LeadingKeys may have several values: use ForAllValues or ForAnyValue"},
		{"a quantifier for a key of one value", condition(`"ForAllValues:StringEquals":{"s3:prefix":"x"}`),
			"p/#0: s3:prefix has one value: ForAllValues and ForAnyValue do not suit it"},

		{"an action that never applies to its resources",
			`"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::b/*"`,
			"p/#0: action s3:ListBucket never applies to the resources of the statement"},
		{"a resource that no action applies to",
			`"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::b"]`,
			"p/#0: no action of the statement applies to the resource arn:aws:s3:::b"},
		{"an action that knows no resources",
			`"Effect":"Allow","Action":"ssm:ListCommands","Resource":"arn:aws:ssm:*:*:document/*"`,
			"p/#0: action ssm:ListCommands never applies to the resources of the statement\np/#0: no action of the " +
				"statement applies to the resource arn:aws:ssm:*:*:document/*"},
		{"a log stream without the star of its group",
			`"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"arn:aws:logs:*:*:log-group:/aws/lambda/x"`,
			"p/#0: action logs:PutLogEvents never applies to the resources of the statement\np/#0: no action of the " +
				"statement applies to the resource arn:aws:logs:*:*:log-group:/aws/lambda/x"},

		{"a principal that is no object", principal(`"arn:aws:iam::111111111111:root"`),
			`p/#0: Principal must be "*" or an object`},
		{"an unknown kind of principal", principal(`{"CanonicalUser":"x"}`),
			"p/#0: unknown element CanonicalUser\np/#0: bad principal CanonicalUser: x"},
		{"a star in a principal", principal(`{"AWS":"arn:aws:iam::111111111111:role/*"}`),
			"p/#0: bad principal AWS: arn:aws:iam::111111111111:role/*"},
		{"a principal of eleven digits", principal(`{"AWS":"11111111111"}`), "p/#0: bad principal AWS: 11111111111"},
		{"a service that is none", principal(`{"Service":"lambda"}`), "p/#0: bad principal Service: lambda"},
		{"a provider that is no ARN", principal(`{"Federated":"token.actions.githubusercontent.com"}`),
			"p/#0: bad principal Federated: token.actions.githubusercontent.com"},
		{"a resource policy without a resource", `"Effect":"Allow","Action":"s3:GetObject","Principal":"*"`,
			"p/#0: Resource is missing: only a trust policy, for sts actions, goes without"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			_, err := iam.ParsePolicy("p", []byte(`{"Version":"2012-10-17","Statement":[{`+test.statement+`}]}`))
			require.EqualError(t, err, test.want)
		})
	}
}

func TestParsePolicy_refusesDocuments(t *testing.T) {
	const statement = `"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`
	tests := []struct {
		rule, doc, want string
	}{
		{"no JSON", `{`, "p: not JSON: EOF"},
		{"a list", `[]`, "p: a policy is an object"},
		{"text after the document", `{"Version":"2012-10-17",` + statement + `}{}`,
			"p: not JSON: text after the document"},
		{"null", `{"Version":"2012-10-17","Id":null,` + statement + `}`, "p: not JSON: null"},
		{"a repeated key", `{"Version":"2012-10-17",` + statement + `,` + statement + `}`,
			`p: not JSON: key "Statement" stands there twice`},
		{"no version", `{` + statement + `}`, `p: Version must be "2012-10-17"`},
		{"the old version", `{"Version":"2008-10-17",` + statement + `}`, `p: Version must be "2012-10-17"`},
		{"no statement", `{"Version":"2012-10-17","Statement":[]}`, "p: no Statement"},
		{"a statement that is text", `{"Version":"2012-10-17","Statement":["x"]}`, "p/#0: a statement is an object"},
		{"a Sid twice",
			`{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"},{"Sid":"A","Effect":"Deny","Action":"s3:GetObject","Resource":"*"}]}`, "p/A: Sid A stands there twice"},
		{"two kinds of policy in one",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"},{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}`,
			"p/#1: Principal and Resource must stand in all statements or in none"},
		{"all problems at once", `{"Statement":[{"Effect":"Maybe","Action":"s3:Nothing","Resource":"x"}]}`,
			"p: Version must be \"2012-10-17\"\np/#0: Effect must be Allow or Deny\np/#0: unknown action " +
				"s3:Nothing\np/#0: resource \"x\": not an ARN: six parts with colons between them"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			_, err := iam.ParsePolicy("p", []byte(test.doc))
			require.EqualError(t, err, test.want)
		})
	}
}

// TestParsePolicy_takes has documents as AWS's guides show them for what the hub does.
func TestParsePolicy_takes(t *testing.T) {
	tests := []struct {
		rule, doc string
		kind      iam.Kind
	}{
		{"a key policy for a log group", `{"Version":"2012-10-17","Statement":[
			{"Sid":"Account","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"kms:*","Resource":"*"},
			{"Sid":"Logs","Effect":"Allow","Principal":{"Service":"logs.us-east-1.amazonaws.com"},
			 "Action":["kms:Encrypt*","kms:Decrypt*","kms:ReEncrypt*","kms:GenerateDataKey*","kms:Describe*"],"Resource":"*",
			 "Condition":{"ArnLike":{"kms:EncryptionContext:aws:logs:arn":"arn:aws:logs:us-east-1:111111111111:log-group:/aws/lambda/ec2patch-*"}}}]}`, iam.Resource},
		{"a topic policy",
			`{"Version":"2012-10-17","Id":"topic","Statement":{"Sid":"Alarms","Effect":"Allow","Principal":{"Service":"cloudwatch.amazonaws.com"},
			"Action":"SNS:Publish","Resource":"arn:aws:sns:us-east-1:111111111111:alarms","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:cloudwatch:us-east-1:111111111111:alarm:*"}}}}`, iam.Resource},
		{"a trust policy",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com"]},"Action":"sts:AssumeRole"}}`, iam.Trust},
		{"log delivery of a state machine",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["logs:CreateLogDelivery","logs:GetLogDelivery","logs:UpdateLogDelivery",
			"logs:DeleteLogDelivery","logs:ListLogDeliveries","logs:PutResourcePolicy","logs:DescribeResourcePolicies","logs:DescribeLogGroups"],"Resource":"*"}}`, iam.Identity},
		{"log events of a function",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],
			"Resource":"arn:aws:logs:us-east-1:111111111111:log-group:/aws/lambda/ec2patch-PollSsmCommand:*"}}`,
			iam.Identity},
		{"the children of a distributed map", `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"states:StartExecution","Resource":"arn:aws:states:us-east-1:111111111111:stateMachine:ec2patch-orchestrator"},
			{"Effect":"Allow","Action":["states:DescribeExecution","states:StopExecution"],"Resource":"arn:aws:states:us-east-1:111111111111:execution:ec2patch-orchestrator:*"},
			{"Effect":"Allow","Action":"states:RedriveExecution","Resource":"arn:aws:states:us-east-1:111111111111:execution:ec2patch-orchestrator/Accounts:*"}]}`, iam.Identity},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			p, err := iam.ParsePolicy("p", []byte(test.doc))
			require.NoError(t, err)
			require.Equal(t, test.kind, p.Kind)
		})
	}
}

func TestCoverage_Unused(t *testing.T) {
	p := parse(t, "p", `{"Version":"2012-10-17","Statement":[
		{"Sid":"Rows","Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:PutItem"],"Resource":"`+tableARN+`"},
		{"Sid":"AllRows","Effect":"Allow","Action":"dynamodb:*Item","Resource":"`+tableARN+`"},
		{"Sid":"NoDelete","Effect":"Deny","Action":"dynamodb:DeleteItem","Resource":"`+tableARN+`"}]}`)
	var c iam.Coverage
	for _, action := range []string{"dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:DeleteItem"} {
		c.Record(one(hubSend, action, tableARN, nil, iam.Policies{Identity: []*iam.Policy{p}}))
	}
	require.Equal(t, []iam.Use{
		{Statement: p.Statements[0], Pattern: "dynamodb:PutItem"},
		{Statement: p.Statements[1], Pattern: "dynamodb:*Item"},
	}, c.Unused(p), "the first statement that allows is the one that is used, and denies are not counted")
	require.Equal(t, "p/AllRows", c.Unused(p)[1].Statement.Label())
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(
		[]byte(
			`{"Version":"2012-10-17","Statement":{"Sid":"A","Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/${aws:userid}*","Condition":{"ForAnyValue:StringLike":{"aws:CalledVia":["x"]}}}}`))
	f.Add(
		[]byte(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":["*","111111111111"]},"NotAction":"kms:*","NotResource":"arn:*:s3:::?"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := iam.ParsePolicy("p", doc)
		if (p == nil) != (err != nil) {
			t.Fatalf("ParsePolicy = %v, %v; want one of them", p, err)
		}
		if p == nil {
			return
		}
		set := iam.Policies{Identity: []*iam.Policy{p}, Resource: []*iam.Policy{p}}
		if d := one(hubSend, "s3:GetObject", "arn:aws:s3:::b/x", nil, set); d.Allowed == (d.Reason != "") {
			t.Fatalf("Evaluate = %+v, want a reason for a refusal only", d)
		}
	})
}

func BenchmarkEvaluate_oneResource(b *testing.B) {
	set := iam.Policies{Identity: spokePolicies(b)}
	r := iam.Request{Principal: patcher, Action: "ssm:SendCommand", Resources: []string{instance},
		ResourceContext: map[string]map[string][]string{instance: values("ssm:resourceTag/PatchGroup", "default",
			"ssm:resourceTag/Name", "web")}}
	b.ReportAllocs()
	for b.Loop() {
		if !iam.Evaluate(r, set).Allowed {
			b.Fatal("refused")
		}
	}
}

func BenchmarkEvaluate_fiftyInstances(b *testing.B) {
	set := iam.Policies{Identity: spokePolicies(b)}
	set.Session = statement(b, "session",
		`"Effect":"Allow","Action":"ssm:SendCommand","Resource":["arn:aws:ssm:*::document/*","arn:*:ec2:us-east-1:*:instance/*"]`)
	r := iam.Request{Principal: patcher, Action: "ssm:SendCommand", Resources: []string{document},
		ResourceContext: map[string]map[string][]string{}}
	for i := range 50 {
		arn := instance[:len(instance)-2] + string([]byte{'a' + byte(i/10), '0' + byte(i%10)})
		r.Resources = append(r.Resources, arn)
		r.ResourceContext[arn] = values("ssm:resourceTag/PatchGroup", "default")
	}
	b.ReportAllocs()
	for b.Loop() {
		if !iam.Evaluate(r, set).Allowed {
			b.Fatal("refused")
		}
	}
}
