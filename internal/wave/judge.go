package wave

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/words"
)

// JudgeOutput says whether the next wave may start, and when.
type JudgeOutput struct {
	Next    patch.Next    `json:"next"` // wait, next, ask or stop
	Seconds int           `json:"seconds"`
	Waited  int           `json:"waited"` // by the wave's judge so far, this wait included
	Ask     decision.Ask  `json:"ask"`
	Verdict patch.Verdict `json:"verdict"`
	Run     patch.RunID   `json:"run"`
}

// alarmGap is how often the alarms of a health gate are looked at while a wave soaks.
const alarmGap = 2 * time.Minute

// unreadGap is how soon it is looked again if they could not be read.
const unreadGap = time.Minute

// Judge weighs what a wave's targets came to, and its alarms.
type Judge struct {
	Table     store.Table
	Objects   store.Objects
	Alarms    port.Alarms
	Decisions port.Verifier
	Seals     port.Verifier // of the key that plans are sealed with
	Auditor   store.Signer
	People    decision.People // who counts as whom, of those who decide
	Now       port.Clock

	seals *decision.Seals
}

// Handle looks at a wave whose targets are through. It is called again after
// each of its own waits, and its verdict does not change.
func (j *Judge) Handle(ctx context.Context, run patch.RunID, wave string, waited int) (JudgeOutput, error) {
	out, err := j.weigh(ctx, run, wave, waited)
	out.Waited = waited
	if out.Next == patch.NextWait {
		out.Waited += out.Seconds
	}
	return out, err
}

func (j *Judge) weigh(ctx context.Context, run patch.RunID, wave string, waited int) (JudgeOutput, error) {
	w, err := j.loadWave(ctx, run, wave)
	if err != nil {
		return JudgeOutput{}, err
	}
	w.clock = store.Clock{Now: j.Now().UTC(), Waited: waited}
	if !w.row.Judged.Set() {
		w.row.Judged = w.clock.Mark()
	}
	out := JudgeOutput{Run: run,
		Ask: decision.Ask{Scope: patch.ScopeOfSoak(wave), RoundSeconds: decision.RoundAt(w.run.Started, w.clock.Now)}}
	if w.run.Status != patch.RunRunning {
		return stopped(out), nil // closed while its execution was away: a redrive goes straight to the report
	}
	switch w.row.Verdict {
	case patch.VerdictGood:
		return j.pause(out, w), nil
	case patch.VerdictStop:
		return stopped(out), nil
	}
	stop, doubt := w.consider()
	soak := time.Duration(w.row.SoakSeconds)*time.Second - w.clock.Since(w.row.Judged)
	if !stop {
		red, known := j.redAlarms(ctx, w)
		if !known {
			out.Next, out.Seconds = patch.NextWait, words.Seconds(unreadGap)
			return out, j.keep(ctx, w, "")
		}
		if len(red) == 0 && soak > 0 && !(doubt.Any() && w.seal.Terms.Approval == runinput.ApproveNone) {
			return j.soak(ctx, out, w, soak) // a doubt of another kind is asked about after it, with all that is red then
		}
		doubt.Causes = append(doubt.Causes, red...)
	}
	verdict, why := patch.VerdictGood, doubt.Text()
	switch {
	case stop:
		verdict = patch.VerdictStop
	case w.row.Planned == 0:
		why = "no instance was matched that can be patched"
	case doubt.Any():
		if verdict, why, err = j.asked(ctx, w, doubt); err != nil {
			return out, err
		}
		switch {
		case verdict == patch.VerdictAsk:
			out.Next = patch.NextAsk
			return out, j.keep(ctx, w, why)
		case verdict == patch.VerdictGood && soak > 0:
			return j.soak(ctx, out, w, soak) // going on does not shorten the soak
		}
	}
	w.row.Verdict = verdict
	if err := j.keep(ctx, w, why); err != nil {
		return out, err
	}
	if verdict == patch.VerdictStop {
		return stopped(out), nil
	}
	return j.pause(out, w), nil
}

// judged is a wave as the judge sees it.
type judged struct {
	run     store.RunRow
	row     store.WaveRow
	whole   store.WaveRow
	total   store.Counters
	abort   bool
	targets map[patch.Target]target.TargetRow

	questions []decision.Approval // about the run and the wave, those that were asked
	index     plan.Index
	seal      decision.Seal
	watch     store.Watch
	clock     store.Clock
}

