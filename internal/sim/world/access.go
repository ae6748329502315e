package world

import (
	"context"
	"fmt"
	"strings"

	"ec2patch/internal/iam"
)

// authorize judges a call by the policies of the caller's role, its session and
// the resource.
func (w *World) authorize(c *Call) error {
	if err := w.regionError(c); err != nil {
		return err
	}
	if w.IgnoreIAM {
		return nil
	}
	p := c.Principal
	if !p.Expires.IsZero() && !w.Now().Before(p.Expires) {
		return apiError("ExpiredTokenException", "The security token included in the request is expired")
	}
	if _, ok := w.roles[p.RoleARN]; !ok {
		return apiError("InvalidClientTokenId", "The security token included in the request is invalid")
	}
	for _, a := range c.Access {
		if err := w.judge(c, a); err != nil {
			return err
		}
	}
	return nil
}

// judge decides one permission of a call: the caller's policies together with
// those of the resource. Effects call it where the answer depends on what they find.
func (w *World) judge(c *Call, a Access) error {
	role := w.roles[c.Principal.RoleARN]
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
		ResourceAccount: w.resourceAccount(a.Resources),
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
func (w *World) Allow(ctx context.Context, c *Call) error {
	c.Attempts = 1
	_, err := do(ctx, w, c, func() (struct{}, error) { return struct{}{}, nil })
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
	return apiError(code, "User: %s is not authorized to perform: %s on resource: %s because %s",
		c.Principal.ARN(), a.Action, strings.Join(a.Resources, ", "), d.Reason)
}

func (p *Principal) iam() iam.Principal {
	return iam.Principal{Account: p.Account, ARN: p.ARN(), RoleARN: p.RoleARN}
}

// requestContext adds the global condition keys that every request carries.
func (w *World) requestContext(c *Call, a Access) map[string][]string {
	keys := map[string][]string{
		"aws:PrincipalArn":     {c.Principal.RoleARN},
		"aws:PrincipalAccount": {c.Principal.Account},
		"aws:RequestedRegion":  {c.Region},
		"aws:SecureTransport":  {"true"},
	}
	for k, v := range a.Context {
		keys[k] = v
	}
	return keys
}

// Session opens a session of a role without STS: what a service does for its
// own functions.
func (w *World) Session(roleARN, name string) (*Principal, error) {
	if _, ok := w.roles[roleARN]; !ok {
		return nil, fmt.Errorf("no role %s", roleARN)
	}
	return &Principal{Account: arnAccount(roleARN), RoleARN: roleARN, SessionName: name}, nil
}

func roleName(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func arnAccount(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
