package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/golden"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
)

type renderer func(io.Writer, *report.Report) error

func text(width int, colour bool) renderer {
	return func(w io.Writer, r *report.Report) error { return report.Text(w, r, width, colour) }
}

func render(t testing.TB, f renderer, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, f(&b, r))
	return b.String()
}

func scan() *report.Report {
	return &report.Report{
		SchemaVersion: 1, Run: "scan-1", Status: patch.RunSucceeded, DryRun: true, Started: start, Ended: at(9),
		Waves: []report.WaveReport{{Name: "all", Verdict: patch.VerdictGood, Planned: 1,
			Outcomes: map[outcome.Outcome]int{outcome.Compliant: 1},
			Accounts: []report.AccountReport{{Account: "111111111111", Planned: 1,
				Outcomes: map[outcome.Outcome]int{outcome.Compliant: 1}}}}},
		Totals: report.Totals{Planned: 1, Good: 1, Outcomes: map[outcome.Outcome]int{outcome.Compliant: 1}},
		Instances: []outcome.InstanceReport{{InstanceID: "i-0000000000000000a", Account: "111111111111", Region: "us-east-1",
			Wave: "all", Platform: patch.Linux, Outcome: outcome.Compliant}},
	}
}

func TestGolden(t *testing.T) {
	tests := []struct {
		name string
		f    renderer
		r    *report.Report
	}{
		{name: "stopped.json", f: report.JSON, r: sample()},
		{name: "stopped.csv", f: report.CSV, r: sample()},
		{name: "stopped.html", f: report.HTML, r: sample()},
		{name: "stopped.100.txt", f: text(100, false), r: sample()},
		{name: "stopped.40.txt", f: text(40, false), r: sample()},
		{name: "stopped.colour.txt", f: text(200, true), r: sample()},
		{name: "scan.txt", f: text(80, false), r: scan()},
		{name: "scan.html", f: report.HTML, r: scan()},
		{name: "empty.json", f: report.JSON, r: &report.Report{Run: "empty", Status: patch.RunFailed}},
		{name: "empty.txt", f: text(80, false), r: &report.Report{Run: "empty", Status: patch.RunFailed}},
		{name: "empty.html", f: report.HTML, r: &report.Report{Run: "empty", Status: patch.RunFailed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			golden.Equal(t, tt.name, []byte(render(t, tt.f, tt.r)))
		})
	}
}

func TestJSON_ReadsBackAsTheSameReport(t *testing.T) {
	var got report.Report
	require.NoError(t, json.Unmarshal([]byte(render(t, report.JSON, sample())), &got))
	want := *sample()
	assert.Equal(t, want.Instances, got.Instances)
	assert.Equal(t, want.Excluded, got.Excluded)
	assert.Equal(t, want.Unreachable, got.Unreachable)
	assert.Equal(t, want.Approvals, got.Approvals)
	assert.Equal(t, want.Totals, got.Totals)
	assert.Equal(t, want.Status, got.Status)
	assert.Equal(t, want.PlanDigest, got.PlanDigest)
}

func TestJSON_TextThatLooksLikeTheLists(t *testing.T) {
	r := sample()
	r.Reason = `"instances":[],"excluded":[]`
	var got report.Report
	require.NoError(t, json.Unmarshal([]byte(render(t, report.JSON, r)), &got))
	assert.Equal(t, r.Reason, got.Reason)
	assert.Len(t, got.Instances, len(r.Instances))
}

func TestCSV_HasOneRowForEachInstance(t *testing.T) {
	r := sample()
	rows, err := csv.NewReader(strings.NewReader(render(t, report.CSV, r))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+len(r.Instances)+len(r.Excluded))
	for _, row := range rows {
		assert.Len(t, row, len(report.Columns()))
	}
}

func TestText_FitsItsWidth(t *testing.T) {
	for _, width := range []int{40, 60, 80, 200} {
		for _, line := range strings.Split(render(t, text(width, false), sample()), "\n") {
			if strings.HasPrefix(line, "RECAP ") {
				continue
			}
			assert.LessOrEqual(t, len([]rune(line)), width, "width %d: %s", width, line)
		}
	}
}

func TestText_OfALargeWaveShowsTheWorstAccountsFirst(t *testing.T) {
	r := large(10_000)
	worst := &r.Waves[0].Accounts[24]
	worst.Outcomes = map[outcome.Outcome]int{outcome.Failed: worst.Planned}
	out := render(t, text(100, false), r)
	lines := strings.Split(out, "\n")
	header := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "WAVE ") })
	assert.Contains(t, lines[header+2], string(worst.Account))
	assert.Contains(t, out, "and 5 more")
	assert.Less(t, len(lines), 400)
}