func (j *Judge) loadWave(ctx context.Context, run patch.RunID, wave string) (*judged, error) {
	w := &judged{}
	var abort store.Abort
	stop := &store.Row{Key: store.AbortKey(run), Into: &abort}
	row := &store.Row{Key: store.WaveKey(run, wave), Into: &w.row}
	scopes := []patch.Scope{patch.ScopeOfRun, patch.ScopeOfWave(wave), patch.ScopeOfSoak(wave)}
	w.questions = make([]decision.Approval, len(scopes))
	rows := []*store.Row{row, stop,
		{Key: store.RunKey(run), Into: &w.run},
		{Key: store.WatchKey(run, wave), Into: &w.watch},
		{Key: store.WaveKey(run, store.WholeRun), Into: &w.whole},
		{Key: store.CountersKey(run, store.WholeRun), Into: &w.total},
	}
	for i, scope := range scopes {
		rows = append(rows, &store.Row{Key: store.ApprovalKey(decision.ApprovalID(run, scope)), Into: &w.questions[i]})
	}
	err := j.Table.Load(ctx, rows...)
	if err != nil {
		return nil, err
	}
	if !row.Found {
		return nil, fmt.Errorf("%w: run %s has no wave %q", patch.ErrInternal, run, wave)
	}
	w.abort = stop.Found
	if w.index, err = plan.Load(ctx, j.Objects, run, w.run.Digest); err != nil {
		return nil, err
	}
	if j.seals == nil {
		j.seals = &decision.Seals{Table: j.Table, Keys: j.Seals}
	}
	if w.seal, err = j.seals.Bound(ctx, run, w.run.Digest); err != nil {
		return nil, err
	}
	w.targets, err = target.LoadTargets(ctx, j.Table, run, wave)
	return w, err
}

// consider weighs the outcomes. It looks for the causes that a wave may be doubted for, and for no
// others. stop is true where nobody is asked.
func (w *judged) consider() (stop bool, d doubt.Doubt) {
	if w.row.Planned == 0 {
		return false, d
	}
	t := w.tally()
	d = doubt.Doubt{Causes: slices.Concat(w.orders(t), w.results(t), w.failures(t), w.alarmsSeen()), Held: w.held(t)}
	return slices.ContainsFunc(d.Causes, func(c doubt.Cause) bool {
		return c.Kind == doubt.CauseAbort || c.Kind == doubt.CauseIssues
	}), d
}

// tally is what the rows of a wave's targets add up to.
type tally struct {
	good, bad int
	lost      int // targets without a result
	accounts  []accountTotal
	regions   []heldTarget // that their own maxErrors cut short
}

// accountTotal is one account's part of the wave.
type accountTotal struct {
	id           patch.AccountID
	planned, bad int
	unsent       int  // by a budget
	cut          bool // one of its regions was cut short by maxErrors
}

// heldTarget is an account-region that was over its own error limit while something was left to send.
type heldTarget struct {
	patch.Target
	failed, limit, planned int
}

// tally reads the rows. An account-region without a result counts no failure: that it has none is a
// cause of its own.
func (w *judged) tally() tally {
	var t tally
	at := map[patch.AccountID]int{}
	for _, aim := range w.planned() {
		i, known := at[aim.Account]
		if !known {
			i = len(t.accounts)
			at[aim.Account], t.accounts = i, append(t.accounts, accountTotal{id: aim.Account})
		}
		account, planned := &t.accounts[i], w.plannedOf(aim)
		account.planned += planned
		row, ok := w.targets[aim]
		if !ok || row.Status != target.TargetVerified {
			t.lost++
			continue
		}
		t.bad += row.Bad
		t.good += w.goodOf(row)
		account.bad += row.Bad
		if row.Closed != outcome.ReasonBudget || row.CutShort == 0 {
			continue
		}
		account.unsent += row.CutShort
		if row.OverBudget() {
			account.cut = true
			t.regions = append(t.regions, heldTarget{aim, row.Errors, row.ErrorLimit, planned})
		}
	}
	return t
}

func (w *judged) goodOf(row target.TargetRow) (n int) {
	reboot := w.index.Waves[w.row.Position].RebootOption
	for o, count := range row.Outcomes {
		if o.Class(reboot, true) == outcome.Good {
			n += count
		}
	}
	return n
}

