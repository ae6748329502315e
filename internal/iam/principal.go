package iam

import (
	"regexp"
	"strings"
)

// Principal is who calls. One of ARN, Service and Federated is set.
type Principal struct {
	Account string // twelve digits, of an ARN
	// ARN is that of the session (arn:aws:sts::111111111111:assumed-role/name/session) or of a user.
	ARN string
	// RoleARN is the role behind a session; aws:PrincipalArn is this, or ARN for a user.
	RoleARN   string
	Service   string // states.amazonaws.com
	Federated string // ARN of an identity provider
}

// Session is the principal that AssumeRole makes of a role. The path of the role is no part of the session's ARN.
func Session(roleARN, sessionName string) Principal {
	parts, _ := split(roleARN)
	name := parts[5][strings.LastIndexByte(parts[5], '/')+1:]
	return Principal{Account: parts[4], RoleARN: roleARN,
		ARN: "arn:" + parts[1] + ":sts::" + parts[4] + ":assumed-role/" + name + "/" + sessionName}
}

func (p *Principal) kind() string {
	switch {
	case p.RoleARN != "":
		return "AssumedRole"
	case p.ARN != "":
		return "User"
	}
	return ""
}

// grant says how closely a resource policy names the caller.
type grant int

const (
	none      grant = iota
	byAccount       // the caller's account, which then decides by its own policies
	byRole          // the role, everybody, a service or an identity provider
	bySession       // the very session
)

// names says how a statement of a resource policy names the caller.
func (st *Statement) names(p *Principal) grant {
	best := none
	if st.anyPrincipal {
		best = byRole
	}
	for _, one := range st.principals {
		by := none
		switch {
		case one.kind == "Service" && one.value == p.Service, one.kind == "Federated" && one.value == p.Federated:
			by = byRole
		case one.kind != "AWS" || p.ARN == "":
		case one.value == p.Account:
			by = byAccount
		case one.value == p.RoleARN:
			by = byRole
		case one.value == p.ARN && p.RoleARN != "":
			by = bySession
		case one.value == p.ARN:
			by = byRole
		}
		best = max(best, by)
	}
	return best
}

// principal is one entry of a Principal element.
type principal struct {
	kind  string // AWS, Service, Federated
	value string // an account's root stands as its twelve digits
}

func (p *parser) principals(s *Statement, value any) {
	if value == "*" {
		s.anyPrincipal = true
		return
	}
	kinds, ok := value.(object)
	if !ok || len(kinds) == 0 {
		p.add(`Principal must be "*" or an object`)
		return
	}
	p.only(kinds, "AWS", "Service", "Federated")
	for _, m := range kinds {
		for _, one := range p.words(kinds, m.key) {
			if m.key == "AWS" && one == "*" {
				s.anyPrincipal = true
				continue
			}
			s.principals = append(s.principals, p.principal(m.key, one))
		}
	}
}

var (
	accountRoot  = regexp.MustCompile(`^(?:arn:aws[a-z-]*:iam::)?([0-9]{12})(?::root)?$`)
	principalARN = regexp.MustCompile(
		`^arn:aws[a-z-]*:(iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+|sts::[0-9]{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+)$`)
	servicePrefix = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?$`)
	providerARN   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:(oidc|saml)-provider/[\w./-]+$`)
)

func (p *parser) principal(kind, value string) principal {
	good := false
	switch kind {
	case "AWS":
		if m := accountRoot.FindStringSubmatch(value); m != nil {
			return principal{kind, m[1]}
		}
		good = principalARN.MatchString(value)
	case "Service":
		good = servicePrefix.MatchString(value)
	case "Federated":
		good = providerARN.MatchString(value)
	}
	if !good {
		p.add("bad principal %s: %s", kind, value)
	}
	return principal{kind, value}
}
