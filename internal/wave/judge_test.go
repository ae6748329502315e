package wave_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/fake"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

// done is a site of ten whose target was verified with bad failures.
func done(t *testing.T, bad int,
	change ...func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow)) *site.Site {
	t.Helper()
	verified := func(_ *plan.Leaf, r *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		r.Status, r.Bad = target.TargetVerified, bad
		r.Outcomes = map[outcome.Outcome]int{outcome.Failed: bad, outcome.Patched: 10 - bad}
	}
	s := site.New(t, 10, append(change, verified)...)
	s.Table.Put(store.CountersKey(site.Run, store.WholeRun), store.Counters{Done: 1, Failures: bad})
	return s
}

func TestJudge_budgets(t *testing.T) {
	limits := func(instances, accounts int, perAccount string) func(*plan.Leaf, *target.TargetRow, *store.WaveRow,
		*store.RunRow) {
		return func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
			share, err := patch.ParseThreshold(perAccount)
			require.NoError(t, err)
			w.FailLimit, w.AccountsMax, w.PerAccount = instances, accounts, share
			w.MaxFailed, w.MaxAccounts = patch.Threshold{Value: instances}, patch.Threshold{Value: accounts}
		}
	}
	run := func(f func(*store.RunRow)) func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow) {
		return func(_ *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, r *store.RunRow) { f(r) }
	}
	tests := []struct {
		name   string
		bad    int
		change func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow)
		next   patch.Next
		why    string
	}{
		{"all good", 0, limits(1, 1, "10%"), "next", ""},
		{"at the budget", 1, limits(1, 1, "10%"), "next", ""},
		{"over the wave's budget", 2, limits(1, 1, "100%"), "stop",
			"wave w: 2 failed, limit 1 (budget.maxFailedInstances 1)"},
		{"an account over its share", 2, limits(10, 0, "10%"), "stop",
			"wave w: 1 account failed, limit 0 (budget.maxFailedAccounts 0); 111111111111: 2 failed, limit 1 " +
				"(budget.perAccount 10% of 10)"},
		{"an account over its share, one is tolerated", 2, limits(10, 1, "10%"), "next", ""},
		{"one failure, abortOnIssues", 1, run(func(r *store.RunRow) {
			r.AbortOnIssues = true
		}), "stop", "wave w: 1 failed, limit 0 (abortOnIssues)"},
		{"no failure, abortOnIssues", 0, run(func(r *store.RunRow) { r.AbortOnIssues = true }), "next", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := done(t, test.bad, test.change)
			out := s.Judge()
			assert.Equal(t, test.next, out.Next)
			if test.why != "" {
				assert.Contains(t, s.Wave().Reason, test.why)
			}
			before := s.Table.Snapshot()
			again := s.Judge()
			assert.Equal(t, out.Next, again.Next, "a verdict does not change")
			assert.Equal(t, before, s.Table.Snapshot())
		})
	}
}

// ten is a wave of ten accounts with twenty instances each, whose rows are changed by position.
func ten(t *testing.T, change map[int]func(*target.TargetRow)) *site.Site {
	tenth := patch.Threshold{Value: 10, Percent: true}
	s := done(t, 0, func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		w.Planned, w.Accounts, w.Targets, w.FailLimit, w.AccountsMax = 200, 10, 10, 20, 2
		w.PerAccount, w.MaxFailed, w.MaxAccounts, w.MaxErrors = tenth, tenth, patch.Threshold{Value: 25, Percent: true},
			patch.Threshold{Value: 1, Percent: true}
	})
	w := &s.Index.Waves[0]
	w.Planned, w.Targets = 200, nil
	for i := range 10 {
		account := patch.AccountID(fmt.Sprintf("1%011d", i))
		w.Targets = append(w.Targets, plan.IndexTarget{Account: account, Region: "us-east-1", Planned: 20})
		row := target.TargetRow{Status: target.TargetVerified, Planned: 20, ErrorLimit: 1,
			Outcomes: map[outcome.Outcome]int{outcome.Patched: 20}}
		if f := change[i]; f != nil {
			f(&row)
		}
		s.Table.Put(store.TargetKey(patch.Target{Run: site.Run, Wave: "w", Account: account, Region: "us-east-1"}), row)
	}
	s.StoreIndex(true)
	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Digest = s.Index.Digest })
	return s
}

