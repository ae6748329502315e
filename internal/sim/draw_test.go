package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/fleetfile"
)

// drawn is a world whose input and fleet come out of a seed, with what happens to it.
type drawn struct {
	seed    uint64
	input   map[string]any
	fleet   fleetfile.File
	approve Approve
	optIn   bool
	hub     map[string]string // parameters of the hub
	alarmed bool              // a wave has alarms

	abort   time.Duration // 0: nobody aborts
	cancels bool
	stop    time.Duration // somebody stops the execution; 0: nobody
	again   time.Duration // another run of the same input starts; 0: none
	resumed bool          // the other run goes on from this one
	happens []happening
}

// happening is what becomes of one machine by somebody else's hand.
type happening struct {
	at   time.Duration
	what string // stop, terminate, opt out, tag
	nth  int    // of the world's instances
}

// drawing draws with words that read like what they mean.
type drawing struct{ *rand.Rand }

func (d drawing) chance(percent int) bool { return d.IntN(100) < percent }

func (d drawing) between(low, high int) int { return low + d.IntN(high-low+1) }

func oneOf[T any](d drawing, all ...T) T { return all[d.IntN(len(all))] }

// draw makes a world. Every part of it can be any of what an input may say; sizes are
// small, since a fault of thirty machines is one of thirty thousand.
func draw(seed uint64) drawn {
	d := drawing{rand.New(rand.NewPCG(seed, 0x65_63_32_70))}
	w := drawn{seed: seed, approve: ApproveAuto, fleet: fleetfile.File{Accounts: map[string]fleetfile.Account{}}}
	regions := []string{"us-east-1", "eu-west-1", "us-west-2"}[:d.between(1, 3)]
	ids := make([]string, oneOf(d, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8))
	for n := range ids {
		ids[n] = fmt.Sprintf("%012d", 100_000_000_000+n)
	}
	w.optIn = d.chance(10)
	w.drawInput(d, ids, regions)
	w.drawFleet(d, ids, regions)
	w.drawEvents(d)
	w.drawHub(drawing{rand.New(rand.NewPCG(seed, 0x70_6f_6c))})
	return w
}

// drawInput writes the run input.
func (w *drawn) drawInput(d drawing, ids, regions []string) {
	n := d.between(1, min(3, len(ids)+1))
	var waves []map[string]any
	for i := range n {
		some := ids[i*len(ids)/n : (i+1)*len(ids)/n]
		if len(some) == 0 || d.chance(10) {
			some = ids
		}
		waves = append(waves, w.drawWave(d, i, some, regions))
	}
	w.input = map[string]any{"waves": waves, "approval": oneOf(d, "once", "once", "none", "none", "perWave"),
		"budget": map[string]any{"maxFailedInstances": oneOf(d, "10%", "100%", "100%", "2")}}
	if d.chance(50) {
		w.input["wavePauseSeconds"] = oneOf(d, 60, 900, 3600)
	}
	if d.chance(12) {
		w.input["abortOnIssues"] = true
	}
	if d.chance(5) {
		w.input["dryRun"] = true
	}
	if d.chance(15) {
		w.input["approvalTimeoutSeconds"] = oneOf(d, 900, 1800, 7200)
	}
	if d.chance(10) {
		w.input["requireDistinct"], w.input["requestedBy"] = 2, operatorName(7)
	}
	if d.chance(10) {
		w.input["onUnreachable"] = "stop"
	}
	if d.chance(8) {
		w.input["guards"] = map[string]any{"maxInstances": oneOf(d, 5, 20, 200), "maxShare": oneOf(d, "50%", "100%")}
	}
	if d.chance(6) {
		w.approve = ApproveReject
	} else if d.chance(5) {
		w.approve = ApproveTimeout
	}
}

// drawHub draws what the hub demands, from numbers of its own: the rest of a world is as it would be without.
func (w *drawn) drawHub(d drawing) {
	w.hub = map[string]string{"MinimumApproval": oneOf(d, "none", "none", "none", "once", "once", "perWave")}
	if d.chance(10) {
		w.hub["MinimumDistinct"] = "2"
	}
	if d.chance(8) {
		w.hub["MaxInstances"] = oneOf(d, "5", "20", "200")
	}
}

