package plan

import (
	"cmp"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// Terms are what the plan asks of people, and who wanted it so: the stricter of the input and the hub's policy.
type Terms struct {
	runinput.Terms                 // in effect
	Seconds        int             `json:"seconds"` // an answer is waited for so long
	Input          runinput.Terms  `json:"input"`   // as the input says
	Hub            runinput.Policy `json:"hub"`     // as the hub demands
}

// TermsOf are the terms of an input that the hub's policy was applied to.
func TermsOf(in runinput.Input, hub runinput.Policy) Terms {
	t := Terms{Terms: runinput.Terms{Approval: in.Approval, Distinct: in.RequireDistinct},
		Seconds: in.ApprovalTimeoutSeconds, Hub: hub}
	t.Input = t.Terms
	if in.Asked != nil {
		t.Input = *in.Asked
	}
	return t
}

// Line is one fact about a plan, for people.
type Line struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func (l Line) String() string { return l.Name + ": " + l.Text }

// Lines say in words when people are asked, how many must approve, and who of input and hub wanted it so. A plan of an
// earlier release has none.
func (x *Index) Lines() []Line {
	t := x.Terms
	switch {
	case t.Approval == "":
		return nil
	case !x.changes():
		return []Line{{"Approval", "no one is asked, since nothing is changed"}}
	}
	line := Line{"Approval", fmt.Sprintf("%s, as the input says", t.Approval)}
	switch {
	case t.Input.Approval.Weaker(t.Approval):
		line.Text = fmt.Sprintf("%s, as the hub demands (MinimumApproval); the input says %s", t.Approval, t.Input.Approval)
	case t.Hub.MinimumApproval.Weaker(t.Approval):
		line.Text += fmt.Sprintf("; the hub demands %s", cmp.Or(t.Hub.MinimumApproval, runinput.ApproveNone))
	}
	all := []Line{line}
	switch {
	case t.Approval == runinput.ApproveNone || t.Distinct <= 1:
	case t.Input.Distinct < t.Distinct:
		all = append(all, Line{"Needed", fmt.Sprintf(
			"%d different people, as the hub demands (MinimumDistinct); the input says %d", t.Distinct, t.Input.Distinct)})
	default:
		all = append(all, Line{"Needed", fmt.Sprintf("%d different people, as the input says", t.Distinct)})
	}
	return all
}

// changes tells whether any wave changes instances.
func (x *Index) changes() bool {
	for _, w := range x.Waves {
		if w.changes() {
			return x.Planned() > 0
		}
	}
	return false
}

func (w IndexWave) changes() bool { return w.Operation != patch.Scan }

// Asks says which question must be answered before a wave, where approval is asked in this mode: none, run or
// wave:<name>. Nobody is asked about a scan, or about nothing.
func (x *Index) Asks(mode runinput.ApprovalMode, w IndexWave) patch.Scope {
	switch {
	case mode == runinput.ApproveNone, !x.changes():
		return patch.NoScope
	case mode == runinput.ApprovePerWave:
		if !w.changes() || w.Planned == 0 {
			return patch.NoScope
		}
		return patch.ScopeOfWave(w.Name)
	}
	return patch.ScopeOfRun
}

// Below says what of a hub's policy the plan does not meet, or nothing. It looks at what is asked before each wave and
// at the targets themselves, whatever the plan says of its terms.
func (x *Index) Below(p runinput.Policy) string {
	sent := 0
	for _, w := range x.Waves {
		n := 0
		for _, t := range w.Targets {
			n += t.Planned
		}
		sent += n
		if !w.changes() || n == 0 {
			continue
		}
		asked := map[patch.Scope]runinput.ApprovalMode{
			patch.ScopeOfRun: runinput.ApproveOnce, patch.ScopeOfWave(w.Name): runinput.ApprovePerWave,
		}[w.AskScope]
		switch {
		case asked.Weaker(p.MinimumApproval):
			return fmt.Sprintf("approval of wave %s is %s, MinimumApproval of the hub is %s", w.Name,
				cmp.Or(string(asked), string(runinput.ApproveNone)), p.MinimumApproval)
		case asked != "" && max(x.Needed, 1) < p.MinimumDistinct:
			return fmt.Sprintf("%d must approve, MinimumDistinct of the hub is %d", max(x.Needed, 1), p.MinimumDistinct)
		}
	}
	if p.MaxInstances > 0 && sent > p.MaxInstances {
		return TooMany(sent, p)
	}
	return ""
}

// TooMany says that a plan has more instances than the hub allows.
func TooMany(planned int, p runinput.Policy) string {
	return fmt.Sprintf("the plan has %s, MaxInstances of the hub allows %d", words.Count(planned, "instance"),
		p.MaxInstances)
}

// Broken says where the plan contradicts itself, or nothing: what people see of it must be what is asked and sent.
func (x *Index) Broken() string {
	if x.Needed != x.Terms.Distinct {
		return fmt.Sprintf("%d must approve by its terms, and %d by itself", x.Terms.Distinct, x.Needed)
	}
	for _, w := range x.Waves {
		planned := 0
		for _, t := range w.Targets {
			planned += t.Planned
		}
		switch asked := x.Asks(x.Terms.Approval, w); {
		case w.AskScope != asked:
			return fmt.Sprintf("wave %s asks %q, by the plan's terms it is %q", w.Name, w.AskScope, asked)
		case w.Planned != planned:
			return fmt.Sprintf("wave %s has %s, its targets have %d", w.Name, words.Count(w.Planned, "instance"),
				planned)
		}
	}
	return ""
}
