package compose_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

func TestReport_status(t *testing.T) {
	asked := func(s *site.Site, status decision.Status) {
		s.Table.Put(store.ApprovalKey(decision.ApprovalID(site.Run, "run")),
			decision.Approval{ID: decision.ApprovalID(site.Run, "run"), Run: site.Run, Scope: "run", Status: status})
	}
	verdict := func(v patch.Verdict) func(*site.Site) {
		return func(s *site.Site) {
			site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) { w.Verdict, w.Reason = v, "because" })
		}
	}
	tests := []struct {
		name string
		in   task.VerifyInput
		set  func(*site.Site)
		want patch.RunStatus
		why  string
	}{
		{"good", task.VerifyInput{}, func(*site.Site) {}, patch.RunSucceeded, ""},
		{"judged stop", task.VerifyInput{}, verdict(patch.VerdictStop), patch.RunStopped, "because"},
		{"not judged", task.VerifyInput{}, verdict(""), patch.RunFailed, "was not judged"},
		{"rejected", task.VerifyInput{}, func(s *site.Site) {
			asked(s, decision.ApprovalRejected)
		}, patch.RunRejected, "the approval of the whole plan was rejected"},
		{"expired", task.VerifyInput{}, func(s *site.Site) {
			asked(s, decision.ApprovalExpired)
		}, patch.RunExpired, "no one decided"},
		{"aborted", task.VerifyInput{}, func(s *site.Site) {
			s.Table.Put(store.AbortKey(site.Run), store.Abort{Reason: "wrong week"})
		}, patch.RunAborted, "wrong week"},
		{"a failure of the machine", task.VerifyInput{Failure: compose.Failure{Error: "Patch.Internal", Cause: "oops"}},
			func(*site.Site) {}, patch.RunFailed, "oops"},
		{"stopped by hand", task.VerifyInput{Status: "ABORTED"}, func(*site.Site) {}, patch.RunAborted, "by hand"},
		{"timed out", task.VerifyInput{Status: "TIMED_OUT"}, func(*site.Site) {}, patch.RunFailed,
			"longer than an execution may"},
		{"refused by a guard", task.VerifyInput{}, func(s *site.Site) {
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) {
				r.Status, r.StatusReason = patch.RunRefused, "too many"
			})
		}, patch.RunRefused, "too many"},
		{"an input that was refused",
			task.VerifyInput{Failure: compose.Failure{Error: "Patch.InvalidInput", Cause: "waves: missing"}},
			func(*site.Site) {}, patch.RunRefused, "waves: missing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.JudgedGood(t)
			test.set(s)
			test.in.Task = "report"
			out, r := s.Report(test.in)
			assert.Equal(t, test.want, out.Status)
			assert.Equal(t, test.want, r.Status)
			assert.Contains(t, r.StatusReason, test.why)
			assert.Len(t, r.Instances, 2)
			assert.Len(t, s.Mail.Sent, 1)
			var run store.RunRow
			s.Read(store.RunKey(site.Run), &run)
			assert.Equal(t, test.want, run.Status)
			assert.Equal(t, s.Now, run.Ended)
			chain := s.Table.About(t, store.RunSubject(site.Run))
			assert.Equal(t, "RunEnded", chain[len(chain)-1].Action)
		})
	}
}

// A report that is written is not written again, whoever asks.
func TestReport_once(t *testing.T) {
	s := site.JudgedGood(t)
	s.Report(task.VerifyInput{Task: patch.TaskReport})
	before := s.Table.Snapshot()
	stored := len(s.Bucket.Stored)
	for _, again := range []task.VerifyInput{{Task: patch.TaskReport, Failure: compose.Failure{Error: "late"}},
		{Task: patch.TaskClose, Status: "FAILED"}} {
		out, r := s.Report(again)
		assert.Equal(t, patch.RunSucceeded, out.Status)
		assert.Equal(t, patch.RunSucceeded, r.Status)
	}
	assert.Equal(t, before, s.Table.Snapshot())
	assert.Len(t, s.Bucket.Stored, stored)
}

// The report starts from the plan: a target that was never verified is in it,
// and what was sent is Unknown until somebody looked.
func TestReport_unjudged(t *testing.T) {
	s := site.New(t, 6, site.Serial)
	s.Must(s.Send()) // one of six
	out, r := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
	assert.Equal(t, patch.RunAborted, out.Status)
	require.Len(t, r.Instances, 6)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Unknown: 1, outcome.NotSent: 5}, r.Totals.Outcomes)
	assert.Equal(t, 1, r.Totals.Failures)
	assert.Equal(t, 5, r.Totals.Neutral)
}

