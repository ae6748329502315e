package compose

import (
	"cmp"
	"fmt"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/words"
)

// status says how the run ended, and why in one line. doubts are what was upheld.
func (f *folder) status(r *report.Report, doubts string) (patch.RunStatus, string) {
	switch {
	case f.run.Status != patch.RunRunning && f.run.Status != "":
		return f.run.Status, f.run.StatusReason
	case f.abort != nil:
		return patch.RunAborted, "aborted: " + f.abort.Reason
	case f.in.Failure.Error == string(patch.ErrInvalidInput), f.in.Failure.Error == string(patch.ErrRefused):
		return patch.RunRefused, short(f.in.Failure.Cause)
	case f.in.Failure.Error != "":
		return patch.RunFailed, short(f.in.Failure.Error + ": " + f.in.Failure.Cause)
	case f.in.Status != "":
		return endedStatus(f.in.Status)
	}
	if doubts != "" {
		return patch.RunStopped, doubts
	}
	for _, a := range f.asked {
		switch a.Status {
		case decision.ApprovalRejected:
			return patch.RunRejected, "the approval of " + a.Scope.Text() + " was rejected"
		case decision.ApprovalExpired:
			return patch.RunExpired, "no one decided on the approval of " + a.Scope.Text() + " in time"
		}
	}
	for _, w := range r.Waves {
		switch {
		case w.Verdict == patch.VerdictStop:
			return patch.RunStopped, "wave " + w.Name + " stopped the run: " + w.Reason
		case w.Verdict != patch.VerdictGood:
			return patch.RunFailed, "wave " + w.Name + " was not judged"
		}
	}
	return f.completed(r)
}

// completed says of a run whose waves were all judged good what is left to do. An
// instance that was gone before the send, and what a scan found missing, are not.
func (f *folder) completed(r *report.Report) (patch.RunStatus, string) {
	why := ""
	if len(r.Unreachable) > 0 {
		why = words.BareCount(len(r.Unreachable), "account-region") + " could not be reached"
	}
	for _, w := range f.index.Waves {
		if w.Empty() {
			why = words.Joined(why, fmt.Sprintf("wave %s matched nothing (looked for: %s)", w.Name, w.Filter))
		}
	}
	if why != "" {
		return patch.RunIncomplete, short(why)
	}
	if t := r.Totals; t.Failures > 0 || t.Outcomes[outcome.NotSent] > 0 {
		return patch.RunCompleted, fmt.Sprintf("every wave was judged good; %d of %s failed, %d were not sent",
			t.Failures, words.BareCount(t.Planned, "instance"), t.Outcomes[outcome.NotSent])
	}
	return patch.RunSucceeded, ""
}

// upholdDoubts writes the verdicts of the waves after which people did not let
// the run go on: the state machine stops there. why is the first one's, if any.
func (f *folder) upholdDoubts(r *report.Report) (why string) {
	for _, a := range f.asked {
		if !a.Scope.Soak() || a.Status != decision.ApprovalRejected && a.Status != decision.ApprovalExpired {
			continue
		}
		text := "continuing after a doubtful wave was " + string(a.Status)
		for i := range r.Waves {
			w := &r.Waves[i]
			if w.Name == a.Scope.Wave() && w.Verdict == "" {
				w.Verdict = patch.VerdictStop
				w.Reason = cmp.Or(w.Reason, "doubtful") + "; continuing was " + string(a.Status)
				text = "wave " + w.Name + " was doubtful: " + w.Reason
			}
		}
		why = cmp.Or(why, text)
	}
	return why
}

// maxCause keeps an error's text small enough for every payload that carries it.
const maxCause = 1000

func short(s string) string {
	if len(s) <= maxCause {
		return s
	}
	return strings.ToValidUTF8(s[:maxCause], "") + " ..."
}
