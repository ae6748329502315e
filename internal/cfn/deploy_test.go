package cfn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
)

func deployAs(t *testing.T, template *cfn.Template, name string) *cfn.Stack {
	t.Helper()
	stack, err := template.Deploy(cfn.Deployment{StackName: name, Account: "111111111111", Region: "us-east-1"})
	require.NoError(t, err)
	return stack
}

func TestTemplate_Deploy_parameters(t *testing.T) {
	tests := []struct {
		rule, parameter string
		given           map[string]string
		want            string
	}{
		{"a missing one", "{Type: String}", nil, "t.yaml:3: parameter P must have a value"},
		{"an unknown one", "{Type: String, Default: a}", map[string]string{"p": "x", "Q": "y"},
			"t.yaml: parameter Q is not in the template\nt.yaml: parameter p is not in the template"},
		{"an empty one is a value", "{Type: String}", map[string]string{"P": ""}, ""},
		{"allowed values", "{Type: String, AllowedValues: [arm64, x86_64]}", map[string]string{"P": "arm"},
			`t.yaml:3: parameter P: "arm" is not one of arm64, x86_64`},
		{"allowed values may be numbers", "{Type: Number, AllowedValues: [1, 3]}", map[string]string{"P": "3"}, ""},
		{"the pattern holds for the whole value", "{Type: String, AllowedPattern: \"[a-z]+\"}",
			map[string]string{"P": "ab1"}, `t.yaml:3: parameter P: "ab1" does not match [a-z]+`},
		{"the pattern holds for each value of a list", "{Type: CommaDelimitedList, AllowedPattern: \"[a-z]+\"}",
			map[string]string{"P": "ab, 1"}, `t.yaml:3: parameter P: "ab, 1" does not match [a-z]+`},
		{"the pattern's explanation is told",
			"{Type: String, AllowedPattern: \"[a-z]+\", ConstraintDescription: letters only}",
			map[string]string{"P": "1"}, `t.yaml:3: parameter P: "1" does not match [a-z]+: letters only`},
		{"a count above 1000 in a pattern", "{Type: String, AllowedPattern: \"[a-z]{2,1224}\"}",
			map[string]string{"P": "a"}, `t.yaml:3: parameter P: "a" does not match [a-z]{2,1224}`},
		{"a value that is never shown", "{Type: String, NoEcho: true, MinLength: 8, AllowedPattern: \"[a-z]+\"}",
			map[string]string{"P": "s3cret"}, "t.yaml:3: parameter P: (NoEcho) does not match [a-z]+\nt.yaml:3: " +
				"parameter P: (NoEcho) has 6 characters, outside MinLength and MaxLength"},
		{"too long", "{Type: String, MaxLength: 3}", map[string]string{"P": "abcd"},
			`t.yaml:3: parameter P: "abcd" has 4 characters, outside MinLength and MaxLength`},
		{"a number that is none", "{Type: Number}", map[string]string{"P": "ten"},
			`t.yaml:3: parameter P: "ten" is not a number`},
		{"a number below its least value", "{Type: Number, MinValue: 5}", map[string]string{"P": "4"},
			`t.yaml:3: parameter P: 4 is outside MinValue and MaxValue`},
		{"a number above its greatest value", "{Type: Number, MaxValue: 900}", map[string]string{"P": "901"},
			`t.yaml:3: parameter P: 901 is outside MinValue and MaxValue`},
		{"each number of a list", "{Type: List<Number>, MaxValue: 5}", map[string]string{"P": "1, 9,x"},
			"t.yaml:3: parameter P: \"x\" is not a number\nt.yaml:3: parameter P: 9 is outside MinValue and MaxValue"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			template, err := cfn.Load("t.yaml", []byte(minimal("Parameters:\n  P: "+test.parameter)))
			require.NoError(t, err)
			_, err = template.Deploy(cfn.Deployment{StackName: "s", Account: "111111111111", Region: "us-east-1",
				Parameters: test.given})
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
		})
	}
}

func TestTemplate_Deploy_place(t *testing.T) {
	template := load(t, "types.yaml")
	_, err := template.Deploy(cfn.Deployment{StackName: "1", Account: "1", Region: "moon", Partition: "gcp"})
	require.EqualError(t, err, "types.yaml: account \"1\" is not a 12-digit account id\n"+
		"types.yaml: region \"moon\" is no region\n"+
		"types.yaml: stack name \"1\": letters, digits and hyphens, a letter first, at most 128\n"+
		"types.yaml: unknown partition \"gcp\"")
}

