package approval

import (
	"cmp"
	"embed"

	"ec2patch/internal/markup"
	"ec2patch/internal/plan"
	"ec2patch/internal/words"
)

// files holds the style that only this page has.
//
//go:embed page.css
var files embed.FS

func style() markup.Sheet { return markup.NewSheet(files, "page.css") }

// html is the page from its first to its last element.
func (v pageView) html() markup.Part {
	return markup.Page(markup.Text(v.Title+" – ec2patch"), style(),
		[]markup.Part{markup.Meta("robots", "noindex, nofollow")},
		v.banner(),
		markup.El("main", markup.Text("\n"), v.Question.html(), v.Form.html(v.Question)),
		markup.El("footer", markup.El("p", markup.Text("Opening this page decides nothing."),
			markup.If(v.Question != nil && v.Question.Pending && v.Question.Needed < 2,
				markup.Text(" Whoever has its link can decide: do not forward it.")))))
}

// banner says how the question stands.
func (v pageView) banner() markup.Part {
	return markup.El("header", markup.Text("\n"),
		markup.Lines(
			markup.Para("product", "ec2patch"),
			markup.El("h1", markup.El("span", markup.Class("sign "+v.Tone), markup.Unread(), markup.Text(v.Sign)),
				markup.Text(" "+v.Headline))),
		markup.Each(v.Text, func(sentence string) markup.Part { return markup.Lines(markup.Para("lead", sentence)) }),
		v.Question.urgent())
}

// urgent is what stands above the plan.
func (q *questionView) urgent() markup.Part {
	if q == nil {
		return nil
	}
	return markup.Group(
		markup.LineIf(q.Pending, markup.El("p", markup.Class("deadline"), markup.Text("Decide within "),
			markup.Strong(q.Left),
			markup.Text(", until "+q.Deadline+". Without an approval "+q.Refused+"."))))
}

func (q *questionView) html() markup.Part {
	if q == nil {
		return nil
	}
	return markup.Lines(
		markup.El("section", markup.Fixed("aria-labelledby", "plan"), markup.Text("\n"),
			markup.Lines(markup.El("h2", markup.Fixed("id", "plan"), markup.Text("The plan"))),
			q.doubts(),
			markup.Lines(q.counts(), q.facts(),
				markup.El("h3", markup.Fixed("id", "waves"), markup.Text("Waves, in this order")), q.waves()),
			markup.Each(q.Waves, waveView.named),
			markup.Each(q.Waves, waveView.places),
			markup.LineIf(q.Inactive != 0,
				markup.Para("dim", "Not active, and not in the plan: "+words.Count(q.Inactive, "account")+
					" of the organizational units.")),
			markup.LineIf(len(q.Unreachable) > 0, q.unreachable())),
		q.decided())
}

// doubts are the causes to ask, one or many.
func (q *questionView) doubts() markup.Part {
	const title = "The last wave is in doubt:"
	if len(q.Doubt) < 2 {
		return markup.Each(q.Doubt, func(why string) markup.Part {
			return markup.Lines(markup.El("p", markup.Class("alert"), markup.Strong(title), markup.Text(" "+why)))
		})
	}
	return markup.Lines(markup.El("div", markup.Class("alert"), markup.Text("\n"),
		markup.Lines(markup.El("p", markup.Strong(title))),
		markup.Lines(markup.El("ul", markup.Text("\n"), markup.Each(q.Doubt, func(why string) markup.Part {
			return markup.Lines(markup.El("li", markup.Text(why)))
		})))))
}

// counts are the numbers of the plan, large.
func (q *questionView) counts() markup.Part {
	instances := words.Noun(q.Instances, "instance")
	if q.Scan {
		instances += ", scan only"
	}
	return markup.El("dl", markup.Class("tiles"), markup.Text("\n"), markup.Lines(
		markup.El("div", markup.Class("main"), markup.Term(instances, words.Number(q.Instances))),
		markup.El("div", tile(q.Accounts, "account", "")),
		markup.El("div", tile(q.Regions, "region", "")),
		markup.El("div", markup.Term("matched, but left out", words.Number(q.Excluded))),
		markup.El("div", markup.If(q.Unreached > 0, markup.Class("warn")),
			tile(q.Unreached, "account-region", " not reached")),
	))
}

