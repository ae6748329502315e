package iam

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Marks that stand for what is special in a pattern, so that a star from a variable's value is only a star.
const (
	anyMark = '\x01' // *
	oneMark = '\x02' // ?
	varMark = '\x03' // followed by one byte, 'a' plus the index of the variable
)

// maxVariables bounds the policy variables of one pattern.
const maxVariables = 20

// pattern is a text of a policy with its wildcards and variables found.
type pattern struct {
	raw       string
	text      string
	variables []string // condition keys in lower case
	wild      bool
}

// compile reads a text; wildcards tells whether * and ? mean more than themselves. It fails on a variable that is
// unknown.
func compile(raw string, wildcards bool) (pattern, error) {
	p := pattern{raw: raw}
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c < ' ':
			return p, errors.New("control character")
		case c == '$' && strings.HasPrefix(raw[i:], "${"):
			end := strings.IndexByte(raw[i:], '}')
			if end < 0 {
				return p, errors.New("${ without its }")
			}
			if err := p.variable(raw[i+2:i+end], &out); err != nil {
				return p, err
			}
			i += end
		case c == '*' && wildcards:
			p.wild = true
			out.WriteByte(anyMark)
		case c == '?' && wildcards:
			p.wild = true
			out.WriteByte(oneMark)
		default:
			out.WriteByte(c)
		}
	}
	p.text = out.String()
	return p, nil
}

func (p *pattern) variable(name string, out *strings.Builder) error {
	if name == "*" || name == "?" || name == "$" {
		out.WriteString(name)
		return nil
	}
	key, ok := knownKey(name)
	if !ok || key.many {
		return fmt.Errorf("unknown policy variable ${%s}", name)
	}
	if len(p.variables) == maxVariables {
		return fmt.Errorf("more than %d policy variables", maxVariables)
	}
	out.WriteByte(varMark)
	out.WriteByte('a' + byte(len(p.variables)))
	p.variables = append(p.variables, strings.ToLower(name))
	return nil
}

// fill puts the request's values in; false if one is absent, and then the pattern matches nothing.
func (p *pattern) fill(text string, s *scope) (string, bool) {
	if len(p.variables) == 0 || strings.IndexByte(text, varMark) < 0 {
		return text, true
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != varMark {
			out.WriteByte(text[i])
			continue
		}
		i++
		values := s.value(p.variables[text[i]-'a'])
		if len(values) != 1 || strings.ContainsAny(values[0], "\x01\x02\x03") {
			return "", false
		}
		out.WriteString(values[0])
	}
	return out.String(), true
}

// matches compares a whole text.
func (p *pattern) matches(s string, with *scope) bool {
	text, ok := p.fill(p.text, with)
	if !ok {
		return false
	}
	if !p.wild {
		return text == s
	}
	return glob(text, s)
}

// glob matches with marks for * and ?. It takes time in proportion to the product of the lengths, at worst.
func glob(p, s string) bool {
	if p == "\x01" {
		return true
	}
	pi, si, star, from := 0, 0, -1, 0
	for si < len(s) {
		switch {
		case pi < len(p) && p[pi] == anyMark:
			star, from = pi, si
			pi++
		case pi < len(p) && p[pi] == oneMark:
			_, size := utf8.DecodeRuneInString(s[si:])
			pi, si = pi+1, si+size
		case pi < len(p) && p[pi] == s[si]:
			pi, si = pi+1, si+1
		case star >= 0:
			from++
			pi, si = star+1, from
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == anyMark {
		pi++
	}
	return pi == len(p)
}

// arnPattern is a pattern for ARNs: each segment is matched on its own.
type arnPattern struct {
	pattern
	all  bool // the pattern is *
	part [6]string
}

var partitionPattern = regexp.MustCompile(`^(aws|aws-cn|aws-us-gov|\x01|aws\x01)$`)

// compileARN reads the ARN of a Resource element or of an ARN condition.
func compileARN(raw string) (arnPattern, error) {
	p, err := compile(raw, true)
	out := arnPattern{pattern: p}
	if err != nil {
		return out, err
	}
	if raw == "*" {
		out.all = true
		return out, nil
	}
	parts, ok := split(p.text)
	switch {
	case !ok:
		return out, errors.New("not an ARN: six parts with colons between them")
	case !partitionPattern.MatchString(parts[1]) && parts[1][0] != varMark:
		return out, fmt.Errorf("not an ARN: partition %s", show(parts[1]))
	case parts[2] == "" || strings.ContainsAny(parts[2], "\x01\x02\x03"):
		return out, errors.New("not an ARN: the service must be written out")
	case parts[5] == "":
		return out, errors.New("not an ARN: no resource")
	case !accountPattern.MatchString(parts[4]):
		return out, fmt.Errorf("not an ARN: account %s", show(parts[4]))
	}
	out.part = parts
	return out, nil
}

var accountPattern = regexp.MustCompile(`^([0-9]{12}|aws|[0-9]*[\x01\x02][0-9\x01\x02]*|\x03.)?$`)

func show(text string) string {
	return strings.NewReplacer("\x01", "*", "\x02", "?", "\x03", "$").Replace(`"` + text + `"`)
}

// split cuts an ARN into its six segments; the last keeps its colons.
func split(arn string) (parts [6]string, ok bool) {
	rest := arn
	for i := range 5 {
		at := strings.IndexByte(rest, ':')
		if at < 0 {
			return parts, false
		}
		parts[i], rest = rest[:at], rest[at+1:]
	}
	parts[5] = rest
	return parts, parts[0] == "arn" && parts[1] != ""
}

// matchesARN compares segment by segment; arn is what split made of whole.
func (p *arnPattern) matchesARN(whole string, arn *[6]string, with *scope) bool {
	if p.all {
		return true
	}
	if whole == "*" {
		return false
	}
	if !p.wild && len(p.variables) == 0 {
		return p.text == whole
	}
	for i := 5; i > 0; i-- { // the last segment differs most often
		text, ok := p.fill(p.part[i], with)
		if !ok || text != arn[i] && !glob(text, arn[i]) {
			return false
		}
	}
	return true
}

// overlaps says whether some ARN of a resource type can match.
func (p *arnPattern) overlaps(t resourceType) bool {
	if p.all {
		return true
	}
	if p.part[2] != t.service {
		return false
	}
	text := p.part[5]
	open := strings.IndexAny(text, "\x01\x02\x03")
	literal := text
	if open >= 0 {
		literal = text[:open]
	}
	if !strings.HasPrefix(literal, t.prefix) {
		return open >= 0 && strings.HasPrefix(t.prefix, literal)
	}
	rest := text[len(t.prefix):]
	if t.without != "" && strings.Contains(rest, t.without) {
		return false
	}
	return strings.Contains(rest, t.needs) || strings.ContainsAny(rest, "\x01\x03")
}
