package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"ec2patch/internal/patch"
)

// JSON writes report.json: one object, one line for each instance, so that
// line tools can read it too. Lists that are empty are [], never null.
func JSON(w io.Writer, r *patch.Report) error {
	out := bufio.NewWriter(w)
	head, rest, err := frame(r)
	if err != nil {
		return err
	}
	out.Write(head)
	if err := list(out, "instances", r.Instances, inert); err != nil {
		return err
	}
	out.WriteByte(',')
	if err := list(out, "excluded", r.Excluded, inertExcluded); err != nil {
		return err
	}
	out.Write(rest)
	out.WriteByte('\n')
	return out.Flush()
}

// frame is the report without its long lists, in two parts: before and after
// them. Quotes inside of JSON text are escaped, so the mark that it looks for
// is nothing but the two keys themselves.
func frame(r *patch.Report) (head, rest []byte, err error) {
	f := *r
	f.Run = patch.RunID(Line(string(f.Run)))
	f.StatusReason, f.RequestedBy, f.Reason = Line(f.StatusReason), Line(f.RequestedBy), Line(f.Reason)
	f.Instances, f.Excluded = []patch.InstanceReport{}, []patch.ExcludedInstance{}
	f.Unreachable = each(r.Unreachable, inertUnreachable)
	f.Approvals = each(r.Approvals, inertApproval)
	f.Waves = each(r.Waves, inertWave)
	f.Totals.Outcomes = counts(f.Totals.Outcomes)
	data, err := marshal(f)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the report: %w", err)
	}
	head, rest, found := bytes.Cut(data, []byte(`"instances":[],"excluded":[]`))
	if !found {
		return nil, nil, fmt.Errorf("encode the report: instances and excluded do not follow each other")
	}
	return head, rest, nil
}

func inertWave(w patch.WaveReport) patch.WaveReport {
	w.Name, w.Reason = Line(w.Name), Line(w.Reason)
	w.Outcomes = counts(w.Outcomes)
	w.Accounts = each(w.Accounts, func(a patch.AccountReport) patch.AccountReport {
		a.Outcomes = counts(a.Outcomes)
		return a
	})
	return w
}

func counts(m map[patch.Outcome]int) map[patch.Outcome]int {
	if m == nil {
		return map[patch.Outcome]int{}
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

func list[T any](out *bufio.Writer, key string, items []T, f func(T) T) error {
	fmt.Fprintf(out, "%q:[", key)
	for i, item := range items {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		data, err := marshal(f(item))
		if err != nil {
			return fmt.Errorf("encode %s[%d]: %w", key, i, err)
		}
		out.Write(data)
	}
	out.WriteByte(']')
	return nil
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
