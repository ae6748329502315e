package task

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/report"
)

// ReportOutput says whether the report is written, and how the run ended.
type ReportOutput struct {
	Next   string          `json:"next"` // report or done
	Status patch.RunStatus `json:"status"`
	Cause  string          `json:"cause"`
	Cursor int             `json:"cursor"`
}

// AccountResult is one account's roll-up in one wave.
type AccountResult struct {
	Run       patch.RunID              `json:"run"`
	Wave      string                   `json:"wave"`
	Account   patch.AccountID          `json:"account"`
	Regions   []patch.Region           `json:"regions"` // those whose results are in it
	Instances []patch.InstanceReport   `json:"instances"`
	Excluded  []patch.ExcludedInstance `json:"excluded"` // of the wave, in all its regions
}

// rollUp folds the results of an account's regions into one object.
func (v *Verify) rollUp(ctx context.Context, in VerifyInput) (any, error) {
	index, err := loadIndex(ctx, v.Objects, in.Run)
	if err != nil {
		return nil, err
	}
	all := AccountResult{Run: in.Run, Wave: in.Wave, Account: in.Account}
	for _, t := range targetsOf(index, in.Wave, in.Account) {
		result, found, err := loadResult(ctx, v.Objects, t)
		if err != nil {
			return nil, err
		}
		if found && result.Settled {
			all.Regions = append(all.Regions, t.Region)
			all.Instances = append(all.Instances, result.Instances...)
		}
	}
	if all.Excluded, err = excludedIn(ctx, v.Objects, index, in.Wave, in.Account); err != nil {
		return nil, err
	}
	data, err := patch.Canonical(all)
	if err != nil {
		return nil, err
	}
	return struct {
		Account patch.AccountID `json:"account"`
	}{in.Account}, v.Objects.Store(ctx, patch.RollUpObject(in.Run, in.Wave, in.Account), "application/json", data)
}

// excludedIn lists what a wave matched in an account and does not patch.
func excludedIn(ctx context.Context, objects Objects, x patch.Index, wave string, account patch.AccountID) ([]patch.ExcludedInstance, error) {
	excluded := []patch.ExcludedInstance{}
	for _, w := range x.Waves {
		if w.Name != wave {
			continue
		}
		for _, t := range w.Targets {
			if t.Account != account || t.Excluded == 0 {
				continue
			}
			inv, err := loadInventory(ctx, objects, x.Run, t.Account, t.Region)
			if err != nil {
				return nil, err
			}
			for _, e := range inv.Excluded {
				if e.Wave == wave {
					excluded = append(excluded, e)
				}
			}
		}
	}
	return excluded, nil
}

func loadInventory(ctx context.Context, objects Objects, run patch.RunID, account patch.AccountID, region patch.Region) (patch.Inventory, error) {
	var inv patch.Inventory
	data, found, err := objects.Fetch(ctx, patch.InventoryObject(run, account, region))
	if err != nil || !found {
		return inv, err
	}
	if err := json.Unmarshal(data, &inv); err != nil {
		return inv, fmt.Errorf("%w: inventory of %s/%s: %w", patch.ErrInternal, account, region, err)
	}
	return inv, nil
}

// targetsOf lists a wave's planned targets of one account, or of all.
func targetsOf(x patch.Index, wave string, account patch.AccountID) []patch.Target {
	var all []patch.Target
	for _, w := range x.Waves {
		if w.Name != wave {
			continue
		}
		for _, t := range w.Targets {
			if t.Planned > 0 && (account == "" || t.Account == account) {
				all = append(all, patch.Target{Run: x.Run, Wave: wave, Account: t.Account, Region: t.Region})
			}
		}
	}
	return all
}

