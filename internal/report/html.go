package report

import (
	"fmt"
	"io"

	"ec2patch/internal/markup"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// Bounds of the page, so that 100,000 instances still open on a phone.
const (
	maxGoodRows     = 500 // instances listed under "Patched and compliant"
	maxAccountRows  = 200 // accounts listed in one wave
	maxWaveAccounts = 12  // a wave with more accounts is folded
	maxListed       = 1000
)

// htmlForm is report.html under way.
type htmlForm struct {
	out  io.Writer
	head *Report
	seen *gathered
}

// NewHTML begins report.html: one file without scripts, fonts, pictures or links
// to anywhere. Its content security policy forbids everything but its own style.
// It is written when it is closed, from r and what was seen until then.
func NewHTML(w io.Writer, r *Report) Form {
	return &htmlForm{out: w, head: r, seen: newGathered(r)}
}

func (f *htmlForm) Instance(i outcome.InstanceReport) error {
	f.seen.instance(i)
	return nil
}

func (f *htmlForm) Excluded(e plan.ExcludedInstance) error {
	f.seen.excluded(e)
	return nil
}

func (f *htmlForm) Close() error {
	if err := markup.Document(f.out, newPage(f.head, f.seen).html()); err != nil {
		return fmt.Errorf("write report.html: %w", err)
	}
	return nil
}

// page is what report.html shows. Every text in it has been cleaned; it is
// escaped where it is written.
type page struct {
	Policy   string
	Run      string
	Status   patch.RunStatus
	Tone     tone
	Sign     string
	Sentence string
	Reason   string
	Notes    []string // under the reason
	Scans    bool
	Facts    []fact
	Tiles    []tile
	Bar      []segment
	Problems []group
	Open     string // the heading above Problems
	Calm     string // the sentence before them, if any
	Warnings []group
	Unreach  listing[plan.UnreachableAccount]
	Inactive listing[runinput.InactiveAccount]
	Timeline *timeline
	Waves    []waveView
	Asked    listing[ApprovalReport]
	Good     listing[row]
	Digest   string
	Schema   int
}

type fact struct{ Name, Text string }

type tile struct {
	Number int
	Label  string
	Tone   tone
	Sign   string
	Note   string
}

// listing is the beginning of a list and how much of it is elsewhere.
type listing[T any] struct {
	Rows  []T
	Total int
}

// More is how many are not listed.
func (l listing[T]) More() int { return l.Total - len(l.Rows) }

func newPage(r *Report, seen *gathered) page {
	p := page{
		Policy: policy(style()),
		Run:    words.Clean(string(r.Run)), Status: r.Status, Tone: headTone(r),
		Sentence: statusSentence(r), Reason: words.Clean(r.StatusReason), Notes: headNotes(r), Scans: r.Scans(),
		Facts: facts(r), Tiles: tiles(r), Bar: bar(r.Totals.Outcomes, r.Totals.Planned),
		Problems: seen.attention.sorted(), Open: openTitle(r), Calm: seen.calm(r), Warnings: seen.warned.sorted(),
		Unreach: first(r.Unreachable, maxListed, inertUnreachable), Inactive: first(r.Inactive, maxListed, inertInactive),
		Asked:    first(r.Approvals, maxListed, inertApproval),
		Timeline: newTimeline(r), Waves: waveViews(r.Waves), Good: seen.good,
		Digest: words.Clean(r.PlanDigest), Schema: r.SchemaVersion,
	}
	p.Sign = map[tone]string{toneGood: "✓", toneWarn: "!", toneBad: "✗"}[p.Tone]
	return p
}

// policy allows the page's own style by its digest and nothing else.
func policy(style markup.Sheet) string {
	return "default-src 'none'; style-src " + style.Source() + "; base-uri 'none'; form-action 'none'"
}

func facts(r *Report) []fact {
	var out []fact
	add := func(name, text string) {
		if text != "" {
			out = append(out, fact{name, text})
		}
	}
	if r.RequestedBy != "" {
		add("Requested by", words.Clean(r.RequestedBy)+" (as the starter says)")
	}
	add("Started by", "not known")
	add("Reason", words.Clean(r.Reason))
	for _, line := range r.Terms {
		add(line.Name, words.Clean(line.Text))
	}
	if !r.Started.IsZero() {
		add("Started", words.Time(r.Started))
	}
	if r.Ended.After(r.Started) {
		add("Took", words.Duration(r.Ended.Sub(r.Started)))
	}
	return out
}

// tiles are the recap: few numbers, big, each with its sign and its word.
func tiles(r *Report) []tile {
	o := r.Totals.Outcomes
	out := []tile{{Number: r.Totals.Planned, Label: "planned", Tone: toneNone, Sign: "▪",
		Note: words.Count(len(r.Waves), "wave")}}
	if !r.Scans() || o[outcome.Patched] > 0 {
		out = append(out, tile{Number: o[outcome.Patched], Label: "patched", Tone: loud(o[outcome.Patched], toneGood),
			Sign: "✓", Note: "with fresh evidence"})
	}
	out = append(out,
		tile{Number: o[outcome.Compliant], Label: "compliant", Tone: loud(o[outcome.Compliant], toneGood), Sign: "✓",
			Note: "nothing was missing"},
	)
	if n := o[outcome.NonCompliant]; n > 0 || r.Scans() {
		out = append(out, tile{Number: n, Label: "not compliant", Tone: loud(n, toneWarn), Sign: "▲",
			Note: "patches are missing"})
	}
	if n := o[outcome.PatchedPendingReboot]; n > 0 {
		out = append(out, tile{Number: n, Label: "reboot due", Tone: toneWarn, Sign: "↻", Note: "patches are installed"})
	}
	return append(out,
		tile{Number: r.Totals.Failures, Label: "failures", Tone: loud(r.Totals.Failures, toneBad), Sign: "✗",
			Note: "of every kind"},
		tile{Number: o[outcome.NotSent], Label: "not sent", Tone: loud(o[outcome.NotSent], toneWarn), Sign: "–",
			Note: "planned, untouched"},
		tile{Number: r.Totals.Excluded, Label: "outside the plan", Tone: loud(r.Totals.Excluded, toneWarn), Sign: "○",
			Note: "matched, left out"},
		tile{Number: len(r.Unreachable), Label: "unreachable", Tone: loud(len(r.Unreachable), toneBad), Sign: "⊘",
			Note: "accounts and regions"},
	)
}

// loud is the tone of a number that says nothing when it is zero.
func loud(n int, t tone) tone {
	if n == 0 {
		return toneNone
	}
	return t
}

// segment is one part of a bar, in percent of its length.
type segment struct {
	Outcome  outcome.Outcome
	Count    int
	X, Width string
	Tone     tone
}

func bar(m map[outcome.Outcome]int, total int) []segment {
	var out []segment
	at := 0
	for _, o := range outcome.Outcomes() {
		n := m[o]
		if n == 0 || total <= 0 {
			continue
		}
		out = append(out, segment{Outcome: o, Count: n, Tone: lookOf(o).Tone, X: percent(at, total),
			Width: percent(n, total)})
		at += n
	}
	return out
}

func percent(n, of int) string { return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(of)) }

