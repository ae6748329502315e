package check

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/sim/stage"
)

// leftovers checks that nothing of a run survives its end: no execution, no
// lease, no question that waits for an answer, no place in the list of open
// runs: rule 12, I-52.
func (c *Checks) leftovers(ask func(u *url.URL, form string), r *RunFacts) {
	for _, x := range c.Stage.Engine.Executions() {
		if x.Status == asl.Running {
			c.Violate("R-12", "execution %s still runs", x.Name)
		}
		if len(x.Name) > 80 {
			c.Violate("R-13", "execution %s has a name of %d characters", x.Name, len(x.Name))
		}
	}
	for _, place := range sortedKeys(c.Tables.Leases) {
		// A lease that has run out keeps nobody out: it lists the commands that the next one follows. It runs out by the
		// clock of whoever let it go.
		if l := c.Tables.Leases[place]; l.run == string(r.ID) && l.expires.After(c.Stage.World.Now().Add(c.Skew)) {
			c.Violate("R-12", "run %s has ended and still holds the lease of %s", r.ID, place)
		}
	}
	for _, id := range sortedKeys(r.asked) {
		open := c.Tables.States["approval "+id] == "pending"
		if open && c.tooLate(ask, id) {
			c.Violate("R-12", "run %s has ended and approval %s could still be given", r.ID, id)
		}
	}
	if c.Tables.open["RUN#"+string(r.ID)] {
		c.Violate("R-12", "run %s has ended and is listed as open", r.ID)
	}
}

// tooLate tries to approve a question whose run has ended, by the link of its
// mail, and tells whether that was recorded.
func (c *Checks) tooLate(ask func(u *url.URL, form string), id string) bool {
	before := len(c.Tables.approvals[id])
	for _, m := range c.Stage.World.Mailbox(stage.Approver) {
		u, ok := stage.Link(m.Body)
		if !ok || u.Query().Get("a") != id {
			continue
		}
		form := url.Values{"decision": {"approve"}, "name": {"Too late"}, "code": {c.Tables.codes[id]}}
		ask(u, form.Encode())
	}
	return len(c.Tables.approvals[id]) > before
}

// bounds checks the length of the histories and of the whole run: rules 12 and 13, I-52, I-53.
func (c *Checks) bounds() {
	if n := c.Stage.Engine.Stats().MaxEvents; n > HistoryLimit {
		c.Violate("R-13", "an execution has %d events, %d are ours to use", n, HistoryLimit)
	}
	bound := time.Duration(0)
	for _, run := range c.Order {
		bound += run.Bound()
	}
	if took := c.Stage.Virtual(); took > bound {
		c.Violate("R-12", "the run took %s, its bound is %s", took.Round(time.Second), bound)
	}
}

const (
	// perTarget is what a target may take besides its commands: waiting for a
	// lease, followed cancels, verifying.
	perTarget = 2 * time.Hour
	// perRun is what planning, judging and reporting may take, retries included.
	perRun = 12 * time.Hour
)

// Bound is the longest time that a run may take: its questions, its pauses and
// soaks, and account after account on the wave's lanes, each command at its limit.
func (r *RunFacts) Bound() time.Duration {
	ask := time.Duration(r.Input.ApprovalTimeoutSeconds) * time.Second
	total := perRun + ask
	for _, w := range r.waves {
		total += 2*ask + time.Duration(r.Input.WavePauseSeconds+w.input.HealthGate.SoakSeconds)*time.Second
		slowest := time.Duration(0)
		for _, leaf := range r.leaves() {
			if leaf.Wave != w.input.Name {
				continue
			}
			n := len(leaf.Instances)
			limit := max(min(resolve(w.input.SSM.MaxConcurrency, n), n), 1)
			slowest = max(slowest, perTarget+2*time.Duration((n+limit-1)/limit*w.input.CommandTimeoutSeconds)*time.Second)
		}
		lanes := max(w.input.MaxConcurrentAccounts, 1)
		total += slowest * time.Duration((len(w.accounts)*len(w.input.Regions)+lanes-1)/lanes)
	}
	return total + r.More
}

// denied checks that the templates' policies allowed every call, under faults too. Only
// the accounts that let nobody in may refuse, and those that want a tag on what is sent to: rule 14.
func (c *Checks) denied() {
	for _, d := range c.Stage.World.Ledger.Denied {
		if strings.Contains(d, "sts:AssumeRole") && !c.lockedOut(d) || strings.Contains(d, "security token") {
			continue // an account, a region that lets nobody in, a session that is over: no policy of ours says so
		}
		if strings.Contains(d, "ssm:SendCommand") && c.Stage.Setup.SpokeParameters["OptInTag"] != "" {
			continue
		}
		c.Violate("R-14", "%s", d)
	}
}

// lockedOut tells whether a policy of a role that exists refused to let it be assumed.
func (c *Checks) lockedOut(denied string) bool {
	_, role, _ := strings.Cut(denied, "on resource: ")
	role, _, judged := strings.Cut(role, " because ")
	_, err := c.Stage.World.Session(role, "any")
	return judged && err == nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