// report writes what the run leaves behind and closes it. It starts from the
// plan, so no instance is missing because some row is. A report that is written
// is not written again.
func (v *Verify) report(ctx context.Context, in VerifyInput) (ReportOutput, error) {
	f := &folder{Verify: v, in: in}
	if err := f.load(ctx); err != nil {
		return ReportOutput{}, err
	}
	if !f.run.Ended.IsZero() && f.in.Failure.Error == string(patch.ErrInvalidInput) {
		// Another run of this name has ended long ago. Its report is not this one's.
		return ReportOutput{Next: "done", Status: patch.RunFailed, Cause: short(f.in.Failure.Error + ": " + f.in.Failure.Cause)}, nil
	}
	if !f.run.Ended.IsZero() {
		return ReportOutput{Next: "done", Status: f.run.Status, Cause: f.cause()}, nil
	}
	if err := f.giveUp(ctx); err != nil {
		return ReportOutput{}, err
	}
	r, err := f.fold(ctx)
	if err != nil {
		return ReportOutput{}, err
	}
	if err := f.store(ctx, r); err != nil {
		return ReportOutput{}, err
	}
	if err := f.close(ctx, r); err != nil {
		return ReportOutput{}, err
	}
	v.Metrics.Count("RunsEnded", "Count", 1, nil)
	subject, body := noticeMail(r)
	if err := v.Notices.Send(ctx, subject, body); err != nil {
		// The run is closed and its report written. A notice that is lost must not undo that.
		slog.ErrorContext(ctx, "notice not sent", "run", in.Run, "err", err)
	}
	return ReportOutput{Next: "done", Status: r.Status, Cause: f.cause()}, nil
}

// giveUp frees what the machine could not bring to an end: no lease outlives
// its run, however the run ends.
func (f *folder) giveUp(ctx context.Context) error {
	for _, row := range f.targets {
		if abandoned(row) {
			if err := f.abandon(ctx, f.in.Run); err != nil {
				return err
			}
			return f.load(ctx)
		}
	}
	return nil
}

// folder makes one report.
type folder struct {
	*Verify
	in      VerifyInput
	run     patch.RunRow
	found   bool
	abort   *patch.Abort
	index   patch.Index
	waves   map[string]patch.WaveRow
	targets map[patch.Target]patch.TargetRow
	asked   []patch.Approval
}

func (f *folder) load(ctx context.Context) error {
	var abort patch.Abort
	row := &Row{Key: patch.RunKey(f.in.Run), Into: &f.run}
	stop := &Row{Key: patch.AbortKey(f.in.Run), Into: &abort}
	if err := f.Table.Load(ctx, row, stop); err != nil {
		return err
	}
	f.found = row.Found
	if !row.Found {
		f.run = patch.RunRow{Run: f.in.Run, Status: patch.RunRunning, Started: f.Now().UTC()}
	}
	if stop.Found {
		f.abort = &abort
	}
	if !f.run.Ended.IsZero() {
		return nil
	}
	if f.run.Digest == "" {
		return f.loadRefused(ctx)
	}
	var err error
	if f.index, err = loadPlan(ctx, f.Objects, f.in.Run, f.run.Digest); err != nil {
		return err
	}
	if f.targets, err = loadTargets(ctx, f.Table, f.in.Run, ""); err != nil {
		return err
	}
	if err := f.loadWaves(ctx); err != nil {
		return err
	}
	return f.loadApprovals(ctx)
}

// loadRefused reads what a plan that was refused could not reach. Nothing else of
// it counts: there is no run to report.
func (f *folder) loadRefused(ctx context.Context) error {
	if f.run.StatusReason == "" {
		return nil
	}
	data, found, err := f.Objects.Fetch(ctx, patch.RefusedObject(f.in.Run))
	if err != nil || !found {
		return err
	}
	var refused patch.Index
	if err := json.Unmarshal(data, &refused); err != nil {
		return fmt.Errorf("%w: plan of run %s: %w", patch.ErrInternal, f.in.Run, err)
	}
	f.index.Unreachable, f.index.Inactive = refused.Unreachable, refused.Inactive
	return nil
}

