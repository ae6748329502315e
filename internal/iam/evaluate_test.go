package iam_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
)

const (
	hub      = "111111111111"
	spoke    = "222222222222"
	stranger = "999999999999"
	sendRole = "arn:aws:iam::" + hub + ":role/ec2patch-SendSsmCommandRole"
	patchARN = "arn:aws:iam::" + spoke + ":role/PatchExecRole"
	document = "arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline"
	instance = "arn:aws:ec2:us-east-1:" + spoke + ":instance/i-0123456789abcdef0"
	keyARN   = "arn:aws:kms:us-east-1:" + hub + ":key/0123"
	tableARN = "arn:aws:dynamodb:us-east-1:" + hub + ":table/ec2patch-state"
)

func parse(t testing.TB, name, doc string) *iam.Policy {
	t.Helper()
	p, err := iam.ParsePolicy(name, []byte(doc))
	require.NoError(t, err)
	return p
}

// statement wraps the inside of one statement into a policy.
func statement(t testing.TB, name, inside string) []*iam.Policy {
	t.Helper()
	return []*iam.Policy{parse(t, name, `{"Version":"2012-10-17","Statement":[{`+inside+`}]}`)}
}

// spokePolicies are like those of a spoke role: the document, and the instances that carry the tag.
func spokePolicies(t testing.TB) []*iam.Policy {
	t.Helper()
	return []*iam.Policy{parse(t, "patch", `{"Version":"2012-10-17","Statement":[
		{"Sid":"PatchDocument","Effect":"Allow","Action":"ssm:SendCommand","Resource":"arn:aws:ssm:*::document/AWS-RunPatchBaseline"},
		{"Sid":"TaggedInstances","Effect":"Allow","Action":"ssm:SendCommand","Resource":"arn:aws:ec2:*:222222222222:instance/*",
		 "Condition":{"StringLike":{"ssm:resourceTag/PatchGroup":"*"}}},
		{"Sid":"ReadCommands","Effect":"Allow","Action":["ssm:List*","ssm:CancelCommand"],"Resource":"*"}]}`)}
}

var (
	hubSend   = iam.Session(sendRole, "run-1")
	patcher   = iam.Session(patchARN, "run-1")
	outsider  = iam.Session("arn:aws:iam::"+stranger+":role/PatchExecRole", "x")
	lambdaSvc = iam.Principal{Service: "lambda.amazonaws.com"}
)

// one builds the decision for one resource, the common case of the tables below.
func one(p iam.Principal, action, resource string, context map[string][]string, set iam.Policies) iam.Decision {
	return iam.Evaluate(iam.Request{Principal: p, Action: action, Resources: []string{resource}, Context: context}, set)
}

// values is a context of single values.
func values(pairs ...string) map[string][]string {
	out := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = append(out[pairs[i]], pairs[i+1])
	}
	return out
}