// TestTemplate_Deploy_functions gives an expression and the text that an output makes of it.
func TestTemplate_Deploy_functions(t *testing.T) {
	const head = `Parameters:
  Count: {Type: Number, Default: 15}
  Empty: {Type: String, Default: ""}
  List: {Type: CommaDelimitedList, Default: "a, b,c", AllowedPattern: "[a-z]"}
Mappings:
  Sizes: {us-east-1: {memory: 256, zones: [x, z]}}
Conditions:
  Hot: !Equals [!Ref Count, 15]
  Cold: !Not [!Condition Hot]
  Both: {"Fn::And": [{Condition: Hot}, !Condition Cold]}
  Either: !Or [!Condition Both, !Condition Hot]
Resources:
  T: {Type: AWS::SNS::Topic, Properties: {TopicName: topic}}
  Dropped: {Type: AWS::SNS::Topic, Condition: Cold}
  Kept: {Type: AWS::SNS::Topic, Condition: Either}
Outputs:
  O: {Value: `
	tests := []struct {
		rule, expression, want, problem string
	}{
		{rule: "a number parameter is text", expression: "!Ref Count", want: "15"},
		{rule: "a literal number", expression: "0.5", want: "0.5"},
		{rule: "a literal boolean", expression: "true", want: "true"},
		{rule: "pseudo parameters",
			expression: "!Sub \"${AWS::Partition} ${AWS::Region} ${AWS::AccountId} ${AWS::StackName} " +
				"${AWS::URLSuffix}\"", want: "aws us-east-1 111111111111 s amazonaws.com"},
		{rule: "the long form of Ref", expression: "{Ref: T}", want: "arn:aws:sns:us-east-1:111111111111:topic"},
		{rule: "GetAtt as text", expression: "!GetAtt T.TopicName", want: "topic"},
		{rule: "GetAtt as a list", expression: "{\"Fn::GetAtt\": [T, TopicName]}", want: "topic"},
		{rule: "Sub of an attribute", expression: "!Sub \"x-${T.TopicName}\"", want: "x-topic"},
		{rule: "Sub leaves a literal", expression: "!Sub \"${!Count}-${Count}\"", want: "${Count}-15"},
		{rule: "Sub with its own values", expression: "!Sub [\"${A}-${Count}\", {A: !Select [1, !Ref List]}]",
			want: "b-15"},
		{rule: "its own values hide a parameter", expression: "!Sub [\"${Count}\", {Count: own}]", want: "own"},
		{rule: "If takes its first branch", expression: "!If [Hot, a, b]", want: "a"},
		{rule: "If takes its second branch", expression: "!If [Both, a, b]", want: "b"},
		{rule: "the branch not taken may refer to what is not there", expression: "!If [Cold, !Ref Dropped, none]",
			want: "none"},
		{rule: "FindInMap", expression: "!FindInMap [Sizes, !Ref AWS::Region, memory]", want: "256"},
		{rule: "FindInMap of a list", expression: "!Select [\"1\", !FindInMap [Sizes, us-east-1, zones]]", want: "z"},
		{rule: "Join of a list parameter", expression: "!Join [\"|\", !Ref List]", want: "a|b|c"},
		{rule: "Join leaves out what has no value",
			expression: "!Join [\"|\", [a, !If [Cold, b, !Ref AWS::NoValue], c]]", want: "a|c"},
		{rule: "Split and Select", expression: "!Select [2, !Split [\":\", !Ref T]]", want: "sns"},
		{rule: "Base64", expression: "{\"Fn::Base64\": !Sub \"${Count}\"}", want: "MTU="},
		{rule: "an import", expression: "!ImportValue hub-table", want: "ec2patch-state"},

		{rule: "an import that nobody exports", expression: "!ImportValue nothing",
			problem: "t.yaml:18: Fn::ImportValue: no stack exports nothing"},
		{rule: "a Ref to a resource that is dropped", expression: "!Ref Dropped",
			problem: "t.yaml:18: Dropped is referred to, but its condition Cold is false"},
		{rule: "a list where text is needed", expression: "!Ref List",
			problem: "t.yaml:18: text is needed here, not a list, a mapping or nothing"},
		{rule: "a list inside a Sub", expression: "!Sub \"${List}\"",
			problem: "t.yaml:18: Fn::Sub: ${List} is a list or nothing, not text"},
		{rule: "nothing where text is needed", expression: "!Ref AWS::NoValue",
			problem: "t.yaml:18: text is needed here, not a list, a mapping or nothing"},
		{rule: "a key that the mapping lacks", expression: "!FindInMap [Sizes, !Ref AWS::Region, cpu]",
			problem: "t.yaml:18: Fn::FindInMap: no Sizes.us-east-1.cpu"},
		{rule: "an element that the list lacks", expression: "!Select [3, !Ref List]",
			problem: "t.yaml:18: Fn::Select: no element 3 in a list of 3"},
		{rule: "a Join whose delimiter is a function", expression: "!Join [!Ref Empty, [a]]",
			problem: "t.yaml:18: Fn::Join: the delimiter must be written out"},
		{rule: "a Split whose delimiter is empty", expression: "!Select [0, !Split [\"\", a]]",
			problem: "t.yaml:18: Fn::Split: the delimiter must be written out"},
		{rule: "a Join of lists", expression: "!Join [\"\", [!Ref List]]",
			problem: "t.yaml:18: a list of texts is needed here"},
		{rule: "Join of text", expression: "!Join [\"|\", !Ref Count]", problem: "t.yaml:18: a list is needed here"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			template, err := cfn.Load("t.yaml",
				[]byte("AWSTemplateFormatVersion: \"2010-09-09\"\n"+head+test.expression+"}\n"))
			require.NoError(t, err)
			stack, err := template.Deploy(cfn.Deployment{StackName: "s", Account: "111111111111", Region: "us-east-1",
				Imports: map[string]string{"hub-table": "ec2patch-state"}})
			if test.problem != "" {
				require.EqualError(t, err, test.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, stack.Outputs["O"])
			require.NotContains(t, stack.Resources, "Dropped")
			require.Contains(t, stack.Resources, "Kept")
		})
	}
}

