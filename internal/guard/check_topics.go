package guard

import (
	"slices"
	"strings"

	"ec2patch/internal/lambdas"
)

// topicChecks are about topics, queues and keys.
func topicChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"H-78", "Topics are encrypted with our key.", hub, topicKeys},
		{"H-79", "Topics refuse plain transport.", hub, topicTransport},
		{"H-80", "Topics name who may publish.", hub, publishers},
		{"H-81", "Requests for approval have a topic of their own.", hub, separateTopics},
		{"H-83", "The data key is rotated.", hub, rotation},
		{"H-84", "A key's policy names whom it lets in.", hub, keyPrincipals},
		{"H-85", "A deleted key can be called back for 30 days, and lives in one region.", hub, keyDeletion},
		{"key-guard", "Nobody deletes a key in less than 30 days, and whoever disables one or schedules its end rings an " +
			"alarm that needs no key of ours to be kept.", hub, keyGuard},
		{"subscribers", "Requests for approval go to the endpoints that were deployed.", hub, subscribers},
		{"H-86", "Links, seals and decisions have keys of their own; who makes codes cannot check them, and makes them in " +
			"its function alone.", hub, codeKeys},
		{"H-92", "Queues are encrypted, refuse plain transport and keep messages for two weeks.", nil, queues},
	}
}

func topicKeys(t *Template, tell say) {
	for _, r := range t.ofType("AWS::SNS::Topic") {
		if show(r.property("KmsMasterKeyId")) != "${DataKey.Arn}" {
			tell(r.Node, "%s is not encrypted with our key", r.ID)
		}
	}
}

func topicTransport(t *Template, tell say) {
	policies := t.ofType("AWS::SNS::TopicPolicy")
	if len(policies) != len(t.ofType("AWS::SNS::Topic")) {
		tell(nil, "every topic needs a policy")
	}
	for _, r := range policies {
		if !refusesPlainTransport(r, "sns:Publish", "${"+strings.TrimSuffix(r.ID, "Policy")+"}") {
			tell(r.Node, "%s must refuse plain transport", r.ID)
		}
	}
}

func publishers(t *Template, tell say) {
	for _, r := range t.ofType("AWS::SNS::TopicPolicy") {
		for _, s := range statements(r) {
			if !s.allows() {
				continue
			}
			if len(shown(dig(s.node, "Principal", "Service"))) > 0 &&
				(len(s.condition("StringEquals", "aws:SourceAccount")) != 1 || len(s.condition("ArnLike", "aws:SourceArn")) != 1) {
				tell(s.node, "%s of %s lets a service publish for anybody", s.sid(), r.ID)
			}
			for _, principal := range shown(dig(s.node, "Principal", "AWS")) {
				if principal != "arn:${AWS::Partition}:iam::${AWS::AccountId}:root" {
					tell(s.node, "%s of %s lets %s in", s.sid(), r.ID, principal)
				}
			}
		}
	}
	approvals, _ := t.resource("ApprovalsTopicPolicy")
	requester := "arn:${AWS::Partition}:iam::${AWS::AccountId}:role${RolePath}${NamePrefix}-SendApprovalRequestRole"
	if !slices.ContainsFunc(statements(approvals), func(s statement) bool {
		return show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" &&
			slices.Equal(s.actions(), []string{"sns:Publish"}) &&
			slices.Equal(s.condition("ArnNotEquals", "aws:PrincipalArn"), []string{requester})
	}) {
		tell(approvals.Node, "only SendApprovalRequest may publish requests for approval")
	}
}

func separateTopics(t *Template, tell say) {
	for _, id := range []string{"ApprovalsTopic", "NoticesTopic"} {
		if r, ok := t.resource(id); !ok || r.Type != "AWS::SNS::Topic" {
			tell(nil, "%s is missing", id)
		}
	}
	for _, r := range t.ofType("AWS::CloudWatch::Alarm") {
		if mentions(r.property("AlarmActions"), "ApprovalsTopic") {
			tell(r.Node, "%s must not tell those who approve", r.ID)
		}
	}
	for _, want := range []struct{ function, variable, topic string }{
		{"ApprovalRequestFunction", "APPROVAL_TOPIC_ARN", "ApprovalsTopic"},
		{"ApprovalCallbackFunction", "NOTICE_TOPIC_ARN", "NoticesTopic"},
		{"VerifyFunction", "NOTICE_TOPIC_ARN", "NoticesTopic"},
	} {
		r, _ := t.resource(want.function)
		if show(r.property("Environment", "Variables", want.variable)) != "${"+want.topic+"}" {
			tell(r.Node, "%s of %s must be %s", want.variable, want.function, want.topic)
		}
	}
	for _, s := range t.identityStatements() {
		reads := !slices.ContainsFunc(s.actions(), func(action string) bool {
			return action != "sns:GetTopicAttributes" && action != "sns:ListSubscriptionsByTopic"
		})
		if s.allows() && !reads && s.does("sns:") && slices.Contains(s.on(), "${ApprovalsTopic}") &&
			s.resource.ID != "ApprovalRequestRole" {
			tell(s.node, "%s may send requests for approval", s.resource.ID)
		}
	}
}

