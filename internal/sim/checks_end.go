package sim

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/asl"
)

// leftovers checks that nothing of a run survives its end: no execution, no
// lease, no question that waits for an answer, no place in the list of open
// runs: rule 12, I-52.
func (c *checks) leftovers(h *human, r *runFacts) {
	for _, x := range c.s.engine.Executions() {
		if x.Status == asl.Running {
			c.violate("R-12", "execution %s still runs", x.Name)
		}
		if len(x.Name) > 80 {
			c.violate("R-13", "execution %s has a name of %d characters", x.Name, len(x.Name))
		}
	}
	for _, place := range sortedKeys(c.tables.leases) {
		// A lease that has run out keeps nobody out: it lists the commands that the next one follows.
		if l := c.tables.leases[place]; l.run == string(r.id) && l.expires.After(c.s.world.Now()) {
			c.violate("R-12", "run %s has ended and still holds the lease of %s", r.id, place)
		}
	}
	for _, id := range sortedKeys(r.asked) {
		open := c.tables.states["approval "+id] == "pending"
		if open && c.tooLate(h, id) {
			c.violate("R-12", "run %s has ended and approval %s could still be given", r.id, id)
		}
	}
	if c.tables.open["RUN#"+string(r.id)] {
		c.violate("R-12", "run %s has ended and is listed as open", r.id)
	}
}

// tooLate tries to approve a question whose run has ended, by the link of its
// mail, and tells whether that was recorded.
func (c *checks) tooLate(h *human, id string) bool {
	before := len(c.tables.approvals[id])
	for _, m := range c.s.world.Mailbox(approver) {
		u, ok := link(m.Body)
		if !ok || u.Query().Get("a") != id {
			continue
		}
		form := url.Values{"decision": {"approve"}, "name": {"Too late"}, "code": {c.tables.codes[id]}}
		h.request(u, "POST", form.Encode())
	}
	return len(c.tables.approvals[id]) > before
}

// bounds checks the length of the histories and of the whole run: rules 12 and 13, I-52, I-53.
func (c *checks) bounds(r *rehearsal, res *Result) {
	if n := res.MaxHistoryEvents; n > HistoryLimit {
		c.violate("R-13", "an execution has %d events, %d are ours to use", n, HistoryLimit)
	}
	bound := time.Duration(0)
	for _, run := range c.order {
		bound += run.bound()
	}
	if took := r.virtual(); took > bound {
		c.violate("R-12", "the run took %s, its bound is %s", took.Round(time.Second), bound)
	}
}

const (
	// perTarget is what a target may take besides its commands: waiting for a
	// lease, followed cancels, verifying.
	perTarget = 2 * time.Hour
	// perRun is what planning, judging and reporting may take, retries included.
	perRun = 12 * time.Hour
)

// bound is the longest time that a run may take: its questions, its pauses and
// soaks, and account after account on the wave's lanes, each command at its limit.
func (r *runFacts) bound() time.Duration {
	ask := time.Duration(r.input.ApprovalTimeoutSeconds) * time.Second
	total := perRun + ask
	for _, w := range r.waves {
		total += 2*ask + time.Duration(r.input.WavePauseSeconds+w.input.HealthGate.SoakSeconds)*time.Second
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
	return total + r.more
}

// denied checks that the templates' policies allowed every call, under faults too. Only
// the accounts that let nobody in may refuse, and those that want a tag on what is sent to: rule 14.
func (c *checks) denied(r *rehearsal) {
	for _, d := range r.world.Ledger.Denied {
		if strings.Contains(d, "sts:AssumeRole") && !r.lockedOut(d) || strings.Contains(d, "security token") {
			continue // an account, a region that lets nobody in, a session that is over: no policy of ours says so
		}
		if strings.Contains(d, "ssm:SendCommand") && r.options.spoke["OptInTag"] != "" {
			continue
		}
		c.violate("R-14", "%s", d)
	}
}

// lockedOut tells whether a policy of a role that exists refused to let it be assumed.
func (r *rehearsal) lockedOut(denied string) bool {
	_, role, _ := strings.Cut(denied, "on resource: ")
	role, _, judged := strings.Cut(role, " because ")
	_, err := r.world.Session(role, "any")
	return judged && err == nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
