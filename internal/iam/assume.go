package iam

import "maps"

// Assumption is a call of sts:AssumeRole.
type Assumption struct {
	Caller      Principal
	Policies    Policies // of the caller: Identity, Session, Boundary; unused for a service
	RoleARN     string
	Trust       *Policy // of the role
	ExternalID  string  // "" when the caller gives none
	SessionName string
	// Context has further condition keys, such as aws:SourceArn for a service.
	Context map[string][]string
}

// AssumeRole judges whether the caller gets a session of the role: its trust policy must let the caller in, and the
// caller's own policies too unless the trust policy names the role of a caller in the same account.
func AssumeRole(a Assumption) Decision {
	context := maps.Clone(a.Context)
	if context == nil {
		context = map[string][]string{}
	}
	if a.ExternalID != "" {
		context["sts:ExternalId"] = []string{a.ExternalID}
	}
	if a.SessionName != "" {
		context["sts:RoleSessionName"] = []string{a.SessionName}
	}
	set := a.Policies
	set.Resource = nil
	if a.Trust != nil {
		set.Resource = []*Policy{a.Trust}
	}
	return Evaluate(Request{Principal: a.Caller, Action: "sts:AssumeRole", Resources: []string{a.RoleARN},
		Context: context}, set)
}
