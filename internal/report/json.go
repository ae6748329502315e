package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/words"
)

// jsonForm is report.json under way.
type jsonForm struct {
	out  *bufio.Writer
	rest []byte // what follows the lists
	list int    // 0: instances, 1: excluded
	n    int    // items of that list so far
}

// NewJSON begins report.json: one object, one line for each instance, so that
// line tools can read it too. Lists that are empty are [], never null. The lists
// of r itself are not looked at.
func NewJSON(w io.Writer, r *Report) (Form, error) {
	head, rest, err := frame(r)
	if err != nil {
		return nil, err
	}
	f := &jsonForm{out: bufio.NewWriter(w), rest: rest}
	f.out.Write(head)
	f.out.WriteString(`"instances":[`)
	return f, nil
}

func (f *jsonForm) Instance(i outcome.InstanceReport) error {
	if f.list != 0 {
		return fmt.Errorf("encode the report: instance %s comes after the excluded ones", i.InstanceID)
	}
	return f.item(instanceForm(inert(i)))
}

func (f *jsonForm) Excluded(e plan.ExcludedInstance) error {
	f.excluded()
	return f.item(excludedForm(inertExcluded(e)))
}

// excluded begins the second list.
func (f *jsonForm) excluded() {
	if f.list == 0 {
		f.out.WriteString(`],"excluded":[`)
		f.list, f.n = 1, 0
	}
}

func (f *jsonForm) item(v any) error {
	data, err := marshal(v)
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if f.n > 0 {
		f.out.WriteByte(',')
	}
	f.n++
	f.out.WriteByte('\n')
	_, err = f.out.Write(data)
	return err
}

func (f *jsonForm) Close() error {
	f.excluded()
	f.out.WriteByte(']')
	f.out.Write(f.rest)
	f.out.WriteByte('\n')
	return f.out.Flush()
}

// frame is the report without its long lists, in two parts: before and after
// them. Quotes inside of JSON text are escaped, so the mark that it looks for
// is nothing but the two keys themselves.
func frame(r *Report) (head, rest []byte, err error) {
	f := *r
	f.Run = patch.RunID(words.Clean(string(f.Run)))
	f.StatusReason, f.RequestedBy, f.Reason = words.Clean(f.StatusReason), words.Clean(f.RequestedBy),
		words.Clean(f.Reason)
	f.Instances, f.Excluded = []outcome.InstanceReport{}, []plan.ExcludedInstance{}
	f.Unreachable = each(r.Unreachable, inertUnreachable)
	if len(r.Inactive) > 0 {
		f.Inactive = each(r.Inactive, inertInactive)
	}
	f.Approvals = each(r.Approvals, inertApproval)
	f.Terms = each(r.Terms, func(l plan.Line) plan.Line { return plan.Line{Name: l.Name, Text: words.Clean(l.Text)} })
	f.Waves = each(r.Waves, inertWave)
	f.Totals.Outcomes = counts(f.Totals.Outcomes)
	data, err := marshal(reportForm(f))
	if err != nil {
		return nil, nil, fmt.Errorf("encode the report: %w", err)
	}
	head, rest, found := bytes.Cut(data, []byte(`"instances":[],"excluded":[]`))
	if !found {
		return nil, nil, fmt.Errorf("encode the report: instances and excluded do not follow each other")
	}
	return head, rest, nil
}

func inertWave(w WaveReport) WaveReport {
	w.Name, w.Reason = words.Clean(w.Name), words.Clean(w.Reason)
	w.Filter = words.Clean(w.Filter)
	if len(w.Unmatched) > 0 {
		w.Unmatched = each(w.Unmatched, inertAccount)
	}
	w.Outcomes = counts(w.Outcomes)
	w.Accounts = each(w.Accounts, func(a AccountReport) AccountReport {
		a.Outcomes = counts(a.Outcomes)
		return a
	})
	return w
}

func counts(m map[outcome.Outcome]int) map[outcome.Outcome]int {
	if m == nil {
		return map[outcome.Outcome]int{}
	}
	return m
}

// each maps a list; the result is never nil.
func each[T any](in []T, f func(T) T) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// marshal keeps <, > and & readable; the report is a file, not part of a page.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
