package report

import (
	"cmp"
	"slices"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/words"
)

// Bounds of what a page or a screen lists. Everything else is in report.csv.
const (
	maxGroups    = 200 // distinct pairs of outcome and reason
	maxDetails   = 4   // groups of one reason not to send; the rest share one
	maxPerGroup  = 50  // instances shown of one group
	otherReasons = "other reasons"
	otherDetails = "other details"
)

// row is one instance in a list, from the plan or from outside of it.
type row struct {
	InstanceID patch.InstanceID
	Account    patch.AccountID
	Region     patch.Region
	Wave       string
	Platform   patch.Platform
	Name       string
	Outcome    outcome.Outcome
	Reason     string
	Detail     string
	Warning    string
	Status     string
	CommandID  patch.CommandID
	Output     string
	Before     string
	After      string
	Patches    []outcome.NamedPatch
	More       int // patches that are not among these
}

// group is every instance that shares an outcome and a reason, or the kind of a
// reason that is numbers.
type group struct {
	Outcome  outcome.Outcome
	Reason   string
	Detail   string  // of all its instances; what only some have, they tell themselves
	numbers  numbers // of a reason that is numbers alone
	own      bool    // each instance has a reason of its own
	others   bool    // it is shared by the reasons for which there was no group left
	Count    int
	Accounts int
	Rows     []row // the first maxPerGroup
	accounts map[patch.AccountID]bool
}

// rows are the instances, without the detail that the group tells.
func (g group) rows() []row {
	rows := slices.Clone(g.Rows)
	for i := range rows {
		rows[i].Detail = without(rows[i].Detail, g.Detail)
	}
	return rows
}

// shared is the parts that two details have in common, in the order of the first.
func shared(a, b string) string {
	in := words.Parts(b)
	return words.Joined(slices.DeleteFunc(words.Parts(a), func(part string) bool { return !slices.Contains(in, part) })...)
}

// without is the parts of a detail that the other one does not have.
func without(detail, told string) string {
	in := words.Parts(told)
	return words.Joined(slices.DeleteFunc(words.Parts(detail), func(part string) bool {
		return slices.Contains(in, part)
	})...)
}

// differ tells whether the instances must tell their reasons themselves.
func (g group) differ() bool { return g.own || g.numbers.differ() }

// More is how many instances of the group are not in Rows.
func (g group) More() int { return g.Count - len(g.Rows) }

// Look is how the group's outcome is shown.
func (g group) Look() look { return lookOf(g.Outcome) }

// Why is the reason as a sentence.
func (g group) Why() string {
	if g.Detail != "" {
		return explain(g.Outcome, g.Reason) + " (" + g.Detail + ")"
	}
	return explain(g.Outcome, g.Reason)
}

type groupKey struct {
	outcome outcome.Outcome
	reason  string
	detail  string // of what was not sent, while there are few
}

// groups gathers what was not patched by outcome and reason.
type groups struct {
	byKey   map[groupKey]*group
	keys    []groupKey
	details map[string]int // groups of what was not sent by reason
}

func newGroups() groups { return groups{byKey: map[groupKey]*group{}, details: map[string]int{}} }

// gathered is what the long lists of a report come to on a page or a screen.
type gathered struct {
	attention groups // what somebody has to look at
	warned    groups // good, with a warning: by its text
	good      listing[row]
	named     int                           // planned instances that the report lists
	reboot    map[string]patch.RebootOption // of the waves by name
}

func newGathered(r *Report) *gathered {
	g := &gathered{
		attention: newGroups(), warned: newGroups(), reboot: map[string]patch.RebootOption{},
	}
	for _, w := range r.Waves {
		g.reboot[w.Name] = w.Reboot
	}
	return g
}

// gather goes through a report that is in memory.
func gather(r *Report) *gathered {
	g := newGathered(r)
	for _, i := range r.Instances {
		g.instance(i)
	}
	for _, e := range r.Excluded {
		g.excluded(e)
	}
	return g
}

func (g *gathered) instance(i outcome.InstanceReport) {
	g.named++
	if !i.Outcome.Done(g.reboot[i.Wave]) {
		g.attention.add(i.Outcome, i.Reason, i, numbersOf(i.Short()))
		return
	}
	// What was asked for is done, and somebody may have to know: a reboot that was
	// put off stands in the reason.
	if note := cmp.Or(i.Warning, i.Reason); note != "" {
		g.warned.add(i.Outcome, note, i, nil)
	}
	g.good.Total++
	if len(g.good.Rows) < maxGoodRows {
		g.good.Rows = append(g.good.Rows, plannedRow(inert(i)))
	}
}

func (g *gathered) excluded(e plan.ExcludedInstance) {
	if in := g.attention.of(e.Outcome, words.Clean(e.Reason)).count(e.Account); len(in.Rows) < maxPerGroup {
		in.Rows = append(in.Rows, excludedRow(inertExcluded(e)))
	}
}

// unnamed is how many planned instances the report counts and does not list. It
// is zero for every report that a run wrote to its end.
func (g *gathered) unnamed(r *Report) int { return max(r.Totals.Planned-g.named, 0) }

// openTitle is the heading above the instances that need attention.
func openTitle(r *Report) string {
	if r.Scans() {
		return "What is not compliant, and why"
	}
	return "What was not patched, and why"
}

