package approval

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/words"
)

// Bounds of the page: a plan of a thousand accounts still opens on a phone. The
// counts are always those of the whole plan.
const (
	maxShownAccounts    = 40  // of one wave
	maxShownUnreachable = 60  // account-regions
	maxShownPlaces      = 400 // account lines of the whole page
	maxShownNotable     = 24  // instances of one wave; the plan names no more
)

// questionView is the plan and how far the decision is.
type questionView struct {
	Run, Scope, RequestedBy, Reason        string
	Doubt                                  []string // why people are asked about going on
	Refused                                string   // what a rejection or no answer means
	Asked, Deadline, Left                  string
	Instances, Accounts, Regions, Excluded int
	Unreached                              int
	Expected, Limit                        string      // how long it takes, and what stops the run
	Terms                                  []plan.Line // when people are asked, and who wanted it so
	Ignored, Inactive                      int
	Code, Digest                           string
	Scan                                   bool // nothing is installed
	Pending                                bool
	OtherWaves                             int
	Needed, Approvals                      int
	Decisions                              []decisionView
	Waves                                  []waveView
	Unreachable                            []plan.UnreachableAccount
	MoreUnreachable                        int
}

type decisionView struct{ Tone, Sign, Word, Name, Identity, Reason, At string }

type waveView struct {
	Name, Operation, Reboot               string
	Instances, Accounts, Regions, Missing string
	Platforms, Changes, Limit, Duration   string
	All, Scan                             bool
	Places                                []placeView
	MorePlaces                            int
	Notable                               []notableView
	MoreNotable                           int
}

// notableView is one instance that is named. Gone ones are not in the plan.
type notableView struct{ ID, Name, Platform, Place, Why string }

type placeView struct{ Account, Regions, Instances string }

// formView is the form with what was typed and what is wrong with it.
type formView struct {
	ID, Capability         string
	Decision               decision.Choice
	Name, Reason           string
	Code                   string
	NameLimit, ReasonLimit int
	Problems               []formProblem

	late bool // the answer came after the question was decided
	slow bool // the answer is recorded, but the run was not told yet
}

type formProblem struct{ Field, Text string }

func (v *formView) problem(field, text string) {
	if text != "" {
		v.Problems = append(v.Problems, formProblem{field, text})
	}
}

// Problem is what is wrong with a field, empty if nothing is.
func (v *formView) Problem(field string) string {
	for _, p := range v.Problems {
		if p.Field == field {
			return p.Text
		}
	}
	return ""
}

// stateView is the head of the page: how the question stands, in words.
func stateView(q question, form formView, barred bar, now time.Time) pageView {
	v := pageView{Title: "Run " + string(q.rec.Run)}
	switch q.status {
	case decision.ApprovalApproved:
		v.Tone, v.Sign, v.Headline = "good", "✓", "Approved"
	case decision.ApprovalRejected:
		v.Tone, v.Sign, v.Headline = "bad", "✕", "Rejected"
	default:
		v.pending(q, form, barred)
		return v
	}
	v.Title = v.Headline + ": run " + string(q.rec.Run)
	if form.late {
		v.Text = append(v.Text, "This was decided before. Your answer changed nothing.")
	}
	if d, ok := q.settledBy(); ok {
		v.Text = append(v.Text, fmt.Sprintf("Decided by %s at %s.", personText(d), words.Time(d.At)))
	}
	switch {
	case form.slow:
		v.Text = append(v.Text, "The decision is recorded. It takes effect by the next reminder.")
	case q.aborted != nil:
		v.Text = append(v.Text, q.abortText())
	case q.status == decision.ApprovalRejected:
		v.Text = append(v.Text, "So "+refusedText(q.rec.Scope)+".")
	default:
		v.Text = append(v.Text, "The run continues by itself: there is nothing more to do here.")
	}
	return v
}