// held is a target whose maxErrors left the rest unsent.
func held(failed int) func(*target.TargetRow) {
	return func(r *target.TargetRow) {
		r.Closed, r.Failures, r.Errors, r.Bad, r.CutShort = outcome.ReasonBudget, failed, failed, failed, 15
		r.Outcomes = map[outcome.Outcome]int{outcome.Patched: 5 - failed, outcome.Failed: failed, outcome.NotSent: 15}
	}
}

func failed(n int) func(*target.TargetRow) {
	return func(r *target.TargetRow) {
		r.Bad, r.Outcomes = n, map[outcome.Outcome]int{outcome.Patched: 20 - n, outcome.Failed: n}
	}
}

// What one account-region leaves unsent is its own: the wave is judged by the limits of the wave.
func TestJudge_oneBadAccount(t *testing.T) {
	type rows = map[int]func(*target.TargetRow)
	for _, test := range []struct {
		name string
		rows rows
		next patch.Next
		why  string
	}{
		{"one held back", rows{3: held(2)}, "next", "100000000003 us-east-1: 2 failed, limit 1 (ssm.maxErrors 1% of 20)"},
		{"one over its share, nothing unsent", rows{3: failed(3)}, "next",
			"100000000003: 3 failed, limit 2 (budget.perAccount 10% of 20)"},
		{"two that failed", rows{3: held(2), 4: failed(3)}, "next", ""},
		{"three that failed", rows{3: held(2), 4: failed(3), 5: held(2)}, "stop",
			"wave w: 3 accounts failed, limit 2 (budget.maxFailedAccounts 25% of 10); "},
		{"at their share", rows{3: failed(2), 4: failed(2), 5: failed(2)}, "next", ""},
		{"all that was tried failed", rows{
			0: held(5), 1: held(5), 2: unsent, 3: unsent, 4: unsent, 5: unsent, 6: unsent, 7: unsent, 8: unsent, 9: unsent},
			"stop",
			"wave w: 10 failed, limit 1 (budget.maxFailedInstances 10% of the 10 that were tried)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := ten(t, test.rows)
			assert.Equal(t, test.next, s.Judge().Next, s.Wave().Reason)
			assert.Contains(t, s.Wave().Reason, test.why)
		})
	}
}

// unsent is a target of an account that lets nobody in.
func unsent(r *target.TargetRow) {
	r.Closed, r.CutShort, r.Outcomes = outcome.ReasonAccount, 20, map[outcome.Outcome]int{outcome.NotSent: 20}
}

// A percentage of 100 tolerates every failure, but not that nothing at all went well before a limit stopped it.
func TestJudge_nothingWentWell(t *testing.T) {
	for _, limit := range []patch.Threshold{{Value: 100, Percent: true}, {Value: 50}} {
		s := done(t, 0)
		shorten(s)
		site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) { w.MaxFailed, w.FailLimit = limit, 10 })
		site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) {
			r.Outcomes = map[outcome.Outcome]int{outcome.Failed: 3, outcome.NotSent: 7}
		})
		assert.Equal(t, patch.NextStop, s.Judge().Next)
	}
}

func TestJudge_runBudgetAndAbort(t *testing.T) {
	s := done(t, 0)
	site.Edit(s, store.WaveKey(site.Run, store.WholeRun), func(w *store.WaveRow) {
		w.MaxFailed = patch.Threshold{Value: 10}
	})
	s.Table.Put(store.CountersKey(site.Run, store.WholeRun), store.Counters{Failures: 11})
	assert.Equal(t, patch.NextStop, s.Judge().Next)
	assert.Contains(t, s.Wave().Reason, "run: 11 failed, limit 10 (budget.maxFailedInstances 10)")

	s = done(t, 0)
	s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
	assert.Equal(t, patch.NextStop, s.Judge().Next)
	assert.Contains(t, s.Wave().Reason, "aborted")
}