// tile is a number above what it counts.
func tile(n int, noun, which string) markup.Part {
	return markup.Term(words.Noun(n, noun)+which, words.Number(n))
}

func (q *questionView) facts() markup.Part {
	scope := q.Scope
	if q.OtherWaves != 0 {
		scope += ", not the run’s other waves (" + words.Number(q.OtherWaves) + ")"
	}
	return markup.El("dl", markup.Class("facts"), markup.Text("\n"), markup.Lines(
		markup.El("div", markup.Term("Run", q.Run)),
		markup.El("div", markup.Term("Question", scope)),
		markup.El("div", markup.Term("Requested by", requesterText(q.RequestedBy))),
		markup.El("div", markup.Term("Started by", unknownStarter)),
		markup.El("div", markup.Term("Reason", cmp.Or(q.Reason, "not given"))),
		markup.El("div", markup.Term("Asked", q.Asked)),
		markup.Each(q.Terms, func(line plan.Line) markup.Part {
			return markup.Lines(markup.El("div", markup.Term(line.Name, line.Text)))
		}),
		markup.LineIf(q.Expected != "", markup.El("div", markup.Term("Patching takes", q.Expected))),
		markup.LineIf(!q.Scan, markup.El("div", markup.Term("The whole run stops", q.Limit))),
		markup.El("div", markup.Class("wide"), markup.El("dt", markup.Text("Plan digest")),
			markup.El("dd", markup.Class("mono"), markup.Text(q.Digest))),
	))
}

// waves is the table of waves. Its roles are spelled out because its rows become
// blocks on a narrow screen, which takes a table's meaning away.
func (q *questionView) waves() markup.Part {
	head := markup.El("tr", markup.Fixed("role", "row"),
		column("", "Wave"), column("", "What happens"), column("", "Reboot"),
		column("num", "Instances"), column("num", "Accounts"), column("num", "Regions"), column("num", "Left out"))
	return markup.El("table", markup.Fixed("role", "table"), markup.Fixed("aria-labelledby", "waves"), markup.Text("\n"),
		markup.Lines(
			markup.El("thead", markup.Fixed("role", "rowgroup"), head),
			markup.El("tbody", markup.Fixed("role", "rowgroup"), markup.Text("\n"), markup.Each(q.Waves, waveView.row)),
		))
}

// requesterText is who asked for the run, by what the one who started it says.
func requesterText(claim string) string {
	if claim == "" {
		return "not given"
	}
	return claim + " (" + claimed + ")"
}

func column(class, name string) markup.Part {
	return markup.El("th", markup.Fixed("role", "columnheader"), markup.Fixed("scope", "col"),
		markup.If(class != "", markup.Class(class)), markup.Text(name))
}

func (w waveView) row() markup.Part {
	instances := markup.El("span", markup.El("b", markup.Text(w.Instances)),
		markup.If(w.Platforms != "", markup.Text(" "), markup.El("small", markup.Text(w.Platforms))),
		markup.If(w.Changes != "", markup.Text(" "), markup.El("small", markup.Class("flag"), markup.Text(w.Changes))),
		markup.If(w.All, markup.Text(" "),
			markup.El("small", markup.Class("flag"), markup.Text("every instance: the filter names no tag"))))
	happens := markup.El("span", markup.Text(w.Operation),
		markup.If(w.Duration != "", markup.Text(" "), markup.El("small", markup.Text(w.Duration))),
		markup.If(!w.Scan, markup.Text(" "), markup.El("small", markup.Text(w.Limit))))
	return markup.Lines(markup.El("tr", markup.Fixed("role", "row"),
		markup.El("th", markup.Fixed("role", "rowheader"), markup.Fixed("scope", "row"), markup.Text(w.Name)),
		cell("", "What happens", happens), cell("", "Reboot", markup.Text(w.Reboot)),
		cell("num", "Instances", instances), cell("num", "Accounts", markup.Text(w.Accounts)),
		cell("num", "Regions", markup.Text(w.Regions)), cell("num", "Left out", markup.Text(w.Missing))))
}

func cell(class, label string, content markup.Part) markup.Part {
	return markup.El("td", markup.Fixed("role", "cell"), markup.If(class != "", markup.Class(class)),
		markup.Attr("data-label", label), content)
}