func TestTemplate_Deploy_refuses(t *testing.T) {
	tests := []struct {
		rule, template, want string
	}{
		{"resources in a circle", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref B}}\n  B: " +
			"{Type: AWS::SNS::Topic, DependsOn: C}\n  C: {Type: AWS::SNS::Topic, Properties: {TopicName: !GetAtt " +
			"A.TopicName}}",
			"t.yaml:3: circular dependency: A -> B -> C -> A"},
		{"a resource that refers to itself",
			"Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !GetAtt A.TopicName}}",
			"t.yaml:3: circular dependency: A -> A"},
		{"conditions in a circle", "Conditions:\n  C: !Not [!Condition D]\n  D: !Not [!Condition C]\nResources:\n  " +
			"A: {Type: AWS::SNS::Topic, Condition: C}", "t.yaml:4: circular condition: C -> D -> C"},
		{"a condition that is no function",
			"Conditions:\n  C: \"true\"\nResources:\n  A: {Type: AWS::SNS::Topic, Condition: C}",
			"t.yaml:3: a condition function is needed here"},
		{"a broken rule", "Parameters:\n  P: {Type: String, Default: x}\nRules:\n  R:\n    Assertions:\n      - " +
			"{Assert: !Contains [[a, b], !Ref P], AssertDescription: P must be a or b}\nResources:\n  A: {Type: " +
			"AWS::SNS::Topic}", "t.yaml:7: rule R: P must be a or b"},
		{"a property that an ARN needs", "Resources:\n  A: {Type: AWS::Lambda::Version}",
			"t.yaml:3: A: AWS::Lambda::Version needs the property FunctionName"},
		{"an alias that routes to no version",
			"Resources:\n  A: {Type: AWS::StepFunctions::StateMachineAlias, Properties: {Name: live}}",
			"t.yaml:3: A: no StateMachineVersionArn to route to"},
		{"a version of a function that is elsewhere",
			"Resources:\n  A: {Type: AWS::Lambda::Version, Properties: {FunctionName: other}}",
			"t.yaml:3: A: function \"other\" is not in this stack"},
		{"a function without a role", "Resources:\n  A: {Type: AWS::Lambda::Function}",
			"t.yaml:3: A: a function needs Role"},
		{"a timeout that is no number",
			"Resources:\n  A: {Type: AWS::Lambda::Function, Properties: {Role: r, Timeout: soon}}",
			"t.yaml:3: A: Timeout must be a whole number, not \"soon\""},
		{"a variable that is a list", "Resources:\n  A: {Type: AWS::Lambda::Function, Properties: {Role: r, " +
			"Environment: {Variables: {V: [a]}}}}", "t.yaml:3: A: environment variable V must be text"},
		{"a role without a trust policy", "Resources:\n  A: {Type: AWS::IAM::Role}",
			"t.yaml:3: A: AssumeRolePolicyDocument must be a policy document"},
		{"an inline policy without a name",
			"Resources:\n  A: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}, Policies: " +
				"[{PolicyDocument: {}}]}}", "t.yaml:3: A: Policies[0] needs PolicyName and PolicyDocument"},
		{"a policy for a role that is elsewhere",
			"Resources:\n  A: {Type: AWS::IAM::Policy, Properties: {PolicyName: p, Roles: [other], PolicyDocument: {}}}",
			"t.yaml:3: A: role \"other\" is not in this stack"},
		{"a bucket policy for a bucket that is elsewhere",
			"Resources:\n  A: {Type: AWS::S3::BucketPolicy, Properties: {Bucket: other, PolicyDocument: {}}}",
			"t.yaml:3: A: what it governs is not in this stack"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			template, err := cfn.Load("t.yaml", []byte("AWSTemplateFormatVersion: \"2010-09-09\"\n"+test.template))
			require.NoError(t, err)
			_, err = template.Deploy(cfn.Deployment{StackName: "s", Account: "111111111111", Region: "us-east-1"})
			require.EqualError(t, err, test.want)
		})
	}
}

