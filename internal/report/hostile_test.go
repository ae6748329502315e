package report_test

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
)

// hostile are texts that somebody could put into a tag, a name or an output.
func hostile() []string {
	return []string{
		"", "two\r\nlines\nRECAP run Patched=999", "\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07after",
		"\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
		"\u009b31mC1", "\x9b31m", "nul\x00byte", "bell\a", "back\b\bspace", "right\u202eto left", "zero\u200bwidth\ufeff",
		"tag\U000e0041",
		"bad \xed\xa0\x80 surrogate", "\xff\xfe", "\U0001f9e8 emoji", strings.Repeat("x", 256), "=cmd|'/C calc'!A0", "+1+1",
		"-1", "@SUM(A1)", "\t=1", "\r=1",
		" =1", "a;=1+1", "a,\"=1+1\"", "＝1", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'--",
		"{{.Run}}", "</style><b>", "</pre></details>",
		"../../etc/passwd", "${jndi:ldap://x}", "%s%n%d", "$.x", "States.Format('{}')", "line\u2028sep", "\x1b", "\x1b[",
		"\x1b]unclosed", "\x1bPq\x1b\\",
	}
}

func poisoned(text string) *report.Report {
	r := sample()
	r.Run, r.StatusReason, r.RequestedBy, r.Reason = patch.RunID("run"+text), text, text, text
	for i := range r.Instances {
		p := &r.Instances[i]
		p.Name, p.Reason, p.Warning, p.Status, p.Output, p.Detail = text, text, text, text, text, text
		p.Platform = patch.Platform(text)
		p.Before = &outcome.PatchState{SnapshotID: text, BaselineID: text, Operation: patch.Operation(text)}
	}
	for i := range r.Excluded {
		r.Excluded[i].Reason = text
	}
	r.Unreachable[0].Reason = text
	r.Inactive = []runinput.InactiveAccount{{Account: "555555555555", Wave: text, State: text}}
	r.Approvals[0].Name, r.Approvals[0].Identity, r.Approvals[0].Reason, r.Approvals[0].Status = text, text, text,
		decision.Status(text)
	r.Approvals[0].Decisions = []report.DecisionReport{{Decision: decision.Choice(text), Identity: text, Name: text,
		Reason: text, Ignored: text}}
	r.Waves[0].Reason = text
	return r
}

// assertInert fails on any character that a terminal or a reader could obey.
// allowed are the line breaks of the form itself.
func assertInert(t *testing.T, out, allowed string) {
	t.Helper()
	require.True(t, utf8.ValidString(out))
	for _, r := range out {
		if strings.ContainsRune(allowed, r) {
			continue
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			t.Fatalf("the output holds %U", r)
		}
	}
}

func TestHostileText_IsInertInEveryForm(t *testing.T) {
	for _, h := range hostile() {
		t.Run(strings.ToValidUTF8(h, "?"), func(t *testing.T) {
			r := poisoned(h)
			assertInert(t, render(t, report.JSON, r), "\n")
			assertInert(t, render(t, report.CSV, r), "\n")
			assertInert(t, render(t, report.HTML, r), "\n\t")
			out := render(t, text(80, false), r)
			assertInert(t, out, "\n")
			assert.Equal(t, 1, strings.Count(out, "\nRECAP "), "a second recap line was forged")

			var back report.Report
			require.NoError(t, json.Unmarshal([]byte(render(t, report.JSON, r)), &back))
			assert.Len(t, back.Instances, len(r.Instances))
		})
	}
}

func TestHostileText_IsNoFormulaInCSV(t *testing.T) {
	for _, h := range hostile() {
		rows, err := csv.NewReader(strings.NewReader(render(t, report.CSV, poisoned(h)))).ReadAll()
		require.NoError(t, err)
		for _, row := range rows {
			for _, cell := range row {
				for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return r == ';' || r == ',' }) {
					part = strings.TrimLeft(part, " \"")
					assert.False(t, strings.HasPrefix(part, "=") || strings.HasPrefix(part, "+") || strings.HasPrefix(part, "-") ||
						strings.HasPrefix(part, "@") || strings.HasPrefix(part, "＝"), "cell %q computes", cell)
				}
			}
		}
	}
}

func TestHostileText_IsTextInHTML(t *testing.T) {
	for _, h := range hostile() {
		out := render(t, report.HTML, poisoned(h))
		for _, forbidden := range []string{"<script", "<img", "</style><b>"} {
			assert.NotContains(t, out, forbidden)
		}
		assert.Equal(t, 1, strings.Count(out, "</style>"))
		assert.Equal(t, strings.Count(out, "<details"), strings.Count(out, "</details>"))
	}
}
