package iam

// Uses lists every action pattern of every statement of a policy: what a caller may hold against what decisions used.
func (p *Policy) Uses() []Use {
	var all []Use
	for _, s := range p.Statements {
		for _, pattern := range s.Patterns {
			all = append(all, Use{Statement: s, Pattern: pattern})
		}
	}
	return all
}

// Coverage remembers which statements decisions needed. The zero value is ready.
type Coverage struct {
	counts map[Use]int
}

// Record counts the statements that a decision needed.
func (c *Coverage) Record(d Decision) {
	if c.counts == nil {
		c.counts = map[Use]int{}
	}
	for _, u := range d.Used {
		c.counts[u]++
	}
}

// Unused lists the action patterns of the policies that no recorded decision needed, in the order of the policies.
// Denies are left out: they are needed when an attack comes, not in a calm run.
func (c *Coverage) Unused(policies ...*Policy) []Use {
	var out []Use
	for _, p := range policies {
		for _, u := range p.Uses() {
			if u.Statement.Allow && c.counts[u] == 0 {
				out = append(out, u)
			}
		}
	}
	return out
}