// calm is the sentence under that heading where the groups do not say all: there
// are none, or the report names fewer instances than it counts.
func (g *gathered) calm(r *Report) string {
	switch {
	case g.unnamed(r) == 1:
		return "1 of the planned instances is counted and not named in the report."
	case g.unnamed(r) > 0:
		return words.Number(g.unnamed(r)) + " of the planned instances are counted and not named in the report."
	case len(g.attention.keys) > 0:
		return ""
	case r.Totals.Planned == 0:
		return "No instance was planned."
	case r.Scans():
		return "Every planned instance is compliant."
	}
	return "Every planned instance is patched or compliant."
}

// add puts a planned instance into its group.
func (gs *groups) add(o outcome.Outcome, reason string, i outcome.InstanceReport, found numbers) {
	g := gs.group(o, words.Clean(reason), words.Clean(i.Detail), i.Down, found).count(i.Account)
	if detail := words.Clean(i.Detail); g.Count == 1 {
		g.Detail = detail
	} else if g.Detail != detail {
		g.Detail = shared(g.Detail, detail)
	}
	if len(g.Rows) < maxPerGroup {
		g.Rows = append(g.Rows, plannedRow(inert(i)))
	}
}

// group finds or makes the group of an instance. What was not sent shares one by which limit kept it back, up to
// maxDetails of them.
func (gs *groups) group(o outcome.Outcome, reason, detail string, down outcome.Down, found numbers) *group {
	if o != outcome.NotSent {
		return gs.alike(o, reason, down, found)
	}
	key := groupKey{o, reason, detail}
	if gs.byKey[key] == nil {
		if gs.details[reason] >= maxDetails {
			key.detail = otherDetails
		} else {
			gs.details[reason]++
		}
	}
	return gs.at(key)
}

// alike finds or makes the group of a reason. Instances that are down share one by
// what is wrong with them: since when, and what is on them, each tells itself.
func (gs *groups) alike(o outcome.Outcome, reason string, down outcome.Down, found numbers) *group {
	if down == "" {
		return gs.counting(o, reason, found)
	}
	g := gs.of(o, outcome.DownText(down))
	g.own = true
	return g
}

// counting finds or makes the group of a reason that may be numbers.
func (gs *groups) counting(o outcome.Outcome, reason string, found numbers) *group {
	if found == nil {
		return gs.of(o, reason)
	}
	g := gs.of(o, found.kind())
	switch {
	case g.others:
		return g
	case g.numbers == nil:
		g.numbers = found
	default:
		g.numbers.widen(found)
	}
	g.Reason = g.numbers.text()
	return g
}

// of finds or makes a group. Past maxGroups an outcome's new reasons share one.
func (gs *groups) of(o outcome.Outcome, reason string) *group {
	return gs.at(groupKey{outcome: o, reason: reason})
}

func (gs *groups) at(key groupKey) *group {
	if g := gs.byKey[key]; g != nil {
		return g
	}
	full := len(gs.keys) >= maxGroups
	if full {
		key.reason, key.detail = otherReasons, ""
		if g := gs.byKey[key]; g != nil {
			return g
		}
	}
	g := &group{Outcome: key.outcome, Reason: key.reason, others: full, accounts: map[patch.AccountID]bool{}}
	gs.byKey[key] = g
	gs.keys = append(gs.keys, key)
	return g
}

func (g *group) count(a patch.AccountID) *group {
	g.Count++
	g.accounts[a] = true
	g.Accounts = len(g.accounts)
	return g
}

// sorted is all groups, the most urgent first.
func (gs *groups) sorted() []group {
	rank := map[outcome.Outcome]int{}
	for i, o := range notDone() {
		rank[o] = i - len(notDone()) // before outcomes that are not known
	}
	out := make([]group, 0, len(gs.keys))
	for _, k := range gs.keys {
		out = append(out, *gs.byKey[k])
	}
	slices.SortStableFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(rank[a.Outcome], rank[b.Outcome]), cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

func plannedRow(i outcome.InstanceReport) row {
	return row{
		InstanceID: i.InstanceID, Account: i.Account, Region: i.Region, Wave: i.Wave, Platform: i.Platform, Name: i.Name,
		Outcome: i.Outcome, Reason: i.Reason, Detail: i.Detail, Warning: i.Warning, Status: i.Status, CommandID: i.CommandID,
		Output: i.Output,
		Before: stateText(i.Before), After: stateText(i.After), Patches: i.Patches, More: i.MorePatches,
	}
}

func excludedRow(e plan.ExcludedInstance) row {
	return row{InstanceID: e.InstanceID, Account: e.Account, Region: e.Region, Wave: e.Wave, Outcome: e.Outcome,
		Reason: e.Reason}
}

// stateText is a patch state in a few words: "3 missing, 1 failed". A count that
// was not reported is not mentioned; a state without any is "no counts".
func stateText(p *outcome.PatchState) string {
	if p == nil {
		return ""
	}
	text := ""
	for _, c := range []struct {
		n    *int
		word string
	}{{p.Missing, "missing"}, {p.Failed, "failed"}, {p.InstalledPendingReboot, "waiting for a reboot"},
		{p.Installed, "installed"}} {
		if c.n == nil || (*c.n == 0 && c.word != "missing") {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += words.Number(*c.n) + " " + c.word
	}
	return cmp.Or(text, "no counts")
}

// accountsFirst orders a wave's accounts for a list that is cut: those with the
// most open instances first, equal ones in their own order.
func accountsFirst(w WaveReport) []AccountReport {
	out := slices.Clone(w.Accounts)
	open := func(a AccountReport) int { return a.Planned - w.Done(a.Outcomes) }
	slices.SortStableFunc(out, func(a, b AccountReport) int { return cmp.Compare(open(b), open(a)) })
	return out
}