func (v *pageView) pending(q question, form formView, barred bar) {
	v.Tone, v.Sign = "warn", "?"
	v.Headline = "Approve " + words.Count(q.rec.Instances, "instance") + "?"
	if q.rec.Scope.Soak() {
		v.Headline = "Go on after wave " + nameText(q.rec.Scope.Wave()) + "?"
	}
	v.Title = v.Headline + " Run " + string(q.rec.Run)
	switch {
	case len(form.Problems) > 0:
		v.Title = "Not sent: " + v.Title
	case form.late:
		v.Text = append(v.Text, "This answer changed nothing: only the first one of each person counts.")
	}
	if q.needed() > 1 {
		v.Text = append(v.Text, fmt.Sprintf("%d of %d approvals are recorded.", q.approvals, q.needed()))
	}
	if barred != "" {
		v.Text = append(v.Text, barred.sentence(q.rec.Run))
	}
}

// abortText says that a run goes no further, whatever was decided.
func (q question) abortText() string {
	return fmt.Sprintf("The run was aborted by %s at %s: nothing more is sent, whatever was decided here.",
		whoText(q.aborted.By), words.Time(q.aborted.At))
}

// refusedText says what does not happen without an approval.
func refusedText(scope patch.Scope) string {
	switch {
	case scope.Soak():
		return "the run stops here"
	case scope.Wave() != "":
		return "nothing of wave " + nameText(scope.Wave()) + " is patched"
	}
	return "nothing is patched"
}

func newQuestionView(q question, p shownPlan, now time.Time) *questionView {
	x, only := p.index, q.rec.Scope.Wave()
	v := &questionView{
		Run: string(q.rec.Run), Scope: words.Clean(q.rec.Scope.Text()), Doubt: p.doubt,
		RequestedBy: reasonText(q.run.RequestedBy), Reason: reasonText(q.run.Reason),
		Asked: words.Time(q.rec.Asked), Deadline: words.Time(q.rec.Expires), Left: words.Left(q.rec.Expires.Sub(now)),
		Code: q.rec.Code(), Digest: q.rec.Digest, Scan: true, Refused: refusedText(q.rec.Scope),
		Pending: q.status == decision.ApprovalPending, Needed: q.needed(), Approvals: q.approvals,
		Instances: q.rec.Instances, Unreached: len(x.Unreachable),
	}
	for _, line := range x.Lines() {
		v.Terms = append(v.Terms, plan.Line{Name: line.Name, Text: words.Clean(line.Text)})
	}
	v.Ignored, v.Inactive = q.ignored.Count, len(x.Inactive)
	v.Limit = "above " + words.Count(x.FailLimit, "failed instance")
	if n := expectedMinutes(scopeWaves(x, q.rec.Scope)); n > 0 && !q.rec.Scope.Soak() {
		v.Expected = typically(n)
	}
	for _, d := range q.decisions {
		v.Decisions = append(v.Decisions, newDecisionView(d))
	}
	accounts, regions, excluded, places := map[patch.AccountID]bool{}, map[patch.Region]bool{}, 0, 0
	for _, w := range x.Waves {
		if only != "" && w.Name != only {
			v.OtherWaves++
			continue
		}
		wv := newWaveView(w, min(maxShownAccounts, maxShownPlaces-places), accounts, regions)
		places += len(wv.Places)
		excluded += w.Excluded
		v.Scan = v.Scan && wv.Scan
		v.Waves = append(v.Waves, wv)
	}
	v.Accounts, v.Regions, v.Excluded = len(accounts), len(regions), excluded
	shown := min(len(x.Unreachable), maxShownUnreachable)
	v.MoreUnreachable = len(x.Unreachable) - shown
	for _, u := range x.Unreachable[:shown] {
		u.Reason = words.Clean(u.Reason, words.Limit(200))
		u.Account, u.Region = patch.AccountID(nameText(u.Account)), patch.Region(nameText(u.Region))
		v.Unreachable = append(v.Unreachable, u)
	}
	return v
}

