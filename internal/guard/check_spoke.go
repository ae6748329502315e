package guard

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// spokeChecks are about the role in the accounts to be patched, and how it is handed out.
func spokeChecks() []Check {
	return []Check{
		{"H-23", "The templates of other accounts make one role and nothing else.", []string{Spoke, Reader}, oneRole},
		{"H-25", "The spoke trusts the hub's patching roles with the external id, the organization reader one of them, and nobody else.", []string{Spoke, Reader}, spokeTrust},
		{"H-27", "No session is tagged and no source identity is set.", nil, sessionTags},
		{"H-28", "Commands go to instances of the account, with the one document of AWS.", []string{Spoke}, commands},
		{"H-29", "No global condition key stands on SendCommand.", nil, globalKeys},
		{"H-30", "What the role must never do is denied in so many words.", []string{Spoke}, denials},
		{"H-31", "The role may call what patching, or listing accounts, needs, and nothing else.", []string{Spoke, Reader}, spokeActions},
		{"stackset", "The stack set reaches accounts that join later, and gives the spoke all that it needs.", []string{StackSet}, stackSet},
		{"oidc", "Workflows are named by repository, and their audience is STS.", []string{GitHub}, workflows},
	}
}

func oneRole(t *Template, tell say) {
	for i, r := range t.Resources {
		if i > 0 || r.Type != "AWS::IAM::Role" {
			tell(r.Node, "%s: nothing but one role", r.ID)
		}
	}
}

func spokeTrust(t *Template, tell say) {
	id := "SpokeRole"
	if t.Name == Reader {
		id = "ReaderRole"
	}
	role, ok := t.resource(id)
	trust := items(role.property("AssumeRolePolicyDocument", "Statement"))
	if !ok || len(trust) != 1 {
		tell(role.Node, "the trust policy must have one statement")
		return
	}
	s := statement{resource: role, node: trust[0], trust: true}
	if !only(dig(s.node, "Principal", "AWS"), "arn:${AWS::Partition}:iam::${HubAccountId}:root") || len(pairs(child(s.node, "Principal"))) != 1 {
		tell(s.node, "the principal must be the hub's account")
	}
	if !slices.Equal(s.actions(), []string{"sts:AssumeRole"}) {
		tell(s.node, "the trust policy allows more than sts:AssumeRole")
	}
	if !slices.Equal(s.condition("StringEquals", "sts:ExternalId"), []string{"${ExternalId}"}) {
		tell(s.node, "the trust policy must ask for the external id")
	}
	var want []string
	for _, f := range functionNames() {
		if !strings.HasPrefix(f.stem, "Approval") && (t.Name == Spoke || f.stem == "Inventory") {
			want = append(want, "arn:${AWS::Partition}:iam::${HubAccountId}:role/${HubNamePrefix}-"+f.name+"Role")
		}
	}
	if !slices.Equal(s.condition("ArnEquals", "aws:PrincipalArn"), want) {
		tell(s.node, "the trust policy must name exactly %s", strings.Join(want, ", "))
	}
	if len(pairs(child(s.node, "Condition"))) != 2 {
		tell(s.node, "the trust policy has conditions that nobody expects")
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
		wanted := []string{"ssm:resourceTag/PatchGroup", "${OptInTagValues}", "ssm:resourceTag/PatchOptIn", "${OptInTagValues}"}
		if strings.Contains(strings.Join(s.on(), ""), "instance/") && !slices.Equal(tags, wanted) {
			tell(s.node, "%s does not ask for the opt-in tag", s.sid())
		}
	}
	slices.Sort(on)
	want := []string{"arn:${AWS::Partition}:ec2:*:${AWS::AccountId}:instance/*", "arn:${AWS::Partition}:ssm:*::document/AWS-RunPatchBaseline"}
	if !slices.Equal(on, want) {
		tell(nil, "ssm:SendCommand must be on %s, not on %s", strings.Join(want, " and "), strings.Join(on, ", "))
	}
}

// globalKeys refuses aws: keys on SendCommand: Systems Manager then calls on behalf of the caller, and the keys are others.
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

// denied lists what the spoke role must deny, whatever else is attached to it.
func denied() []string {
	return []string{"ssm:StartSession", "ssm:StartAutomationExecution", "ssm:CreateAssociation", "ssm:CreateDocument", "ssm:UpdateDocument",
		"ssm:PutParameter", "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ec2:RunInstances", "ec2:StopInstances",
		"ec2:RebootInstances", "ec2:TerminateInstances", "ec2:ModifyInstanceAttribute", "ec2-instance-connect:SendSSHPublicKey", "iam:*", "sts:AssumeRole"}
}

func denials(t *Template, tell say) {
	var have []string
	for _, s := range t.identityStatements() {
		if show(child(s.node, "Effect")) == "Deny" && slices.Equal(s.on(), []string{"*"}) && child(s.node, "Condition") == nil {
			have = append(have, s.actions()...)
		}
	}
	for _, action := range denied() {
		if !slices.Contains(have, action) {
			tell(nil, "%s must be denied", action)
		}
	}
}

func spokeActions(t *Template, tell say) {
	allowed := []string{"ssm:SendCommand", "ssm:CancelCommand", "ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:GetCommandInvocation",
		"ssm:DescribeInstanceInformation", "ssm:DescribeInstancePatchStates", "ssm:DescribeInstancePatches", "ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "cloudwatch:DescribeAlarms"}
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
		tell(set.Node, "the role has a name: CAPABILITY_NAMED_IAM")
	}
	given := map[string]string{}
	for _, p := range items(set.property("Parameters")) {
		given[show(child(p, "ParameterKey"))] = show(child(p, "ParameterValue"))
	}
	for _, name := range []string{"HubAccountId", "ExternalId", "HubNamePrefix", "RoleName", "OptInTag", "OptInTagValues"} {
		if given[name] != "${"+name+"}" {
			tell(set.Node, "the spoke's parameter %s is not handed on", name)
		}
	}
	for _, group := range items(set.property("StackInstancesGroup")) {
		if len(items(child(group, "Regions"))) != 1 {
			tell(group, "the role is global: one region")
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
				!slices.Equal(s.condition("StringEquals", "token.actions.githubusercontent.com:aud"), []string{"sts.amazonaws.com"}) {
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
