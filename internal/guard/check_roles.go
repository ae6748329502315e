package guard

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ec2patch/internal/lambdas"
)

// roleChecks are about what roles may do and who may take them.
func roleChecks() []Check {
	return []Check{
		{"H-09", "Each function and each state machine has a role of its own, with the name that others know.", []string{Hub},
			ownRoles},
		{"H-10", "No action is a wildcard.", nil, wildcardActions},
		{"H-12", "Only a listed action is allowed on everything, and the line says why.", nil, wildcardResources},
		{"H-13", "Nothing is allowed by exception.", nil, exceptions},
		{"H-14", "A role of the hub assumes the spokes' reader, send their sender too and inventory the organization " +
			"reader, and nothing else.", []string{Hub}, assumedRoles},
		{"H-15", "Nothing that widens rights is allowed; a role is passed to CloudFormation only.", nil, escalations},
		{"H-16", "No role has a policy that this template does not show.", nil, foreignPolicies},
		{"H-17", "Every role takes the permissions boundary.", nil, boundaries},
		{"H-18", "A service that acts for others assumes a role for this account and its own resource only.", nil,
			serviceTrust},
		{"H-19", "Only the callback ends a waiting task, and only of our machine.", []string{Hub}, taskAnswers},
		{"H-20", "A function writes its own log group, and creates none.", []string{Hub}, logRights},
		{"H-21", "Every use of a key names the key, and the data key also the service or context.", nil, keyRights},
		{"H-22", "The audit table is put to and queried, and nothing else.", []string{Hub}, auditRights},
		{"H-26", "A session lasts an hour.", nil, sessions},
		{"state-keys", "Every right on the state table is limited to key prefixes.", []string{Hub}, leadingKeys},
	}
}

func ownRoles(t *Template, tell say) {
	var used []string
	for _, r := range append(t.ofType("AWS::Lambda::Function"), t.ofType("AWS::StepFunctions::StateMachine")...) {
		at := r.property("Role")
		if at == nil {
			at = r.property("RoleArn")
		}
		role := show(at)
		if slices.Contains(used, role) || !strings.HasSuffix(role, "Role.Arn}") {
			tell(r.Node, "%s needs a role of its own, not %q", r.ID, role)
		}
		used = append(used, role)
	}
	for _, f := range lambdas.All() {
		role, _ := t.resource(f.ID + "Role")
		if show(role.property("RoleName")) != "${NamePrefix}-"+f.Name+"Role" {
			tell(role.Node, "%sRole must be named ${NamePrefix}-%sRole, as spokes and keys know it", f.ID, f.Name)
		}
		function, _ := t.resource(f.ID + "Function")
		if show(function.property("Role")) != "${"+f.ID+"Role.Arn}" {
			tell(function.Node, "%sFunction must have %sRole", f.ID, f.ID)
		}
	}
}

func wildcardActions(t *Template, tell say) {
	for _, s := range t.allStatements() {
		if !s.allows() {
			continue
		}
		for _, action := range s.actions() {
			// The account administers the data key; logs and services re-encrypt with any of KMS's variants of two calls.
			keyPolicy := s.resource.ID == "DataKey" &&
				(action == "kms:*" || strings.HasPrefix(action, "kms:GenerateDataKey") ||
					strings.HasPrefix(action, "kms:ReEncrypt"))
			if strings.Contains(action, "*") && !keyPolicy {
				tell(s.node, "%s of %s allows %s", s.sid(), s.resource.ID, action)
			}
		}
	}
}

// anyResource lists the actions that may be allowed on *: they know no resource, or AWS asks for * (composite alarms).
func anyResource() []string {
	return []string{
		"cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData",
		"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
		"logs:ListLogDeliveries",
		"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
		"ssm:CancelCommand", "ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:GetCommandInvocation",
		"ssm:DescribeInstanceInformation", "ssm:DescribeInstancePatchStates", "ssm:DescribeInstancePatches",
		"ec2:DescribeInstances", "ec2:DescribeInstanceStatus",
		"cloudformation:GetTemplateSummary",
		"organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent",
	}
}

