package inventory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
)

// units answers for an organization as the test says it is.
type units struct {
	known map[string]port.Unit
	err   error
	asked []string
}

func (u *units) Below(_ context.Context, _ patch.RunID, ids []string) (map[string]port.Unit, error) {
	u.asked = ids
	return u.known, u.err
}

const (
	ouA = "ou-ab12-aaaaaaaa"
	ouB = "ou-ab12-bbbbbbbb"
)

func unitInput(waves ...string) string {
	text := ""
	for i, w := range waves {
		if i > 0 {
			text += ","
		}
		text += `{"regions":["us-east-1"],` + w + `}`
	}
	return `{"waves":[` + text + `]}`
}

// The stored input has every active account, those that were listed first, each once.
func TestPlan_units(t *testing.T) {
	s := site.New(t, 1)
	org := &units{known: map[string]port.Unit{
		ouA: {Members: append(site.Members(300, 3), port.Member{Account: "000000000400", State: "SUSPENDED"},
			port.Member{Account: "000000000401", State: "PENDING_CLOSURE"})},
		ouB: {Members: append(site.Members(301, 1), site.Members(200, 1)...)},
	}}
	input := unitInput(`"accounts":["000000000302","000000000401"],"organizationalUnits":["`+ouA+`","`+ouB+`"]`,
		`"organizationalUnits":["`+ouB+`"]`)
	require.NoError(t, s.PlanUnits("units", org, input))
	assert.Equal(t, []string{ouA, ouB}, org.asked, "each unit is asked for once")

	var stored runinput.Input
	require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.InputObject("units")], &stored))
	assert.Equal(t, []patch.AccountID{"000000000302", "000000000401", "000000000200", "000000000300", "000000000301"},
		stored.Waves[0].Accounts)
	assert.Equal(t, []patch.AccountID{"000000000200", "000000000301"}, stored.Waves[1].Accounts)
	assert.Equal(t, []runinput.InactiveAccount{{Account: "000000000400", Wave: "wave-1", State: "SUSPENDED"}},
		stored.Inactive, "who is listed by name is tried all the same")
	var items []plan.AccountItem
	require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.AccountsObject("units")], &items))
	assert.Len(t, items, 5, "an account of two waves is looked at once")

	parsed, err := runinput.ParseInput([]byte(input), runinput.HubDefaults())
	require.NoError(t, err)
	assert.Equal(t, store.SeriesKey(parsed), store.SeriesKey(stored), "the series does not change with the accounts")
	_, err = runinput.ParseInput([]byte(`{"inactive":[],`+input[1:]), runinput.HubDefaults())
	assert.ErrorContains(t, err, "inactive", "nobody else sets what the plan found")
}

// Whatever is wrong with units ends the plan with every problem, and a remedy.
func TestPlan_unitsRefused(t *testing.T) {
	both := unitInput(`"organizationalUnits":["`+ouA+`","`+ouB+`"]`, `"accounts":["111111111111"]`,
		`"organizationalUnits":["`+ouA+`"]`)
	tests := []struct {
		name         string
		organization port.Organization
		want         []string
	}{
		{"no reader role", nil, []string{
			"waves[0].organizationalUnits: cannot be resolved; deploy organization-reader-cfn.yaml",
			"waves[2].organizationalUnits: cannot be resolved"}},
		{"denied", &units{err: fmt.Errorf("assume role x: %w", patch.ErrAccessDenied)}, []string{
			"waves[0].organizationalUnits: cannot be resolved: assume role x", "waves[2].organizationalUnits: cannot",
			"the role OrganizationReaderRoleArn must trust this hub"}},
		{"unknown unit", &units{known: map[string]port.Unit{ouA: {Problem: "is unknown"},
			ouB: {Members: site.Members(1, 1001)}}}, []string{
			`waves[0].organizationalUnits[0]: "` + ouA + `" is unknown; correct the id`,
			`waves[2].organizationalUnits[0]: "` + ouA + `" is unknown`}},
		{"nobody active",
			&units{known: map[string]port.Unit{ouA: {Members: []port.Member{{Account: "000000000001",
				State: "SUSPENDED"}}}, ouB: {Members: site.Members(1, 1001)}}}, []string{
				"waves[0].organizationalUnits: make 1001 accounts, more than 1000 in a wave",
				"waves[2].organizationalUnits: hold no active account"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 1)
			err := s.PlanUnits("units", test.organization, both)
			require.ErrorIs(t, err, patch.ErrInvalidInput)
			var run store.RunRow
			s.Read(store.RunKey("units"), &run)
			for _, want := range test.want {
				assert.Contains(t, err.Error(), want)
				assert.Contains(t, run.StatusReason, want, "the report tells it")
			}
			assert.Equal(t, patch.RunRefused, run.Status)
			assert.NotContains(t, s.Bucket.Objects, store.InputObject("units"))
		})
	}
}

// A run of units is not larger than one that lists its accounts may be.
func TestPlan_unitsTooMany(t *testing.T) {
	s := site.New(t, 1)
	org := &units{known: map[string]port.Unit{ouA: {Members: site.Members(1, 1000)}}}
	waves := make([]string, 20)
	for i := range waves {
		waves[i] = `"organizationalUnits":["` + ouA + `"]`
	}
	err := s.PlanUnits("units", org, unitInput(waves...))
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Contains(t, err.Error(), "with every account written out, more than 204800; split the run")
}

// Trouble that passes is not the input's fault: the state machine tries again.
func TestPlan_unitsUnavailable(t *testing.T) {
	s := site.New(t, 1)
	for _, kind := range []patch.Kind{patch.ErrThrottled, patch.ErrUnavailable} {
		err := s.PlanUnits("units", &units{err: fmt.Errorf("list: %w", kind)},
			unitInput(`"organizationalUnits":["`+ouA+`"]`))
		require.ErrorIs(t, err, kind)
		require.NotErrorIs(t, err, patch.ErrInvalidInput)
	}
	require.NoError(t, s.PlanUnits("units", &units{known: map[string]port.Unit{ouA: {Members: site.Members(1, 2)}}},
		unitInput(`"organizationalUnits":["`+ouA+`"]`)))
}
