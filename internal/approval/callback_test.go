package approval_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

func TestCallback_ShowsThePlan(t *testing.T) {
	s := newStand(t)
	var res approval.HTTPResponse
	s.unchanged(t, func() { res = s.get(t, s.query()) })
	require.Equal(t, 200, res.Status)
	page := string(res.Body)
	for _, want := range []string{
		"Approve 412 instances?", "2026-12-patch", "platform-team", "monthly patches", "3h42m", "2026-12-01 14:00 UTC",
		"canary", "fleet", "12 Linux", "typically 1h35m", "above 41 failed instances",
		"stops above 40 failed instances or 1 failed account",
		"i-0aaaaaaaaaaaaaaa1", "sql-7", "new since the last run, and failing status checks", "222222222222 us-east-1",
		"gone since the last run", "and 8 more; the plan", "250 Linux, 150 Windows",
		"9 new since the last run, 2 gone since the last run, 1 already failing status checks",
		"every instance: the filter names no tag", "444444444444", "role cannot be assumed",
		s.rec.Digest, "<kbd>" + s.rec.Code() + "</kbd>", `action="callback"`, `lang="en"`, "222222222222", "The first answer decides",
	} {
		assert.Contains(t, page, want)
	}
	assert.Equal(t, 1, strings.Count(page, "<kbd>"), "the code stands in one place")
	assert.NotContains(t, page, s.rec.Token)
}

func TestCallback_Approve(t *testing.T) {
	s := newStand(t)
	s.waiter.Seen = func() {
		assert.Equal(t, []string{"Asked", "Decided"}, s.actions(t), "the audit entry comes before the effect")
	}
	res := s.do(t, s.form("approve"))
	assert.Equal(t, 303, res.Status)
	assert.Equal(t, "callback?"+s.query(), res.Header["Location"])
	assert.Equal(t, []string{"the-task-token"}, s.waiter.Tokens)

	rec := s.stored(t)
	assert.Equal(t, decision.ApprovalApproved, rec.Status)
	assert.Equal(t, s.now, rec.Decided)
	assert.Empty(t, rec.Token, "a spent token is forgotten")
	all := s.decisions(t)
	require.Len(t, all, 1)
	assert.Equal(t, "link", all[0].Identity)
	ok, err := s.signer.Check(t.Context(), s.rec.DecisionMessage(all[0]), all[0].MAC)
	require.NoError(t, err)
	assert.True(t, ok, "the decision carries the MAC that the next state checks")
	require.Len(t, s.mail.Sent, 1)
	assert.Contains(t, s.mail.Sent[0], "Name given: Ann")
	assert.NotContains(t, s.mail.Sent[0], "http", "no link to decide with goes to a list")

	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, "Approved")
	assert.Contains(t, page, "Decided by Ann at 2026-12-01 10:18 UTC.")
	assert.NotContains(t, page, "<form")
}

func TestCallback_CountsWhatWasIgnored(t *testing.T) {
	s := newStand(t)
	s.do(t, s.form("approve"))
	assert.NotContains(t, string(s.get(t, s.query()).Body), "changed nothing")
	s.do(t, s.form("reject"))
	assert.Contains(t, string(s.get(t, s.query()).Body), "1 further answer came and changed nothing.")
	for range 30 {
		s.do(t, s.form("reject"))
	}
	assert.Contains(t, string(s.get(t, s.query()).Body), "20 or more further answers came and changed nothing.")
}

func TestCallback_Reject(t *testing.T) {
	s := newStand(t)
	assert.Equal(t, 303, s.do(t, s.form("reject", "reason", "not today")).Status)
	assert.Equal(t, decision.ApprovalRejected, s.stored(t).Status)
	assert.Len(t, s.waiter.Tokens, 1, "the run learns of a rejection as quickly")
	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, "Rejected")
	assert.Contains(t, page, "not today")
}

