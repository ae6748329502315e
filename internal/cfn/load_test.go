package cfn_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/cfn"
)

// minimal is a template around the lines of a test; the resource T is there for references.
func minimal(sections string) string {
	head := "AWSTemplateFormatVersion: \"2010-09-09\"\n"
	if !strings.Contains(sections, "Resources:") {
		sections += "\nResources:\n  T: {Type: AWS::SNS::Topic}\n"
	}
	return head + sections
}

func TestLoad_refuses(t *testing.T) {
	property := func(line string) string {
		return "Resources:\n  T:\n    Type: AWS::SNS::Topic\n    Properties:\n      " + line + "\n"
	}
	tests := []struct {
		rule, template, want string
	}{
		{"no YAML", "a: [", "t.yaml: not YAML: yaml: line 1: did not find expected node content"},
		{"a list", "- a", "t.yaml:1: a template is a mapping"},
		{"two documents", minimal("") + "---\na: b\n", "t.yaml:5: a template is one YAML document"},
		{"no version and no resource", "Description: x",
			"t.yaml:1: AWSTemplateFormatVersion is missing; write \"2010-09-09\"\nt.yaml:1: a template needs at " +
				"least one resource"},
		{"another version", "AWSTemplateFormatVersion: 2011-01-01\nResources:\n  T: {Type: AWS::SNS::Topic}\n",
			`t.yaml:1: AWSTemplateFormatVersion must be "2010-09-09"`},
		{"an unknown section", minimal("Resource: {}"), "t.yaml:2: unknown section Resource"},
		{"a macro", minimal("Transform: AWS::Serverless-2016-10-31"), "t.yaml:2: unknown section Transform"},
		{"a section twice", minimal("Conditions: {}\nConditions: {}"),
			"t.yaml:3: section Conditions stands there twice"},
		{"a repeated key", minimal(property("TopicName: a\n      TopicName: b")),
			"t.yaml:7: key TopicName stands in line 6 already"},
		{"null", minimal(property("TopicName:")),
			"t.yaml:6: null value: CloudFormation refuses it everywhere; leave the key out or use AWS::NoValue"},
		{"a tilde is null", minimal(property("TopicName: ~")),
			"t.yaml:6: null value: CloudFormation refuses it everywhere; leave the key out or use AWS::NoValue"},
		{"anchor and alias", minimal(property("TopicName: &n a\n      DisplayName: *n")),
			"t.yaml:6: YAML anchor &n: CloudFormation refuses anchors and aliases\nt.yaml:7: YAML alias *n: " +
				"CloudFormation refuses anchors and aliases"},
		{"a merge key", minimal(property("<<: {TopicName: a}")),
			"t.yaml:6: YAML merge key: CloudFormation refuses anchors and aliases"},
		{"yes", minimal(property("FifoTopic: yes")),
			"t.yaml:6: yes: one reader takes this for a boolean, another for text; write true, false or quote it"},
		{"OFF", minimal(property("Mode: OFF")),
			"t.yaml:6: OFF: one reader takes this for a boolean, another for text; write true, false or quote it"},
		{"n as a key", minimal(property("n: 1")), "t.yaml:6: key n reads as a boolean; quote it"},
		{"true as a key", minimal(property("true: 1")), "t.yaml:6: key true reads as a boolean; quote it"},
		{"an account id without quotes", minimal(property("Owner: 111111111111")),
			"t.yaml:6: 111111111111 looks like an account id, which YAML takes for a number; quote it"},
		{"an account id that begins with zero", minimal(property("Owner: 012345670123")),
			"t.yaml:6: 012345670123 looks like an account id, which YAML takes for a number; quote it"},
		{"an account id as a key", minimal(property("012345670123: x")),
			"t.yaml:6: key 012345670123 reads as a number that YAML changes; quote it"},
		{"an octal number", minimal(property("Mode: 0755")),
			"t.yaml:6: 0755 is a number to one YAML reader and not to another; quote it or write it plainly"},
		{"a hexadecimal number", minimal(property("Mode: 0x1F")),
			"t.yaml:6: 0x1F is a number to one YAML reader and not to another; quote it or write it plainly"},
		{"a number with underscores", minimal(property("Size: 1_000")),
			"t.yaml:6: 1_000 is a number to one YAML reader and not to another; quote it or write it plainly"},
		{"hours and minutes", minimal(property("At: 12:30")),
			"t.yaml:6: 12:30 is a number to one YAML reader and not to another; quote it or write it plainly"},
		{"infinity", minimal(property("Size: .inf")),
			"t.yaml:6: .inf is a number to one YAML reader and not to another; quote it or write it plainly"},
		{"a binary tag", minimal(property("Body: !!binary aGk=")), "t.yaml:6: YAML tag !!binary is not supported"},

		{"an unknown function in the short form", minimal(property("TopicName: !GetAZs us-east-1")),
			"t.yaml:6: unknown intrinsic function Fn::GetAZs"},
		{"an unknown function in the long form", minimal(property("TopicName: {\"Fn::Cidr\": [a]}")),
			"t.yaml:6: unknown intrinsic function Fn::Cidr"},
		{"a function beside another key", minimal(property("TopicName: {Ref: \"AWS::Region\", Other: x}")),
			"t.yaml:6: Ref must be the only key of its mapping"},
		{"a condition function in a property", minimal(property("TopicName: !Equals [a, b]")),
			"t.yaml:6: Fn::Equals is not allowed in this section"},
		{"a function in a mapping", minimal("Mappings:\n  M:\n    a:\n      b: !Ref AWS::Region"),
			"t.yaml:5: Ref: no intrinsic function is allowed here"},
		{"a function in a default", minimal("Parameters:\n  P:\n    Type: String\n    Default: !Ref AWS::Region"),
			"t.yaml:5: P: Default must be plain text\nt.yaml:5: Ref: no intrinsic function is allowed here"},
		{"a rule function in a condition", minimal("Conditions:\n  C: !Contains [[a], a]"),
			"t.yaml:3: Fn::Contains is not allowed in this section"},
		{"too few arguments", minimal(property("TopicName: !Join [a]")),
			"t.yaml:6: Fn::Join takes a list of 2 to 2 arguments"},
		{"arguments that are no list", minimal(property("TopicName: !Select a")),
			"t.yaml:6: Fn::Select takes a list of 2 to 2 arguments"},

		{"a Ref to nothing", minimal(property("TopicName: !Ref Nowhere")),
			"t.yaml:6: Ref Nowhere: neither a parameter nor a resource"},
		{"a GetAtt of nothing", minimal(property("TopicName: !GetAtt Nowhere.Arn")),
			"t.yaml:6: GetAtt Nowhere: no such resource"},
		{"an attribute that the type does not have", minimal("Outputs:\n  O:\n    Value: !GetAtt T.Arn"),
			`t.yaml:4: GetAtt T: AWS::SNS::Topic has no attribute "Arn" (known: TopicArn, TopicName)`},
		{"a Sub of nothing", minimal(property("TopicName: !Sub \"${Nowhere}\"")),
			"t.yaml:6: Ref Nowhere: neither a parameter nor a resource"},
		{"a Sub with a name that is none", minimal(property("TopicName: !Sub \"${ a }\"")),
			"t.yaml:6: Fn::Sub: ${ a } is no name"},
		{"a Sub without its end", minimal(property("TopicName: !Sub \"${a\"")), "t.yaml:6: Fn::Sub: ${ without its }"},
		{"a Sub with a value that is not used", minimal(property("TopicName: !Sub [\"a\", {B: c}]")),
			"t.yaml:6: Fn::Sub: B is not in the text"},
		{"a Sub of a list", minimal(property("TopicName: !Sub [a]")),
			"t.yaml:6: Fn::Sub takes text, or a list of text and a mapping"},
		{"a mapping that is not there", minimal(property("TopicName: !FindInMap [M, a, b]")),
			"t.yaml:6: mapping M is not in the template"},
		{"a condition that is not there", minimal(property("TopicName: !If [C, a, b]")),
			"t.yaml:6: condition C is not in the template"},
		{"a condition that is not named", minimal(property("TopicName: !If [[C], a, b]")),
			"t.yaml:6: the name of a condition must be written out"},
		{"a condition that is never used", minimal("Conditions:\n  C: !Equals [a, b]"),
			"t.yaml:3: condition C is never used"},
		{"a condition that refers to a resource",
			minimal("Conditions:\n  C: !Equals [!Ref T, b]\nOutputs:\n  O: {Condition: C, Value: x}"),
			"t.yaml:3: Ref T: conditions and rules may refer to parameters only"},
		{"a dependency on nothing", minimal("Resources:\n  T:\n    Type: AWS::SNS::Topic\n    DependsOn: [Nowhere]"),
			"t.yaml:3: T: DependsOn names Nowhere, which is no resource"},

		{"an unknown type", minimal("Resources:\n  T:\n    Type: AWS::SNS::Topics"),
			`t.yaml:3: T: unknown resource type "AWS::SNS::Topics"`},
		{"an unknown key of a resource", minimal("Resources:\n  T:\n    Type: AWS::SNS::Topic\n    Propertys: {}"),
			"t.yaml:5: T: unknown key Propertys (known: Type, Condition, DependsOn, DeletionPolicy, " +
				"UpdateReplacePolicy, UpdatePolicy, CreationPolicy, Metadata, Properties)"},
		{"an unknown deletion policy", minimal("Resources:\n  T:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Keep"),
			"t.yaml:3: T: unknown DeletionPolicy Keep"},
		{"a logical id with an underscore", minimal("Parameters:\n  name_prefix: {Type: String}"),
			"t.yaml:3: name_prefix: a logical id has letters and digits only"},
		{"a name for two things", minimal("Parameters:\n  T: {Type: String}"), "t.yaml:5: T is a parameter already"},
		{"an unknown parameter type", minimal("Parameters:\n  P: {Type: Integer}"),
			`t.yaml:3: P: unknown parameter type "Integer" (known: String, Number, List<Number>, CommaDelimitedList)`},
		{"an unknown key of a parameter", minimal("Parameters:\n  P: {Type: String, Pattern: x}"),
			"t.yaml:3: P: unknown key Pattern (known: Description, Type, Default, AllowedValues, AllowedPattern, " +
				"MinLength, MaxLength, MinValue, MaxValue, NoEcho, ConstraintDescription)"},
		{"a default that its own pattern refuses",
			minimal("Parameters:\n  P: {Type: String, Default: A, AllowedPattern: \"[a-z]\"}"),
			`t.yaml:3: P: default "A" does not match [a-z]`},
		{"an output without a value", minimal("Outputs:\n  O: {Description: x}"), "t.yaml:3: O: an output needs Value"},
		{"an intrinsic inside a Definition",
			minimal("Resources:\n  M:\n    Type: AWS::StepFunctions::StateMachine\n    Properties:\n      " +
				"Definition:\n        States:\n          A: {Resource: !Ref AWS::Region}"),
			"t.yaml:8: Ref inside Definition: use DefinitionSubstitutions"},
		{"a section that is no mapping", minimal("Conditions: [a]"), "t.yaml:2: Conditions must be a mapping"},
		{"a parameter that is no mapping", minimal("Parameters:\n  P: String"), "t.yaml:3: P must be a mapping"},
		{"a type that is a list", minimal("Resources:\n  T: {Type: [a]}"),
			"t.yaml:3: T: Type must be plain text\nt.yaml:3: T: unknown resource type \"\""},
		{"properties that are no mapping", minimal("Resources:\n  T: {Type: \"AWS::SNS::Topic\", Properties: [a]}"),
			"t.yaml:3: T: Properties must be a mapping"},
		{"an unknown replacement policy",
			minimal("Resources:\n  T: {Type: \"AWS::SNS::Topic\", UpdateReplacePolicy: Keep}"),
			"t.yaml:3: T: unknown UpdateReplacePolicy Keep"},
		{"a dependency that is no text", minimal("Resources:\n  T: {Type: \"AWS::SNS::Topic\", DependsOn: [[a]]}"),
			"t.yaml:3: T: DependsOn takes logical ids"},
		{"a mapping with one level", minimal("Mappings:\n  M:\n    a: b"), "t.yaml:4: M: a must be a mapping"},
		{"a mapping with three levels", minimal("Mappings:\n  M:\n    a: {b: {c: d}}"),
			"t.yaml:4: M.a: b must be text or a list"},
		{"a rule without assertions", minimal("Rules:\n  R: {RuleCondition: !Equals [a, b]}"),
			"t.yaml:3: R: Assertions must be a list"},
		{"an assertion without its function", minimal("Rules:\n  R:\n    Assertions: [{AssertDescription: x}]"),
			"t.yaml:4: R: an assertion needs Assert"},
		{"a limit that is no number", minimal("Parameters:\n  P: {Type: String, MaxLength: long}"),
			"t.yaml:3: P: MaxLength must be a number"},
		{"allowed values that are no list", minimal("Parameters:\n  P: {Type: String, AllowedValues: a}"),
			"t.yaml:3: P: AllowedValues must be a list"},
		{"a pattern that cannot be read", minimal("Parameters:\n  P: {Type: String, AllowedPattern: \"[a\"}"),
			"t.yaml:3: P: AllowedPattern: error parsing regexp: missing closing ]: `[a)$`"},
		{"an export without a name", minimal("Outputs:\n  O: {Value: x, Export: {}}"),
			"t.yaml:3: O: Export needs Name"},
		{"a key that is a list", minimal(property("[a]: b")), "t.yaml:6: a key must be text"},
		{"a key that is null", minimal(property("~: b")), "t.yaml:6: a key must not be null"},
		{"a key with an anchor", minimal(property("&k a: b")),
			"t.yaml:6: YAML anchor &k: CloudFormation refuses anchors and aliases"},
		{"a description that is too long", minimal("Description: " + strings.Repeat("x", 1025)),
			"t.yaml:2: Description must be text of at most 1024 bytes"},
		{"all problems at once", minimal(property("A: yes\n      B:\n      C: 0755")),
			"t.yaml:6: yes: one reader takes this for a boolean, another for text; write true, false or quote it\n" +
				"t.yaml:7: null value: CloudFormation refuses it everywhere; leave the key out or use AWS::NoValue\n" +
				"t.yaml:8: 0755 is a number to one YAML reader and not to another; quote it or write it plainly"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			_, err := cfn.Load("t.yaml", []byte(test.template))
			require.EqualError(t, err, test.want)
		})
	}
}

