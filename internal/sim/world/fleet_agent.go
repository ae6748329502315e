package world

import (
	"cmp"
	"time"

	"ec2patch/internal/sim/world/fleetfile"
)

// Operations and reboot options of AWS-RunPatchBaseline.
const (
	scan           = "Scan"
	install        = "Install"
	rebootIfNeeded = "RebootIfNeeded"
	noReboot       = "NoReboot"
)

// Exit codes of the document. Source: TK; D23:patch-manager-troubleshooting.
const (
	exitOK        = 0
	exitFailed    = 1
	exitLacks     = 2   // a dependency of the script is missing
	exitCollision = 155 // payload extract error: two operations in one folder
	exitKilled    = 137
)

// stepTimeout is the timeout of each of the three steps of AWS-RunPatchBaseline.
// Source: D23:patch-manager-cli-commands; TK.
const stepTimeout = 7200 * time.Second

// agentRun is one patch operation on its machine.
type agentRun struct {
	w        *World
	i        *Instance
	inv      *invocation
	run      patchRun
	counted  bool // in flight
	dead     bool // killed by a cancel, or its machine was lost
	reboots  int
	recorded bool // it has written the record
	didNew   int  // patches installed by this operation
	stubborn bool // ignores a cancel
}

// receive is the moment at which an agent gets a command.
func (w *World) receive(inv *invocation) {
	i, c := inv.inst, inv.cmd
	w.note(i, AgentEvent{Kind: AgentReceived, CommandID: c.id, Operation: c.operation, Reboot: c.reboot})
	inv.start = w.Now()
	w.set(inv, statusInProgress, statusInProgress)
	if i.running != nil {
		w.note(i, AgentEvent{Kind: AgentCollided, CommandID: c.id, Operation: c.operation, Reboot: c.reboot})
		w.After(3*time.Second, func() { w.finishAs(inv, exitCollision) })
		return
	}
	if i.Fate == fleetfile.FateOldAgent {
		w.After(2*time.Second, func() { w.finishAs(inv, exitFailed) })
		return
	}
	r := &agentRun{w: w, i: i, inv: inv, run: patchRun{
		operation: c.operation, reboot: c.reboot, snapshot: c.snapshot, start: w.Now(),
	}}
	i.running, inv.agent = r, r
	r.count(1)
	r.stubborn = i.Fate == fleetfile.FateHangs && i.rng.IntN(2) == 0
	w.note(i, AgentEvent{Kind: AgentStarted, CommandID: c.id, Operation: c.operation, Reboot: c.reboot})
	r.work()
}

// finishAs ends an invocation by the exit code of its document.
func (w *World) finishAs(inv *invocation, code int) {
	w.note(inv.inst, AgentEvent{Kind: AgentFinished, CommandID: inv.cmd.id, Operation: inv.cmd.operation, ExitCode: code})
	inv.counts = inv.inst.counts()
	switch code {
	case exitOK:
		w.end(inv, statusSuccess, statusSuccess, code)
	case exitKilled:
		w.end(inv, statusTimedOut, detailExecutionTimedOut, code)
	default:
		w.end(inv, statusFailed, statusFailed, code)
	}
}

// after runs f later unless the operation was killed meanwhile.
func (r *agentRun) after(d time.Duration, f func()) {
	r.w.After(d, func() {
		if !r.dead {
			f()
		}
	})
}

// work is the operation up to its reboot or end.
func (r *agentRun) work() {
	took := r.i.Patch
	if r.run.operation == scan || r.i.Missing+r.i.failed == 0 {
		took = r.i.Scan
	}
	switch r.i.Fate {
	case fleetfile.FateHangs:
		return
	case fleetfile.FateExecutionTimeout:
		r.after(stepTimeout, func() { r.finish(exitKilled) })
		return
	case fleetfile.FateFailsEarly:
		r.after(r.i.Scan/4, func() { r.finish(exitLacks) })
		return
	case fleetfile.FateAgentDies:
		r.after(took/2, func() { r.w.lose(r.i, AgentLost) })
		return
	case fleetfile.FateTerminates:
		r.after(took/2, func() { r.w.TerminateInstance(r.i.ID) })
		return
	case fleetfile.FateStops:
		r.after(took/2, func() { r.w.StopInstance(r.i.ID) })
		return
	}
	if r.run.operation == scan {
		r.after(took, func() { r.record(); r.finish(exitOK) })
		return
	}
	r.after(took, r.installed)
}