func (f *folder) loadWaves(ctx context.Context) error {
	f.waves = map[string]patch.WaveRow{}
	return f.Table.Scan(ctx, patch.RunKey(f.in.Run).PK, "WAVE#", func(sk string, decode func(any) error) error {
		if strings.HasSuffix(sk, "#COUNTERS") {
			return nil
		}
		var w patch.WaveRow
		if err := decode(&w); err != nil {
			return err
		}
		f.waves[w.Wave] = w
		return nil
	})
}

// loadApprovals reads every question that this run may have asked.
func (f *folder) loadApprovals(ctx context.Context) error {
	f.asked = nil // a report may be loaded twice
	scopes := []string{"run"}
	for _, w := range f.index.Waves {
		scopes = append(scopes, "wave:"+w.Name, "soak:"+w.Name)
	}
	records := make([]patch.Approval, len(scopes))
	rows := make([]*Row, len(scopes))
	for i, s := range scopes {
		rows[i] = &Row{Key: patch.ApprovalKey(patch.ApprovalID(f.in.Run, s)), Into: &records[i]}
	}
	for len(rows) > 0 {
		n := min(len(rows), 100)
		if err := f.Table.Load(ctx, rows[:n]...); err != nil {
			return err
		}
		for i := range n {
			if rows[i].Found {
				f.asked = append(f.asked, *rows[i].Into.(*patch.Approval))
			}
		}
		rows = rows[n:]
	}
	return nil
}

// fold builds the report.
func (f *folder) fold(ctx context.Context) (*patch.Report, error) {
	r := &patch.Report{
		SchemaVersion: patch.ReportSchema, Run: f.in.Run, PlanDigest: f.run.Digest, DryRun: f.run.DryRun,
		RequestedBy: f.run.RequestedBy, Reason: f.run.Reason, Started: f.run.Started.UTC(), Ended: f.Now().UTC(),
		Waves: []patch.WaveReport{}, Instances: []patch.InstanceReport{}, Excluded: []patch.ExcludedInstance{},
		Unreachable: f.index.Unreachable, Inactive: f.index.Inactive, Approvals: []patch.ApprovalReport{},
		Totals: patch.Totals{Outcomes: map[patch.Outcome]int{}},
	}
	if r.Unreachable == nil {
		r.Unreachable = []patch.UnreachableAccount{}
	}
	for _, w := range f.index.Waves {
		wr, err := f.foldWave(ctx, r, w)
		if err != nil {
			return nil, err
		}
		r.Waves = append(r.Waves, wr)
	}
	if err := f.foldApprovals(ctx, r); err != nil {
		return nil, err
	}
	r.Totals.Excluded, r.Totals.Unreachable = len(r.Excluded), len(r.Unreachable)
	r.Status, r.StatusReason = f.status(r)
	f.run.Status, f.run.StatusReason = r.Status, r.StatusReason
	return r, nil
}

// foldWave adds one wave's instances, account by account.
func (f *folder) foldWave(ctx context.Context, r *patch.Report, w patch.IndexWave) (patch.WaveReport, error) {
	row := f.waves[w.Name]
	wr := patch.WaveReport{
		Name: w.Name, Verdict: row.Verdict, Reason: row.Reason, Planned: w.Planned,
		Outcomes: map[patch.Outcome]int{}, Accounts: []patch.AccountReport{},
	}
	if row.Decided.Set() {
		wr.Ended = &row.Decided.At
	}
	for _, item := range accountsIn(w) {
		instances, excluded, err := f.account(ctx, w, item)
		if err != nil {
			return wr, err
		}
		r.Excluded = append(r.Excluded, excluded...)
		if len(instances) == 0 {
			continue
		}
		ar := patch.AccountReport{Account: item.Account, Outcomes: map[patch.Outcome]int{}}
		for _, i := range instances {
			ar.Planned++
			ar.Outcomes[i.Outcome]++
			wr.Outcomes[i.Outcome]++
			r.Totals.Outcomes[i.Outcome]++
			r.Totals.Planned++
			switch i.Outcome.Class(w.RebootOption, i.CommandID != "") {
			case patch.Good:
				r.Totals.Good++
			case patch.Failure:
				r.Totals.Failures++
			default:
				r.Totals.Neutral++
			}
		}
		r.Instances = append(r.Instances, instances...)
		wr.Accounts = append(wr.Accounts, ar)
	}
	for _, t := range targetsOf(f.index, w.Name, "") {
		if s := f.targets[t].FirstSent; !s.IsZero() && (wr.Started == nil || s.Before(*wr.Started)) {
			wr.Started = &s
		}
	}
	return wr, nil
}

