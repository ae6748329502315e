package task_test

import (
	"bytes"
	"encoding/json"
	"strings"
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
		{"rejected", task.VerifyInput{}, func(s *site) { asked(s, patch.ApprovalRejected) }, patch.RunRejected, "the approval of the whole plan was rejected"},
		{"expired", task.VerifyInput{}, func(s *site) { asked(s, patch.ApprovalExpired) }, patch.RunExpired, "nobody decided"},
		{"aborted", task.VerifyInput{}, func(s *site) { s.table.put(patch.AbortKey(siteRun), patch.Abort{Reason: "wrong week"}) }, patch.RunAborted, "wrong week"},
		{"a failure of the machine", task.VerifyInput{Failure: task.Failure{Error: "Patch.Internal", Cause: "oops"}}, func(*site) {}, patch.RunFailed, "oops"},
		{"stopped by hand", task.VerifyInput{Status: "ABORTED"}, func(*site) {}, patch.RunAborted, "by hand"},
		{"timed out", task.VerifyInput{Status: "TIMED_OUT"}, func(*site) {}, patch.RunFailed, "longer than an execution may"},
		{"refused by a guard", task.VerifyInput{}, func(s *site) {
			edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Status, r.StatusReason = patch.RunRefused, "too many" })
		}, patch.RunRefused, "too many"},
		{"an input that was refused", task.VerifyInput{Failure: task.Failure{Error: "Patch.InvalidInput", Cause: "waves: missing"}}, func(*site) {}, patch.RunRefused, "waves: missing"},
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
	s.must(s.send()) // one of six
	out, r := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	assert.Equal(t, patch.RunAborted, out.Status)
	require.Len(t, r.Instances, 6)
	assert.Equal(t, map[patch.Outcome]int{patch.Unknown: 1, patch.NotSent: 5}, r.Totals.Outcomes)
	assert.Equal(t, 1, r.Totals.Failures)
	assert.Equal(t, 5, r.Totals.Neutral)
}

// The hash in the row is the truth: of a result that is another one, or gone,
// nothing is believed, wherever it stands.
func TestReport_foreignResult(t *testing.T) {
	forge := func(s *site, key string) {
		s.bucket.localObjects[key] = bytes.ReplaceAll(s.bucket.localObjects[key], []byte(`"Failed"`), []byte(`"Patched"`))
	}
	result := func(s *site) string { return s.resultKey() }
	rollUp := func(s *site) string { return patch.RollUpObject(siteRun, "w", s.target.Account) }
	tests := []struct {
		name string
		do   func(s *site)
		want map[patch.Outcome]int
	}{
		{"untouched", func(*site) {}, map[patch.Outcome]int{patch.Patched: 1, patch.Failed: 1}},
		{"result forged", func(s *site) { forge(s, result(s)) }, map[patch.Outcome]int{patch.Patched: 1, patch.Failed: 1}},
		{"roll-up forged", func(s *site) { forge(s, rollUp(s)) }, map[patch.Outcome]int{patch.Patched: 1, patch.Failed: 1}},
		{"roll-up is no roll-up", func(s *site) { s.bucket.localObjects[rollUp(s)] = []byte("x") }, map[patch.Outcome]int{patch.Patched: 1, patch.Failed: 1}},
		{"both forged", func(s *site) { forge(s, result(s)); forge(s, rollUp(s)) }, map[patch.Outcome]int{patch.Unknown: 2}},
		{"both gone", func(s *site) {
			delete(s.bucket.localObjects, result(s))
			delete(s.bucket.localObjects, rollUp(s))
		}, map[patch.Outcome]int{patch.Unknown: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, 2)
			s.sendAll()
			require.Len(t, s.sent, 2)
			s.ended(1, "Success")
			s.ended(2, "Failed")
			require.Equal(t, "verify", s.must(s.poll()).Next)
			s.patched(instance(0))
			s.now = s.now.Add(20 * time.Minute)
			s.verified()
			_, err := s.verify("rollup")
			require.NoError(t, err)
			tt.do(s)
			_, r := s.report(task.VerifyInput{Task: "report"})
			assert.Equal(t, tt.want, r.Totals.Outcomes)
			for _, i := range r.Instances {
				if i.Outcome == patch.Unknown {
					assert.Contains(t, i.Reason, "its result is lost")
				}
			}
		})
	}
}

// What was not sent says which limit was hit, and that its command, if it was in
// one, ended before it began.
func TestReport_whyNotSent(t *testing.T) {
	s := newSite(t, 20, func(l *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		l.Concurrency, l.ErrorLimit, w.FailLimit = 4, 1, 1
	})
	edit(s, patch.WaveKey(siteRun, patch.WholeRun), func(w *patch.WaveRow) { w.FailLimit = 2 })
	s.sendAll()
	require.Len(t, s.sent, 4)
	s.spoke.began = map[patch.InstanceID]bool{}
	for _, c := range s.sent {
		s.spoke.began[c.Instance] = false
	}
	s.ended(1, "Failed")
	s.ended(2, "Failed")
	s.must(s.poll()) // sees the failures
	s.must(s.poll()) // takes back what no agent has taken
	s.allEnded("Cancelled")
	for range 5 {
		if s.must(s.poll()).Next == "verify" {
			break
		}
	}
	s.now = s.now.Add(20 * time.Minute)
	s.verified()
	_, r := s.report(task.VerifyInput{Task: "report"})
	require.Equal(t, 18, r.Totals.Outcomes[patch.NotSent], "%v", r.Totals.Outcomes)
	for _, i := range r.Instances {
		if i.Outcome != patch.NotSent {
			continue
		}
		assert.Equal(t, patch.ReasonBudget, i.Reason, "the code stays")
		assert.Contains(t, i.Detail, "111111111111 us-east-1: 2 failed, limit 1 (ssm.maxErrors")
		assert.Contains(t, i.Detail, "wave w: 2 failed, limit 1 (budget.maxFailedInstances")
		assert.NotContains(t, i.Detail, "run:")
		assert.Equal(t, i.CommandID != "", strings.HasSuffix(i.Detail, "; its command ended as Cancelled before it began on this instance"), i.Detail)
	}
}