func wildcardResources(t *Template, tell say) {
	for _, s := range t.allStatements() {
		on := child(s.node, "Resource")
		if on == nil || !slices.Contains(s.on(), "*") {
			continue
		}
		if on.LineComment == "" {
			tell(on, "%s of %s is on * and does not say why", s.sid(), s.resource.ID)
		}
		if !s.allows() || s.resource.Type == "AWS::KMS::Key" {
			continue
		}
		for _, action := range s.actions() {
			if !slices.Contains(anyResource(), action) {
				tell(on, "%s of %s allows %s on *", s.sid(), s.resource.ID, action)
			}
		}
	}
}

func exceptions(t *Template, tell say) {
	for _, s := range t.allStatements() {
		for _, p := range pairs(s.node) {
			if slices.Contains([]string{"NotAction", "NotResource", "NotPrincipal"}, p.key) {
				tell(p.at, "%s of %s has %s", s.sid(), s.resource.ID, p.key)
			}
		}
		principal := child(s.node, "Principal")
		if s.allows() &&
			(show(principal) == "*" || slices.Contains(shown(child(principal, "AWS")), "*") ||
				slices.Contains(shown(child(principal, "Service")), "*")) {
			tell(s.node, "%s of %s allows everybody", s.sid(), s.resource.ID)
		}
	}
}

func assumedRoles(t *Template, tell say) {
	reader := "arn:${AWS::Partition}:iam::*:role${SpokeRolePath}${SpokeRoleName}Reader"
	sender := strings.TrimSuffix(reader, "Reader")
	want := map[string][]string{
		"InventoryRole": {reader, "${OrganizationReaderRoleArn}"}, "SendRole": {reader, sender},
		"PollRole": {reader}, "VerifyRole": {reader},
	}
	have := map[string][]string{}
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("sts:") {
			continue
		}
		have[s.resource.ID] = append(have[s.resource.ID], s.on()...)
		if !slices.Equal(s.actions(), []string{"sts:AssumeRole"}) {
			tell(s.node, "%s of %s: only sts:AssumeRole", s.sid(), s.resource.ID)
		}
	}
	for _, r := range t.Resources {
		if !slices.Equal(have[r.ID], want[r.ID]) {
			tell(r.Node, "%s must assume %q, not %q", r.ID, want[r.ID], have[r.ID])
		}
	}
}

// escalating lists beginnings of actions with which a role gives itself or others more rights, or reads secrets.
func escalating() []string {
	return []string{"iam:", "lambda:Update", "lambda:Create", "lambda:Add", "lambda:Put", "states:Update", "states:Create",
		"states:TagResource",
		"kms:Put", "kms:CreateGrant", "kms:ScheduleKeyDeletion", "secretsmanager:", "ssm:GetParameter", "ssm:PutParameter",
		"ssm:StartSession",
		"ssm:StartAutomation", "organizations:", "cloudtrail:", "ec2:Run", "ec2:Terminate", "ec2:Stop", "ec2:Reboot",
		"s3:PutBucket", "s3:Delete",
		"dynamodb:DeleteTable", "dynamodb:UpdateTable", "dynamodb:PutResourcePolicy", "logs:Delete", "sns:Subscribe",
		"sns:SetTopic"}
}

func escalations(t *Template, tell say) {
	for _, s := range t.identityStatements() {
		if !s.allows() {
			continue
		}
		for _, action := range s.actions() {
			if action == "iam:PassRole" && t.Name == GitHub && !slices.Contains(s.on(), "*") &&
				slices.Equal(s.condition("StringEquals", "iam:PassedToService"), []string{"cloudformation.amazonaws.com"}) {
				continue
			}
			if t.Name == Reader && strings.HasPrefix(action, "organizations:List") {
				continue
			}
			if action == "logs:DeleteLogDelivery" { // vended logs: Step Functions asks for it
				continue
			}
			if slices.ContainsFunc(escalating(), func(prefix string) bool { return strings.HasPrefix(action, prefix) }) {
				tell(s.node, "%s of %s allows %s", s.sid(), s.resource.ID, action)
			}
		}
	}
}

