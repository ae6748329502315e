package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/world/fleetfile"
)

// evidenceSeeds is a number of worlds in the environment, otherwise if it is not set.
func evidenceSeeds(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// calmFactor is how many times as many calm worlds are drawn as others, unless EVIDENCE_CALM says how many.
const calmFactor = 10

// proof is what many drawn worlds showed.
type proof struct {
	seeds    int
	started  time.Time
	virtual  time.Duration
	premises map[string]int
	broken   map[string][]string // by rule: the first worlds that break it
	breaking map[string][]uint64 // by rule: the worlds that break it
	statuses map[patch.RunStatus]int
	outcomes map[outcome.Outcome]int
}

func newProof() *proof {
	return &proof{
		started: time.Now(), premises: noPremises(), broken: map[string][]string{}, breaking: map[string][]uint64{},
		statuses: map[patch.RunStatus]int{}, outcomes: map[outcome.Outcome]int{},
	}
}

// maxShown is how many worlds are told of for each rule that they break, and maxSeeds how many are named.
const (
	maxShown = 5
	maxSeeds = 100
)

// add takes one rehearsal.
func (p *proof) add(faults string, seed uint64, res *Result) {
	p.seeds++
	p.virtual += time.Duration(res.VirtualSeconds) * time.Second
	p.statuses[res.Status]++
	for o, n := range res.Outcomes {
		p.outcomes[o] += n
	}
	for rule, n := range res.Premises {
		p.premises[rule] += n
	}
	seen := map[string]bool{}
	for _, v := range res.Violations {
		if seen[v.Rule] {
			continue
		}
		seen[v.Rule] = true
		p.breaking[v.Rule] = append(p.breaking[v.Rule], seed)
		if len(p.broken[v.Rule]) < maxShown {
			p.broken[v.Rule] = append(p.broken[v.Rule],
				fmt.Sprintf("EVIDENCE_FAULTS=%s EVIDENCE_SEED=%d: %s", faults, seed, v.Detail))
		}
	}
}

// tell prints what was shown, and how to repeat what was not.
func (p *proof) tell(t *testing.T, faults string) {
	t.Helper()
	wall := time.Since(p.started)
	t.Logf("%s: %d worlds, %.1f a second, %.2f virtual years; runs %v; instances %v", faults, p.seeds,
		float64(p.seeds)/wall.Seconds(), p.virtual.Hours()/24/365.25, p.statuses, p.outcomes)
	for _, rule := range slices.Sorted(maps.Keys(p.broken)) {
		t.Errorf("%s: %d of %d worlds break %s; repeat one: %s go test ./internal/sim -run '^TestEvidence_one$' "+
			"-v\n%s\nseeds: %v", faults, len(p.breaking[rule]), p.seeds, rule,
			strings.SplitN(p.broken[rule][0], ":", 2)[0], strings.Join(p.broken[rule], "\n"),
			p.breaking[rule][:min(len(p.breaking[rule]), maxSeeds)])
	}
}

// Every rule holds in worlds whose input and fleet are drawn, and had something to
// say there: rule 21. `make evidence` draws 2,000 of each kind, and 20,000 calm ones.
func TestEvidence(t *testing.T) {
	n := evidenceSeeds(t, "EVIDENCE_SEEDS", 0)
	if n == 0 {
		t.Skip("set EVIDENCE_SEEDS")
	}
	total := noPremises()
	for _, faults := range []string{"calm", "light", "storm", "swarm"} {
		p := newProof()
		seeds := n
		if faults == "calm" {
			seeds = evidenceSeeds(t, "EVIDENCE_CALM", n*calmFactor)
		}
		err := sideBySide(1, seeds, func(seed uint64) (*Result, error) {
			return rehearseDrawn(t, draw(seed), faults)
		}, func(seed uint64, res *Result, err error) error {
			if err != nil {
				t.Errorf("%s, seed %d: %v", faults, seed, err)
				return nil
			}
			p.add(faults, seed, res)
			return nil
		})
		require.NoError(t, err)
		p.tell(t, faults)
		for rule, count := range p.premises {
			total[rule] += count
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(total)) {
		t.Logf("premise of %s: held %d times", rule, total[rule])
		if total[rule] == 0 {
			t.Errorf("the premise of %s never held: these worlds prove nothing about it", rule)
		}
	}
}

// The one world of EVIDENCE_SEED, with all that it breaks.
func TestEvidence_one(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("EVIDENCE_SEED"), 10, 64)
	if err != nil {
		t.Skip("set EVIDENCE_SEED, and EVIDENCE_FAULTS if it is not calm")
	}
	faults := os.Getenv("EVIDENCE_FAULTS")
	if faults == "" {
		faults = "calm"
	}
	w := draw(seed)
	if dir := os.Getenv("EVIDENCE_OUT"); dir != "" {
		w.keep(t, dir)
	}
	input, err := json.MarshalIndent(w.input, "", " ")
	require.NoError(t, err)
	t.Logf("%s\napprove %s, opt-in %v, abort %s (cancel %v), stop %s, again %s (resumed %v), %v", input, w.approve,
		w.optIn, w.abort, w.cancels, w.stop, w.again, w.resumed, w.happens)
	res, err := rehearseDrawn(t, w, faults)
	require.NoError(t, err)
	if res.Report != nil {
		t.Logf("why: %s", res.Report.StatusReason)
	}
	t.Logf("%s, %v, ideal %d s, took %d s, premises %v, faults %v", res.Status, res.Outcomes, res.IdealSeconds,
		res.VirtualSeconds, res.Premises, res.Faults)
	for _, w := range res.Waves {
		t.Logf("wave %s: %s (%s) %v", w.Name, w.Verdict, w.Reason, w.Outcomes)
	}
	for _, v := range res.Violations {
		t.Errorf("%s at %s: %s", v.Rule, v.At, v.Detail)
	}
	if dir := os.Getenv("EVIDENCE_OUT"); dir != "" {
		for name, data := range res.Files {
			require.NoError(t, os.WriteFile(dir+"/"+fmt.Sprintf("drawn-%d.%s", seed, name), data, 0o600))
		}
	}
}

const (
	// twinEvery and againEvery are how often a world is rehearsed a second time: without
	// its bad machines, and as it was.
	twinEvery  = 2
	againEvery = 50
)

// rehearseDrawn rehearses a world, and some worlds twice.
func rehearseDrawn(t *testing.T, w drawn, faults string) (*Result, error) {
	t.Helper()
	res, err := w.prepare(t, faults).run()
	if err != nil {
		return nil, err
	}
	if w.seed%againEvery == 0 {
		again, err := w.prepare(t, faults).run()
		if err != nil {
			return nil, err
		}
		res.Premises["R-15"]++
		for _, name := range slices.Sorted(maps.Keys(res.Files)) {
			if !bytes.Equal(res.Files[name], again.Files[name]) {
				res.Violations = append(res.Violations,
					check.Violation{Rule: "R-15", Detail: name + " differs from one rehearsal to the next"})
			}
		}
	}
	if faults == "calm" && w.untimed() {
		return res, w.compareTwin(t, res)
	}
	return res, nil
}

// compareTwin rehearses the world once more with one account-region in which all is
// well, and wants the same outcomes everywhere else: rule 17.
func (w drawn) compareTwin(t *testing.T, res *Result) error {
	t.Helper()
	bad, ok := worst(res)
	if !ok || w.seed%twinEvery != 0 {
		return nil
	}
	twin := draw(w.seed)
	here := twin.fleet.Accounts[bad.Account].Regions[bad.Region]
	for n := range here.Instances {
		if !slices.Contains([]fleetfile.Fate{fleetfile.FateOffline, fleetfile.FateStopped, fleetfile.FateUnmanaged,
			fleetfile.FateHybrid, fleetfile.FateOldAgent}, here.Instances[n].Fate) {
			here.Instances[n].Fate = fleetfile.FateOK
		}
	}
	other, err := twin.prepare(t, "calm").run()
	if err != nil {
		return err
	}
	if coupled(res) || coupled(other) {
		return nil
	}
	res.Premises["R-17"]++
	was := map[patch.InstanceID]outcome.InstanceReport{}
	for _, i := range other.Report.Instances {
		was[i.InstanceID] = i
	}
	for _, i := range res.Report.Instances {
		if string(i.Account) == bad.Account && (string(i.Region) == bad.Region || i.NotSent() == outcome.ReasonBudget) {
			continue // perAccount is a limit of the account's regions together
		}
		if before, ok := was[i.InstanceID]; ok && before.Outcome != i.Outcome {
			res.Violations = append(res.Violations,
				check.Violation{Rule: "R-17",
					Detail: fmt.Sprintf("%s in %s %s is %s (%s) because of what happens in %s %s, without that it is %s", i.InstanceID,
						i.Account, i.Region, i.Outcome, i.Reason, bad.Account, bad.Region, before.Outcome)})
			break
		}
	}
	return nil
}

// worst is the account-region with the most instances that did not end well.
func worst(res *Result) (check.Place, bool) {
	if res.Report == nil {
		return check.Place{}, false
	}
	n := map[check.Place]int{}
	var most check.Place
	for _, i := range res.Report.Instances {
		if check.ClassOf(i.Outcome, patch.NoReboot, true) != outcome.Failure {
			continue
		}
		at := check.Place{Account: string(i.Account), Region: string(i.Region)}
		n[at]++
		if n[at] > n[most] {
			most = at
		}
	}
	return most, n[most] > 0
}

// coupled tells whether a budget of a wave or of the run, or a red alarm, decided
// something: by these alone one account-region may change another. The judge's own word is
// taken: that it has a cause is rule 18. perAccount couples the regions of an account.
func coupled(res *Result) bool {
	return res.Report == nil || res.Status != patch.RunSucceeded &&
		slices.ContainsFunc(res.Waves, func(w report.WaveReport) bool {
			return w.Verdict != patch.VerdictGood
		})
}