// orders are what ends the run by its own input or by an operator.
func (w *judged) orders(t tally) (causes []doubt.Cause) {
	if w.abort {
		causes = append(causes, doubt.Cause{Kind: doubt.CauseAbort, Scope: doubt.ScopeRun})
	}
	if t.bad > 0 && w.run.AbortOnIssues {
		causes = append(causes, w.cause(doubt.CauseIssues, t.bad, 0, "abortOnIssues", ""))
	}
	return causes
}

// cause is one of the wave.
func (w *judged) cause(kind doubt.CauseKind, count, limit int, field, of string) doubt.Cause {
	return doubt.Cause{Kind: kind, Scope: doubt.ScopeOfWave, Wave: w.row.Wave, Count: count, Limit: limit, Field: field,
		Of: of}
}

// results are the account-regions that were never brought to an end.
func (w *judged) results(t tally) []doubt.Cause {
	if t.lost == 0 {
		return nil
	}
	return []doubt.Cause{w.cause(doubt.CauseNoResult, t.lost, 0, "", "")}
}

// failures compares with the budgets of the wave and the run.
func (w *judged) failures(t tally) (causes []doubt.Cause) {
	const instances = "budget.maxFailedInstances"
	switch {
	case t.bad > w.row.FailLimit:
		causes = append(causes, w.cause(doubt.CauseFailed, t.bad, w.row.FailLimit, instances,
			patch.LimitText(w.row.MaxFailed, w.row.Planned, w.row.FailLimit)))
	case w.mostlyFailed(t):
		tried := t.good + t.bad
		limit, of := t.good, fmt.Sprintf("%s, and %d ended well", w.row.MaxFailed, t.good)
		if w.row.MaxFailed.Percent {
			limit, of = w.row.MaxFailed.Of(tried), fmt.Sprintf("%s of the %d that were tried", w.row.MaxFailed, tried)
		}
		causes = append(causes, w.cause(doubt.CauseTried, t.bad, limit, instances, of))
	}
	if n, limit := w.total.Failures, w.whole.FailLimit; n > limit {
		causes = append(causes, doubt.Cause{Kind: doubt.CauseFailed, Scope: doubt.ScopeRun, Count: n, Limit: limit,
			Field: instances, Of: patch.LimitText(w.whole.MaxFailed, w.whole.Planned, limit)})
	}
	failed := 0
	for _, a := range t.accounts {
		if a.cut || a.bad > w.row.PerAccount.Limit(a.planned) {
			failed++
		}
	}
	if failed > w.row.AccountsMax {
		causes = append(causes, w.cause(doubt.CauseAccounts, failed, w.row.AccountsMax, "budget.maxFailedAccounts",
			patch.LimitText(w.row.MaxAccounts, len(t.accounts), w.row.AccountsMax)))
	}
	return causes
}

// mostlyFailed tells whether too much failed of what was tried, where a limit of one account-region or
// account left something unsent: what was not tried says nothing good of the patch. Where all that was
// tried failed, no limit tolerates it: even a canary of one instance has shown that the patch is bad.
func (w *judged) mostlyFailed(t tally) bool {
	held := len(t.regions) > 0 || slices.ContainsFunc(t.accounts, w.overShare)
	switch {
	case t.bad == 0:
		return false
	case t.good == 0:
		return true
	case !held:
		return false
	case !w.row.MaxFailed.Percent:
		return t.bad > t.good
	}
	return 100*t.bad > w.row.MaxFailed.Value*(t.good+t.bad)
}

// overShare tells whether perAccount left something of the account unsent.
func (w *judged) overShare(a accountTotal) bool {
	return a.unsent > 0 && a.bad > w.row.PerAccount.Limit(a.planned)
}

// maxHeld is how many limits of single account-regions and accounts a doubt names: its row has room for
// them, and nobody reads more.
const maxHeld = 50

