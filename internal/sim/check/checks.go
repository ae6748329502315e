package check

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/core"
)

// Checks hold runs against the rules of docs/safety.md. They read what the
// agents and the API side of the world saw, what people decided, and the bytes
// that a run wrote for people: its plan and its report. They never read what the
// product believes of itself.
type Checks struct {
	Stage *stage.Stage
	Found []Violation

	runs  map[patch.RunID]*RunFacts
	Order []*RunFacts

	Tables   tables
	Commands map[string]*sending        // accepted, by id
	refills  map[string]*refill         // by account-region of a wave
	atWork   map[string]*sending        // by instance: its agent is at work for that command
	begun    map[string]time.Time       // by instance: when its agent last began
	slots    map[string]map[string]bool // commands in flight, by account-region of a wave
	well     map[string]int             // commands that ended well, by account-region of a wave
	Writes   int                        // to DynamoDB
	papers   map[string]time.Time       // objects in the bucket, by key: when they were first written

	Skew       time.Duration // by which the clocks of two functions may differ
	LateSend   time.Duration // by which SSM may accept a command after it was sent
	HandedOver bool          // an operator gave a lease to somebody else by hand
	Meddled    bool          // somebody works on the run's functions or rows: what happens is not theirs alone

	Always *always

	MaxPayload    int
	TransactItems int
}

// What the product allows itself: rule R-13.
const (
	// PayloadLimit is how many bytes a payload between states may measure, whatever the fleet's size. Step Functions
	// allows 262,144. Source: Step Functions quotas, read 2026-11.
	PayloadLimit = 16 << 10
	// HistoryLimit is half of the events that Step Functions allows. Source: Step Functions quotas, read 2026-11.
	HistoryLimit = 12_500
)

const (
	// maxViolations bounds what one rehearsal reports: after the first, the rest is noise.
	maxViolations = 100
)

// New puts the checks before a stage.
func New(s *stage.Stage) *Checks {
	c := &Checks{
		Stage: s, runs: map[patch.RunID]*RunFacts{}, Tables: newTables(), Commands: map[string]*sending{},
		atWork: map[string]*sending{}, begun: map[string]time.Time{}, slots: map[string]map[string]bool{},
		well: map[string]int{}, refills: map[string]*refill{},
		papers: map[string]time.Time{},
	}
	c.Always = newAlways(c)
	c.Expect(s.Setup.RunID, s.Input).written = s.Setup.Input
	s.Engine.OnEvent = c.event
	s.World.OnMutating = c.mutating
	s.World.OnInvocation = c.invocationEnded
	return c
}

// Expect tells the checks of a run that will be started.
func (c *Checks) Expect(id patch.RunID, in runinput.Input) *RunFacts {
	r := newRunFacts(id, in)
	c.runs[id] = r
	c.Order = append(c.Order, r)
	return r
}

func (c *Checks) now() time.Time { return c.Stage.World.Now() }

// Violate notes that a rule is broken.
func (c *Checks) Violate(rule, format string, args ...any) {
	if len(c.Found) >= maxViolations {
		return
	}
	c.Found = append(c.Found, Violation{Rule: rule, At: c.now().UTC().Format(time.RFC3339),
		Detail: fmt.Sprintf(format, args...)})
}

// event is called after every event of every execution. It checks the size of
// what travels between states: rule 13.
func (c *Checks) event(x *asl.Execution, e *asl.Event) {
	size := 0
	for _, k := range []string{"input", "output"} {
		if raw, ok := e.Details[k].(json.RawMessage); ok {
			size = max(size, len(raw))
		}
	}
	if size <= c.MaxPayload {
		return
	}
	// The execution's own input and Plan's copy of it are as large as the caller made them.
	if e.Type == "ExecutionStarted" || x.Parent == nil && fmt.Sprint(e.Details["name"]) == "PlanRun" &&
		strings.HasSuffix(e.Type, "Entered") {
		return
	}
	c.MaxPayload = size
	if size > PayloadLimit {
		c.Violate("R-13", "%s of %s carries %d bytes", e.Type, x.Name, size)
	}
}

