package guard

import (
	"ec2patch/internal/cfn"
	"ec2patch/internal/iam"
)

// grantChecks judge calls of AWS services by the policies of the deployed stack.
func grantChecks() []Check {
	return []Check{
		{"H-90",
			"Alarms, events, topics and logs can use the key and reach their target; those of other accounts cannot.",
			[]string{Hub}, grants},
	}
}

// call is one that a service makes for us, or for somebody else.
type call struct {
	why     string
	service string
	action  string
	on      string // ARN
	context map[string][]string
	refused bool // it must be refused
}

func grants(t *Template, tell say) {
	stack, err := t.deploy()
	if err != nil {
		tell(nil, "%v", err)
		return
	}
	policies := map[string][]*iam.Policy{}
	for _, p := range stack.ResourcePolicies() {
		parsed, err := iam.ParsePolicy(p.LogicalID, p.JSON)
		if err != nil {
			tell(nil, "%v", err)
			return
		}
		for _, arn := range p.On {
			policies[arn] = append(policies[arn], parsed)
		}
	}
	for _, c := range calls(stack) {
		d := iam.Evaluate(iam.Request{Principal: iam.Principal{Service: c.service}, Action: c.action,
			Resources: []string{c.on}, ResourceAccount: account, Context: c.context},
			iam.Policies{Resource: policies[c.on]})
		if d.Allowed == c.refused {
			resource, _ := t.resource("DataKey")
			tell(resource.Node, "%s: %s of %s: allowed is %t %s", c.why, c.action, c.service, d.Allowed, d.Reason)
		}
	}
}

// calls lists what services do with the stack's topics, queue, functions and key.
func calls(stack *cfn.Stack) []call {
	key, notices, approvals := arn(stack, "DataKey"), arn(stack, "NoticesTopic"), arn(stack, "ApprovalsTopic")
	from := func(source string) map[string][]string {
		return map[string][]string{"aws:SourceAccount": {account}, "aws:SourceArn": {source}}
	}
	foreign := map[string][]string{"aws:SourceAccount": {other},
		"aws:SourceArn": {"arn:aws:cloudwatch:" + region + ":" + other + ":alarm:ec2patch-x"}}
	out := []call{
		{"an alarm of another account", "cloudwatch.amazonaws.com", "sns:Publish", notices, foreign, true},
		{"an alarm of another account", "cloudwatch.amazonaws.com", "kms:GenerateDataKey", key, foreign, true},
		{"a topic encrypts", "sns.amazonaws.com", "kms:GenerateDataKey", key,
			map[string][]string{"aws:SourceAccount": {account}}, false},
		{"a topic of another account", "sns.amazonaws.com", "kms:Decrypt", key,
			map[string][]string{"aws:SourceAccount": {other}}, true},
		{"a rule encrypts what it could not deliver", "events.amazonaws.com", "kms:GenerateDataKey", key, nil, false},
		{"a rule puts what it could not deliver", "events.amazonaws.com", "sqs:SendMessage",
			arn(stack, "RunEndedQueue"), from(arn(stack, "RunEndedRule")), false},
		{"a rule tells of a key", "events.amazonaws.com", "sqs:SendMessage", arn(stack, "KeyEndQueue"),
			from(arn(stack, "KeyEndRule")), false},
		{"another rule tells of a key", "events.amazonaws.com", "sqs:SendMessage", arn(stack, "KeyEndQueue"),
			from(arn(stack, "RunEndedRule")), true},
		{"another rule", "events.amazonaws.com", "sqs:SendMessage", arn(stack, "RunEndedQueue"),
			from("arn:aws:events:" + region + ":" + other + ":rule/x"), true},
	}
	for _, alarm := range stack.OfType("AWS::CloudWatch::Alarm") {
		out = append(out,
			call{alarm.LogicalID + " publishes", "cloudwatch.amazonaws.com", "sns:Publish", notices,
				from(alarm.ARN), false},
			call{alarm.LogicalID + " encrypts", "cloudwatch.amazonaws.com", "kms:GenerateDataKey", key,
				from(alarm.ARN), false},
			call{alarm.LogicalID + " decrypts", "cloudwatch.amazonaws.com", "kms:Decrypt", key, from(alarm.ARN), false},
			call{alarm.LogicalID + " asks for an approval", "cloudwatch.amazonaws.com", "sns:Publish", approvals,
				from(alarm.ARN), true})
	}
	logs := "logs." + region + ".amazonaws.com"
	for _, group := range stack.OfType("AWS::Logs::LogGroup") {
		// Logs gives the group's ARN without the :* of its streams.
		context := "arn:aws:logs:" + region + ":" + account + ":log-group:" + group.Name
		out = append(out, call{group.LogicalID + " encrypts", logs, "kms:GenerateDataKey", key,
			map[string][]string{"kms:EncryptionContext:aws:logs:arn": {context}}, false})
	}
	delivery := func(from string) map[string][]string {
		return map[string][]string{"kms:EncryptionContext:SourceArn": {"arn:aws:logs:" + region + ":" + from + ":*"}}
	}
	out = append(out,
		call{"log delivery reads what the machine logs", "delivery.logs.amazonaws.com", "kms:Decrypt", key,
			delivery(account), false},
		call{"log delivery of another account", "delivery.logs.amazonaws.com", "kms:Decrypt", key,
			delivery(other), true})
	return append(out, call{"a foreign log group", logs, "kms:Decrypt", key,
		map[string][]string{"kms:EncryptionContext:aws:logs:arn": {"arn:aws:logs:" + region + ":" + account +
			":log-group:/aws/lambda/else"}}, true})
}

func arn(stack *cfn.Stack, id string) string {
	if r := stack.Resources[id]; r != nil {
		return r.ARN
	}
	return ""
}
