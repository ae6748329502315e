package iam

import (
	"slices"
	"strings"
)

// checkReach finds statements that can never apply: they are mistakes, also where AWS takes them.
func (p *parser) checkReach(s *Statement, kind Kind) {
	if s.notAction {
		return
	}
	for _, c := range s.conditions {
		if _, global := globalKeys[family(c.key)]; !global && !s.anyAction(func(a *action) bool {
			return slices.Contains(a.keys, family(c.key))
		}) {
			p.add("no action of the statement sets the condition key %s", c.key)
		}
	}
	if kind == Trust {
		for _, raw := range s.Patterns {
			if !strings.HasPrefix(strings.ToLower(raw), "sts:") && raw != "*" {
				p.add("Resource is missing: only a trust policy, for sts actions, goes without")
			}
		}
		return
	}
	if s.notResource || slices.ContainsFunc(s.resources, func(r arnPattern) bool { return r.all }) {
		return
	}
	for _, raw := range s.Patterns {
		found, err := expand(raw)
		if err == nil && len(s.resources) > 0 && !slices.ContainsFunc(found, s.reachable) {
			p.add("action %s never applies to the resources of the statement", raw)
		}
	}
	for i := range s.resources {
		r := &s.resources[i]
		if !s.anyAction(func(a *action) bool { return slices.ContainsFunc(a.on, r.overlaps) }) {
			p.add("no action of the statement applies to the resource %s", r.raw)
		}
	}
}

func (s *Statement) anyAction(is func(*action) bool) bool {
	for a := range s.actions {
		if is(a) {
			return true
		}
	}
	return false
}

func (s *Statement) reachable(a *action) bool {
	return slices.ContainsFunc(s.resources, func(r arnPattern) bool { return slices.ContainsFunc(a.on, r.overlaps) })
}
