package cloud

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// Organizations is what Organization uses of the SDK's client.
type Organizations interface {
	ListAccountsForParent(context.Context, *organizations.ListAccountsForParentInput,
		...func(*organizations.Options)) (*organizations.ListAccountsForParentOutput, error)
	ListOrganizationalUnitsForParent(context.Context, *organizations.ListOrganizationalUnitsForParentInput,
		...func(*organizations.Options)) (*organizations.ListOrganizationalUnitsForParentOutput, error)
}

// Organization reads AWS Organizations through a role of the management account
// or of a delegated administrator.
type Organization struct {
	STS        STS
	Connect    func(creds aws.Credentials) Organizations
	RoleARN    string
	ExternalID string
}

// maxOrganizationCalls bounds the calls of one plan. A page holds at most 20
// entries (Source: Organizations API, MaxResults, read 2026-11), so that this is
// about 13,000 accounts, more than a run may have.
const maxOrganizationCalls = 1000

// Below lists the accounts below each unit, at any depth.
func (o *Organization) Below(ctx context.Context, run patch.RunID, units []string) (map[string]port.Unit, error) {
	seconds := int32(sendSessionSeconds)
	creds, err := assume(ctx, o.STS, run, "assume role "+o.RoleARN, &sts.AssumeRoleInput{
		RoleArn: &o.RoleARN, ExternalId: &o.ExternalID, DurationSeconds: &seconds,
	})
	if err != nil {
		return nil, err
	}
	w := walk{client: o.Connect(creds), known: map[string]listing{}}
	all := map[string]port.Unit{}
	for _, unit := range units {
		members, err := w.below(ctx, unit)
		if problem := w.problem(err); problem != "" {
			all[unit] = port.Unit{Problem: problem}
			continue
		}
		if err != nil {
			return nil, err
		}
		all[unit] = port.Unit{Members: members}
	}
	return all, nil
}

// walk goes down the tree of an organization, and asks once for each part of it.
type walk struct {
	client Organizations
	calls  int
	known  map[string]listing
}

// listing is what is directly below a unit.
type listing struct {
	members []port.Member
	units   []string
}

// below lists the accounts of a unit and of all units below it, by id.
func (w *walk) below(ctx context.Context, unit string) ([]port.Member, error) {
	var members []port.Member
	for open := []string{unit}; len(open) > 0; {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		l, ok := w.known[at]
		if !ok {
			var err error
			if l, err = w.list(ctx, at); err != nil {
				return nil, err
			}
			w.known[at] = l
		}
		members, open = append(members, l.members...), append(open, l.units...)
	}
	slices.SortFunc(members, func(a, b port.Member) int { return cmp.Compare(a.Account, b.Account) })
	return slices.CompactFunc(members, func(a, b port.Member) bool { return a.Account == b.Account }), nil
}

// list asks for what is directly below a unit. A page may be empty and not be
// the last one: only a missing token ends a list.
func (w *walk) list(ctx context.Context, unit string) (listing, error) {
	var l listing
	err := w.pages(func(token *string) (*string, error) {
		out, err := w.client.ListAccountsForParent(ctx, &organizations.ListAccountsForParentInput{ParentId: &unit,
			NextToken: token})
		if err != nil {
			return nil, wrap(err, "list accounts of %s", unit)
		}
		for _, a := range out.Accounts {
			l.members = append(l.members, port.Member{Account: patch.AccountID(aws.ToString(a.Id)), State: state(a)})
		}
		return out.NextToken, nil
	})
	if err != nil {
		return l, err
	}
	return l, w.pages(func(token *string) (*string, error) {
		out, err := w.client.ListOrganizationalUnitsForParent(ctx,
			&organizations.ListOrganizationalUnitsForParentInput{ParentId: &unit, NextToken: token})
		if err != nil {
			return nil, wrap(err, "list units of %s", unit)
		}
		for _, u := range out.OrganizationalUnits {
			l.units = append(l.units, aws.ToString(u.Id))
		}
		return out.NextToken, nil
	})
}

// pages asks for one page after the other until there is no token.
func (w *walk) pages(ask func(token *string) (*string, error)) error {
	var token *string
	for {
		if w.calls++; w.calls > maxOrganizationCalls {
			return errTooManyCalls
		}
		next, err := ask(token)
		if err != nil || next == nil {
			return err
		}
		token = next
	}
}

// errTooManyCalls is how a walk that takes too long ends.
const errTooManyCalls = tooManyCalls("too many calls")

type tooManyCalls string

func (e tooManyCalls) Error() string { return string(e) }

// problem says what is wrong with a unit; empty for success and for errors that
// say nothing about it.
func (w *walk) problem(err error) string {
	switch code(err) {
	case "ParentNotFoundException", "InvalidInputException":
		return "is no organizational unit and no root of the organization that the hub's reader role sees"
	case "AWSOrganizationsNotInUseException":
		return "cannot be found: the account of the hub's reader role is in no organization"
	}
	if err == errTooManyCalls {
		return fmt.Sprintf("cannot be listed: all units of the run together take more than %d calls",
			maxOrganizationCalls)
	}
	return ""
}

// state is the state of an account. AWS announced to retire Status on
// 2026-09-09 in favour of State. Source: Organizations API, Account, read 2026-11.
func state(a types.Account) string {
	if a.State != "" {
		return string(a.State)
	}
	return string(a.Status)
}

var _ port.Organization = (*Organization)(nil)
