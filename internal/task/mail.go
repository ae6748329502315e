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
func approvalMail(rec patch.Approval, run patch.RunRow, x patch.Index, doubt patch.Doubt, link string) (subject, body string) {
	what := "the whole plan"
	if wave := patch.ScopeWave(rec.Scope); wave != "" {
		what = "wave " + wave
		if patch.ScopeThen(rec.Scope) == "judge" {
			what = "going on after the doubtful wave " + wave
		}
	}
	subject = fmt.Sprintf("ec2patch %s: approve %s (%s)", rec.Run, what, patch.Count(rec.Instances, "instance"))
	if rec.Round > 1 {
		subject = "Reminder: " + subject
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s asks for approval of %s.\n\n", rec.Run, what)
	deadline := rec.Expires.UTC().Format(time.RFC1123)
	asked := scopeWaves(x, rec.Scope)
	fmt.Fprintf(&b, "Decide until: %s\n", deadline)
	fmt.Fprintf(&b, "Instances: %s\n", blastText(rec.Instances, asked))
	if n := expectedMinutes(asked); n > 0 && patch.ScopeThen(rec.Scope) == "patch" {
		fmt.Fprintf(&b, "Expected: typically %s of patching\n", minutesText(n))
	}
	fmt.Fprintf(&b, "Plan digest: %s\n", rec.Digest)
	if run.RequestedBy != "" {
		fmt.Fprintf(&b, "Requested by: %s\n", clean(run.RequestedBy))
	}
	if run.Reason != "" {
		fmt.Fprintf(&b, "Reason: %s\n", clean(run.Reason))
	}
	b.WriteString("\n")
	b.WriteString(doubtText(doubt))
	for _, w := range asked {
		b.WriteString(describeWave(w))
	}
	b.WriteString(notableText(asked))
	if n := len(x.Unreachable); n > 0 {
		fmt.Fprintf(&b, "\nNot reached, and not in the plan: %s\n", patch.Count(n, "account-region"))
	}
	if n := len(x.Inactive); n > 0 {
		fmt.Fprintf(&b, "\nNot active, and not in the plan: %s of the organizational units\n", patch.Count(n, "account"))
	}
	fmt.Fprintf(&b, "\nOpen this page to see the plan and to decide, until %s:\n\n%s\n\n", deadline, link)
	fmt.Fprintf(&b, "Or by command, with your IAM identity on record:\n\n    ec2patch approve %s\n\n", rec.Run)
	b.WriteString("Opening the page decides nothing. Whoever has this link can decide, so do not forward it.\n")
	return clean(subject)[:min(maxSubject, len(clean(subject)))], b.String()
}

// doubtText says why people are asked about going on, a line for each cause.
func doubtText(d patch.Doubt) string {
	if !d.Any() {
		return ""
	}
	var b strings.Builder
	b.WriteString("Why you are asked:\n")
	for _, line := range d.Lines() {
		b.WriteString("  " + clean(line) + "\n")
	}
	return b.String() + "\n"
}

// scopeWaves are the waves that a question is about.
func scopeWaves(x patch.Index, scope string) []patch.IndexWave {
	only := patch.ScopeWave(scope)
	if only == "" {
		return x.Waves
	}
	for _, w := range x.Waves {
		if w.Name == only {
			return []patch.IndexWave{w}
		}
	}
	return nil
}

// countPlaces counts the accounts and the regions that have something to patch.
func countPlaces(waves ...patch.IndexWave) (accounts, regions int) {
	inAccounts, inRegions := map[patch.AccountID]bool{}, map[patch.Region]bool{}
	for _, w := range waves {
		for _, t := range w.Targets {
			if t.Planned > 0 {
				inAccounts[t.Account], inRegions[t.Region] = true, true
			}
		}
	}
	return len(inAccounts), len(inRegions)
}

// blastText is the size of a question in one line.
func blastText(instances int, waves []patch.IndexWave) string {
	platforms := map[patch.Platform]int{}
	for _, w := range waves {
		for p, n := range w.Platforms {
			platforms[p] += n
		}
	}
	accounts, regions := countPlaces(waves...)
	return fmt.Sprintf("%d%s, in %s, %s", instances, platformsText(" (", platforms, ")"), patch.Count(accounts, "account"), patch.Count(regions, "region"))
}

// platformsText lists the platforms that there are, between two texts, else nothing.
func platformsText(before string, platforms map[patch.Platform]int, after string) string {
	var parts []string
	for _, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS} {
		if n := platforms[p]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p))
		}
	}
	if parts == nil {
		return ""
	}
	return before + strings.Join(parts, ", ") + after
}