func TestCallback_FormProblems(t *testing.T) {
	tests := []struct {
		name     string
		decision string
		pairs    []string
		want     string
	}{
		{"wrong code", "approve", []string{"code", "412-0000"}, "not the code of this plan"},
		{"no code", "approve", []string{"code", ""}, "not the code of this plan"},
		{"no decision", "", nil, "Choose Approve or Reject"},
		{"another decision", "maybe", nil, "Choose Approve or Reject"},
		{"no name", "approve", []string{"name", ""}, "Type your name"},
		{"an invisible name", "approve", []string{"name", " \u200b\x00 "}, "Type your name"},
		{"a long name", "approve", []string{"name", strings.Repeat("é", 101)}, "name is too long"},
		{"rejection without reason", "reject", []string{"reason", ""}, "a rejection needs one"},
		{"a long reason", "approve", []string{"reason", strings.Repeat("x", 501)}, "reason is too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t)
			s.unchanged(t, func() {
				res := s.do(t, s.form(tt.decision, append([]string{"reason", "typed <before>"}, tt.pairs...)...))
				assert.Equal(t, 422, res.Status)
				assert.Contains(t, string(res.Body), tt.want)
				assert.Contains(t, string(res.Body), `role="alert"`)
			})
			assert.Equal(t, 303, s.do(t, s.form("approve")).Status, "the form still works")
		})
	}
	t.Run("what was typed stays", func(t *testing.T) {
		s := newStand(t)
		page := string(s.do(t, s.form("reject", "code", "1", "name", `Ann "A"`, "reason", "typed <before>")).Body)
		assert.Contains(t, page, `value="reject" required checked`)
		assert.Contains(t, page, `value="Ann &#34;A&#34;"`)
		assert.Contains(t, page, "typed &lt;before&gt;</textarea>")
	})
}

func TestCallback_CodeIsForgiving(t *testing.T) {
	s := newStand(t)
	assert.Equal(t, 303, s.do(t, s.form("approve", "code", "  "+strings.ToUpper(s.rec.Code())+"\n", "reason", "")).Status)
}

func TestCallback_LinkInTheAddressOfAPost(t *testing.T) {
	s := newStand(t)
	r := s.form("approve", "a", "", "c", "")
	r.RawQuery = s.query()
	assert.Equal(t, 303, s.do(t, r).Status)
	s = newStand(t)
	r = s.form("approve")
	r.RawQuery = s.query()
	s.unchanged(t, func() { assert.Equal(t, 400, s.do(t, r).Status, "twice is once too often") })
}

func TestCallback_TwoApprovals(t *testing.T) {
	two := func(rec *decision.Approval, run *store.RunRow, _ *plan.Index) {
		rec.RequireDistinct, run.RequireDistinct = 2, 2
		rec.RequestedBy, run.RequestedBy = fake.Operator, fake.Operator
	}
	t.Run("two identities approve", func(t *testing.T) {
		s := newStand(t, two)
		assert.Equal(t, 303, s.by(t, "ann@example.com", "approve"))
		assert.Equal(t, decision.ApprovalPending, s.stored(t).Status)
		assert.Empty(t, s.waiter.Tokens, "one approval releases nothing")
		page := string(s.get(t, s.query()).Body)
		assert.Contains(t, page, "1 of 2 approvals are recorded.")
		assert.NotContains(t, page, "<form", "the bearer is nobody in particular")

		r := s.form("approve", "name", "Bob")
		r.Subject = "bob@example.com"
		assert.Equal(t, 303, s.do(t, r).Status)
		assert.Equal(t, decision.ApprovalApproved, s.stored(t).Status)
		assert.Len(t, s.waiter.Tokens, 1)
	})
	t.Run("the same identity counts once", func(t *testing.T) {
		s := newStand(t, two)
		s.by(t, "ann@example.com", "approve")
		r := s.form("approve", "name", "Somebody Else")
		r.Subject = "ann@example.com"
		assert.Equal(t, 409, s.do(t, r).Status)
		assert.Equal(t, decision.ApprovalPending, s.stored(t).Status)
		assert.Equal(t, []string{"Asked", "Decided", "Ignored"}, s.actions(t))
	})
	t.Run("a rejection ends it", func(t *testing.T) {
		s := newStand(t, two)
		s.by(t, "ann@example.com", "approve")
		r := s.form("reject")
		r.Subject = "bob@example.com"
		assert.Equal(t, 303, s.do(t, r).Status)
		assert.Equal(t, decision.ApprovalRejected, s.stored(t).Status)
	})
	t.Run("the one who asked does not count", func(t *testing.T) {
		s := newStand(t, two)
		status,
			out := s.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "approve", "code": s.rec.Code()})
		assert.Equal(t, 403, status)
		assert.Equal(t, "own_run", out["code"])
		assert.Empty(t, s.decisions(t))
	})
	t.Run("a subject cannot pass for another kind of identity", func(t *testing.T) {
		for _, subject := range []string{"link", fake.Operator, "a\x00b", " x", "x\u202e", strings.Repeat("é", 257)} {
			s := newStand(t, two)
			r := s.form("approve")
			r.Subject = subject
			s.unchanged(t, func() { assert.Equal(t, 403, s.do(t, r).Status) })
		}
	})
}

