package cli

import (
	"fmt"
	"time"

	"ec2patch/internal/follow"
	"ec2patch/internal/words"
)

// heartbeat is how often a log of a run that goes on has a line.
const heartbeat = time.Minute

// asking is one line about what a run waits for, or about what a rehearsal's people say; empty if nothing is asked.
func asking(run string, p follow.Progress) string {
	q := p.Question
	if q.Scope == "" {
		return p.Played.Approval
	}
	text := about(q.Scope) + " waits"
	if q.Told != nil && !*q.Told {
		text += ", and NOBODY WAS TOLD: no subscription of the mails is confirmed"
	}
	return text + fmt.Sprintf("; asked %s; ec2patch approve %s", words.Time(q.Since), run)
}

// newRunView picks the view that --progress asks for, for a run that is no rehearsal.
func (a *app) newRunView(run string) view {
	inner := a.newView(run)
	switch v := inner.(type) {
	case *screen:
		v.real = true
		return v
	case *changeView:
		v.real = true
		if a.progress == "quiet" {
			v.emit = a.askedLine
			return v
		}
		return &beatView{changeView: v, now: a.Now}
	}
	return inner
}

// askedLine is all that quiet shows of a run: that a person has to act.
func (a *app) askedLine(c change) {
	if c.Kind == "approval" {
		fmt.Fprintln(a.stderr, c.Approval)
	}
}

// beatView has a line a minute, also where nothing changed.
type beatView struct {
	*changeView
	now  func() time.Time
	last time.Time
}

func (v *beatView) show(p follow.Progress) {
	if p.Phase == "" {
		return
	}
	out := v.changes(p)
	now := v.now()
	if len(out) == 0 && now.Sub(v.last) >= heartbeat {
		out = []change{beat(p)}
	}
	for _, c := range out {
		v.last = now
		v.tell(c, p.Elapsed)
	}
}

// beat says how far a run is.
func beat(p follow.Progress) change {
	c := change{Kind: "progress", Phase: p.Phase, Wave: p.Wave, text: string(p.Phase)}
	for _, w := range p.Waves {
		if w.Name == p.Wave {
			c.text = fmt.Sprintf("wave %s: %s", w.Name, p.Phase)
			if n := w.Accounts; n.Total > 0 {
				c.Accounts, c.AccountsDone = n.Total, n.Done
				c.text += ", " + accountWords(n)
			}
		}
	}
	return c
}

// accountWords is "3 of 10 accounts through, 2 under way".
func accountWords(n follow.Accounts) string {
	text := words.Number(n.Done) + " of " + words.Count(n.Total, "account") + " through"
	if n.Running > 0 {
		text += ", " + words.Number(n.Running) + " under way"
	}
	return text
}