// The hash in the row is the truth: of a result that is another one, or gone,
// nothing is believed, wherever it stands.
func TestReport_foreignResult(t *testing.T) {
	forge := func(s *site.Site, key string) {
		s.Bucket.Objects[key] = bytes.ReplaceAll(s.Bucket.Objects[key], []byte(`"Failed"`), []byte(`"Patched"`))
	}
	result := func(s *site.Site) string { return s.ResultKey() }
	rollUp := func(s *site.Site) string { return store.RollUpObject(site.Run, "w", s.Target.Account) }
	tests := []struct {
		name string
		do   func(s *site.Site)
		want map[outcome.Outcome]int
	}{
		{"untouched", func(*site.Site) {}, map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 1}},
		{"result forged", func(s *site.Site) {
			forge(s, result(s))
		}, map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 1}},
		{"roll-up forged", func(s *site.Site) {
			forge(s, rollUp(s))
		}, map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 1}},
		{"roll-up is no roll-up", func(s *site.Site) {
			s.Bucket.Objects[rollUp(s)] = []byte("x")
		}, map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 1}},
		{"both forged", func(s *site.Site) {
			forge(s, result(s))
			forge(s, rollUp(s))
		}, map[outcome.Outcome]int{outcome.Unknown: 2}},
		{"both gone", func(s *site.Site) {
			delete(s.Bucket.Objects, result(s))
			delete(s.Bucket.Objects, rollUp(s))
		}, map[outcome.Outcome]int{outcome.Unknown: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := site.New(t, 2)
			s.SendAll()
			require.Len(t, s.Sent, 2)
			s.Finish(1, "Success")
			s.Finish(2, "Failed")
			require.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
			s.Patched(site.Instance(0))
			s.Now = s.Now.Add(20 * time.Minute)
			s.Verified()
			_, err := s.Verify("rollup")
			require.NoError(t, err)
			tt.do(s)
			_, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
			assert.Equal(t, tt.want, r.Totals.Outcomes)
			for _, i := range r.Instances {
				if i.Outcome == outcome.Unknown {
					assert.Contains(t, i.Reason, "its result is lost")
				}
			}
		})
	}
}

// What was not sent says which limit was hit, and that its command, if it was in
// one, ended before it began.
func TestReport_whyNotSent(t *testing.T) {
	s := site.New(t, 20, func(l *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		l.Concurrency, l.ErrorLimit, w.FailLimit = 4, 1, 1
	})
	site.Edit(s, store.WaveKey(site.Run, store.WholeRun), func(w *store.WaveRow) { w.FailLimit = 2 })
	s.SendAll()
	require.Len(t, s.Sent, 4)
	s.SSM.BegunBy = map[patch.InstanceID]bool{}
	for _, c := range s.Sent {
		s.SSM.BegunBy[c.Instance] = false
	}
	s.Finish(1, "Failed")
	s.Finish(2, "Failed")
	s.Must(s.Poll()) // sees the failures
	s.Must(s.Poll()) // takes back what no agent has taken
	s.AllEnded("Cancelled")
	for range 5 {
		if s.Must(s.Poll()).Next == patch.NextVerify {
			break
		}
	}
	s.Now = s.Now.Add(20 * time.Minute)
	s.Verified()
	_, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
	require.Equal(t, 18, r.Totals.Outcomes[outcome.NotSent], "%v", r.Totals.Outcomes)
	for _, i := range r.Instances {
		if i.Outcome != outcome.NotSent {
			continue
		}
		assert.Equal(t, outcome.ReasonBudget, i.NotSent(), "the code stays")
		assert.Contains(t, i.Detail, "111111111111 us-east-1: 2 failed, limit 1 (ssm.maxErrors")
		assert.Contains(t, i.Detail, "wave w: 2 failed, limit 1 (budget.maxFailedInstances")
		assert.NotContains(t, i.Detail, "run:")
		assert.Equal(t, i.CommandID != "",
			strings.HasSuffix(i.Detail, "; its command ended as Cancelled before it began on this instance"), i.Detail)
	}
}

// The words beside a code are those with which the target was closed.
func TestReport_whyClosed(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *site.Site)
		code   outcome.Reason
		detail string
	}{
		{"the account's role can no longer be assumed", func(s *site.Site) {
			s.Locked = site.Because(patch.ErrAccessDenied)
		}, outcome.ReasonAccount, "because"},
		{"no room for more steps", func(s *site.Site) {
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Polls = r.MaxPolls })
		}, outcome.ReasonStopped, "the history of the target's execution has no room"},
		{"an alarm was red", func(s *site.Site) {
			s.Table.Put(store.WatchKey(site.Run, "w"),
				store.Watch{Seen: []doubt.AlarmState{{ARN: "arn:a", State: doubt.AlarmFiring}}})
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Closed = outcome.ReasonStopped })
		}, outcome.ReasonStopped, "alarm arn:a was ALARM while the wave was patched"},
		{"too many errors", func(s *site.Site) {
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) {
				r.Closed, r.Reason, r.Errors = outcome.ReasonBudget, "closed", 5
			})
		}, outcome.ReasonBudget, "closed; 111111111111 us-east-1: 5 failed, limit 4 (ssm.maxErrors"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 4)
			test.change(s)
			require.Equal(t, patch.NextVerify, s.Must(s.Send()).Next)
			s.Locked = nil
			s.Verified()
			_, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
			require.Len(t, r.Instances, 4)
			for _, i := range r.Instances {
				assert.Equal(t, test.code, i.NotSent())
				assert.Contains(t, i.Detail, test.detail)
			}
		})
	}
}

