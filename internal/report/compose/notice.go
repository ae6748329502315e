package compose

import (
	"cmp"
	"fmt"
	"strings"

	"ec2patch/internal/doubt"
	"ec2patch/internal/outcome"
	"ec2patch/internal/port"
	"ec2patch/internal/report"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Bounds of a notice, in characters, so that SNS takes it whatever the plan is; the report has all.
const (
	maxReason = 10_000
	maxFilter = 600
)

// noticeMail tells how a run ended.
func noticeMail(r *report.Report) (subject, body string) {
	subject = fmt.Sprintf("ec2patch %s: %s", r.Run, r.Status)
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s ended: %s\n", r.Run, r.Status)
	if r.StatusReason != "" {
		fmt.Fprintf(&b, "%s\n", words.Clean(doubt.ForMail(r.StatusReason), words.Limit(maxReason)))
	}
	fmt.Fprintf(&b, "\n%s planned, %s good, %s failed, %s not sent\n",
		words.Number(r.Totals.Planned), words.Number(r.Totals.Good), words.Number(r.Totals.Failures),
		words.Number(r.Totals.Neutral))
	for _, w := range r.Waves {
		fmt.Fprintf(&b, "Wave %s: %s", w.Name, cmp.Or(string(w.Verdict), "-"))
		for _, o := range outcome.Outcomes() {
			if n := w.Outcomes[o]; n > 0 {
				fmt.Fprintf(&b, ", %s %s", o, words.Number(n))
			}
		}
		b.WriteString("\n")
		if w.Empty {
			b.WriteString("  WARNING: nothing was matched. Are its tags right? Looked for: " +
				words.Clean(w.Filter, words.Mail, words.Limit(maxFilter)) + "\n")
		}
	}
	if n := len(r.Unreachable); n > 0 {
		fmt.Fprintf(&b, "%s could not be reached\n", words.Count(n, "account-region"))
	}
	fmt.Fprintf(&b, "\nThe report is s3: %s\n", store.ReportObject(r.Run, "html"))
	return words.Clean(subject, words.Mail, words.Limit(port.MaxSubject)), b.String()
}