// installed is the moment at which the patches are on the disk.
func (r *agentRun) installed() {
	i := r.i
	i.runs++
	i.Missing, i.failed = i.Missing+i.failed, 0
	if i.Missing > 0 {
		switch i.Fate {
		case fleetfile.FatePatchFails, fleetfile.FatePartial:
			i.failed = 1
		case fleetfile.FateNothingInstalled:
			r.finishAfterRecord(exitOK)
			return
		}
	}
	r.didNew = i.Missing - i.failed
	i.Missing = 0
	if i.Fate == fleetfile.FateNoRebootNeeded {
		i.installed += r.didNew
	} else {
		i.Pending += r.didNew
	}
	if r.didNew > 0 {
		i.batches = append(i.batches, batch{r.w.Now(), i.installed + i.Pending})
		r.note(AgentInstalled, r.didNew)
	}
	if r.didNew > 0 && r.w.killed(i) {
		r.w.lose(i, AgentLost)
		i.booting = true // and its machine with it
		return
	}
	if !r.rebootsNow() {
		r.finishAfterRecord(r.exit())
		return
	}
	r.recordBeforeReboot()
	r.reboot()
}

// recordBeforeReboot is the inventory of before the reboot, if the reading has one.
func (r *agentRun) recordBeforeReboot() {
	switch r.evidence() {
	case EvidenceAfter:
	case EvidenceBefore:
		r.record()
		if rec := r.i.record; r.recorded && r.run.reboot == rebootIfNeeded {
			rec.counts.installed, rec.counts.pending = rec.counts.installed+rec.counts.pending, 0
		}
	default:
		r.record()
	}
}

// evidence is the reading that holds for the machine.
func (r *agentRun) evidence() EvidenceReading {
	if r.i.Platform != fleetfile.Linux {
		return EvidenceTwice
	}
	return cmp.Or(r.w.SSMOptions.Evidence, r.i.Evidence)
}

func (r *agentRun) rebootsNow() bool {
	if r.i.Pending == 0 || r.i.Fate == fleetfile.FatePendingReboot {
		return false
	}
	return r.run.reboot == rebootIfNeeded || r.i.Fate == fleetfile.FateRebootsAnyway
}

// reboot takes the machine away and brings it back, as its fate allows.
// Source: D23:send-commands-reboot, exit code 194.
func (r *agentRun) reboot() {
	i, w := r.i, r.w
	r.reboots++
	r.note(AgentRebooting, 0)
	w.offline(i)
	i.booting = true
	away := i.Reboot
	switch i.Fate {
	case fleetfile.FateNoReturn:
		r.kill("")
		return
	case fleetfile.FateASGReplaced:
		r.after(away/2, func() { w.replace(i) })
		return
	case fleetfile.FateSlowReturn:
		away = seconds(i.rng, 10*time.Minute, 6*time.Hour)
	}
	r.after(away, r.returned)
}

func (r *agentRun) returned() {
	i := r.i
	i.installed, i.Pending = i.installed+i.Pending, 0
	r.w.online(i)
	r.note(AgentReturned, 0)
	r.note(AgentResumed, 0)
	r.run.start = r.w.Now()
	r.after(resumeTime, func() {
		if i.Fate == fleetfile.FateDoubleReboot && r.reboots == 1 {
			r.reboot()
			return
		}
		if r.evidence() == EvidenceBefore {
			r.finish(r.exit())
			return
		}
		r.finishAfterRecord(r.exit())
	})
}

// exit is the code that the operation's script returns at its end.
func (r *agentRun) exit() int {
	if r.i.Fate == fleetfile.FateFailedInstalled || r.i.Fate == fleetfile.FatePatchFails && r.i.failed > 0 {
		return exitFailed
	}
	return exitOK
}

func (r *agentRun) finishAfterRecord(code int) {
	r.record()
	r.finish(code)
}

func (r *agentRun) finish(code int) {
	i, w := r.i, r.w
	r.leave()
	i.running = nil
	w.finishAs(r.inv, code)
	if r.run.operation != install {
		return
	}
	switch i.Fate {
	case fleetfile.FateForeignState:
		w.After(seconds(i.rng, time.Minute, 10*time.Minute), func() { w.ForeignScan(i.ID) })
	case fleetfile.FateDiesLater:
		w.After(seconds(i.rng, 10*time.Minute, 4*time.Hour), func() { w.lose(i, AgentLost); i.booting = true })
	}
}

// kill ends the operation on the machine without a word to Systems Manager.
func (r *agentRun) kill(kind AgentEventKind) {
	if r.dead {
		return
	}
	r.dead = true
	r.leave()
	r.i.running = nil
	if kind != "" {
		r.note(kind, 0)
	}
}

func (r *agentRun) note(kind AgentEventKind, count int) {
	r.w.note(r.i, AgentEvent{Kind: kind, CommandID: r.inv.cmd.id, Operation: r.run.operation, Reboot: r.run.reboot,
		Count: count})
}

func (r *agentRun) count(n int) {
	r.counted = n > 0
	r.w.busy.add(n)
	r.w.fleet(r.i.Account, r.i.Region).busy.add(n)
}

// leave takes the operation out of the count of those in flight.
func (r *agentRun) leave() {
	if r.counted {
		r.count(-1)
	}
}
