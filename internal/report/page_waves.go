package report

import (
	"cmp"
	"strconv"

	"ec2patch/internal/decision"
	"ec2patch/internal/markup"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

func (t timeline) grid(at tick) markup.Part {
	return markup.El("line", markup.Class("grid"), markup.Attr("x1", at.X), markup.Attr("x2", at.X),
		markup.Fixed("y1", "0"), markup.Attr("y2", strconv.Itoa(t.Foot)))
}

func (t timeline) label(at tick) markup.Part {
	return markup.El("text", markup.Class("axis"), markup.Attr("x", at.X), markup.Attr("y", strconv.Itoa(t.Height)),
		markup.Fixed("dy", "-4"),
		markup.If(at.Last, markup.Fixed("text-anchor", "end")), markup.Text(at.Label))
}

func spanMarkup(s span) markup.Part {
	class := "t-" + string(s.Tone)
	if s.Waiting {
		class = "wait"
	}
	return markup.Lines(markup.El("g",
		markup.El("title", markup.Text(s.Name+": "+s.Text)),
		markup.El("text", markup.Attr("y", strconv.Itoa(s.Y)),
			markup.El("tspan", markup.Class("name"), markup.Text(s.Name)), markup.Text(" "),
			markup.El("tspan", markup.Class("dim"), markup.Text(s.Text))),
		markup.El("rect", markup.Class(class), markup.Attr("x", s.X), markup.Attr("width", s.Width),
			markup.Attr("y", strconv.Itoa(s.BarY)),
			markup.Fixed("height", "10"), markup.Fixed("rx", "3"))))
}

// progress is every wave and its accounts.
func (p page) progress() markup.Part {
	waves := markup.Each(p.Waves, waveMarkup)
	if len(p.Waves) == 0 {
		waves = markup.Para("meaning", "The run ended before its first wave was planned.")
	}
	return section(markup.El("h2", markup.Text("Waves and accounts")), waves)
}

func waveMarkup(w waveView) markup.Part {
	verdict := markup.El("span", markup.Class("chip none"), markup.Text("not judged"))
	if w.Verdict != "" {
		verdict = markup.El("span", markup.Class("chip v-"+w.Verdict), markup.Text(w.Verdict))
	}
	return markup.Lines(markup.El("article", markup.Class("wave"), markup.Text("\n"), markup.Lines(
		markup.El("h3", markup.Text(w.Name+" "), verdict,
			markup.El("span", markup.Class("took"), markup.Text(words.Number(w.Done)+" of "+words.Number(w.Planned)+" OK"),
				markup.If(w.Took != "", markup.Text(" · "+w.Took)))),
		markup.If(w.Reason != "", markup.Para("meaning", w.Reason)),
		markup.If(len(w.Bar) > 0, barMarkup(w.Bar)),
		markup.If(w.Planned == 0, markup.Para("meaning", w.nothing())),
		markup.If(len(w.Accounts.Rows) > 0, w.accounts()),
		markup.If(w.None.Total > 0, w.unmatched()),
	)))
}

// nothing says why a wave had nothing to do.
func (w waveView) nothing() string {
	if w.Filter == "" {
		return "No instance matched this wave."
	}
	return "No instance matched this wave. It looked for: " + w.Filter + "."
}

// unmatched lists the accounts in which nothing was found.
func (w waveView) unmatched() markup.Part {
	more := ""
	if n := w.None.More(); n > 0 {
		more = " and " + words.Number(n) + " more, all in report.json"
	}
	return markup.El("p", markup.Class("meaning"),
		markup.Text("Nothing was matched in "+words.Count(w.None.Total, "account")+":"),
		markup.Each(w.None.Rows, func(a patch.AccountID) markup.Part {
			return markup.Group(markup.Text(" "), markup.Code(a))
		}), markup.Text(more+"."))
}

func (w waveView) accounts() markup.Part {
	head := markup.El("thead", markup.El("tr",
		title("Account"), markup.El("th", markup.Class("num"), markup.Text("Planned")),
		markup.Each(w.Columns, func(o outcome.Outcome) markup.Part {
			return markup.El("th", markup.Class("num"), markup.Text(o))
		}),
		markup.El("th", markup.Class("wide"), markup.El("span", markup.Class("hide"), markup.Text("Share")))))
	body := markup.El("tbody", markup.Each(w.Accounts.Rows, func(a accountView) markup.Part {
		return markup.Lines(markup.El("tr", cell(markup.Code(a.Account)), numCell(markup.Text(words.Number(a.Planned))),
			markup.Each(a.Cells, countCell),
			markup.El("td", markup.Class("wide"), barMarkup(a.Bar))))
	}))
	return markup.El("details", markup.If(!w.Folded, markup.Flag("open")),
		markup.El("summary", markup.Text(words.Count(w.Accounts.Total, "account"))), markup.Text("\n"),
		scroll(head, markup.Text("\n"), body), markup.Text("\n"),
		markup.If(w.Accounts.More() > 0, more(words.Number(w.Accounts.More())+" more accounts, all in ", "report.json")))
}

func countCell(n int) markup.Part {
	if n == 0 {
		return numCell(markup.El("span", markup.Class("zero"), markup.Text("0")))
	}
	return numCell(markup.Text(words.Number(n)))
}

// approvals is who was asked, and everything that they said.
func (p page) approvals() markup.Part {
	if len(p.Asked.Rows) == 0 {
		return nil
	}
	return block(markup.El("h2", markup.Text("Approvals")), markup.Each(p.Asked.Rows, approval),
		markup.If(p.Asked.More() > 0, more(words.Number(p.Asked.More())+" more are in ", "report.json")))
}

func approval(a ApprovalReport) markup.Part {
	facts := "asked " + words.Time(a.Asked) + " about " + words.Count(a.PlanCount, "instance")
	if a.Needed > 1 {
		facts += ", " + words.Number(a.Needed) + " approvals needed"
	}
	if !a.Decided.IsZero() {
		facts += ", settled " + words.Time(a.Decided)
	}
	return markup.Lines(markup.El("article", markup.Class("approval"), markup.Text("\n"), markup.Lines(
		markup.El("h3", markup.Text(words.UpperFirst(a.Scope.Text())+" "),
			markup.El("span", markup.Class("chip a-"+a.Status), markup.Text(a.Status)),
			markup.El("span", markup.Class("took"), markup.Text(facts))),
		markup.If(a.Status == decision.ApprovalExpired && len(a.Decisions) == 0, markup.Para("meaning", "Nobody decided.")),
		markup.If(len(a.Decisions) > 0,
			markup.El("ul", markup.Class("decisions"), markup.Each(a.Decisions[:min(len(a.Decisions), maxPerGroup)], decided))),
		markup.If(len(a.Decisions) > maxPerGroup,
			more(words.Number(len(a.Decisions)-maxPerGroup)+" more are in ", "report.json")),
	)))
}

func decided(d DecisionReport) markup.Part {
	word := cmp.Or(string(d.Decision.Status()), string(d.Decision))
	return markup.Group(markup.Text("\n"), markup.El("li",
		markup.Bold(word), markup.Text(" by "),
		markup.If(d.Name != "", markup.Bold(d.Name), markup.Text(" ")),
		markup.El("span", markup.Class("dim"), markup.Text(d.Identity)),
		markup.Text(" "), markup.El("span", markup.Class("when"), markup.Text(words.Time(d.At))),
		markup.If(d.Reason != "", markup.El("div", markup.Text("“"+d.Reason+"”"))),
		markup.If(!d.Counted, markup.El("div", markup.Class("warning"), markup.Mark("!"),
			markup.Text(" not counted: "+d.Ignored))),
	))
}

// goodOnes is the beginning of the list of instances that need nobody.
func (p page) goodOnes() markup.Part {
	h2 := markup.El("h2", markup.Text("Patched and compliant"))
	if p.Good.Total == 0 {
		return section(h2, markup.Para("meaning", "None."))
	}
	head := titles("Instance", "Name", "Account", "Region", "Wave", "Platform", "Outcome", "Before")
	return section(h2, markup.El("details", markup.El("summary", markup.Text(words.Count(p.Good.Total, "instance"))),
		markup.Text("\n"),
		scroll(head, markup.El("tbody", markup.Each(p.Good.Rows, goodRow))), markup.Text("\n"),
		markup.If(p.Good.More() > 0, more(words.Number(p.Good.More())+" more are in ", "report.csv"))))
}

func goodRow(r row) markup.Part {
	return markup.Group(markup.Text("\n"), markup.El("tr",
		cell(markup.Code(r.InstanceID)), cell(markup.Text(r.Name)), cell(markup.Code(r.Account)), tightCell(r.Region),
		cell(markup.Text(r.Wave)),
		cell(markup.Text(r.Platform)), cell(outcomeChip(r.Outcome)), cell(markup.Text(r.Before))))
}
