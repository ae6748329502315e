package sim

import (
	"time"

	"ec2patch/internal/sim/world"
)

// leaseRow is a lease as DynamoDB has it.
type leaseRow struct {
	run     string
	fence   int
	expires time.Time
	letGo   bool // its holder wrote that it runs out at once: who takes it over must follow what is at work
}

// leaseWritten checks how a lease changes hands: the fence only grows, nobody
// takes one that is held and not expired, and none whose former holder's agents
// are still at work: rule 9, I-21, I-22.
func (c *checks) leaseWritten(place string, was, is leaseRow) {
	if is.fence < was.fence {
		c.violate("R-09", "the fence of %s went from %d back to %d", place, was.fence, is.fence)
	}
	if is.run == was.run || is.run == "" {
		return
	}
	if is.fence <= was.fence {
		c.violate("R-09", "%s took the lease of %s under the old fence %d", is.run, place, is.fence)
	}
	if was.run != "" && c.now().Before(was.expires) {
		c.violate("R-09", "%s took the lease of %s, which %s held until %s", is.run, place, was.run, was.expires.UTC().Format(time.RFC3339))
	}
	if !c.tables.audited[auditKey("LeaseTaken", "", place)] {
		c.violate("R-10", "the lease of %s was taken by %s without an audit entry", place, is.run)
	}
	for _, r := range c.order {
		if string(r.id) != is.run && r.busy[place] > 0 {
			c.violate("R-09", "%s took the lease of %s while %d agents worked for %s", is.run, place, r.busy[place], r.id)
		}
	}
}

// leased checks that a command's run held the lease when the command was
// accepted, under the fence of its intent, and not past its time.
func (c *checks) leased(s *sending, in *intentRow) {
	l := c.tables.leases[s.place]
	switch {
	case l.run != string(s.run.id):
		c.violate("R-09", "%s was sent by %s while the lease of %s was held by %q", s.command, s.run.id, s.place, l.run)
	case !c.now().Before(l.expires):
		c.violate("R-09", "%s was sent under a lease of %s that had run out", s.command, s.place)
	case in != nil && l.fence != in.fence:
		c.violate("R-09", "%s was sent under fence %d, the lease of %s has %d", s.command, in.fence, s.place, l.fence)
	}
}

// leaseHolds checks that the lease lasts as long as agents are at work, also
// those that were cancelled. One that its holder let go need not: leaseWritten and
// overlap check that nobody takes it before they are at rest.
func (c *checks) leaseHolds(s *sending) {
	l := c.tables.leases[s.place]
	if s.run.busy[s.place] == 0 || c.handedOver || l.letGo && l.run == string(s.run.id) {
		return
	}
	switch {
	case l.run != string(s.run.id):
		c.violate("R-09", "agents of %s are at work for %s, its lease is held by %q", s.place, s.run.id, l.run)
	case !c.now().Before(l.expires) && !s.run.ended: // who takes over the lease of a dead run waits for them
		c.violate("R-09", "agents of %s are at work for %s, whose lease ran out at %s", s.place, s.run.id, l.expires.UTC().Format(time.RFC3339))
	}
}

// overlap checks that the agents of an account-region work for one run at a time.
func (c *checks) overlap(s *sending, e world.AgentEvent) {
	for _, r := range c.order {
		if r != s.run && r.busy[s.place] > 0 {
			c.violate("R-09", "%s began for %s while agents of %s worked for %s", e.InstanceID, s.run.id, s.place, r.id)
		}
	}
}
