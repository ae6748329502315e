package sim

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// lateSends lets one in two commands come so late that nobody looks for it any more.
type lateSends struct{ *stage.Faults }

func (f *lateSends) Late(c *core.Call) time.Duration {
	if c.Name() != "ssm:SendCommand" || f.Rand.IntN(2) == 0 {
		return 0
	}
	return 4*time.Minute + time.Duration(f.Rand.Int64N(int64(26*time.Minute)))
}

// A SendCommand that takes effect minutes after its sender gave up, and after the
// run has looked for it: F-05. Nothing is sent twice, and nobody is called good or
// not sent who is not: its instances are Unknown, or what their own evidence says.
// What cannot be held is that nothing is at work where the run believes that it has
// ended: a command without an id cannot be cancelled.
func TestLateSend(t *testing.T) {
	held := []string{"R-02", "R-05", "R-07", "R-08", "R-10", "R-12", "R-13", "R-14", "I-05", "I-39", "I-46"}
	broken, outcomes := map[string]int{}, map[outcome.Outcome]int{}
	for seed := uint64(1); seed <= 12; seed++ {
		r := inTrouble(t, canaryAndMain(room, room, `,"approval":"none"`), seed, "", some(4, fleetfile.FateOK))
		r.World.Faults = &lateSends{r.faults}
		res, err := r.run()
		require.NoError(t, err)
		for _, v := range res.Violations {
			assert.NotContains(t, held, v.Rule, "seed %d: %s", seed, v.Detail)
			broken[v.Rule]++
		}
		for id, n := range r.checks.Order[0].Installs {
			assert.Equal(t, 1, n, "seed %d: %s", seed, id)
		}
		for id := range givenUp(r) {
			outcomes[ending(res)[id]]++
		}
	}
	t.Logf("instances of sends that came too late: %v; broken: %v", outcomes, broken)
	assert.Positive(t, outcomes[outcome.Unknown])
	assert.Subset(t, []outcome.Outcome{outcome.Unknown, outcome.Patched, outcome.Unhealthy},
		slices.Collect(maps.Keys(outcomes)))
	assert.Subset(t, []string{"R-01", "R-03", "R-06", "R-09", "R-16"}, slices.Collect(maps.Keys(broken)),
		"docs/safety.md, Limitations")
}
