package cli

import (
	"fmt"
	"strings"
	"time"

	"ec2patch/internal/hub"
	"ec2patch/internal/sim"
	"ec2patch/internal/words"
)

// heartbeat is how often a log of a run that goes on has a line.
const heartbeat = time.Minute

// shown is how a run stands in the form that views take.
func shown(run string, p hub.Progress, now time.Time) sim.Progress {
	switch {
	case p.Started.IsZero():
		now = p.Started // nothing is known yet
	case !p.Ended.IsZero():
		now = p.Ended
	}
	out := sim.Progress{Virtual: max(now.Sub(p.Started), 0), Phase: p.Phase, Wave: p.Wave}
	for _, w := range p.Waves {
		out.Waves = append(out.Waves, sim.WaveProgress{
			Name: w.Name, Accounts: w.Accounts.Total, AccountsDone: w.Accounts.Done, InFlight: w.Accounts.Running, Verdict: w.Verdict,
		})
	}
	if q := p.Question; q.Scope != "" {
		out.Approval = about(q.Scope) + " waits"
		if q.Told != nil && !*q.Told {
			out.Approval += ", and NOBODY WAS TOLD: no subscription of the mails is confirmed"
		}
		out.Approval += fmt.Sprintf("; asked %s; ec2patch approve %s", words.Time(q.Since), run)
	}
	return out
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

func (v *beatView) show(p sim.Progress) {
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
		v.tell(c, p.Virtual)
	}
}

// beat says how far a run is.
func beat(p sim.Progress) change {
	c := change{Kind: "progress", Phase: p.Phase, Wave: p.Wave, text: string(p.Phase)}
	for _, w := range p.Waves {
		if w.Name == p.Wave {
			c.text = fmt.Sprintf("wave %s: %s", w.Name, p.Phase)
			if w.Accounts > 0 {
				c.Accounts, c.AccountsDone = w.Accounts, w.AccountsDone
				c.text += ", " + accountWords(w)
			}
		}
	}
	return c
}

// accountWords is "3 of 10 accounts through, 2 under way".
func accountWords(w sim.WaveProgress) string {
	var parts []string
	parts = append(parts, words.Number(w.AccountsDone)+" of "+words.Count(w.Accounts, "account")+" through")
	if w.InFlight > 0 {
		parts = append(parts, words.Number(w.InFlight)+" under way")
	}
	return words.Clean(strings.Join(parts, ", "))
}