func rotation(t *Template, tell say) {
	for _, r := range t.ofType("AWS::KMS::Key") {
		usage := show(r.property("KeyUsage"))
		fixed := usage == "GENERATE_VERIFY_MAC" || usage == "SIGN_VERIFY" // KMS cannot rotate these
		if !fixed && show(r.property("EnableKeyRotation")) != "true" {
			tell(r.Node, "%s must be rotated", r.ID)
		}
	}
}

func keyPrincipals(t *Template, tell say) {
	for _, r := range t.ofType("AWS::KMS::Key") {
		for _, s := range statements(r) {
			if !s.allows() {
				continue
			}
			principal := child(s.node, "Principal")
			if principal == nil || slices.Contains(append(shown(principal), shown(child(principal, "AWS"))...), "*") {
				tell(s.node, "%s of %s lets everybody in", s.sid(), r.ID)
			}
		}
	}
}

func keyDeletion(t *Template, tell say) {
	for _, r := range t.ofType("AWS::KMS::Key") {
		if show(r.property("PendingWindowInDays")) != "30" {
			tell(r.Node, "%s must wait 30 days before it goes", r.ID)
		}
		if show(r.property("MultiRegion")) == "true" {
			tell(r.Node, "%s must stay in its region", r.ID)
		}
	}
}

// keyGuard holds every key to the long wait, and the rule on its end to all of them. The queue is encrypted by SQS: one
// under the data key could not keep the event that the data key is gone.
func keyGuard(t *Template, tell say) {
	rule, _ := t.resource("KeyEndRule")
	watched := shown(rule.property("EventPattern", "detail", "resources", "ARN"))
	for _, r := range t.ofType("AWS::KMS::Key") {
		if !slices.ContainsFunc(statements(r), func(s statement) bool {
			return show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" &&
				slices.Equal(s.actions(), []string{"kms:ScheduleKeyDeletion"}) && len(pairs(child(s.node, "Condition"))) == 1 &&
				slices.Equal(s.condition("NumericLessThan", "kms:ScheduleKeyDeletionPendingWindowInDays"), []string{"30"})
		}) {
			tell(r.Node, "%s must refuse to be deleted in less than 30 days", r.ID)
		}
		if !slices.Contains(watched, "${"+r.ID+".Arn}") {
			tell(rule.Node, "KeyEndRule must watch %s", r.ID)
		}
	}
	calls := shown(rule.property("EventPattern", "detail", "eventName"))
	slices.Sort(calls)
	if show(rule.property("State")) != "ENABLED" || !slices.Equal(calls, []string{"DisableKey", "ScheduleKeyDeletion"}) ||
		!slices.Equal(shown(rule.property("EventPattern", "source")), []string{"aws.kms"}) ||
		!slices.Equal(shown(rule.property("EventPattern", "detail-type")), []string{"AWS API Call via CloudTrail"}) {
		tell(rule.Node, "KeyEndRule must see every DisableKey and ScheduleKeyDeletion that CloudTrail records")
	}
	targets := items(rule.property("Targets"))
	queue, _ := t.resource("KeyEndQueue")
	if len(targets) != 1 || show(child(targets[0], "Arn")) != "${KeyEndQueue.Arn}" ||
		show(queue.property("SqsManagedSseEnabled")) != "true" {
		tell(rule.Node, "KeyEndRule must keep what it saw in KeyEndQueue, which SQS encrypts")
	}
	alarm, _ := t.resource("KeyEndAlarm")
	if !mentions(alarm.property("Dimensions"), "KeyEndQueue") {
		tell(alarm.Node, "KeyEndAlarm must watch KeyEndQueue")
	}
}

// codeRights says which functions may make and check the codes of a key.
func codeRights() map[string]map[string][]string {
	return map[string]map[string][]string{
		"LinkKey": {"kms:GenerateMac": {"SendApprovalRequest"}, "kms:VerifyMac": {"ApprovalCallback"}},
		"SealKey": {"kms:GenerateMac": {"SendApprovalRequest"},
			"kms:VerifyMac": {"SendSsmCommand", "PostEC2Verify"}},
		"DecisionKey": {"kms:GenerateMac": {"ApprovalCallback"},
			"kms:VerifyMac": {"SendApprovalRequest", "SendSsmCommand", "PostEC2Verify"}},
	}
}

