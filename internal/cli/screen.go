package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ec2patch/internal/follow"
	"ec2patch/internal/outcome"
	"ec2patch/internal/words"
)

const (
	redrawEvery = 100 * time.Millisecond
	shownWaves  = 10
	minWidth    = 40
	maxAsked    = 5 // lines about an approval
)

type screenOptions struct {
	run     string
	width   int
	colour  bool
	unicode bool
	now     func() time.Time
	real    bool // a run, no rehearsal: counts accounts, not instances
}

// screen draws the progress in place: state becomes lines, lines are compared
// with those on the terminal, and only what differs is written again.
type screen struct {
	screenOptions
	out   io.Writer
	drawn []string
	last  time.Time
	next  *follow.Progress // not drawn yet
}

func newScreen(out io.Writer, o screenOptions) *screen {
	o.width = max(o.width, minWidth)
	return &screen{screenOptions: o, out: out}
}

func (s *screen) show(p follow.Progress) {
	s.next = &p
	if now := s.now(); s.drawn == nil || now.Sub(s.last) >= redrawEvery {
		s.last = now
		s.flush()
	}
}

// close draws what the rate held back and leaves the cursor below it.
func (s *screen) close() { s.flush() }

// note leaves what is drawn as it is, and goes on below.
func (s *screen) note(text string, _ time.Duration) {
	s.flush()
	s.drawn = nil
	fmt.Fprintln(s.out, fold(words.Clean(text), "  ", s.width))
}

func (s *screen) flush() {
	if s.next == nil {
		return
	}
	s.redraw(s.lines(*s.next))
	s.next = nil
}

// redraw goes up to the first line that was drawn and writes what changed.
func (s *screen) redraw(lines []string) {
	var b strings.Builder
	if n := len(s.drawn); n > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", n)
	}
	for i, line := range lines {
		if i >= len(s.drawn) || s.drawn[i] != line {
			b.WriteString("\r\x1b[K" + line)
		}
		b.WriteString("\n")
	}
	if len(lines) < len(s.drawn) {
		b.WriteString("\x1b[J")
	}
	s.drawn = lines
	io.WriteString(s.out, b.String())
}

// lines is what the terminal should show. None is wider than the terminal.
func (s *screen) lines(p follow.Progress) []string {
	head := fmt.Sprintf("%s  %s  %s", s.run, p.Phase, words.Duration(p.Elapsed))
	if !s.real {
		head += " (virtual)"
	}
	lines := []string{s.paint("1", cut(words.Clean(head), s.width))}
	from, to := window(p)
	if from > 0 {
		lines = append(lines, s.paint("2", cut(fmt.Sprintf("  %s done before", words.Count(from, "wave")), s.width)))
	}
	for _, w := range p.Waves[from:to] {
		lines = append(lines, s.wave(w))
	}
	if n := len(p.Waves) - to; n > 0 {
		lines = append(lines, s.paint("2", cut(fmt.Sprintf("  %s to come", words.Count(n, "more wave")), s.width)))
	}
	if text := asking(s.run, p); text != "" {
		asked := strings.Split(fold("  approval: "+words.Clean(text), "    ", s.width), "\n")
		for _, line := range asked[:min(len(asked), maxAsked)] {
			lines = append(lines, cut(line, s.width))
		}
	}
	return lines
}

// window picks the waves to show, with the current one among them.
func window(p follow.Progress) (from, to int) {
	current := 0
	for i, w := range p.Waves {
		if w.Name == p.Wave {
			current = i
		}
	}
	from = max(min(current-shownWaves/2, len(p.Waves)-shownWaves), 0)
	return from, min(from+shownWaves, len(p.Waves))
}

// wave is one wave's line: name, bar, counts; what does not fit is left out from
// the right.
func (s *screen) wave(w follow.Wave) string {
	ended := 0
	for _, n := range w.Outcomes {
		ended += n
	}
	nameWidth, barWidth := 12, min(max(s.width/4, 8), 30)
	if s.width < 60 {
		nameWidth = 8
	}
	left := fmt.Sprintf("  %-*s ", nameWidth, cut(words.Clean(w.Name), nameWidth))
	text := " " + words.Number(ended) + "/" + words.Number(w.Planned)
	if w.Verdict != "" {
		text += " " + string(w.Verdict)
	}
	if w.InFlight > 0 {
		text += ", " + words.Number(w.InFlight) + " in flight"
	}
	for _, o := range outcome.Outcomes() {
		if n := w.Outcomes[o]; n > 0 {
			text += ", " + string(o) + " " + words.Number(n)
		}
	}
	if n := w.Accounts; n.Total > 0 {
		text += ", accounts " + words.Number(n.Done) + "/" + words.Number(n.Total)
	}
	if s.real {
		text = runText(w)
	}
	room := s.width - len([]rune(left)) - barWidth
	return left + s.bar(w, barWidth) + cut(text, room)
}

// runText is what is known of a wave of a run.
func runText(w follow.Wave) string {
	text := ""
	if w.Verdict != "" {
		text = " " + string(w.Verdict)
	}
	if w.Accounts.Total > 0 {
		text += " " + accountWords(w.Accounts)
	}
	return text
}

// bar shows the good, the others and what is left.
func (s *screen) bar(w follow.Wave, width int) string {
	good, other := w.Outcomes[outcome.Patched]+w.Outcomes[outcome.Compliant], 0
	for _, n := range w.Outcomes {
		other += n
	}
	other -= good
	if s.real {
		good, other, w.Planned = w.Accounts.Done, 0, w.Accounts.Total
	}
	g, o := share(good, w.Planned, width), share(other, w.Planned, width)
	if o = min(o, width-g); w.Planned > 0 && good+other >= w.Planned && other > 0 {
		o = width - g
	}
	full, half, empty := "#", "x", "."
	if s.unicode {
		full, half, empty = "█", "▒", "░"
	}
	return s.paint("32", strings.Repeat(full, g)) + s.paint("33", strings.Repeat(half, o)) +
		s.paint("2", strings.Repeat(empty, width-g-o))
}

// share is n of total in cells; whoever is there has at least one.
func share(n, total, width int) int {
	if n <= 0 || total <= 0 {
		return 0
	}
	return min(max(n*width/total, 1), width)
}

func (s *screen) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cut shortens text to width characters.
func cut(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	return string(r[:max(width-2, 0)]) + ".."
}