type waveView struct {
	Name     string
	Verdict  patch.Verdict
	Tone     tone
	Reason   string
	Planned  int
	Done     int
	Took     string
	Filter   string
	None     listing[patch.AccountID] // accounts in which nothing was matched
	Bar      []segment
	Columns  []outcome.Outcome
	Accounts listing[accountView]
	Folded   bool
}

type accountView struct {
	Account patch.AccountID
	Planned int
	Cells   []int
	Bar     []segment
}

func waveViews(waves []WaveReport) []waveView {
	out := make([]waveView, 0, len(waves))
	for _, w := range waves {
		v := waveView{
			Name: words.Clean(w.Name), Verdict: w.Verdict, Tone: verdictTone(w.Verdict), Reason: words.Clean(w.Reason),
			Planned: w.Planned, Filter: words.Clean(w.Filter), None: first(w.Unmatched, maxAccountRows, inertAccount),
			Done: w.Done(w.Outcomes), Bar: bar(w.Outcomes, w.Planned), Columns: present(w.Outcomes),
			Folded: len(w.Accounts) > maxWaveAccounts,
		}
		if w.Started != nil && w.Ended != nil && w.Ended.After(*w.Started) {
			v.Took = words.Duration(w.Ended.Sub(*w.Started))
		}
		v.Accounts = accountViews(w, v.Columns)
		out = append(out, v)
	}
	return out
}

func accountViews(w WaveReport, columns []outcome.Outcome) listing[accountView] {
	in := w.Accounts
	l := listing[accountView]{Total: len(in)}
	if len(in) > maxAccountRows {
		in = accountsFirst(w)[:maxAccountRows]
	}
	for _, a := range in {
		v := accountView{Account: a.Account, Planned: a.Planned, Bar: bar(a.Outcomes, a.Planned)}
		for _, o := range columns {
			v.Cells = append(v.Cells, a.Outcomes[o])
		}
		l.Rows = append(l.Rows, v)
	}
	return l
}

// present lists the outcomes that occur, in the order of every table.
func present(m map[outcome.Outcome]int) []outcome.Outcome {
	var out []outcome.Outcome
	for _, o := range outcome.Outcomes() {
		if m[o] > 0 {
			out = append(out, o)
		}
	}
	return out
}

func verdictTone(v patch.Verdict) tone {
	switch v {
	case patch.VerdictGood:
		return toneGood
	case patch.VerdictAsk:
		return toneWarn
	case patch.VerdictStop:
		return toneBad
	}
	return toneNone
}

func first[T any](in []T, limit int, f func(T) T) listing[T] {
	return listing[T]{Rows: each(in[:min(len(in), limit)], f), Total: len(in)}
}
