package world

import (
	"slices"
	"time"

	"ec2patch/internal/sim/world/estate"
)

// AgentEventKind names what an agent did or suffered.
type AgentEventKind string

// Kinds of agent events.
const (
	AgentReceived   AgentEventKind = "received"   // a command reached the agent
	AgentStarted    AgentEventKind = "started"    // its operation began: Scan or Install, see Operation
	AgentInstalled  AgentEventKind = "installed"  // Count patches were installed
	AgentRebooting  AgentEventKind = "rebooting"  // the operation reboots the machine
	AgentReturned   AgentEventKind = "returned"   // the machine is back and the agent pinged
	AgentResumed    AgentEventKind = "resumed"    // the document runs again after its reboot
	AgentFinished   AgentEventKind = "finished"   // the operation ended with ExitCode
	AgentCancelled  AgentEventKind = "cancelled"  // the operation was killed by a cancel
	AgentCollided   AgentEventKind = "collided"   // a second patch operation found one running, and failed
	AgentLost       AgentEventKind = "lost"       // the agent is gone without a reboot of the operation
	AgentTerminated AgentEventKind = "terminated" // the instance was terminated
	AgentStopped    AgentEventKind = "stopped"    // the instance was stopped
	// the patch state record was written, by Operation of CommandID (empty: another tool)
	AgentRecorded AgentEventKind = "recorded"
)

// AgentEvent is one line of what an agent saw. Pings are not logged.
type AgentEvent struct {
	Time       time.Time
	Kind       AgentEventKind
	InstanceID string
	Account    string
	Region     string
	CommandID  string
	Operation  string // Scan or Install where a patch operation is meant
	Reboot     string // the reboot option of that operation
	Count      int
	ExitCode   int

	// What the machine itself lacked at that moment, whatever its record says.
	Missing, Failed, Pending int
}

// InvocationEnd is the end of one command on one instance as Run Command knows it.
type InvocationEnd struct {
	CommandID, InstanceID string
	Account, Region       string
	Status, Detail        string
	Started               bool // the agent had received it
}

// peak counts what goes on at once.
type peak struct{ now, max int }

func (p *peak) add(n int) {
	p.now += n
	p.max = max(p.max, p.now)
}

// note writes an event into the log of an instance and shows it to the hook.
func (w *World) note(i *Instance, e AgentEvent) {
	e.Time, e.InstanceID, e.Account, e.Region = w.Now(), i.ID, i.Account, i.Region
	e.Missing, e.Failed, e.Pending = i.Missing, i.failed, i.Pending
	i.log = append(i.log, e)
	if w.OnAgentEvent != nil {
		w.OnAgentEvent(e)
	}
}

// AgentLog returns what the agent of an instance saw, in order.
func (w *World) AgentLog(instanceID string) []AgentEvent {
	i, ok := w.instances[instanceID]
	if !ok {
		return nil
	}
	return slices.Clone(i.log)
}

// Installs returns the Install operations that began on an instance, one event each. The document's
// second run after a reboot is not another one; a collision is one that did not begin.
func (w *World) Installs(instanceID string) []AgentEvent {
	return w.started(instanceID, install)
}

// Scans returns the Scan operations that began on an instance.
func (w *World) Scans(instanceID string) []AgentEvent {
	return w.started(instanceID, scan)
}

func (w *World) started(instanceID, operation string) []AgentEvent {
	var begun []AgentEvent
	i, ok := w.instances[instanceID]
	if !ok {
		return nil
	}
	for _, e := range i.log {
		if e.Kind == AgentStarted && e.Operation == operation {
			begun = append(begun, e)
		}
	}
	return begun
}

// InFlight tells how many agents of an account and region run a patch operation now, and the most that
// ever did at once. An operation counts from its receipt until it finished, its agent was lost other than by
// its own reboot, its invocation ended, or somebody asked to cancel it.
func (w *World) InFlight(account, region string) (now, most int) {
	f, ok := w.fleets[estate.Place{Account: account, Region: region}]
	if !ok {
		return 0, 0
	}
	return f.busy.now, f.busy.max
}

// InFlightAll is InFlight over all accounts and regions.
func (w *World) InFlightAll() (now, most int) { return w.busy.now, w.busy.max }
