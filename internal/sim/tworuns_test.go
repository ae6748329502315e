package sim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/world/fleetfile"
	"ec2patch/internal/store"
)

// reportOf is the report of any run of the rehearsal.
func (r *rehearsal) reportOf(t *testing.T, id patch.RunID) report.Report {
	t.Helper()
	data, ok := r.World.Object(r.Bucket(), store.ReportObject(id, "json"))
	require.True(t, ok, "run %s has no report", id)
	var rep report.Report
	require.NoError(t, json.Unmarshal(data, &rep))
	return rep
}

// Two runs are started a minute apart over the same account. The one that came
// second waits as long as it may; then its report says who had the account-region,
// and that nothing was sent. The first one's report has the patches.
func TestTwoRuns_bothReportsTell(t *testing.T) {
	r := inTrouble(t, alone(generous), 1, "", fleetfile.Instance{Name: "slow", Count: 4, PatchSeconds: 4000})
	r.another(t, time.Minute)
	res, err := r.run()
	require.NoError(t, err)
	require.Empty(t, res.Violations)

	winner, loser := r.reportOf(t, r.options.RunID), r.reportOf(t, r.options.RunID+"-again")
	assert.Equal(t, patch.RunSucceeded, winner.Status)
	assert.Equal(t, 4, winner.Totals.Outcomes[outcome.Patched])
	assert.Equal(t, patch.RunCompleted, loser.Status, "a lease is no cause to stop: the report says what was not sent")
	require.Len(t, loser.Instances, 4)
	for _, i := range loser.Instances {
		assert.Equal(t, outcome.NotSent, i.Outcome)
		assert.Equal(t, outcome.ReasonLease, i.NotSent())
		assert.Equal(t, "the account-region was held by run "+string(r.options.RunID), i.Detail)
	}
}
