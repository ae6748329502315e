package task_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

func (s *site) judge() task.JudgeOutput {
	s.t.Helper()
	out, err := s.verify("judge")
	require.NoError(s.t, err)
	return out.(task.JudgeOutput)
}

func (s *site) wave() patch.WaveRow {
	var w patch.WaveRow
	s.load(patch.WaveKey(siteRun, "w"), &w)
	return w
}

// done is a site of ten whose target was verified with bad failures.
func done(t *testing.T, bad int, change ...func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow)) *site {
	t.Helper()
	verified := func(_ *patch.Leaf, r *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
		r.Status, r.Bad = patch.TargetVerified, bad
		r.Outcomes = map[patch.Outcome]int{patch.Failed: bad, patch.Patched: 10 - bad}
	}
	s := newSite(t, 10, append(change, verified)...)
	s.table.put(patch.CountersKey(siteRun, patch.WholeRun), patch.Counters{Done: 1, Failures: bad})
	return s
}

func TestJudge_budgets(t *testing.T) {
	limits := func(instances, accounts int, perAccount string) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
		return func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
			share, err := patch.ParseThreshold(perAccount)
			require.NoError(t, err)
			w.FailLimit, w.AccountsMax, w.PerAccount = instances, accounts, share
			w.MaxFailed, w.MaxAccounts = patch.Threshold{Value: instances}, patch.Threshold{Value: accounts}
		}
	}
	run := func(f func(*patch.RunRow)) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
		return func(_ *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, r *patch.RunRow) { f(r) }
	}
	tests := []struct {
		name   string
		bad    int
		change func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow)
		next   string
		why    string
	}{
		{"all good", 0, limits(1, 1, "10%"), "next", ""},
		{"at the budget", 1, limits(1, 1, "10%"), "next", ""},
		{"over the wave's budget", 2, limits(1, 1, "100%"), "stop", "wave w: 2 failed, limit 1 (budget.maxFailedInstances 1)"},
		{"an account over its share", 2, limits(10, 0, "10%"), "stop", "wave w: 1 account failed, limit 0 (budget.maxFailedAccounts 0); 111111111111: 2 failed, limit 1 (budget.perAccount 10% of 10)"},
		{"an account over its share, one is tolerated", 2, limits(10, 1, "10%"), "next", ""},
		{"one failure, abortOnIssues", 1, run(func(r *patch.RunRow) { r.AbortOnIssues = true }), "stop", "wave w: 1 failed, limit 0 (abortOnIssues)"},
		{"no failure, abortOnIssues", 0, run(func(r *patch.RunRow) { r.AbortOnIssues = true }), "next", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := done(t, test.bad, test.change)
			out := s.judge()
			assert.Equal(t, test.next, out.Next)
			if test.why != "" {
				assert.Contains(t, s.wave().Reason, test.why)
			}
			before := s.table.snapshot()
			again := s.judge()
			assert.Equal(t, out.Next, again.Next, "a verdict does not change")
			assert.Equal(t, before, s.table.snapshot())
		})
	}
}

// ten is a wave of ten accounts with twenty instances each, whose rows are changed by position.
func ten(t *testing.T, change map[int]func(*patch.TargetRow)) *site {
	tenth := patch.Threshold{Value: 10, Percent: true}
	s := done(t, 0, func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		w.Planned, w.Accounts, w.Targets, w.FailLimit, w.AccountsMax = 200, 10, 10, 20, 2
		w.PerAccount, w.MaxFailed, w.MaxAccounts, w.MaxErrors = tenth, tenth, patch.Threshold{Value: 25, Percent: true}, patch.Threshold{Value: 1, Percent: true}
	})
	w := &s.index.Waves[0]
	w.Planned, w.Targets = 200, nil
	for i := range 10 {
		account := patch.AccountID(fmt.Sprintf("1%011d", i))
		w.Targets = append(w.Targets, patch.IndexTarget{Account: account, Region: "us-east-1", Planned: 20})
		row := patch.TargetRow{Status: patch.TargetVerified, Planned: 20, ErrorLimit: 1, Outcomes: map[patch.Outcome]int{patch.Patched: 20}}
		if f := change[i]; f != nil {
			f(&row)
		}
		s.table.put(patch.TargetKey(patch.Target{Run: siteRun, Wave: "w", Account: account, Region: "us-east-1"}), row)
	}
	s.storeIndex(true)
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest = s.index.Digest })
	return s
}