func TestEvaluate_sendCommand(t *testing.T) {
	tags := map[string]map[string][]string{instance: {"ssm:resourceTag/PatchGroup": {"default"}}}
	untagged := "arn:aws:ec2:us-east-1:" + spoke + ":instance/i-0000000000000000f"
	elsewhere := "arn:aws:ec2:us-east-1:" + stranger + ":instance/i-0123456789abcdef0"
	session := func(t *testing.T, resources string) []*iam.Policy {
		return statement(t, "session", `"Effect":"Allow","Action":"ssm:SendCommand","Resource":[`+resources+`]`)
	}
	tests := []struct {
		rule      string
		resources []string
		session   string
		want      bool
		reason    string
	}{
		{rule: "document and tagged instance are both allowed", resources: []string{document, instance}, want: true},
		{rule: "an instance without the tag is refused", resources: []string{document, untagged},
			reason: "ssm:SendCommand on " + untagged + ": no identity policy allows it"},
		{rule: "one instance without the tag refuses the whole call", resources: []string{document, instance, untagged},
			reason: "ssm:SendCommand on " + untagged + ": no identity policy allows it"},
		{rule: "a shell document is refused",
			resources: []string{"arn:aws:ssm:us-east-1::document/AWS-RunShellScript", instance},
			reason: "ssm:SendCommand on arn:aws:ssm:us-east-1::document/AWS-RunShellScript: no identity policy " +
				"allows it"},
		{rule: "a document of the same name in the account is refused",
			resources: []string{"arn:aws:ssm:us-east-1:222222222222:document/AWS-RunPatchBaseline", instance},
			reason: "ssm:SendCommand on arn:aws:ssm:us-east-1:222222222222:document/AWS-RunPatchBaseline: no " +
				"identity policy allows it"},
		{rule: "a document whose name begins alike is refused", resources: []string{document + "WithHooks", instance},
			reason: "ssm:SendCommand on " + document + "WithHooks: no identity policy allows it"},
		{rule: "an instance of another account is refused", resources: []string{document, elsewhere},
			reason: "ssm:SendCommand on " + elsewhere + ": no resource policy allows it"},
		{rule: "the session policy lets its instances through", resources: []string{document, instance},
			session: `"` + document + `","arn:*:ec2:us-east-1:*:instance/i-0123456789abcdef0"`, want: true},
		{rule: "the session policy refuses other instances", resources: []string{document, instance},
			session: `"` + document + `","arn:*:ec2:us-east-1:*:instance/i-0aaaaaaaaaaaaaaaa"`,
			reason:  "ssm:SendCommand on " + instance + ": no session policy allows it"},
		{rule: "the session policy cannot give what the role lacks", resources: []string{document, untagged},
			session: `"` + document + `","arn:aws:ec2:*:*:instance/*"`, reason: "ssm:SendCommand on " + untagged +
				": no identity policy allows it"},
		{rule: "a session policy for another region refuses", resources: []string{document, instance},
			session: `"arn:aws:ssm:eu-west-1::document/AWS-RunPatchBaseline","arn:aws:ec2:eu-west-1:*:instance/*"`,
			reason:  "ssm:SendCommand on " + document + ": no session policy allows it"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			set := iam.Policies{Identity: spokePolicies(t)}
			if test.session != "" {
				set.Session = session(t, test.session)
			}
			d := iam.Evaluate(iam.Request{Principal: patcher, Action: "ssm:SendCommand", Resources: test.resources,
				ResourceContext: tags}, set)
			require.Equal(t, test.want, d.Allowed)
			require.Equal(t, test.reason, d.Reason)
		})
	}
}

