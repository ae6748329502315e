package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Request is one API call.
type Request struct {
	Principal Principal
	Action    string // "ssm:SendCommand", written as AWS does
	// Resources are all that the call touches, each of which must be allowed: SendCommand has the document and every
	// instance. Actions that know no resources have the one resource "*".
	Resources []string
	// ResourceAccount owns the resources whose ARNs name no account, as those of buckets. "" means the caller's
	// account.
	ResourceAccount string
	// ResourceContext has condition keys by resource, such as ssm:resourceTag/PatchGroup.
	ResourceContext map[string]map[string][]string
	// Context has the condition keys of the call. The keys that follow from the principal are added here and need not
	// be given: aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType, aws:PrincipalIsAWSService,
	// aws:PrincipalServiceName, aws:SecureTransport (true), aws:ViaAWSService (false), aws:ResourceAccount,
	// kms:CallerAccount.
	Context map[string][]string
}

// Policies are all that bear on a call.
type Policies struct {
	Identity []*Policy // of the caller
	Session  []*Policy // given to AssumeRole; nil means none, and an empty list allows nothing
	Boundary []*Policy // permissions boundary of the caller; nil means none
	Resource []*Policy // of what is called: trust policy, key policy, bucket policy
}

// Use is one action pattern of one statement.
type Use struct {
	Statement *Statement
	Pattern   string // of the action, as written
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	By      string // label of the statement that allowed or denied; "" when nothing allowed
	Reason  string // why not; "" when allowed
	// Used are the statements without which the call would have been decided otherwise: those that allowed it, or the
	// deny.
	Used []Use
}

// Evaluate judges a call: an explicit deny wins; every resource must be allowed. Within one account the caller's
// policies or a resource policy that names the caller suffice, between accounts both are needed; keys and roles always
// need their own policy, which may delegate to the account. Session policies and boundaries limit what the caller's
// policies give, and what a resource policy gives to the role, but not what it gives to the very session.
func Evaluate(r Request, set Policies) Decision {
	call := exact[r.Action]
	if reason := refuse(&r, call); reason != "" {
		return Decision{Reason: reason}
	}
	var out Decision
	for _, resource := range r.Resources {
		s := &scope{request: &r, action: call, resource: resource, own: r.ResourceContext[resource]}
		s.parts, _ = split(resource)
		one := s.decide(&set)
		if !one.Allowed {
			return one
		}
		if out.By == "" {
			out = one
			continue
		}
		for _, u := range one.Used {
			if !slices.Contains(out.Used, u) {
				out.Used = append(out.Used, u)
			}
		}
	}
	return out
}

// refuse finds requests that cannot be judged; a mistake in a request must not look like a decision of AWS.
func refuse(r *Request, call *action) string {
	if call == nil {
		return "unknown action " + r.Action
	}
	if r.Principal.ARN == "" && r.Principal.Service == "" && r.Principal.Federated == "" {
		return "the request names no principal"
	}
	if parts, ok := split(r.Principal.ARN); r.Principal.ARN != "" && (!ok || parts[4] != r.Principal.Account) {
		return fmt.Sprintf("principal %s is not of account %q", r.Principal.ARN, r.Principal.Account)
	}
	if len(r.Resources) == 0 {
		return "the request names no resource"
	}
	for _, resource := range r.Resources {
		if !call.takes(resource) {
			return fmt.Sprintf("%s is no resource of %s", resource, r.Action)
		}
		if reason := refuseKeys(r.ResourceContext[resource]); reason != "" {
			return reason
		}
	}
	return refuseKeys(r.Context)
}

func refuseKeys(context map[string][]string) string {
	bad := ""
	for name, values := range context {
		key, known := knownKey(name)
		reason := ""
		switch {
		case !known:
			reason = "unknown condition key " + name
		case !key.many && len(values) > 1:
			reason = "condition key " + name + " has several values"
		case twice(context, name):
			reason = "condition key " + strings.ToLower(name) + " is given twice"
		}
		if reason != "" && (bad == "" || reason < bad) {
			bad = reason
		}
	}
	return bad
}