// refused tells whether a policy of a resource refuses an action to everybody or everything but what a condition says.
func refused(r Resource, action, operator, key string, but []string) bool {
	return slices.ContainsFunc(statements(r), func(s statement) bool {
		return show(child(s.node, "Effect")) == "Deny" &&
			slices.Equal(s.actions(), []string{action}) && slices.Equal(s.on(), []string{"*"}) &&
			len(pairs(child(s.node, "Condition"))) == 1 && slices.Equal(s.condition(operator, key), but)
	})
}

// subscribers holds the approvals topic to its own list: whoever gets a link can decide with it.
func subscribers(t *Template, tell say) {
	r, _ := t.resource("ApprovalsTopicPolicy")
	if !slices.ContainsFunc(statements(r), func(s statement) bool {
		list := dig(s.node, "Condition", "StringNotEquals", "sns:Endpoint")
		return show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" &&
			slices.Equal(s.actions(), []string{"sns:Subscribe"}) && slices.Equal(s.on(), []string{"${ApprovalsTopic}"}) &&
			len(pairs(child(s.node, "Condition"))) == 1 &&
			mentions(list, "NotificationEmail") && mentions(list, "ApprovalEndpoints")
	}) {
		tell(r.Node, "only NotificationEmail and ApprovalEndpoints may subscribe to requests for approval")
	}
	for _, s := range t.ofType("AWS::SNS::Subscription") {
		waits := show(child(s.Node, "DependsOn")) == "ApprovalsTopicPolicy"
		if show(s.property("TopicArn")) == "${ApprovalsTopic}" && !waits {
			tell(s.Node, "%s must wait for the policy that lets it in", s.ID)
		}
	}
}

// ownMacs holds the roles that make codes to their functions: a session of the role elsewhere makes none. Key policies
// do not know the condition key, so it stands in the roles' own.
func ownMacs(t *Template, tell say) {
	for _, f := range lambdas.All() {
		r, ok := t.resource(f.ID + "Role")
		makes := slices.ContainsFunc(statements(r), func(s statement) bool {
			return s.allows() && s.does("kms:GenerateMac")
		})
		function := "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${NamePrefix}-" + f.Name
		own := []string{function, function + ":*"}
		if ok && makes && !refused(r, "kms:GenerateMac", "ArnNotLike", "lambda:SourceFunctionArn", own) {
			tell(r.Node, "%s must make codes in %s alone", r.ID, f.Name)
		}
	}
}

func codeKeys(t *Template, tell say) {
	ownMacs(t, tell)
	for _, id := range []string{"LinkKey", "SealKey", "DecisionKey"} {
		r, ok := t.resource(id)
		if !ok || show(r.property("KeyUsage")) != "GENERATE_VERIFY_MAC" || show(r.property("KeySpec")) != "HMAC_256" {
			tell(r.Node, "%s must be an HMAC key", id)
			continue
		}
		for _, s := range statements(r) {
			for _, action := range s.actions() {
				if action == "kms:*" || action == "kms:CreateGrant" {
					tell(s.node, "%s of %s lets IAM policies give codes away", s.sid(), id)
				}
				names, code := codeRights()[id][action]
				if !code {
					continue
				}
				var want []string
				for _, name := range names {
					want = append(want, "arn:${AWS::Partition}:iam::${AWS::AccountId}:role${RolePath}${NamePrefix}-"+name+"Role")
				}
				if !slices.Equal(s.condition("ArnEquals", "aws:PrincipalArn"), want) {
					tell(s.node, "%s of %s: %s is for %s", s.sid(), id, action, strings.Join(names, ", "))
				}
			}
		}
	}
}

func queues(t *Template, tell say) {
	policies := t.ofType("AWS::SQS::QueuePolicy")
	for _, r := range t.ofType("AWS::SQS::Queue") {
		if show(r.property("KmsMasterKeyId")) != "${DataKey.Arn}" && show(r.property("SqsManagedSseEnabled")) != "true" {
			tell(r.Node, "%s is not encrypted", r.ID)
		}
		if show(r.property("MessageRetentionPeriod")) != "1209600" {
			tell(r.Node, "%s must keep messages for two weeks", r.ID)
		}
		if !slices.ContainsFunc(policies, func(p Resource) bool {
			return refusesPlainTransport(p, "sqs:*", "${"+r.ID+".Arn}")
		}) {
			tell(r.Node, "%s must refuse plain transport", r.ID)
		}
	}
}
