package core

import (
	"context"
	"fmt"
	"strings"

	"ec2patch/internal/iam"
)

// authorize judges a call by the policies of the caller's role, its session and
// the resource.
func (w *Core) authorize(c *Call) error {
	if w.Refuses != nil {
		if err := w.Refuses(c); err != nil {
			return err
		}
	}
	if w.IgnoreIAM {
		return nil
	}
	p := c.Principal
	if !p.Expires.IsZero() && !w.Now().Before(p.Expires) {
		return Refusal("ExpiredTokenException", "The security token included in the request is expired")
	}
	if _, ok := w.Roles[p.RoleARN]; !ok {
		return Refusal("InvalidClientTokenId", "The security token included in the request is invalid")
	}
	for _, a := range c.Access {
		if err := w.Judge(c, a); err != nil {
			return err
		}
	}
	return nil
}

// Judge decides one permission of a call: the caller's policies together with
// those of the resource. Effects call it where the answer depends on what they find.
func (w *Core) Judge(c *Call, a Access) error {
	role := w.Roles[c.Principal.RoleARN]
	if w.IgnoreIAM || role == nil {
		return nil // authorize has already refused a session without role
	}
	resource := w.resourcePolicies(a.Resources)
	if a.Trust != nil {
		resource = append(resource, a.Trust)
	}
	d := iam.Evaluate(iam.Request{
		Principal:       c.Principal.iam(),
		Action:          a.Action,
		Resources:       a.Resources,
		ResourceAccount: w.ownerOf(a.Resources),
		ResourceContext: a.ResourceContext,
		Context:         w.requestContext(c, a),
	}, iam.Policies{Identity: role.Policies, Session: c.Principal.Session, Resource: resource})
	w.Coverage.Record(d)
	if !d.Allowed {
		return denied(c, a, d)
	}
	return nil
}

// Allow judges and counts a call that a service makes for a principal without a
// client of its own here, such as lambda:InvokeFunction by a state machine.
func (w *Core) Allow(ctx context.Context, c *Call) error {
	c.Attempts = 1
	_, err := Do(ctx, w, c, func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// denied is the refusal as AWS words it. Services differ in the code: EC2 says
// UnauthorizedOperation, SNS AuthorizationError, DynamoDB and SSM AccessDeniedException, the others AccessDenied.
func denied(c *Call, a Access, d iam.Decision) error {
	code := "AccessDenied"
	switch c.Service {
	case "ec2":
		code = "UnauthorizedOperation"
	case "dynamodb", "ssm", "states", "kms", "lambda", "organizations":
		code = "AccessDeniedException"
	case "sns":
		code = "AuthorizationError"
		if strings.HasPrefix(a.Action, "kms:") {
			code = "KMSAccessDenied"
		}
	}
	return Refusal(code, "User: %s is not authorized to perform: %s on resource: %s because %s",
		c.Principal.ARN(), a.Action, strings.Join(a.Resources, ", "), d.Reason)
}

func (p *Principal) iam() iam.Principal {
	return iam.Principal{Account: p.Account, ARN: p.ARN(), RoleARN: p.RoleARN}
}

// requestContext adds the global condition keys that every request carries.
func (w *Core) requestContext(c *Call, a Access) map[string][]string {
	keys := map[string][]string{
		"aws:PrincipalArn":     {c.Principal.RoleARN},
		"aws:PrincipalAccount": {c.Principal.Account},
		"aws:RequestedRegion":  {c.Region},
		"aws:SecureTransport":  {"true"},
	}
	if c.Principal.Function != "" { // the credentials of an environment say whose they are, without the version
		keys["lambda:SourceFunctionArn"] = []string{c.Principal.Function}
	}
	for k, v := range a.Context {
		keys[k] = v
	}
	return keys
}

// ownerOf is the owner of resources whose ARNs name no account, "" for others.
func (w *Core) ownerOf(resources []string) string {
	if w.Owner == nil {
		return ""
	}
	return w.Owner(resources)
}

// Session opens a session of a role without STS: what a service does for its
// own functions.
func (w *Core) Session(roleARN, name string) (*Principal, error) {
	if _, ok := w.Roles[roleARN]; !ok {
		return nil, fmt.Errorf("no role %s", roleARN)
	}
	return &Principal{Account: AccountOf(roleARN), RoleARN: roleARN, SessionName: name}, nil
}

func roleName(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// AccountOf is the account that an ARN names, empty for none.
func AccountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
