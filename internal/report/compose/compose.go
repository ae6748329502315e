package compose

import (
	"context"
	"fmt"
	"io"
	"iter"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// composer puts the report together from its parts. What it holds at a time is
// one part, and of each form what must be shown together.
type composer struct {
	*folder
	slices  [][]piece
	last    []byte // the last part is never stored
	heads   []partHead
	digests []string // of the parts as they were counted
}

// count reads the head of every part.
func (c *composer) count(ctx context.Context) error {
	last := len(c.slices) - 1
	p, err := c.fold(ctx, c.slices[last])
	if err != nil {
		return err
	}
	if c.last, err = p.encode(); err != nil {
		return err
	}
	for k := range c.slices {
		data, err := c.part(ctx, k)
		if err != nil {
			return err
		}
		head, _, err := decodeHead(data)
		if err != nil {
			return err
		}
		c.heads, c.digests = append(c.heads, head), append(c.digests, patch.Digest(data))
	}
	return nil
}

// part reads what an earlier call has folded. What is lost, or is not what that
// call wrote, is folded again.
func (c *composer) part(ctx context.Context, k int) ([]byte, error) {
	if k == len(c.slices)-1 {
		return c.last, nil
	}
	var kept store.ReportSlice
	if err := c.Table.Load(ctx, &store.Row{Key: store.ReportSliceKey(c.in.Run, k), Into: &kept}); err != nil {
		return nil, err
	}
	data, found, err := c.Objects.Fetch(ctx, store.ReportSliceObject(c.in.Run, k))
	if err != nil || found && patch.Digest(data) == kept.Digest {
		return data, err
	}
	return c.storeSlice(ctx, c.slices[k], k)
}

// lines are the instances of a part that was counted, and of no other.
func (c *composer) lines(ctx context.Context, k int) ([]byte, error) {
	data, err := c.part(ctx, k)
	if err != nil {
		return nil, err
	}
	if patch.Digest(data) != c.digests[k] {
		return nil, fmt.Errorf("%w: slice %d of the report of %s was written again", patch.ErrConflict, k, c.in.Run)
	}
	_, lines, err := decodeHead(data)
	return lines, err
}

// storeSlice folds a slice and keeps it for the call that puts them together. Its
// digest is in the table: whoever can write to the bucket alone changes no report.
func (f *folder) storeSlice(ctx context.Context, pieces []piece, k int) ([]byte, error) {
	p, err := f.fold(ctx, pieces)
	if err != nil {
		return nil, err
	}
	data, err := p.encode()
	if err != nil {
		return nil, err
	}
	if err := f.Objects.Store(ctx, store.ReportSliceObject(f.in.Run, k), "application/jsonl", data); err != nil {
		return nil, err
	}
	return data,
		f.Table.Write(ctx, store.Write{How: store.Put, Key: store.ReportSliceKey(f.in.Run, k),
			Item: store.ReportSlice{Digest: patch.Digest(data)}})
}

// head is the report without its instances.
func (c *composer) head(ctx context.Context) (*report.Report, error) {
	r := &report.Report{
		SchemaVersion: report.ReportSchema, Run: c.in.Run, PlanDigest: c.run.Digest, DryRun: c.run.DryRun,
		RequestedBy: c.run.RequestedBy, Reason: c.run.Reason, Started: c.run.Started.UTC(),
		Waves: []report.WaveReport{}, Unreachable: c.index.Unreachable, Inactive: c.index.Inactive,
		Approvals: []report.ApprovalReport{},
		Totals:    report.Totals{Outcomes: map[outcome.Outcome]int{}},
	}
	var err error
	if r.Terms, err = c.terms(ctx); err != nil {
		return nil, err
	}
	if r.Unreachable == nil {
		r.Unreachable = []plan.UnreachableAccount{}
	}
	r.Totals.Unreachable = len(r.Unreachable)
	at := map[string]int{}
	for i, w := range c.index.Waves {
		row := c.waves[w.Name]
		wr := report.WaveReport{
			Name: w.Name, Operation: w.Operation, Reboot: w.RebootOption, Verdict: row.Verdict, Reason: row.Reason,
			Planned: w.Planned, Filter: w.Filter, Unmatched: unmatched(c.index, w), Empty: w.Empty(),
			Outcomes: map[outcome.Outcome]int{}, Accounts: []report.AccountReport{},
		}
		if row.Decided.Set() {
			ended := row.Decided.At.UTC()
			wr.Ended = &ended
		}
		r.Waves, at[w.Name] = append(r.Waves, wr), i
	}
	for _, h := range c.heads {
		for _, a := range h.Accounts {
			a.addTo(&r.Waves[at[a.Wave]], &r.Totals)
		}
		r.Totals.Excluded += h.Excluded
	}
	return r, c.foldApprovals(ctx, r)
}

// addTo adds what a piece counted to its wave and to the run.
func (a accountTally) addTo(w *report.WaveReport, t *report.Totals) {
	if !a.FirstSent.IsZero() && (w.Started == nil || a.FirstSent.Before(*w.Started)) {
		w.Started = &a.FirstSent
	}
	if a.Planned == 0 {
		return
	}
	n := len(w.Accounts)
	if n == 0 || w.Accounts[n-1].Account != a.Account {
		w.Accounts = append(w.Accounts, report.AccountReport{Account: a.Account, Outcomes: map[outcome.Outcome]int{}})
		n++
	}
	account := &w.Accounts[n-1]
	account.Planned += a.Planned
	t.Planned, t.Good, t.Failures, t.Neutral = t.Planned+a.Planned, t.Good+a.Good, t.Failures+a.Failures,
		t.Neutral+a.Neutral
	for _, o := range words.SortedKeys(a.Outcomes) {
		account.Outcomes[o] += a.Outcomes[o]
		w.Outcomes[o] += a.Outcomes[o]
		t.Outcomes[o] += a.Outcomes[o]
	}
}

// write writes the report in its three forms. Each appears as a whole; json
// comes last, so that its presence means that all are there.
func (c *composer) write(ctx context.Context, r *report.Report) error {
	var files []io.WriteCloser
	for _, f := range []struct{ form, contentType string }{
		{"csv", "text/csv; charset=utf-8"}, {"html", "text/html; charset=utf-8"}, {"json", "application/json"},
	} {
		files = append(files, c.Objects.Begin(ctx, store.ReportObject(c.in.Run, f.form), f.contentType))
	}
	csv, err := report.NewCSV(files[0], r)
	if err != nil {
		return err
	}
	json, err := report.NewJSON(files[2], r)
	if err != nil {
		return err
	}
	forms := []report.Form{csv, report.NewHTML(files[1], r), json}
	if err := c.tell(ctx, forms); err != nil {
		return err
	}
	for i, form := range forms {
		if err := form.Close(); err != nil {
			return err
		}
		if err := files[i].Close(); err != nil {
			return err
		}
	}
	return nil
}

// tell hands everything to the forms: first the plan's instances, then the others.
func (c *composer) tell(ctx context.Context, forms []report.Form) error {
	planned := func(h partHead) (skip, n int) { return 0, h.Instances }
	for i, err := range items[outcome.InstanceReport](ctx, c, planned) {
		for _, f := range forms {
			if err == nil {
				err = f.Instance(i)
			}
		}
		if err != nil {
			return err
		}
	}
	left := func(h partHead) (skip, n int) { return h.Instances, h.Excluded }
	for e, err := range items[plan.ExcludedInstance](ctx, c, left) {
		for _, f := range forms {
			if err == nil {
				err = f.Excluded(e)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// items are the lines of one kind in all parts.
func items[T any](ctx context.Context, c *composer, where func(partHead) (skip, n int)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for k, h := range c.heads {
			skip, n := where(h)
			if n == 0 {
				continue
			}
			lines, err := c.lines(ctx, k)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for v, err := range decodeLines[T](skipLines(lines, skip), n) {
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
	}
}