func TestStack_Roles(t *testing.T) {
	secret := map[string]string{"ExternalId": "0123456789"}
	roles := deploy(t, load(t, "hub.yaml"), secret).Roles()
	require.Len(t, roles, 1)
	role := roles[0]
	require.Equal(t, "PollRole", role.LogicalID)
	require.Equal(t, "arn:aws:iam::111111111111:role/ec2patch-PollRole", role.ARN)
	require.Equal(t, 3600, role.MaxSessionSeconds)
	require.JSONEq(t,
		`{"Version":"2012-10-17","Statement":[{"Sid":"LambdaAssumes","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, string(role.Trust))
	require.Len(t, role.Policies, 2)
	require.Equal(t, []any{"state", "PollRole", 78}, []any{role.Policies[0].Name, role.Policies[0].LogicalID,
		role.Policies[0].Line})
	require.Equal(t, []any{"starts", "PollStarts"}, []any{role.Policies[1].Name, role.Policies[1].LogicalID})
	require.Contains(t, string(role.Policies[0].JSON), `"Condition":{"Bool":{"aws:SecureTransport":true}}`)

	secret["Mail"] = "ops@example.com"
	role = deploy(t, load(t, "hub.yaml"), secret).Roles()[0]
	require.Equal(t, []any{"mail", 90}, []any{role.Policies[1].Name, role.Policies[1].Line},
		"a policy under a condition")
}

func TestStack_Roles_managedPolicies(t *testing.T) {
	template, err := cfn.Load("t.yaml", []byte(`AWSTemplateFormatVersion: "2010-09-09"
Resources:
  R:
    Type: AWS::IAM::Role
    Properties:
      RoleName: r
      MaxSessionDuration: 7200
      PermissionsBoundary: arn:aws:iam::111111111111:policy/bound
      AssumeRolePolicyDocument: {Id: trust}
      ManagedPolicyArns: [!Ref Listed, "arn:aws:iam::aws:policy/ReadOnlyAccess"]
  Listed: {Type: "AWS::IAM::ManagedPolicy", Properties: {ManagedPolicyName: listed, PolicyDocument: {Id: a}}}
  Attached: {Type: "AWS::IAM::ManagedPolicy", Properties: {ManagedPolicyName: attached, Roles: [!Ref R], PolicyDocument: {Id: b}}}
  Inline: {Type: "AWS::IAM::RolePolicy", Properties: {PolicyName: inline, RoleName: !Ref R, PolicyDocument: {Id: c}}}
`))
	require.NoError(t, err)
	roles := deployAs(t, template, "s").Roles()
	require.Len(t, roles, 1)
	require.Equal(t, cfn.Role{
		LogicalID: "R", Name: "r", ARN: "arn:aws:iam::111111111111:role/r", Line: 3, MaxSessionSeconds: 7200,
		Boundary: "arn:aws:iam::111111111111:policy/bound", Trust: []byte(`{"Id":"trust"}`),
		Policies: []cfn.NamedDocument{
			{Name: "listed", LogicalID: "Listed", Line: 11, JSON: []byte(`{"Id":"a"}`)},
			{Name: "attached", LogicalID: "Attached", Line: 12, JSON: []byte(`{"Id":"b"}`)},
			{Name: "inline", LogicalID: "Inline", Line: 13, JSON: []byte(`{"Id":"c"}`)},
		},
		ManagedARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
	}, roles[0])
}

func TestTemplate_Deploy_rules(t *testing.T) {
	tests := []struct {
		rule, assert string
		holds        bool
	}{
		{"Contains", "!Contains [[a, b], !Ref One]", true},
		{"EachMemberIn holds", "!EachMemberIn [!Ref All, [a, b, c]]", true},
		{"EachMemberIn fails for one", "!EachMemberIn [!Ref All, [a]]", false},
		{"EachMemberEquals fails for one", "!EachMemberEquals [!Ref All, a]", false},
		{"EachMemberEquals holds", "!EachMemberEquals [[a, a], !Ref One]", true},
		{"Not", "!Not [!Contains [[a, b], !Ref One]]", false},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			template, err := cfn.Load("t.yaml",
				[]byte(minimal("Parameters:\n  One: {Type: String, Default: a}\n  All: {Type: CommaDelimitedList, "+
					"Default: \"a,b\"}\n"+
					"Rules:\n  R:\n    Assertions:\n      - Assert: "+test.assert+
					"\n        AssertDescription: broken")))
			require.NoError(t, err)
			_, err = template.Deploy(cfn.Deployment{StackName: "s", Account: "111111111111", Region: "us-east-1"})
			if test.holds {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "t.yaml:8: rule R: broken")
		})
	}
}

func TestTemplate_Deploy_inChina(t *testing.T) {
	stack, err := load(t, "types.yaml").Deploy(cfn.Deployment{StackName: "hub", Account: "111111111111",
		Region: "cn-north-1", Partition: "aws-cn"})
	require.NoError(t, err)
	require.Equal(t, "arn:aws-cn:lambda:cn-north-1:111111111111:function:"+stack.Resources["Function"].Name,
		stack.Resources["Function"].ARN)
	require.Regexp(t, `^https://[a-z0-9]{10}\.execute-api\.cn-north-1\.amazonaws\.com\.cn$`,
		stack.Resources["Api"].Attributes["ApiEndpoint"])
}