// held is a target whose maxErrors left the rest unsent.
func held(failed int) func(*patch.TargetRow) {
	return func(r *patch.TargetRow) {
		r.Closed, r.Failures, r.Errors, r.Bad, r.CutShort = patch.ReasonBudget, failed, failed, failed, 15
		r.Outcomes = map[patch.Outcome]int{patch.Patched: 5 - failed, patch.Failed: failed, patch.NotSent: 15}
	}
}

func failed(n int) func(*patch.TargetRow) {
	return func(r *patch.TargetRow) {
		r.Bad, r.Outcomes = n, map[patch.Outcome]int{patch.Patched: 20 - n, patch.Failed: n}
	}
}

// What one account-region leaves unsent is its own: the wave is judged by the limits of the wave.
func TestJudge_oneBadAccount(t *testing.T) {
	type rows = map[int]func(*patch.TargetRow)
	for _, test := range []struct {
		name string
		rows rows
		next string
		why  string
	}{
		{"one held back", rows{3: held(2)}, "next", "100000000003 us-east-1: 2 failed, limit 1 (ssm.maxErrors 1% of 20)"},
		{"one over its share, nothing unsent", rows{3: failed(3)}, "next", "100000000003: 3 failed, limit 2 (budget.perAccount 10% of 20)"},
		{"two that failed", rows{3: held(2), 4: failed(3)}, "next", ""},
		{"three that failed", rows{3: held(2), 4: failed(3), 5: held(2)}, "stop", "wave w: 3 accounts failed, limit 2 (budget.maxFailedAccounts 25% of 10); "},
		{"at their share", rows{3: failed(2), 4: failed(2), 5: failed(2)}, "next", ""},
		{"all that was tried failed", rows{
			0: held(5), 1: held(5), 2: unsent, 3: unsent, 4: unsent, 5: unsent, 6: unsent, 7: unsent, 8: unsent, 9: unsent}, "stop",
			"wave w: 10 failed, limit 1 (budget.maxFailedInstances 10% of the 10 that were tried)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := ten(t, test.rows)
			assert.Equal(t, test.next, s.judge().Next, s.wave().Reason)
			assert.Contains(t, s.wave().Reason, test.why)
		})
	}
}

// unsent is a target of an account that lets nobody in.
func unsent(r *patch.TargetRow) {
	r.Closed, r.CutShort, r.Outcomes = patch.ReasonAccount, 20, map[patch.Outcome]int{patch.NotSent: 20}
}

// A percentage of 100 tolerates every failure, but not that nothing at all went well before a limit stopped it.
func TestJudge_nothingWentWell(t *testing.T) {
	for _, limit := range []patch.Threshold{{Value: 100, Percent: true}, {Value: 50}} {
		s := done(t, 0)
		shorten(s)
		edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) { w.MaxFailed, w.FailLimit = limit, 10 })
		edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) {
			r.Outcomes = map[patch.Outcome]int{patch.Failed: 3, patch.NotSent: 7}
		})
		assert.Equal(t, "stop", s.judge().Next)
	}
}

func TestJudge_runBudgetAndAbort(t *testing.T) {
	s := done(t, 0)
	edit(s, patch.WaveKey(siteRun, patch.WholeRun), func(w *patch.WaveRow) { w.MaxFailed = patch.Threshold{Value: 10} })
	s.table.put(patch.CountersKey(siteRun, patch.WholeRun), patch.Counters{Failures: 11})
	assert.Equal(t, "stop", s.judge().Next)
	assert.Contains(t, s.wave().Reason, "run: 11 failed, limit 10 (budget.maxFailedInstances 10)")

	s = done(t, 0)
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
	assert.Equal(t, "stop", s.judge().Next)
	assert.Contains(t, s.wave().Reason, "aborted")
}