func TestReport_inactive(t *testing.T) {
	r := sample()
	assert.NotContains(t, render(t, text(90, false), r), "Not active")
	assert.NotContains(t, render(t, report.HTML, r), "not active")
	assert.NotContains(t, render(t, report.JSON, r), "inactive")
	r.Inactive = []runinput.InactiveAccount{{Account: "555555555555", Wave: "main", State: "SUSPENDED\x1b[2J"}}
	assert.Contains(t, render(t, text(90, false), r),
		"Not active in the organization, left out\n  555555555555 main: SUSPENDED\n")
	assert.Contains(t, render(t, report.HTML, r), "<td>main</td>")
	assert.Contains(t, render(t, report.JSON, r), `"inactive":[{"account":"555555555555","wave":"main","state":"SUSPENDED"}]`)
}

func TestHTML_HasAStrictPolicyAndNoOutsideReference(t *testing.T) {
	out := render(t, report.HTML, sample())
	assert.Contains(t, out, `content="default-src &#39;none&#39;; style-src &#39;sha256-`)
	for _, forbidden := range []string{"<script", "http://", "https://", "<link", "<img", " style=", "url(", "@import",
		"ZgotmplZ"} {
		assert.NotContains(t, out, forbidden)
	}
}

func TestHTML_OfALargeFleetIsBounded(t *testing.T) {
	out := render(t, report.HTML, large(100_000))
	assert.Less(t, len(out), 4<<20)
	assert.Contains(t, out, "97,500 more are in <b>report.csv</b>")
	assert.Contains(t, out, "other reasons")
}

func TestRenderers_GiveTheSameBytesTwice(t *testing.T) {
	for name, f := range map[string]renderer{"json": report.JSON, "csv": report.CSV, "html": report.HTML,
		"text": text(90, true)} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, render(t, f, sample()), render(t, f, sample()))
		})
	}
}