// drawWave writes one wave.
func (w *drawn) drawWave(d drawing, n int, accounts, regions []string) map[string]any {
	wave := map[string]any{
		"name": fmt.Sprintf("wave-%d", n+1), "accounts": accounts, "regions": regions[:d.between(1, len(regions))],
		"filters": map[string]any{"tags": oneOf(d,
			map[string][]string{"PatchGroup": {"default"}}, map[string][]string{"PatchGroup": {"default"}},
			map[string][]string{"PatchGroup": {"blue", "default"}},
			map[string][]string{"PatchGroup": {"default"}, "Stage": {"test", "live"}},
			map[string][]string{"Stage": {"live"}}, map[string][]string{}),
			"platforms": oneOf(d, []string{"Linux", "Windows"}, []string{"Linux", "Windows"}, []string{"Linux"},
				[]string{"Windows", "Linux", "MacOS"})},
		"ssm": map[string]any{
			"maxConcurrency": oneOf(d, "1", "2", "3", "10%", "25%", "50%", "100%"),
			"maxErrors":      oneOf(d, "0", "1", "2", "10%", "25%", "100%"),
			"operation":      oneOf(d, "Install", "Install", "Install", "Install", "Install", "Scan"),
			"rebootOption":   oneOf(d, "RebootIfNeeded", "RebootIfNeeded", "RebootIfNeeded", "NoReboot"),
		},
		"commandTimeoutSeconds": oneOf(d, 3600, 7200, 7200), "maxConcurrentAccounts": d.between(1, 5),
		"budget": map[string]any{
			"maxFailedInstances": oneOf(d, "0", "1", "10%", "25%", "50%", "100%"),
			"maxFailedAccounts":  oneOf(d, "0", "1", "25%", "50%", "100%"),
			"perAccount":         oneOf(d, "0", "1", "10%", "50%", "100%"),
		},
	}
	if d.chance(40) {
		wave["healthGate"] = map[string]any{"soakSeconds": oneOf(d, 60, 600, 1800)}
	}
	if d.chance(20) {
		w.alarmed = true
		arn := fmt.Sprintf("arn:aws:cloudwatch:%s:%s:alarm:errors", regions[0], accounts[0])
		wave["healthGate"] = map[string]any{"soakSeconds": oneOf(d, 0, 600, 1800), "alarms": []string{arn}}
	}
	if fields("slowStart") && d.chance(50) {
		wave["slowStart"] = d.chance(50)
	}
	return wave
}

// fields tells whether the product's input has a field of a wave.
func fields(name string) bool {
	_, err := runinput.ParseInput([]byte(`{"waves":[{"name":"a","accounts":["`+first+`"],"regions":["us-east-1"],"`+name+`":true}]}`), runinput.HubDefaults())
	return err == nil
}

// mood is what kind of fleet the machines are in.
type mood int

const (
	sound     mood = iota // every machine is healthy
	mostly                // one in ten is not
	wild                  // any fate
	oneRotten             // one account in which nothing goes well
	slow                  // updates near the time limit
)

// drawFleet makes the machines.
func (w *drawn) drawFleet(d drawing, ids, regions []string) {
	is := oneOf(d, sound, sound, sound, mostly, mostly, mostly, mostly, wild, wild, oneRotten, slow, slow)
	rotten := oneOf(d, ids...)
	everything := d.chance(3)
	for _, id := range ids {
		account := fleetfile.Account{Regions: map[string]fleetfile.Region{}}
		if d.chance(4) {
			no := false
			account.Assumable = &no
		}
		for _, region := range regions {
			here := fleetfile.Region{}
			if region != "us-east-1" && d.chance(3) { // where every account is from the beginning
				no := false
				here.Enabled = &no
			}
			count := d.between(2, oneOf(d, 4, 6, 10, 30)/max(len(ids)/3, 1)+2)
			for n := range count {
				here.Instances = append(here.Instances, drawMachine(d, n, is, id == rotten, w.optIn))
			}
			if everything && id == rotten && region == regions[0] {
				for _, f := range fleetfile.Fates() {
					here.Instances = append(here.Instances, fleetfile.Instance{Name: string(f), Fate: f, Count: 2})
				}
			}
			if d.chance(85) {
				here.Alarms = []fleetfile.Alarm{{Name: "errors", Script: drawScript(d)}}
			}
			account.Regions[region] = here
		}
		w.fleet.Accounts[id] = account
	}
}

// drawMachine makes one machine.
func drawMachine(d drawing, n int, is mood, rotten, optIn bool) fleetfile.Instance {
	i := fleetfile.Instance{
		Name: fmt.Sprintf("host-%02d", n+1),
		Platform: oneOf(d, fleetfile.Linux, fleetfile.Linux, fleetfile.Linux, fleetfile.Windows, fleetfile.Windows,
			fleetfile.MacOS), Fate: fleetfile.FateOK,
		Tags: map[string]string{"PatchGroup": oneOf(d, "default", "default", "default", "default", "blue", "other"),
			"Stage": oneOf(d, "test", "live", "live", "other")},
	}
	if d.chance(4) {
		i.Tags[plan.ExclusionTag] = oneOf(d, "true", "yes", "false", "FALSE")
	}
	if i.Platform == fleetfile.Linux && d.chance(3) {
		i.PlatformName = oneOf(d, "Bottlerocket", "Fedora Linux", "Fedoria")
	}
	if !optIn || !d.chance(15) {
		i.Tags["PatchOptIn"] = "yes"
	}
	healthy := []fleetfile.Fate{fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateOK, fleetfile.FateCompliant,
		fleetfile.FateNoRebootNeeded, fleetfile.FateDoubleReboot, fleetfile.FateRebootsAnyway, fleetfile.FateStartsLater}
	switch {
	case is == oneRotten && rotten:
		i.Fate = oneOf(d, fleetfile.FatePatchFails, fleetfile.FatePatchFails, fleetfile.FateNoReturn, fleetfile.FateHangs)
	case is == wild, is == mostly && d.chance(10):
		i.Fate = oneOf(d, fleetfile.Fates()...)
	case is == slow:
		i.PatchSeconds, i.RebootSeconds = float64(d.between(900, 7100)), float64(d.between(30, 300))
	case d.chance(30):
		i.Fate = oneOf(d, healthy...)
	}
	return i
}