func TestCallback_CrashBetweenDecisionAndRelease(t *testing.T) {
	s := newStand(t)
	s.table.After = func() error { return patch.ErrUnavailable } // the reply is lost, the call dies here
	assert.Equal(t, 503, s.do(t, s.form("approve")).Status)
	assert.Equal(t, decision.ApprovalApproved, s.stored(t).Status)
	assert.Empty(t, s.waiter.Tokens)

	s.table.After = nil
	s.unchanged(t, func() { s.get(t, s.query()) })
	assert.Equal(t, 409, s.do(t, s.form("approve")).Status)
	assert.Equal(t, []string{"the-task-token"}, s.waiter.Tokens, "the next click repairs it")
	assert.Equal(t, []string{"Asked", "Decided", "Ignored"}, s.actions(t))
	s.do(t, s.form("approve"))
	assert.Len(t, s.waiter.Tokens, 1, "and no further one does it again")
	assert.Len(t, s.decisions(t), 1)
}

func TestCallback_ReleaseFails(t *testing.T) {
	t.Run("for a while", func(t *testing.T) {
		s := newStand(t)
		s.waiter.Err = patch.ErrThrottled
		res := s.do(t, s.form("approve"))
		assert.Equal(t, 200, res.Status)
		assert.Contains(t, string(res.Body), "by the next reminder")
		assert.Equal(t, "the-task-token", s.stored(t).Token)
		s.waiter.Err = nil
		s.do(t, s.form("approve"))
		assert.Empty(t, s.stored(t).Token)
	})
	t.Run("because the round ended", func(t *testing.T) {
		s := newStand(t)
		s.waiter.Gone = true
		assert.Equal(t, 303, s.do(t, s.form("approve")).Status)
		assert.Equal(t, decision.ApprovalApproved, s.stored(t).Status)
	})
	t.Run("never without an audit entry", func(t *testing.T) {
		s := newStand(t)
		s.table.Before = func() error { return patch.ErrUnavailable }
		s.unchanged(t, func() { assert.Equal(t, 503, s.do(t, s.form("approve")).Status) })
	})
	t.Run("and a mail is lost", func(t *testing.T) {
		s := newStand(t)
		s.mail.Err = errors.New("no mail")
		assert.Equal(t, 303, s.do(t, s.form("approve")).Status)
	})
}

func TestCallback_BetweenRounds(t *testing.T) {
	s := newStand(t, func(rec *decision.Approval, _ *store.RunRow, _ *plan.Index) { rec.Token = "" })
	assert.Equal(t, 303, s.do(t, s.form("approve")).Status)
	assert.Empty(t, s.waiter.Tokens)
	assert.Equal(t, []string{"Asked", "Decided"}, s.actions(t))
}

func TestCallback_AbortedAndEnded(t *testing.T) {
	s := newStand(t)
	s.table.Put(store.AbortKey(fake.StandRun), store.Abort{By: fake.Operator, At: s.now})
	res := s.get(t, s.query())
	assert.Equal(t, 410, res.Status)
	assert.Contains(t, string(res.Body), "The run was aborted by "+fake.Operator)

	s = newStand(t, func(_ *decision.Approval, run *store.RunRow, _ *plan.Index) { run.Ended = time.Unix(1, 0) })
	s.unchanged(t, func() {
		assert.Equal(t, 410, s.get(t, s.query()).Status)
		assert.Equal(t, 410, s.do(t, s.form("approve")).Status)
	})
}

