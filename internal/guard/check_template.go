package guard

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// templateChecks are about the form of a template and what it tells.
func templateChecks() []Check {
	return []Check{
		{"order", "Sections and the keys of every entry stand in one order.", nil, order},
		{"sid", "Every statement has a Sid of its own in its resource.", nil, sids},
		{"H-02", "What holds data stays when the stack goes or replaces it.", []string{Hub}, retained},
		{"H-03", "A secret is NoEcho and stands in no output and no metadata.", nil, secrets},
		{"H-04", "An external id has no default and a strict pattern.", nil, externalIDs},
		{"H-05", "No partition, account or region is written out.", nil, places},
		{"H-06", "No condition switches a protection off.", nil, unconditional},
		{"H-07", "Names begin with NamePrefix, so that two hubs fit into an account; the bucket, whose name is the " +
			"world's, has none.", []string{Hub, Schedule, Rule, GitHub}, names},
		{"outputs", "What people and other stacks need is an output with a description.", nil, outputs},
	}
}

// keyOrders says how the keys of sections and of their entries follow each other; "" is the template itself.
func keyOrders() map[string][]string {
	return map[string][]string{
		"": {"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings",
			"Conditions", "Resources", "Outputs"},
		"Parameters": {"Description", "Type", "AllowedPattern", "AllowedValues", "MinLength", "MaxLength", "MinValue",
			"MaxValue", "ConstraintDescription", "NoEcho", "Default"},
		"Resources": {"Type", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Properties"},
		"Outputs":   {"Description", "Condition", "Value"},
	}
}

func order(t *Template, tell say) {
	orders := keyOrders()
	inOrder(t.root, orders[""], tell)
	for _, section := range []string{"Parameters", "Resources", "Outputs"} {
		for _, entry := range pairs(child(t.root, section)) {
			inOrder(entry.value, orders[section], tell)
		}
	}
}

func inOrder(n *yaml.Node, want []string, tell say) {
	last := -1
	for _, p := range pairs(n) {
		at := slices.Index(want, p.key)
		switch {
		case at < 0:
			tell(p.at, "%s has no place here", p.key)
		case at <= last:
			tell(p.at, "%s stands too late", p.key)
		default:
			last = at
		}
	}
}

func sids(t *Template, tell say) {
	for _, r := range t.Resources {
		var seen []string
		for _, s := range statements(r) {
			switch sid := s.sid(); {
			case sid == "":
				tell(s.node, "a statement of %s has no Sid", r.ID)
			case slices.Contains(seen, sid):
				tell(s.node, "%s has several statements %s", r.ID, sid)
			default:
				seen = append(seen, sid)
			}
		}
	}
}

// stateful lists the types whose resources hold data, or code that an execution may still need.
func stateful() []string {
	return []string{"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Logs::LogGroup",
		"AWS::Lambda::Version"}
}

func retained(t *Template, tell say) {
	for _, r := range t.Resources {
		if !slices.Contains(stateful(), r.Type) {
			continue
		}
		for _, policy := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
			if show(child(r.Node, policy)) != "Retain" {
				tell(r.Node, "%s: %s must be Retain", r.ID, policy)
			}
		}
	}
}

var secretName = regexp.MustCompile(`ExternalId|Secret|Password|Token`)

func secrets(t *Template, tell say) {
	for _, p := range pairs(child(t.root, "Parameters")) {
		hidden := show(child(p.value, "NoEcho")) == "true"
		if secretName.MatchString(p.key) && !hidden {
			tell(p.at, "parameter %s must be NoEcho", p.key)
		}
		if !hidden && !secretName.MatchString(p.key) {
			continue
		}
		if mentions(child(t.root, "Outputs"), p.key) {
			tell(child(t.root, "Outputs"), "an output shows %s", p.key)
		}
		for _, r := range t.Resources {
			for _, field := range []string{"Description", "DashboardBody", "Tags", "Comment", "AlarmDescription"} {
				if mentions(r.property(field), p.key) {
					tell(r.Node, "%s of %s shows %s", field, r.ID, p.key)
				}
			}
		}
	}
}

func externalIDs(t *Template, tell say) {
	for _, p := range pairs(child(t.root, "Parameters")) {
		if !strings.HasSuffix(p.key, "ExternalId") {
			continue
		}
		if child(p.value, "Default") != nil {
			tell(p.at, "%s must have no default", p.key)
		}
		if show(child(p.value, "AllowedPattern")) != `^[\w+=,.@:/-]+$` || show(child(p.value, "MinLength")) != "8" ||
			show(child(p.value, "MaxLength")) != "1224" {
			tell(p.at, "%s must match [\\w+=,.@:/-] and have 8 to 1224 characters", p.key)
		}
	}
}

var (
	accountID  = regexp.MustCompile(`\b[0-9]{12}\b`)
	regionName = regexp.MustCompile(
		`\b(us|eu|ap|sa|ca|me|af|il|mx|cn)(-gov|-iso[a-z]?)?-(north|south|east|west|central|northeast|northwest|southeast|southwest)-[0-9]\b`)
	awsArn  = regexp.MustCompile(`\barn:aws[a-z-]*:`)
	awsHost = regexp.MustCompile(`[a-z0-9}]\.amazonaws\.com\b`)
)

