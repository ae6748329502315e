package report

import (
	"embed"
	"strconv"
	"strings"

	"ec2patch/internal/markup"
	"ec2patch/internal/outcome"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// files holds the style that only this page has.
//
//go:embed page.css
var files embed.FS

func style() markup.Sheet { return markup.NewSheet(files, "page.css") }

// html is the page from its first to its last element.
func (p page) html() markup.Part {
	title := markup.Text(string(p.Status) + " · " + p.Run + " · ec2patch")
	metas := []markup.Part{
		markup.El("meta", markup.Fixed("http-equiv", "Content-Security-Policy"), markup.Attr("content", p.Policy)),
		markup.Meta("referrer", "no-referrer"),
		markup.Meta("robots", "noindex"),
	}
	return markup.Page(title, style(), metas,
		p.banner(),
		markup.El("main", markup.Text("\n"), markup.Lines(
			p.recap(),
			nil,
			p.attention(),
			p.course(),
			p.progress(),
			p.approvals(),
			p.goodOnes(),
		)),
		markup.El("footer", markup.Text("\n"), markup.Lines(
			markup.If(p.Digest != "", markup.El("p", markup.Text("Plan digest (SHA-256) "), markup.Code(p.Digest))),
			markup.El("p", markup.Text("The same facts for programs: "), markup.Bold("report.json"),
				markup.Text(", form "+strconv.Itoa(p.Schema)+", and "), markup.Bold("report.csv"),
				markup.Text(", one row for each instance.")),
		)))
}

// banner says how the run ended.
func (p page) banner() markup.Part {
	kind := "patch run"
	if p.Scans {
		kind = "scan"
	}
	return markup.El("header", markup.Class(p.Tone), markup.Text("\n"), markup.Lines(
		markup.Para("product", "ec2patch "+kind),
		markup.El("h1", markup.Text(p.Run)),
		markup.El("p", markup.Class("status "+p.Tone),
			markup.El("span", markup.Class("sign"), markup.Unread(), markup.Text(p.Sign)),
			markup.El("strong", markup.Text(p.Status)), markup.Text(" "),
			markup.El("span", markup.Text(p.Sentence))),
		markup.If(p.Reason != "", markup.Para("reason", p.Reason)),
		markup.If(len(p.Notes) > 0, markup.Each(p.Notes, func(text string) markup.Part {
			return markup.Para("reason", text)
		})),
		markup.If(p.Scans, markup.Para("reason",
			"This was a scan: commands ran on the instances, and nothing was installed.")),
		markup.If(len(p.Facts) > 0, markup.El("dl", markup.Class("facts"), markup.Each(p.Facts, func(f fact) markup.Part {
			return markup.El("div", markup.Term(f.Name, f.Text))
		}))),
	))
}

// recap is the few numbers that matter most.
func (p page) recap() markup.Part {
	return markup.El("section", markup.Fixed("aria-label", "Recap"), markup.Text("\n"), markup.Lines(
		markup.El("div", markup.Class("tiles"), markup.Each(p.Tiles, func(t tile) markup.Part {
			return markup.El("div", markup.Class("tile "+t.Tone),
				markup.El("div", markup.Class("label"), markup.Mark(t.Sign), markup.Text(" "+t.Label)),
				markup.El("div", markup.Class("number"), markup.Text(words.Number(t.Number))),
				markup.El("div", markup.Class("note"), markup.Text(t.Note)))
		})),
		markup.If(len(p.Bar) > 0, markup.El("div", markup.Class("total"), barMarkup(p.Bar),
			markup.El("ul", markup.Class("legend"), markup.Each(p.Bar, legend)))),
	))
}

func legend(s segment) markup.Part {
	return markup.El("li",
		markup.El("svg", markup.Fixed("width", "10"), markup.Fixed("height", "10"), markup.Unread(),
			markup.El("rect", markup.Class("o-"+s.Outcome), markup.Fixed("width", "10"), markup.Fixed("height", "10"),
				markup.Fixed("rx", "2"))),
		markup.Text(s.Outcome+" "), markup.Bold(words.Number(s.Count)))
}

// attention is what somebody has to look at.
func (p page) attention() markup.Part {
	return section(
		markup.El("h2", markup.Text(p.Open)),
		markup.If(p.Calm != "", markup.Para("meaning", p.Calm)),
		markup.Each(p.Problems, groupMarkup),
		markup.If(len(p.Unreach.Rows) > 0,
			markup.Lines(
				markup.El("h3", markup.Text("Accounts and regions that could not be reached")),
				markup.Para("meaning", "What runs there is not in any number on this page.")),
			scroll(titles("Account", "Region", "Reason"),
				markup.El("tbody", markup.Each(p.Unreach.Rows, func(u plan.UnreachableAccount) markup.Part {
					return markup.El("tr", cell(markup.Code(u.Account)), tightCell(u.Region), cell(markup.Text(whyUnreachable(u))))
				})))),
		markup.Group(
			markup.If(p.Unreach.More() > 0, more(words.Number(p.Unreach.More())+" more are in ", "report.json")),
			markup.If(len(p.Inactive.Rows) > 0, p.inactive())),
		markup.If(len(p.Warnings) > 0, markup.El("h3", markup.Text("Good, with a warning")),
			markup.Each(p.Warnings, groupMarkup)),
	)
}

// inactive lists what the organizational units hold and no wave has.
func (p page) inactive() markup.Part {
	return markup.Lines(
		markup.El("h3", markup.Text("Accounts that are not active in the organization")),
		markup.Para("meaning", "The units that were asked for hold them. They are in no number on this page."),
		scroll(titles("Account", "Wave", "State"),
			markup.El("tbody", markup.Each(p.Inactive.Rows, func(a runinput.InactiveAccount) markup.Part {
				return markup.El("tr", cell(markup.Code(a.Account)), cell(markup.Text(a.Wave)), tightCell(a.State))
			}))),
		markup.If(p.Inactive.More() > 0, more(words.Number(p.Inactive.More())+" more are in ", "report.json")))
}

func groupMarkup(g group) markup.Part {
	why := g.Why()
	if why == "" {
		why = g.Look().Meaning
	}
	return markup.Lines(markup.El("details", markup.Class("group"), markup.Text("\n"), markup.Lines(
		markup.El("summary",
			markup.El("span", markup.Class("n"), markup.Text(words.Number(g.Count))), outcomeChip(g.Outcome),
			markup.El("span", markup.Class("why"), markup.Text(why)),
			markup.El("span", markup.Class("where"), markup.Text(words.Count(g.Accounts, "account")))),
		markup.If(g.Reason != "", markup.Para("meaning", g.Look().Meaning)),
		markup.El("ul", markup.Class("instances"), markup.Each(g.rows(), g.instance)),
		markup.If(g.More() > 0, more(words.Number(g.More())+" more of these are in ", "report.csv")),
	)))
}

// instance is one instance of a group, with all that is known about it.
func (g group) instance(r row) markup.Part {
	return markup.Group(markup.Text("\n"), markup.El("li",
		markup.El("div", markup.Class("id"), markup.Code(r.InstanceID),
			markup.If(r.Name != "", markup.Text(" "), markup.Bold(r.Name))),
		markup.Text("\n"),
		markup.El("div", markup.Class("facts"),
			markup.El("span", markup.Text("account "), markup.Bold(r.Account)),
			markup.El("span", markup.Text(r.Region)),
			markup.If(r.Wave != "", markup.El("span", markup.Text("wave "), markup.Bold(r.Wave))),
			optional("", string(r.Platform)), optional("SSM says ", r.Status), optional("before: ", r.Before),
			optional("after: ", r.After),
			markup.If(r.CommandID != "", markup.El("span", markup.Text("command "), markup.Code(r.CommandID)))),
		markup.If(g.own, markup.El("div", markup.Text(r.Reason))),
		markup.If(r.Detail != "", markup.El("div", markup.Class("dim"), markup.Text(r.Detail))),
		markup.If(r.Warning != "", markup.El("div", markup.Class("warning"), markup.Mark("!"), markup.Text(" "+r.Warning))),
		markup.If(r.Output != "", markup.El("details", markup.Class("output"),
			markup.El("summary", markup.Text("end of the command’s output")), markup.El("pre", markup.Text(r.Output)))),
		markup.If(len(r.Patches) > 0, r.patches()),
	))
}

// patches is the list of its patches by name.
func (r row) patches() markup.Part {
	return markup.El("details", markup.Class("output"),
		markup.El("summary", markup.Text(words.Count(len(r.Patches)+r.More, "patch")+" by name")),
		scroll(titles("State", "KB or package", "Title", "Severity", "CVE ids", "Installed"),
			markup.El("tbody", markup.Each(r.Patches, patchRow))),
		markup.If(r.More > 0, markup.Para("more", words.Number(r.More)+" more are not kept.")))
}

func patchRow(p outcome.NamedPatch) markup.Part {
	at := ""
	if p.At != nil {
		at = words.Time(*p.At)
	}
	return markup.Group(markup.Text("\n"), markup.El("tr",
		tightCell(string(p.State)), cell(markup.Code(p.KB)), cell(markup.Text(p.Title)), tightCell(p.Severity),
		cell(markup.Text(strings.Join(p.CVEs, " "))), tightCell(at)))
}

// course is the timeline of the run.
func (p page) course() markup.Part {
	t := p.Timeline
	if t == nil {
		return nil
	}
	return block(
		markup.El("h2", markup.Text("Timeline")),
		markup.El("svg", markup.Class("timeline"), markup.Fixed("width", "100%"),
			markup.Attr("height", strconv.Itoa(t.Height)), markup.Fixed("role", "img"),
			markup.Fixed("aria-label", "When each wave ran"), markup.Text("\n"), markup.Lines(
				markup.Each(t.Ticks, t.grid),
				markup.Group(markup.Each(t.Spans, spanMarkup), markup.Each(t.Ticks, t.label)),
			)),
		markup.If(t.More > 0, markup.Para("more", words.Number(t.More)+" later waves are not drawn.")),
	)
}
