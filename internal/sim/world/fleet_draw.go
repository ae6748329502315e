package world

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"time"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// Agents and patch times.
const (
	// pingEvery is how often an agent reports. Source: D23:monitoring-ssm-agent, five minutes.
	pingEvery = 5 * time.Minute
	// resumeTime is how long the document runs again after a reboot.
	resumeTime = 20 * time.Second
	// bootTime is how long a started or new instance needs until its agent reports.
	bootTime = time.Minute
	// patchSigma is the spread of the lognormal patch times.
	patchSigma = 0.6

	// longestPatch is the longest patch time that is drawn: it leaves room for a reboot within the default
	// commandTimeoutSeconds of two hours. A machine that takes longer is none that is healthy: it has a fate for that.
	longestPatch = 100 * time.Minute

	linuxMedian   = 7 * time.Minute
	windowsMedian = 18 * time.Minute
	scanMedian    = time.Minute
	rebootMin     = time.Minute
	rebootMax     = 6 * time.Minute
)

// draw makes the instance that a spec describes. Its stream belongs to the
// instance alone, so that one more instance elsewhere shifts nothing here.
func (w *World) draw(s InstanceSpec) *Instance {
	rng := core.Stream(w.Seed, "instance/"+s.Account+"/"+s.Region+"/"+s.Name)
	i := &Instance{
		ID:      fmt.Sprintf("i-%08x%09x", rng.Uint32(), rng.Uint64N(1<<36)),
		Account: s.Account, Region: s.Region, Name: s.Name, Platform: s.Platform,
		Zone: s.Region + string(rune('a'+rng.IntN(3))),
		Tags: maps.Clone(s.Tags), Fate: s.Fate, State: stateRunning,
		AgentVersion: "3.3.4793.0", PlatformName: s.PlatformName, PlatformVersion: s.PlatformVersion,
		rng: rng, managed: true, online: true,
	}
	i.address, i.inEC2 = addressOf(i.ID), s.Fate != fleetfile.FateHybrid
	if s.Fate == fleetfile.FateHybrid {
		i.ID = "m" + i.ID
	}
	if i.PlatformName == "" && i.PlatformVersion == "" {
		i.PlatformName, i.PlatformVersion = usualSystem(s.Platform)
	}
	i.Evidence = EvidenceReading(1 + core.Stream(w.Seed, "evidence/"+i.ID).IntN(3))
	if i.Tags == nil {
		i.Tags = map[string]string{}
	}
	if _, named := i.Tags["Name"]; !named {
		i.Tags["Name"] = s.Name
	}
	if s.ASG != "" {
		i.Tags["aws:autoscaling:groupName"] = s.ASG
	}
	i.Launched = w.Now().Add(-time.Duration(1+rng.IntN(24*90)) * time.Hour).Truncate(time.Second)
	i.phase = seconds(rng, 0, pingEvery)
	i.Patch = min(lognormal(rng, medianPatch(s.Platform)), longestPatch)
	i.Scan = lognormal(rng, scanMedian)
	i.Reboot = seconds(rng, rebootMin, rebootMax)
	i.Missing = 1 + rng.IntN(20)
	i.installed = 80 + rng.IntN(80)
	i.batches = []batch{{i.Launched.Add(time.Hour), i.installed}}
	if s.Patch > 0 {
		i.Patch = s.Patch
	}
	if s.Reboot > 0 {
		i.Reboot = s.Reboot
	}
	i.upSince = i.Launched.Add(i.phase)
	return i
}

// settle gives a new instance the marks of its fate that show before any command.
func (w *World) settle(i *Instance) {
	switch i.Fate {
	case fleetfile.FateCompliant:
		i.Missing = 0
	case fleetfile.FateOldAgent:
		i.AgentVersion = "2.0.790.0" // below the 2.0.834.0 of D23:patch-manager-prerequisites
	case fleetfile.FateUnmanaged, fleetfile.FateHybridRegistered:
		i.managed, i.online = false, false
		return
	case fleetfile.FateRejected:
		i.rejected = 1
	case fleetfile.FatePendingBefore:
		i.Missing, i.Pending = 0, 1+i.rng.IntN(5)
		i.batches = append(i.batches, batch{w.Now().Add(-3 * 24 * time.Hour), i.installed + i.Pending})
	}
	i.patches = i.installed + i.Pending + i.Missing
	w.scannedBefore(i)
	switch i.Fate {
	case fleetfile.FateOffline:
		w.lose(i, "")
		i.lastPing = w.Now().Add(-seconds(i.rng, time.Hour, 72*time.Hour))
	case fleetfile.FateStopped, fleetfile.FateStartsLater:
		w.StopInstance(i.ID)
	}
	if i.Fate == fleetfile.FateStartsLater {
		w.After(seconds(i.rng, 10*time.Minute, time.Hour), func() { w.StartInstance(i.ID) })
	}
}

