package sim

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/store"
)

// documentedRebuild is the payload that docs/runbook-operations.md tells operators.
func documentedRebuild(t *testing.T, run patch.RunID) []byte {
	t.Helper()
	page := read(t, "docs", "runbook-operations.md")
	m := regexp.MustCompile(`--payload '(\{"task": "rebuild", "run": ")RUN("\})'`).FindSubmatch(page)
	require.NotNil(t, m, "docs/runbook-operations.md tells how a lost report is rebuilt")
	return []byte(string(m[1]) + string(run) + string(m[2]))
}

// rebuilt loses the report and the roll-ups of every run, has the report rebuilt a
// day later from what is left, and compares: the bytes are the same, and what
// the report tells stands in the audit chains. I-41.
func (r *rehearsal) rebuilt(t *testing.T) []check.Violation {
	t.Helper()
	c := r.checks
	r.World.Faults = nil
	r.World.After(24*time.Hour, func() {})
	for r.World.Step() {
	}
	c.Found = nil
	for _, run := range c.Order {
		data, ok := r.World.Object(r.Bucket(), store.ReportObject(run.ID, "json"))
		if !ok {
			continue
		}
		again := r.rebuiltReport(t, run.ID)
		if run.More > 0 {
			// A redrive has looked at what the closed run had left: the report tells what is
			// known now, and tells it the next time, too.
			c.Found, data = nil, again
			r.rebuiltReport(t, run.ID)
			c.Report(run)
		}
		var rep report.Report
		require.NoError(t, json.Unmarshal(data, &rep))
		inAudit(c, run, &rep)
	}
	return c.Found
}

// rebuiltReport loses and rebuilds one report, and returns its new report.json.
func (r *rehearsal) rebuiltReport(t *testing.T, run patch.RunID) []byte {
	t.Helper()
	was := map[string][]byte{}
	rollUp := regexp.MustCompile(`/results/[^/]+/\d{12}\.json$`)
	for _, key := range r.World.Objects(r.Bucket(), store.Prefix(run)) {
		report := strings.HasPrefix(key, store.Prefix(run)+"report.")
		if report {
			was[key], _ = r.World.Object(r.Bucket(), key)
		}
		if report || rollUp.MatchString(key) || strings.Contains(key, "/slices/") {
			r.World.PlaceObject(r.Bucket(), key, nil)
		}
	}
	require.Len(t, was, 3, run)
	_, _, failure := r.lambdaOf(lambdas.Verify).Invoke(documentedRebuild(t, run))
	for range 9 { // a person repeats what the faults of the world refuse
		if failure != nil {
			_, _, failure = r.lambdaOf(lambdas.Verify).Invoke(documentedRebuild(t, run))
		}
	}
	if failure != nil {
		r.checks.Violate("I-41", "the report of %s cannot be rebuilt: %s %s", run, failure.Error, failure.Cause)
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(was)) {
		is, _ := r.World.Object(r.Bucket(), key)
		if !bytes.Equal(is, was[key]) {
			r.checks.Violate("I-41", "%s was rebuilt with other bytes: %s", key, difference(was[key], is))
		}
	}
	data, _ := r.World.Object(r.Bucket(), store.ReportObject(run, "json"))
	return data
}

// difference is where two texts part.
func difference(a, b []byte) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	around := func(s []byte) string { return string(s[max(n-60, 0):min(n+60, len(s))]) }
	return "..." + around(a) + "... and ..." + around(b) + "..."
}

// inAudit looks for every send, decision and verdict of a report in the audit.
func inAudit(c *check.Checks, r *check.RunFacts, rep *report.Report) {
	for _, i := range rep.Instances {
		s := c.Commands[string(i.CommandID)]
		if i.CommandID != "" && (s == nil || !c.Tables.Audited[check.AuditKey("named", s.Intent, string(i.InstanceID))]) {
			c.Violate("I-41", "the report has %s in command %s, the audit does not", i.InstanceID, i.CommandID)
		}
	}
	for _, a := range rep.Approvals {
		id := decision.ApprovalID(r.ID, a.Scope)
		for _, d := range a.Decisions {
			if d.Counted && !audited(c, "CALLBACK#APPROVAL#"+id, "Decided", string(d.Decision)+" by "+d.Identity+",") {
				c.Violate("I-41", "the report has a decision of %s on %s, the audit does not", d.Identity, a.Scope)
			}
		}
		if a.Status == decision.ApprovalRejected && len(a.Decisions) == 0 {
			c.Violate("I-41", "%s was rejected, and the report tells of no decision", a.Scope)
		}
	}
	for _, w := range rep.Waves {
		byPeople := slices.ContainsFunc(rep.Approvals, func(a report.ApprovalReport) bool { // their decision is in the audit
			return a.Scope == patch.ScopeOfSoak(w.Name) &&
				(a.Status == decision.ApprovalRejected || a.Status == decision.ApprovalExpired)
		})
		if w.Verdict != "" && !byPeople &&
			!audited(c, "VERIFY#RUN#"+string(r.ID), "Verdict", "wave "+w.Name+": "+string(w.Verdict)+";") {
			c.Violate("I-41", "the report judges wave %s %s, the audit does not", w.Name, w.Verdict)
		}
	}
	if !audited(c, "VERIFY#RUN#"+string(r.ID), "RunEnded", string(rep.Status)+";") {
		c.Violate("I-41", "the report says that run %s ended %s, the audit does not", r.ID, rep.Status)
	}
}

// audited tells whether a chain has a line of that action that begins so.
func audited(c *check.Checks, chain, action, detail string) bool {
	for _, table := range c.Stage.Hub.OfType("AWS::DynamoDB::Table") {
		if !strings.HasSuffix(table.Name, "-audit") {
			continue
		}
		for _, row := range c.Stage.World.Items(table.ARN) {
			if l := check.LineOf(row); l.Chain == chain && l.Action == action && strings.HasPrefix(l.Detail, detail) {
				return true
			}
		}
	}
	return false
}
