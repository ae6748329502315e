package cfn

import "slices"

// ResourcePolicy is a policy document that hangs on resources instead of on a role.
type ResourcePolicy struct {
	NamedDocument
	On []string // ARNs of the keys, buckets, topics, queues, tables or functions that it governs
}

// ResourcePolicies returns the policies of keys, buckets, topics, queues and tables, and the permissions of functions
// written as the policy that Lambda makes of them, in the order of the template.
func (s *Stack) ResourcePolicies() []ResourcePolicy { return slices.Clone(s.policies) }

func (d *deployer) resourcePolicies() {
	for _, declared := range d.t.resources {
		r := d.stack.Resources[declared.id]
		if r == nil {
			continue
		}
		switch r.Type {
		case "AWS::KMS::Key":
			d.govern(r, d.document(r, r.LogicalID, "KeyPolicy"), r.ARN)
		case "AWS::S3::BucketPolicy":
			d.govern(r, d.document(r, r.LogicalID, "PolicyDocument"), d.arnOf("AWS::S3::Bucket",
				r.Properties["Bucket"]))
		case "AWS::SNS::TopicPolicy":
			d.governAll(r, "Topics", "AWS::SNS::Topic")
		case "AWS::SQS::QueuePolicy":
			d.governAll(r, "Queues", "AWS::SQS::Queue")
		case "AWS::DynamoDB::Table":
			if body, ok := r.Properties["ResourcePolicy"].(map[string]any); ok {
				d.govern(r, NamedDocument{Name: r.LogicalID, LogicalID: r.LogicalID, Line: r.Line,
					JSON: raw(body["PolicyDocument"])}, r.ARN)
			}
		case "AWS::Lambda::Permission":
			d.govern(r, d.permission(r), d.functionARN(r))
		}
	}
}

func (d *deployer) govern(r *Resource, doc NamedDocument, on ...string) {
	if slices.Contains(on, "") {
		d.add(r.Line, "%s: what it governs is not in this stack", r.LogicalID)
	}
	d.stack.policies = append(d.stack.policies, ResourcePolicy{NamedDocument: doc, On: on})
}

func (d *deployer) governAll(r *Resource, property, kind string) {
	var on []string
	for _, item := range d.items(r, property) {
		on = append(on, d.arnOf(kind, item))
	}
	d.govern(r, d.document(r, r.LogicalID, "PolicyDocument"), on...)
}

// arnOf finds a resource of the stack by what Ref gives for it, by its name or by its ARN; "" if there is none.
func (d *deployer) arnOf(kind string, value any) string {
	id, _ := text(value)
	for _, r := range d.stack.OfType(kind) {
		if id == r.PhysicalID || id == r.Name || id == r.ARN {
			return r.ARN
		}
	}
	return ""
}

// functionARN is the function, version or alias that a permission is for; "" if the stack does not have it.
func (d *deployer) functionARN(r *Resource) string {
	id, _ := text(r.Properties["FunctionName"])
	for _, f := range d.stack.functions {
		if id == f.Name || id == f.ARN {
			return f.ARN
		}
		if slices.Contains(f.VersionARNs, id) {
			return id
		}
	}
	return ""
}

// permission writes a Lambda permission as the statement that Lambda adds to the function's policy.
// Source: Lambda API reference, AddPermission, read 2026-11.
func (d *deployer) permission(r *Resource) NamedDocument {
	statement := map[string]any{"Sid": r.LogicalID, "Effect": "Allow", "Action": r.Properties["Action"],
		"Resource": d.functionARN(r)}
	caller, _ := text(r.Properties["Principal"])
	switch {
	case caller == "*":
		statement["Principal"] = "*"
	case accountID.MatchString(caller) || len(caller) > 4 && caller[:4] == "arn:":
		statement["Principal"] = map[string]any{"AWS": caller}
	default:
		statement["Principal"] = map[string]any{"Service": caller}
	}
	conditions := map[string]any{}
	for _, c := range []struct{ property, operator, key string }{
		{"SourceArn", "ArnLike", "aws:SourceArn"}, {"SourceAccount", "StringEquals", "aws:SourceAccount"},
		{"PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"}, {"FunctionUrlAuthType", "StringEquals",
			"lambda:FunctionUrlAuthType"},
	} {
		value, ok := text(r.Properties[c.property])
		if !ok {
			continue
		}
		keys, _ := conditions[c.operator].(map[string]any)
		if keys == nil {
			keys = map[string]any{}
			conditions[c.operator] = keys
		}
		keys[c.key] = value
	}
	if len(conditions) > 0 {
		statement["Condition"] = conditions
	}
	return NamedDocument{Name: r.LogicalID, LogicalID: r.LogicalID, Line: r.Line,
		JSON: raw(map[string]any{"Version": "2012-10-17", "Statement": []any{statement}})}
}
