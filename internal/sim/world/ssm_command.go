package world

import (
	"time"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// Statuses and status details of invocations and commands. Source: docs/aws-semantics.md 2.4.
const (
	statusPending    = "Pending"
	statusInProgress = "InProgress"
	statusDelayed    = "Delayed"
	statusSuccess    = "Success"
	statusFailed     = "Failed"
	statusTimedOut   = "TimedOut"
	statusCancelling = "Cancelling"
	statusCancelled  = "Cancelled"

	detailDeliveryTimedOut  = "DeliveryTimedOut"
	detailExecutionTimedOut = "ExecutionTimedOut"
	detailUndeliverable     = "Undeliverable"
	detailTerminated        = "Terminated"
	detailInvalidPlatform   = "InvalidPlatform"
	detailAccessDenied      = "AccessDenied"
	detailIncomplete        = "Incomplete"
	detailRateExceeded      = "RateExceeded"
	detailNoInstances       = "NoInstancesInTag"
)

// DeliveryClock says from when TimeoutSeconds counts.
type DeliveryClock int

const (
	// DeliveryFromRequest counts from the request: what still waits its turn then never runs.
	// Source: B:SendCommandRequest ("if this time is reached and the command hasn't already
	// started running, it won't run"); docs/aws-semantics.md 15.
	DeliveryFromRequest DeliveryClock = iota
	// DeliveryFromSend counts for each invocation from the attempt to send it.
	DeliveryFromSend
	// DeliveryAtExpiry lets everything wait until ExpiresAfter. Source: D23:monitor-commands.
	DeliveryAtExpiry
)

// Reading is one of two readings of a text that leaves open what AWS does.
type Reading int

const (
	// ReadingDrawn lets the seed of the world decide.
	ReadingDrawn Reading = iota
	// ReadingNo is that it does not.
	ReadingNo
	// ReadingYes is that it does.
	ReadingYes
)

// reads decides a reading; one that is drawn is the same for the whole world.
func (w *World) reads(r Reading, name string) bool {
	if r == ReadingDrawn {
		return core.Stream(w.Seed, "reading/"+name).IntN(2) == 0
	}
	return r == ReadingYes
}

// SSMOptions chooses between readings of the documentation of Run Command.
type SSMOptions struct {
	// RefuseOffline refuses stopped and ConnectionLost nodes with InvalidInstanceId, as field reports say.
	RefuseOffline bool
	// NoRamp sends to MaxConcurrency nodes at once instead of 1, 2, 4 ...
	NoRamp bool
	// NoReadLag shows a command and its invocations at once.
	NoReadLag bool
	// Delivery is the clock of the delivery timeout.
	Delivery DeliveryClock
	// CancelDown says whether CancelCommand refuses a node whose agent is not running.
	CancelDown Reading
	// CancelEnded says whether CancelCommand refuses a command that has ended, with InvalidCommandId.
	CancelEnded Reading
	// Evidence is what AWS-RunPatchBaseline leaves on Linux when it reboots; by default each instance draws its own.
	Evidence EvidenceReading
	// MaxPending, if above 0, is how many invocations of an account and region may be unfinished;
	// a command beyond it ends RateExceeded and reaches nobody.
	MaxPending int
}

// maxReadLag is how long after a send the command may be invisible.
// Source: B:GetCommandInvocation says eventually; the grace of 60 s is docs/aws-semantics.md 2.5.
const maxReadLag = 60 * time.Second

// command is one Run Command as the service keeps it.
type command struct {
	w         *World
	f         *fleet
	id        string
	seq       int // its place among the commands of the region
	request   sendRequest
	operation string
	reboot    string
	snapshot  string
	at        time.Time
	expires   time.Time
	visible   time.Time

	slots, maxErrors int
	limit            int // what the ramp allows by now
	running          int // slots taken
	next             int // the first invocation not yet sent
	stopped          bool
	cancelled        bool
	cancelledAt      time.Time
	forgotten        bool   // past its retention
	early            string // a detail that ended the command before it began
	done             int
	errors           int
	undelivered      int
	stopClock        func() // forgets the expiry of a finished command
	invs             []*invocation
	byInstance       map[string]*invocation
}

// invocation is one command on one instance.
type invocation struct {
	cmd     *command
	inst    *Instance
	agent   *agentRun
	status  string
	detail  string
	code    int
	sent    time.Time // the send attempt, zero while it waits its turn
	start   time.Time // the agent began
	ended   time.Time
	visible time.Time
	cancel  bool
	counts  patchCounts
	history []statusChange
}

func terminal(status string) bool {
	switch status {
	case statusSuccess, statusFailed, statusTimedOut, statusCancelled:
		return true
	}
	return false
}

// begin starts the rollout and the command's clocks.
func (c *command) begin() {
	c.limit = 1
	if c.w.SSMOptions.NoRamp {
		c.limit = c.slots
	}
	c.stopClock = c.w.After(c.expires.Sub(c.at), func() {
		c.expire(statusPending, statusInProgress, statusDelayed, statusCancelling)
	})
	if c.w.SSMOptions.Delivery == DeliveryFromRequest {
		c.w.After(c.request.timeout, func() { c.expire(statusPending, statusDelayed) })
	}
	c.pump()
}

// pump sends to the next instances while the ramp and MaxConcurrency allow.
// Source: D23:send-commands-multiple.
func (c *command) pump() {
	for !c.stopped && c.next < len(c.invs) && c.running < c.limit {
		inv := c.invs[c.next]
		c.next++
		if inv.cancel || terminal(inv.status) {
			continue
		}
		c.running++
		c.w.send(inv)
	}
}

// send is the service's attempt to deliver one invocation.
func (w *World) send(inv *invocation) {
	i := inv.inst
	inv.sent = w.Now()
	switch {
	case i.Fate == fleetfile.FateUndeliverable || i.State == stateShuttingDown || i.State == stateTerminated:
		w.After(5*time.Second, func() { w.end(inv, inv.unsure(), detailUndeliverable, -1) })
		return
	case i.Fate == fleetfile.FateAccessDenied:
		w.After(time.Second, func() { w.end(inv, inv.unsure(), detailAccessDenied, -1) })
		return
	case i.Fate == fleetfile.FateInvalidPlatform:
		w.After(time.Second, func() { w.end(inv, inv.unsure(), detailInvalidPlatform, -1) })
		return
	}
	if w.SSMOptions.Delivery == DeliveryFromSend {
		w.After(inv.cmd.request.timeout, func() { w.undelivered(inv) })
	}
	w.After(seconds(i.rng, time.Second, 3*time.Second), func() { w.deliver(inv) })
}

// unsure is the Status that goes with a detail for which no source says whether
// it is Failed or Cancelled (docs/aws-semantics.md 2.4): callers must read the detail.
func (inv *invocation) unsure() string {
	if inv.inst.rng.IntN(2) == 0 {
		return statusCancelled
	}
	return statusFailed
}

// deliver hands an invocation to the agent, or leaves it Delayed until the agent is back.
func (w *World) deliver(inv *invocation) {
	if terminal(inv.status) {
		return
	}
	i := inv.inst
	switch {
	case i.online:
		w.receive(inv)
		if inv.cancel {
			w.cancelRunning(inv)
		}
	case i.State == stateShuttingDown || i.State == stateTerminated:
		w.end(inv, inv.unsure(), detailUndeliverable, -1)
	default:
		w.set(inv, statusDelayed, statusDelayed)
		i.waiting = append(i.waiting, inv)
	}
}

func (w *World) undelivered(inv *invocation) {
	if inv.start.IsZero() {
		w.end(inv, statusTimedOut, detailDeliveryTimedOut, -1)
	}
}

// set changes the status of an unfinished invocation. A cancel that is under way stays visible.
func (w *World) set(inv *invocation, status, detail string) {
	if terminal(inv.status) || inv.status == statusCancelling && status != statusCancelled {
		return
	}
	inv.status, inv.detail = status, detail
	inv.remember(w.Now())
}

// end finishes an invocation. What ended before stays as it was.
func (w *World) end(inv *invocation, status, detail string, code int) {
	if terminal(inv.status) {
		return
	}
	c := inv.cmd
	inv.status, inv.detail, inv.code, inv.ended = status, detail, code, w.Now()
	inv.remember(w.Now())
	if w.OnInvocation != nil {
		w.OnInvocation(InvocationEnd{
			CommandID: c.id, InstanceID: inv.inst.ID, Account: inv.inst.Account, Region: inv.inst.Region,
			Status: status, Detail: detail, Started: !inv.start.IsZero(),
		})
	}
	if inv.agent != nil {
		inv.agent.leave()
	}
	c.count(detail)
	if c.done == len(c.invs) {
		c.stopClock()
	}
	if !inv.sent.IsZero() {
		c.running--
		c.limit = min(c.limit+1, c.slots)
	}
	if c.errors > c.maxErrors && !c.stopped {
		c.terminate()
	}
	c.pump()
}

// count takes an invocation that ended into the counters. Source: B:Command.
func (c *command) count(detail string) {
	c.done++
	switch detail {
	case statusFailed, detailExecutionTimedOut:
		c.errors++
	case detailDeliveryTimedOut:
		c.undelivered++
	}
}

// terminate stops a command whose errors exceed MaxErrors: what was not sent
// yet is Terminated, what was runs on. Source: D23:send-commands-multiple.
func (c *command) terminate() {
	c.stopped = true
	for _, inv := range c.invs[c.next:] {
		c.w.end(inv, inv.unsure(), detailTerminated, -1)
	}
	c.next = len(c.invs)
}

// ofCommand is the status of a command that has this invocation alone. A command is never Delayed: of its details
// alone it can be told. Source: B:CommandStatus, B:Command, StatusDetails.
func (inv *invocation) ofCommand() (status, detail string) {
	if inv.status == statusDelayed {
		return statusInProgress, statusDelayed
	}
	return inv.status, inv.detail
}

// expire ends every invocation in one of the statuses as DeliveryTimedOut, a
// cancel that nobody answered as Cancelled. Source: D23:monitor-commands.
func (c *command) expire(statuses ...string) {
	c.stopped = true // nothing more is sent, now or by what this frees
	for _, inv := range c.invs {
		for _, s := range statuses {
			if inv.status != s {
				continue
			}
			if s == statusCancelling {
				c.w.end(inv, statusCancelled, statusCancelled, -1)
			} else {
				c.w.end(inv, statusTimedOut, detailDeliveryTimedOut, -1)
			}
			break
		}
	}
}

// state is the status of the whole command, derived from its invocations. A command of one instance is as
// that one is, whatever MaxErrors says. Source: docs/aws-semantics.md 2.4; that Incomplete goes with Failed is assumed.
func (c *command) state() (status, detail string) {
	switch {
	case c.early == detailNoInstances:
		return statusSuccess, detailNoInstances
	case c.early != "":
		return statusFailed, c.early
	case len(c.invs) == 1:
		return c.invs[0].ofCommand()
	case c.done < len(c.invs) && c.cancelled:
		return statusCancelling, statusCancelling
	case c.done < len(c.invs) && c.w.Now().Before(c.visible):
		return statusPending, statusPending
	case c.done < len(c.invs):
		return statusInProgress, statusInProgress
	}
	var success, failed, timedOut, cancelled int
	for _, inv := range c.invs {
		switch inv.detail {
		case statusSuccess:
			success++
		case statusFailed:
			failed++
		case detailExecutionTimedOut:
			timedOut++
		case statusCancelled:
			cancelled++
		}
	}
	switch {
	case success == len(c.invs):
		return statusSuccess, statusSuccess
	case cancelled > 0:
		return statusCancelled, statusCancelled
	case c.errors > c.maxErrors && failed > 0:
		return statusFailed, statusFailed
	case c.errors > c.maxErrors:
		return statusTimedOut, detailExecutionTimedOut
	case c.undelivered > c.maxErrors:
		return statusTimedOut, detailDeliveryTimedOut
	}
	return statusFailed, detailIncomplete
}
