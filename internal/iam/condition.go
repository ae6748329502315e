package iam

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

type quantifier int

const (
	single quantifier = iota
	forAll
	forAny
)

// condition is one key of a Condition element under one operator. All conditions of a statement must hold.
type condition struct {
	base     string // the operator without quantifier, Not and IfExists
	negated  bool
	ifExists bool
	over     quantifier
	key      string // in lower case
	wanted   []pattern
	arns     []arnPattern // instead of wanted, for ARN operators
}

// comparison is a family of operators.
type comparison struct {
	kinds   []keyKind // of the keys that it suits; String operators suit all
	wild    bool
	valid   func(string) bool
	compare func(have, want string) bool // nil where matching is by pattern
}

// comparisons by operator without quantifier, Not and IfExists. Source: IAM user guide, condition operators, read
// 2026-11. BinaryEquals is left out: none of our keys is binary. Never written to.
var comparisons = map[string]comparison{
	"StringEquals":             {},
	"StringEqualsIgnoreCase":   {compare: strings.EqualFold},
	"StringLike":               {wild: true},
	"ArnEquals":                {kinds: []keyKind{arnKey}},
	"ArnLike":                  {kinds: []keyKind{arnKey}},
	"Bool":                     {kinds: []keyKind{boolKey}, valid: isBool, compare: strings.EqualFold},
	"Null":                     {valid: isBool},
	"NumericEquals":            numeric(func(c int) bool { return c == 0 }),
	"NumericLessThan":          numeric(func(c int) bool { return c < 0 }),
	"NumericLessThanEquals":    numeric(func(c int) bool { return c <= 0 }),
	"NumericGreaterThan":       numeric(func(c int) bool { return c > 0 }),
	"NumericGreaterThanEquals": numeric(func(c int) bool { return c >= 0 }),
	"DateEquals":               date(func(c int) bool { return c == 0 }),
	"DateLessThan":             date(func(c int) bool { return c < 0 }),
	"DateLessThanEquals":       date(func(c int) bool { return c <= 0 }),
	"DateGreaterThan":          date(func(c int) bool { return c > 0 }),
	"DateGreaterThanEquals":    date(func(c int) bool { return c >= 0 }),
	"IpAddress":                {kinds: []keyKind{addressKey}, valid: isRange, compare: inRange},
}

// negations maps the operators with Not to what they negate. Never written to.
var negations = map[string]string{
	"StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
	"StringNotLike": "StringLike",
	"ArnNotEquals":  "ArnEquals", "ArnNotLike": "ArnLike", "NumericNotEquals": "NumericEquals",
	"DateNotEquals": "DateEquals",
	"NotIpAddress":  "IpAddress",
}

func numeric(holds func(int) bool) comparison {
	return comparison{kinds: []keyKind{numberKey}, valid: func(s string) bool {
		_, err := strconv.ParseFloat(s,
			64)
		return err == nil
	},
		compare: func(have, want string) bool {
			a, errA := strconv.ParseFloat(have, 64)
			b, errB := strconv.ParseFloat(want, 64)
			return errA == nil && errB == nil && holds(order(a < b, a > b))
		}}
}

func date(holds func(int) bool) comparison {
	return comparison{kinds: []keyKind{dateKey, numberKey}, valid: func(s string) bool {
		_, ok := moment(s)
		return ok
	},
		compare: func(have, want string) bool {
			a, okA := moment(have)
			b, okB := moment(want)
			return okA && okB && holds(a.Compare(b))
		}}
}

func order(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// moment reads a date as IAM takes it: ISO 8601, or seconds since 1970.
func moment(s string) (time.Time, bool) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(seconds, 0), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func isBool(s string) bool { return s == "true" || s == "false" }

func isRange(s string) bool { _, ok := network(s); return ok }

func inRange(have, want string) bool {
	addr, err := netip.ParseAddr(have)
	net, ok := network(want)
	return err == nil && ok && net.Contains(addr)
}

func network(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix, true
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// parseOperator takes ForAnyValue:StringNotLikeIfExists apart.
func parseOperator(name string) (condition, error) {
	var c condition
	rest := name
	if before, after, ok := strings.Cut(name, ":"); ok {
		rest = after
		switch before {
		case "ForAllValues":
			c.over = forAll
		case "ForAnyValue":
			c.over = forAny
		default:
			return c, fmt.Errorf("unknown condition operator %s", name)
		}
	}
	if before, ok := strings.CutSuffix(rest, "IfExists"); ok && before != "Null" {
		c.ifExists, rest = true, before
	}
	if base, ok := negations[rest]; ok {
		c.negated, rest = true, base
	}
	if _, ok := comparisons[rest]; !ok || rest == "Null" && c.over != single {
		return c, fmt.Errorf("unknown condition operator %s", name)
	}
	c.base = rest
	return c, nil
}

// forKey completes an operator with a key and its values.
func (c condition) forKey(name string, values []string) (condition, error) {
	key, known := knownKey(name)
	if !known {
		return c, fmt.Errorf("unknown condition key %s", name)
	}
	c.key = strings.ToLower(name)
	how := comparisons[c.base]
	switch {
	case how.kinds != nil && !slices.Contains(how.kinds, key.kind):
		return c, fmt.Errorf("%s does not suit the condition key %s", c.base, name)
	case c.base == "Null":
	case key.many && c.over == single:
		return c, fmt.Errorf("%s may have several values: use ForAllValues or ForAnyValue", name)
	case !key.many && c.over != single:
		return c, fmt.Errorf("%s has one value: ForAllValues and ForAnyValue do not suit it", name)
	}
	if len(values) == 0 {
		return c, fmt.Errorf("condition key %s has no value", name)
	}
	for _, v := range values {
		if how.valid != nil && !how.valid(v) {
			return c, fmt.Errorf("condition key %s: bad value %q for %s", name, v, c.base)
		}
		var err error
		if strings.HasPrefix(c.base, "Arn") {
			var p arnPattern
			p, err = compileARN(v)
			c.arns = append(c.arns, p)
		} else {
			var p pattern
			p, err = compile(v, how.wild)
			c.wanted = append(c.wanted, p)
		}
		if err != nil {
			return c, fmt.Errorf("condition key %s: %q: %w", name, v, err)
		}
	}
	return c, nil
}

// holds judges the condition for a request. An absent key fails it, except under Not, IfExists and ForAllValues.
func (c *condition) holds(s *scope) bool {
	have := s.value(c.key)
	if c.base == "Null" {
		for i := range c.wanted {
			if (len(have) == 0) == (c.wanted[i].text == "true") {
				return true
			}
		}
		return false
	}
	if len(have) == 0 {
		return c.ifExists || c.over == forAll || c.negated && c.over == single
	}
	for _, value := range have {
		hit := c.hits(value, s) != c.negated
		switch {
		case hit && c.over == forAny:
			return true
		case !hit && c.over != forAny:
			return false
		}
	}
	return c.over != forAny
}

// hits says whether a value is one of those wanted.
func (c *condition) hits(value string, s *scope) bool {
	if c.arns != nil {
		parts, ok := split(value)
		for i := range c.arns {
			if ok && c.arns[i].matchesARN(value, &parts, s) {
				return true
			}
		}
		return false
	}
	compare := comparisons[c.base].compare
	for i := range c.wanted {
		if compare == nil {
			if c.wanted[i].matches(value, s) {
				return true
			}
			continue
		}
		if want, ok := c.wanted[i].fill(c.wanted[i].text, s); ok && compare(value, want) {
			return true
		}
	}
	return false
}