// Every decision is told, and whether it counted.
func TestReport_decisions(t *testing.T) {
	s := site.JudgedGood(t)
	a := decision.Approval{
		ID: decision.ApprovalID(site.Run, "run"), Run: site.Run, Scope: "run", Status: decision.ApprovalApproved,
		RequireDistinct: 2, RequestedBy: "asker",
		Asked: s.Now, Expires: s.Now.Add(time.Hour), Decided: s.Now.Add(4 * time.Minute),
	}
	s.Table.Put(store.ApprovalKey(a.ID), a)
	for _, d := range []decision.Decision{
		{Identity: "z", At: s.Now.Add(1 * time.Minute)},
		{Identity: "asker", At: s.Now.Add(2 * time.Minute)},
		{Identity: "forger", At: s.Now.Add(3 * time.Minute), MAC: []byte("forged")},
		{Identity: "b", At: s.Now.Add(4 * time.Minute), Reason: "second"},
		{Identity: "a", At: s.Now.Add(5 * time.Minute), Reason: "too many"},
		{Identity: "late", At: s.Now.Add(2 * time.Hour)},
	} {
		d.Approval, d.Decision = a.ID, decision.Approve
		if d.MAC == nil {
			mac, err := s.Key.MAC(t.Context(), a.DecisionMessage(d))
			require.NoError(t, err)
			d.MAC = mac
		}
		s.Table.Put(store.DecisionKey(a.ID, d.Identity), d)
	}
	_, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
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
		"z": "", "b": "", "asker": "whoever requested the run does not count", "forger": "it is not signed by this hub",
		"a": "the request was already decided", "late": "it is later than the deadline",
	}, why)
}

// Closing a run that was stopped by hand cancels what is at work, lets its lease
// run out with the commands in it, and sends nothing more.
func TestClose(t *testing.T) {
	s := site.New(t, 6, site.Serial)
	s.Must(s.Send())
	s.SSM.OnCancel = func() { assert.Contains(t, s.Actions(), "CancelCommand", "the audit entry comes first") }
	s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
	assert.Equal(t, []string{s.Cut(1)}, s.SSM.Cancels)
	var lease target.Lease
	s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
	assert.Equal(t, "w", lease.Wave, "whoever takes it over follows its commands first")
	assert.False(t, s.Now.Before(lease.Expires), "nobody has to wait for it")
	s.SendAll()
	assert.Len(t, s.Sent, 1)
}

// Another run's lease is not freed.
func TestClose_foreignLease(t *testing.T) {
	s := site.New(t, 2)
	s.Must(s.Send())
	other := target.Lease{Run: "other", Fence: 9, Expires: s.Now.Add(time.Hour)}
	s.Table.Put(store.LeaseKey(s.Target.Account, s.Target.Region), other)
	s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "TIMED_OUT"})
	var lease target.Lease
	s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
	assert.Equal(t, other.Run, lease.Run)
}

// A run that never got as far as a plan has a report too.
func TestReport_withoutPlan(t *testing.T) {
	s := site.New(t, 1)
	for key := range s.Table.Rows {
		delete(s.Table.Rows, key)
	}
	out, r := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "FAILED"})
	assert.Equal(t, patch.RunFailed, out.Status)
	assert.Empty(t, r.Instances)
	assert.Empty(t, s.SSM.Cancels)
}

// An account's roll-up holds what its regions left, and only what has settled.
func TestRollUp(t *testing.T) {
	s := site.Through(t, 2)
	s.Now = s.Now.Add(20 * time.Minute)
	_, err := s.Verify("verify") // not settled: no evidence yet
	require.NoError(t, err)
	roll := func() (up compose.AccountResult) {
		_, err := s.Verify("rollup")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.RollUpObject(site.Run, "w", s.Target.Account)], &up))
		return up
	}
	assert.Empty(t, roll().Results)
	s.Verified()
	require.Len(t, roll().Results, 1)
	assert.Equal(t, string(s.Bucket.Objects[s.ResultKey()]), string(roll().Results[0]), "byte for byte, for its hash")
	s.Bucket.Objects[s.ResultKey()] = []byte(`{"settled":true}`)
	assert.Empty(t, roll().Results, "what is not the verified result is left out")

	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Digest = "another" })
	_, err = s.Verify("rollup")
	assert.ErrorIs(t, err, patch.ErrTampered)
}

// The report says when people are asked only where the plan's seal vouches for it.
func TestReport_terms(t *testing.T) {
	tests := []struct {
		name string
		set  func(*site.Site)
		want string
	}{
		{"sealed", func(*site.Site) {}, "Approval: none, as the input says"},
		{"never sealed", func(s *site.Site) { delete(s.Table.Rows, store.SealKey(site.Run)) },
			"Approval: not asked, the plan was never sealed"},
		{"sealed by someone else", func(s *site.Site) { s.Sealer.Secret = "another" },
			"Approval: not known, the plan does not have this hub's seal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.JudgedGood(t)
			test.set(s)
			_, r := s.Report(task.VerifyInput{Task: "report"})
			require.Len(t, r.Terms, 1)
			assert.Equal(t, test.want, r.Terms[0].String())
		})
	}
}
