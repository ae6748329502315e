package guard

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ec2patch/internal/lambdas"
)

// spokeChecks are about the roles in the accounts to be patched, and how they are handed out.
func spokeChecks() []Check {
	return []Check{
		{"H-23", "The templates of other accounts make their roles and nothing else.", []string{Spoke, Reader}, rolesOnly},
		{"H-24", "A spoke's reader sends nothing, and its sender does nothing else unless it is for a former hub.",
			[]string{Spoke}, apart},
		{"H-25", "Each role of another account trusts the roles of the hub that need it, with the external id, and nobody " +
			"else.", []string{Spoke, Reader}, spokeTrust},
		{"H-27", "No session is tagged and no source identity is set.", nil, sessionTags},
		{"H-28", "Commands go to instances of the account, with the one document of AWS.", []string{Spoke}, commands},
		{"H-29", "No global condition key stands on SendCommand.", nil, globalKeys},
		{"H-30", "What no role of a spoke may ever do is denied to each in so many words.", []string{Spoke}, denials},
		{"H-31", "The roles may call what patching, or listing accounts, needs, and nothing else.", []string{Spoke, Reader},
			spokeActions},
		{"H-32", "The names of a spoke's two roles fit, and a former hub is trusted only where somebody says so.",
			[]string{Hub, Spoke, StackSet}, spokeNames},
		{"role-path", "A role has a path only where one is given.", []string{Hub, Spoke}, rolePaths},
		{"stackset", "The stack set reaches accounts that join later, and gives the spoke all that it needs.",
			[]string{StackSet}, stackSet},
		{"oidc", "Workflows are named by repository, and their audience is STS.", []string{GitHub}, workflows},
	}
}

// rolesOf names the roles that a template of another account makes.
func rolesOf(t *Template) []string {
	if t.Name == Reader {
		return []string{"ReaderRole"}
	}
	return []string{"SpokeRole", "ReaderRole"}
}

func rolesOnly(t *Template, tell say) {
	var have []string
	for _, r := range t.Resources {
		if r.Type != "AWS::IAM::Role" {
			tell(r.Node, "%s: nothing but roles", r.ID)
		}
		have = append(have, r.ID)
	}
	if want := rolesOf(t); !slices.Equal(have, want) {
		tell(nil, "the roles must be %s, not %s", strings.Join(want, " and "), strings.Join(have, ", "))
	}
}

// trusted lists the functions of the hub that a role lets in, and those that it lets in for a former hub alone.
func trusted(t *Template, role string) (always, former []string) {
	switch {
	case t.Name == Reader:
		return []string{"Inventory"}, nil
	case role == "SpokeRole":
		return []string{"Send"}, []string{"Inventory", "Poll", "Verify"}
	}
	return []string{"Inventory", "Send", "Poll", "Verify"}, nil
}

// formerOnly is what stands in a list for a former hub alone; nil for anything else.
func formerOnly(n *yaml.Node) *yaml.Node {
	if n.Tag != "!If" || len(n.Content) != 3 {
		return nil
	}
	if show(n.Content[0]) != "HasFormerHub" || show(n.Content[2]) != "${AWS::NoValue}" {
		return nil
	}
	return n.Content[1]
}

func spokeTrust(t *Template, tell say) {
	for _, id := range rolesOf(t) {
		role, _ := t.resource(id)
		always, former := trusted(t, id)
		trust := items(role.property("AssumeRolePolicyDocument", "Statement"))
		if len(trust) != 1+min(1, len(former)) {
			tell(role.Node, "the trust policy of %s has %d statements", id, len(trust))
			continue
		}
		trusts(statement{resource: role, node: trust[0], trust: true}, always, tell)
		if len(former) == 0 {
			continue
		}
		if n := formerOnly(trust[1]); n != nil {
			trusts(statement{resource: role, node: n, trust: true}, former, tell)
		} else {
			tell(trust[1], "%s may trust more than %s only with FormerHub", id, strings.Join(always, ", "))
		}
	}
}

