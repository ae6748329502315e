package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// Bounds of what a screen shows.
const (
	maxTextAccounts  = 20 // of one wave; those with something open come first
	maxTextGroups    = 40
	maxTextInstances = 5 // of one group
	minTextWidth     = 40
	longestName      = len("Undeliverable") // of the outcomes that occur often
)

// Text writes the report for a terminal or a log: what was done in each wave and
// account, what was not patched and why, and a line that begins with RECAP. It
// is plain ASCII beside names from the fleet, fits width columns (40 or more;
// the RECAP line is never broken), and holds escape sequences only with colour.
func Text(w io.Writer, r *Report, width int, colour bool) error {
	t := textWriter{out: bufio.NewWriter(w), width: max(width, minTextWidth), colour: colour}
	t.head(r)
	t.waves(r.Waves)
	t.unmatched(r.Waves)
	t.problems(r, gather(r))
	t.unreachable(r.Unreachable)
	t.inactive(r.Inactive)
	t.approvals(r.Approvals)
	t.recap(r)
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

type textWriter struct {
	out    *bufio.Writer
	width  int
	colour bool
}

func (t *textWriter) head(r *Report) {
	kind := "Run"
	if r.Scans() {
		kind = "Scan"
	}
	fmt.Fprintf(t.out, "%s %s: %s\n", kind, words.Clean(string(r.Run)), t.paint(headTone(r), string(r.Status)))
	t.wrap("  ", statusSentence(r))
	for _, note := range headNotes(r) {
		t.wrap("  ", note)
	}
	if r.StatusReason != "" {
		t.wrap("  ", words.Clean(r.StatusReason))
	}
	for _, line := range r.Terms {
		t.wrap("  ", words.Clean(line.String()))
	}
	plan := fmt.Sprintf("%s in %s", words.Count(r.Totals.Planned, "instance"), words.Count(len(r.Waves), "wave"))
	if r.PlanDigest != "" {
		plan = "plan " + shorten(words.Clean(r.PlanDigest), 12) + ", " + plan
	}
	if r.Ended.After(r.Started) && !r.Started.IsZero() {
		plan += ", took " + words.Duration(r.Ended.Sub(r.Started))
	}
	t.wrap("  ", plan)
}

func (t *textWriter) waves(waves []WaveReport) {
	if len(waves) == 0 {
		return
	}
	all := map[outcome.Outcome]int{}
	for _, w := range waves {
		for _, o := range outcome.Outcomes() {
			all[o] += w.Outcomes[o]
		}
	}
	fmt.Fprintln(t.out)
	for _, l := range layouts(present(all)) {
		if table := l.rows(waves); tableWidth(table) <= t.width || l.last {
			t.table(table)
			return
		}
	}
}

// unmatched lists the accounts in which nothing was found.
func (t *textWriter) unmatched(waves []WaveReport) {
	head := "\n" + t.bold("Accounts in which nothing was matched") + "\n"
	for _, w := range waves {
		if len(w.Unmatched) == 0 {
			continue
		}
		fmt.Fprint(t.out, head)
		head = ""
		text := words.Clean(w.Name) + ":"
		for _, a := range w.Unmatched[:min(len(w.Unmatched), maxTextAccounts)] {
			text += " " + words.Clean(string(a))
		}
		if n := len(w.Unmatched) - maxTextAccounts; n > 0 {
			text += " and " + words.Number(n) + " more, see report.json"
		}
		t.wrap("  ", text)
	}
}

// layout is one way to write the table: which columns it has.
type layout struct {
	header []string
	cells  func(w WaveReport, planned int, m map[outcome.Outcome]int) []string
	joined bool // wave and account share the first column
	last   bool
}

// layouts are the ways to write the table, the widest first.
func layouts(columns []outcome.Outcome) []layout {
	full := layout{header: []string{"PLANNED"},
		cells: func(_ WaveReport, planned int, m map[outcome.Outcome]int) []string {
			cells := []string{words.Number(planned)}
			for _, o := range columns {
				cells = append(cells, words.Number(m[o]))
			}
			return cells
		}}
	for _, o := range columns {
		full.header = append(full.header, heading(o))
	}
	sums := layout{header: []string{"PLANNED", "OK", "NOT OK"},
		cells: func(w WaveReport, planned int, m map[outcome.Outcome]int) []string {
			return []string{words.Number(planned), words.Number(w.Done(m)), words.Number(planned - w.Done(m))}
		}}
	narrow := layout{header: []string{"OK", "NOT OK"}, joined: true, last: true,
		cells: func(w WaveReport, planned int, m map[outcome.Outcome]int) []string {
			return []string{words.Number(w.Done(m)), words.Number(planned - w.Done(m))}
		}}
	return []layout{full, sums, narrow}
}

func heading(o outcome.Outcome) string {
	if o == outcome.PatchedPendingReboot {
		return "REBOOT DUE"
	}
	return strings.ToUpper(string(o))
}

// rows are the header, a line a wave and a line for each of its accounts.
func (l layout) rows(waves []WaveReport) [][]string {
	rows := [][]string{append(l.names("WAVE", "ACCOUNT"), append(l.header, "VERDICT")...)}
	for _, w := range waves {
		row := append(l.names(words.Clean(w.Name), words.Count(len(w.Accounts), "account")),
			l.cells(w, w.Planned, w.Outcomes)...)
		rows = append(rows, append(row, cmp.Or(string(w.Verdict), "-")))
		shown := w.Accounts
		if len(shown) > maxTextAccounts {
			shown = accountsFirst(w)[:maxTextAccounts]
		}
		for _, a := range shown {
			rows = append(rows, append(l.names("", string(a.Account)), l.cells(w, a.Planned, a.Outcomes)...))
		}
		if n := len(w.Accounts) - len(shown); n > 0 {
			rows = append(rows, l.names("", "and "+words.Number(n)+" more"))
		}
	}
	return rows
}

// names are the cells that say which line this is.
func (l layout) names(wave, account string) []string {
	switch {
	case !l.joined:
		return []string{wave, account}
	case wave == "":
		return []string{"  " + account}
	}
	return []string{wave}
}

// table writes rows in columns: names and the verdict to the left, numbers to
// the right. A row may end early. Names give way when the table is too wide.
func (t *textWriter) table(rows [][]string) {
	widths := columnWidths(rows)
	if over := tableWidth(rows) - t.width; over > 0 {
		widths[0] = max(widths[0]-over, 6)
	}
	names := 1 + slices.Index(rows[0], "ACCOUNT")
	for i, row := range rows {
		var b strings.Builder
		for c, cell := range row {
			cell = shorten(cell, widths[c])
			pad := strings.Repeat(" ", widths[c]-runes(cell))
			switch {
			case c < max(names, 1) || c == len(widths)-1:
				b.WriteString(cell + pad)
			default:
				b.WriteString(pad + cell)
			}
			b.WriteString("  ")
		}
		line := shorten(strings.TrimRight(b.String(), " "), t.width)
		if i == 0 {
			line = t.dim(line)
		}
		fmt.Fprintln(t.out, line)
	}
}

func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for c, cell := range row {
			widths[c] = max(widths[c], runes(cell))
		}
	}
	return widths
}