// drawScript is what an alarm does.
func drawScript(d drawing) []fleetfile.AlarmStep {
	script := []fleetfile.AlarmStep{{State: "OK"}}
	if d.chance(30) {
		red := float64(d.between(60, 14_400))
		script = append(script, fleetfile.AlarmStep{AfterSeconds: red,
			State: oneOf(d, "ALARM", "ALARM", "INSUFFICIENT_DATA")})
		if d.chance(70) {
			script = append(script, fleetfile.AlarmStep{AfterSeconds: red + float64(d.between(120, 3600)), State: "OK"})
		}
	}
	return script
}

// drawEvents lets people and machines do something.
func (w *drawn) drawEvents(d drawing) {
	some := func(most time.Duration) time.Duration {
		return time.Duration(1+d.Int64N(int64(most/time.Second))) * time.Second
	}
	switch {
	case d.chance(8):
		w.abort, w.cancels = some(3*time.Hour), d.chance(50)
	case d.chance(4):
		w.stop = some(3 * time.Hour)
		if d.chance(50) {
			w.again, w.resumed = w.stop+some(time.Hour), true
		}
	case d.chance(8):
		w.again = some(3 * time.Hour)
	}
	for d.chance(12) {
		w.happens = append(w.happens,
			happening{some(3 * time.Hour), oneOf(d, "stop", "terminate", "opt out", "tag", "lose"), d.IntN(1000)})
	}
}

// prepare makes a rehearsal of the world under faults.
func (w drawn) prepare(t *testing.T, faults string) *rehearsal {
	t.Helper()
	input, err := json.Marshal(w.input)
	require.NoError(t, err)
	file, err := json.Marshal(w.fleet)
	require.NoError(t, err)
	o := optionsOn(t, w.hub, string(input))
	o.Seed, o.Fleet, o.Approve, o.Faults = w.seed, file, w.approve, faults
	if w.optIn {
		o.spoke = map[string]string{"OptInTag": "PatchOptIn"}
	}
	r, err := prepare(o)
	require.NoError(t, err, "seed %d: %s", w.seed, input)
	w.arrange(t, r, string(input))
	return r
}

// arrange lets happen what was drawn.
func (w drawn) arrange(t *testing.T, r *rehearsal, input string) {
	t.Helper()
	if w.abort > 0 {
		r.abortAfter(w.abort, w.cancels)
	}
	if w.stop > 0 {
		r.World.After(w.stop, func() {
			if r.execution.Status == asl.Running {
				require.NoError(t, r.Engine.Stop(r.execution.ARN, "", "by hand"))
			}
		})
	}
	if w.again > 0 {
		if w.resumed {
			input = strings.TrimSuffix(input, "}") + `,"resume":"` + string(r.options.RunID) + `"}`
		}
		r.alsoRun(t, w.again, r.options.RunID+"-again", input)
	}
	for _, h := range w.happens {
		r.World.After(h.at, func() { h.happen(r.World) })
	}
}

func (h happening) happen(w *world.World) {
	all := w.Instances()
	i := all[h.nth%len(all)]
	switch h.what {
	case "stop":
		w.StopInstance(i.ID)
	case "terminate":
		w.TerminateInstance(i.ID)
	case "lose":
		w.LoseAgent(i.ID)
	case "opt out":
		w.SetTags(i.ID, map[string]string{"PatchGroup": i.Tags["PatchGroup"], plan.ExclusionTag: "yes"})
	case "tag":
		w.SetTags(i.ID, map[string]string{"PatchGroup": "default", "Stage": "live"})
	}
}

// keep writes the world into a folder, for people who want to look at it with the command.
func (w drawn) keep(t *testing.T, dir string) {
	t.Helper()
	for name, v := range map[string]any{"input": w.input, "fleet": w.fleet} {
		data, err := json.MarshalIndent(v, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("drawn-%d.%s.json", w.seed, name)), data, 0o600))
	}
}

// untimed tells that nothing in the world happens by the clock, so that what takes
// longer in one place changes nothing elsewhere.
func (w drawn) untimed() bool {
	return w.abort == 0 && w.stop == 0 && w.again == 0 && len(w.happens) == 0 && !w.alarmed
}
