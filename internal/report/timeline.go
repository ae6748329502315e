package report

import (
	"cmp"
	"slices"
	"time"

	"ec2patch/internal/words"
)

const (
	maxSpans  = 150 // rows of the timeline
	maxTicks  = 6
	rowHeight = 34 // pixels
	axisSpace = 26
)

// timeline is the run's course: one bar a wave and one for each time that people
// were waited for. Positions are percent of the run, so that it fits any width
// with text of one size.
type timeline struct {
	Height int
	Foot   int // where the axis is written
	Spans  []span
	Ticks  []tick
	More   int // spans that are not drawn
}

type span struct {
	Name     string
	Text     string // how long, and how it ended
	Tone     tone
	Waiting  bool // waited for people
	X, Width string
	Y, BarY  int
	from     time.Time
}

type tick struct {
	X     string
	Label string
	Last  bool
}

// newTimeline is nil for a report without times.
func newTimeline(r *Report) *timeline {
	length := r.Ended.Sub(r.Started)
	if length <= 0 {
		return nil
	}
	spans := append(waveSpans(r, length), approvalSpans(r, length)...)
	if len(spans) == 0 {
		return nil
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	t := &timeline{More: max(len(spans)-maxSpans, 0), Ticks: ticks(length)}
	t.Spans = spans[:len(spans)-t.More]
	for i := range t.Spans {
		t.Spans[i].Y, t.Spans[i].BarY = i*rowHeight+13, i*rowHeight+18
	}
	t.Foot = len(t.Spans)*rowHeight + 18
	t.Height = len(t.Spans)*rowHeight + axisSpace
	return t
}

func waveSpans(r *Report, length time.Duration) []span {
	var out []span
	for _, w := range r.Waves {
		if w.Started == nil {
			continue
		}
		end := r.Ended
		if w.Ended != nil {
			end = *w.Ended
		}
		s := place(r.Started, *w.Started, end, length)
		s.Name, s.Tone = words.Clean(w.Name), verdictTone(w.Verdict)
		s.Text = words.Duration(end.Sub(*w.Started)) + ", " + cmp.Or(string(w.Verdict), "not judged")
		out = append(out, s)
	}
	return out
}

func approvalSpans(r *Report, length time.Duration) []span {
	var out []span
	for _, a := range r.Approvals {
		if a.Asked.IsZero() {
			continue
		}
		end := a.Decided
		if end.IsZero() {
			end = r.Ended
		}
		s := place(r.Started, a.Asked, end, length)
		s.Name, s.Tone, s.Waiting = "approval of "+words.Clean(a.Scope.Text()), toneNone, true
		s.Text = words.Duration(end.Sub(a.Asked)) + ", " + words.Clean(string(a.Status))
		out = append(out, s)
	}
	return out
}

// place puts a span on the axis, cut to the run.
func place(start, from, to time.Time, length time.Duration) span {
	a := min(max(from.Sub(start), 0), length)
	b := min(max(to.Sub(start), a), length)
	return span{X: percent(int(a), int(length)), Width: percent(int(b-a), int(length)), from: from}
}

// ticks divides the run into at most maxTicks round steps.
func ticks(length time.Duration) []tick {
	step := time.Second
	for _, s := range []time.Duration{
		time.Second, 10 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
		30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
		90 * 24 * time.Hour,
	} {
		step = s
		if length/s < maxTicks {
			break
		}
	}
	var out []tick
	for at := time.Duration(0); at <= length && len(out) <= maxTicks; at += step {
		out = append(out, tick{X: percent(int(at), int(length)), Label: axisLabel(at), Last: at > length*19/20})
	}
	return out
}

func axisLabel(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return words.Duration(d)
}
