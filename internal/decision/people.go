package decision

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Bearer is the identity of whoever holds the link: unproven, and only one however many people hold it.
const Bearer = "link"

// identityCenter is how the roles of IAM Identity Center are named. It sets the name of a session to the name of the
// user who signed in. Source: IAM Identity Center user guide, "Referencing permission sets", read 2026-11.
const identityCenter = "AWSReservedSSO_*"

// People says which person an identity is. Whoever counts decisions asks it, and nothing else.
//
// The name of a role's session is chosen by whoever assumes the role, so all sessions of a role are one person. It
// counts only where somebody else chooses it: in the roles of Identity Center, and in those that the hub's operator
// vouches for.
type People struct{ named []string }

var rolePattern = regexp.MustCompile(`^[A-Za-z0-9_+=.@*-]{1,64}$`)

// ParsePeople reads a list of patterns of role names, separated by commas: roles whose trust policy fixes the name of a
// session. A star stands for any characters.
func ParsePeople(list string) (People, error) {
	var p People
	if strings.TrimSpace(list) == "" {
		return p, nil
	}
	for pattern := range strings.SplitSeq(list, ",") {
		pattern = strings.TrimSpace(pattern)
		if !rolePattern.MatchString(pattern) {
			return People{}, fmt.Errorf("%q is no pattern of role names", pattern)
		}
		p.named = append(p.named, pattern)
	}
	return p, nil
}

// Of is the person behind an identity: the name of a session where that names a person, else the role without its
// session, else the identity as it is. A bearer is nobody.
func (p People) Of(identity string) string {
	if identity == Bearer {
		return ""
	}
	parts := strings.SplitN(identity, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sts" {
		return identity
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	switch kind {
	case "assumed-role":
		role, session, _ := strings.Cut(rest, "/")
		if session != "" && p.names(role) {
			return session // the same in every role that names people
		}
		return strings.Join(parts[:5], ":") + ":assumed-role/" + strings.ToLower(role) // IAM knows a name in one case only
	case "federated-user": // an IAM user gives his sessions any name
		return strings.Join(parts[:5], ":") + ":federated-user"
	}
	return identity
}

// names tells whether the sessions of a role are named after people.
func (p People) names(role string) bool {
	for _, pattern := range append([]string{identityCenter}, p.named...) {
		if ok, err := path.Match(pattern, role); ok && err == nil {
			return true
		}
	}
	return false
}

// Why an approval does not count.
const (
	UncountedBearer    = "a link does not say who holds it, and more than one person is needed"
	UncountedRequester = "whoever requested the run does not count"
	UncountedTwice     = "the same person approved before"
)

// Uncounted says why an approval of an identity does not count beside those that were given before, or nothing. Where
// one is enough everybody counts.
func (a Approval) Uncounted(p People, before []Decision, identity string) string {
	if a.RequireDistinct <= 1 {
		return ""
	}
	who := p.Of(identity)
	switch {
	case who == "":
		return UncountedBearer
	case a.Requests(p, identity):
		return UncountedRequester
	}
	for _, d := range before {
		if d.Decision == Approve && d.Identity != identity && p.Of(d.Identity) == who {
			return UncountedTwice
		}
	}
	return ""
}

// Requests tells whether an identity is the one who says to have asked for the run, where two must agree. What the
// starter says is a claim: it keeps out whom it names, and proves of nobody else that they did not ask.
func (a Approval) Requests(p People, identity string) bool {
	return a.RequireDistinct > 1 && a.RequestedBy != "" &&
		(identity == a.RequestedBy || identity != Bearer && p.Of(identity) == p.Of(a.RequestedBy))
}

// Approvals counts the people who approved and count.
func (a Approval) Approvals(p People, valid []Decision) int {
	people := map[string]bool{}
	for _, d := range valid {
		if d.Decision == Approve && a.Uncounted(p, nil, d.Identity) == "" {
			people[p.Of(d.Identity)] = true
		}
	}
	return len(people)
}

// Tally folds the decisions whose MAC is right: any rejection, whoever it is of, or the approvals of as many people as
// are needed, decide.
func (a Approval) Tally(p People, valid []Decision) Status {
	for _, d := range valid {
		if d.Decision == Reject {
			return ApprovalRejected
		}
	}
	if a.Approvals(p, valid) >= max(a.RequireDistinct, 1) {
		return ApprovalApproved
	}
	return ApprovalPending
}

// Fits tells whether a record may say what it says of its decisions. Which sessions are people is the hub's to change,
// so of several approvals the record may say that they were enough, or not yet, under other rules than today's. Whoever
// acts on an approval counts anew.
func (a Approval) Fits(p People, valid []Decision) bool {
	is := a.Tally(p, valid)
	if a.Status == is || a.RequireDistinct <= 1 || is == ApprovalRejected {
		return a.Status == is
	}
	identities := map[string]bool{}
	for _, d := range valid {
		if d.Decision == Approve {
			identities[d.Identity] = true
		}
	}
	return len(identities) >= a.RequireDistinct && (a.Status == ApprovalPending || a.Status == ApprovalApproved)
}
