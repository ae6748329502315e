//go:build !race

package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/sim/world/fleetfile"
)

// measures skips what `make bench` alone prints.
func measures(t *testing.T) {
	t.Helper()
	if os.Getenv("BENCH") == "" {
		t.Skip("set BENCH=1")
	}
}

const (
	// curveSeeds is how many rehearsals stand behind each line of the curve.
	curveSeeds = 10
	// Bounds of a good gap: from the end of an instance to the next send into its slot, and what a target of 25
	// instances at 10 % may cost.
	curveP50, curveP95, curveTransitions = 60, 120, 500
)

// curveGaps are the longest gaps, in seconds, that are compared, and curveSizes the instances of the account-region.
var (
	curveGaps  = []int{30, 60, 90, 110, 150, 240}
	curveSizes = []int{25, 1000}
)

// curvePoint is what a longest gap does to an account-region, over all seeds: delays of all instances together, the
// rest on average.
type curvePoint struct {
	Gap, Size   int
	Refill      Quantiles
	Hours, Best float64 // from start to end, and what the drawn times allow
	Transitions float64
	USD         float64
}

// The delay with which a free slot is used, the time and the price of a run, against the longest gap between two
// polls. docs/simulation.md has the table; BENCH=write writes it.
func TestBench_curve(t *testing.T) {
	measures(t)
	binary := filepath.Join(t.TempDir(), "gap.test")
	buildWithGap(t, binary)
	points := make([]curvePoint, len(curveGaps)*len(curveSizes))
	t.Run("each", func(t *testing.T) {
		for n := range points {
			size, gap := curveSizes[n/len(curveGaps)], curveGaps[n%len(curveGaps)]
			t.Run(fmt.Sprintf("%d instances, %d s", size, gap), func(t *testing.T) {
				t.Parallel()
				points[n] = measureGap(t, binary, gap, size)
			})
		}
	})
	table := curveTable(points)
	t.Logf("\n%s", table)
	knee := kneeOf(points)
	t.Logf("the knee: %d s is the longest of these gaps with p50 <= %d s, p95 <= %d s and at most %d transitions for 25 "+
		"instances", knee, curveP50, curveP95, curveTransitions)
	assert.Equal(t, 110, knee, "target.longGap should be the knee")
	keepTable(t, table)
}

// buildWithGap builds these tests with a product whose longest gap is that of the environment. The product itself
// has no such switch.
func buildWithGap(t *testing.T, binary string) {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "target", "polling.go"))
	require.NoError(t, err)
	source := string(read(t, "internal", "target", "polling.go"))
	constant := regexp.MustCompile(`(?m)^\tlongGap = .*$`)
	require.Regexp(t, constant, source)
	source = constant.ReplaceAllString(source, "") + `
var longGap, _ = time.ParseDuration(os.Getenv("LONG_GAP"))
`
	source = strings.Replace(source, `import "time"`, "import (\n\"os\"\n\"time\"\n)", 1)
	buildOver(t, map[string]string{file: source}, binary)
}

// measureGap rehearses with one gap, in a process of its own.
func measureGap(t *testing.T, binary string, gap, size int) curvePoint {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-test.count=1", "-test.v", "-test.run", "^TestBench_point$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("LONG_GAP=%ds", gap), fmt.Sprintf("LONG_GAP_SIZE=%d", size))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	found := regexp.MustCompile(`(?m)point (\{.*\})$`).FindSubmatch(out)
	require.NotNil(t, found, "%s", out)
	var p curvePoint
	require.NoError(t, json.Unmarshal(found[1], &p))
	p.Gap = gap
	return p
}

// One point of the curve, where the binary was built for it.
func TestBench_point(t *testing.T) {
	size, err := strconv.Atoi(os.Getenv("LONG_GAP_SIZE"))
	if err != nil {
		t.Skip("TestBench_curve runs it")
	}
	p := curvePoint{Size: size}
	var delays []time.Duration
	for seed := range uint64(curveSeeds) {
		o := options(t, oneWave(`,"slowStart":false`))
		o.Seed, o.Instances = seed+1, size
		r, err := prepare(o)
		require.NoError(t, err)
		res, err := r.run()
		require.NoError(t, err)
		delays = append(delays, r.checks.RefillDelays()...)
		p.Hours += float64(res.VirtualSeconds) / 3600 / curveSeeds
		p.Best += float64(res.IdealSeconds) / 3600 / curveSeeds
		p.Transitions += float64(res.StateTransitions) / curveSeeds
		p.USD += res.EstimatedCostUSD / curveSeeds
	}
	p.Refill = quantiles(delays)
	data, err := json.Marshal(p)
	require.NoError(t, err)
	fmt.Printf("point %s\n", data)
}

// curveTable is the curve as docs/simulation.md shows it.
func curveTable(points []curvePoint) string {
	var b strings.Builder
	b.WriteString("| instances | longest gap | slot empty, p50 | p95 | run took | at best | transitions | USD |\n")
	b.WriteString("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, p := range points {
		fmt.Fprintf(&b, "| %d | %d s | %.0f s | %.0f s | %.2f h | %.2f h | %.0f | %.4f |\n", p.Size, p.Gap, p.Refill.P50,
			p.Refill.P95, p.Hours, p.Best, p.Transitions, p.USD)
	}
	return b.String()
}

// kneeOf is the longest gap that keeps the bounds, 0 if none does.
func kneeOf(points []curvePoint) int {
	knee := 0
	for _, gap := range curveGaps {
		good := true
		for _, p := range points {
			if p.Gap == gap {
				good = good && p.Refill.P50 <= curveP50 && p.Refill.P95 <= curveP95 &&
					(p.Size > 25 || p.Transitions <= curveTransitions)
			}
		}
		if good {
			knee = max(knee, gap)
		}
	}
	return knee
}

