package approval

import (
	"fmt"
	"strings"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// approvalMail is the question as plain text: what will be touched, until when
// it can be decided, and one link on a line of its own.
func approvalMail(rec decision.Approval, run store.RunRow, x plan.Index, doubt doubt.Doubt, link string) (subject,
	body string) {
	what := rec.Scope.Text()
	subject = fmt.Sprintf("ec2patch %s: approve %s (%s)", rec.Run, what, words.Count(rec.Instances, "instance"))
	if rec.Round > 1 {
		subject = "Reminder: " + subject
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s asks for approval of %s.\n\n", rec.Run, what)
	deadline := words.Time(rec.Expires)
	asked := scopeWaves(x, rec.Scope)
	fmt.Fprintf(&b, "Decide until: %s\n", deadline)
	fmt.Fprintf(&b, "Instances: %s\n", blastText(rec.Instances, asked))
	if n := expectedMinutes(asked); n > 0 && !rec.Scope.Soak() {
		fmt.Fprintf(&b, "Expected: %s of patching\n", typically(n))
	}
	fmt.Fprintf(&b, "Plan digest: %s\n", rec.Digest)
	if run.RequestedBy != "" {
		fmt.Fprintf(&b, "Requested by: %s (%s)\n", words.Clean(run.RequestedBy, words.Mail, words.Limit(maxMailLine)),
			claimed)
	}
	b.WriteString("Started by: " + unknownStarter + "\n")
	if run.Reason != "" {
		fmt.Fprintf(&b, "Reason: %s\n", words.Clean(run.Reason, words.Mail, words.Limit(maxMailLine)))
	}
	for _, line := range x.Lines() {
		b.WriteString(words.Clean(line.String()) + "\n")
	}
	b.WriteString("\n")
	b.WriteString(doubtText(doubt))
	b.WriteString(listed(described(asked), wavesRoom, "wave"))
	b.WriteString(notableText(asked))
	if n := len(x.Unreachable); n > 0 {
		fmt.Fprintf(&b, "\nNot reached, and not in the plan: %s\n", words.Count(n, "account-region"))
	}
	if n := len(x.Inactive); n > 0 {
		fmt.Fprintf(&b, "\nNot active, and not in the plan: %s of the organizational units\n", words.Count(n, "account"))
	}
	b.WriteString(howToDecide(rec, deadline, link))
	return words.Clean(subject, words.Mail, words.Limit(port.MaxSubject)), b.String()
}

// What is known of who wants a run. Step Functions does not record who started an execution.
const (
	claimed        = "as the starter says"
	unknownStarter = "not known"
)

// howToDecide leads to the page and to the command. Where more than one person is needed a link alone decides nothing.
func howToDecide(rec decision.Approval, deadline, link string) string {
	if rec.RequireDistinct > 1 {
		return fmt.Sprintf("\n%s people must approve, until %s, each by command with an identity of their own:\n\n"+
			"    ec2patch approve %s\n\nThis page shows the plan, and takes an answer only of who is logged in to it:\n\n%s\n\n"+
			"Opening the page decides nothing.\n", words.Number(rec.RequireDistinct), deadline, rec.Run, link)
	}
	return fmt.Sprintf("\nOpen this page to see the plan and to decide, until %s:\n\n%s\n\n"+
		"Or by command, with your IAM identity on record:\n\n    ec2patch approve %s\n\n"+
		"Opening the page decides nothing. Whoever has this link can decide, so do not forward it.\n", deadline, link,
		rec.Run)
}

// doubtText says why people are asked about going on, a line for each cause.
func doubtText(d doubt.Doubt) string {
	if !d.Any() {
		return ""
	}
	var lines []string
	for _, line := range d.Lines() {
		lines = append(lines, "  "+cut(doubt.ForMail(line))+"\n")
	}
	return "Why you are asked:\n" + listed(lines, doubtsRoom, "cause") + "\n"
}

// Room of a mail, in bytes: SNS takes 256 KiB, and what is beyond reaches nobody. The page has all of it.
// Source: SNS quotas, message size, read 2026-11.
const (
	doubtsRoom  = 40 << 10
	wavesRoom   = 40 << 10
	notableRoom = 60 << 10
	maxMailLine = 600 // characters, of what others wrote
)

func cut(s string) string { return words.Clean(s, words.Lines, words.Limit(maxMailLine)) }

// listed is what there is room for, and how many more there are.
func listed(items []string, room int, noun string) string {
	var b strings.Builder
	for i, item := range items {
		if b.Len()+len(item) > room {
			fmt.Fprintf(&b, "  and %s more; the page has all\n", words.Count(len(items)-i, noun))
			break
		}
		b.WriteString(item)
	}
	return b.String()
}

// described is each wave in a few lines.
func described(waves []plan.IndexWave) []string {
	var all []string
	for _, w := range waves {
		all = append(all, DescribeWave(w))
	}
	return all
}

// scopeWaves are the waves that a question is about.
func scopeWaves(x plan.Index, scope patch.Scope) []plan.IndexWave {
	only := scope.Wave()
	if only == "" {
		return x.Waves
	}
	for _, w := range x.Waves {
		if w.Name == only {
			return []plan.IndexWave{w}
		}
	}
	return nil
}

// countPlaces counts the accounts and the regions that have something to patch.
func countPlaces(waves ...plan.IndexWave) (accounts, regions int) {
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
func blastText(instances int, waves []plan.IndexWave) string {
	platforms := map[patch.Platform]int{}
	for _, w := range waves {
		for p, n := range w.Platforms {
			platforms[p] += n
		}
	}
	accounts, regions := countPlaces(waves...)
	return fmt.Sprintf("%s%s, in %s, %s", words.Number(instances), platformsText(" (", platforms, ")"),
		words.Count(accounts, "account"), words.Count(regions, "region"))
}

// platformsText lists the platforms that there are, between two texts, else nothing.
func platformsText(before string, platforms map[patch.Platform]int, after string) string {
	var parts []string
	for _, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS} {
		if n := platforms[p]; n > 0 {
			parts = append(parts, words.Number(n)+" "+string(p))
		}
	}
	if parts == nil {
		return ""
	}
	return before + strings.Join(parts, ", ") + after
}

// expectedMinutes is how long the waves typically take, one after the other.
func expectedMinutes(waves []plan.IndexWave) (n int) {
	for _, w := range waves {
		n += w.ExpectedMinutes
	}
	return n
}

// typically is an estimate in minutes, in words.
func typically(minutes int) string {
	return "typically " + words.Duration(time.Duration(minutes)*time.Minute)
}

// DescribeWave is one wave in a few lines.
func DescribeWave(w plan.IndexWave) string {
	accounts, regions := countPlaces(w)
	var b strings.Builder
	fmt.Fprintf(&b, "Wave %s: %s; %s%s, in %s, %s", words.Clean(w.Name, words.Mail, words.Limit(maxMailLine)),
		effectText(w), words.Count(w.Planned, "instance"), platformsText(" (", w.Platforms, ")"),
		words.Count(accounts, "account"), words.Count(regions, "region"))
	if w.ExpectedMinutes > 0 {
		b.WriteString("; " + typically(w.ExpectedMinutes))
	}
	b.WriteString("\n")
	if w.Empty() {
		b.WriteString("  WARNING: nothing was matched. Are its tags right? Looked for: " +
			words.Clean(w.Filter, words.Mail, words.Limit(maxMailLine)) + "\n")
	}
	if w.AllInstances {
		b.WriteString("  the filter names no tag: every instance\n")
	}
	if w.Excluded > 0 {
		fmt.Fprintf(&b, "  %s more matched and are left out\n", words.Number(w.Excluded))
	}
	if changed := changes(w); changed != "" {
		b.WriteString("  " + words.Clean(changed, words.Mail) + "\n")
	}
	if w.Planned > 0 {
		b.WriteString("  " + limitText(w) + "\n")
	}
	return b.String()
}

// effectText says what happens to the instances of a wave, and what restarts.
func effectText(w plan.IndexWave) string {
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
func limitText(w plan.IndexWave) string {
	text := "stops above " + words.Count(w.FailLimit, "failed instance")
	if accounts, _ := countPlaces(w); w.AccountsMax < accounts {
		text += " or " + words.Count(w.AccountsMax, "failed account")
	}
	return text
}

// notableText names single instances that one should know of.
func notableText(waves []plan.IndexWave) string {
	var lines []string
	for _, w := range waves {
		for _, n := range w.Notable {
			name := string(n.ID)
			if n.Name != "" {
				name += " " + n.Name
			}
			line := fmt.Sprintf("%s, %s, %s %s: %s", name, n.Platform, n.Account, n.Region, notableWhy(n))
			lines = append(lines, "  "+words.Clean(line, words.Mail, words.Limit(maxMailLine))+"\n")
		}
	}
	if lines == nil {
		return ""
	}
	return "\nAmong them, or gone from them:\n" + listed(lines, notableRoom, "instance")
}

// notableWhy says why an instance is named.
func notableWhy(n plan.Notable) string {
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
