package world

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Source: design section 8: lognormal, sigma at least 0.6, Linux median 7 minutes, Windows 18, reboots 1 to 6 minutes.
func TestDraw_PatchTimes(t *testing.T) {
	for platform, median := range map[string]time.Duration{fleetfile.Linux: 7 * time.Minute,
		fleetfile.Windows: 18 * time.Minute} {
		w := New(5, testStart())
		var logs []float64
		for n := range 2000 {
			i,
				err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: fmt.Sprint(n),
				Platform: platform})
			require.NoError(t, err)
			logs = append(logs, math.Log(i.Patch.Seconds()))
			require.True(t, i.Reboot >= time.Minute && i.Reboot <= 6*time.Minute)
			require.Regexp(t, regexp.MustCompile(`^i-[0-9a-f]{17}$`), i.ID)
		}
		slices.Sort(logs)
		require.InEpsilon(t, median.Seconds(), math.Exp(logs[1000]), 0.1)
		mean, variance := 0.0, 0.0
		for _, l := range logs {
			mean += l / 2000
		}
		for _, l := range logs {
			variance += (l - mean) * (l - mean) / 2000
		}
		require.InDelta(t, 0.6, math.Sqrt(variance), 0.04)
	}
}

// One more instance elsewhere shifts nothing; another seed shifts everything.
func TestDraw_OwnStreams(t *testing.T) {
	world := func(seed uint64, more bool) *Instance {
		w := New(seed, testStart())
		if more {
			_, err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "first"})
			require.NoError(t, err)
		}
		i, err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "a"})
		require.NoError(t, err)
		return i
	}
	one, two, other := world(1, false), world(1, true), world(2, false)
	require.Equal(t, []any{one.ID, one.Patch, one.Reboot, one.Missing}, []any{two.ID, two.Patch, two.Reboot, two.Missing})
	require.NotEqual(t, one.ID, other.ID)
}

func TestAddInstance_Refuses(t *testing.T) {
	w := New(1, testStart())
	good := InstanceSpec{Account: testAccount, Region: testRegion, Name: "a"}
	_, err := w.AddInstance(good)
	require.NoError(t, err)
	for _, edit := range []func(*InstanceSpec){
		func(*InstanceSpec) {}, // the name is taken
		func(s *InstanceSpec) { s.Account = "" },
		func(s *InstanceSpec) { s.Platform = "Solaris" },
		func(s *InstanceSpec) { s.Fate = "doom" },
	} {
		s := good
		edit(&s)
		_, err := w.AddInstance(s)
		require.Error(t, err)
	}
}

// The ideal times are what an undisturbed operation takes.
func TestIdealTimes(t *testing.T) {
	w, s,
		insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateCompliant, fleetfile.FateNoRebootNeeded,
		fleetfile.FateDoubleReboot)
	w.SSMOptions.NoRamp = true
	send(t, s, patching(ids(insts)...))
	ideal := w.IdealTimes()
	runFor(w, time.Hour)
	for n, i := range insts {
		log := w.AgentLog(i.ID)
		require.Equal(t, AgentFinished, log[len(log)-1].Kind)
		require.Equal(t, ideal[n].Patch+ideal[n].Reboots, log[len(log)-1].Time.Sub(log[0].Time), i.Fate)
	}
}

// The same seed gives the same history.
func TestWorld_SameSeedSameHistory(t *testing.T) {
	history := func() []string {
		w := New(9, testStart())
		w.IgnoreIAM = true
		require.NoError(t, w.AddFleet(fleetfile.Default(9,
			map[string]map[string][]fleetfile.Wanted{testAccount: anything(testRegion, "eu-west-1")}, 25)))
		var lines []string
		w.OnAgentEvent = func(e AgentEvent) { lines = append(lines, fmt.Sprint(e)) }
		for _, region := range []string{testRegion, "eu-west-1"} {
			var sendable []string
			for _, i := range w.Instances() {
				if i.Region == region && i.Managed() {
					sendable = append(sendable, i.ID)
				}
			}
			send(t, w.SSM(testPrincipal(testAccount), region), patching(sendable...))
		}
		runFor(w, 12*time.Hour)
		return lines
	}
	one := history()
	require.Greater(t, len(one), 200)
	require.Equal(t, one, history())
}