// A target without a result is a cause of its own: the judge starts from the plan, not from the rows that
// happen to exist.
func TestJudge_targetWithoutResult(t *testing.T) {
	s := done(t, 0, func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) { w.FailLimit = 9 })
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Status = patch.TargetPatching })
	assert.Equal(t, "stop", s.judge().Next)
	assert.Contains(t, s.wave().Reason, "wave w: 1 account-region without a result")

	s = done(t, 0, func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) { w.FailLimit = 9 })
	delete(s.table.rows, patch.TargetKey(s.target))
	assert.Equal(t, "stop", s.judge().Next)
}

func cutShort(approval patch.ApprovalMode, operation patch.Operation) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
	return func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, r *patch.RunRow) {
		l.Operation, r.Approval = operation, approval
	}
}

// shorten makes a target of which its own maxErrors left six unsent, when three of four had failed.
func shorten(s *site) {
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) {
		r.Closed, r.Failures, r.Errors, r.ErrorLimit, r.Bad, r.CutShort = patch.ReasonBudget, 3, 3, 2, 3, 6
		r.Outcomes = map[patch.Outcome]int{patch.Patched: 1, patch.Failed: 3, patch.NotSent: 6}
	})
	edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) {
		w.FailLimit, w.MaxFailed, w.MaxErrors = 5, patch.Threshold{Value: 50, Percent: true}, patch.Threshold{Value: 20, Percent: true}
	})
}

const shortened = "wave w: 3 failed, limit 2 (budget.maxFailedInstances 50% of the 4 that were tried); " +
	"111111111111 us-east-1: 3 failed, limit 2 (ssm.maxErrors 20% of 10)"

// Where most of what was tried failed, and its own limit left the rest unsent, a person decides; with nobody
// to ask it stops the run.
func TestJudge_doubt(t *testing.T) {
	t.Run("nobody to ask", func(t *testing.T) {
		s := done(t, 0, cutShort(patch.ApproveNone, patch.Install))
		shorten(s)
		assert.Equal(t, "stop", s.judge().Next)
		assert.Equal(t, shortened, s.wave().Reason)
	})
	t.Run("unsent without a cause", func(t *testing.T) {
		for _, why := range []string{patch.ReasonAccount, patch.ReasonLease, patch.ReasonStopped} {
			s := done(t, 0, cutShort(patch.ApproveNone, patch.Install))
			shorten(s)
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Closed = why })
			assert.Equal(t, "next", s.judge().Next, why)
		}
	})
	t.Run("merely offline is no doubt", func(t *testing.T) {
		s := done(t, 0, cutShort(patch.ApproveNone, patch.Install))
		edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Outcomes = map[patch.Outcome]int{patch.Patched: 4, patch.NotSent: 6} })
		assert.Equal(t, "next", s.judge().Next)
	})
	for _, test := range []struct{ decision, status, next string }{
		{"", patch.ApprovalPending, "ask"},
		{patch.Approve, patch.ApprovalApproved, "next"},
		{patch.Reject, patch.ApprovalRejected, "stop"},
		{"", patch.ApprovalExpired, "stop"},
	} {
		t.Run("asked, "+test.status, func(t *testing.T) {
			s := done(t, 0, cutShort(patch.ApproveOnce, patch.Install))
			shorten(s)
			out := s.judge()
			require.Equal(t, "ask", out.Next)
			assert.Equal(t, "soak:w", out.Ask.Scope)
			assert.Empty(t, s.wave().Verdict, "a doubt is no verdict")
			assert.Equal(t, shortened, s.wave().Doubt.Text())
			rec := patch.Approval{ID: patch.ApprovalID(siteRun, "soak:w"), Run: siteRun, Scope: "soak:w", Digest: s.index.Digest, HubAccount: standHub, RequireDistinct: 1, Status: test.status, Expires: s.now.Add(time.Hour), Doubt: s.doubt()}
			s.table.put(patch.ApprovalKey(rec.ID), rec)
			if test.decision != "" {
				d := patch.Decision{Approval: rec.ID, Decision: test.decision, Identity: "link", At: s.now}
				mac, err := s.key.MAC(t.Context(), rec.DecisionMessage(d))
				require.NoError(t, err)
				d.MAC = mac
				s.table.put(patch.DecisionKey(rec.ID, "link"), d)
			}
			assert.Equal(t, test.next, s.judge().Next)
		})
	}
	t.Run("a forged answer", func(t *testing.T) {
		s := done(t, 0, cutShort(patch.ApproveOnce, patch.Install))
		shorten(s)
		rec := patch.Approval{ID: patch.ApprovalID(siteRun, "soak:w"), Run: siteRun, Scope: "soak:w", Digest: s.index.Digest, Expires: s.now.Add(time.Hour), Doubt: s.doubt()}
		s.table.put(patch.ApprovalKey(rec.ID), rec)
		s.table.put(patch.DecisionKey(rec.ID, "link"), patch.Decision{Decision: patch.Approve, Identity: "link", At: s.now, MAC: []byte("forged")})
		_, err := s.verify("judge")
		assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
		assert.Empty(t, s.wave().Verdict)
	})
}

