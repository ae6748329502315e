package task

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
)

// maxSubject keeps a subject below SNS's limit of 100 characters.
const maxSubject = 99

// approvalMail is the question as plain text: what will be touched, until when
// it can be decided, and one link on a line of its own.
func approvalMail(rec patch.Approval, run patch.RunRow, x patch.Index, link string) (subject, body string) {
	what := "the whole plan"
	if wave := patch.ScopeWave(rec.Scope); wave != "" {
		what = "wave " + wave
		if patch.ScopeThen(rec.Scope) == "judge" {
			what = "going on after the doubtful wave " + wave
		}
	}
	subject = fmt.Sprintf("ec2patch %s: approve %s (%d instances)", rec.Run, what, rec.Instances)
	if rec.Round > 1 {
		subject = "Reminder: " + subject
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s asks for approval of %s.\n\n", rec.Run, what)
	fmt.Fprintf(&b, "Instances: %d\nPlan digest: %s\n", rec.Instances, rec.Digest)
	if run.RequestedBy != "" {
		fmt.Fprintf(&b, "Requested by: %s\n", clean(run.RequestedBy))
	}
	if run.Reason != "" {
		fmt.Fprintf(&b, "Reason: %s\n", clean(run.Reason))
	}
	b.WriteString("\n")
	for _, w := range x.Waves {
		if only := patch.ScopeWave(rec.Scope); only == "" || only == w.Name {
			b.WriteString(describeWave(w))
		}
	}
	if n := len(x.Unreachable); n > 0 {
		fmt.Fprintf(&b, "\n%d account-regions cannot be reached and are not in the plan.\n", n)
	}
	if n := len(x.Inactive); n > 0 {
		fmt.Fprintf(&b, "\n%d accounts of the organizational units are not active and are not in the plan.\n", n)
	}
	fmt.Fprintf(&b, "\nOpen this page to see the plan and to decide, until %s:\n\n%s\n\n", rec.Expires.UTC().Format(time.RFC1123), link)
	fmt.Fprintf(&b, "Or by command, with your IAM identity on record:\n\n    ec2patch approve %s\n\n", rec.Run)
	b.WriteString("Opening the page decides nothing. Whoever has this link can decide, so do not forward it.\n")
	return clean(subject)[:min(maxSubject, len(clean(subject)))], b.String()
}

// describeWave is one wave in one or two lines.
func describeWave(w patch.IndexWave) string {
	accounts, regions := map[patch.AccountID]bool{}, map[patch.Region]bool{}
	for _, t := range w.Targets {
		if t.Planned > 0 {
			accounts[t.Account], regions[t.Region] = true, true
		}
	}
	line := fmt.Sprintf("Wave %s: %s, %s; %d instances in %d accounts, %d regions", w.Name, w.Operation, w.RebootOption, w.Planned, len(accounts), len(regions))
	for _, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS} {
		if n := w.Platforms[p]; n > 0 {
			line += fmt.Sprintf(", %d %s", n, p)
		}
	}
	if w.ExpectedMinutes > 0 {
		line += "; typically " + minutesText(w.ExpectedMinutes)
	}
	if w.Excluded > 0 {
		line += fmt.Sprintf("; %d more matched and are left out", w.Excluded)
	}
	if w.New > 0 || w.Vanished > 0 {
		line += fmt.Sprintf("; since the last run %d new, %d vanished", w.New, w.Vanished)
	}
	if w.Impaired > 0 {
		line += fmt.Sprintf("; %d fail EC2's status checks already", w.Impaired)
	}
	if w.AllInstances {
		line += "; the filter names no tag: every instance"
	}
	return line + "\n"
}

// clean makes text from outside fit for one line of a mail: printable ASCII.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// noticeMail tells how a run ended.
func noticeMail(r *patch.Report) (subject, body string) {
	subject = fmt.Sprintf("ec2patch %s: %s", r.Run, r.Status)
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s ended: %s\n", r.Run, r.Status)
	if r.StatusReason != "" {
		fmt.Fprintf(&b, "%s\n", clean(r.StatusReason))
	}
	fmt.Fprintf(&b, "\n%d planned, %d good, %d failed, %d not sent\n", r.Totals.Planned, r.Totals.Good, r.Totals.Failures, r.Totals.Neutral)
	for _, w := range r.Waves {
		fmt.Fprintf(&b, "Wave %s: %s", w.Name, orDash(string(w.Verdict)))
		for _, o := range patch.Outcomes() {
			if n := w.Outcomes[o]; n > 0 {
				fmt.Fprintf(&b, ", %s %d", o, n)
			}
		}
		b.WriteString("\n")
	}
	if n := len(r.Unreachable); n > 0 {
		fmt.Fprintf(&b, "%d account-regions could not be reached\n", n)
	}
	fmt.Fprintf(&b, "\nThe report is s3: %s\n", patch.ReportObject(r.Run, "html"))
	s := clean(subject)
	return s[:min(maxSubject, len(s))], b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// SortedKeys lists a map's keys in order.
func SortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