// newWaveView folds the targets of a wave to its accounts, the largest first.
func newWaveView(w plan.IndexWave, limit int, accounts map[patch.AccountID]bool,
	regions map[patch.Region]bool) waveView {
	v := waveView{
		Name: nameText(w.Name), Instances: words.Number(w.Planned), Missing: words.Number(w.Excluded), All: w.AllInstances,
		Operation: "Install patches", Reboot: "if needed", Scan: w.Operation == patch.Scan,
	}
	if w.RebootOption == patch.NoReboot {
		v.Reboot = "no"
	}
	if v.Scan {
		v.Operation = "Scan only"
	}
	var platforms []string
	for _, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS} {
		if n := w.Platforms[p]; n > 0 {
			platforms = append(platforms, words.Number(n)+" "+string(p))
		}
	}
	v.Platforms, v.Changes, v.Limit = strings.Join(platforms, ", "), changes(w), limitText(w)
	if w.ExpectedMinutes > 0 {
		v.Duration = typically(w.ExpectedMinutes)
	}
	v.notable(w)
	folds, here := map[patch.AccountID]*placeFold{}, map[patch.Region]bool{}
	for _, t := range w.Targets {
		if t.Planned == 0 {
			continue
		}
		accounts[t.Account], regions[t.Region], here[t.Region] = true, true, true
		if folds[t.Account] == nil {
			folds[t.Account] = &placeFold{account: t.Account}
		}
		folds[t.Account].add(t)
	}
	v.Accounts, v.Regions = words.Number(len(folds)), words.Number(len(here))
	v.Places, v.MorePlaces = places(folds, limit)
	return v
}

// notable names single instances, and says how many more there are.
func (v *waveView) notable(w plan.IndexWave) {
	v.MoreNotable = w.New + w.Vanished + w.Impaired
	for _, n := range w.Notable[:min(len(w.Notable), maxShownNotable)] {
		v.Notable = append(v.Notable, notableView{
			ID: nameText(n.ID), Name: nameText(n.Name), Platform: nameText(n.Platform),
			Place: nameText(string(n.Account) + " " + string(n.Region)), Why: notableWhy(n),
		})
		v.MoreNotable--
		if n.New && n.Impaired {
			v.MoreNotable-- // counted in both numbers
		}
	}
}

// changes is what is notable about a wave's instances: since the last run of the
// same waves, and by EC2's own checks.
func changes(w plan.IndexWave) string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{w.New, "new since the last run"}, {w.Vanished, "gone since the last run"},
		{w.Impaired, "already failing status checks"}} {
		if c.n > 0 {
			parts = append(parts, words.Number(c.n)+" "+c.what)
		}
	}
	return strings.Join(parts, ", ")
}

type placeFold struct {
	account patch.AccountID
	regions []string
	planned int
}

func (f *placeFold) add(t plan.IndexTarget) {
	f.planned += t.Planned
	f.regions = append(f.regions, nameText(t.Region))
}

func places(folds map[patch.AccountID]*placeFold, limit int) (shown []placeView, more int) {
	var all []*placeFold
	for _, account := range slices.Sorted(maps.Keys(folds)) {
		all = append(all, folds[account])
	}
	slices.SortStableFunc(all, func(a, b *placeFold) int { return b.planned - a.planned })
	limit = min(max(limit, 0), len(all))
	for _, f := range all[:limit] {
		shown = append(shown, placeView{nameText(f.account), strings.Join(f.regions, ", "), words.Number(f.planned)})
	}
	return shown, len(all) - limit
}

func newDecisionView(d decision.Decision) decisionView {
	v := decisionView{
		Tone: "good", Sign: "✓", Word: "Approved", Name: nameText(d.Name), At: words.Time(d.At),
		Identity: whoText(identityText(d.Identity)), Reason: reasonText(d.Reason),
	}
	if d.Decision == decision.Reject {
		v.Tone, v.Sign, v.Word = "bad", "✕", "Rejected"
	}
	return v
}

// personText is the name that was given, else the identity.
func personText(d decision.Decision) string {
	if name := nameText(d.Name); name != "" {
		return name
	}
	return whoText(identityText(d.Identity))
}

// nameText is a name, an id or a place from outside, as the page shows it.
func nameText[S ~string](s S) string { return words.Clean(string(s), words.Limit(maxName)) }

// reasonText is what somebody wrote, as the page shows it.
func reasonText(s string) string { return words.Clean(s, words.Limit(maxReason)) }

// whoText is an identity, as the page shows it.
func whoText(s string) string { return words.Clean(s, words.Limit(maxIdentity)) }
