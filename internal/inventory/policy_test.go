package inventory_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
)

// Whoever starts a run cannot ask for less than the hub demands, and whoever wants more gets it.
func TestPlan_stricterWins(t *testing.T) {
	none, once, perWave := runinput.ApproveNone, runinput.ApproveOnce, runinput.ApprovePerWave
	tests := []struct {
		name, input string
		policy      runinput.Policy
		mode        runinput.ApprovalMode
		distinct    int
		scope       patch.Scope
		lines       []string
	}{
		{"nothing is demanded", `"approval":"none"`, runinput.Policy{}, none, 1, "none",
			[]string{"Approval: none, as the input says"}},
		{"the hub is stricter", `"approval":"none"`, runinput.Policy{MinimumApproval: once, MinimumDistinct: 1}, once,
			1, "run",
			[]string{"Approval: once, as the hub demands (MinimumApproval); the input says none"}},
		{"both are the same", `"approval":"once"`, runinput.Policy{MinimumApproval: once, MinimumDistinct: 1}, once, 1,
			"run", []string{"Approval: once, as the input says"}},
		{"the input is stricter", `"approval":"perWave","requireDistinct":2`,
			runinput.Policy{MinimumApproval: once, MinimumDistinct: 1}, perWave, 2, "wave:w",
			[]string{"Approval: perWave, as the input says; the hub demands once",
				"Needed: 2 different people, as the input says"}},
		{"the hub wants two", `"approval":"once"`, runinput.Policy{MinimumApproval: perWave, MinimumDistinct: 2},
			perWave, 2, "wave:w",
			[]string{"Approval: perWave, as the hub demands (MinimumApproval); the input says once",
				"Needed: 2 different people, as the hub demands (MinimumDistinct); the input says 1"}},
		{"a scan asks nobody", `"approval":"none","dryRun":true`,
			runinput.Policy{MinimumApproval: perWave, MinimumDistinct: 2}, none, 1, "none",
			[]string{"Approval: no one is asked, since nothing is changed"}},
		{"the older form of none", `"approvalRequired":false`,
			runinput.Policy{MinimumApproval: once, MinimumDistinct: 1}, once, 1, "run",
			[]string{"Approval: once, as the hub demands (MinimumApproval); the input says none"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 10)
			s.Policy = test.policy
			s.Table.Rows, s.Bucket.Objects = map[store.Key]json.RawMessage{}, fake.Objects{}
			require.NoError(t, s.Plan(site.Run, `{"waves":[{"name":"w","accounts":["111111111111"],"regions":["us-east-1"]}],`+test.input+`}`))
			run := s.Run()
			assert.Equal(t, test.mode, run.Approval)
			assert.Equal(t, test.distinct, run.RequireDistinct)

			_, err := s.Discover()
			require.NoError(t, err)
			out, err := s.Freeze()
			require.NoError(t, err)
			assert.Equal(t, test.scope, out.Waves[0].Ask.Scope)
			var x plan.Index
			require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.IndexObject(site.Run)], &x))
			assert.Equal(t, test.scope, x.Waves[0].AskScope)
			assert.Equal(t, test.distinct, x.Needed)
			assert.Equal(t, test.policy, x.Terms.Hub)
			var lines []string
			for _, l := range x.Lines() {
				lines = append(lines, l.String())
			}
			assert.Equal(t, test.lines, lines)
			assert.Empty(t, x.Below(test.policy))
		})
	}
}

// MaxInstances is the hub's, and holds for scans as well.
func TestFreeze_maxInstances(t *testing.T) {
	for _, more := range []string{"", `,"dryRun":true`} {
		s := site.Discovered(t, more)
		s.Policy.MaxInstances = 9
		_, err := s.Freeze()
		assert.Equal(t, patch.ErrRefused, patch.KindOf(err))
		assert.ErrorContains(t, err, "the plan has 10 instances, MaxInstances of the hub allows 9")
		assert.Equal(t, patch.RunRefused, s.Run().Status)

		s = site.Discovered(t, more)
		s.Policy.MaxInstances = 10
		_, err = s.Freeze()
		require.NoError(t, err)
	}
}
