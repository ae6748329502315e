package check

import (
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/sim/world"
)

// scope is one budget: so many instances (or accounts) of it may fail.
type scope struct {
	name   string
	limit  int
	failed int
	over   time.Time // when the failures exceeded the limit
}

const (
	// decisionInterval is how long a failure may take to be noticed: the longest
	// gap between two polls, the time that Run Command takes to show it, a minute
	// for the call.
	decisionInterval = 17 * time.Minute
	// cancelInterval is how much longer something that is queued may still start.
	cancelInterval = 5 * time.Minute
)

// failure says by our own definition whether an invocation ended badly. What
// never started and was taken back is none: I-16.
func failure(e world.InvocationEnd) bool {
	switch e.Detail {
	case "Success":
		return false
	case "Terminated", "RateExceeded", "AccessDenied", "Cancelled":
		return e.Started
	}
	return true
}

// untouched tells of an invocation that never started whether it ended so that SSM counts no error of its command:
// its MaxErrors is about what failed or ran out of time.
func untouched(detail string) bool {
	return detail == "Undeliverable" || detail == "DeliveryTimedOut" || detail == "InvalidPlatform"
}

// failed counts an instance in all four scopes of its run, once.
func (c *Checks) failed(s *sending, instance string, e world.InvocationEnd) {
	r := s.run
	if r.failures[instance] {
		return
	}
	r.failures[instance] = true
	target, account, wave, accounts, run := c.scopesOf(s)
	for _, x := range []*scope{wave, run} {
		x.add(c.now())
	}
	if r.untouched[instance] = !e.Started && untouched(e.Detail); !r.untouched[instance] {
		target.add(c.now())
	}
	if before := account.over; before.IsZero() {
		if account.add(c.now()); !account.over.IsZero() {
			accounts.add(c.now())
		}
	}
}

func (x *scope) add(now time.Time) {
	x.failed++
	if x.failed > x.limit && x.over.IsZero() {
		x.over = now
	}
}

// scopesOf are the budgets that a command stands under.
func (c *Checks) scopesOf(s *sending) (target, account, wave, accounts, run *scope) {
	r, w := s.run, s.wave
	b, name := w.input.Budget, w.input.Name
	t := patch.Target{Run: r.ID, Wave: name, Account: patch.AccountID(s.account), Region: patch.Region(s.region)}
	target = r.scope("account-region "+s.place+" of wave "+name, w.input.SSM.MaxErrors, len(r.Targets[t].Instances))
	account = r.scope("account "+s.account+" of wave "+name, b.PerAccount, w.accounts[s.account])
	wave = r.scope("wave "+name, b.MaxFailedInstances, w.planned)
	n := 0
	for _, planned := range w.accounts {
		if planned > 0 {
			n++
		}
	}
	accounts = r.scope("accounts of wave "+name, b.MaxFailedAccounts, n)
	return target, account, wave, accounts, r.scope("run", r.Input.Budget.MaxFailedInstances, r.planned())
}

func (r *RunFacts) scope(name string, limit patch.Threshold, n int) *scope {
	x := r.scopes[name]
	if x == nil {
		x = &scope{name: name, limit: resolve(limit, n)}
		r.scopes[name] = x
	}
	return x
}

// stopped checks that nothing is sent once a budget is exceeded, by more than
// the time that it takes to notice, or once the run is aborted: rule 4, I-16, I-19.
func (c *Checks) stopped(s *sending) {
	if !s.run.Aborted.IsZero() {
		c.Violate("R-04", "%s was sent %s after the abort", s.Command, s.At.Sub(s.run.Aborted))
	}
	c.overBudget(s, decisionInterval, s.Command+" was sent")
}

// late checks that what was queued in Run Command does not start after that either.
func (c *Checks) late(s *sending, e world.AgentEvent) {
	if a := s.run.Aborted; !a.IsZero() && c.now().Sub(a) > decisionInterval+cancelInterval {
		c.Violate("R-04", "%s began %s after the abort", e.InstanceID, c.now().Sub(a))
	}
	c.overBudget(s, decisionInterval+cancelInterval, e.InstanceID+" began")
}

func (c *Checks) overBudget(s *sending, patience time.Duration, what string) {
	target, account, wave, accounts, run := c.scopesOf(s)
	for _, x := range []*scope{target, account, wave, accounts, run} {
		if since := c.now().Sub(x.over); !x.over.IsZero() && since > patience {
			c.Violate("R-04", "%s %s after %s had %d failures, its limit is %d", what, since.Round(time.Second), x.name,
				x.failed, x.limit)
			return
		}
	}
}
