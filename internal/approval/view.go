package approval

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	Aborted                                string
	Asked, Deadline, Left                  string
	Instances, Accounts, Regions, Excluded string
	UnreachableCount                       string
	Expected, Limit                        string // how long it takes, and what stops the run
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
	Decision, Name, Reason string
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
func stateView(q question, form formView, who string, now time.Time) pageView {
	v := pageView{Title: "Run " + string(q.rec.Run)}
	switch q.status {
	case decision.ApprovalApproved:
		v.Tone, v.Sign, v.Headline = "good", "✓", "Approved"
	case decision.ApprovalRejected:
		v.Tone, v.Sign, v.Headline = "bad", "✕", "Rejected"
	default:
		v.pending(q, form, who, now)
		return v
	}
	v.Title = v.Headline + ": run " + string(q.rec.Run)
	if form.late {
		v.Text = append(v.Text, "This was decided before. Your answer changed nothing.")
	}
	if d, ok := q.settledBy(); ok {
		v.Text = append(v.Text, fmt.Sprintf("Decided by %s on %s.", personText(d), stamp(d.At)))
	}
	switch {
	case form.slow:
		v.Text = append(v.Text, "The decision is recorded. It takes effect by the next reminder.")
	case q.status == decision.ApprovalRejected:
		v.Text = append(v.Text, "So "+refusedText(q.rec.Scope)+".")
	default:
		v.Text = append(v.Text, "The run goes on by itself: there is nothing more to do here.")
	}
	return v
}

func (v *pageView) pending(q question, form formView, who string, now time.Time) {
	v.Tone, v.Sign = "warn", "?"
	v.Headline = "Approve " + counted(q.rec.Instances, "instance") + "?"
	if patch.ScopeThen(q.rec.Scope) == "judge" {
		v.Headline = "Go on after wave " + cleanText(patch.ScopeWave(q.rec.Scope), maxName) + "?"
	}
	v.Title = v.Headline + " Run " + string(q.rec.Run)
	switch {
	case len(form.Problems) > 0:
		v.Title = "Not sent: " + v.Title
	case form.late:
		v.Text = append(v.Text, "This answer changed nothing: only the first one of each identity counts, and the one who asked for the run does not count.")
	}
	if q.needed() > 1 {
		v.Text = append(v.Text, fmt.Sprintf("%d of %d approvals are recorded.", q.approvals(), q.needed()))
	}
	switch {
	case q.askedBy(who):
		v.Text = append(v.Text, "You asked for this run. Others decide on it.")
	case q.answeredBy(who):
		v.Text = append(v.Text, "The next approval must come from somebody else: by a login of their own, or by ec2patch approve.")
	}
}

// refusedText says what does not happen without an approval.
func refusedText(scope string) string {
	switch {
	case patch.ScopeThen(scope) == "judge":
		return "the run goes no further"
	case patch.ScopeWave(scope) != "":
		return "nothing of wave " + cleanText(patch.ScopeWave(scope), maxName) + " is patched"
	}
	return "nothing is patched"
}