func TestStack_Functions(t *testing.T) {
	stack := deploy(t, load(t, "hub.yaml"), map[string]string{"ExternalId": "0123456789", "Seconds": "600"})
	functions := stack.Functions()
	require.Len(t, functions, 1)
	f := functions[0]
	require.Equal(t, "poll", f.Handler)
	require.Equal(t, "arn:aws:iam::111111111111:role/ec2patch-PollRole", f.RoleARN)
	require.Equal(t, 600, f.TimeoutSeconds, "a number that came through a parameter")
	require.Equal(t, 256, f.MemoryMB)
	require.Equal(t, map[string]string{"TABLE": stack.Resources["StateTable"].Name, "TOPIC": "none",
		"FIRST": "us-east-1"}, f.Environment)
	for arn, want := range map[string]bool{f.ARN: true, f.ARN + ":1": true, f.ARN + ":2": false, f.ARN + "x": false} {
		_, found := stack.Function(arn)
		require.Equal(t, want, found, arn)
	}
	stack = deploy(t, load(t, "types.yaml"), nil)
	f, found := stack.Function(stack.Resources["Alias"].ARN)
	require.True(t, found, "an alias")
	require.Equal(t, "Function", f.LogicalID)
	require.Len(t, f.VersionARNs, 3)
}

func TestStack_Definition(t *testing.T) {
	definition, err := deploy(t, load(t, "hub.yaml"),
		map[string]string{"ExternalId": "0123456789"}).Definition("Machine")
	require.NoError(t, err)
	value := func(path ...string) *asl.Node {
		at := definition
		for _, key := range path {
			var next *asl.Node
			for _, f := range at.Value.([]asl.Field) {
				if f.Key == key {
					next = f.Value
				}
			}
			require.NotNil(t, next, key)
			at = next
		}
		return at
	}
	require.Equal(t, "arn:aws:states:::lambda:invoke", value("States", "Poll", "Resource").Value)
	require.Equal(t, 138, value("States", "Poll", "Resource").Line)
	require.Equal(t, "arn:aws:lambda:us-east-1:111111111111:function:ec2patch-Poll:1", value("States", "Poll",
		"Parameters", "FunctionName").Value)
	require.Equal(t, "15", value("States", "Poll", "Parameters", "Payload", "seconds").Value,
		"a number that is substituted stays text")
	require.Equal(t, 0.5, value("States", "Poll", "Parameters", "Payload", "half").Value)
	require.Equal(t, true, value("States", "Poll", "Parameters", "Payload", "quick").Value)
}