// A target without a result is a cause of its own: the judge starts from the plan, not from the rows that
// happen to exist.
func TestJudge_targetWithoutResult(t *testing.T) {
	s := done(t, 0, func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) { w.FailLimit = 9 })
	site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Status = target.TargetPatching })
	assert.Equal(t, patch.NextStop, s.Judge().Next)
	assert.Contains(t, s.Wave().Reason, "wave w: 1 account-region without a result")

	s = done(t, 0, func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) { w.FailLimit = 9 })
	delete(s.Table.Rows, store.TargetKey(s.Target))
	assert.Equal(t, patch.NextStop, s.Judge().Next)
}

func cutShort(approval runinput.ApprovalMode, operation patch.Operation) func(*plan.Leaf, *target.TargetRow,
	*store.WaveRow, *store.RunRow) {
	return func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, r *store.RunRow) {
		l.Operation, r.Approval = operation, approval
	}
}

// shorten makes a target of which its own maxErrors left six unsent, when three of four had failed.
func shorten(s *site.Site) {
	site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) {
		r.Closed, r.Failures, r.Errors, r.ErrorLimit, r.Bad, r.CutShort = outcome.ReasonBudget, 3, 3, 2, 3, 6
		r.Outcomes = map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 3, outcome.NotSent: 6}
	})
	site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) {
		w.FailLimit, w.MaxFailed, w.MaxErrors = 5, patch.Threshold{Value: 50, Percent: true},
			patch.Threshold{Value: 20, Percent: true}
	})
}

const shortened = "wave w: 3 failed, limit 2 (budget.maxFailedInstances 50% of the 4 that were tried); " +
	"111111111111 us-east-1: 3 failed, limit 2 (ssm.maxErrors 20% of 10)"

// Where most of what was tried failed, and its own limit left the rest unsent, a person decides; with nobody
// to ask it stops the run.
func TestJudge_doubt(t *testing.T) {
	t.Run("nobody to ask", func(t *testing.T) {
		s := done(t, 0, cutShort(runinput.ApproveNone, patch.Install))
		shorten(s)
		assert.Equal(t, patch.NextStop, s.Judge().Next)
		assert.Equal(t, shortened, s.Wave().Reason)
	})
	t.Run("unsent without a cause", func(t *testing.T) {
		for _, why := range []outcome.Reason{outcome.ReasonAccount, outcome.ReasonLease, outcome.ReasonStopped} {
			s := done(t, 0, cutShort(runinput.ApproveNone, patch.Install))
			shorten(s)
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Closed = why })
			assert.Equal(t, patch.NextWave, s.Judge().Next, why)
		}
	})
	t.Run("merely offline is no doubt", func(t *testing.T) {
		s := done(t, 0, cutShort(runinput.ApproveNone, patch.Install))
		site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) {
			r.Outcomes = map[outcome.Outcome]int{outcome.Patched: 4, outcome.NotSent: 6}
		})
		assert.Equal(t, patch.NextWave, s.Judge().Next)
	})
	for _, test := range []struct {
		decision decision.Choice
		status   decision.Status
		next     patch.Next
	}{
		{"", decision.ApprovalPending, "ask"},
		{decision.Approve, decision.ApprovalApproved, "next"},
		{decision.Reject, decision.ApprovalRejected, "stop"},
		{"", decision.ApprovalExpired, "stop"},
	} {
		t.Run("asked, "+string(test.status), func(t *testing.T) {
			s := done(t, 0, cutShort(runinput.ApproveOnce, patch.Install))
			shorten(s)
			out := s.Judge()
			require.Equal(t, patch.NextAsk, out.Next)
			assert.Equal(t, patch.ScopeOfSoak("w"), out.Ask.Scope)
			assert.Empty(t, s.Wave().Verdict, "a doubt is no verdict")
			assert.Equal(t, shortened, s.Wave().Doubt.Text())
			rec := decision.Approval{ID: decision.ApprovalID(site.Run, "soak:w"), Run: site.Run, Scope: "soak:w",
				Digest: s.Index.Digest, HubAccount: fake.StandHub, RequireDistinct: 1, Status: test.status,
				Expires: s.Now.Add(time.Hour), Doubt: s.Doubt()}
			s.Table.Put(store.ApprovalKey(rec.ID), rec)
			if test.decision != "" {
				d := decision.Decision{Approval: rec.ID, Decision: test.decision, Identity: "link", At: s.Now}
				mac, err := s.Key.MAC(t.Context(), rec.DecisionMessage(d))
				require.NoError(t, err)
				d.MAC = mac
				s.Table.Put(store.DecisionKey(rec.ID, "link"), d)
			}
			assert.Equal(t, test.next, s.Judge().Next)
		})
	}
	t.Run("a forged answer", func(t *testing.T) {
		s := done(t, 0, cutShort(runinput.ApproveOnce, patch.Install))
		shorten(s)
		rec := decision.Approval{ID: decision.ApprovalID(site.Run, "soak:w"), Run: site.Run, Scope: "soak:w",
			Digest: s.Index.Digest, Expires: s.Now.Add(time.Hour), Doubt: s.Doubt()}
		s.Table.Put(store.ApprovalKey(rec.ID), rec)
		s.Table.Put(store.DecisionKey(rec.ID, "link"),
			decision.Decision{Decision: decision.Approve, Identity: "link", At: s.Now, MAC: []byte("forged")})
		_, err := s.Verify("judge")
		assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
		assert.Empty(t, s.Wave().Verdict)
	})
}