func foreignPolicies(t *Template, tell say) {
	for _, r := range t.ofType("AWS::IAM::Role") {
		for _, arn := range items(r.property("ManagedPolicyArns")) {
			id := strings.Trim(show(arn), "${}")
			if policy, ok := t.resource(id); !ok || policy.Type != "AWS::IAM::ManagedPolicy" {
				tell(arn, "%s has the policy %s, which is not of this template", r.ID, show(arn))
			}
		}
	}
}

func boundaries(t *Template, tell say) {
	for _, r := range t.ofType("AWS::IAM::Role") {
		n, condition := r.property("PermissionsBoundary"), "HasPermissionsBoundary"
		if t.Name == Spoke {
			// By name, so that one value fits every account, and else by ARN, as before there was the name.
			own := "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${PermissionsBoundaryName}"
			named := []string{"HasPermissionsBoundaryName", own, ""}
			if n == nil || n.Tag != "!If" || !only(n, named...) {
				tell(r.Node, "%s must take PermissionsBoundaryName", r.ID)
				continue
			}
			n, condition = n.Content[2], "HasPermissionsBoundaryArn"
		}
		if n == nil || n.Tag != "!If" || !only(n, condition, "${PermissionsBoundaryArn}", "${AWS::NoValue}") {
			tell(r.Node, "%s must take PermissionsBoundaryArn", r.ID)
		}
	}
}

// serviceTrust leaves Lambda out: it assumes a role only for functions of the role's account.
func serviceTrust(t *Template, tell say) {
	for _, s := range t.allStatements() {
		if !s.trust {
			continue
		}
		if t.Name == Hub && len(shown(dig(s.node, "Principal", "Service"))) != 1 || t.Name == Hub &&
			len(pairs(child(s.node, "Principal"))) != 1 {
			tell(s.node, "%s is for one service", s.resource.ID)
		}
		for _, service := range shown(dig(s.node, "Principal", "Service")) {
			if service == "lambda.amazonaws.com" {
				continue
			}
			if !slices.Equal(s.condition("StringEquals", "aws:SourceAccount"), []string{"${AWS::AccountId}"}) {
				tell(s.node, "%s lets %s in for any account", s.resource.ID, service)
			}
			source := append(s.condition("ArnLike", "aws:SourceArn"), s.condition("ArnEquals", "aws:SourceArn")...)
			if len(source) == 0 || slices.ContainsFunc(source, func(arn string) bool {
				return !strings.Contains(arn, ":${AWS::AccountId}:")
			}) {
				tell(s.node, "%s lets %s in for any resource", s.resource.ID, service)
			}
		}
	}
}

func taskAnswers(t *Template, tell say) {
	machine := "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${NamePrefix}-orchestrator"
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("states:SendTask") {
			continue
		}
		if s.resource.ID != "ApprovalCallbackRole" {
			tell(s.node, "%s may answer waiting tasks", s.resource.ID)
		}
		if !slices.Equal(s.actions(), []string{"states:SendTaskSuccess"}) || !slices.Equal(s.on(), []string{machine}) {
			tell(s.node, "%s of %s: only SendTaskSuccess on the machine", s.sid(), s.resource.ID)
		}
	}
}

func logRights(t *Template, tell say) {
	for _, f := range lambdas.All() {
		role, _ := t.resource(f.ID + "Role")
		if !slices.ContainsFunc(statements(role), func(s statement) bool {
			return s.allows() && s.does("logs:PutLogEvents")
		}) {
			tell(role.Node, "%sRole cannot write its log", f.ID)
		}
	}
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("logs:") || s.resource.ID == "OrchestratorRole" || s.resource.ID == "TargetRole" {
			continue
		}
		own := "${" + strings.TrimSuffix(s.resource.ID, "Role") + "LogGroup.Arn}"
		if !slices.Equal(s.actions(), []string{"logs:CreateLogStream", "logs:PutLogEvents"}) ||
			!slices.Equal(s.on(), []string{own}) {
			tell(s.node, "%s of %s: only streams and events of %s", s.sid(), s.resource.ID, own)
		}
	}
}