// expectedMinutes is how long the waves typically take, one after the other.
func expectedMinutes(waves []patch.IndexWave) (n int) {
	for _, w := range waves {
		n += w.ExpectedMinutes
	}
	return n
}

// describeWave is one wave in a few lines.
func describeWave(w patch.IndexWave) string {
	accounts, regions := countPlaces(w)
	var b strings.Builder
	fmt.Fprintf(&b, "Wave %s: %s; %s%s, in %s, %s", w.Name, effectText(w), patch.Count(w.Planned, "instance"), platformsText(" (", w.Platforms, ")"),
		patch.Count(accounts, "account"), patch.Count(regions, "region"))
	if w.ExpectedMinutes > 0 {
		b.WriteString("; typically " + minutesText(w.ExpectedMinutes))
	}
	b.WriteString("\n")
	if w.Empty() {
		b.WriteString("  WARNING: nothing was matched. Are its tags right? Looked for: " + clean(w.Filter) + "\n")
	}
	if w.AllInstances {
		b.WriteString("  the filter names no tag: every instance\n")
	}
	if w.Excluded > 0 {
		fmt.Fprintf(&b, "  %d more matched and are left out\n", w.Excluded)
	}
	if changed := changes(w); changed != "" {
		b.WriteString("  " + clean(changed) + "\n")
	}
	if w.Planned > 0 {
		b.WriteString("  " + limitText(w) + "\n")
	}
	return b.String()
}

// effectText says what happens to the instances of a wave, and what restarts.
func effectText(w patch.IndexWave) string {
	switch {
	case w.Operation == patch.Scan:
		return "scans only, nothing is installed, nothing restarts"
	case w.RebootOption == patch.NoReboot:
		return "installs patches, nothing restarts"
	}
	return "installs patches, instances restart if a patch needs it"
}

// limitText says what a wave may cost before it is stopped. A limit of accounts
// that the wave has not, is none.
func limitText(w patch.IndexWave) string {
	text := "stops above " + patch.Count(w.FailLimit, "failed instance")
	if accounts, _ := countPlaces(w); w.AccountsMax < accounts {
		text += " or " + patch.Count(w.AccountsMax, "failed account")
	}
	return text
}

// notableText names single instances that one should know of.
func notableText(waves []patch.IndexWave) string {
	var b strings.Builder
	for _, w := range waves {
		for _, n := range w.Notable {
			if b.Len() == 0 {
				b.WriteString("\nAmong them, or gone from them:\n")
			}
			name := string(n.ID)
			if n.Name != "" {
				name += " " + n.Name
			}
			b.WriteString(clean(fmt.Sprintf("  %s, %s, %s %s: %s", name, n.Platform, n.Account, n.Region, notableWhy(n))) + "\n")
		}
	}
	return b.String()
}

// notableWhy says why an instance is named.
func notableWhy(n patch.Notable) string {
	switch {
	case n.Gone:
		return "gone since the last run"
	case n.New && n.Impaired:
		return "new since the last run, and failing status checks"
	case n.Impaired:
		return "already failing status checks"
	}
	return "new since the last run"
}

// clean makes text from outside fit for one line of a mail: printable ASCII, and
// no address that a mail program would make a second link of.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.ReplaceAll(s, "://", "[:]//"))
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
		if w.Empty {
			b.WriteString("  WARNING: nothing was matched. Are its tags right? Looked for: " + clean(w.Filter) + "\n")
		}
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