// What people approved is what stands in the wave's row, and its digest is in what their decision signs.
func TestJudge_exchangedDoubt(t *testing.T) {
	s := done(t, 0, cutShort(runinput.ApproveOnce, patch.Install))
	shorten(s)
	require.Equal(t, patch.NextAsk, s.Judge().Next)
	s.ApproveDoubt()
	site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) { w.Doubt.Causes[0].Count = 100 })
	_, err := s.Verify("judge")
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))

	site.Edit(s, store.ApprovalKey(decision.ApprovalID(site.Run, "soak:w")), func(a *decision.Approval) {
		a.Doubt = s.Doubt()
	})
	_, err = s.Verify("judge")
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err), "the decision was about another doubt")
}

func TestJudge_soaks(t *testing.T) {
	s := done(t, 0, site.Gate(600))
	assert.Equal(t, 600, s.Judge().Seconds)
	s.Now = s.Now.Add(9 * time.Minute)
	assert.Equal(t, 60, s.Judge().Seconds, "the soak began at the first look")
	s.Now = s.Now.Add(time.Minute)
	assert.Equal(t, patch.NextWave, s.Judge().Next)
	assert.Zero(t, s.Alarms)
}

func TestJudge_alarms(t *testing.T) {
	s := done(t, 0, site.Gate(600, "arn"))
	assert.Equal(t, 120, s.Judge().Seconds, "alarms are looked at now and then")
	s.Red = map[string]string{"arn": doubt.AlarmFiring}
	s.Now = s.Now.Add(2 * time.Minute)
	assert.Equal(t, patch.NextStop, s.Judge().Next, "with nobody to ask")
	assert.Contains(t, s.Wave().Reason, "is ALARM")

	bad := done(t, 11, site.Gate(600, "arn"))
	bad.Red = map[string]string{"arn": doubt.AlarmMissing}
	assert.Equal(t, patch.NextStop, bad.Judge().Next, "a bad wave is not soaked")
	assert.Contains(t, bad.Wave().Reason, "; alarm arn is missing", "and everything that is wrong is told")
}

