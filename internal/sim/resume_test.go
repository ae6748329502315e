package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/sim/world/fleetfile"
)

// A scan finds what is missing, and the run that resumes it installs that: what a
// scan calls good is not patched.
func TestResume_ofAScan(t *testing.T) {
	input := strings.TrimSuffix(alone(generous), "}")
	r := inTrouble(t, input+`,"dryRun":true}`, 1, "", some(4, fleetfile.FateOK))
	installing := r.options.RunID + "-real"
	r.alsoRun(t, 6*time.Hour, installing, input+`,"resume":"`+string(r.options.RunID)+`"}`)
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	assert.Equal(t, map[outcome.Outcome]int{outcome.NonCompliant: 4}, r.reportOf(t, r.options.RunID).Totals.Outcomes)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 4}, r.reportOf(t, installing).Totals.Outcomes)
}
