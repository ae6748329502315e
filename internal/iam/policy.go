package iam

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Kind says where a policy may stand; it follows from its elements.
type Kind int

const (
	// Identity policies have no Principal: those of roles, session policies, boundaries.
	Identity Kind = iota
	// Resource policies have Principal and Resource: those of keys, buckets, topics.
	Resource
	// Trust policies have Principal and no Resource.
	Trust
)

// Policy is a parsed policy document. It is never written to.
type Policy struct {
	Name       string
	Kind       Kind
	Statements []*Statement
}

// Statement is one statement of a policy.
type Statement struct {
	Policy string // name of the policy
	Index  int    // from 0
	Sid    string // "" if it has none
	Allow  bool
	// Patterns are the actions as written, of Action or NotAction.
	Patterns []string

	actions      map[*action]string // what the patterns stand for, with the first pattern that names it
	notAction    bool
	resources    []arnPattern
	notResource  bool
	anyPrincipal bool
	principals   []principal
	conditions   []condition
}

// Label is the policy's name and the Sid, or the index where there is none: send/PatchInstances, send/#0.
func (s *Statement) Label() string {
	if s.Sid == "" {
		return fmt.Sprintf("%s/#%d", s.Policy, s.Index)
	}
	return s.Policy + "/" + s.Sid
}

// Problems is the error of ParsePolicy: everything that is wrong with a document.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "\n") }

// ParsePolicy reads a policy document. The error is Problems.
func ParsePolicy(name string, doc []byte) (*Policy, error) {
	p := &parser{name: name}
	policy := p.policy(doc)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return policy, nil
}

type parser struct {
	name     string
	at       string // the statement being read
	problems Problems
}

func (p *parser) add(format string, args ...any) {
	where := p.name
	if p.at != "" {
		where += "/" + p.at
	}
	p.problems = append(p.problems, where+": "+fmt.Sprintf(format, args...))
}

func (p *parser) policy(doc []byte) *Policy {
	root, err := decode(doc)
	if err != nil {
		p.add("not JSON: %v", err)
		return nil
	}
	top, ok := root.(object)
	if !ok {
		p.add("a policy is an object")
		return nil
	}
	p.only(top, "Version", "Id", "Statement")
	if version, _ := top.get("Version").(string); version != "2012-10-17" {
		p.add(`Version must be "2012-10-17"`)
	}
	items := listed(top.get("Statement"))
	if len(items) == 0 {
		p.add("no Statement")
	}
	policy := &Policy{Name: p.name}
	sids := map[string]bool{}
	for i, item := range items {
		p.at = fmt.Sprintf("#%d", i)
		body, ok := item.(object)
		if !ok {
			p.add("a statement is an object")
			continue
		}
		s := p.statement(i, body)
		if s.Sid != "" && sids[s.Sid] {
			p.add("Sid %s stands there twice", s.Sid)
		}
		sids[s.Sid] = true
		policy.Statements = append(policy.Statements, s)
		kind := kindOf(body)
		if i == 0 {
			policy.Kind = kind
		} else if kind != policy.Kind {
			p.add("Principal and Resource must stand in all statements or in none")
		}
		p.checkReach(s, kind)
	}
	p.at = ""
	return policy
}

func kindOf(body object) Kind {
	switch {
	case body.get("Principal") == nil:
		return Identity
	case body.get("Resource") == nil && body.get("NotResource") == nil:
		return Trust
	}
	return Resource
}

func (p *parser) only(o object, known ...string) {
	for _, m := range o {
		if !slices.Contains(known, m.key) {
			p.add("unknown element %s", m.key)
		}
	}
}

var sidPattern = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func (p *parser) statement(i int, body object) *Statement {
	s := &Statement{Policy: p.name, Index: i}
	if sid, ok := body.get("Sid").(string); ok {
		s.Sid, p.at = sid, sid
		if !sidPattern.MatchString(sid) {
			p.add("Sid has other characters than letters and digits")
		}
	} else if body.get("Sid") != nil {
		p.add("Sid must be text")
	}
	p.only(body, "Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	switch effect, _ := body.get("Effect").(string); effect {
	case "Allow":
		s.Allow = true
	case "Deny":
	default:
		p.add("Effect must be Allow or Deny")
	}
	p.actions(s, body)
	p.resources(s, body)
	if value := body.get("Principal"); value != nil {
		p.principals(s, value)
	}
	if value := body.get("Condition"); value != nil {
		p.conditions(s, value)
	}
	return s
}