func tableWidth(rows [][]string) int {
	total := -2
	for _, w := range columnWidths(rows) {
		total += w + 2
	}
	return total
}

func (t *textWriter) problems(r *Report, seen *gathered) {
	open, warned := seen.attention.sorted(), seen.warned.sorted()
	fmt.Fprintf(t.out, "\n%s\n", t.bold(openTitle(r)))
	t.wrap("  ", seen.calm(r))
	for _, g := range open[:min(len(open), maxTextGroups)] {
		t.group(g)
	}
	if n := len(open) - maxTextGroups; n > 0 {
		fmt.Fprintf(t.out, "  and %s, see report.csv\n", words.Count(n, "more reason"))
	}
	if len(warned) == 0 {
		return
	}
	fmt.Fprintf(t.out, "\n%s\n", t.bold("Good, with a warning"))
	for _, g := range warned[:min(len(warned), maxTextGroups)] {
		t.group(g)
	}
}

func (t *textWriter) group(g group) {
	why := cmp.Or(g.Why(), g.Look().Meaning)
	head := fmt.Sprintf("%6s  %s", words.Number(g.Count), t.paint(g.Look().Tone, string(g.Outcome)))
	gap := max(longestName-len(g.Outcome), 0) + 2
	if 8+len(g.Outcome)+gap+runes(why) <= t.width {
		fmt.Fprintln(t.out, head+strings.Repeat(" ", gap)+why)
	} else {
		fmt.Fprintln(t.out, head)
		t.wrap("        ", why)
	}
	for _, r := range g.rows()[:min(len(g.Rows), maxTextInstances)] {
		line := strings.Join([]string{string(r.InstanceID), string(r.Account), string(r.Region), r.Wave, r.Name}, " ")
		if g.differ() {
			line = strings.TrimRight(line, " ") + ": " + r.Reason
		}
		if r.Detail != "" {
			line = strings.TrimRight(line, " ") + ": " + r.Detail
		}
		t.wrap("        ", line)
	}
	if n := g.Count - maxTextInstances; n > 0 {
		fmt.Fprintln(t.out, "        and "+words.Number(n)+" more in report.csv")
	}
}