func TestCallback_FailuresOfAWS(t *testing.T) {
	t.Run("link key", func(t *testing.T) {
		s := newStand(t)
		s.links.Err = patch.ErrUnavailable
		s.unchanged(t, func() {
			assert.Equal(t, 503, s.get(t, s.query()).Status)
			assert.Equal(t, 503, s.do(t, s.form("approve")).Status)
		})
	})
	t.Run("decision key", func(t *testing.T) {
		s := newStand(t)
		s.signer.Err = patch.ErrAccessDenied
		s.unchanged(t, func() { assert.Equal(t, 503, s.do(t, s.form("approve")).Status) })
	})
	t.Run("table", func(t *testing.T) {
		s := newStand(t)
		s.table.Down = patch.ErrThrottled
		assert.Equal(t, 503, s.get(t, s.query()).Status)
		status, out := s.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "status"})
		assert.Equal(t, 503, status)
		assert.Equal(t, "unavailable", out["code"])
	})
	t.Run("no plan", func(t *testing.T) {
		s := newStand(t)
		delete(s.objects, store.IndexObject(fake.StandRun))
		assert.Equal(t, 409, s.get(t, s.query()).Status)
	})
	t.Run("another plan in the bucket", func(t *testing.T) {
		s := newStand(t)
		other := s.index
		other.InputDigest = "x"
		require.NoError(t, other.Seal())
		data, err := patch.Canonical(other)
		require.NoError(t, err)
		s.objects[store.IndexObject(fake.StandRun)] = data
		assert.Equal(t, 409, s.get(t, s.query()).Status)
	})
}

func TestCallback_OneWave(t *testing.T) {
	s := newStand(t, func(rec *decision.Approval, _ *store.RunRow, _ *plan.Index) {
		rec.Scope, rec.Instances = "soak:canary", 12
	})
	s.table.Put(store.WaveKey(fake.StandRun, "canary"), store.WaveRow{Wave: "canary", Reason: "an alarm is red"})
	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, "Go on after wave canary?")
	assert.Contains(t, page, "continuing after the doubtful wave canary, not the run’s other waves (1)")
	assert.Contains(t, page, "an alarm is red")
	assert.NotContains(t, page, "222222222222")
}

func TestCallback_ScanIsCalledAScan(t *testing.T) {
	s := newStand(t, func(_ *decision.Approval, _ *store.RunRow, x *plan.Index) {
		for i := range x.Waves {
			x.Waves[i].Operation, x.Waves[i].RebootOption = patch.Scan, patch.NoReboot
		}
	})
	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, "instances, scan only")
	assert.NotContains(t, page, "Install patches")
}

// Source: KMS API reference, GenerateMac, Message: at most 4,096 bytes, read 2026-11.
func TestCallback_LongestDecisionFitsKMS(t *testing.T) {
	s := newStand(t, func(rec *decision.Approval, run *store.RunRow, _ *plan.Index) {
		rec.Scope, rec.Instances = "wave:fleet", 400
	})
	longest := 0
	s.Callback.Decisions = signerFunc(func(message []byte) ([]byte, error) {
		longest = max(longest, len(message))
		return s.signer.MAC(t.Context(), message)
	})
	r := s.form("reject", "name", strings.Repeat("😀", 100), "reason", strings.Repeat("😀", 500))
	r.Subject = strings.Repeat("s", 512)
	assert.Equal(t, 303, s.do(t, r).Status)
	assert.Greater(t, longest, 2900)
	assert.Less(t, longest, 4096-200, "the longest names of run and wave fit as well")
}

func TestCallback_LargePlan(t *testing.T) {
	s := newStand(t, func(rec *decision.Approval, _ *store.RunRow, x *plan.Index) {
		x.Waves, x.Unreachable = nil, nil
		for w := range 100 {
			wave := plan.IndexWave{Name: fmt.Sprint("wave-", w), Operation: patch.Install, RebootOption: patch.NoReboot}
			for a := range 200 {
				account := patch.AccountID(fmt.Sprintf("%012d", w*200+a))
				wave.Targets = append(wave.Targets, plan.IndexTarget{Account: account, Region: "us-east-1", Planned: 5})
				x.Unreachable = append(x.Unreachable, plan.UnreachableAccount{Account: account, Region: "eu-west-1", Reason: "x"})
			}
			wave.Planned = 1000
			x.Waves = append(x.Waves, wave)
		}
		rec.Instances = 100_000
	})
	res := s.get(t, s.query())
	assert.Equal(t, 200, res.Status)
	assert.Contains(t, string(res.Body), "Approve 100,000 instances?")
	assert.Contains(t, string(res.Body), "20,000")
	assert.Contains(t, string(res.Body), "and 160 accounts more")
	assert.Contains(t, string(res.Body), "and 19,940 more")
	assert.Less(t, len(res.Body), 200_000, "bytes of the page")
}

type signerFunc func([]byte) ([]byte, error)

func (f signerFunc) MAC(_ context.Context, message []byte) ([]byte, error) { return f(message) }
