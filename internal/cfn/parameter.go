package cfn

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxParameterBytes bounds a parameter's value. Source: CloudFormation quotas, read 2026-11.
const maxParameterBytes = 4096

type parameter struct {
	name, kind   string
	line         int
	fallback     *string
	allowed      []string
	pattern      *regexp.Regexp
	minLength    *float64
	maxLength    *float64
	minValue     *float64
	maxValue     *float64
	hidden       bool
	explanation  string
	patternAsSet string
}

var parameterTypes = []string{"String", "Number", "List<Number>", "CommaDelimitedList"}

func (l *loader) parameter(f field) {
	n := f.value
	l.only(f.key, n, "Description", "Type", "Default", "AllowedValues", "AllowedPattern", "MinLength", "MaxLength",
		"MinValue", "MaxValue", "NoEcho", "ConstraintDescription")
	p := &parameter{name: f.key, line: f.line, kind: l.word(f.key, n, "Type"),
		hidden: l.word(f.key, n, "NoEcho") == "true", explanation: l.word(f.key, n, "ConstraintDescription"),
		minLength: l.limit(f.key, n, "MinLength"), maxLength: l.limit(f.key, n, "MaxLength"),
		minValue: l.limit(f.key, n, "MinValue"), maxValue: l.limit(f.key, n, "MaxValue")}
	if !slices.Contains(parameterTypes, p.kind) {
		l.add(f.line, "%s: unknown parameter type %q (known: %s)", f.key, p.kind, strings.Join(parameterTypes, ", "))
	}
	if n.get("Default") != nil {
		text := l.word(f.key, n, "Default")
		p.fallback = &text
	}
	if values := n.get("AllowedValues"); values != nil {
		if values.kind != list || len(values.items) == 0 {
			l.add(values.line, "%s: AllowedValues must be a list", f.key)
		}
		for _, v := range values.items {
			p.allowed = append(p.allowed, v.text)
		}
	}
	if p.patternAsSet = l.word(f.key, n, "AllowedPattern"); p.patternAsSet != "" {
		compiled, err := regexp.Compile(`^(?:` + shortRepeats(p.patternAsSet) + `)$`)
		if err != nil {
			l.add(f.line, "%s: AllowedPattern: %v", f.key, err)
		}
		p.pattern = compiled
	}
	l.t.parameters = append(l.t.parameters, p)
	if p.fallback != nil && len(l.found) == 0 {
		p.check(*p.fallback, func(format string, args ...any) {
			l.add(f.line, "%s: default "+format, append([]any{f.key}, args...)...)
		})
	}
}

// maxRepeat is the largest count that Go's regular expressions take; those of CloudFormation take more.
const maxRepeat = 1000

var longRepeat = regexp.MustCompile(`(\[(?:[^\]\\]|\\.)+\])\{([0-9]{1,4}),([0-9]{4})\}`)

// shortRepeats writes [a-z]{8,1224} as [a-z]{8,1000}[a-z]{0,224}, which means the same.
func shortRepeats(pattern string) string {
	return longRepeat.ReplaceAllStringFunc(pattern, func(match string) string {
		parts := longRepeat.FindStringSubmatch(match)
		least, errLeast := strconv.Atoi(parts[2])
		most, errMost := strconv.Atoi(parts[3])
		if errLeast != nil || errMost != nil || least > maxRepeat || most <= maxRepeat {
			return match
		}
		out := fmt.Sprintf("%s{%d,%d}", parts[1], least, maxRepeat)
		for most -= maxRepeat; most > 0; most -= maxRepeat {
			out += fmt.Sprintf("%s{0,%d}", parts[1], min(most, maxRepeat))
		}
		return out
	})
}

func (l *loader) limit(id string, n *node, key string) *float64 {
	text := l.word(id, n, key)
	if text == "" {
		return nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		l.add(n.get(key).line, "%s: %s must be a number", id, key)
		return nil
	}
	return &number
}

// check reports what is wrong with a value. The value of a NoEcho parameter is never repeated.
func (p *parameter) check(value string, report func(format string, args ...any)) {
	shown := strconv.Quote(value)
	if p.hidden {
		shown = "(NoEcho)"
	}
	because := ""
	if p.explanation != "" {
		because = ": " + p.explanation
	}
	if len(value) > maxParameterBytes {
		report("has %d bytes, CloudFormation takes %d", len(value), maxParameterBytes)
	}
	if p.allowed != nil {
		for _, one := range p.split(value) {
			if !slices.Contains(p.allowed, one) {
				report("%s is not one of %s%s", shown, strings.Join(p.allowed, ", "), because)
				break
			}
		}
	}
	// Source: CloudFormation User Guide, Parameters: AllowedPattern must match each value of a CommaDelimitedList.
	// Read 2026-11.
	if p.pattern != nil && slices.ContainsFunc(p.split(value), func(one string) bool {
		return !p.pattern.MatchString(one)
	}) {
		report("%s does not match %s%s", shown, p.patternAsSet, because)
	}
	length := float64(len([]rune(value)))
	if p.minLength != nil && length < *p.minLength || p.maxLength != nil && length > *p.maxLength {
		report("%s has %v characters, outside MinLength and MaxLength%s", shown, length, because)
	}
	if p.kind == "Number" || p.kind == "List<Number>" {
		for _, one := range p.split(value) {
			p.checkNumber(one, because, report)
		}
	}
}

func (p *parameter) checkNumber(value, because string, report func(format string, args ...any)) {
	number, err := strconv.ParseFloat(value, 64)
	if err != nil || !canonicalNumber.MatchString(value) {
		report("%q is not a number%s", value, because)
		return
	}
	if p.minValue != nil && number < *p.minValue || p.maxValue != nil && number > *p.maxValue {
		report("%s is outside MinValue and MaxValue%s", value, because)
	}
}

// split gives the elements of a list parameter, or the value itself.
func (p *parameter) split(value string) []string {
	if p.kind != "CommaDelimitedList" && p.kind != "List<Number>" {
		return []string{value}
	}
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// parameters settles the value of every parameter, as text or as a list of texts: CloudFormation hands over a Number
// as text.
func (d *deployer) parameters() {
	declared := make([]string, 0, len(d.t.parameters))
	for _, p := range d.t.parameters {
		declared = append(declared, p.name)
		value, given := d.with.Parameters[p.name]
		if !given {
			if p.fallback == nil {
				d.add(p.line, "parameter %s must have a value", p.name)
				continue
			}
			value = *p.fallback
		}
		p.check(value, func(format string, args ...any) {
			d.add(p.line, "parameter %s: "+format, append([]any{p.name}, args...)...)
		})
		if p.kind == "String" || p.kind == "Number" {
			d.values[p.name] = value
			continue
		}
		elements := []any{}
		for _, one := range p.split(value) {
			elements = append(elements, one)
		}
		d.values[p.name] = elements
	}
	for _, name := range slices.Sorted(maps.Keys(d.with.Parameters)) {
		if !slices.Contains(declared, name) {
			d.add(0, "parameter %s is not in the template", name)
		}
	}
}
