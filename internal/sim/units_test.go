package sim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/fleetfile"
)

const unit = "ou-ab12-production"

// ofUnit is a run over one unit, and its fleet: one account directly in the
// unit, one below it, one that is suspended, one without a spoke role.
func ofUnit(t *testing.T) Options {
	o := options(t, `{"waves":[{"name":"w","organizationalUnits":["`+unit+`"],"regions":["`+region+`"]`+generous+`}],"approval":"none"}`)
	here := map[string]fleetfile.Region{region: {Instances: []fleetfile.Instance{{Name: "web", Count: 3}}}}
	data, err := json.Marshal(fleetfile.File{
		Accounts: map[string]fleetfile.Account{first: {Regions: here}, second: {Regions: here},
			"333333333333": {State: "SUSPENDED", Regions: here}},
		Units: map[string]fleetfile.Unit{
			unit: {Accounts: []string{first, "333333333333", "444444444444"},
				Units: []string{"ou-ab12-databases"}},
			"ou-ab12-databases": {Accounts: []string{second}},
		},
	})
	require.NoError(t, err)
	o.Fleet = data
	return o
}

// Everybody below the unit who can be reached is patched; who is suspended is no
// failure, who has no spoke is told.
func TestRun_units(t *testing.T) {
	res := rehearse(t, ofUnit(t))
	require.Empty(t, res.Violations)
	assert.Equal(t, patch.RunIncomplete, res.Status)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 6}, outcomes(res, ""))
	assert.Equal(t, []runinput.InactiveAccount{{Account: "333333333333", Wave: "w", State: "SUSPENDED"}},
		res.Report.Inactive)
	require.Len(t, res.Report.Unreachable, 1)
	assert.Equal(t, patch.AccountID("444444444444"), res.Report.Unreachable[0].Account)
	assert.Positive(t, res.APICalls["organizations:ListAccountsForParent"])
}

// Who approves sees what the units became: the plan's accounts, and how many are left out.
func TestRun_unitsAsked(t *testing.T) {
	o := ofUnit(t)
	o.Input = []byte(strings.Replace(string(o.Input), `"approval":"none"`, `"approval":"once"`, 1))
	r, err := prepare(o)
	require.NoError(t, err)
	res, err := r.run()
	require.NoError(t, err)
	require.Empty(t, res.Violations)
	mails := r.World.Mailbox(stage.Approver)
	require.NotEmpty(t, mails)
	assert.Contains(t, mails[0].Body, "Instances: 6 (6 Linux), in 2 accounts")
	assert.Contains(t, mails[0].Body, "Not active, and not in the plan: 1 account of the organizational units")
}

// A storm in front of Organizations is waited out.
func TestRun_unitsInAStorm(t *testing.T) {
	for seed := range uint64(5) {
		o := ofUnit(t)
		o.Seed, o.Faults = seed, "storm"
		res := rehearse(t, o)
		assert.Empty(t, res.Violations, "seed %d", seed)
		assert.Equal(t, 6, res.Planned, "seed %d", seed)
	}
}

// Who cannot read the organization, or asks for a unit that it has not, is told
// in the report; nothing is sent.
func TestRun_unitsRefused(t *testing.T) {
	tests := []struct {
		name   string
		before func(*rehearsal)
		reason string
		broken []string
	}{
		{"the role lets nobody in", func(r *rehearsal) {
			r.World.RefuseAssume(stage.Management, true)
		}, "OrganizationReaderRoleArn must trust this hub", nil},
		{"the account may not read", func(r *rehearsal) {
			r.World.SetOrganization("777777777777")
		}, "OrganizationReaderRoleArn must trust this hub", []string{"R-14"}},
		{"the unit is not there", func(r *rehearsal) {
			require.NoError(t, r.World.AddFleet(fleetfile.File{Accounts: map[string]fleetfile.Account{"555555555555": {}},
				Units: map[string]fleetfile.Unit{"r-ab12": {}}}))
		}, `"` + unit + `" is no organizational unit`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := prepare(ofUnit(t))
			require.NoError(t, err)
			test.before(r)
			res, err := r.run()
			require.NoError(t, err)
			assert.Equal(t, test.broken, rules(res.Violations))
			assert.Equal(t, patch.RunRefused, res.Status)
			require.NotNil(t, res.Report)
			assert.Contains(t, res.Report.StatusReason, test.reason)
			assert.Zero(t, res.APICalls["ssm:SendCommand"])
		})
	}
}