// mutating is called with every mutating call that the API side accepted.
func (c *Checks) mutating(e core.Entry) {
	c.caller(e)
	c.Always.session(e)
	service, operation, _ := stage.SplitAction(e.Name)
	switch service {
	case "dynamodb":
		c.Writes++
		c.wrote(e)
	case "s3":
		c.wrotePaper(e)
	case "ssm":
		c.ssm(e, operation)
	case "states":
		c.answered(e, operation)
	}
}

// AgentEvent is called with everything that an agent does or suffers.
func (c *Checks) AgentEvent(e world.AgentEvent) {
	s := c.Commands[e.CommandID]
	c.Always.agent(e)
	switch e.Kind {
	case world.AgentStarted:
		if s == nil {
			return // somebody else's command
		}
		c.atWork[e.InstanceID], c.begun[e.InstanceID] = s, c.now()
		s.wave.busy++
		s.run.busy[s.place]++
		c.once(s, e)
		c.late(s, e)
		c.overlap(s, e)
	case world.AgentFinished, world.AgentCancelled, world.AgentLost, world.AgentTerminated, world.AgentStopped:
		c.rests(e.InstanceID)
	}
	if s != nil {
		c.leaseHolds(s)
	}
}

// rests takes an instance out of those at work.
func (c *Checks) rests(instance string) {
	s := c.atWork[instance]
	if s == nil {
		return
	}
	delete(c.atWork, instance)
	s.wave.busy--
	s.run.busy[s.place]--
	if !c.pastWaiting(s) {
		s.wave.Last = c.now()
	}
}

// pastWaiting tells whether a command is past its time by so much that nobody waits for it any more: it was cancelled
// at its deadline, and its instance had the time to come back. An agent that ignores cancels keeps no wave from its
// end.
func (c *Checks) pastWaiting(s *sending) bool {
	return c.now().Sub(s.At) > time.Duration(s.wave.input.CommandTimeoutSeconds)*time.Second+comesBack
}

// comesBack is how long verification waits for an instance.
const comesBack = 15 * time.Minute

// invocationEnded is called as Run Command ends a command on an instance.
func (c *Checks) invocationEnded(e world.InvocationEnd) {
	s := c.Commands[e.CommandID]
	if s == nil {
		return
	}
	c.Always.invocation(e)
	if !s.wave.over && !c.pastWaiting(s) {
		s.wave.Last = c.now()
	}
	if e.Status == "Success" {
		c.well[s.scope()]++
	}
	c.closeSlot(s, e.InstanceID)
	c.rests(e.InstanceID)
	if c.now().Sub(s.At) > time.Duration(s.wave.input.CommandTimeoutSeconds)*time.Second-c.Skew-c.LateSend {
		s.run.overran[e.InstanceID] = true
	}
	if failure(e) {
		c.failed(s, e.InstanceID, e)
	}
}

// Undelivered is called when the end of a run could not be told to anybody, however often it was tried: an alarm tells
// a person, and the next run that is planned closes it.
func (c *Checks) Undelivered(id patch.RunID) {
	if r := c.runs[id]; r != nil {
		r.Abandoned = true
	}
}

// ExecutionEnded is called as the execution of a run ends.
func (c *Checks) ExecutionEnded(x *asl.Execution) {
	if r := c.runs[patch.RunID(x.Name)]; r != nil && x.Parent == nil {
		r.Ended = true
	}
}

// AtEnd checks what can only be judged when everything is over.
//
// ask posts a form to the page behind a link, as somebody would who has the mail.
func (c *Checks) AtEnd(ask func(u *url.URL, form string)) []Violation {
	for _, run := range c.Order {
		if run.Abandoned {
			continue
		}
		c.LoadPlan(run)
		c.waves(run)
		c.leftovers(ask, run)
		report := c.Report(run)
		c.intents(run, report)
		c.refused(run)
		c.Always.atEnd(run, report)
	}
	c.chains()
	c.denied()
	c.bounds()
	if c.Found == nil {
		return []Violation{}
	}
	return c.Found
}

// Violation is a broken rule of the product.
type Violation struct {
	Rule   string `json:"rule"` // "R-01" ... as docs/safety.md numbers them
	At     string `json:"at"`   // virtual time
	Detail string `json:"detail"`
}
