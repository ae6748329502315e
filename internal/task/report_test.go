package task_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// report carries out one step of the verifier and reads the report that it wrote.
func (s *site) report(in task.VerifyInput) (task.ReportOutput, patch.Report) {
	s.t.Helper()
	in.Run = siteRun
	s.bucket.localObjects[patch.InputObject(siteRun)] = []byte(`{"waves":[]}`)
	out, err := s.verifier().Handle(s.t.Context(), in)
	require.NoError(s.t, err)
	var r patch.Report
	require.NoError(s.t, json.Unmarshal(s.bucket.localObjects[patch.ReportObject(siteRun, "json")], &r))
	return out.(task.ReportOutput), r
}

// judgedGood is a site of two whose instances were patched and whose wave was judged good.
func judgedGood(t *testing.T) *site {
	t.Helper()
	s := through(t, 2)
	s.patched(instance(0), instance(1))
	s.now = s.now.Add(20 * time.Minute)
	s.verified()
	require.Equal(t, "next", s.judge().Next)
	return s
}

func TestReport_status(t *testing.T) {
	asked := func(s *site, status string) {
		s.table.put(patch.ApprovalKey(patch.ApprovalID(siteRun, "run")), patch.Approval{ID: patch.ApprovalID(siteRun, "run"), Run: siteRun, Scope: "run", Status: status})
	}
	verdict := func(v patch.Verdict) func(*site) {
		return func(s *site) {
			edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) { w.Verdict, w.Reason = v, "because" })
		}
	}
	tests := []struct {
		name string
		in   task.VerifyInput
		set  func(*site)
		want patch.RunStatus
		why  string
	}{
		{"good", task.VerifyInput{}, func(*site) {}, patch.RunSucceeded, ""},
		{"judged stop", task.VerifyInput{}, verdict(patch.VerdictStop), patch.RunStopped, "because"},
		{"not judged", task.VerifyInput{}, verdict(""), patch.RunFailed, "was not judged"},
		{"rejected", task.VerifyInput{}, func(s *site) { asked(s, patch.ApprovalRejected) }, patch.RunRejected, "rejected"},
		{"expired", task.VerifyInput{}, func(s *site) { asked(s, patch.ApprovalExpired) }, patch.RunExpired, "nobody decided"},
		{"aborted", task.VerifyInput{}, func(s *site) { s.table.put(patch.AbortKey(siteRun), patch.Abort{Reason: "wrong week"}) }, patch.RunAborted, "wrong week"},
		{"a failure of the machine", task.VerifyInput{Failure: task.Failure{Error: "Patch.Internal", Cause: "oops"}}, func(*site) {}, patch.RunFailed, "oops"},
		{"stopped by hand", task.VerifyInput{Status: "ABORTED"}, func(*site) {}, patch.RunAborted, "by hand"},
		{"timed out", task.VerifyInput{Status: "TIMED_OUT"}, func(*site) {}, patch.RunFailed, "TIMED_OUT"},
		{"refused by a guard", task.VerifyInput{}, func(s *site) {
			edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Status, r.StatusReason = patch.RunFailed, "too many" })
		}, patch.RunFailed, "too many"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := judgedGood(t)
			test.set(s)
			test.in.Task = "report"
			out, r := s.report(test.in)
			assert.Equal(t, test.want, out.Status)
			assert.Equal(t, test.want, r.Status)
			assert.Contains(t, r.StatusReason, test.why)
			assert.Len(t, r.Instances, 2)
			assert.Len(t, s.mail.sent, 1)
			var run patch.RunRow
			s.load(patch.RunKey(siteRun), &run)
			assert.Equal(t, test.want, run.Status)
			assert.Equal(t, s.now, run.Ended)
			chain := s.table.chain(t, patch.RunChain(siteRun))
			assert.Equal(t, "RunEnded", chain[len(chain)-1].Action)
		})
	}
}

// A report that is written is not written again, whoever asks.
func TestReport_once(t *testing.T) {
	s := judgedGood(t)
	s.report(task.VerifyInput{Task: "report"})
	before := s.table.snapshot()
	stored := len(s.bucket.stored)
	for _, again := range []task.VerifyInput{{Task: "report", Failure: task.Failure{Error: "late"}}, {Task: "close", Status: "FAILED"}} {
		out, r := s.report(again)
		assert.Equal(t, patch.RunSucceeded, out.Status)
		assert.Equal(t, patch.RunSucceeded, r.Status)
	}
	assert.Equal(t, before, s.table.snapshot())
	assert.Len(t, s.bucket.stored, stored)
}

// The report starts from the plan: a target that was never verified is in it,
// and what was sent is Unknown until somebody looked.
func TestReport_unjudged(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send()) // two of six
	out, r := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	assert.Equal(t, patch.RunAborted, out.Status)
	require.Len(t, r.Instances, 6)
	assert.Equal(t, map[patch.Outcome]int{patch.Unknown: 2, patch.NotSent: 4}, r.Totals.Outcomes)
	assert.Equal(t, 2, r.Totals.Failures)
	assert.Equal(t, 4, r.Totals.Neutral)
}

// Closing a run that was stopped by hand cancels what is at work, lets its lease
// run out with the commands in it, and sends nothing more.
func TestClose(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send())
	s.spoke.onCancel = func() { assert.Contains(t, s.actions(), "CancelCommand", "the audit entry comes first") }
	s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	assert.Equal(t, []string{"cmd-1 []"}, s.spoke.cancels)
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.Equal(t, []patch.CommandID{"cmd-1"}, lease.Commands, "whoever takes it over follows them first")
	assert.False(t, s.now.Before(lease.Expires), "nobody has to wait for it")
	s.sendAll()
	assert.Len(t, s.sent, 1)
}

// Another run's lease is not freed.
func TestClose_foreignLease(t *testing.T) {
	s := newSite(t, 2)
	s.must(s.send())
	other := patch.Lease{Run: "other", Fence: 9, Expires: s.now.Add(time.Hour)}
	s.table.put(patch.LeaseKey(s.target.Account, s.target.Region), other)
	s.report(task.VerifyInput{Task: "close", Status: "TIMED_OUT"})
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.Equal(t, other.Run, lease.Run)
}

// A run that never got as far as a plan has a report too.
func TestReport_withoutPlan(t *testing.T) {
	s := newSite(t, 1)
	for key := range s.table.rows {
		delete(s.table.rows, key)
	}
	out, r := s.report(task.VerifyInput{Task: "close", Status: "FAILED"})
	assert.Equal(t, patch.RunFailed, out.Status)
	assert.Empty(t, r.Instances)
	assert.Empty(t, s.spoke.cancels)
}

// An account's roll-up holds what its regions left, and only what has settled.
func TestRollUp(t *testing.T) {
	s := through(t, 2)
	s.now = s.now.Add(20 * time.Minute)
	_, err := s.verify("verify") // not settled: no evidence yet
	require.NoError(t, err)
	roll := func() (up task.AccountResult) {
		_, err := s.verify("rollup")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(s.bucket.localObjects[patch.RollUpObject(siteRun, "w", s.target.Account)], &up))
		return up
	}
	assert.Empty(t, roll().Regions)
	s.verified()
	assert.Equal(t, []patch.Region{"us-east-1"}, roll().Regions)
	assert.Len(t, roll().Instances, 2)
}
