package compose

import (
	"fmt"
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/port"
	"ec2patch/internal/report"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// noticeMail tells how a run ended.
func noticeMail(r *report.Report) (subject, body string) {
	subject = fmt.Sprintf("ec2patch %s: %s", r.Run, r.Status)
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s ended: %s\n", r.Run, r.Status)
	if r.StatusReason != "" {
		fmt.Fprintf(&b, "%s\n", words.Clean(r.StatusReason))
	}
	fmt.Fprintf(&b, "\n%d planned, %d good, %d failed, %d not sent\n", r.Totals.Planned, r.Totals.Good, r.Totals.Failures, r.Totals.Neutral)
	for _, w := range r.Waves {
		fmt.Fprintf(&b, "Wave %s: %s", w.Name, words.OrDash(string(w.Verdict)))
		for _, o := range outcome.Outcomes() {
			if n := w.Outcomes[o]; n > 0 {
				fmt.Fprintf(&b, ", %s %d", o, n)
			}
		}
		b.WriteString("\n")
		if w.Empty {
			b.WriteString("  WARNING: nothing was matched. Are its tags right? Looked for: " + words.Clean(w.Filter) + "\n")
		}
	}
	if n := len(r.Unreachable); n > 0 {
		fmt.Fprintf(&b, "%d account-regions could not be reached\n", n)
	}
	fmt.Fprintf(&b, "\nThe report is s3: %s\n", store.ReportObject(r.Run, "html"))
	s := words.Clean(subject)
	return s[:min(port.MaxSubject, len(s))], b.String()
}