func TestStack_Definition_refuses(t *testing.T) {
	machine := func(substitutions, resource string) string {
		return "Resources:\n  M:\n    Type: AWS::StepFunctions::StateMachine\n    Properties:\n      " +
			"DefinitionSubstitutions: " + substitutions +
			"\n      Definition: {States: {A: {Resource: " + resource + "}}}\n"
	}
	tests := []struct {
		rule, template, want string
	}{
		{"no machine", "Resources:\n  T: {Type: AWS::SNS::Topic}", "t.yaml: the stack has no state machine M"},
		{"a resource that is no machine", "Resources:\n  M: {Type: AWS::SNS::Topic}",
			"t.yaml: the stack has no state machine M"},
		{"a machine without a Definition object",
			"Resources:\n  M: {Type: AWS::StepFunctions::StateMachine, Properties: {DefinitionString: \"{}\"}}",
			"t.yaml:3: M: Definition must be an object in the template"},
		{"a placeholder without a substitution", machine("{}", "\"${Invoke}\""),
			"t.yaml:7: ${Invoke} has no substitution"},
		{"a substitution without a placeholder", machine("{Invoke: a, Other: b}", "\"${Invoke}\""),
			"t.yaml:3: M: substitution Other is not in the Definition"},
		{"a placeholder that is none", machine("{Invoke: a}", "\"${Invoke}${a-b}\""),
			"t.yaml:7: \"${Invoke}${a-b}\": ${ that is no placeholder"},
		{"a substitution that would break the JSON", machine("{Invoke: 'a\"b'}", "\"${Invoke}\""),
			"t.yaml:3: M: substitution Invoke must be text without quotes, backslashes and line breaks"},
		{"a substitution that is a list", machine("{Invoke: [a]}", "\"${Invoke}\""),
			"t.yaml:3: M: substitution Invoke must be text without quotes, backslashes and line breaks"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			template, err := cfn.Load("t.yaml", []byte("AWSTemplateFormatVersion: \"2010-09-09\"\n"+test.template))
			require.NoError(t, err)
			_, err = deployAs(t, template, "s").Definition("M")
			require.EqualError(t, err, test.want)
		})
	}
}

func TestStack_ResourcePolicies(t *testing.T) {
	template, err := cfn.Load("t.yaml", []byte(`AWSTemplateFormatVersion: "2010-09-09"
Resources:
  F: {Type: AWS::Lambda::Function, Properties: {FunctionName: f, Role: r}}
  P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref F, Action: "lambda:InvokeFunction", Principal: events.amazonaws.com, SourceArn: "arn:aws:events:us-east-1:111111111111:rule/x", SourceAccount: !Ref AWS::AccountId}}
  B: {Type: AWS::S3::Bucket, Properties: {BucketName: b}}
  BP: {Type: AWS::S3::BucketPolicy, Properties: {Bucket: !Ref B, PolicyDocument: {Id: x}}}
  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: q}}
  QP: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Q], PolicyDocument: {Id: z}}}
`))
	require.NoError(t, err)
	policies := deployAs(t, template, "s").ResourcePolicies()
	require.Len(t, policies, 3)
	require.Equal(t, []string{"arn:aws:lambda:us-east-1:111111111111:function:f"}, policies[0].On)
	require.JSONEq(t,
		`{"Version":"2012-10-17","Statement":[{"Sid":"P","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"lambda:InvokeFunction",
		"Resource":"arn:aws:lambda:us-east-1:111111111111:function:f","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:events:us-east-1:111111111111:rule/x"},"StringEquals":{"aws:SourceAccount":"111111111111"}}}]}`, string(policies[0].JSON))
	require.Equal(t, []string{"arn:aws:s3:::b"}, policies[1].On)
	require.Equal(t, []string{"arn:aws:sqs:us-east-1:111111111111:q"}, policies[2].On)
}