// accountsIn lists every account of a wave, with the regions that have something
// planned.
func accountsIn(w patch.IndexWave) []patch.AccountItem {
	var items []patch.AccountItem
	for _, t := range w.Targets {
		if n := len(items); n == 0 || items[n-1].Account != t.Account {
			items = append(items, patch.AccountItem{Account: t.Account})
		}
		if t.Planned > 0 {
			last := &items[len(items)-1]
			last.Regions = append(last.Regions, t.Region)
		}
	}
	return items
}

// account reads an account's results: the roll-up, then what it lacks, and for
// a target without a result what the plan and the intents tell.
func (f *folder) account(ctx context.Context, w patch.IndexWave, item patch.AccountItem) ([]patch.InstanceReport, []patch.ExcludedInstance, error) {
	var up AccountResult
	found := false
	if len(item.Regions) > 0 {
		var data []byte
		var err error
		if data, found, err = f.Objects.Fetch(ctx, patch.RollUpObject(f.in.Run, w.Name, item.Account)); err != nil {
			return nil, nil, err
		}
		if found {
			if err := json.Unmarshal(data, &up); err != nil {
				return nil, nil, fmt.Errorf("%w: roll-up of %s: %w", patch.ErrInternal, item.Account, err)
			}
		}
	}
	if !found {
		var err error
		if up.Excluded, err = excludedIn(ctx, f.Objects, f.index, w.Name, item.Account); err != nil {
			return nil, nil, err
		}
	}
	have := map[patch.Region]bool{}
	for _, r := range up.Regions {
		have[r] = true
	}
	all := up.Instances
	for _, region := range item.Regions {
		if have[region] {
			continue
		}
		t := patch.Target{Run: f.in.Run, Wave: w.Name, Account: item.Account, Region: region}
		result, found, err := loadResult(ctx, f.Objects, t)
		if err != nil {
			return nil, nil, err
		}
		if found && result.Settled {
			all = append(all, result.Instances...)
			continue
		}
		rest, err := f.unjudged(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, rest...)
	}
	return all, up.Excluded, nil
}

