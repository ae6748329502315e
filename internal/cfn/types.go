package cfn

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
)

// resourceType says what Ref and GetAtt of a resource give. Texts hold {placeholders}: partition, region, account,
// suffix, name, arn, uuid, id, unique, function, version, machine, or the name of a property.
type resourceType struct {
	name       string // the property that names the resource, "" if AWS makes the name up
	longest    int    // characters of a name that AWS makes up, 0 for no limit of interest
	lower      bool   // names are in lower case
	ref        string
	arn        string // "" for what has none
	attributes map[string]string
	defaults   map[string]string // of properties that ref, arn or attributes need
}

// types has every resource type that our templates may use. Sources: the return values in the CloudFormation resource
// reference and the ARN formats of the service authorization reference. It is never written to.
var types = map[string]resourceType{
	"AWS::IAM::Role": {name: "RoleName", longest: 64, ref: "{name}",
		arn: "arn:{partition}:iam::{account}:role{Path}{name}", attributes: map[string]string{"Arn": "{arn}",
			"RoleId": "AROA{unique}"}, defaults: map[string]string{"Path": "/"}},
	"AWS::IAM::ManagedPolicy": {name: "ManagedPolicyName", longest: 128, ref: "{arn}",
		arn:        "arn:{partition}:iam::{account}:policy{Path}{name}",
		attributes: map[string]string{"PolicyArn": "{arn}", "PolicyId": "ANPA{unique}"},
		defaults:   map[string]string{"Path": "/"}},
	"AWS::IAM::Policy":     {ref: "{name}", attributes: map[string]string{"Id": "{name}"}},
	"AWS::IAM::RolePolicy": {ref: "{PolicyName}|{RoleName}"},
	"AWS::IAM::InstanceProfile": {name: "InstanceProfileName", longest: 128, ref: "{name}",
		arn:        "arn:{partition}:iam::{account}:instance-profile{Path}{name}",
		attributes: map[string]string{"Arn": "{arn}"}, defaults: map[string]string{"Path": "/"}},
	"AWS::IAM::OIDCProvider": {ref: "{arn}", arn: "arn:{partition}:iam::{account}:oidc-provider/{issuer}",
		attributes: map[string]string{"Arn": "{arn}"}},

	"AWS::Lambda::Function": {name: "FunctionName", longest: 64, ref: "{name}",
		arn:        "arn:{partition}:lambda:{region}:{account}:function:{name}",
		attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::Lambda::Version": {ref: "{arn}",
		arn:        "arn:{partition}:lambda:{region}:{account}:function:{function}:{version}",
		attributes: map[string]string{"Version": "{version}", "FunctionArn": "{arn}"}},
	"AWS::Lambda::Alias": {ref: "{arn}", arn: "arn:{partition}:lambda:{region}:{account}:function:{function}:{Name}",
		attributes: map[string]string{"AliasArn": "{arn}"}},
	"AWS::Lambda::Permission":        {ref: "{name}", attributes: map[string]string{"Id": "{name}"}},
	"AWS::Lambda::EventInvokeConfig": {ref: "{name}"},

	"AWS::StepFunctions::StateMachine": {name: "StateMachineName", longest: 80, ref: "{arn}",
		arn: "arn:{partition}:states:{region}:{account}:stateMachine:{name}",
		attributes: map[string]string{"Arn": "{arn}", "Name": "{name}",
			"StateMachineRevisionId": "{uuid}"}},
	"AWS::StepFunctions::StateMachineVersion": {ref: "{arn}", arn: "{machine}:{version}",
		attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::StepFunctions::StateMachineAlias": {ref: "{arn}", arn: "{machine}:{Name}",
		attributes: map[string]string{"Arn": "{arn}"}},

	"AWS::DynamoDB::Table": {name: "TableName", longest: 255, ref: "{name}",
		arn:        "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
		attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::S3::Bucket": {name: "BucketName", longest: 63, lower: true, ref: "{name}", arn: "arn:{partition}:s3:::{name}",
		attributes: map[string]string{"Arn": "{arn}", "DomainName": "{name}.s3.{suffix}",
			"RegionalDomainName": "{name}.s3.{region}.{suffix}"}},
	"AWS::S3::BucketPolicy": {ref: "{Bucket}"},
	"AWS::KMS::Key": {ref: "{uuid}", arn: "arn:{partition}:kms:{region}:{account}:key/{uuid}",
		attributes: map[string]string{"Arn": "{arn}", "KeyId": "{uuid}"}},
	"AWS::KMS::Alias": {name: "AliasName", ref: "{name}", arn: "arn:{partition}:kms:{region}:{account}:{name}"},

	"AWS::SNS::Topic": {name: "TopicName", longest: 256, ref: "{arn}",
		arn: "arn:{partition}:sns:{region}:{account}:{name}", attributes: map[string]string{"TopicArn": "{arn}",
			"TopicName": "{name}"}},
	"AWS::SNS::TopicPolicy":  {ref: "{name}", attributes: map[string]string{"Id": "{name}"}},
	"AWS::SNS::Subscription": {ref: "{arn}", arn: "{TopicArn}:{uuid}", attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::SQS::Queue": {name: "QueueName", longest: 80, ref: "https://sqs.{region}.{suffix}/{account}/{name}",
		arn: "arn:{partition}:sqs:{region}:{account}:{name}",
		attributes: map[string]string{"Arn": "{arn}", "QueueName": "{name}",
			"QueueUrl": "https://sqs.{region}.{suffix}/{account}/{name}"}},
	"AWS::SQS::QueuePolicy": {ref: "{name}", attributes: map[string]string{"Id": "{name}"}},

	"AWS::Logs::LogGroup": {name: "LogGroupName", longest: 512, ref: "{name}",
		arn:        "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
		attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::Logs::MetricFilter":    {name: "FilterName", longest: 512, ref: "{name}"},
	"AWS::Logs::QueryDefinition": {ref: "{uuid}", attributes: map[string]string{"QueryDefinitionId": "{uuid}"}},
	"AWS::Logs::ResourcePolicy":  {name: "PolicyName", ref: "{name}"},
	"AWS::CloudWatch::Alarm": {name: "AlarmName", longest: 255, ref: "{name}",
		arn:        "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
		attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::CloudWatch::CompositeAlarm": {name: "AlarmName", longest: 255, ref: "{name}",
		arn:        "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
		attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::CloudWatch::Dashboard": {name: "DashboardName", longest: 255, ref: "{name}",
		arn: "arn:{partition}:cloudwatch::{account}:dashboard/{name}"},

	"AWS::Events::Rule": {name: "Name", longest: 64, ref: "{name}",
		arn: "arn:{partition}:events:{region}:{account}:rule/{name}", attributes: map[string]string{"Arn": "{arn}"}},
	"AWS::Scheduler::Schedule": {name: "Name", longest: 64, ref: "{name}",
		arn:        "arn:{partition}:scheduler:{region}:{account}:schedule/{GroupName}/{name}",
		attributes: map[string]string{"Arn": "{arn}"}, defaults: map[string]string{"GroupName": "default"}},
	"AWS::Scheduler::ScheduleGroup": {name: "Name", longest: 64, ref: "{name}",
		arn:        "arn:{partition}:scheduler:{region}:{account}:schedule-group/{name}",
		attributes: map[string]string{"Arn": "{arn}"}},

	"AWS::ApiGatewayV2::Api": {ref: "{id}", arn: "arn:{partition}:apigateway:{region}::/apis/{id}",
		attributes: map[string]string{"ApiId": "{id}", "ApiEndpoint": "https://{id}.execute-api.{region}.{suffix}"}},
	"AWS::ApiGatewayV2::Integration": {ref: "{id}", attributes: map[string]string{"IntegrationId": "{id}"}},
	"AWS::ApiGatewayV2::Route":       {ref: "{id}", attributes: map[string]string{"RouteId": "{id}"}},
	"AWS::ApiGatewayV2::Authorizer":  {ref: "{id}", attributes: map[string]string{"AuthorizerId": "{id}"}},
	"AWS::ApiGatewayV2::Stage":       {ref: "{StageName}"},
	"AWS::CloudFormation::StackSet": {ref: "{StackSetName}:{uuid}",
		arn:        "arn:{partition}:cloudformation:{region}:{account}:stackset/{StackSetName}:{uuid}",
		attributes: map[string]string{"StackSetId": "{StackSetName}:{uuid}"}},
}

var placeholder = regexp.MustCompile(`\{([A-Za-z]+)\}`)

// identity gives a resource its Ref, ARN and attributes. It reports a property that one of them needs and that is
// absent.
func (d *deployer) identity(r *Resource) {
	t := types[r.Type]
	name := ""
	var expand func(text string) string
	expand = func(text string) string {
		return placeholder.ReplaceAllStringFunc(text, func(match string) string {
			key := match[1 : len(match)-1]
			switch key {
			case "name":
				return name
			case "arn":
				return expand(t.arn)
			}
			return d.part(r, t, key)
		})
	}
	if t.name != "" {
		name, _ = text(r.Properties[t.name])
	}
	if name == "" {
		name = madeUpName(d.stack.Name, r.LogicalID, t)
	}
	r.Name, r.PhysicalID, r.ARN = name, expand(t.ref), expand(t.arn)
	r.Attributes = make(map[string]string, len(t.attributes))
	for attribute, value := range t.attributes {
		r.Attributes[attribute] = expand(value)
	}
}

// part is the text of a placeholder other than name and arn.
func (d *deployer) part(r *Resource, t resourceType, key string) string {
	switch key {
	case "partition":
		return d.stack.Partition
	case "region":
		return d.stack.Region
	case "account":
		return d.stack.Account
	case "suffix":
		return suffix(d.stack.Partition)
	case "uuid":
		return uuid(d.stack.Name, r.LogicalID)
	case "id":
		return strings.ToLower(letters(d.stack.Name, r.LogicalID)[:10])
	case "unique":
		return letters(d.stack.Name, r.LogicalID)[:17]
	case "issuer":
		return strings.TrimPrefix(d.property(r, t, "Url"), "https://")
	case "function":
		return functionName(d.property(r, t, "FunctionName"))
	case "version":
		return fmt.Sprint(d.number(r))
	case "machine":
		return d.machineOf(r, t)
	}
	return d.property(r, t, key)
}

func (d *deployer) property(r *Resource, t resourceType, key string) string {
	if value, ok := text(r.Properties[key]); ok {
		return value
	}
	if value, ok := t.defaults[key]; ok {
		return value
	}
	d.add(r.Line, "%s: %s needs the property %s", r.LogicalID, r.Type, key)
	return ""
}

// number is the version that this resource publishes: the first of a function or machine is 1.
func (d *deployer) number(r *Resource) int {
	of, _ := text(r.Properties["FunctionName"])
	if of == "" {
		of, _ = text(r.Properties["StateMachineArn"])
	}
	key := r.Type + " " + functionName(of)
	for i, id := range d.versions[key] {
		if id == r.LogicalID {
			return i + 1
		}
	}
	d.versions[key] = append(d.versions[key], r.LogicalID)
	return len(d.versions[key])
}

// machineOf is the ARN of the state machine that a version or an alias belongs to.
func (d *deployer) machineOf(r *Resource, t resourceType) string {
	if r.Type == "AWS::StepFunctions::StateMachineVersion" {
		return d.property(r, t, "StateMachineArn")
	}
	version := ""
	if routes, ok := r.Properties["RoutingConfiguration"].([]any); ok && len(routes) > 0 {
		if route, ok := routes[0].(map[string]any); ok {
			version, _ = text(route["StateMachineVersionArn"])
		}
	}
	if preference, ok := r.Properties["DeploymentPreference"].(map[string]any); version == "" && ok {
		version, _ = text(preference["StateMachineVersionArn"])
	}
	cut := strings.LastIndex(version, ":")
	if cut < 0 {
		d.add(r.Line, "%s: no StateMachineVersionArn to route to", r.LogicalID)
		return ""
	}
	return version[:cut]
}

// functionName takes a function's name, or its ARN with or without a version.
func functionName(s string) string {
	if parts := strings.Split(s, ":"); len(parts) >= 7 && parts[0] == "arn" {
		return parts[6]
	}
	return s
}

func suffix(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

func digest(stack, id string) [sha256.Size]byte { return sha256.Sum256([]byte(stack + "\x00" + id)) }

// letters is what AWS would draw: capital letters and digits, the same for the same stack and logical id.
func letters(stack, id string) string {
	sum := digest(stack, id)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}

func uuid(stack, id string) string {
	b := digest(stack, id)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, as AWS gives them
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// madeUpName is stack-LogicalId-RANDOM, with the front parts shortened to fit.
func madeUpName(stack, id string, t resourceType) string {
	tail := "-" + letters(stack, id)[:12]
	front := stack + "-" + id
	if t.longest > 0 && len(front)+len(tail) > t.longest {
		front = front[:t.longest-len(tail)]
	}
	if t.lower {
		return strings.ToLower(front + tail)
	}
	return front + tail
}