// doubt is the digest of what the judge asks about.
func (s *site) doubt() string {
	digest, err := s.wave().Doubt.Digest()
	require.NoError(s.t, err)
	return digest
}

// What people approved is what stands in the wave's row, and its digest is in what their decision signs.
func TestJudge_exchangedDoubt(t *testing.T) {
	s := done(t, 0, cutShort(patch.ApproveOnce, patch.Install))
	shorten(s)
	require.Equal(t, "ask", s.judge().Next)
	s.approveDoubt()
	edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) { w.Doubt.Causes[0].Count = 100 })
	_, err := s.verify("judge")
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))

	edit(s, patch.ApprovalKey(patch.ApprovalID(siteRun, "soak:w")), func(a *patch.Approval) { a.Doubt = s.doubt() })
	_, err = s.verify("judge")
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err), "the decision was about another doubt")
}

func gate(seconds int, alarms ...string) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
	return func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		w.SoakSeconds, w.Alarms = seconds, alarms
	}
}

func TestJudge_soaks(t *testing.T) {
	s := done(t, 0, gate(600))
	assert.Equal(t, 600, s.judge().Seconds)
	s.now = s.now.Add(9 * time.Minute)
	assert.Equal(t, 60, s.judge().Seconds, "the soak began at the first look")
	s.now = s.now.Add(time.Minute)
	assert.Equal(t, "next", s.judge().Next)
	assert.Zero(t, s.alarms)
}

func TestJudge_alarms(t *testing.T) {
	s := done(t, 0, gate(600, "arn"))
	assert.Equal(t, 120, s.judge().Seconds, "alarms are looked at now and then")
	s.red = map[string]string{"arn": patch.AlarmFiring}
	s.now = s.now.Add(2 * time.Minute)
	assert.Equal(t, "stop", s.judge().Next, "with nobody to ask")
	assert.Contains(t, s.wave().Reason, "is ALARM")

	bad := done(t, 11, gate(600, "arn"))
	bad.red = map[string]string{"arn": patch.AlarmMissing}
	assert.Equal(t, "stop", bad.judge().Next, "a bad wave is not soaked")
	assert.Contains(t, bad.wave().Reason, "; alarm arn is missing", "and everything that is wrong is told")
}