func (t *textWriter) unreachable(list []plan.UnreachableAccount) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t.out, "\n%s\n", t.bold("Not reached (in no number above)"))
	for _, u := range list[:min(len(list), maxTextGroups)] {
		t.wrap("  ", strings.TrimSpace(string(u.Account)+" "+string(u.Region))+": "+whyUnreachable(u))
	}
	if n := len(list) - maxTextGroups; n > 0 {
		fmt.Fprintf(t.out, "  and %s more, see report.json\n", words.Number(n))
	}
}

// inactive lists what the organizational units hold and no wave has.
func (t *textWriter) inactive(list []runinput.InactiveAccount) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t.out, "\n%s\n", t.bold("Not active in the organization, left out"))
	for _, a := range list[:min(len(list), maxTextGroups)] {
		t.wrap("  ", string(a.Account)+" "+words.Clean(a.Wave)+": "+words.Clean(a.State))
	}
	if n := len(list) - maxTextGroups; n > 0 {
		fmt.Fprintf(t.out, "  and %s more, see report.json\n", words.Number(n))
	}
}

func (t *textWriter) approvals(list []ApprovalReport) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t.out, "\n%s\n", t.bold("Approvals"))
	for _, a := range list {
		text := fmt.Sprintf("%s: %s", words.Clean(string(a.Scope)), words.Clean(string(a.Status)))
		if who := deciders(a); who != "" {
			text += " by " + who
		}
		if !a.Decided.IsZero() && !a.Asked.IsZero() {
			text += " after " + words.Duration(a.Decided.Sub(a.Asked))
		}
		if a.Reason != "" {
			text += ": " + words.Clean(a.Reason)
		}
		t.wrap("  ", text)
		for _, d := range a.Decisions {
			if !d.Counted {
				t.wrap("    ", fmt.Sprintf("not counted: %s by %s, %s", words.Clean(string(d.Decision)),
					cmp.Or(words.Clean(d.Name), words.Clean(d.Identity)), words.Clean(d.Ignored)))
			}
		}
	}
}

// deciders names who settled a question: everybody whose approval was needed, or
// the one who rejected.
func deciders(a ApprovalReport) string {
	var names []string
	for _, d := range a.Decisions {
		if d.Counted && d.Decision == decision.Approve && a.Status == decision.ApprovalApproved {
			names = append(names, cmp.Or(words.Clean(d.Name), words.Clean(d.Identity)))
		}
	}
	if len(names) == 0 {
		return cmp.Or(words.Clean(a.Name), words.Clean(a.Identity))
	}
	return strings.Join(names, " and ")
}

// recap is the one line that people and scripts look for.
func (t *textWriter) recap(r *Report) {
	parts := []string{"RECAP", words.Clean(string(r.Run))}
	for _, o := range outcome.Outcomes() {
		if n := r.Totals.Outcomes[o]; n > 0 || o == outcome.Patched {
			parts = append(parts, fmt.Sprintf("%s=%d", o, n))
		}
	}
	left := map[outcome.Outcome]int{}
	for _, e := range r.Excluded {
		left[e.Outcome]++
	}
	for _, o := range []outcome.Outcome{outcome.Offline, outcome.Unmanaged, outcome.Hybrid, outcome.Newcomer,
		outcome.Excluded} {
		if left[o] > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", o, left[o]))
		}
	}
	parts = append(parts, fmt.Sprintf("unreachable=%d", len(r.Unreachable)))
	fmt.Fprintf(t.out, "\n%s  %s\n", strings.Join(parts, " "), t.paint(headTone(r), string(r.Status)))
}

// wrap writes text in lines that begin with indent and fit the width. A word
// that is longer than a line is cut into pieces.
func (t *textWriter) wrap(indent, text string) {
	room := t.width - len(indent)
	line := ""
	for _, word := range strings.Fields(text) {
		for runes(word) > room {
			if line != "" {
				fmt.Fprintln(t.out, indent+line)
				line = ""
			}
			head := string([]rune(word)[:room])
			fmt.Fprintln(t.out, indent+head)
			word = word[len(head):]
		}
		switch {
		case line == "":
			line = word
		case runes(line)+1+runes(word) <= room:
			line += " " + word
		default:
			fmt.Fprintln(t.out, indent+line)
			line = word
		}
	}
	if line != "" {
		fmt.Fprintln(t.out, indent+line)
	}
}

func runes(s string) int { return len([]rune(s)) }

// shorten cuts text to width columns and marks the cut.
func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	if width <= 3 {
		return string(r[:max(width, 0)])
	}
	return string(r[:width-2]) + ".."
}

func (t *textWriter) paint(o tone, s string) string {
	code := map[tone]string{toneGood: "32", toneWarn: "33", toneBad: "31", toneNone: "2"}[o]
	return t.style(code, s)
}

func (t *textWriter) bold(s string) string { return t.style("1", s) }

func (t *textWriter) dim(s string) string { return t.style("2", s) }

func (t *textWriter) style(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
