package world

import (
	"cmp"
	"maps"
	"time"

	"ec2patch/internal/sim/world/fleetfile"
)

// lingers is how long a terminated instance can still be described.
// Source: docs/aws-semantics.md 3, "up to about an hour".
const lingers = time.Hour

// offline takes the agent away, as every reboot does.
func (w *World) offline(i *Instance) {
	if !i.online {
		return
	}
	i.lastPing = i.pinged(w.Now())
	i.online, i.downSince = false, w.Now()
}

// online brings the agent back. It pings at once and takes what waited for it.
func (w *World) online(i *Instance) {
	if i.online || i.State != stateRunning || !i.managed {
		return
	}
	i.online, i.booting, i.upSince, i.downSince = true, false, w.Now(), time.Time{}
	waiting := i.waiting
	i.waiting = nil
	for _, inv := range waiting {
		w.After(time.Second, func() { w.deliver(inv) })
	}
}

// lose takes the agent away for good, with the operation that it runs.
func (w *World) lose(i *Instance, kind AgentEventKind) {
	w.offline(i)
	if i.running != nil {
		i.running.kill("")
	}
	if kind != "" {
		w.note(i, AgentEvent{Kind: kind})
	}
}

// LoseAgent disconnects the agent of an instance; what it runs is lost.
func (w *World) LoseAgent(id string) {
	if i, ok := w.instances[id]; ok {
		w.lose(i, AgentLost)
	}
}

// ReturnAgent connects a lost agent again.
func (w *World) ReturnAgent(id string) {
	if i, ok := w.instances[id]; ok {
		w.online(i)
	}
}

// StopInstance stops an instance; what its agent runs is lost.
func (w *World) StopInstance(id string) {
	i, ok := w.instances[id]
	if !ok || i.State != stateRunning {
		return
	}
	i.State, i.stopped = stateStopped, w.Now()
	w.lose(i, AgentStopped)
}

// StartInstance starts a stopped instance; its agent reports a minute later.
func (w *World) StartInstance(id string) {
	i, ok := w.instances[id]
	if !ok || i.State != stateStopped {
		return
	}
	i.State, i.Launched = stateRunning, w.Now()
	i.booting, i.downSince = true, w.Now()
	i.installed, i.Pending = i.installed+i.Pending, 0
	w.After(bootTime, func() { w.online(i) })
}

// TerminateInstance terminates an instance. It is described for another hour.
func (w *World) TerminateInstance(id string) {
	i, ok := w.instances[id]
	if !ok || i.State == stateTerminated || i.State == stateShuttingDown {
		return
	}
	i.State, i.Gone = stateShuttingDown, w.Now()
	w.lose(i, AgentTerminated)
	w.After(time.Minute, func() { i.State = stateTerminated })
}

// ReplaceInstance terminates an instance as an Auto Scaling group does, and
// launches another with the same tags.
func (w *World) ReplaceInstance(id string) {
	if i, ok := w.instances[id]; ok {
		w.replace(i)
	}
}

func (w *World) replace(i *Instance) {
	w.TerminateInstance(i.ID)
	name := cmp.Or(i.replaces, i.Name)
	w.After(30*time.Second, func() {
		fresh := w.draw(InstanceSpec{
			Account: i.Account, Region: i.Region, Name: name + "/after/" + i.ID,
			Platform: i.Platform, PlatformName: i.PlatformName, PlatformVersion: i.PlatformVersion, Tags: i.Tags,
			Fate: fleetfile.FateOK,
		})
		fresh.Name, fresh.replaces, fresh.Launched = i.Name, name, w.Now()
		fresh.online, fresh.booting, fresh.downSince = false, true, w.Now()
		fresh.patches = fresh.installed + fresh.Missing
		i.ReplacedBy = fresh.ID
		w.instances[fresh.ID] = fresh
		f := w.fleet(i.Account, i.Region)
		f.instances = append(f.instances, fresh)
		w.After(bootTime, func() { w.online(fresh) })
	})
}

// SetTags replaces the tags of an instance.
func (w *World) SetTags(id string, tags map[string]string) {
	if i, ok := w.instances[id]; ok {
		i.Tags, i.conditions, i.Tagged = maps.Clone(tags), nil, w.Now()
	}
}

// ForeignScan lets another tool scan an instance: it overwrites the patch state record.
// Source: D23:patch-manager-compliance-data-overwrites.
func (w *World) ForeignScan(id string) {
	i, ok := w.instances[id]
	if !ok || i.State != stateRunning {
		return
	}
	i.record = i.newRecord(patchRun{operation: scan, reboot: noReboot, start: w.Now().Add(-i.Scan), end: w.Now(),
		snapshot: uuid(i.rng)})
	w.note(i, AgentEvent{Kind: AgentRecorded, Operation: scan})
}

// pinged is when the agent last reported.
func (i *Instance) pinged(now time.Time) time.Time {
	if !i.online {
		return i.lastPing
	}
	if now.Before(i.upSince) {
		return now
	}
	return i.upSince.Add(now.Sub(i.upSince).Truncate(pingEvery))
}

// Online tells whether the agent is connected now.
func (i *Instance) Online() bool { return i.online }

// Managed tells whether the instance is registered with Systems Manager.
func (i *Instance) Managed() bool { return i.managed }

// gone tells whether EC2 does not know the instance, or has forgotten it.
func (i *Instance) gone(now time.Time) bool {
	return i.Fate == fleetfile.FateHybrid || !i.Gone.IsZero() && now.Sub(i.Gone) > lingers
}