// twice says whether a key is there in another case too.
func twice(context map[string][]string, name string) bool {
	for other := range context {
		if other != name && strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// scope is one resource of a request.
type scope struct {
	request  *Request
	action   *action
	resource string
	parts    [6]string
	own      map[string][]string
}

// value returns the values of a condition key, given in lower case; none if the request does not have it.
func (s *scope) value(lower string) []string {
	if known, text := s.follows(lower); known {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	for name, values := range s.own {
		if strings.EqualFold(name, lower) {
			return values
		}
	}
	for name, values := range s.request.Context {
		if strings.EqualFold(name, lower) {
			return values
		}
	}
	switch lower {
	case "aws:securetransport":
		return isTrue
	case "aws:viaawsservice":
		return isFalse
	}
	return nil
}

var isTrue, isFalse = []string{"true"}, []string{"false"}

// follows gives the keys that follow from who calls what; the request cannot say otherwise.
func (s *scope) follows(lower string) (known bool, text string) {
	p := &s.request.Principal
	switch lower {
	case "aws:principalarn":
		if p.RoleARN != "" {
			return true, p.RoleARN
		}
		return true, p.ARN
	case "aws:principalaccount", "kms:calleraccount":
		return true, p.Account
	case "aws:principalservicename":
		return true, p.Service
	case "aws:principalisawsservice":
		return true, fmt.Sprint(p.Service != "")
	case "aws:principaltype":
		return true, p.kind()
	case "aws:resourceaccount", "s3:resourceaccount":
		return true, s.owner()
	}
	return false, ""
}

// owner is the account that has the resource. Documents and policies of AWS itself count as the caller's.
func (s *scope) owner() string {
	switch account := s.parts[4]; {
	case len(account) == 12:
		return account
	case s.request.ResourceAccount != "":
		return s.request.ResourceAccount
	}
	return s.request.Principal.Account
}

// found is what a set of policies says about a request.
type found struct {
	deny, allow *Statement
	grant       grant // of allow, in resource policies
}

func (s *scope) identity(policies []*Policy) found {
	var f found
	for _, p := range policies {
		for _, st := range p.Statements {
			if st.Allow && f.allow != nil || !st.applies(s) {
				continue
			}
			if !st.Allow {
				return found{deny: st}
			}
			f.allow = st
		}
	}
	return f
}

func (s *scope) resourcePolicies(policies []*Policy) found {
	var f found
	for _, p := range policies {
		for _, st := range p.Statements {
			by := st.names(&s.request.Principal)
			if by == none || st.Allow && by <= f.grant || !st.applies(s) {
				continue
			}
			if !st.Allow {
				return found{deny: st}
			}
			f.allow, f.grant = st, by
		}
	}
	return f
}

// decide judges one resource.
func (s *scope) decide(set *Policies) Decision {
	identity, resource := s.identity(set.Identity), s.resourcePolicies(set.Resource)
	session, boundary := found{}, found{}
	if set.Session != nil {
		session = s.identity(set.Session)
	}
	if set.Boundary != nil {
		boundary = s.identity(set.Boundary)
	}
	for _, f := range [...]found{identity, session, boundary, resource} {
		if f.deny != nil {
			return s.denied(f.deny)
		}
	}
	limits := limits{set.Session != nil, set.Boundary != nil, session.allow, boundary.allow}
	return s.weigh(identity.allow, resource, limits)
}

// limits are the policies that take away from what others give.
type limits struct {
	bySession, byBoundary bool
	session, boundary     *Statement
}

// missing says which limit does not let the call through.
func (l limits) missing() string {
	switch {
	case l.bySession && l.session == nil:
		return "session policy"
	case l.byBoundary && l.boundary == nil:
		return "permissions boundary"
	}
	return ""
}

// weigh combines the allows, once no deny was found.
func (s *scope) weigh(identity *Statement, resource found, l limits) Decision {
	p := &s.request.Principal
	same := p.Account == s.owner()
	switch {
	case p.ARN == "":
		if resource.grant < byRole {
			return s.nothing("resource policy")
		}
		return s.allowed(resource.allow)
	case same && resource.grant == bySession:
		return s.allowed(resource.allow)
	case s.ownPolicyNeeded() && resource.grant == none, !same && resource.grant == none:
		return s.nothing("resource policy")
	}
	byResource := same && resource.grant >= byRole
	if identity == nil && !byResource {
		return s.nothing("identity policy")
	}
	if kind := l.missing(); kind != "" {
		return s.nothing(kind)
	}
	switch {
	case byResource && (identity == nil || s.ownPolicyNeeded()):
		return s.allowed(resource.allow, l.session, l.boundary)
	case !same || s.ownPolicyNeeded():
		return s.allowed(identity, l.session, l.boundary, resource.allow)
	}
	return s.allowed(identity, l.session, l.boundary)
}

// ownPolicyNeeded is true for keys and roles: without their own policy nobody may use them, not in their account
// either.
func (s *scope) ownPolicyNeeded() bool {
	switch s.action.service {
	case "kms":
		return strings.HasPrefix(s.parts[5], "key/")
	case "sts":
		return s.parts[2] == "iam"
	}
	return false
}

func (s *scope) allowed(by ...*Statement) Decision {
	d := Decision{Allowed: true, By: by[0].Label(), Used: make([]Use, 0, len(by))}
	for _, st := range by {
		if st != nil {
			d.Used = append(d.Used, st.use(s.action))
		}
	}
	return d
}

func (s *scope) denied(by *Statement) Decision {
	return Decision{By: by.Label(), Used: []Use{by.use(s.action)},
		Reason: fmt.Sprintf("%s on %s: explicit deny in %s", s.action.name, s.resource, by.Label())}
}

func (s *scope) nothing(kind string) Decision {
	return Decision{Reason: fmt.Sprintf("%s on %s: no %s allows it", s.action.name, s.resource, kind)}
}

func (st *Statement) use(a *action) Use {
	pattern := st.actions[a]
	if st.notAction {
		pattern = st.Patterns[0]
	}
	return Use{Statement: st, Pattern: pattern}
}

// applies says whether action, resource and conditions of a statement fit.
func (st *Statement) applies(s *scope) bool {
	if _, ok := st.actions[s.action]; ok == st.notAction {
		return false
	}
	if len(st.resources) > 0 && st.covers(s) == st.notResource {
		return false
	}
	for i := range st.conditions {
		if !st.conditions[i].holds(s) {
			return false
		}
	}
	return true
}

func (st *Statement) covers(s *scope) bool {
	for i := range st.resources {
		if st.resources[i].matchesARN(s.resource, &s.parts, s) {
			return true
		}
	}
	return false
}