// scannedBefore gives an instance the record of a scan of yesterday, or what its fate has in place of one.
func (w *World) scannedBefore(i *Instance) {
	if i.Fate == fleetfile.FateNoState {
		return
	}
	ago := seconds(i.rng, 6*time.Hour, 30*time.Hour)
	if i.Fate == fleetfile.FateOldRecord || i.Fate == fleetfile.FatePatchedSince {
		ago += 30 * 24 * time.Hour
	}
	i.record = i.newRecord(patchRun{operation: scan, reboot: noReboot, start: w.Now().Add(-ago),
		end: w.Now().Add(i.Scan - ago)})
	switch i.Fate {
	case fleetfile.FateOldRecord:
		i.record.counts.missing = 0 // what it lacks now was released since
	case fleetfile.FatePatchedSince:
		i.installed, i.Missing = i.installed+i.Missing, 0
		i.batches = append(i.batches, batch{w.Now().Add(-3 * 24 * time.Hour), i.installed})
	}
}

// usualSystem is the operating system of an instance that names none, as agents read it. Source: AG platform_unix.go,
// platform_windows.go: NAME and VERSION_ID of os-release, Caption and Version of Windows.
func usualSystem(platform string) (name, version string) {
	switch platform {
	case fleetfile.Windows:
		return "Microsoft Windows Server 2022 Datacenter", "10.0.20348"
	case fleetfile.MacOS:
		return "macOS", "14.5"
	}
	return "Amazon Linux", "2023"
}

// addressOf is the private address of a machine, which follows from its id.
func addressOf(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	sum := h.Sum32()
	return fmt.Sprintf("10.%d.%d.%d", sum>>16&0xff, sum>>8&0xff, 1+sum%254)
}

func medianPatch(platform string) time.Duration {
	if platform == fleetfile.Windows {
		return windowsMedian
	}
	return linuxMedian
}

func lognormal(r *rand.Rand, median time.Duration) time.Duration {
	d := time.Duration(float64(median) * math.Exp(patchSigma*r.NormFloat64()))
	return max(d, 5*time.Second).Truncate(time.Second)
}

// seconds draws a whole number of seconds from low to high, both included.
func seconds(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64((high-low)/time.Second)+1))*time.Second
}

// Ideal is what was drawn for one instance, for computing the best possible duration of a run.
type Ideal struct {
	InstanceID, Account, Region string

	Scan    time.Duration // of an operation that finds nothing to do, too
	Patch   time.Duration // of an Install up to the reboot
	Reboots time.Duration // all reboots of an Install under RebootIfNeeded, and the document's second run after each
	Ping    time.Duration // from the end of an Install that rebooted to the agent's next ping
}

// IdealTimes returns the drawn times of every instance, in the order of Instances. Fates that
// never end count as if they had gone well.
func (w *World) IdealTimes() []Ideal {
	var all []Ideal
	for _, i := range w.Instances() {
		all = append(all, i.Ideal())
	}
	return all
}

// Ideal returns the drawn times of the instance as they are before any command.
func (i *Instance) Ideal() Ideal {
	t := Ideal{InstanceID: i.ID, Account: i.Account, Region: i.Region, Scan: i.Scan, Patch: i.Patch}
	switch {
	case i.Fate == fleetfile.FateCompliant || i.Fate == fleetfile.FatePatchedSince:
		t.Patch = i.Scan
	case i.Fate == fleetfile.FatePendingBefore:
		t.Patch, t.Reboots, t.Ping = i.Scan, i.Reboot+resumeTime, pingEvery-resumeTime
	case i.Fate == fleetfile.FateNoRebootNeeded || i.Fate == fleetfile.FatePendingReboot ||
		i.Fate == fleetfile.FateNothingInstalled:
	case i.Fate == fleetfile.FateDoubleReboot:
		t.Reboots = 2 * (i.Reboot + resumeTime)
		t.Ping = pingEvery - resumeTime
	default:
		t.Reboots = i.Reboot + resumeTime
		t.Ping = pingEvery - resumeTime
	}
	return t
}