// The words beside a code are those with which the target was closed.
func TestReport_whyClosed(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *site)
		code   string
		detail string
	}{
		{"the account lets us in no more", func(s *site) { s.locked = kind(patch.ErrAccessDenied) }, patch.ReasonAccount, "because"},
		{"no room for more steps", func(s *site) {
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Polls = r.MaxPolls })
		}, patch.ReasonStopped, "the history of the target's execution has no room"},
		{"an alarm was red", func(s *site) {
			s.table.put(patch.WatchKey(siteRun, "w"), patch.Watch{Seen: []patch.AlarmState{{ARN: "arn:a", State: patch.AlarmFiring}}})
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Closed = patch.ReasonStopped })
		}, patch.ReasonStopped, "alarm arn:a was ALARM while the wave was patched"},
		{"too many errors", func(s *site) {
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) {
				r.Closed, r.Reason, r.Errors = patch.ReasonBudget, "closed", 5
			})
		}, patch.ReasonBudget, "closed; 111111111111 us-east-1: 5 failed, limit 4 (ssm.maxErrors"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 4)
			test.change(s)
			require.Equal(t, "verify", s.must(s.send()).Next)
			s.locked = nil
			s.verified()
			_, r := s.report(task.VerifyInput{Task: "report"})
			require.Len(t, r.Instances, 4)
			for _, i := range r.Instances {
				assert.Equal(t, patch.NotSent, i.Outcome)
				assert.Equal(t, test.code, i.Reason)
				assert.Contains(t, i.Detail, test.detail)
			}
		})
	}
}

// Every decision is told, and whether it counted.
func TestReport_decisions(t *testing.T) {
	s := judgedGood(t)
	a := patch.Approval{
		ID: patch.ApprovalID(siteRun, "run"), Run: siteRun, Scope: "run", Status: patch.ApprovalApproved, RequireDistinct: 2, RequestedBy: "asker",
		Asked: s.now, Expires: s.now.Add(time.Hour), Decided: s.now.Add(4 * time.Minute),
	}
	s.table.put(patch.ApprovalKey(a.ID), a)
	for _, d := range []patch.Decision{
		{Identity: "z", At: s.now.Add(1 * time.Minute)},
		{Identity: "asker", At: s.now.Add(2 * time.Minute)},
		{Identity: "forger", At: s.now.Add(3 * time.Minute), MAC: []byte("forged")},
		{Identity: "b", At: s.now.Add(4 * time.Minute), Reason: "second"},
		{Identity: "a", At: s.now.Add(5 * time.Minute), Reason: "too many"},
		{Identity: "late", At: s.now.Add(2 * time.Hour)},
	} {
		d.Approval, d.Decision = a.ID, patch.Approve
		if d.MAC == nil {
			mac, err := s.key.MAC(t.Context(), a.DecisionMessage(d))
			require.NoError(t, err)
			d.MAC = mac
		}
		s.table.put(patch.DecisionKey(a.ID, d.Identity), d)
	}
	_, r := s.report(task.VerifyInput{Task: "report"})
	require.Len(t, r.Approvals, 1)
	got := r.Approvals[0]
	assert.Equal(t, "b", got.Identity, "who settled it")
	assert.Equal(t, "second", got.Reason)
	assert.Equal(t, 2, got.Needed)
	why := map[string]string{}
	order := ""
	for _, d := range got.Decisions {
		assert.Equal(t, d.Ignored == "", d.Counted)
		why[d.Identity] = d.Ignored
		order += d.Identity + " "
	}
	assert.Equal(t, "z asker forger b a late ", order)
	assert.Equal(t, map[string]string{
		"z": "", "b": "", "asker": "who asked for the run does not count", "forger": "it is not signed by this hub",
		"a": "the question was settled before", "late": "it is later than the deadline",
	}, why)
}

// Closing a run that was stopped by hand cancels what is at work, lets its lease
// run out with the commands in it, and sends nothing more.
func TestClose(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send())
	s.spoke.onCancel = func() { assert.Contains(t, s.actions(), "CancelCommand", "the audit entry comes first") }
	s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	assert.Equal(t, []string{s.cut(1)}, s.spoke.cancels)
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.Equal(t, "w", lease.Wave, "whoever takes it over follows its commands first")
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
	assert.Empty(t, roll().Results)
	s.verified()
	require.Len(t, roll().Results, 1)
	assert.Equal(t, string(s.bucket.localObjects[s.resultKey()]), string(roll().Results[0]), "byte for byte, for its hash")
	s.bucket.localObjects[s.resultKey()] = []byte(`{"settled":true}`)
	assert.Empty(t, roll().Results, "what is not the verified result is left out")

	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest = "another" })
	_, err = s.verify("rollup")
	assert.ErrorIs(t, err, patch.ErrTampered)
}