// CloudWatch may fail for a while. A judge who cannot read the alarms looks again, as those do who patch, and asks when
// it lasts; it never fails the run.
func TestJudge_alarmsUnread(t *testing.T) {
	for _, soak := range []int{0, 600} {
		s := done(t, 0, gate(soak, "arn"))
		s.unread = patch.ErrThrottled
		assert.Equal(t, 60, s.judge().Seconds)
		s.now = s.now.Add(9 * time.Minute)
		assert.Equal(t, "wait", s.judge().Next)
		s.unread = nil
		s.now = s.now.Add(time.Minute)
		assert.Equal(t, "next", s.judge().Next, "it was only for a while")

		s = done(t, 0, gate(soak, "arn"))
		s.unread = patch.ErrUnavailable
		s.judge()
		s.now = s.now.Add(10 * time.Minute)
		assert.Equal(t, "stop", s.judge().Next, "with nobody to ask")
		assert.Contains(t, s.wave().Reason, "alarm arn is unreadable")
	}
	s := done(t, 0, gate(3600, "arn"))
	for range 4 { // each outage counts by itself
		s.unread = patch.ErrUnavailable
		assert.Equal(t, 60, s.judge().Seconds)
		s.now = s.now.Add(6 * time.Minute)
		s.unread = nil
		assert.Equal(t, 120, s.judge().Seconds)
	}
}

// An alarm that was red while the wave was patched, and for which something was left unsent, is not forgotten
// when it is green again.
func TestJudge_alarmSeen(t *testing.T) {
	seen := func(closed string) *site {
		s := done(t, 0, gate(0, "arn"))
		s.table.put(patch.WatchKey(siteRun, "w"), patch.Watch{
			Alarms: []patch.AlarmState{{ARN: "arn", State: patch.AlarmOK}}, Seen: []patch.AlarmState{{ARN: "arn", State: patch.AlarmFiring}}})
		edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) {
			r.Closed, r.CutShort, r.Outcomes = closed, 6, map[patch.Outcome]int{patch.Patched: 4, patch.NotSent: 6}
		})
		return s
	}
	s := seen(patch.ReasonStopped)
	assert.Equal(t, "stop", s.judge().Next)
	assert.Equal(t, "alarm arn was ALARM while the wave was patched, 6 instances not sent", s.wave().Reason)
	assert.Equal(t, "next", seen(patch.ReasonAccount).judge().Next, "it kept nothing back")
}

// approveDoubt lets the run go on after the wave.
func (s *site) approveDoubt() {
	rec := patch.Approval{ID: patch.ApprovalID(siteRun, "soak:w"), Run: siteRun, Scope: "soak:w", Digest: s.index.Digest, HubAccount: standHub, RequireDistinct: 1, Status: patch.ApprovalApproved, Expires: s.now.Add(time.Hour), Doubt: s.doubt()}
	s.table.put(patch.ApprovalKey(rec.ID), rec)
	d := patch.Decision{Approval: rec.ID, Decision: patch.Approve, Identity: "link", At: s.now}
	mac, err := s.key.MAC(s.t.Context(), rec.DecisionMessage(d))
	require.NoError(s.t, err)
	d.MAC = mac
	s.table.put(patch.DecisionKey(rec.ID, "link"), d)
}

// People who let the run go on after one doubt have not been asked about the next.
func TestJudge_anotherDoubt(t *testing.T) {
	s := done(t, 0, gate(600, "one", "two"), func(_ *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, r *patch.RunRow) {
		r.Approval = patch.ApproveOnce
	})
	s.red = map[string]string{"one": patch.AlarmFiring}
	assert.Equal(t, "ask", s.judge().Next)
	s.approveDoubt()
	out := s.judge()
	assert.Equal(t, "wait", out.Next, "going on does not shorten the soak")
	s.red = map[string]string{"two": patch.AlarmFiring}
	assert.Equal(t, "stop", s.judge().Next)
	assert.Contains(t, s.wave().Reason, "people were asked about: alarm one is ALARM")
}

// The pause stands between two waves, not after the last.
func TestJudge_pause(t *testing.T) {
	pause := func(_ *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, r *patch.RunRow) { r.WavePauseSeconds = 900 }
	last := done(t, 0, pause)
	assert.Equal(t, "next", last.judge().Next)

	s := done(t, 0, pause)
	s.addWave()
	out := s.judge()
	assert.Equal(t, "wait", out.Next)
	assert.Equal(t, 900, out.Seconds)
	assert.Equal(t, patch.VerdictGood, s.wave().Verdict)
	s.now = s.now.Add(900 * time.Second)
	assert.Equal(t, "next", s.judge().Next)

	asked := done(t, 0, pause, func(_ *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, r *patch.RunRow) {
		r.Approval = patch.ApprovePerWave
	})
	asked.addWave()
	assert.Equal(t, "next", asked.judge().Next, "people are asked during the pause, and their approval waits for its end")
}