// CloudWatch may fail for a while. A judge who cannot read the alarms looks again, as those do who patch, and asks when
// it lasts; it never fails the run.
func TestJudge_alarmsUnread(t *testing.T) {
	for _, soak := range []int{0, 600} {
		s := done(t, 0, site.Gate(soak, "arn"))
		s.Unread = patch.ErrThrottled
		assert.Equal(t, 60, s.Judge().Seconds)
		s.Now = s.Now.Add(9 * time.Minute)
		assert.Equal(t, patch.NextWait, s.Judge().Next)
		s.Unread = nil
		s.Now = s.Now.Add(time.Minute)
		assert.Equal(t, patch.NextWave, s.Judge().Next, "it was only for a while")

		s = done(t, 0, site.Gate(soak, "arn"))
		s.Unread = patch.ErrUnavailable
		s.Judge()
		s.Now = s.Now.Add(10 * time.Minute)
		assert.Equal(t, patch.NextStop, s.Judge().Next, "with nobody to ask")
		assert.Contains(t, s.Wave().Reason, "alarm arn is unreadable")
	}
	s := done(t, 0, site.Gate(3600, "arn"))
	for range 4 { // each outage counts by itself
		s.Unread = patch.ErrUnavailable
		assert.Equal(t, 60, s.Judge().Seconds)
		s.Now = s.Now.Add(6 * time.Minute)
		s.Unread = nil
		assert.Equal(t, 120, s.Judge().Seconds)
	}
}

// An alarm that was red while the wave was patched, and for which something was left unsent, is not forgotten
// when it is green again.
func TestJudge_alarmSeen(t *testing.T) {
	seen := func(closed outcome.Reason) *site.Site {
		s := done(t, 0, site.Gate(0, "arn"))
		s.Table.Put(store.WatchKey(site.Run, "w"), store.Watch{
			Alarms: []doubt.AlarmState{{ARN: "arn", State: doubt.AlarmOK}},
			Seen:   []doubt.AlarmState{{ARN: "arn", State: doubt.AlarmFiring}}})
		site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) {
			r.Closed, r.CutShort, r.Outcomes = closed, 6, map[outcome.Outcome]int{outcome.Patched: 4, outcome.NotSent: 6}
		})
		return s
	}
	s := seen(outcome.ReasonStopped)
	assert.Equal(t, patch.NextStop, s.Judge().Next)
	assert.Equal(t, "alarm arn was ALARM while the wave was patched, 6 instances not sent", s.Wave().Reason)
	assert.Equal(t, patch.NextWave, seen(outcome.ReasonAccount).Judge().Next, "it kept nothing back")
}

// People who let the run go on after one doubt have not been asked about the next.
func TestJudge_anotherDoubt(t *testing.T) {
	s := done(t, 0, site.Gate(600, "one", "two"),
		func(_ *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, r *store.RunRow) {
			r.Approval = runinput.ApproveOnce
		})
	s.Red = map[string]string{"one": doubt.AlarmFiring}
	assert.Equal(t, patch.NextAsk, s.Judge().Next)
	s.ApproveDoubt()
	out := s.Judge()
	assert.Equal(t, patch.NextWait, out.Next, "going on does not shorten the soak")
	s.Red = map[string]string{"two": doubt.AlarmFiring}
	assert.Equal(t, patch.NextStop, s.Judge().Next)
	assert.Contains(t, s.Wave().Reason, "people were asked about: alarm one is ALARM")
}

// The pause stands between two waves, not after the last.
func TestJudge_pause(t *testing.T) {
	pause := func(_ *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, r *store.RunRow) { r.WavePauseSeconds = 900 }
	last := done(t, 0, pause)
	assert.Equal(t, patch.NextWave, last.Judge().Next)

	s := done(t, 0, pause)
	s.AddWave()
	out := s.Judge()
	assert.Equal(t, patch.NextWait, out.Next)
	assert.Equal(t, 900, out.Seconds)
	assert.Equal(t, patch.VerdictGood, s.Wave().Verdict)
	s.Now = s.Now.Add(900 * time.Second)
	assert.Equal(t, patch.NextWave, s.Judge().Next)

	asked := done(t, 0, pause, func(_ *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, r *store.RunRow) {
		r.Approval = runinput.ApprovePerWave
	})
	asked.AddWave()
	assert.Equal(t, patch.NextWave, asked.Judge().Next,
		"people are asked during the pause, and their approval waits for its end")
}

