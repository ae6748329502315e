package world

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
)

const (
	sandbox    = "ou-ab12-sandbox00"
	production = "ou-ab12-production"
)

// organizationOf is a world with 45 accounts in one unit, one of them suspended, below a root.
func organizationOf(t *testing.T, caller string) *estate.Organizations {
	t.Helper()
	w := New(1, testStart())
	w.IgnoreIAM = true
	unit := fleetfile.Unit{}
	for i := range 45 {
		unit.Accounts = append(unit.Accounts, fmt.Sprintf("%012d", 500-i))
	}
	require.NoError(t, w.AddFleet(fleetfile.File{
		Accounts: map[string]fleetfile.Account{"000000000470": {State: "SUSPENDED"}},
		Units:    map[string]fleetfile.Unit{"r-ab12": {Units: []string{sandbox, production}}, sandbox: unit, production: {}},
	}))
	w.SetOrganization("888888888888")
	return w.Organizations(&core.Principal{Account: caller})
}

func accountsIn(t *testing.T, o *estate.Organizations, unit string) (all []orgtypes.Account, pages, empty int) {
	t.Helper()
	var token *string
	for range 10 {
		out,
			err := o.ListAccountsForParent(t.Context(),
			&organizations.ListAccountsForParentInput{ParentId: &unit, NextToken: token})
		require.NoError(t, err)
		require.LessOrEqual(t, len(out.Accounts), 20)
		pages++
		if all = append(all, out.Accounts...); len(out.Accounts) == 0 && out.NextToken != nil {
			empty++
		}
		if token = out.NextToken; token == nil {
			return all, pages, empty
		}
	}
	require.Fail(t, "the list does not end")
	return nil, 0, 0
}

func TestOrganizations_pages(t *testing.T) {
	o := organizationOf(t, "888888888888")
	sum := 0
	for range 20 {
		all, pages, empty := accountsIn(t, o, sandbox)
		require.Len(t, all, 45)
		require.Equal(t, 3+empty, pages)
		require.Equal(t, "000000000456", *all[0].Id)
		require.Equal(t, orgtypes.AccountStateSuspended, all[14].State)
		require.Equal(t, orgtypes.AccountStateActive, all[15].State)
		sum += empty
	}
	require.Positive(t, sum, "some first pages are empty")
	require.Less(t, sum, 20)
	root, _, _ := accountsIn(t, o, "r-ab12")
	require.Empty(t, root, "only what is directly in the root")
}

func TestOrganizations_units(t *testing.T) {
	o := organizationOf(t, "888888888888")
	var ids []string
	var token *string
	for range 5 {
		out,
			err := o.ListOrganizationalUnitsForParent(t.Context(),
			&organizations.ListOrganizationalUnitsForParentInput{ParentId: aws.String("r-ab12"), NextToken: token,
				MaxResults: aws.Int32(1)})
		require.NoError(t, err)
		for _, u := range out.OrganizationalUnits {
			ids = append(ids, *u.Id)
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	require.Equal(t, []string{production, sandbox}, ids)
}

func TestOrganizations_errors(t *testing.T) {
	list := func(o *estate.Organizations, in organizations.ListAccountsForParentInput) error {
		_, err := o.ListAccountsForParent(t.Context(), &in)
		return err
	}
	o := organizationOf(t, "888888888888")
	var missing *orgtypes.ParentNotFoundException
	require.ErrorAs(t, list(o, organizations.ListAccountsForParentInput{ParentId: aws.String("ou-ab12-nowhere00")}),
		&missing)
	var invalid *orgtypes.InvalidInputException
	require.ErrorAs(t, list(o, organizations.ListAccountsForParentInput{ParentId: aws.String("production")}), &invalid)
	require.ErrorAs(t, list(o, organizations.ListAccountsForParentInput{ParentId: aws.String(sandbox),
		MaxResults: aws.Int32(21)}), &invalid)
	require.ErrorAs(t, list(o, organizations.ListAccountsForParentInput{ParentId: aws.String(sandbox),
		NextToken: aws.String("x")}), &invalid)
	var denied *orgtypes.AccessDeniedException
	require.ErrorAs(t, list(organizationOf(t, "111111111111"),
		organizations.ListAccountsForParentInput{ParentId: aws.String(sandbox)}), &denied)
	w := New(1, testStart())
	w.IgnoreIAM = true
	var none *orgtypes.AWSOrganizationsNotInUseException
	require.ErrorAs(t, list(w.Organizations(&core.Principal{Account: "1"}),
		organizations.ListAccountsForParentInput{ParentId: aws.String(sandbox)}), &none)
}

func TestParseFleet_units(t *testing.T) {
	f, err := fleetfile.Parse([]byte(`{"accounts": {"111111111111": {"regions": {}}, "222222222222": {"state": "SUSPENDED", "regions": {}}},
	  "organizationalUnits": {"r-ab12": {"accounts": ["333333333333"], "organizationalUnits": ["ou-ab12-production"]},
	    "ou-ab12-production": {"accounts": ["222222222222", "111111111111"]}}}`))
	require.NoError(t, err)
	require.Equal(t, []string{"111111111111", "333333333333"}, f.ActiveBelow("r-ab12"))
	require.Equal(t, []string{"111111111111"}, f.ActiveBelow(production))
	require.Empty(t, f.ActiveBelow(sandbox))

	_, err = fleetfile.Parse([]byte(`{"accounts": {"111111111111": {"state": "ASLEEP", "regions": {}}},
	  "organizationalUnits": {"production": {"accounts": ["1"]}, "ou-ab12-aaaaaaaa": {"accounts": ["111111111111"], "organizationalUnits": ["ou-ab12-bbbbbbbb", "ou-ab12-cccccccc"]},
	    "ou-ab12-bbbbbbbb": {"accounts": ["111111111111"], "organizationalUnits": ["ou-ab12-aaaaaaaa"]}}}`))
	require.Error(t, err)
	for _, want := range []string{
		`accounts["111111111111"].state: "ASLEEP" is none of PENDING_ACTIVATION, ACTIVE`,
		`organizationalUnits["production"]: "production" is no organizational unit`,
		`organizationalUnits["production"].accounts[0]: "1" is not a 12-digit account id`,
		`organizationalUnits["ou-ab12-bbbbbbbb"].accounts[0]: "111111111111" is in ou-ab12-aaaaaaaa already`,
		`.organizationalUnits[1]: "ou-ab12-cccccccc" is not described in this file`,
		`organizationalUnits["ou-ab12-aaaaaaaa"]: is below itself`,
	} {
		require.Contains(t, err.Error(), want)
	}
}

func TestDefaultUnits(t *testing.T) {
	tree, suspended := fleetfile.DefaultUnits([]string{sandbox, "r-ab12"})
	again, _ := fleetfile.DefaultUnits([]string{"r-ab12", sandbox})
	require.Equal(t, tree, again, "the ids follow from the unit alone")
	require.Len(t, suspended, 2)
	f := fleetfile.File{Units: tree, Accounts: map[string]fleetfile.Account{"111111111111": {}}}
	for _, id := range suspended {
		f.Accounts[id] = fleetfile.Account{State: "SUSPENDED"}
	}
	require.NoError(t, f.Validate())
	require.Len(t, f.ActiveBelow(sandbox), 3)
}
