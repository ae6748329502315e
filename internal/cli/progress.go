package cli

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"ec2patch/internal/follow"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// view shows how a run or a rehearsal goes on. close leaves the stream in order.
type view interface {
	show(follow.Progress)
	// note tells something that is no progress, at a time since the start.
	note(text string, at time.Duration)
	close()
}

// newView picks the view that --progress asks for, for a rehearsal of that name.
func (a *app) newView(run string) view {
	mode := a.progress
	width, isTerminal := a.Terminal(a.stderr)
	if mode == "auto" {
		mode = "plain"
		if isTerminal && a.env["TERM"] != "dumb" {
			mode = "tty"
		}
	}
	switch mode {
	case "tty":
		if !isTerminal {
			width = pipeWidth
		}
		return newScreen(a.stderr, screenOptions{run: run, width: width, colour: a.colour(a.stderr), unicode: a.unicode(),
			now: a.Now})
	case "json":
		return &changeView{run: run, emit: func(c change) { a.jsonLine(c) }}
	case "quiet":
		return &changeView{run: run, emit: a.approvalLine}
	}
	return &changeView{run: run, emit: a.plainLine}
}

// change is something that a log should hold a line about.
type change struct {
	Virtual  *float64                `json:"virtualSeconds,omitempty"` // of a rehearsal
	Elapsed  *float64                `json:"elapsedSeconds,omitempty"` // of a run
	Kind     string                  `json:"kind"`                     // phase, wave, approval, progress, note
	Phase    patch.Phase             `json:"phase,omitempty"`
	Wave     string                  `json:"wave,omitempty"`
	Verdict  patch.Verdict           `json:"verdict,omitempty"`
	Planned  int                     `json:"planned,omitempty"`
	Outcomes map[outcome.Outcome]int `json:"outcomes,omitempty"`
	Approval string                  `json:"approval,omitempty"`
	Note     string                  `json:"note,omitempty"`

	Accounts     int `json:"accounts,omitempty"`
	AccountsDone int `json:"accountsDone,omitempty"`

	text string
	at   string
	page string // at which a person decides about an approval
}

// changeView emits one line for each notable change and nothing in between.
type changeView struct {
	run      string
	emit     func(change)
	real     bool // a run, no rehearsal
	phase    patch.Phase
	wave     string
	approval string
	verdicts map[string]patch.Verdict
}

func (v *changeView) close() {}

func (v *changeView) note(text string, at time.Duration) {
	v.tell(change{Kind: "note", Note: words.Clean(text), text: text}, at)
}

func (v *changeView) show(p follow.Progress) {
	for _, c := range v.changes(p) {
		v.tell(c, p.Elapsed)
	}
}

// tell emits one change with its time since the start.
func (v *changeView) tell(c change, at time.Duration) {
	seconds := at.Seconds()
	if v.real {
		c.Elapsed = &seconds
	} else {
		c.Virtual = &seconds
	}
	c.at = words.Duration(at)
	v.emit(c)
}

func (v *changeView) changes(p follow.Progress) []change {
	var out []change
	if v.verdicts == nil {
		v.verdicts = map[string]patch.Verdict{}
	}
	for _, w := range p.Waves {
		if w.Verdict == "" || w.Verdict == v.verdicts[w.Name] {
			continue
		}
		v.verdicts[w.Name] = w.Verdict
		c := change{
			Kind: "wave", Wave: w.Name, Verdict: w.Verdict, Planned: w.Planned, Outcomes: w.Outcomes,
			text: fmt.Sprintf("wave %s: judged %s", w.Name, w.Verdict),
		}
		if !v.real {
			c.text += ", " + outcomeWords(w)
		}
		out = append(out, c)
	}
	if p.Phase != v.phase || p.Wave != v.wave {
		text := string(p.Phase)
		if p.Wave != "" {
			text = fmt.Sprintf("wave %s: %s", p.Wave, p.Phase)
		}
		out = append(out, change{Kind: "phase", Phase: p.Phase, Wave: p.Wave, text: text})
		v.phase, v.wave = p.Phase, p.Wave
	}
	if text := asking(v.run, p); text != v.approval {
		v.approval = text
		if text != "" {
			out = append(out, change{Kind: "approval", Approval: words.Clean(text), text: "approval: " + text,
				page: p.Played.Page})
		}
	}
	return out
}

func (a *app) plainLine(c change) { fmt.Fprintf(a.stderr, "[%8s] %s\n", c.at, words.Clean(c.text)) }

// approvalLine is all that quiet shows, and only where a person has to act.
func (a *app) approvalLine(c change) {
	if c.page != "" {
		fmt.Fprintln(a.stderr, c.Approval)
	}
}

// ended tells the real time that a rehearsal took, as the progress is told.
func (a *app) ended(wall float64, text string) {
	switch a.progress {
	case "quiet":
	case "json":
		a.jsonLine(map[string]any{"kind": "end", "wallSeconds": wall})
	default:
		fmt.Fprintln(a.stderr, text)
	}
}

func (a *app) jsonLine(v any) {
	if err := json.NewEncoder(a.stderr).Encode(v); err != nil {
		fmt.Fprintf(a.stderr, "progress: %v\n", err)
	}
}

// outcomeWords is "25 instances: Patched 20, Failed 5".
func outcomeWords(w follow.Wave) string {
	text := words.Count(w.Planned, "instance")
	sep := ": "
	for _, o := range outcome.Outcomes() {
		if n := w.Outcomes[o]; n > 0 {
			text += sep + string(o) + " " + words.Number(n)
			sep = ", "
		}
	}
	return text
}

// once passes what it is told on to a view until it is stopped. A rehearsal that
// was interrupted may still talk; nobody sees it.
type once struct {
	mu      sync.Mutex
	v       view
	stopped bool
}

func (o *once) show(p follow.Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.stopped {
		o.v.show(p)
	}
}

func (o *once) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.stopped {
		o.stopped = true
		o.v.close()
	}
}