// A verdict binds the heads of the targets' chains into the run's chain.
func TestJudge_bindsTheChains(t *testing.T) {
	heads := map[string]bool{}
	for _, hash := range []string{"cc", "aa", "bb"} {
		s := done(t, 0)
		site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) {
			r.Heads = store.Heads{store.Send: {Seq: 3, Hash: hash}}
		})
		s.Judge()
		chain := s.Table.About(t, store.RunSubject(site.Run))
		require.Len(t, chain, 1)
		assert.Equal(t, "Verdict", chain[0].Action)
		assert.True(t, fake.Signed(chain[0]), "and is signed")
		heads[chain[0].Binds] = true
		digest, ok := store.BoundBy(chain[0])
		require.True(t, ok)
		list, there, err := s.Bucket.Fetch(t.Context(), store.HeadsObject(site.Run, digest))
		require.NoError(t, err)
		require.True(t, there)
		assert.Equal(t, digest, patch.Digest(list))
		assert.Contains(t, string(list), `"chain":"`+store.Send.Chain(store.TargetSubject(s.Target))+`","seq":3,"hash":"`+hash)
	}
	assert.Len(t, heads, 3)
}

// Nothing is judged by a plan that is not the one that was frozen: one that does
// not have its digest, and one that has a digest of its own.
func TestJudge_tamperedPlan(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		s := done(t, 0)
		s.Index.Waves[0].Planned, s.Index.Waves[0].Targets[0].Planned = 1, 1
		s.StoreIndex(sealed)
		_, err := s.Verify("judge")
		assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
		assert.Empty(t, s.Wave().Verdict)
	}
}

// The plan asks for two approvals. A question whose row says one, and the genuine
// approval of whoever asked for the run, do not make the run go on. I-31
func TestJudge_termsOfTheQuestion(t *testing.T) {
	const asker = "arn:aws:iam::999999999999:user/asker"
	s := done(t, 0, cutShort(runinput.ApproveOnce, patch.Install))
	shorten(s)
	s.Index.Needed, s.Index.RequestedBy = 2, asker
	s.StoreIndex(true)
	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) {
		r.Digest, r.RequireDistinct, r.RequestedBy = s.Index.Digest, 2, asker
	})
	require.Equal(t, patch.NextAsk, s.Judge().Next)
	rec := decision.Approval{
		ID: decision.ApprovalID(site.Run, "soak:w"), Run: site.Run, Scope: "soak:w", Digest: s.Index.Digest,
		HubAccount:      fake.StandHub,
		RequireDistinct: 1, Status: decision.ApprovalApproved, Expires: s.Now.Add(time.Hour), Doubt: s.Doubt(),
	}
	d := decision.Decision{Approval: rec.ID, Decision: decision.Approve, Identity: asker, At: s.Now}
	var err error
	d.MAC, err = s.Key.MAC(t.Context(), rec.DecisionMessage(d))
	require.NoError(t, err)
	s.Table.Put(store.ApprovalKey(rec.ID), rec)
	s.Table.Put(store.DecisionKey(rec.ID, d.Identity), d)
	_, err = s.Verifier().Handle(t.Context(), task.VerifyInput{Task: patch.TaskJudge, Run: site.Run, Wave: "w"})
	assert.ErrorIs(t, err, patch.ErrTampered)
	assert.Empty(t, s.Wave().Verdict)
}

// Whether people are asked about a doubtful wave is what the plan was sealed with: the run's own row says otherwise
// here.
func TestJudge_believesTheSeal(t *testing.T) {
	s := done(t, 0, cutShort(runinput.ApproveNone, patch.Install))
	shorten(s)
	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Approval = runinput.ApproveOnce })
	assert.Equal(t, patch.NextStop, s.Judge().Next)

	s = done(t, 0, cutShort(runinput.ApproveNone, patch.Install))
	delete(s.Table.Rows, store.SealKey(site.Run))
	_, err := s.Verifier().Handle(t.Context(), task.VerifyInput{Task: "judge", Run: site.Run, Wave: "w"})
	assert.ErrorIs(t, err, patch.ErrTampered)
}