// held are the limits that kept something back in one place.
func (w *judged) held(t tally) (held []doubt.Cause) {
	for _, r := range t.regions {
		held = append(held, doubt.Cause{
			Kind: doubt.CauseFailed, Scope: doubt.ScopeTarget, Wave: w.row.Wave, Account: r.Account, Region: r.Region,
			Count: r.failed, Limit: r.limit, Field: "ssm.maxErrors", Of: patch.LimitText(w.row.MaxErrors, r.planned, r.limit),
		})
	}
	for _, a := range t.accounts {
		if limit := w.row.PerAccount.Limit(a.planned); a.bad > limit {
			held = append(held, doubt.Cause{
				Kind: doubt.CauseFailed, Scope: doubt.ScopeAccount, Wave: w.row.Wave, Account: a.id,
				Count: a.bad, Limit: limit, Field: "budget.perAccount", Of: patch.LimitText(w.row.PerAccount, a.planned, limit),
			})
		}
	}
	return held[:min(len(held), maxHeld)]
}

// alarmsSeen are the alarms for which something was left unsent, though they may be green by now.
func (w *judged) alarmsSeen() (causes []doubt.Cause) {
	unsent := 0
	for _, t := range w.planned() {
		if row := w.targets[t]; row.Closed == outcome.ReasonStopped {
			unsent += row.CutShort
		}
	}
	if unsent == 0 {
		return nil
	}
	for _, a := range w.watch.Seen {
		causes = append(causes, doubt.Cause{Kind: doubt.CauseAlarmSeen, Scope: doubt.ScopeAlarm, Alarm: a.ARN, State: a.State,
			Count: unsent})
	}
	return causes
}

// planned lists the wave's targets that have something planned, from the index
// and not from the rows that happen to exist.
func (w *judged) planned() []patch.Target {
	var all []patch.Target
	for _, iw := range w.index.Waves {
		if iw.Name != w.row.Wave {
			continue
		}
		for _, t := range iw.Targets {
			if t.Planned > 0 {
				all = append(all, patch.Target{Run: w.index.Run, Wave: iw.Name, Account: t.Account, Region: t.Region})
			}
		}
	}
	return all
}

func (w *judged) plannedOf(t patch.Target) int {
	for _, iw := range w.index.Waves {
		if iw.Name != t.Wave {
			continue
		}
		for _, it := range iw.Targets {
			if it.Account == t.Account && it.Region == t.Region {
				return it.Planned
			}
		}
	}
	return 0
}

// asked looks for a human's answer about a doubtful wave. With approval none
// there is nobody to ask, and doubt stops the run.
func (j *Judge) asked(ctx context.Context, w *judged, doubt doubt.Doubt) (patch.Verdict, string, error) {
	why := doubt.Text()
	if w.seal.Terms.Approval == runinput.ApproveNone {
		return patch.VerdictStop, why, nil
	}
	var rec decision.Approval
	row := &store.Row{Key: store.ApprovalKey(decision.ApprovalID(w.run.Run, patch.ScopeOfSoak(w.row.Wave))), Into: &rec}
	if err := j.Table.Load(ctx, row); err != nil {
		return "", "", err
	}
	if !row.Found {
		w.row.Doubt = doubt
		return patch.VerdictAsk, why, nil
	}
	if !rec.OnTerms(w.seal) {
		return "", "", fmt.Errorf("%w: the question %s was not asked on the plan's terms", patch.ErrTampered, rec.ID)
	}
	digest, err := w.row.Doubt.Digest()
	if err != nil {
		return "", "", err
	}
	if rec.Doubt != digest {
		return "", "", fmt.Errorf("%w: the question %s was about another doubt", patch.ErrTampered, rec.ID)
	}
	status, err := decision.Verify(ctx, j.Table, j.Decisions, j.People, rec, w.run.Digest)
	if err != nil {
		return "", "", err
	}
	switch status {
	case decision.ApprovalApproved:
		if !w.row.Doubt.Covers(doubt) {
			return patch.VerdictStop, why + "; people were asked about: " + w.row.Doubt.Text(), nil
		}
		return patch.VerdictGood, why + "; approved", nil
	case decision.ApprovalPending:
		return patch.VerdictAsk, why, nil
	}
	return patch.VerdictStop, why + "; " + string(status), nil
}