func keyRights(t *Template, tell say) {
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("kms:") {
			continue
		}
		previous := previousKeys(s)
		for _, on := range s.on() {
			if on == "" && previous {
				continue
			}
			if strings.HasSuffix(on, "AuditKey.Arn}") {
				continue // the check audit-keys is about these
			}
			if !slices.Contains([]string{"${DataKey.Arn}", "${LinkKey.Arn}", "${SealKey.Arn}", "${DecisionKey.Arn}",
				"${DataKeyArn}"}, on) {
				tell(s.node, "%s of %s is on %s", s.sid(), s.resource.ID, on)
			}
			if strings.Contains(on, "DataKey") && !bound(s) {
				tell(s.node, "%s of %s is bound to no service and no context", s.sid(), s.resource.ID)
			}
			if !strings.Contains(on, "DataKey") && !slices.Equal(s.actions(), []string{"kms:GenerateMac"}) &&
				!slices.Equal(s.actions(), []string{"kms:VerifyMac"}) {
				tell(s.node, "%s of %s: one role makes codes, another checks them", s.sid(), s.resource.ID)
			}
		}
	}
}

// previousKeys says whether a statement on a key is also on the one that the key replaced, where that one is given, and
// on nothing else.
func previousKeys(s statement) bool {
	on := items(child(s.node, "Resource"))
	if len(on) != 2 {
		return false
	}
	key := strings.TrimRight(strings.TrimSuffix(strings.TrimPrefix(show(on[0]), "${"), ".Arn}"), "0123456789")
	return only(on[1], "HasPrevious"+key, "${Previous"+key+"Arn}", "${AWS::NoValue}")
}

// bound says whether use of a key is limited to calls through named services or for a named context.
func bound(s statement) bool {
	for _, operator := range []string{"StringEquals", "StringLike"} {
		for _, p := range pairs(dig(s.node, "Condition", operator)) {
			named := !slices.ContainsFunc(shown(p.value), func(v string) bool { return v == "" || strings.HasPrefix(v, "*") })
			if named && (p.key == "kms:ViaService" || strings.HasPrefix(p.key, "kms:EncryptionContext:")) {
				return true
			}
		}
	}
	return false
}

func auditRights(t *Template, tell say) {
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("dynamodb:") {
			continue
		}
		table := child(s.node, "Resource")
		if !mentions(table, "AuditTable") && !strings.Contains(show(table), "*") && !strings.Contains(show(table), "-audit") {
			continue
		}
		for _, action := range s.actions() {
			if action != "dynamodb:PutItem" && action != "dynamodb:Query" {
				tell(s.node, "%s of %s may %s in the audit table", s.sid(), s.resource.ID, action)
			}
		}
	}
}

func sessions(t *Template, tell say) {
	for _, r := range t.ofType("AWS::IAM::Role") {
		if show(r.property("MaxSessionDuration")) != "3600" {
			tell(r.Node, "%s: MaxSessionDuration must be 3600", r.ID)
		}
	}
}

func leadingKeys(t *Template, tell say) {
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("dynamodb:") || !mentions(child(s.node, "Resource"), "StateTable") {
			continue
		}
		keys := s.condition("ForAllValues:StringLike", "dynamodb:LeadingKeys")
		if len(keys) == 0 || slices.ContainsFunc(keys, func(k string) bool { return !keyPrefix(k) }) {
			tell(child(s.node, "Resource"), "%s of %s reaches every row", s.sid(), s.resource.ID)
		}
		if slices.Contains(s.actions(), "dynamodb:Scan") {
			tell(s.node, "%s of %s may scan, which knows no keys", s.sid(), s.resource.ID)
		}
	}
}

// keyPrefix says whether a pattern of partition keys names one kind of rows.
func keyPrefix(pattern string) bool {
	return slices.Contains([]string{"RUN#*", "LEASE#*", "APPROVAL#*", "SEAL#*", "OPEN", "SERIES#*"}, pattern)
}

// only says whether a list node holds exactly these texts.
func only(n *yaml.Node, want ...string) bool { return slices.Equal(shown(n), want) }
