package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/sim/world/fleetfile"
)

// redrives are worlds in which somebody redrives the run's execution: F-44.
func redrives() []trouble {
	stopped := func(after time.Duration, n int) func(t *testing.T, seed uint64) *rehearsal {
		return func(t *testing.T, seed uint64) *rehearsal {
			r := inTrouble(t, canaryAndMain(room, room, `,"approval":"none"`), seed, map[bool]string{true: "light"}[seed%2 == 1], some(4, fleetfile.FateOK))
			r.World.After(time.Duration(seed*seed)*time.Minute, func() {
				require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand"))
			})
			r.redriven(t, after, n)
			return r
		}
	}
	return []trouble{
		{"stopped and redriven at once", 12, stopped(time.Second, 1)},
		{"stopped and redriven as it is closed", 12, stopped(2*time.Second, 1)},
		{"stopped, closed and redriven", 12, stopped(10*time.Minute, 2)},
		{"redriven after 13 days", 8, stopped(13*24*time.Hour, 1)},
		{"failed and redriven", 2, func(t *testing.T, seed uint64) *rehearsal {
			in := `,"ssm":{"maxConcurrency":"100%","maxErrors":"100%"},"budget":{"maxFailedInstances":"2","maxFailedAccounts":"100%","perAccount":"100%"}`
			r := inTrouble(t, canaryAndMain(in, in, `,"approval":"none"`), seed, "", some(4, fleetfile.FatePatchFails))
			r.redriven(t, time.Duration(seed)*time.Minute, 2)
			return r
		}},
	}
}

// redriven lets somebody redrive the execution so long after each of its first n
// ends, in the console.
func (r *rehearsal) redriven(t *testing.T, after time.Duration, n int) {
	t.Helper()
	again := func() {
		defer func() { r.open-- }()
		if r.execution.Status == asl.Succeeded {
			return
		}
		require.NoError(t, r.Engine.Redrive(r.execution.ARN))
		r.open++
		run := r.checks.Order[0]
		run.Ended = false
		run.More += after + run.Bound()
	}
	r.World.After(0, func() { // the rehearsal has begun to listen
		onEnd := r.Engine.OnEnd
		r.Engine.OnEnd = func(x *asl.Execution) {
			onEnd(x)
			if x == r.execution && n > 0 {
				n--
				r.open++
				r.World.After(after, again)
			}
		}
	})
}