func TestEvaluate_identity(t *testing.T) {
	const item = "dynamodb:PutItem"
	leading := func(keys ...string) map[string][]string { return map[string][]string{"dynamodb:LeadingKeys": keys} }
	object := "arn:aws:s3:::reports/runs/r1/report.json"
	tests := []struct {
		rule      string
		statement string
		action    string
		resource  string
		context   map[string][]string
		want      bool
	}{
		{"nothing is allowed by default", `"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + tableARN + `"`,
			item, tableARN, nil, false},
		{"an exact allow", `"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"` + tableARN + `"`, item,
			tableARN, nil, true},
		{"action names are the same in any case", `"Effect":"Allow","Action":"DynamoDB:putitem","Resource":"` +
			tableARN + `"`, item, tableARN, nil, true},
		{"a star in an action", `"Effect":"Allow","Action":"dynamodb:Put*","Resource":"` + tableARN + `"`, item,
			tableARN, nil, true},
		{"a question mark is one character", `"Effect":"Allow","Action":"dynamodb:?etItem","Resource":"` + tableARN +
			`"`, "dynamodb:GetItem", tableARN, nil, true},
		{"a question mark is not two characters", `"Effect":"Allow","Action":["dynamodb:?etItem"],"Resource":"` +
			tableARN + `"`, "dynamodb:DeleteItem", tableARN, nil, false},
		{"another table", `"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"` + tableARN + `"`, item,
			tableARN + "2", nil, false},
		{"an index is not its table", `"Effect":"Allow","Action":"dynamodb:Query","Resource":"` + tableARN + `"`,
			"dynamodb:Query", tableARN + "/index/i", nil, false},
		{"resource names keep their case",
			`"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"arn:aws:dynamodb:us-east-1:111111111111:table/EC2PATCH-state"`, item, tableARN, nil, false},
		{"a star stays in its segment",
			`"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"arn:aws:dynamodb:*:999999999999:table/*"`, item,
			tableARN, nil, false},
		{"a star for region and account",
			`"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"arn:aws:dynamodb:*:*:table/ec2patch-*"`, item,
			tableARN, nil, true},
		{"a star goes over slashes",
			`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/runs/*"`, "s3:GetObject",
			object, nil, true},
		{"another prefix", `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/plans/*"`,
			"s3:GetObject", object, nil, false},
		{"NotResource allows the rest",
			`"Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::reports/plans/*"`, "s3:GetObject",
			object, nil, true},
		{"NotResource does not allow what it names",
			`"Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::reports/runs/*"`, "s3:GetObject",
			object, nil, false},
		{"NotAction allows the rest", `"Effect":"Allow","NotAction":"iam:*","Resource":"*"`, "s3:GetObject",
			object, nil, true},
		{"NotAction does not allow what it names", `"Effect":"Allow","NotAction":"s3:*","Resource":"*"`, "s3:GetObject",
			object, nil, false},
		{"a read call has the resource *", `"Effect":"Allow","Action":"ssm:ListCommands","Resource":"*"`,
			"ssm:ListCommands", "*", nil, true},

		{"a variable in a resource",
			`"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/${aws:PrincipalAccount}/*"`,
			"s3:PutObject", "arn:aws:s3:::reports/111111111111/x", nil, true},
		{"a variable with another value",
			`"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/${aws:PrincipalAccount}/*"`,
			"s3:PutObject", "arn:aws:s3:::reports/222222222222/x", nil, false},
		{"a variable without a value matches nothing",
			`"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/${aws:SourceIdentity}*"`,
			"s3:PutObject", "arn:aws:s3:::reports/x", nil, false},
		{"a star in a variable's value is only a star",
			`"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/${aws:SourceIdentity}"`,
			"s3:PutObject", "arn:aws:s3:::reports/any", values("aws:SourceIdentity", "*"), false},
		{"${*} is only a star", `"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/${*}"`,
			"s3:PutObject", "arn:aws:s3:::reports/any", nil, false},

		{"StringEquals holds", cond("s3:ListBucket", `"StringEquals":{"s3:prefix":["a/","runs/"]}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "runs/"), true},
		{"StringEquals knows no stars", cond("s3:ListBucket", `"StringEquals":{"s3:prefix":"runs/*"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "runs/r1"), false},
		{"StringEquals fails without the key", cond("s3:ListBucket", `"StringEquals":{"s3:prefix":"runs/"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, false},
		{"StringEqualsIfExists holds without the key",
			cond("s3:ListBucket", `"StringEqualsIfExists":{"s3:prefix":"runs/"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", nil, true},
		{"StringEqualsIfExists looks at a key that is there",
			cond("s3:ListBucket", `"StringEqualsIfExists":{"s3:prefix":"runs/"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "a/"), false},
		{"StringEqualsIgnoreCase", cond("s3:ListBucket", `"StringEqualsIgnoreCase":{"s3:prefix":"RUNS/"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("s3:prefix", "runs/"), true},
		{"StringNotEquals holds without the key", cond("s3:ListBucket", `"StringNotEquals":{"s3:prefix":"a/"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"StringNotEquals means none of the values",
			cond("s3:ListBucket", `"StringNotEquals":{"s3:prefix":["a/","b/"]}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "b/"), false},
		{"StringLike knows stars", cond("s3:ListBucket", `"StringLike":{"s3:prefix":"runs/*/x"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "runs/r1/x"), true},
		{"StringNotLike", cond("s3:ListBucket", `"StringNotLike":{"s3:prefix":"runs/*"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "runs/r1"), false},
		{"a question mark is one letter of any script", cond("s3:ListBucket", `"StringLike":{"s3:prefix":"r?ns"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("s3:prefix", "r\u00fcns"), true},
		{"condition keys are the same in any case", cond("s3:ListBucket", `"StringEquals":{"S3:Prefix":"runs/"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("s3:prefix", "runs/"), true},
		{"all operators must hold",
			cond("s3:ListBucket", `"StringLike":{"s3:prefix":"runs/*"},"Bool":{"aws:SecureTransport":"false"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("s3:prefix", "runs/r1"), false},
		{"NumericLessThanEquals", cond("s3:ListBucket", `"NumericLessThanEquals":{"s3:max-keys":10}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:max-keys", "10"), true},
		{"NumericLessThan", cond("s3:ListBucket", `"NumericLessThan":{"s3:max-keys":"10"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:max-keys", "10"), false},
		{"a number that is none", cond("s3:ListBucket", `"NumericLessThan":{"s3:max-keys":"10"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:max-keys", "few"), false},
		{"DateLessThan", cond("s3:ListBucket", `"DateLessThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("aws:CurrentTime", "2026-11-30T23:59:59Z"), true},
		{"DateGreaterThan", cond("s3:ListBucket", `"DateGreaterThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("aws:CurrentTime", "2026-11-30T23:59:59Z"), false},
		{"IpAddress in the range", cond("s3:ListBucket", `"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32"]}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("aws:SourceIp", "10.1.2.3"), true},
		{"NotIpAddress in the range", cond("s3:ListBucket", `"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("aws:SourceIp", "10.1.2.3"), false},
		{"Bool takes true from the transport", cond("s3:ListBucket", `"Bool":{"aws:SecureTransport":true}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"Null true wants the key absent", cond("s3:ListBucket", `"Null":{"s3:prefix":"true"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "runs/"), false},
		{"Null false wants the key there", cond("s3:ListBucket", `"Null":{"s3:prefix":"false"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "runs/"), true},
		{"ArnLike by segments",
			cond("s3:ListBucket", `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/ec2patch-*"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"ArnNotLike", cond("s3:ListBucket", `"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/ec2patch-*"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, false},
		{"ArnEquals knows stars too",
			cond("s3:ListBucket", `"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/ec2patch-Send*"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"aws:PrincipalArn is the role and not the session",
			cond("s3:ListBucket", `"StringEquals":{"aws:PrincipalArn":"`+hubSend.ARN+`"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", nil, false},
		{"the request cannot claim another principal",
			cond("s3:ListBucket", `"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/admin"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("aws:PrincipalArn", "arn:aws:iam::111111111111:role/admin"),
			false},

		{"aws:PrincipalType of a session", cond("s3:ListBucket", `"StringEquals":{"aws:PrincipalType":"AssumedRole"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"aws:PrincipalIsAWSService of a session",
			cond("s3:ListBucket", `"Bool":{"aws:PrincipalIsAWSService":"false"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", nil, true},
		{"aws:PrincipalServiceName of a session is absent",
			cond("s3:ListBucket", `"Null":{"aws:PrincipalServiceName":"true"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", nil, true},
		{"aws:ViaAWSService is false unless said", cond("s3:ListBucket", `"Bool":{"aws:ViaAWSService":"false"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"aws:ResourceAccount of a bucket is the caller's unless said",
			cond("s3:ListBucket", `"StringEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", nil, true},
		{"a variable in an ARN condition",
			cond("s3:ListBucket", `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:role/*"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", nil, true},
		{"an ARN condition on what is no ARN", cond("s3:ListBucket", `"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}`),
			"s3:ListBucket", "arn:aws:s3:::reports", values("aws:SourceArn", "sns"), false},
		{"NumericGreaterThan", cond("s3:ListBucket", `"NumericGreaterThan":{"s3:max-keys":"9"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:max-keys", "10"), true},
		{"a date in seconds", cond("s3:ListBucket", `"DateLessThan":{"aws:EpochTime":"2026-12-01"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("aws:EpochTime", "1700000000"), true},
		{"one address as a range", cond("s3:ListBucket", `"IpAddress":{"aws:SourceIp":"10.1.2.3"}`), "s3:ListBucket",
			"arn:aws:s3:::reports", values("aws:SourceIp", "10.1.2.4"), false},
		{"ForAllValues holds for all", table(`"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["RUN#*","OPEN"]}`),
			item, tableARN, leading("RUN#1", "OPEN"), true},
		{"ForAllValues fails for one", table(`"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"RUN#*"}`), item,
			tableARN, leading("RUN#1", "LEASE#1"), false},
		{"ForAllValues holds without the key", table(`"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"RUN#*"}`),
			item, tableARN, nil, true},
		{"Null beside ForAllValues wants the key",
			table(`"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"RUN#*"},"Null":{"dynamodb:LeadingKeys":"false"}`),
			item, tableARN, nil, false},
		{"ForAnyValue holds for one", table(`"ForAnyValue:StringLike":{"dynamodb:LeadingKeys":"RUN#*"}`), item,
			tableARN, leading("LEASE#1", "RUN#1"), true},
		{"ForAnyValue fails without the key", table(`"ForAnyValue:StringLike":{"dynamodb:LeadingKeys":"RUN#*"}`), item,
			tableARN, nil, false},
		{"ForAnyValue Not fails without the key", table(`"ForAnyValue:StringNotLike":{"dynamodb:LeadingKeys":"RUN#*"}`),
			item, tableARN, nil, false},

		{"an unknown action is refused", `"Effect":"Allow","Action":"*","Resource":"*"`, "dynamodb:PurgeItem",
			tableARN, nil, false},
		{"an action in the wrong case is refused in a request", `"Effect":"Allow","Action":"*","Resource":"*"`,
			"dynamodb:putItem", tableARN, nil, false},
		{"an unknown condition key in a request is refused", `"Effect":"Allow","Action":"*","Resource":"*"`, item,
			tableARN, values("dynamodb:LeadingKey", "x"), false},
		{"several values of a single-valued key are refused", `"Effect":"Allow","Action":"*","Resource":"*"`,
			"s3:ListBucket", "arn:aws:s3:::reports", values("s3:prefix", "a", "s3:prefix", "b"), false},
		{"a key given twice is refused", `"Effect":"Allow","Action":"*","Resource":"*"`, "s3:ListBucket",
			"arn:aws:s3:::reports", values("s3:prefix", "a", "s3:Prefix", "b"), false},
		{"a resource that the action does not have is refused", `"Effect":"Allow","Action":"*","Resource":"*"`, item,
			"arn:aws:s3:::reports", nil, false},
		{"* as the resource of an action that has some is refused", `"Effect":"Allow","Action":"*","Resource":"*"`,
			item, "*", nil, false},
		{"an object is no bucket", `"Effect":"Allow","Action":"*","Resource":"*"`, "s3:ListBucket", object, nil, false},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			d := one(hubSend, test.action, test.resource, test.context,
				iam.Policies{Identity: statement(t, "p", test.statement)})
			require.Equal(t, test.want, d.Allowed, d.Reason)
			require.Equal(t, test.want, d.Reason == "", "a refusal has a reason, and only a refusal")
		})
	}
}

func cond(action, condition string) string {
	return `"Effect":"Allow","Action":"` + action + `","Resource":"arn:aws:s3:::reports","Condition":{` +
		condition + `}`
}

func table(condition string) string {
	return `"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"` + tableARN + `","Condition":{` + condition + `}`
}

func TestEvaluate_combined(t *testing.T) {
	const (
		allowAll   = `"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"`
		rootKey    = `"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"kms:*","Resource":"*"`
		roleKey    = `"Effect":"Allow","Principal":{"AWS":"` + sendRole + `"},"Action":"kms:Decrypt","Resource":"*"`
		sessionKey = `"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/ec2patch-SendSsmCommandRole/run-1"},"Action":"kms:Decrypt","Resource":"*"`
		spokeKey   = `"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"kms:Decrypt","Resource":"*"`
		onlyS3     = `"Effect":"Allow","Action":"s3:GetObject","Resource":"*"`
		denyKey    = `"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"`
	)
	tests := []struct {
		rule                                  string
		caller                                iam.Principal
		identity, session, boundary, resource string
		want                                  bool
		by                                    string
		used                                  int
		context                               map[string][]string
	}{
		{rule: "a key without a policy lets nobody in", caller: hubSend, identity: allowAll},
		{rule: "a key policy that names the root delegates to identity policies", caller: hubSend, identity: allowAll,
			resource: rootKey, want: true, by: "identity/#0", used: 2},
		{rule: "delegation alone gives nothing", caller: hubSend, resource: rootKey},
		{rule: "a key policy that names the role needs no identity policy", caller: hubSend, resource: roleKey,
			want: true, by: "resource/#0", used: 1},
		{rule: "another role is not named", caller: iam.Session("arn:aws:iam::111111111111:role/other", "x"),
			resource: roleKey},
		{rule: "a session policy limits what the resource policy gives to the role", caller: hubSend, session: onlyS3,
			resource: roleKey},
		{rule: "a session policy does not limit what is given to the very session", caller: hubSend, session: onlyS3,
			resource: sessionKey, want: true, by: "resource/#0", used: 1},
		{rule: "a session policy limits the identity policies", caller: hubSend, identity: allowAll, session: onlyS3,
			resource: rootKey},
		{rule: "identity and session policy together", caller: hubSend, identity: allowAll, session: allowAll,
			resource: rootKey, want: true, by: "identity/#0", used: 3},
		{rule: "a session policy gives nothing by itself", caller: hubSend, identity: onlyS3, session: allowAll,
			resource: rootKey},
		{rule: "a boundary limits the identity policies", caller: hubSend, identity: allowAll, boundary: onlyS3,
			resource: rootKey},
		{rule: "identity policy and boundary together", caller: hubSend, identity: allowAll, boundary: allowAll,
			resource: rootKey, want: true, by: "identity/#0", used: 3},
		{rule: "a deny in the session policy wins", caller: hubSend, identity: allowAll,
			session: `"Effect":"Deny","Action":"kms:*","Resource":"*"`, resource: rootKey, by: "session/#0", used: 1},
		{rule: "a deny in the boundary wins", caller: hubSend, identity: allowAll,
			boundary: `"Effect":"Deny","Action":"kms:*","Resource":"*"`, resource: roleKey, by: "boundary/#0", used: 1},
		{rule: "a deny in the resource policy wins", caller: hubSend, identity: allowAll, resource: denyKey,
			by: "resource/#0", used: 1},
		{rule: "a deny in the identity policy wins over the resource policy", caller: hubSend,
			identity: `"Effect":"Deny","Action":"kms:*","Resource":"*"`, resource: roleKey, by: "identity/#0", used: 1},
		{rule: "another account needs both sides", caller: patcher, identity: allowAll, resource: spokeKey, want: true,
			by: "identity/#0", used: 2},
		{rule: "another account with the key policy alone", caller: patcher, resource: spokeKey},
		{rule: "another account with the identity policy alone", caller: patcher, identity: allowAll,
			resource: rootKey},
		{rule: "a third account is not named", caller: outsider, identity: allowAll, resource: spokeKey},
		{rule: "everybody includes another account that allows it itself", caller: outsider, identity: allowAll,
			resource: `"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Decrypt","Resource":"*"`, want: true,
			by: "identity/#0", used: 2},
		{rule: "everybody is limited by kms:CallerAccount", caller: outsider, identity: allowAll,
			resource: `"Effect":"Allow","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"111111111111"}}`},
		{rule: "a service needs the resource policy only", caller: lambdaSvc,
			resource: `"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"kms:Decrypt","Resource":"*"`,
			want:     true, by: "resource/#0", used: 1},
		{rule: "another service is not named", caller: iam.Principal{Service: "events.amazonaws.com"},
			resource: `"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"kms:Decrypt","Resource":"*"`},
		{rule: "a service without the source account that the policy wants", caller: lambdaSvc,
			resource: `"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"111111111111"}}`},
		{rule: "a caller whose account is not that of the ARN", caller: iam.Principal{Account: hub, ARN: patcher.ARN,
			RoleARN: patcher.RoleARN}, identity: allowAll, resource: rootKey},
		{rule: "an alarm on an encrypted topic says where it comes from",
			caller:   iam.Principal{Service: "cloudwatch.amazonaws.com"},
			resource: `"Effect":"Allow","Principal":{"Service":"cloudwatch.amazonaws.com"},"Action":["kms:Decrypt","kms:GenerateDataKey*"],"Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:cloudwatch:us-east-1:111111111111:alarm:*"}}`,
			context:  values("aws:SourceArn", "arn:aws:cloudwatch:us-east-1:111111111111:alarm:x"), want: true,
			by: "resource/#0", used: 1},
		{rule: "EventBridge on an encrypted topic does not, so such a condition drops its messages",
			caller:   iam.Principal{Service: "events.amazonaws.com"},
			resource: `"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":["kms:Decrypt","kms:GenerateDataKey*"],"Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"111111111111"}}`},
		{rule: "a caller who says nothing of himself", caller: iam.Principal{Account: hub}, identity: allowAll,
			resource: rootKey},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			var set iam.Policies
			for _, side := range []struct {
				name, inside string
				into         *[]*iam.Policy
			}{{"identity", test.identity, &set.Identity}, {"session", test.session, &set.Session},
				{"boundary", test.boundary, &set.Boundary}, {"resource", test.resource, &set.Resource}} {
				if side.inside != "" {
					*side.into = statement(t, side.name, side.inside)
				}
			}
			d := one(test.caller, "kms:Decrypt", keyARN, test.context, set)
			require.Equal(t, test.want, d.Allowed, d.Reason)
			require.Equal(t, test.by, d.By)
			require.Len(t, d.Used, test.used)
		})
	}
}

func TestEvaluate_byAUser(t *testing.T) {
	user := iam.Principal{Account: hub, ARN: "arn:aws:iam::111111111111:user/ops"}
	set := iam.Policies{Identity: statement(t, "p",
		cond("s3:ListBucket",
			`"StringEquals":{"aws:PrincipalType":"User","aws:PrincipalArn":"arn:aws:iam::111111111111:user/ops"}`))}
	require.True(t, one(user, "s3:ListBucket", "arn:aws:s3:::reports", nil, set).Allowed)
	key := statement(t, "key",
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/ops"},"Action":"kms:Decrypt","Resource":"*"`)
	require.True(t, one(user, "kms:Decrypt", keyARN, nil, iam.Policies{Resource: key}).Allowed)
	require.False(t, one(hubSend, "kms:Decrypt", keyARN, nil, iam.Policies{Resource: key}).Allowed)
}

func TestEvaluate_keyActionsWithoutAKey(t *testing.T) {
	set := iam.Policies{Identity: statement(t, "p",
		`"Effect":"Allow","Action":["kms:ListAliases","kms:CreateAlias"],"Resource":"*"`)}
	require.True(t, one(hubSend, "kms:ListAliases", "*", nil, set).Allowed)
	alias := iam.Request{Principal: hubSend, Action: "kms:CreateAlias",
		Resources: []string{"arn:aws:kms:us-east-1:111111111111:alias/hub"}}
	require.True(t, iam.Evaluate(alias, set).Allowed, "an alias has no policy of its own")
	alias.Resources = append(alias.Resources, keyARN)
	require.False(t, iam.Evaluate(alias, set).Allowed, "its key has")
}

func TestEvaluate_bucketPolicy(t *testing.T) {
	bucket := []*iam.Policy{parse(t, "bucket", `{"Version":"2012-10-17","Statement":[
		{"Sid":"TLSOnly","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::reports","arn:aws:s3:::reports/*"],
		 "Condition":{"Bool":{"aws:SecureTransport":"false"}}},
		{"Sid":"OwnPrefix","Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/${aws:PrincipalAccount}/*"}]}`)}
	put := statement(t, "put",
		`"Effect":"Allow","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::reports/*"`)
	tests := []struct {
		rule    string
		caller  iam.Principal
		action  string
		key     string
		context map[string][]string
		want    bool
	}{
		{"a spoke writes under its own prefix", patcher, "s3:PutObject", "222222222222/out", nil, true},
		{"a spoke cannot write under another account's prefix", patcher, "s3:PutObject",
			"333333333333/out", nil, false},
		{"a spoke cannot delete its own output", patcher, "s3:DeleteObject", "222222222222/out", nil, false},
		{"an account that is not named cannot write", outsider, "s3:PutObject", "999999999999/out", nil, false},
		{"the owner's account needs its identity policy only", hubSend, "s3:DeleteObject",
			"222222222222/out", nil, true},
		{"nobody gets in without TLS", hubSend, "s3:DeleteObject", "222222222222/out", values("aws:SecureTransport",
			"false"), false},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			d := iam.Evaluate(iam.Request{Principal: test.caller, Action: test.action,
				Resources: []string{"arn:aws:s3:::reports/" + test.key}, ResourceAccount: hub, Context: test.context},
				iam.Policies{Identity: put, Resource: bucket})
			require.Equal(t, test.want, d.Allowed, d.Reason)
		})
	}
}

// TestEvaluate_spokeRoleRefuses is the list of calls that a stolen session of the spoke role must not be able to make.
func TestEvaluate_spokeRoleRefuses(t *testing.T) {
	parameter := "arn:aws:ssm:us-east-1:" + spoke + ":parameter/secret"
	for action, resource := range map[string]string{
		"ssm:StartSession": instance, "ssm:GetParameter": parameter, "ssm:PutParameter": parameter,
		"ssm:CreateAssociation":        instance,
		"ssm:StartAutomationExecution": document, "ssm:CreateDocument": "arn:aws:ssm:us-east-1:" + spoke +
			":document/mine",
		"ec2:TerminateInstances": instance, "ec2:StopInstances": instance, "ec2:RebootInstances": instance,
		"ec2:CreateTags":              instance,
		"ec2:ModifyInstanceAttribute": instance, "iam:PassRole": patchARN, "iam:PutRolePolicy": patchARN,
		"iam:UpdateAssumeRolePolicy": patchARN,
		"iam:AttachRolePolicy":       patchARN, "sts:AssumeRole": "arn:aws:iam::" + spoke + ":role/admin",
		"s3:GetObject": "arn:aws:s3:::secrets/x", "ssm:RegisterPatchBaselineForPatchGroup": "*",
	} {
		t.Run(action, func(t *testing.T) {
			require.True(t, iam.Known(action))
			d := one(patcher, action, resource, nil, iam.Policies{Identity: spokePolicies(t)})
			require.False(t, d.Allowed)
			require.Regexp(t, "no (identity|resource) policy allows it$", d.Reason)
		})
	}
}

func TestEvaluate_denyNamesItsStatement(t *testing.T) {
	set := iam.Policies{Identity: []*iam.Policy{parse(t, "p", `{"Version":"2012-10-17","Statement":[
		{"Sid":"All","Effect":"Allow","Action":"ssm:*","Resource":"*"},
		{"Sid":"OtherDocuments","Effect":"Deny","Action":"ssm:SendCommand","NotResource":["arn:aws:ssm:*::document/AWS-RunPatchBaseline","arn:aws:ec2:*:*:instance/*"]}]}`)}}
	d := one(patcher, "ssm:SendCommand", "arn:aws:ssm:us-east-1::document/AWS-RunShellScript", nil, set)
	require.Equal(t, "p/OtherDocuments", d.By)
	require.Equal(t,
		"ssm:SendCommand on arn:aws:ssm:us-east-1::document/AWS-RunShellScript: explicit deny in p/OtherDocuments",
		d.Reason)
	require.True(t, one(patcher, "ssm:SendCommand", document, nil, set).Allowed)
}
