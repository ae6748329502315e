package cloud_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// tree is an organization: what is directly below each unit. Every list has an
// empty page first, and one entry on each page after it.
type tree struct {
	units    map[string][]string
	accounts map[string][]types.Account
	err      error
	endless  bool
	calls    int
}

// next cuts one page out of n entries.
func (o *tree) next(token *string, n int) (at int, next *string) {
	o.calls++
	if token == nil {
		return -1, aws.String("0")
	}
	fmt.Sscan(*token, &at)
	if at+1 < n || o.endless {
		next = aws.String(fmt.Sprint(at + 1))
	}
	return at, next
}

func (o *tree) ListAccountsForParent(_ context.Context, in *organizations.ListAccountsForParentInput,
	_ ...func(*organizations.Options)) (*organizations.ListAccountsForParentOutput, error) {
	all, ok := o.accounts[*in.ParentId]
	if !ok {
		return nil, &types.ParentNotFoundException{}
	}
	at, next := o.next(in.NextToken, len(all))
	out := &organizations.ListAccountsForParentOutput{NextToken: next}
	if at >= 0 && at < len(all) {
		out.Accounts = all[at : at+1]
	}
	return out, o.err
}

func (o *tree) ListOrganizationalUnitsForParent(_ context.Context,
	in *organizations.ListOrganizationalUnitsForParentInput,
	_ ...func(*organizations.Options)) (*organizations.ListOrganizationalUnitsForParentOutput, error) {
	all := o.units[*in.ParentId]
	at, next := o.next(in.NextToken, len(all))
	out := &organizations.ListOrganizationalUnitsForParentOutput{NextToken: next}
	if at >= 0 && at < len(all) {
		out.OrganizationalUnits = []types.OrganizationalUnit{{Id: &all[at]}}
	}
	return out, nil
}

// signIn gives every caller a session, and keeps what was asked for.
type signIn struct{ asked *sts.AssumeRoleInput }

func (s *signIn) AssumeRole(_ context.Context, in *sts.AssumeRoleInput,
	_ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	s.asked = in
	return &sts.AssumeRoleOutput{Credentials: &ststypes.Credentials{
		AccessKeyId: aws.String("id"), SecretAccessKey: aws.String("secret"), SessionToken: aws.String("token"),
		Expiration: aws.Time(time.Unix(1, 0)),
	}}, nil
}

func active(id string) types.Account {
	return types.Account{Id: aws.String(id), State: types.AccountStateActive, Status: types.AccountStatusSuspended}
}

func below(t *testing.T, o *tree, units ...string) (map[string]port.Unit, error) {
	in := &signIn{}
	reader := &cloud.Organization{STS: in, RoleARN: "arn:role", ExternalID: "external",
		Connect: func(aws.Credentials) cloud.Organizations { return o }}
	all, err := reader.Below(t.Context(), "run-1", units)
	require.Equal(t, "external", *in.asked.ExternalId)
	require.Equal(t, "ec2patch-run-1", *in.asked.RoleSessionName)
	return all, err
}

func TestOrganization_Below(t *testing.T) {
	o := &tree{
		units: map[string][]string{"r-root": {"ou-b", "ou-a"}, "ou-a": {"ou-c"}},
		accounts: map[string][]types.Account{
			"r-root": {active("9")}, "ou-a": {active("3"), {Id: aws.String("2"), Status: types.AccountStatusSuspended}},
			"ou-b": {}, "ou-c": {active("1")},
		},
	}
	all, err := below(t, o, "ou-a", "r-root", "ou-missing")
	require.NoError(t, err)
	a := []port.Member{{Account: "1", State: "ACTIVE"}, {Account: "2", State: "SUSPENDED"},
		{Account: "3", State: "ACTIVE"}}
	assert.Equal(t, a, all["ou-a"].Members, "State counts, Status where there is none")
	assert.Equal(t, append(a, port.Member{Account: "9", State: "ACTIVE"}), all["r-root"].Members)
	assert.Contains(t, all["ou-missing"].Problem, "is no organizational unit")
	calls := o.calls
	_, err = below(t, o, "r-root")
	require.NoError(t, err)
	assert.Equal(t, calls, o.calls-calls, "what two units share is asked for once")
}

func TestOrganization_Below_endless(t *testing.T) {
	o := &tree{endless: true, accounts: map[string][]types.Account{"ou-a": {}}}
	all, err := below(t, o, "ou-a")
	require.NoError(t, err)
	assert.Contains(t, all["ou-a"].Problem, "more than 1000 calls")
	assert.Equal(t, 1000, o.calls)
}

func TestOrganization_Below_errors(t *testing.T) {
	for want, err := range map[patch.Kind]error{
		patch.ErrAccessDenied: &types.AccessDeniedException{}, patch.ErrThrottled: &types.TooManyRequestsException{},
		patch.ErrUnavailable: &smithy.GenericAPIError{Code: "ServiceException", Fault: smithy.FaultServer},
	} {
		_, got := below(t, &tree{err: err, accounts: map[string][]types.Account{"ou-a": {}}}, "ou-a")
		assert.ErrorIs(t, got, want)
	}
	all, err := below(t, &tree{err: &types.AWSOrganizationsNotInUseException{},
		accounts: map[string][]types.Account{"ou-a": {}}}, "ou-a")
	require.NoError(t, err)
	assert.Contains(t, all["ou-a"].Problem, "is in no organization")
}
