package sim

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

// caseOf rehearses a case from the field: an input, and the fleet that it met.
func caseOf(tb testing.TB, input, fleet string) *Result {
	tb.Helper()
	one := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", "cases", name))
		require.NoError(tb, err)
		return data
	}
	o := options(tb, string(one(input+".input.json")))
	o.Fleet = one(fleet + ".fleet.json")
	return rehearse(tb, o)
}

// Two waves, both mistyped: nobody may take that for a patched fleet.
func TestCase_matchesNothing(t *testing.T) {
	res := caseOf(t, "matches-nothing", "matches-nothing")
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunIncomplete, res.Status)
	assert.Contains(t, res.Report.StatusReason, "wave canary matched nothing (looked for: ")
	assert.Contains(t, res.Report.StatusReason, "wave main matched nothing (looked for: ")
	assert.Empty(t, res.Report.Instances)
	for _, w := range res.Report.Waves {
		assert.True(t, w.Empty)
	}

	allowed := caseOf(t, "matches-nothing-allowed", "matches-nothing")
	assert.Empty(t, allowed.Violations)
	assert.Equal(t, patch.RunSucceeded, allowed.Status, "an input that says so may match nothing")
}

func TestCase_refusedByGuard(t *testing.T) {
	res := caseOf(t, "refused-by-guard", "refused-by-guard")
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunRefused, res.Status)
	assert.Contains(t, res.Report.StatusReason, "guards.maxInstances allows 3")
	assert.Empty(t, res.Report.Instances)
	assert.Zero(t, res.Planned)
}

// An alarm that nobody has is found before anything is sent.
func TestCase_refusedByAlarm(t *testing.T) {
	o := options(t, oneWave(`,"healthGate":{"alarms":["arn:aws:cloudwatch:us-east-1:111111111111:alarm:nobody"]}`))
	o.Fleet = []byte(`{"accounts":{"111111111111":{"regions":{"us-east-1":{"instances":[{"name":"a","count":5}]}}}}}`)
	res := rehearse(t, o)
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunRefused, res.Status)
	assert.Contains(t, res.Report.StatusReason, "alarm:nobody of wave only does not exist in account 111111111111")
	assert.Zero(t, res.APICalls["ssm:SendCommand"])
}

// What Patch Manager does not patch is outside of the plan where its name says so.
func TestCase_unsupportedSystem(t *testing.T) {
	res := caseOf(t, "unsupported-os", "unsupported-os-named")
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunSucceeded, res.Status, res.Report.StatusReason)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 96}, outcomes(res, ""))
	require.Len(t, res.Report.Excluded, 4)
	for _, e := range res.Report.Excluded {
		assert.Equal(t, outcome.Excluded, e.Outcome)
		assert.Equal(t, "Patch Manager does not patch Bottlerocket 1.26.1", e.Reason)
	}
}

// A region that one account has not enabled keeps nobody else from being patched.
func TestCase_regionNotEnabled(t *testing.T) {
	res := caseOf(t, "region-not-enabled", "region-not-enabled")
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunIncomplete, res.Status, res.Report.StatusReason)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 9}, outcomes(res, ""))
	assert.Equal(t, []plan.UnreachableAccount{{
		Account: first, Region: "eu-south-1",
		Reason: "region eu-south-1 is not enabled in account 111111111111: enable it there, or take it out of the wave",
	}}, res.Report.Unreachable)
}

// A node outside of EC2 is listed and nothing is sent to it.
func TestCase_hybrid(t *testing.T) {
	o := options(t, oneWave(""))
	o.Fleet = []byte(`{"accounts":{"111111111111":{"regions":{"us-east-1":{"instances":[{"name":"a","count":5},{"name":"cellar","fate":"hybrid"},{"name":"other","tags":{"PatchGroup":"no"},"fate":"hybrid"}]}}}}}`)
	res := rehearse(t, o)
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunSucceeded, res.Status, res.Report.StatusReason)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 5}, outcomes(res, ""))
	require.Len(t, res.Report.Excluded, 1)
	assert.Equal(t, outcome.Hybrid, res.Report.Excluded[0].Outcome)
	assert.Regexp(t, "^mi-", string(res.Report.Excluded[0].InstanceID))
}
