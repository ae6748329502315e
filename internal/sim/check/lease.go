package check

import (
	"time"

	"ec2patch/internal/sim/world"
)

// leaseRow is a lease as DynamoDB has it.
type leaseRow struct {
	run     string
	Fence   int
	expires time.Time
	letGo   bool // its holder wrote that it runs out at once: who takes it over must follow what is at work
}

// leaseWritten checks how a lease changes hands: the fence only grows, nobody
// takes one that is held and not expired, and none whose former holder's agents
// are still at work: rule 9, I-21, I-22.
func (c *Checks) leaseWritten(place string, was, is leaseRow) {
	if is.Fence < was.Fence {
		c.Violate("R-09", "the fence of %s went from %d back to %d", place, was.Fence, is.Fence)
	}
	if is.run == was.run || is.run == "" {
		return
	}
	if is.Fence <= was.Fence {
		c.Violate("R-09", "%s took the lease of %s under the old fence %d", is.run, place, is.Fence)
	}
	if was.run != "" && c.now().Before(was.expires) {
		c.Violate("R-09", "%s took the lease of %s, which %s held until %s", is.run, place, was.run,
			was.expires.UTC().Format(time.RFC3339))
	}
	if !c.Tables.Audited[AuditKey("LeaseTaken", "", place)] {
		c.Violate("R-10", "the lease of %s was taken by %s without an audit entry", place, is.run)
	}
	for _, r := range c.Order {
		if string(r.ID) != is.run && r.busy[place] > 0 {
			c.Violate("R-09", "%s took the lease of %s while %d agents worked for %s", is.run, place, r.busy[place], r.ID)
		}
	}
}

// leased checks that a command's run held the lease when the command was
// accepted, under the fence of its intent, and not past its time.
func (c *Checks) leased(s *sending, in *intentRow) {
	l := c.Tables.Leases[s.place]
	switch {
	case l.run != string(s.run.ID):
		c.Violate("R-09", "%s was sent by %s while the lease of %s was held by %q", s.Command, s.run.ID, s.place, l.run)
	case !c.now().Before(l.expires):
		c.Violate("R-09", "%s was sent under a lease of %s that had run out", s.Command, s.place)
	case in != nil && l.Fence != in.fence:
		c.Violate("R-09", "%s was sent under fence %d, the lease of %s has %d", s.Command, in.fence, s.place, l.Fence)
	}
}

// leaseHolds checks that the lease lasts as long as agents are at work, also
// those that were cancelled. One that its holder let go need not: leaseWritten and
// overlap check that nobody takes it before they are at rest.
func (c *Checks) leaseHolds(s *sending) {
	l := c.Tables.Leases[s.place]
	if s.run.busy[s.place] == 0 || c.HandedOver || l.letGo && l.run == string(s.run.ID) {
		return
	}
	switch {
	case l.run != string(s.run.ID):
		c.Violate("R-09", "agents of %s are at work for %s, its lease is held by %q", s.place, s.run.ID, l.run)
	case !c.now().Before(l.expires) && !s.run.Ended: // who takes over the lease of a dead run waits for them
		c.Violate("R-09", "agents of %s are at work for %s, whose lease ran out at %s", s.place, s.run.ID,
			l.expires.UTC().Format(time.RFC3339))
	}
}

// overlap checks that the agents of an account-region work for one run at a time.
func (c *Checks) overlap(s *sending, e world.AgentEvent) {
	for _, r := range c.Order {
		if r != s.run && r.busy[s.place] > 0 {
			c.Violate("R-09", "%s began for %s while agents of %s worked for %s", e.InstanceID, s.run.ID, s.place, r.ID)
		}
	}
}