func newQuestionView(q question, p shownPlan, now time.Time) *questionView {
	x, only := p.index, patch.ScopeWave(q.rec.Scope)
	v := &questionView{
		Run: string(q.rec.Run), Scope: cleanText(patch.ScopeName(q.rec.Scope), 0), Doubt: p.doubt,
		RequestedBy: cleanText(q.run.RequestedBy, maxReason), Reason: cleanText(q.run.Reason, maxReason),
		Asked: stamp(q.rec.Asked), Deadline: stamp(q.rec.Expires), Left: left(q.rec.Expires.Sub(now)),
		Code: q.rec.Code(), Digest: q.rec.Digest, Scan: true, Refused: refusedText(q.rec.Scope),
		Pending: q.status == decision.ApprovalPending, Needed: q.needed(), Approvals: q.approvals(),
		Instances: number(q.rec.Instances), UnreachableCount: number(len(x.Unreachable)),
	}
	v.Ignored, v.Inactive = q.ignored.Count, len(x.Inactive)
	v.Limit = "above " + counted(x.FailLimit, "failed instance")
	if n := expectedMinutes(scopeWaves(x, q.rec.Scope)); n > 0 && patch.ScopeThen(q.rec.Scope) == "patch" {
		v.Expected = "typically " + words.MinutesText(n)
	}
	if q.aborted != nil {
		v.Aborted = fmt.Sprintf("This run was aborted by %s on %s. Nothing more is sent, whatever is decided here.", cleanText(q.aborted.By, maxIdentity), stamp(q.aborted.At))
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
	v.Accounts, v.Regions, v.Excluded = number(len(accounts)), number(len(regions)), number(excluded)
	shown := min(len(x.Unreachable), maxShownUnreachable)
	v.MoreUnreachable = len(x.Unreachable) - shown
	for _, u := range x.Unreachable[:shown] {
		u.Reason = cleanText(u.Reason, 200)
		u.Account, u.Region = patch.AccountID(cleanText(string(u.Account), maxName)), patch.Region(cleanText(string(u.Region), maxName))
		v.Unreachable = append(v.Unreachable, u)
	}
	return v
}

// newWaveView folds the targets of a wave to its accounts, the largest first.
func newWaveView(w plan.IndexWave, limit int, accounts map[patch.AccountID]bool, regions map[patch.Region]bool) waveView {
	v := waveView{
		Name: cleanText(w.Name, maxName), Instances: number(w.Planned), Missing: number(w.Excluded), All: w.AllInstances,
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
			platforms = append(platforms, number(n)+" "+string(p))
		}
	}
	v.Platforms, v.Changes, v.Limit = strings.Join(platforms, ", "), changes(w), limitText(w)
	if w.ExpectedMinutes > 0 {
		v.Duration = "typically " + words.MinutesText(w.ExpectedMinutes)
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
	v.Accounts, v.Regions = number(len(folds)), number(len(here))
	v.Places, v.MorePlaces = places(folds, limit)
	return v
}

// notable names single instances, and says how many more there are.
func (v *waveView) notable(w plan.IndexWave) {
	v.MoreNotable = w.New + w.Vanished + w.Impaired
	for _, n := range w.Notable[:min(len(w.Notable), maxShownNotable)] {
		v.Notable = append(v.Notable, notableView{
			ID: cleanText(string(n.ID), maxName), Name: cleanText(n.Name, maxName), Platform: cleanText(string(n.Platform), maxName),
			Place: cleanText(string(n.Account)+" "+string(n.Region), maxName), Why: notableWhy(n),
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
	}{{w.New, "new since the last run"}, {w.Vanished, "gone since the last run"}, {w.Impaired, "already failing status checks"}} {
		if c.n > 0 {
			parts = append(parts, number(c.n)+" "+c.what)
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
	f.regions = append(f.regions, cleanText(string(t.Region), maxName))
}

func places(folds map[patch.AccountID]*placeFold, limit int) (shown []placeView, more int) {
	var all []*placeFold
	for _, account := range slices.Sorted(maps.Keys(folds)) {
		all = append(all, folds[account])
	}
	slices.SortStableFunc(all, func(a, b *placeFold) int { return b.planned - a.planned })
	limit = min(max(limit, 0), len(all))
	for _, f := range all[:limit] {
		shown = append(shown, placeView{cleanText(string(f.account), maxName), strings.Join(f.regions, ", "), number(f.planned)})
	}
	return shown, len(all) - limit
}

func newDecisionView(d decision.Decision) decisionView {
	v := decisionView{
		Tone: "good", Sign: "✓", Word: "Approved", Name: cleanText(d.Name, maxName), At: stamp(d.At),
		Identity: cleanText(identityText(d.Identity), maxIdentity), Reason: cleanText(d.Reason, maxReason),
	}
	if d.Decision == decision.Reject {
		v.Tone, v.Sign, v.Word = "bad", "✕", "Rejected"
	}
	return v
}

// personText is the name that was given, else the identity.
func personText(d decision.Decision) string {
	if name := cleanText(d.Name, maxName); name != "" {
		return name
	}
	return cleanText(identityText(d.Identity), maxIdentity)
}

// stamp is a time as everybody reads it alike.
func stamp(t time.Time) string { return t.UTC().Format("Mon 2 January 2006, 15:04 UTC") }

// left is a span in words, rounded down.
func left(d time.Duration) string {
	minutes := int(d / time.Minute)
	switch {
	case minutes < 1:
		return "less than a minute"
	case minutes < 60:
		return counted(minutes, "minute")
	case minutes < 48*60:
		return fmt.Sprintf("%d h %02d min", minutes/60, minutes%60)
	}
	return counted(minutes/60/24, "day")
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number groups the digits of large numbers.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