// addWave puts a second wave into the plan.
func (s *site) addWave() {
	s.index.Waves = append(s.index.Waves, patch.IndexWave{Name: "next", Operation: patch.Install, Planned: 1, Targets: []patch.IndexTarget{{Account: "222222222222", Region: "us-east-1", Planned: 1}}})
	require.NoError(s.t, s.index.Seal())
	data, err := patch.Canonical(s.index)
	require.NoError(s.t, err)
	s.bucket.localObjects[patch.IndexObject(siteRun)] = data
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest = s.index.Digest })
}

// A verdict binds the heads of the targets' chains into the run's chain.
func TestJudge_bindsTheChains(t *testing.T) {
	heads := map[string]bool{}
	for _, hash := range []string{"", "aa", "bb"} {
		s := done(t, 0)
		edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Audit = patch.ChainHead{Seq: 3, Hash: hash} })
		s.judge()
		chain := s.table.chain(t, patch.RunChain(siteRun))
		require.Len(t, chain, 1)
		assert.Equal(t, "Verdict", chain[0].Action)
		heads[chain[0].Detail] = true
	}
	assert.Len(t, heads, 3)
}

// Nothing is judged by a plan that is not the one that was frozen: one that does
// not have its digest, and one that has a digest of its own.
func TestJudge_tamperedPlan(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		s := done(t, 0)
		s.index.Waves[0].Planned, s.index.Waves[0].Targets[0].Planned = 1, 1
		s.storeIndex(sealed)
		_, err := s.verify("judge")
		assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
		assert.Empty(t, s.wave().Verdict)
	}
}

// storeIndex writes the index over the one that was frozen.
func (s *site) storeIndex(seal bool) {
	s.t.Helper()
	if seal {
		require.NoError(s.t, s.index.Seal())
	}
	data, err := patch.Canonical(s.index)
	require.NoError(s.t, err)
	s.bucket.localObjects[patch.IndexObject(siteRun)] = data
}

// The plan asks for two approvals. A question whose row says one, and the genuine
// approval of whoever asked for the run, do not make the run go on. I-31
func TestJudge_termsOfTheQuestion(t *testing.T) {
	const asker = "arn:aws:iam::999999999999:user/asker"
	s := done(t, 0, cutShort(patch.ApproveOnce, patch.Install))
	shorten(s)
	s.index.Needed, s.index.RequestedBy = 2, asker
	require.NoError(t, s.index.Seal())
	plan, err := patch.Canonical(s.index)
	require.NoError(t, err)
	s.bucket.localObjects[patch.IndexObject(siteRun)] = plan
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest, r.RequireDistinct, r.RequestedBy = s.index.Digest, 2, asker })
	require.Equal(t, "ask", s.judge().Next)
	rec := patch.Approval{
		ID: patch.ApprovalID(siteRun, "soak:w"), Run: siteRun, Scope: "soak:w", Digest: s.index.Digest, HubAccount: standHub,
		RequireDistinct: 1, Status: patch.ApprovalApproved, Expires: s.now.Add(time.Hour), Doubt: s.doubt(),
	}
	d := patch.Decision{Approval: rec.ID, Decision: patch.Approve, Identity: asker, At: s.now}
	d.MAC, err = s.key.MAC(t.Context(), rec.DecisionMessage(d))
	require.NoError(t, err)
	s.table.put(patch.ApprovalKey(rec.ID), rec)
	s.table.put(patch.DecisionKey(rec.ID, d.Identity), d)
	_, err = s.verifier().Handle(t.Context(), task.VerifyInput{Task: "judge", Run: siteRun, Wave: "w"})
	assert.ErrorIs(t, err, patch.ErrTampered)
	assert.Empty(t, s.wave().Verdict)
}
