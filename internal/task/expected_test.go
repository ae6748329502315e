package task

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

func TestEstimate(t *testing.T) {
	wave := func(change func(*patch.Wave)) patch.Wave {
		w := patch.Wave{Name: "w", Accounts: []patch.AccountID{"1"}, Regions: []patch.Region{"r"}, MaxConcurrentAccounts: 5}
		w.SSM = patch.SSM{MaxConcurrency: patch.Threshold{Value: 10, Percent: true}, Operation: patch.Install, RebootOption: patch.RebootIfNeeded}
		change(&w)
		return w
	}
	row := func(linux, windows int) patch.TargetRow {
		return patch.TargetRow{Planned: linux + windows, Platforms: map[patch.Platform]int{patch.Linux: linux, patch.Windows: windows}}
	}
	tests := []struct {
		name string
		wave patch.Wave
		row  patch.TargetRow // of every target
		want int
	}{
		{"nothing planned", wave(func(*patch.Wave) {}), patch.TargetRow{}, 0},
		{"one instance", wave(func(*patch.Wave) {}), row(1, 0), 12},
		{"a tenth at a time", wave(func(*patch.Wave) {}), row(100, 0), 120},
		{"never shorter than the slowest instance", wave(func(w *patch.Wave) { w.SSM.MaxConcurrency.Value = 100 }), row(100, 1), 25},
		{"without reboots", wave(func(w *patch.Wave) { w.SSM.RebootOption = patch.NoReboot }), row(10, 0), 90},
		{"a scan", wave(func(w *patch.Wave) { w.SSM.Operation = patch.Scan }), row(10, 10), 30},
		{"a soak at the end", wave(func(w *patch.Wave) { w.HealthGate.SoakSeconds = 600 }), row(1, 0), 22},
		{"two accounts, one at a time", wave(func(w *patch.Wave) { w.Accounts, w.MaxConcurrentAccounts = []patch.AccountID{"1", "2"}, 1 }), row(1, 0), 24},
		{"four regions, two at a time", wave(func(w *patch.Wave) { w.Regions = []patch.Region{"a", "b", "c", "d"} }), row(1, 0), 24},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := map[patch.Target]patch.TargetRow{}
			for _, a := range tt.wave.Accounts {
				for _, r := range tt.wave.Regions {
					rows[patch.Target{Run: "run", Wave: "w", Account: a, Region: r}] = tt.row
				}
			}
			x := patch.Index{Run: "run", Waves: []patch.IndexWave{{Name: "w"}}}
			(&Inventory{RegionConcurrency: 2}).estimate(patch.Input{Waves: []patch.Wave{tt.wave}}, &x, rows)
			assert.Equal(t, tt.want, x.Waves[0].ExpectedMinutes)
		})
	}
}

func TestMinutesText(t *testing.T) {
	assert.Empty(t, minutesText(0))
	assert.Equal(t, "59 min", minutesText(59))
	assert.Equal(t, "3 h 05 min", minutesText(185))
	assert.False(t, strings.Contains(describeWave(patch.IndexWave{}), "typically"))
	assert.Contains(t, describeWave(patch.IndexWave{ExpectedMinutes: 185}), "; typically 3 h 05 min")
}