// redAlarms reads the alarms. Missing data, and what nobody may see, is not green. known is false while CloudWatch
// fails: when that has lasted as long as it may while a wave is patched, the alarms are unreadable.
func (j *Judge) redAlarms(ctx context.Context, w *judged) (causes []doubt.Cause, known bool) {
	if len(w.row.Alarms) == 0 {
		return nil, true
	}
	states, err := j.Alarms.States(ctx, w.run.Run, w.row.Alarms)
	switch {
	case err == nil:
		w.row.Unread = store.Mark{}
	case !w.row.Unread.Set():
		w.row.Unread = w.clock.Mark()
		fallthrough
	case w.clock.Since(w.row.Unread) < doubt.Patience:
		slog.Warn("alarms not read", "run", string(w.run.Run), "wave", w.row.Wave, "err", err)
		return nil, false
	default:
		states = doubt.Unreadable(w.row.Alarms)
	}
	for _, a := range states {
		if a.Red() {
			causes = append(causes, doubt.Cause{Kind: doubt.CauseAlarm, Scope: doubt.ScopeAlarm, Alarm: a.ARN, State: a.State})
		}
	}
	return causes, true
}

// soak waits on, looking at the alarms now and then.
func (j *Judge) soak(ctx context.Context, out JudgeOutput, w *judged, left time.Duration) (JudgeOutput, error) {
	if len(w.row.Alarms) > 0 {
		left = min(left, alarmGap)
	}
	out.Next, out.Seconds = patch.NextWait, max(words.Seconds(left), 1)
	return out, j.keep(ctx, w, "")
}

// keep writes the wave's row and, with a verdict, the signed audit entry that
// binds the heads of all chains that the wave stands on.
func (j *Judge) keep(ctx context.Context, w *judged, why string) error {
	was := w.row.Version
	w.row.Version++
	w.row.Reason = why
	writes := []store.Write{}
	if w.row.Verdict != "" {
		w.row.Decided = w.clock.Mark()
		w.row.PauseSeconds = w.run.WavePauseSeconds
		if w.last() {
			w.row.PauseSeconds = 0
		}
		heads, err := store.BindHeads(ctx, j.Objects, w.run.Run, w.heads())
		if err != nil {
			return err
		}
		note := store.Note{Actor: "judge", Action: "Verdict", Binds: heads,
			Detail: fmt.Sprintf("wave %s: %s; %s", w.row.Wave, w.row.Verdict, why)}
		subject := store.RunSubject(w.run.Run)
		entry, err := w.run.Heads.Note(store.Verify, subject, note, w.clock.Now).Signed(ctx, j.Auditor)
		if err != nil {
			return err
		}
		runWas := w.run.Version
		w.run.Version++
		writes = append(writes, entry.Write(),
			store.Write{How: store.Replace, Key: store.RunKey(w.run.Run), Item: w.run, Was: runWas})
	}
	writes = append(writes, store.Write{How: store.Replace, Key: store.WaveKey(w.run.Run, w.row.Wave), Item: w.row,
		Was: was})
	return j.Table.Write(ctx, writes...)
}

// heads are the ends of all chains that the wave stands on: of its targets, of the questions about it, and of the run.
func (w *judged) heads() map[string]store.ChainHead {
	bound := map[string]store.ChainHead{}
	target.Bind(bound, w.targets)
	for _, q := range w.questions {
		q.Heads.Bind(bound, store.ApprovalSubject(q.ID))
	}
	w.run.Heads.Bind(bound, store.RunSubject(w.run.Run))
	return bound
}

func (w *judged) last() bool { return w.row.Position == len(w.index.Waves)-1 }

// pause lets the next wave start when the pause is over. Where people are asked
// about the next wave, they are asked now, and the approval waits for the pause.
func (j *Judge) pause(out JudgeOutput, w *judged) JudgeOutput {
	out.Verdict = patch.VerdictGood
	pause := time.Duration(w.row.PauseSeconds) * time.Second
	if left := pause - w.clock.Since(w.row.Decided); left > 0 && !w.nextIsAsked() {
		out.Next, out.Seconds = patch.NextWait, max(words.Seconds(left), 1)
		return out
	}
	out.Next = patch.NextWave
	return out
}

func (w *judged) nextIsAsked() bool {
	next := w.row.Position + 1
	return w.seal.Terms.Approval == runinput.ApprovePerWave && next < len(w.index.Waves) &&
		w.index.Waves[next].Operation == patch.Install && w.index.Waves[next].Planned > 0
}

func stopped(out JudgeOutput) JudgeOutput {
	out.Next, out.Verdict = patch.NextStop, patch.VerdictStop
	return out
}