// trusts checks that a statement lets in these functions of the hub, with the external id, and nobody else.
func trusts(s statement, stems []string, tell say) {
	principal := child(s.node, "Principal")
	if !only(child(principal, "AWS"), "arn:${AWS::Partition}:iam::${HubAccountId}:root") || len(pairs(principal)) != 1 {
		tell(s.node, "the principal must be the hub's account")
	}
	if !slices.Equal(s.actions(), []string{"sts:AssumeRole"}) {
		tell(s.node, "the trust policy allows more than sts:AssumeRole")
	}
	if !slices.Equal(s.condition("StringEquals", "sts:ExternalId"), []string{"${ExternalId}"}) {
		tell(s.node, "the trust policy must ask for the external id")
	}
	var want []string
	for _, f := range lambdas.All() {
		if slices.Contains(stems, f.ID) {
			want = append(want, "arn:${AWS::Partition}:iam::${HubAccountId}:role${HubRolePath}${HubNamePrefix}-"+f.Name+"Role")
		}
	}
	if !slices.Equal(s.condition("ArnEquals", "aws:PrincipalArn"), want) {
		tell(s.node, "%s of %s must name exactly %s", s.sid(), s.resource.ID, strings.Join(want, ", "))
	}
	if len(pairs(child(s.node, "Condition"))) != 2 {
		tell(s.node, "the trust policy has conditions that nobody expects")
	}
}

// apart checks that whoever has the reader cannot send, and that the sender is good for nothing but to send.
func apart(t *Template, tell say) {
	former := map[*yaml.Node]bool{}
	for _, r := range t.Resources {
		walk(r.Node, func(n *yaml.Node) { former[formerOnly(n)] = true })
	}
	denied := false
	for _, s := range t.identityStatements() {
		reader := s.resource.ID == "ReaderRole"
		if !s.allows() {
			denied = denied || reader && slices.Contains(s.actions(), "ssm:SendCommand") && slices.Equal(s.on(), []string{"*"})
			continue
		}
		for _, action := range s.actions() {
			switch sends := action == "ssm:SendCommand"; {
			case reader && sends:
				tell(s.node, "%s lets the reader send", s.sid())
			case !reader && !sends && !former[s.node]:
				tell(s.node, "%s lets the sender do %s without FormerHub", s.sid(), action)
			}
		}
	}
	if !denied {
		tell(nil, "the reader must be denied ssm:SendCommand")
	}
}

// roleName is a role's name that leaves room for the six letters of Reader. Source: IAM quotas, 64 characters, read
// 2026-11.
const roleName = `^[\w+=,.@-]{1,58}$`

func spokeNames(t *Template, tell say) {
	parameter := func(name, key string) *yaml.Node { return dig(t.root, "Parameters", name, key) }
	name := "RoleName"
	if t.Name == Hub {
		name = "SpokeRoleName"
	}
	if show(parameter(name, "AllowedPattern")) != roleName {
		tell(nil, "%s must match %s", name, roleName)
	}
	if t.Name == Hub {
		return
	}
	values := parameter("FormerHub", "AllowedValues")
	if show(parameter("FormerHub", "Default")) != "false" || !only(values, "false", "true") {
		tell(nil, "FormerHub must be false or true, and false by default")
	}
	if t.Name != Spoke {
		return
	}
	if c := dig(t.root, "Conditions", "HasFormerHub"); c == nil || c.Tag != "!Equals" || !only(c, "${FormerHub}", "true") {
		tell(c, "HasFormerHub must be FormerHub")
	}
	for id, want := range map[string]string{"SpokeRole": "${RoleName}", "ReaderRole": "${RoleName}Reader"} {
		if r, _ := t.resource(id); show(r.property("RoleName")) != want {
			tell(r.Node, "%s must be called %s, as the hub knows it", id, want)
		}
	}
}

