package guard

import (
	"slices"
	"strings"

	"ec2patch/internal/lambdas"
)

// auditChecks are about what keeps the audit a proof.
func auditChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"audit-chains", "A function appends to the audit chains of its own name only.", hub, auditChains},
		{"audit-keys", "What a function writes into the audit is signed with a key that only its role may sign with.", hub,
			auditKeys},
		{"audit-locks", "Nobody removes the audit table, gives its rows an end, or removes old versions from the bucket.",
			hub, auditLocks},
	}
}

// auditWriters gives, by the stem of a function's logical ids, what the keys of its audit rows begin with.
func auditWriters() map[string]string {
	return map[string]string{
		"Inventory": "INVENTORY#*", "Send": "SEND#*", "Poll": "POLL#*", "Verify": "VERIFY#*",
		"ApprovalRequest": "REQUEST#*", "ApprovalCallback": "CALLBACK#*",
	}
}

func auditChains(t *Template, tell say) {
	appends := map[string]bool{}
	for _, s := range t.identityStatements() {
		if !s.allows() || !mentions(child(s.node, "Resource"), "AuditTable") || !s.does("dynamodb:PutItem") {
			continue
		}
		stem := strings.TrimSuffix(s.resource.ID, "Role")
		appends[stem] = true
		// Without Null a call that names no key would satisfy ForAllValues.
		if !slices.Equal(s.condition("ForAllValues:StringLike", "dynamodb:LeadingKeys"), []string{auditWriters()[stem]}) ||
			!slices.Equal(s.condition("Null", "dynamodb:LeadingKeys"), []string{"false"}) {
			tell(s.node, "%s of %s may append to chains of others", s.sid(), s.resource.ID)
		}
	}
	for _, f := range lambdas.All() {
		if role, _ := t.resource(f.ID + "Role"); !appends[f.ID] {
			tell(role.Node, "%sRole cannot append to the audit", f.ID)
		}
	}
}

func auditKeys(t *Template, tell say) {
	for _, f := range lambdas.All() {
		id := f.ID + "AuditKey"
		r, ok := t.resource(id)
		if !ok || show(r.property("KeySpec")) != "ECC_NIST_P256" || show(r.property("KeyUsage")) != "SIGN_VERIFY" {
			tell(r.Node, "%s must be a key pair for signatures", id)
			continue
		}
		role := []string{"arn:${AWS::Partition}:iam::${AWS::AccountId}:role${RolePath}${NamePrefix}-" + f.Name + "Role"}
		signs, kept := false, false
		for _, s := range statements(r) {
			if !s.allows() {
				kept = kept || slices.Equal(s.actions(), []string{"kms:Sign"}) && show(child(s.node, "Principal")) == "*" &&
					slices.Equal(s.condition("ArnNotEquals", "aws:PrincipalArn"), role) && len(pairs(child(s.node, "Condition"))) == 1
				continue
			}
			for _, action := range s.actions() {
				own := slices.Equal(s.condition("ArnEquals", "aws:PrincipalArn"), role)
				signs = signs || action == "kms:Sign" && own
				if action == "kms:*" || action == "kms:CreateGrant" || action == "kms:Sign" && !own {
					tell(s.node, "%s of %s lets others sign", s.sid(), id)
				}
			}
		}
		if !signs || !kept {
			tell(r.Node, "%s must let %s sign, and refuse it to everybody else", id, f.Name)
		}
		function, _ := t.resource(f.ID + "Function")
		if show(function.property("Environment", "Variables", "AUDIT_KEY_ID")) != "${"+id+".Arn}" {
			tell(function.Node, "%sFunction must sign with %s", f.ID, id)
		}
	}
	for _, s := range t.identityStatements() {
		for _, on := range s.on() {
			if !s.allows() || !strings.HasSuffix(on, "AuditKey.Arn}") {
				continue
			}
			own := on == "${"+strings.TrimSuffix(s.resource.ID, "Role")+"AuditKey.Arn}" &&
				slices.Equal(s.actions(), []string{"kms:Sign"})
			if !own && !slices.Equal(s.actions(), []string{"kms:GetPublicKey"}) {
				tell(s.node, "%s of %s is on %s", s.sid(), s.resource.ID, on)
			}
		}
	}
}

func auditLocks(t *Template, tell say) {
	locks := map[string][]string{
		"AuditTable": {"dynamodb:UpdateTimeToLive", "dynamodb:UpdateTable", "dynamodb:DeleteTable",
			"dynamodb:DeleteResourcePolicy"},
		"DataBucketPolicy": {"s3:DeleteObjectVersion", "s3:PutLifecycleConfiguration"},
	}
	for _, id := range []string{"AuditTable", "DataBucketPolicy"} {
		r, _ := t.resource(id)
		var refused []string
		for _, s := range statements(r) {
			if show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" &&
				child(s.node, "Condition") == nil {
				if id == "AuditTable" || slices.Contains([]string{"${DataBucket.Arn}", "${DataBucket.Arn}/*"}, s.on()[0]) {
					refused = append(refused, s.actions()...)
				}
			}
		}
		for _, action := range locks[id] {
			if !slices.Contains(refused, action) {
				tell(r.Node, "%s must refuse %s to everybody", id, action)
			}
		}
		for _, lift := range []string{"dynamodb:PutResourcePolicy", "s3:PutBucketPolicy"} {
			if slices.Contains(refused, lift) {
				tell(r.Node, "%s must let the stack lift its locks: %s", id, lift)
			}
		}
	}
	if show(dig(t.root, "Parameters", "LockRecords", "Default")) != "true" {
		tell(t.root, "the records must be locked unless somebody says otherwise")
	}
}
