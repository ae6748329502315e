package check

import "time"

// refill measures how long the slots of an account-region stand empty: from the end of an instance, as the API side
// saw it, to the next send while something waits. The first end is matched with the first send after it.
type refill struct {
	ended  []time.Time // slots that came free and were not used again
	delays []time.Duration
}

// freed notes that a slot came free.
func (c *Checks) freed(s *sending) { c.refillOf(s).ended = append(c.refillOf(s).ended, c.now()) }

// used notes that a slot is taken. A send that no end came before takes a slot that was never used.
func (c *Checks) used(s *sending) {
	r := c.refillOf(s)
	if len(r.ended) > 0 {
		r.delays = append(r.delays, c.now().Sub(r.ended[0]))
		r.ended = r.ended[1:]
	}
}

func (c *Checks) refillOf(s *sending) *refill {
	r := c.refills[s.scope()]
	if r == nil {
		r = &refill{}
		c.refills[s.scope()] = r
	}
	return r
}

// RefillDelays are the delays of all account-regions.
func (c *Checks) RefillDelays() []time.Duration {
	var all []time.Duration
	for _, k := range sortedKeys(c.refills) {
		all = append(all, c.refills[k].delays...)
	}
	return all
}