// rolePaths keeps CloudFormation from replacing roles that were made before there was a path.
func rolePaths(t *Template, tell say) {
	if c := dig(t.root, "Conditions", "HasRolePath"); c == nil || c.Tag != "!Not" || !mentions(c, "RolePath") {
		tell(c, "HasRolePath must ask for RolePath")
	}
	if show(dig(t.root, "Parameters", "RolePath", "Default")) != "/" {
		tell(nil, "RolePath must be / by default")
	}
	for _, r := range t.ofType("AWS::IAM::Role") {
		if n := r.property("Path"); n == nil || n.Tag != "!If" || !only(n, "HasRolePath", "${RolePath}", "${AWS::NoValue}") {
			tell(r.Node, "%s must have RolePath, and no path where it is /", r.ID)
		}
	}
}

func sessionTags(t *Template, tell say) {
	for _, s := range t.allStatements() {
		if s.allows() && (s.does("sts:TagSession") || s.does("sts:SetSourceIdentity")) {
			tell(s.node, "%s of %s lets sessions be tagged", s.sid(), s.resource.ID)
		}
	}
}

func commands(t *Template, tell say) {
	var on []string
	for _, s := range t.identityStatements() {
		if !s.allows() || !s.does("ssm:Send") {
			continue
		}
		on = append(on, s.on()...)
		if len(s.actions()) != 1 {
			tell(s.node, "%s allows more than ssm:SendCommand", s.sid())
		}
		var tags []string
		walk(child(s.node, "Condition"), func(n *yaml.Node) {
			for _, p := range pairs(n) {
				if strings.HasPrefix(p.key, "ssm:resourceTag/") {
					tags = append(tags, p.key, show(p.value))
				}
			}
		})
		wanted := []string{"ssm:resourceTag/PatchGroup", "${OptInTagValues}", "ssm:resourceTag/PatchOptIn",
			"${OptInTagValues}"}
		if strings.Contains(strings.Join(s.on(), ""), "instance/") && !slices.Equal(tags, wanted) {
			tell(s.node, "%s does not ask for the opt-in tag", s.sid())
		}
	}
	slices.Sort(on)
	want := []string{"arn:${AWS::Partition}:ec2:*:${AWS::AccountId}:instance/*",
		"arn:${AWS::Partition}:ssm:*::document/AWS-RunPatchBaseline"}
	if !slices.Equal(on, want) {
		tell(nil, "ssm:SendCommand must be on %s, not on %s", strings.Join(want, " and "), strings.Join(on, ", "))
	}
}

// globalKeys refuses aws: keys on SendCommand: Systems Manager then calls on behalf of the caller, and the keys are
// others.
func globalKeys(t *Template, tell say) {
	for _, s := range t.identityStatements() {
		if !s.does("ssm:SendCommand") {
			continue
		}
		walk(child(s.node, "Condition"), func(n *yaml.Node) {
			for _, p := range pairs(n) {
				if strings.HasPrefix(p.key, "aws:") {
					tell(p.at, "%s of %s has the condition key %s", s.sid(), s.resource.ID, p.key)
				}
			}
		})
	}
}

// denied lists what a spoke must deny each role, whatever else is attached to it.
func denied() []string {
	return []string{"ssm:StartSession", "ssm:StartAutomationExecution", "ssm:CreateAssociation", "ssm:CreateDocument",
		"ssm:UpdateDocument",
		"ssm:PutParameter", "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ec2:RunInstances",
		"ec2:StopInstances",
		"ec2:RebootInstances", "ec2:TerminateInstances", "ec2:ModifyInstanceAttribute",
		"ec2-instance-connect:SendSSHPublicKey", "iam:*", "sts:AssumeRole"}
}

func denials(t *Template, tell say) {
	have := map[string][]string{}
	for _, s := range t.identityStatements() {
		if show(child(s.node, "Effect")) == "Deny" && slices.Equal(s.on(), []string{"*"}) &&
			child(s.node, "Condition") == nil {
			have[s.resource.ID] = append(have[s.resource.ID], s.actions()...)
		}
	}
	for _, role := range rolesOf(t) {
		for _, action := range denied() {
			if !slices.Contains(have[role], action) {
				tell(nil, "%s must be denied to %s", action, role)
			}
		}
	}
}