// unjudged reports a target that was never verified: what was not sent is
// NotSent, and of the rest nobody knows.
func (f *folder) unjudged(ctx context.Context, t patch.Target) ([]patch.InstanceReport, error) {
	row := f.targets[t]
	leaf, err := loadLeaf(ctx, f.Objects, t, row.LeafDigest)
	if errors.Is(err, patch.ErrTampered) {
		leaf, err = f.discovered(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	intents, err := loadIntents(ctx, f.Table, t)
	if err != nil {
		return nil, err
	}
	st := &state{target: t, row: row, run: f.run}
	if row.Closed == "" {
		st.row.Closed = f.whyNotSent()
	}
	facts := factsOf(intents, leaf, st)
	all := make([]patch.InstanceReport, 0, len(leaf.Instances))
	for _, p := range leaf.Instances {
		fact := facts[p.ID]
		r := patch.InstanceReport{
			InstanceID: p.ID, Account: t.Account, Region: t.Region, Wave: t.Wave, Platform: p.Platform, Name: p.Name,
			CommandID: fact.command, Status: orElse(fact.invocation.Details, fact.invocation.Status), Before: p.Before,
			Outcome: patch.Unknown, Reason: "the run ended before the instance was verified",
		}
		if fact.notSent != "" {
			r.Outcome, r.Reason = patch.NotSent, fact.notSent
		}
		all = append(all, r)
	}
	return all, nil
}

// discovered makes up for a plan that somebody has edited or removed: a run has
// a report whatever became of its files. Nothing is ever sent by it.
func (f *folder) discovered(ctx context.Context, t patch.Target) (patch.Leaf, error) {
	leaf := patch.Leaf{Target: t}
	data, found, err := f.Objects.Fetch(ctx, patch.InventoryObject(t.Run, t.Account, t.Region))
	if err != nil || !found {
		return leaf, err
	}
	var inv patch.Inventory
	if err := json.Unmarshal(data, &inv); err != nil {
		return leaf, fmt.Errorf("%w: inventory of %s/%s: %w", patch.ErrInternal, t.Account, t.Region, err)
	}
	for _, p := range inv.Planned {
		if p.Wave == t.Wave {
			leaf.Instances = append(leaf.Instances, p)
		}
	}
	return leaf, nil
}

// whyNotSent is the reason of instances whose turn never came.
func (f *folder) whyNotSent() string {
	if f.abort != nil {
		return patch.ReasonAbort
	}
	for _, a := range f.asked {
		switch a.Status {
		case patch.ApprovalRejected:
			return patch.ReasonRejected
		case patch.ApprovalExpired:
			return patch.ReasonExpired
		}
	}
	return patch.ReasonStopped
}

// foldApprovals tells what people were asked, and what they said.
func (f *folder) foldApprovals(ctx context.Context, r *patch.Report) error {
	for _, a := range f.asked {
		ar := patch.ApprovalReport{Scope: a.Scope, Status: a.Status, Asked: a.Asked, Decided: a.Decided, PlanCount: a.Instances}
		q := question{rec: a, status: a.Status}
		err := f.Table.Scan(ctx, patch.ApprovalKey(a.ID).PK, "DECISION#", func(_ string, decode func(any) error) error {
			var d patch.Decision
			err := decode(&d)
			q.decisions = append(q.decisions, d)
			return err
		})
		if err != nil {
			return err
		}
		sortDecisions(q.decisions) // they stand by identity; who settled it is told
		if d, ok := q.settledBy(); ok {
			ar.Identity, ar.Name, ar.Reason = d.Identity, d.Name, d.Reason
		}
		r.Approvals = append(r.Approvals, ar)
	}
	return nil
}

// status says how the run ended, and why in one line.
func (f *folder) status(r *patch.Report) (patch.RunStatus, string) {
	switch {
	case f.run.Status != patch.RunRunning && f.run.Status != "":
		return f.run.Status, f.run.StatusReason
	case f.abort != nil:
		return patch.RunAborted, "aborted: " + f.abort.Reason
	case f.in.Failure.Error != "":
		return patch.RunFailed, short(f.in.Failure.Error + ": " + f.in.Failure.Cause)
	case f.in.Status == "ABORTED":
		return patch.RunAborted, "the execution was stopped by hand"
	case f.in.Status != "":
		return patch.RunFailed, "the execution ended " + f.in.Status
	}
	for _, a := range f.asked {
		if patch.ScopeThen(a.Scope) == "judge" {
			if why, ok := f.doubtUpheld(r, a); ok {
				return patch.RunStopped, why
			}
			continue
		}
		switch a.Status {
		case patch.ApprovalRejected:
			return patch.RunRejected, "the approval of " + a.Scope + " was rejected"
		case patch.ApprovalExpired:
			return patch.RunExpired, "nobody decided on the approval of " + a.Scope + " in time"
		}
	}
	for _, w := range r.Waves {
		switch {
		case w.Verdict == patch.VerdictStop:
			return patch.RunStopped, "wave " + w.Name + " was judged stop: " + w.Reason
		case w.Verdict != patch.VerdictGood:
			return patch.RunFailed, "wave " + w.Name + " was not judged"
		}
	}
	if len(r.Unreachable) > 0 {
		return patch.RunIncomplete, fmt.Sprintf("%d account-regions could not be reached", len(r.Unreachable))
	}
	return patch.RunSucceeded, ""
}

// doubtUpheld tells whether people did not let the run go on after a doubtful
// wave. The state machine stops there, so the wave's verdict is written here.
func (f *folder) doubtUpheld(r *patch.Report, a patch.Approval) (string, bool) {
	if a.Status != patch.ApprovalRejected && a.Status != patch.ApprovalExpired {
		return "", false
	}
	for i := range r.Waves {
		w := &r.Waves[i]
		if w.Name == patch.ScopeWave(a.Scope) && w.Verdict == "" {
			w.Verdict = patch.VerdictStop
			w.Reason = orElse(w.Reason, "doubtful") + "; going on was " + a.Status
			return "wave " + w.Name + " was doubtful: " + w.Reason, true
		}
	}
	return "going on after a doubtful wave was " + a.Status, true
}

// maxCause keeps an error's text small enough for every payload that carries it.
const maxCause = 1000

func short(s string) string {
	if len(s) <= maxCause {
		return s
	}
	return strings.ToValidUTF8(s[:maxCause], "") + " ..."
}

// cause is the last line of a run that did not succeed.
func (f *folder) cause() string {
	return short(fmt.Sprintf("%s: %s", f.run.Status, orElse(f.run.StatusReason, "see the report")))
}

// store writes the report in its three forms; json comes last, so that its
// presence means that all are there.
func (f *folder) store(ctx context.Context, r *patch.Report) error {
	forms := []struct {
		form, contentType string
		render            func(*bytes.Buffer) error
	}{
		{"csv", "text/csv; charset=utf-8", func(b *bytes.Buffer) error { return report.CSV(b, r) }},
		{"html", "text/html; charset=utf-8", func(b *bytes.Buffer) error { return report.HTML(b, r) }},
		{"json", "application/json", func(b *bytes.Buffer) error { return report.JSON(b, r) }},
	}
	for _, form := range forms {
		var b bytes.Buffer
		if err := form.render(&b); err != nil {
			return fmt.Errorf("%w: render report.%s: %w", patch.ErrInternal, form.form, err)
		}
		if err := f.Objects.Store(ctx, patch.ReportObject(f.in.Run, form.form), form.contentType, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// close ends the run in the table.
func (f *folder) close(ctx context.Context, r *patch.Report) error {
	was := f.run.Version
	f.run.Version++
	f.run.Ended = r.Ended
	entry, head := f.run.Audit.Append(patch.RunChain(f.in.Run), "report", "RunEnded", string(r.Status)+"; "+r.StatusReason, r.Ended)
	f.run.Audit = head
	write := Write{How: Replace, Key: patch.RunKey(f.in.Run), Item: f.run, Was: was}
	if !f.found {
		write.How = Create
	}
	writes := []Write{write, {How: Audit, Key: entry.Key(), Item: entry}, {How: Delete, Key: patch.OpenRunKey(f.in.Run)}}
	if f.run.Digest != "" {
		input, _, err := loadInput(ctx, f.Objects, f.in.Run)
		if err != nil {
			return err
		}
		writes = append(writes, Write{How: Put, Key: patch.SeriesKey(input), Item: patch.Series{Run: f.in.Run, Planned: f.run.Planned, Ended: r.Ended}})
	}
	err := f.Table.Write(ctx, writes...)
	if errors.Is(err, patch.ErrConflict) {
		return fmt.Errorf("close run %s: %w", f.in.Run, err)
	}
	return err
}