func TestLoad_takes(t *testing.T) {
	_, err := cfn.Load("t.yaml", []byte(minimal(strings.Join([]string{
		"Resources:", "  T:", "    Type: AWS::SNS::Topic", "    Properties:",
		"      Quoted: \"yes\"", "      Account: \"111111111111\"", "      Date: 2012-10-17", "      Version: 1.2.3",
		"      Big: 1234567890123", "      Small: -0.5e-3", "      Text: \"~\"", "      Empty: \"\"",
		"      Time: \"12:30\"", "      Tagged: !Sub yes"}, "\n"))))
	require.NoError(t, err)
}

func FuzzLoad(f *testing.F) {
	f.Add(minimal("Conditions:\n  C: !Not [!Equals [a, b]]\nOutputs:\n  O: {Condition: C, Value: !Sub [\"${A}\", {A: " +
		"!GetAtt T.TopicName}]}"))
	f.Add(minimal("Mappings: {M: {a: {b: [c]}}}\nOutputs:\n  O: {Value: !Join [\",\", !FindInMap [M, a, b]]}"))
	f.Fuzz(func(t *testing.T, text string) {
		template, err := cfn.Load("t.yaml", []byte(text))
		if (template == nil) != (err != nil) {
			t.Fatalf("Load = %v, %v; want one of them", template, err)
		}
		if template == nil {
			return
		}
		stack, err := template.Deploy(cfn.Deployment{StackName: "s", Account: "111111111111", Region: "us-east-1"})
		if (stack == nil) != (err != nil) {
			t.Fatalf("Deploy = %v, %v; want one of them", stack, err)
		}
	})
}