func spokeActions(t *Template, tell say) {
	allowed := []string{"ssm:SendCommand", "ssm:CancelCommand", "ssm:ListCommands", "ssm:ListCommandInvocations",
		"ssm:GetCommandInvocation",
		"ssm:DescribeInstanceInformation", "ssm:DescribeInstancePatchStates", "ssm:DescribeInstancePatches",
		"ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "cloudwatch:DescribeAlarms"}
	if t.Name == Reader {
		allowed = []string{"organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent"}
	}
	for _, s := range t.identityStatements() {
		for _, action := range s.actions() {
			if s.allows() && !slices.Contains(allowed, action) {
				tell(s.node, "%s allows %s, which nobody needs", s.sid(), action)
			}
		}
	}
}

func stackSet(t *Template, tell say) {
	set, _ := t.resource("SpokeStackSet")
	for _, want := range []struct {
		path  []string
		value string
	}{
		{[]string{"PermissionModel"}, "SERVICE_MANAGED"},
		{[]string{"AutoDeployment", "Enabled"}, "true"},
		{[]string{"Capabilities"}, ""},
		{[]string{"TemplateURL"}, "${SpokeTemplateUrl}"},
	} {
		n := set.property(want.path...)
		if n == nil || want.value != "" && show(n) != want.value {
			tell(set.Node, "%s must be %s", strings.Join(want.path, "."), want.value)
		}
	}
	if !only(set.property("Capabilities"), "CAPABILITY_NAMED_IAM") {
		tell(set.Node, "the roles have names: CAPABILITY_NAMED_IAM")
	}
	given := map[string]string{}
	for _, p := range items(set.property("Parameters")) {
		given[show(child(p, "ParameterKey"))] = show(child(p, "ParameterValue"))
	}
	for _, name := range []string{
		"HubAccountId", "ExternalId", "HubNamePrefix", "HubRolePath", "FormerHub", "RoleName", "RolePath", "OptInTag",
		"OptInTagValues", "PermissionsBoundaryName",
	} {
		if given[name] != "${"+name+"}" {
			tell(set.Node, "the spoke's parameter %s is not handed on", name)
		}
	}
	for _, group := range items(set.property("StackInstancesGroup")) {
		if len(items(child(group, "Regions"))) != 1 {
			tell(group, "the roles are global: one region")
		}
	}
}

func workflows(t *Template, tell say) {
	for _, r := range t.ofType("AWS::IAM::Role") {
		for _, s := range statements(r) {
			if !s.trust {
				continue
			}
			if !slices.Equal(s.actions(), []string{"sts:AssumeRoleWithWebIdentity"}) ||
				!slices.Equal(s.condition("StringEquals", "token.actions.githubusercontent.com:aud"),
					[]string{"sts.amazonaws.com"}) {
				tell(s.node, "%s: the audience must be sts.amazonaws.com", r.ID)
			}
			sub := s.condition("StringLike", "token.actions.githubusercontent.com:sub")
			if own := "${" + strings.TrimSuffix(r.ID, "Role") + "Subjects}"; len(sub) != 1 || sub[0] != own {
				tell(s.node, "%s: the subjects must be those of its own parameter, %s", r.ID, own)
			}
		}
	}
	for _, p := range pairs(child(t.root, "Parameters")) {
		if strings.HasSuffix(p.key, "Subjects") && !strings.HasPrefix(show(child(p.value, "AllowedPattern")), `^repo:[A-Za-z0-9_.-]+(@[0-9]+)?/[A-Za-z0-9_.-]+(@[0-9]+)?:`) {
			tell(p.at, "%s must name a repository, and may not be a wildcard", p.key)
		}
	}
}
