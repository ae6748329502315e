package report

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
)

// Line makes text from the fleet safe to show on one line: terminal escape
// sequences, control and invisible format characters are removed, line breaks
// and tabs become spaces, bytes that are no UTF-8 become U+FFFD.
func Line(s string) string {
	return strings.TrimSpace(clean(s, func(b *strings.Builder, _ rune) { b.WriteByte(' ') }))
}

// Block is Line for text of several lines: line breaks and tabs stay.
func Block(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return clean(s, func(b *strings.Builder, r rune) {
		if r == '\t' {
			b.WriteByte('\t')
			return
		}
		b.WriteByte('\n')
	})
}

// clean drops what must not be shown and hands line breaks and tabs to space.
func clean(s string, space func(*strings.Builder, rune)) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		if n := escape(s); n > 0 {
			s = s[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case isBreak(r):
			space(&b, r)
		case !hidden(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain tells that nothing has to be cleaned; most names and reasons are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\t', '\v', '\f', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// hidden tells whether a rune draws nothing and may change how its neighbours
// are read: controls, bidirectional and zero-width marks, tags, non-characters.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || r&0xFFFE == 0xFFFE
}

// escape is the length of the terminal escape sequence at the start of s, 0 if
// there is none. A string sequence (title, clipboard, link) that is never closed
// loses its two introducing characters only, so that it cannot hide the rest.
// Source: ECMA-48, 5th edition, 5.3 to 5.6.
func escape(s string) int {
	kind, n := introducer(s)
	switch kind {
	case 0:
		return 0
	case '[':
		return n + run(s[n:], 0x20, 0x3F) + atMostOne(s[n+run(s[n:], 0x20, 0x3F):], 0x40, 0x7E)
	case ']', 'P', 'X', '^', '_':
		return n + terminated(s[n:])
	}
	return n
}

// introducer reads ESC and the character after it, or its one-character form
// from the C1 set, and returns the 7-bit name of the sequence and its length.
func introducer(s string) (kind byte, n int) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == 0x1B:
		inter := run(s[1:], 0x20, 0x2F)
		if inter > 0 || len(s) == 1 {
			return ' ', 1 + inter + atMostOne(s[1+inter:], 0x30, 0x7E)
		}
		if s[1] < 0x30 || s[1] > 0x7E {
			return ' ', 1
		}
		return s[1], 2
	case r >= 0x80 && r <= 0x9F && size == 2 && r != 0x85:
		return byte(r) - 0x40, size
	}
	return 0, 0
}

// run is how many bytes at the start of s lie between lo and hi.
func run(s string, lo, hi byte) int {
	n := 0
	for n < len(s) && s[n] >= lo && s[n] <= hi {
		n++
	}
	return n
}

// atMostOne is run, at most 1.
func atMostOne(s string, lo, hi byte) int { return min(run(s, lo, hi), 1) }

// terminated is the length of a string up to and with its terminator: BEL, or
// ST in either form. It is 0 if there is none.
func terminated(s string) int {
	best := 0
	for _, end := range []string{"\a", "\x1b\\", "\u009c"} {
		if i := strings.Index(s, end); i >= 0 && (best == 0 || i+len(end) < best) {
			best = i + len(end)
		}
	}
	return best
}

// inert is the instance with every text that the fleet or AWS wrote made safe.
func inert(i outcome.InstanceReport) outcome.InstanceReport {
	i.InstanceID = patch.InstanceID(Line(string(i.InstanceID)))
	i.Platform, i.Wave = patch.Platform(Line(string(i.Platform))), Line(i.Wave)
	i.Name, i.Reason, i.Warning = Line(i.Name), Line(i.Reason), Line(i.Warning)
	i.Detail = Line(i.Detail)
	i.Status, i.CommandID = Line(i.Status), patch.CommandID(Line(string(i.CommandID)))
	i.Output = Block(i.Output)
	i.Before, i.After = inertState(i.Before), inertState(i.After)
	if i.Patches != nil {
		i.Patches = each(i.Patches, inertPatch)
	}
	return i
}

func inertPatch(p outcome.NamedPatch) outcome.NamedPatch {
	p.State = outcome.NamedState(Line(string(p.State)))
	p.Title, p.KB, p.Classification, p.Severity = Line(p.Title), Line(p.KB), Line(p.Classification), Line(p.Severity)
	p.CVEs = each(p.CVEs, Line)
	return p
}

func inertState(p *outcome.PatchState) *outcome.PatchState {
	if p == nil {
		return nil
	}
	c := *p
	c.Operation = patch.Operation(Line(string(c.Operation)))
	c.SnapshotID, c.BaselineID = Line(c.SnapshotID), Line(c.BaselineID)
	return &c
}

func inertExcluded(e plan.ExcludedInstance) plan.ExcludedInstance {
	e.InstanceID = patch.InstanceID(Line(string(e.InstanceID)))
	e.Reason, e.Wave = Line(e.Reason), Line(e.Wave)
	return e
}

func inertUnreachable(u plan.UnreachableAccount) plan.UnreachableAccount {
	u.Reason = Line(u.Reason)
	return u
}

func inertAccount(a patch.AccountID) patch.AccountID { return patch.AccountID(Line(string(a))) }

func inertInactive(a runinput.InactiveAccount) runinput.InactiveAccount {
	a.Account, a.Wave, a.State = patch.AccountID(Line(string(a.Account))), Line(a.Wave), Line(a.State)
	return a
}

func inertApproval(a ApprovalReport) ApprovalReport {
	a.Scope, a.Status, a.Identity = Line(a.Scope), Line(a.Status), Line(a.Identity)
	a.Name, a.Reason = Line(a.Name), Line(a.Reason)
	a.Decisions = each(a.Decisions, inertDecision)
	return a
}

func inertDecision(d DecisionReport) DecisionReport {
	d.Decision, d.Identity, d.Name = Line(d.Decision), Line(d.Identity), Line(d.Name)
	d.Reason, d.Ignored = Line(d.Reason), Line(d.Ignored)
	return d
}