func places(t *Template, tell say) {
	for _, section := range []string{"Resources", "Outputs", "Conditions"} {
		walk(child(t.root, section), func(n *yaml.Node) {
			if n.Kind != yaml.ScalarNode {
				return
			}
			for _, pattern := range []*regexp.Regexp{accountID, regionName, awsArn} {
				if found := pattern.FindString(n.Value); found != "" {
					tell(n, "%q has %s written out", n.Value, found)
				}
			}
			if awsHost.MatchString(n.Value) && strings.Contains(n.Value, "${AWS::Region}") {
				tell(n, "%q has the domain of one partition; use AWS::URLSuffix", n.Value)
			}
		})
	}
}

// protections lists the properties that protect something, and so may not hang on a condition.
func protections() []string {
	return []string{"KmsKeyId", "KmsMasterKeyId", "KmsKeyArn", "SSESpecification", "BucketEncryption",
		"PublicAccessBlockConfiguration", "VersioningConfiguration", "PointInTimeRecoverySpecification",
		"DeletionProtectionEnabled", "EnableKeyRotation", "KeyPolicy",
		"PolicyDocument", "AssumeRolePolicyDocument", "EncryptionConfiguration", "LoggingConfiguration",
		"RetentionInDays", "AccessLogSettings", "DefaultRouteSettings", "MaxSessionDuration", "ResourcePolicy",
		"RoleArn", "Role"}
}

// protectors lists the types of resources that exist whatever the parameters are.
func protectors() []string {
	return []string{"AWS::KMS::Key", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy",
		"AWS::Logs::LogGroup", "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ApiGatewayV2::Stage"}
}

func unconditional(t *Template, tell say) {
	for _, r := range t.Resources {
		if child(r.Node, "Condition") != nil && slices.Contains(protectors(), r.Type) {
			tell(r.Node, "%s must not hang on a condition", r.ID)
		}
		for _, p := range pairs(child(r.Node, "Properties")) {
			// The bucket's access log is wanted or not, and protects nothing by itself.
			if !slices.Contains(protections(), p.key) || r.Type == "AWS::S3::Bucket" &&
				p.key == "LoggingConfiguration" {
				continue
			}
			if p.value.Tag == "!If" {
				tell(p.value, "%s of %s must not hang on a condition", p.key, r.ID)
			}
		}
		for _, s := range statements(r) {
			if s.node.Tag == "!If" {
				tell(s.node, "a statement of %s must not hang on a condition", r.ID)
			}
			// A spoke's opt-in tag narrows a statement; without it the hub decides, as documented.
			if c := child(s.node, "Condition"); c != nil && c.Tag == "!If" && s.sid() != "SendToOwnInstances" {
				tell(c, "the condition of %s must not hang on a condition", s.sid())
			}
		}
	}
}

// nameOf gives the property that names a resource of its type. Types that are missing have no name in an account.
func nameOf() map[string]string {
	return map[string]string{
		"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
		"AWS::Lambda::Function": "FunctionName",
		"AWS::DynamoDB::Table":  "TableName", "AWS::SNS::Topic": "TopicName", "AWS::SQS::Queue": "QueueName",
		"AWS::Logs::LogGroup":        "LogGroupName",
		"AWS::Logs::QueryDefinition": "Name", "AWS::StepFunctions::StateMachine": "StateMachineName",
		"AWS::Events::Rule":        "Name",
		"AWS::Scheduler::Schedule": "Name", "AWS::ApiGatewayV2::Api": "Name", "AWS::CloudWatch::Alarm": "AlarmName",
		"AWS::CloudWatch::Dashboard": "DashboardName",
	}
}

func names(t *Template, tell say) {
	for _, r := range t.Resources {
		if name := r.property("BucketName"); r.Type == "AWS::S3::Bucket" && name != nil {
			tell(name, "%s must not have a name", r.ID)
		}
		property, named := nameOf()[r.Type]
		if named && !strings.Contains(show(r.property(property)), "${NamePrefix}") {
			tell(r.Node, "%s must have a %s with ${NamePrefix}", r.ID, property)
		}
	}
}

// wanted are the outputs that the documentation and other stacks build on.
func wanted() map[string][]string {
	return map[string][]string{
		Hub: {"StateMachineArn", "CallbackUrl", "OperatorUrl", "OperatorRouteArn", "DataBucketName", "StateTableName",
			"AuditTableName", "ApprovalsTopicArn", "NoticesTopicArn", "DataKeyArn", "DashboardUrl", "Version"},
		Spoke: {"RoleArn"}, Reader: {"RoleArn"}, StackSet: {"StackSetId"}, Schedule: {"ScheduleArn",
			"UndeliveredQueueUrl"}, Rule: {"RuleArn", "UndeliveredQueueUrl"}, GitHub: {"RunRoleArn", "DeployRoleArn"},
	}
}

func outputs(t *Template, tell say) {
	section := child(t.root, "Outputs")
	for _, name := range wanted()[t.Name] {
		if child(section, name) == nil {
			tell(section, "output %s is missing", name)
		}
	}
	for _, p := range pairs(section) {
		if len(show(child(p.value, "Description"))) < 10 {
			tell(p.at, "output %s says nothing about itself", p.key)
		}
	}
}