// named are the instances of a wave that one should know of.
func (w waveView) named() markup.Part {
	if len(w.Notable) == 0 {
		return nil
	}
	return markup.Lines(markup.El("details", markup.Flag("open"),
		markup.Lines(
			markup.El("summary", markup.Text("Notable instances of wave "+w.Name)),
			markup.El("ul", markup.Class("places"), markup.Text("\n"), markup.Each(w.Notable, func(n notableView) markup.Part {
				return markup.Lines(markup.El("li", markup.Span("mono", n.ID),
					markup.If(n.Name != "", markup.Text(" "), markup.El("b", markup.Text(n.Name))),
					markup.Text(" "), markup.El("span", markup.Text(n.Platform)), markup.Text(" "), markup.Span("grow", n.Place),
					markup.Text(" "), markup.El("span", markup.Class("flag"), markup.Text(n.Why))))
			}))),
		markup.LineIf(w.MoreNotable > 0,
			markup.Para("dim", "and "+words.Number(w.MoreNotable)+" more; the plan in the data bucket names them all."))))
}

// places is a wave's accounts, folded.
func (w waveView) places() markup.Part {
	if len(w.Places) == 0 && w.MorePlaces == 0 {
		return nil
	}
	return markup.Lines(markup.El("details",
		markup.Lines(
			markup.El("summary", markup.Text("Accounts of wave "+w.Name)),
			markup.El("ul", markup.Class("places"), markup.Text("\n"), markup.Each(w.Places, func(p placeView) markup.Part {
				return markup.Lines(markup.El("li", markup.Span("mono", p.Account), markup.Text(" "),
					markup.Span("grow", p.Regions), markup.Text(" "), markup.El("b", markup.Text(p.Instances))))
			}))),
		markup.LineIf(w.MorePlaces != 0,
			markup.Para("dim", "and "+words.Number(w.MorePlaces)+
				" accounts more; the plan in the data bucket lists them all."))))
}

func (q *questionView) unreachable() markup.Part {
	return markup.El("details", markup.Flag("open"), markup.Class("warn"),
		markup.Lines(
			markup.El("summary", markup.Text("Not reached, and not in the plan")),
			markup.El("ul", markup.Class("places"), markup.Text("\n"),
				markup.Each(q.Unreachable, func(u plan.UnreachableAccount) markup.Part {
					return markup.Lines(markup.El("li", markup.Span("mono", u.Account), markup.Text(" "),
						markup.El("span", markup.Text(u.Region)), markup.Text(" "), markup.Span("grow dim", u.Reason)))
				}))),
		markup.LineIf(q.MoreUnreachable != 0, markup.Para("dim", "and "+words.Number(q.MoreUnreachable)+" more.")))
}

// decided is who answered so far, and what.
func (q *questionView) decided() markup.Part {
	answers := markup.Para("dim", "Nothing yet. The first answer decides.")
	switch {
	case len(q.Decisions) > 0:
		answers = markup.El("ul", markup.Class("decisions"), markup.Text("\n"), markup.Each(q.Decisions, decisionView.html))
	case q.Needed > 1:
		answers = markup.Para("dim",
			"Nothing yet. "+words.Number(q.Needed)+" approvals of different people are needed; one rejection ends the request.")
	}
	return markup.El("section", markup.Fixed("aria-labelledby", "decisions"), markup.Text("\n"), markup.Lines(
		markup.El("h2", markup.Fixed("id", "decisions"), markup.Text("Decided so far")), answers,
		markup.If(q.Ignored > 0, markup.Para("dim", ignoredText(q.Ignored)))))
}

// ignoredText counts the answers that changed nothing, as far as they are counted.
func ignoredText(n int) string {
	if n >= maxIgnored {
		return words.Number(n) + " or more further answers came and changed nothing."
	}
	return words.Count(n, "further answer") + " came and changed nothing."
}

func (d decisionView) html() markup.Part {
	return markup.Lines(markup.El("li",
		markup.El("span", markup.Class("chip "+d.Tone), markup.El("span", markup.Unread(), markup.Text(d.Sign)),
			markup.Text(" "+d.Word)),
		markup.Text(" by "), markup.El("b", markup.Text(cmp.Or(d.Name, "no name given"))), markup.Text(", "+d.At),
		markup.El("br"),
		markup.Span("dim", "Identity: "+d.Identity),
		markup.If(d.Reason != "", markup.El("br"), markup.El("q", markup.Text(d.Reason)))))
}
