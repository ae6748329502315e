package inventory

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/approval"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/target"
)

func TestEstimate(t *testing.T) {
	wave := func(change func(*runinput.Wave)) runinput.Wave {
		w := runinput.Wave{Name: "w", Accounts: []patch.AccountID{"1"}, Regions: []patch.Region{"r"},
			MaxConcurrentAccounts: 5}
		w.SSM = runinput.SSM{MaxConcurrency: patch.Threshold{Value: 10, Percent: true}, Operation: patch.Install,
			RebootOption: patch.RebootIfNeeded}
		change(&w)
		return w
	}
	row := func(linux, windows int) target.TargetRow {
		return target.TargetRow{Planned: linux + windows,
			Platforms: map[patch.Platform]int{patch.Linux: linux, patch.Windows: windows}}
	}
	tests := []struct {
		name string
		wave runinput.Wave
		row  target.TargetRow // of every target
		want int
	}{
		{"nothing planned", wave(func(*runinput.Wave) {}), target.TargetRow{}, 0},
		{"one instance", wave(func(*runinput.Wave) {}), row(1, 0), 12},
		{"a tenth at a time", wave(func(*runinput.Wave) {}), row(100, 0), 120},
		{"never shorter than the slowest instance", wave(func(w *runinput.Wave) {
			w.SSM.MaxConcurrency.Value = 100
		}), row(100, 1), 25},
		{"without reboots", wave(func(w *runinput.Wave) { w.SSM.RebootOption = patch.NoReboot }), row(10, 0), 90},
		{"a scan", wave(func(w *runinput.Wave) { w.SSM.Operation = patch.Scan }), row(10, 10), 30},
		{"a soak at the end", wave(func(w *runinput.Wave) { w.HealthGate.SoakSeconds = 600 }), row(1, 0), 22},
		{"two accounts, one at a time", wave(func(w *runinput.Wave) {
			w.Accounts, w.MaxConcurrentAccounts = []patch.AccountID{"1", "2"}, 1
		}), row(1, 0), 24},
		{"four regions, two at a time", wave(func(w *runinput.Wave) {
			w.Regions = []patch.Region{"a", "b", "c", "d"}
		}), row(1, 0), 24},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := map[patch.Target]target.TargetRow{}
			for _, a := range tt.wave.Accounts {
				for _, r := range tt.wave.Regions {
					rows[patch.Target{Run: "run", Wave: "w", Account: a, Region: r}] = tt.row
				}
			}
			x := plan.Index{Run: "run", Waves: []plan.IndexWave{{Name: "w"}}}
			(&Inventory{RegionConcurrency: 2}).estimate(runinput.Input{Waves: []runinput.Wave{tt.wave}}, &x, rows)
			assert.Equal(t, tt.want, x.Waves[0].ExpectedMinutes)
		})
	}
}

func TestDescribeWave_time(t *testing.T) {
	assert.NotContains(t, approval.DescribeWave(plan.IndexWave{}), "typically")
	assert.Contains(t, approval.DescribeWave(plan.IndexWave{ExpectedMinutes: 185}), "; typically 3h05m")
}
