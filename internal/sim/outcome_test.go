package sim

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/outcome"
	"ec2patch/internal/sim/world/fleetfile"
)

// Three machines of a hundred that a scheduler stops in mid-patch are Unhealthy since
// then, and none of their neighbours is lost.
func TestRun_stoppedInMidPatch(t *testing.T) {
	o := options(t, oneWave(generous))
	o.Fleet = fleet(t, fleetfile.Instance{Name: "ok", Count: 97},
		fleetfile.Instance{Name: "bad", Count: 3, Fate: fleetfile.FateStops})
	res := rehearse(t, o)
	assert.Empty(t, res.Violations)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 97, outcome.Unhealthy: 3}, res.Outcomes)
	for _, i := range res.Report.Instances {
		if i.Outcome == outcome.Unhealthy {
			assert.Equal(t, outcome.DownStopped, i.Down)
			assert.NotNil(t, i.Since)
			assert.True(t, strings.HasPrefix(i.Reason, "stopped since 20"), i.Reason)
		}
	}
}

// What is terminated or replaced in mid-patch is Gone, and none of its neighbours is lost.
func TestRun_terminatedInMidPatch(t *testing.T) {
	o := options(t, oneWave(generous))
	o.Fleet = fleet(t, fleetfile.Instance{Name: "ok", Count: 46},
		fleetfile.Instance{Name: "term", Count: 4, Fate: fleetfile.FateTerminates})
	res := rehearse(t, o)
	assert.Empty(t, res.Violations)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 46, outcome.Gone: 4}, res.Outcomes)
}

// A failed machine's patches are in the report by name.
func TestRun_patchesByName(t *testing.T) {
	o := options(t, oneWave(generous))
	o.Fleet = fleet(t, fleetfile.Instance{Name: "ok"}, fleetfile.Instance{Name: "odd", Fate: fleetfile.FatePatchFails})
	res := rehearse(t, o)
	for _, i := range res.Report.Instances {
		if i.Name != "odd-1" && i.Name != "odd" {
			assert.Nil(t, i.Patches, i.Name)
			continue
		}
		assert.Equal(t, outcome.Failed, i.Outcome)
		assert.NotEmpty(t, i.Patches)
		for _, p := range i.Patches {
			assert.NotEmpty(t, p.Title)
			assert.NotEmpty(t, p.State)
		}
	}
}