func BenchmarkReport(b *testing.B) {
	r := large(100_000)
	for _, bb := range []struct {
		name string
		f    renderer
	}{{"json", report.JSON}, {"csv", report.CSV}, {"html", report.HTML}, {"text", text(100, false)}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bb.f(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestText_OfInstancesThatAreCountedAndNotNamed(t *testing.T) {
	for planned, want := range map[int]string{1: "1 of the planned instances is counted",
		2: "2 of the planned instances are counted"} {
		r := &report.Report{Run: "lost", Status: patch.RunFailed, Totals: report.Totals{Planned: planned}}
		assert.Contains(t, render(t, text(100, false), r), want)
	}
}

// A form takes instances before those that were left out; report.json would else
// list one among the others.
func TestNewJSON_TakesTheListsInOrder(t *testing.T) {
	var b bytes.Buffer
	f, err := report.NewJSON(&b, sample())
	require.NoError(t, err)
	require.NoError(t, f.Excluded(sample().Excluded[0]))
	assert.ErrorContains(t, f.Instance(sample().Instances[0]), "comes after")
	require.NoError(t, f.Close())
	var got report.Report
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	assert.Empty(t, got.Instances)
	assert.Len(t, got.Excluded, 1)
}

// What all instances of a group share is told once. What was not sent is gathered by what kept it back; past a few
// of these the rest share a group, which tells what they have in common, and each instance tells its own.
func TestDetailsOfAGroup(t *testing.T) {
	r := sample()
	const same = "333333333333: 5 failed, limit 4 (budget.perAccount 10% of 40)"
	assert.Equal(t, 1, strings.Count(render(t, report.HTML, r), same))
	n := 0
	for i := range r.Instances {
		if r.Instances[i].Detail != "" {
			n++
			r.Instances[i].Detail = fmt.Sprintf("own %d; common", n)
		}
	}
	page, out := render(t, report.HTML, r), render(t, text(200, false), r)
	assert.Equal(t, 5, strings.Count(page, "common)"))
	assert.Equal(t, n-4, strings.Count(page, ">own "))
	assert.Equal(t, 4, strings.Count(out, "(own "))
	assert.Equal(t, 1, strings.Count(out, "(common)"))
	assert.Contains(t, out, ": own 5\n")
}

// Incomplete is said of a run that missed accounts, and of one that found nothing where it looked.
func TestReport_whyIncomplete(t *testing.T) {
	away := []plan.UnreachableAccount{{Account: "111111111111", Reason: "closed"}}
	for want, r := range map[string]report.Report{
		"Nothing was matched that can be patched: nothing was patched.":              {},
		"Some account could not be reached, and nothing was matched elsewhere":       {Unreachable: away},
		"Some wave matched nothing that can be patched. Every wave was judged good.": {Totals: report.Totals{Planned: 1}},
		"\n  Some account could not be reached. Every wave was judged good.": {Totals: report.Totals{Planned: 1},
			Unreachable: away},
	} {
		r.Run, r.Status = "r", patch.RunIncomplete
		assert.Contains(t, render(t, text(200, false), &r), want)
	}
}

// A decision that did not count is told in every form for people.
func TestDecisions_notCounted(t *testing.T) {
	for name, f := range map[string]renderer{"html": report.HTML, "text": text(200, false)} {
		out := render(t, f, sample())
		assert.Contains(t, out, "not counted: ", name)
		assert.Contains(t, out, "whoever requested the run does not count", name)
		assert.Contains(t, out, "platform team", name)
	}
}

// A run whose every wave scans is called what it is, as a dry run is.
func TestReport_ofARunThatOnlyScans(t *testing.T) {
	tests := []struct {
		name  string
		waves []report.WaveReport
		scans bool
	}{
		{name: "every wave scans", waves: []report.WaveReport{{Name: "a", Operation: patch.Scan},
			{Name: "b", Operation: patch.Scan}}, scans: true},
		{name: "one wave installs", waves: []report.WaveReport{{Name: "a", Operation: patch.Scan},
			{Name: "b", Operation: patch.Install}}},
		{name: "no wave"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &report.Report{Run: "r", Status: patch.RunSucceeded, Waves: tt.waves,
				Totals: report.Totals{Planned: 1, Outcomes: map[outcome.Outcome]int{outcome.NonCompliant: 1}}}
			out, page := render(t, text(100, false), r), render(t, report.HTML, r)
			assert.Equal(t, tt.scans, strings.HasPrefix(out, "Scan r:"))
			assert.Equal(t, tt.scans, strings.Contains(out, "What is not compliant, and why"))
			assert.Equal(t, !tt.scans, strings.Contains(page, "</span> patched</div>"))
			assert.Equal(t, tt.scans, strings.Contains(page, "nothing was installed"))
		})
	}
}

// short is an instance that a scan found short of patches.
func short(id patch.InstanceID, missing, rejected int) outcome.InstanceReport {
	i := outcome.InstanceReport{
		InstanceID: id, Account: "111111111111", Region: "us-east-1", Wave: "w", Outcome: outcome.NonCompliant,
		Status: "Success",
		After:  &outcome.PatchState{Operation: patch.Scan, Missing: &missing, InstalledRejected: &rejected},
	}
	i.Reason = outcome.CountedText(i.Short())
	return i
}

// Reasons that differ in their numbers alone are one group with a range.
func TestReport_groupsOfNumbers(t *testing.T) {
	failed := func(id patch.InstanceID, reason string) outcome.InstanceReport {
		i := short(id, 1, 0)
		i.Outcome, i.Status, i.Reason = outcome.Failed, "Failed", reason
		return i
	}
	tests := []struct {
		name      string
		instances []outcome.InstanceReport
		want      []string
	}{
		{"a scan", []outcome.InstanceReport{short("i-0", 14, 0), short("i-1", 1, 0), short("i-2", 1600, 0)},
			[]string{"1 to 1,600 patches missing"}},
		{"one number", []outcome.InstanceReport{short("i-0", 1, 0), short("i-1", 1, 0)}, []string{"1 patch missing"}},
		{"two numbers", []outcome.InstanceReport{short("i-0", 4, 2), short("i-1", 4, 5), short("i-2", 3, 0)},
			[]string{"4 patches missing, 2 to 5 rejected", "3 patches missing"}},
		{"not a number of anything",
			[]outcome.InstanceReport{failed("i-0", "1 of the patches failed"), failed("i-1", "2 of the patches failed")},
			[]string{"1 of the patches failed", "2 of the patches failed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &report.Report{Run: "r", Status: patch.RunSucceeded, Instances: tt.instances}
			tally(r)
			page, out := render(t, report.HTML, r), render(t, text(200, false), r)
			assert.Equal(t, len(tt.want), strings.Count(page, `<span class="why">`))
			for _, want := range tt.want {
				assert.Contains(t, page, `<span class="why">`+want+"</span>")
				assert.Contains(t, out, "  "+want+"\n")
			}
		})
	}
}

// In a range each instance tells its own number.
func TestText_numbersInARange(t *testing.T) {
	r := &report.Report{Run: "r", Status: patch.RunSucceeded,
		Instances: []outcome.InstanceReport{short("i-1", 2, 0), short("i-2", 9, 0)}}
	tally(r)
	assert.Contains(t, render(t, text(100, false), r), "i-2 111111111111 us-east-1 w: 9 patches missing\n")
}

// A run that has ended has nothing open: an instance is in order or it is not.
func TestReport_saysOKOrNotOK(t *testing.T) {
	out := render(t, text(40, false), sample())
	assert.Regexp(t, `(?m)^WAVE +OK +NOT OK +VERDICT$`, out)
	assert.Contains(t, render(t, report.HTML, sample()), "20 of 40 OK")
}

// A run that ends well without anything to do says so, is not green, and names
// what it looked for.
func TestReport_nothingMatched(t *testing.T) {
	r := &report.Report{Run: "r", Status: patch.RunSucceeded, Waves: []report.WaveReport{
		{Name: "all", Operation: patch.Install, Verdict: patch.VerdictGood, Filter: "tag PatchGroup=default",
			Unmatched: []patch.AccountID{"111111111111", "222222222222"}},
	}}
	out, page := render(t, text(100, false), r), render(t, report.HTML, r)
	for name, form := range map[string]string{"text": out, "html": page} {
		assert.Contains(t, form, "Nothing was matched that can be patched", name)
		assert.Contains(t, form, "Wave all looked for: tag PatchGroup=default.", name)
		assert.NotContains(t, form, "Every wave was judged good", name)
	}
	assert.Contains(t, out, "Accounts in which nothing was matched\n  all: 111111111111 222222222222\n")
	assert.Contains(t, page, `<header class="warn">`)
	assert.Contains(t, page, "Nothing was matched in 2 accounts: <code>111111111111</code> <code>222222222222</code>.")
	assert.Contains(t, render(t, report.JSON, r), `"unmatched":["111111111111","222222222222"]`)
	assert.Contains(t, render(t, text(100, true), r), "\x1b[33mSucceeded")
	r.Status = patch.RunIncomplete
	assert.Contains(t, render(t, text(100, false), r), "Nothing was matched that can be patched")
}

// Two approvals were needed: both people are named.
func TestText_namesEveryApproval(t *testing.T) {
	out := render(t, text(200, false), sample())
	assert.Contains(t, out, "run: approved by B. Operator and A. Operator after 29m: change 4711\n")
	r := sample()
	r.Approvals = []report.ApprovalReport{{Scope: "run", Status: "rejected", Name: "C. Operator",
		Decisions: []report.DecisionReport{
			{Decision: decision.Approve, Name: "B. Operator", Counted: true},
			{Decision: decision.Reject, Name: "C. Operator", Counted: true},
		}}}
	assert.Contains(t, render(t, text(200, false), r), "run: rejected by C. Operator\n")
}

// A spoke that is not deployed is told with what to do about it, not in the words
// of AWS; other reasons speak for themselves.
func TestReport_accountThatCannotBeAssumed(t *testing.T) {
	r := sample()
	r.Unreachable = []plan.UnreachableAccount{
		{Account: "444444444444", Region: "eu-west-1",
			Reason: "assume role ec2patch-spoke in account 444444444444: Patch.AccessDenied: operation error STS: AssumeRole, " +
				"api error AccessDenied: no"},
		{Account: "555555555555", Region: "eu-west-1",
			Reason: "list instances: Patch.AccessDenied: operation error EC2: DescribeInstances"},
	}
	for name, f := range map[string]renderer{"text": text(300, false), "html": report.HTML} {
		out := render(t, f, r)
		assert.Contains(t, out, "access denied: assume role ec2patch-spoke in account 444444444444. Deploy spoke-cfn.yaml "+
			"there", name)
		assert.NotContains(t, out, "operation error STS", name)
		assert.Contains(t, out, "operation error EC2", name)
	}
	assert.Contains(t, render(t, report.JSON, r), "operation error STS")
}

// "Nothing more" would say that something was sent.
func TestText_ofARunThatWasRejected(t *testing.T) {
	for sent, want := range map[outcome.Outcome]string{outcome.NotSent: "Nothing was sent.",
		outcome.Patched: "Nothing more was sent."} {
		r := &report.Report{Run: "r", Status: patch.RunRejected,
			Instances: []outcome.InstanceReport{{Outcome: outcome.NotSent}, {Outcome: sent}}}
		tally(r)
		assert.Contains(t, render(t, text(100, false), r), want)
		r.Status = patch.RunExpired
		assert.Contains(t, render(t, text(100, false), r), want)
	}
}