// keepTable tells whether the page has another table, or writes it there.
func keepTable(t *testing.T, table string) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", "simulation.md")
	block := regexp.MustCompile(`(?s)(<!-- curve[^\n]*-->\n\n)(.*?)(\n\n)`)
	text := string(read(t, "docs", "simulation.md"))
	require.Regexp(t, block, text)
	if os.Getenv("BENCH") == "write" {
		text = block.ReplaceAllString(text, "${1}"+strings.TrimSpace(table)+"${3}")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	if strings.TrimSpace(table) != block.FindStringSubmatch(text)[2] {
		t.Log("docs/simulation.md shows another curve: BENCH=write make bench writes this one")
	}
}

// speed compares targets with a dispatcher that knows no delay: rule 20.
type speed struct {
	targets     int
	worst, mean float64
}

// speedOf measures every target of a rehearsal.
func speedOf(t *testing.T, r *rehearsal) speed {
	t.Helper()
	var s speed
	sum := 0.0
	a := r.checks.Always
	for _, run := range a.Order {
		a.LoadPlan(run)
		for at, leaf := range run.Targets {
			x := a.Span(run, at, leaf)
			if x.Sent == 0 || x.Last.IsZero() || x.Ideal == 0 {
				continue
			}
			ratio := float64(x.Last.Sub(x.First)) / float64(x.Ideal)
			s.targets++
			sum += ratio
			s.worst = max(s.worst, ratio)
		}
	}
	require.Positive(t, s.targets)
	s.mean = sum / float64(s.targets)
	return s
}

// Rule 20 in numbers: how long targets take against a dispatcher without delay. The rule allows 1.06 and three of the
// longest waits for a poll, which weigh more the shorter a target is.
func TestBench_dispatcher(t *testing.T) {
	measures(t)
	demo := options(t, string(read(t, "examples", "run-inputs", "multi-wave-staggered.json")))
	demo.Instances = 25
	wide := options(t, large(t, 200))
	wide.Instances = 25
	t.Logf("%-44s %8s %8s %8s", "", "targets", "mean", "worst")
	tellSpeed(t, "the demo", demo)
	tellSpeed(t, "200 accounts, 2 regions, 25 instances each", wide)
	for seed := range uint64(10) {
		o, text := mix(t, seed+1)
		tellSpeed(t, text, o)
	}
}

// tellSpeed prints one line, and fails where the rule is broken.
func tellSpeed(t *testing.T, name string, o Options) {
	t.Helper()
	r, err := prepare(o)
	require.NoError(t, err)
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations, name)
	s := speedOf(t, r)
	t.Logf("%-44s %8d %8.3f %8.3f", name, s.targets, s.mean, s.worst)
}

// mix is a target with patch times of some kinds, drawn from the seed: two minutes to two hours, 20 to 100 of each.
func mix(t *testing.T, seed uint64) (o Options, text string) {
	t.Helper()
	d := drawing{rand.New(rand.NewPCG(seed, 20))}
	var all []fleetfile.Instance
	var parts []string
	for n := range d.between(2, 5) {
		count, seconds := d.between(20, 100), d.between(120, 6600)
		all = append(all, fleetfile.Instance{Name: fmt.Sprintf("kind%d", n), Count: count, PatchSeconds: float64(seconds),
			RebootSeconds: float64(d.between(30, 300))})
		parts = append(parts, fmt.Sprintf("%dx%d min", count, seconds/60))
	}
	o = options(t, oneWave(`,"ssm":{"maxConcurrency":"10%"},"slowStart":false`))
	o.Seed, o.Fleet = seed, fleet(t, all...)
	return o, strings.Join(parts, ", ")
}

// A thousand instances of an hour, 100 at a time, take ten rounds at best, and twelve with a slow start: 10, 40, then
// 100 in each.
func TestBench_slowStart(t *testing.T) {
	measures(t)
	for _, slow := range []bool{false, true} {
		o := options(t, oneWave(fmt.Sprintf(`,"slowStart":%t`, slow)))
		o.Fleet = fleet(t, fleetfile.Instance{Name: "hour", Platform: "Windows", Count: 1000, PatchSeconds: 3600,
			Fate: fleetfile.FateNoRebootNeeded})
		r, err := prepare(o)
		require.NoError(t, err)
		res, err := r.run()
		require.NoError(t, err)
		assert.Empty(t, res.Violations)
		assert.Equal(t, 1000, res.Outcomes[outcome.Patched])
		var ends, begins []time.Time
		for _, run := range r.checks.Always.Order {
			for id, sent := range run.SentTo {
				begins = append(begins, sent.At)
				ends = append(ends, r.checks.Always.EndedAt[sent.Command][id])
			}
		}
		rounds := slices.MaxFunc(ends, time.Time.Compare).Sub(slices.MinFunc(begins, time.Time.Compare)).Hours()
		t.Logf("1,000 instances of 60 minutes, 100 at a time, slow start %t: %.2f rounds, %d patched, refill p50 %.0f s, "+
			"p95 %.0f s, history %d events",
			slow, rounds, res.Outcomes[outcome.Patched], res.RefillDelaySeconds.P50, res.RefillDelaySeconds.P95,
			res.MaxHistoryEvents)
		assert.LessOrEqual(t, rounds, 1.06*map[bool]float64{false: 10, true: 12}[slow])
	}
}
