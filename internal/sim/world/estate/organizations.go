package estate

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// organization is the tree of units of one organization, and the account that
// may read it.
type organization struct {
	management string
	units      map[string]fleetfile.Unit // by id, roots too
}

// SetOrganization declares the organization's management account. The units are
// those of the fleet files.
func (w *Estate) SetOrganization(management string) { w.organization.management = management }

// SetUnits declares the units of the organization.
func (w *Estate) SetUnits(units map[string]fleetfile.Unit) { w.organization.units = units }

// Organizations is a client of AWS Organizations of one principal.
type Organizations struct {
	w *Estate
	p *core.Principal
}

// Organizations returns a client. The service has one endpoint in a partition,
// whatever region the client was made for. Source: SDK endpoint rules, organizations 1.62.7.
func (w *Estate) Organizations(p *core.Principal) *Organizations { return &Organizations{w, p} }

// Limits of the lists. Source: Organizations API, ListAccountsForParent, read 2026-11.
const (
	organizationsRegion = "us-east-1"
	organizationsPage   = 20
)

// ListAccountsForParent lists the accounts directly in a root or unit. A page may
// be empty although more follow.
func (o *Organizations) ListAccountsForParent(ctx context.Context, in *organizations.ListAccountsForParentInput,
	_ ...func(*organizations.Options)) (*organizations.ListAccountsForParentOutput, error) {
	return core.Do(ctx, o.w.Core, o.call("ListAccountsForParent", in, in.ParentId),
		func() (*organizations.ListAccountsForParentOutput, error) {
			unit, err := o.unit(in.ParentId, in.MaxResults)
			if err != nil {
				return nil, err
			}
			cut, next, err := o.page("ListAccountsForParent", unit.Accounts, in.MaxResults, in.NextToken)
			if err != nil {
				return nil, err
			}
			out := &organizations.ListAccountsForParentOutput{NextToken: next}
			for _, id := range cut {
				state := orgtypes.AccountStateActive
				if a, ok := o.w.accounts[id]; ok && a.State != "" {
					state = orgtypes.AccountState(a.State)
				}
				out.Accounts = append(out.Accounts, orgtypes.Account{
					Id: aws.String(id), State: state, Name: aws.String("account " + id),
					Arn: aws.String("arn:aws:organizations::" + o.p.Account + ":account/" + organizationID + "/" + id),
				})
			}
			return out, nil
		})
}

// ListOrganizationalUnitsForParent lists the units directly in a root or unit.
func (o *Organizations) ListOrganizationalUnitsForParent(ctx context.Context,
	in *organizations.ListOrganizationalUnitsForParentInput,
	_ ...func(*organizations.Options)) (*organizations.ListOrganizationalUnitsForParentOutput, error) {
	return core.Do(ctx, o.w.Core, o.call("ListOrganizationalUnitsForParent", in, in.ParentId),
		func() (*organizations.ListOrganizationalUnitsForParentOutput, error) {
			unit, err := o.unit(in.ParentId, in.MaxResults)
			if err != nil {
				return nil, err
			}
			cut, next, err := o.page("ListOrganizationalUnitsForParent", unit.Units, in.MaxResults, in.NextToken)
			if err != nil {
				return nil, err
			}
			out := &organizations.ListOrganizationalUnitsForParentOutput{NextToken: next}
			for _, id := range cut {
				out.OrganizationalUnits = append(out.OrganizationalUnits, orgtypes.OrganizationalUnit{
					Id: aws.String(id), Name: aws.String("unit " + id), Arn: aws.String(o.arn(id)),
				})
			}
			return out, nil
		})
}

const organizationID = "o-rehearsal00"

// arn is the ARN of a unit or root as IAM sees it.
func (o *Organizations) arn(id string) string {
	kind := "ou"
	if strings.HasPrefix(id, "r-") {
		kind = "root"
	}
	return "arn:aws:organizations::" + o.w.organization.management + ":" + kind + "/" + organizationID + "/" + id
}

func (o *Organizations) call(operation string, in any, parent *string) *core.Call {
	return &core.Call{
		Principal: o.p, Account: o.p.Account, Region: organizationsRegion, Service: "organizations", Operation: operation,
		Attempts: core.Attempts, Input: in,
		Access: []core.Access{{Action: "organizations:" + operation, Resources: []string{o.arn(aws.ToString(parent))}}},
	}
}

// unit finds what a request asks about.
func (o *Organizations) unit(parent *string, size *int32) (fleetfile.Unit, error) {
	id := aws.ToString(parent)
	switch {
	case len(o.w.organization.units) == 0:
		return fleetfile.Unit{},
			&orgtypes.AWSOrganizationsNotInUseException{Message: aws.String("Your account is not a member of an organization.")}
	case o.p.Account != o.w.organization.management:
		return fleetfile.Unit{},
			&orgtypes.AccessDeniedException{Message: aws.String("You don't have permissions to access this resource.")}
	case !fleetfile.UnitID().MatchString(id):
		return fleetfile.Unit{},
			&orgtypes.InvalidInputException{Message: aws.String("You provided a value that does not match the required " +
				"pattern.")}
	case size != nil && (*size < 1 || *size > organizationsPage):
		return fleetfile.Unit{},
			&orgtypes.InvalidInputException{Message: aws.String("You provided a value that is not in the range from 1 to 20.")}
	}
	unit, ok := o.w.organization.units[id]
	if !ok {
		return fleetfile.Unit{},
			&orgtypes.ParentNotFoundException{Message: aws.String("You specified parent that doesn't exist.")}
	}
	return unit, nil
}

// page cuts a list. One first page in four is empty and has a token.
func (o *Organizations) page(operation string, all []string, size *int32, token *string) ([]string, *string, error) {
	if token == nil && o.w.Rand("organizations").IntN(4) == 0 {
		return nil, aws.String(core.TokenOf(operation, 0)), nil
	}
	n := organizationsPage
	if size != nil {
		n = int(*size)
	}
	sorted := slices.Sorted(slices.Values(all))
	cut, next, err := core.Page(operation, sorted, func(int) int { return n }, token)
	if err != nil {
		return nil, nil, &orgtypes.InvalidInputException{Message: aws.String("The provided token is not valid.")}
	}
	return cut, next, nil
}