func (p *parser) actions(s *Statement, body object) {
	s.notAction = body.get("NotAction") != nil
	if s.notAction == (body.get("Action") != nil) {
		p.add("one of Action and NotAction is needed")
	}
	s.Patterns = append(p.words(body, "Action"), p.words(body, "NotAction")...)
	s.actions = map[*action]string{}
	for _, raw := range s.Patterns {
		found, err := expand(raw)
		if err != nil {
			p.add("%v", err)
		}
		for _, a := range found {
			if s.actions[a] == "" {
				s.actions[a] = raw
			}
		}
	}
}

// expand gives the actions that a pattern stands for; none is an error.
func expand(raw string) ([]*action, error) {
	lower := strings.ToLower(raw)
	if a := actions[lower]; a != nil {
		return []*action{a}, nil
	}
	service, _, ok := strings.Cut(lower, ":")
	if raw != "*" && (!ok || strings.ContainsAny(service, "*?")) {
		return nil, fmt.Errorf("action %q: service:Name is needed", raw)
	}
	glober, err := compile(lower, true)
	if err != nil || len(glober.variables) > 0 {
		return nil, fmt.Errorf("action %q: wildcards are all that is allowed besides letters", raw)
	}
	var found []*action
	for name, a := range actions {
		if glober.wild && glob(glober.text, name) {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("unknown action %s", raw)
	}
	return found, nil
}

func (p *parser) resources(s *Statement, body object) {
	s.notResource = body.get("NotResource") != nil
	if s.notResource && body.get("Resource") != nil {
		p.add("Resource and NotResource together")
	}
	if !s.notResource && body.get("Resource") == nil && body.get("Principal") == nil {
		p.add("Resource is missing")
	}
	for _, raw := range append(p.words(body, "Resource"), p.words(body, "NotResource")...) {
		pattern, err := compileARN(raw)
		if err != nil {
			p.add("resource %q: %v", raw, err)
			continue
		}
		s.resources = append(s.resources, pattern)
	}
}

// words reads an element that is a text or a list of texts.
func (p *parser) words(body object, element string) []string {
	value := body.get(element)
	if value == nil {
		return nil
	}
	var out []string
	for _, item := range listed(value) {
		word, ok := item.(string)
		if !ok || word == "" {
			p.add("%s must be text or a list of texts", element)
			continue
		}
		out = append(out, word)
	}
	if len(out) == 0 {
		p.add("%s is empty", element)
	}
	return out
}

func (p *parser) conditions(s *Statement, value any) {
	operators, ok := value.(object)
	if !ok || len(operators) == 0 {
		p.add("Condition must be an object that is not empty")
		return
	}
	for _, m := range operators {
		operator, err := parseOperator(m.key)
		if err != nil {
			p.add("%v", err)
			continue
		}
		keys, ok := m.value.(object)
		if !ok || len(keys) == 0 {
			p.add("%s must be an object that is not empty", m.key)
			continue
		}
		for _, k := range keys {
			c, err := operator.forKey(k.key, p.values(k))
			if err != nil {
				p.add("%v", err)
				continue
			}
			s.conditions = append(s.conditions, c)
		}
	}
}

// values reads the values of a condition key: texts, numbers and booleans.
func (p *parser) values(m member) []string {
	var out []string
	for _, item := range listed(m.value) {
		switch v := item.(type) {
		case string:
			out = append(out, v)
		case bool:
			out = append(out, fmt.Sprint(v))
		case fmt.Stringer: // a number, as it is written
			out = append(out, v.String())
		default:
			p.add("condition key %s: a value must be text, a number or a boolean", m.key)
		}
	}
	return out
}

// Resources are the Resource patterns of all statements as written, in order.
func (p *Policy) Resources() []string {
	var all []string
	for _, s := range p.Statements {
		for _, r := range s.resources {
			all = append(all, r.raw)
		}
	}
	return all
}
