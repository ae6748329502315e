package task_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// serial sends to one instance at a time.
func serial(leaf *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
	leaf.Concurrency = 1
}

// tolerant of n errors.
func tolerant(n int) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
	return func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { l.ErrorLimit = n }
}

func TestPoll_follows(t *testing.T) {
	s := newSite(t, 2)
	s.sendAll()
	require.Len(t, s.sent, 2)
	s.ended(1, "InProgress")
	assert.Equal(t, "wait", s.must(s.poll()).Next)
	assert.Equal(t, 2, s.row().InFlight())
	assert.Empty(t, s.spoke.reads, "what executes is not read")

	s.now = s.now.Add(8 * time.Minute)
	s.ended(1, "Success")
	took := s.row().TookSeconds
	assert.Equal(t, "wait", s.must(s.poll()).Next)
	assert.Equal(t, []patch.CommandID{"cmd-1"}, s.spoke.reads, "what ended is read")
	assert.Equal(t, 1, s.row().InFlight())
	assert.Equal(t, 1, s.row().Good)
	assert.Equal(t, (7*took+480)/8, s.row().TookSeconds)

	s.now = s.now.Add(8 * time.Minute)
	s.ended(2, "Success")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Empty(t, s.row().Open)
	assert.Zero(t, s.counters().Failures)
	assert.Equal(t, 3, s.row().Polls)
	assert.Equal(t, 2, s.row().Looks, "a look that finds nothing leaves no row")
	found, _ := s.lookedAt()
	for i := range 2 {
		id := patch.CommandID(fmt.Sprintf("cmd-%d", i+1))
		assert.Equal(t, "Success", found[id].Status)
		assert.Equal(t, instance(i), found[id].InstanceID)
	}
	assert.Equal(t, s.now, found["cmd-2"].Seen)
}

// A command has ended when its invocation says so, and not when a list leaves it out.
func TestPoll_listsAreLate(t *testing.T) {
	tests := []struct {
		name string
		lie  func(c *ssmCommand)
	}{
		{"it is not shown as executing", func(c *ssmCommand) { c.unshown, c.status = true, "InProgress" }},
		{"nor is its invocation listed", func(c *ssmCommand) { c.unshown, c.unlisted, c.status = true, true, "InProgress" }},
		{"it has ended, and its invocation is not listed", func(c *ssmCommand) { c.unlisted, c.status = true, "Success" }},
		{"its invocation is of another instance", func(c *ssmCommand) { c.instance, c.status = "i-other", "Failed" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 1)
			s.sendAll()
			test.lie(s.spoke.commands["cmd-1"])
			s.now = s.now.Add(20 * time.Minute)
			assert.Equal(t, "wait", s.must(s.poll()).Next)
			assert.Equal(t, 1, s.row().InFlight())
			assert.Zero(t, s.counters().Failures)
			assert.Empty(t, s.spoke.cancels)
			s.spoke.commands["cmd-1"] = &ssmCommand{instance: instance(0), status: "Success", at: s.began}
			assert.Equal(t, "verify", s.must(s.poll()).Next)
			assert.Zero(t, s.counters().Failures)
		})
	}
}

// A final status stays, whatever SSM says later; one seen running has run.
func TestPoll_finalStatusesStay(t *testing.T) {
	s := newSite(t, 2)
	s.sendAll()
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
	s.ended(1, "Failed")
	s.ended(2, "InProgress")
	s.must(s.poll())
	assert.Equal(t, 1, s.counters().Failures)
	s.ended(1, "Success")
	s.ended(2, "Cancelled")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	found, _ := s.lookedAt()
	assert.Equal(t, "Failed", found["cmd-1"].Status)
	assert.Equal(t, "Cancelled", found["cmd-2"].Status)
	assert.True(t, found["cmd-2"].Ran)
	assert.Equal(t, 2, s.counters().Failures, "each counts once; what ran and was cancelled is a failure")
	s.must(s.poll())
	assert.Equal(t, 2, s.counters().Failures)
	assert.Empty(t, s.spoke.cancels)
}

// A failure over the target's limit closes it and takes back what no agent has taken,
// but not what runs. The audit entry is there before the cancel.
func TestPoll_overBudget(t *testing.T) {
	s := newSite(t, 6, wide(3), tolerant(0))
	s.sendAll()
	require.Len(t, s.sent, 3)
	s.ended(1, "Failed")
	s.ended(2, "InProgress")
	s.spoke.onCancel = func() { assert.Contains(t, s.actions(), "CancelCommand") }
	s.must(s.poll())
	assert.Equal(t, patch.ReasonBudget, s.row().Closed)
	s.must(s.poll())
	assert.Equal(t, []string{s.cut(3)}, s.spoke.cancels)
	s.ended(3, "Cancelled")
	s.must(s.poll())
	s.ended(2, "Success")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	s.sendAll()
	assert.Len(t, s.sent, 3, "nothing more is sent")
	assert.Equal(t, 1, s.counters().Failures, "what was taken back is no failure")
	assert.Equal(t, 1, s.counters().AccountsOver, "its limit left something unsent")
	for _, e := range s.table.chain(t, patch.TargetChain(s.target)) {
		if e.Action == "CancelCommand" {
			assert.Equal(t, fmt.Sprintf("budget, 1 command: [%s]", s.cut(3)), e.Detail)
		}
	}
}

// What runs within its own time is cancelled by nothing but an explicit wish.
func TestPoll_runningIsNotCut(t *testing.T) {
	tests := []struct {
		name string
		stop func(s *site)
		cut  bool
	}{
		{"an abort", func(s *site) { s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"}) }, false},
		{"an abort that cancels", func(s *site) {
			s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann", CancelInFlight: true})
		}, true},
		{"a budget", func(s *site) { s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{Failures: 9}) }, false},
		{"the budget of accounts", func(s *site) { s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{AccountsOver: 9}) }, false},
		{"the run's end", func(s *site) {
			edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Status = patch.RunStopped })
		}, false},
		{"the wave's verdict", func(s *site) {
			edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) { w.Verdict = patch.VerdictStop })
		}, false},
		{"no room for more steps", func(s *site) {
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Polls = r.MaxPolls })
		}, false},
		{"another run's lease", func(s *site) {
			s.table.put(patch.LeaseKey(s.target.Account, s.target.Region), patch.Lease{Run: "other", Fence: 9, Expires: s.now.Add(time.Hour)})
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 4, wide(3))
			s.sendAll()
			test.stop(s)
			s.ended(1, "InProgress")
			s.spoke.commands["cmd-2"].unlisted = true // nobody knows whether it runs
			for range 3 {
				s.now = s.now.Add(time.Minute)
				s.must(s.poll())
			}
			assert.NotEmpty(t, s.row().Closed)
			assert.Contains(t, s.spoke.cancels, s.cut(3), "no agent has taken it")
			if test.cut {
				assert.Contains(t, s.spoke.cancels, s.cut(1))
			} else {
				assert.NotContains(t, s.spoke.cancels, s.cut(1))
				assert.NotContains(t, s.spoke.cancels, s.cut(2))
			}
			assert.Zero(t, s.row().Failures)
			_, cancels := s.lookedAt()
			assert.Equal(t, s.countOf("CancelCommand") > 0, len(cancels) > 0)
			s.now = s.began.Add(2 * time.Hour)
			s.must(s.poll())
			assert.Contains(t, s.spoke.cancels, s.cut(1), "past its deadline it is")
		})
	}
}

// An abort that cancels what runs may come after a stop that let it run.
func TestPoll_abortCancelsLater(t *testing.T) {
	s := newSite(t, 2, wide(1))
	s.sendAll()
	s.ended(1, "InProgress")
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
	s.must(s.poll())
	s.must(s.poll())
	assert.Empty(t, s.spoke.cancels)
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann", CancelInFlight: true})
	assert.Equal(t, 15, s.must(s.poll()).Seconds)
	assert.Equal(t, []string{s.cut(1)}, s.spoke.cancels)
	s.ended(1, "Cancelled")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Equal(t, 1, s.counters().Failures, "it ran")
}

// Past its deadline a command is cancelled, again at each look, and given up
// when it does not even say so. Its slot is free as soon as the cancel was asked for.
func TestPoll_deadline(t *testing.T) {
	s := newSite(t, 3, serial)
	s.sendAll()
	s.ended(1, "InProgress")
	s.now = s.began.Add(2*time.Hour - time.Second)
	s.must(s.poll())
	assert.Empty(t, s.spoke.cancels)
	assert.Equal(t, 1, s.row().InFlight())
	s.now = s.now.Add(time.Second)
	assert.Equal(t, "send", s.must(s.poll()).Next)
	assert.Equal(t, []string{s.cut(1)}, s.spoke.cancels)
	assert.Zero(t, s.row().InFlight())
	s.must(s.send())
	assert.Len(t, s.sent, 2)
	s.ended(2, "InProgress")
	s.must(s.poll())
	assert.Equal(t, []string{s.cut(1), s.cut(1)}, s.spoke.cancels, "asked again")
	assert.Equal(t, 1, s.countOf("CancelCommand"), "noted once")
	assert.Equal(t, 1, s.counters().Failures, "it counts as failed as soon as its slot is free")
	s.now = s.now.Add(5*time.Minute - time.Second)
	s.must(s.poll())
	assert.NotNil(t, s.row().OpenOf(1))
	s.now = s.now.Add(time.Second)
	s.must(s.poll())
	assert.Equal(t, 1, s.counters().Failures, "what never ended counts once")
	assert.Equal(t, 1, s.row().InFlight())
	assert.Nil(t, s.row().OpenOf(1))
	s.must(s.poll())
	assert.Equal(t, 1, s.counters().Failures)
}

// What is found long past its deadline has the same time to say that it was cancelled.
func TestPoll_deadlineSeenLate(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "InProgress")
	s.now = s.began.Add(3 * time.Hour)
	s.must(s.poll())
	assert.Equal(t, 1, s.counters().Failures)
	assert.Equal(t, 1, s.row().Errors)
	s.now = s.now.Add(time.Minute)
	s.must(s.poll())
	assert.Len(t, s.row().Open, 1)
	s.ended(1, "Success")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Zero(t, s.counters().Failures, "it ended well after all")
	assert.Zero(t, s.row().Errors)
}

// A machine whose waits are shortened has waited for the deadline long before
// the clock comes to it; the grace of the cancellation goes the same way.
func TestPoll_deadlineWaited(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "InProgress")
	p := &task.Poll{Table: s.table, Spokes: s, Now: s.clock, PollInterval: 15 * time.Second}
	after := func(waited int) string {
		s.now = s.now.Add(time.Second)
		a, err := p.Handle(t.Context(), task.TargetInput{Target: s.target, Waited: waited})
		require.NoError(t, err)
		return a.Next
	}
	after(7199)
	assert.Empty(t, s.spoke.cancels)
	assert.Equal(t, "wait", after(7200))
	assert.Len(t, s.spoke.cancels, 1)
	assert.Equal(t, "wait", after(7499), "SSM may take its time")
	assert.Equal(t, "verify", after(7500))
	assert.Equal(t, 1, s.counters().Failures)
}

// What CancelCommand answers changes no outcome: it is asked again while that may help.
func TestPoll_cancelRefused(t *testing.T) {
	for _, answer := range []error{nil, kind(patch.ErrInvalidInstance), errors.New("InvalidCommandId"), errors.New("DuplicateInstanceId"), patch.ErrThrottled} {
		s := newSite(t, 2)
		s.sendAll()
		s.spoke.cancelled = answer
		s.ended(1, "InProgress")
		s.ended(2, "InProgress")
		s.now = s.began.Add(2 * time.Hour)
		s.must(s.poll())
		s.ended(1, "Success")
		s.now = s.now.Add(time.Minute)
		s.must(s.poll())
		assert.Equal(t, []string{s.cut(1), s.cut(2), s.cut(2)}, s.spoke.cancels, "%v", answer)
		s.now = s.now.Add(4 * time.Minute)
		assert.Equal(t, "verify", s.must(s.poll()).Next)
		assert.Equal(t, 1, s.counters().Failures, "%v", answer)
		assert.Equal(t, 1, s.countOf("CancelCommand"))
	}
}

// The cancel that fails is asked for again: it is written down already.
func TestPoll_cancelLost(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "InProgress")
	s.now = s.began.Add(2 * time.Hour)
	s.table.lose = func([]task.Write) error { return patch.ErrUnavailable }
	_, err := s.poll()
	require.Error(t, err)
	assert.Empty(t, s.spoke.cancels, "the process died before it asked")
	s.table.lose = nil
	s.must(s.poll())
	assert.Len(t, s.spoke.cancels, 1)
}

// Cancels for different reasons are told apart.
func TestPoll_cancelReasons(t *testing.T) {
	s := newSite(t, 2, wide(2))
	s.sendAll()
	s.spoke.commands["cmd-1"].at = s.began
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
	in := s.intents()[0]
	in.Sends[0].At = s.began.Add(-2 * time.Hour)
	s.table.put(patch.SendKey(s.target, 1), in)
	s.ended(1, "InProgress")
	s.must(s.poll())
	var details []string
	for _, e := range s.table.chain(t, patch.TargetChain(s.target)) {
		if e.Action == "CancelCommand" {
			details = append(details, e.Detail)
		}
	}
	assert.Equal(t, []string{
		fmt.Sprintf("abort, 1 command: [%s]", s.cut(2)), fmt.Sprintf("%s, 1 command: [%s]", patch.ReasonExpired, s.cut(1)),
	}, details)
}

func TestPoll_renewsTheLease(t *testing.T) {
	lease := func(s *site) (l patch.Lease) {
		s.load(patch.LeaseKey(s.target.Account, s.target.Region), &l)
		return l
	}
	s := newSite(t, 1)
	s.sendAll()
	before := lease(s)
	s.now = s.now.Add(time.Minute)
	s.must(s.poll())
	assert.Equal(t, before.Expires, lease(s).Expires, "a lease that is young is left alone")
	s.now = s.now.Add(10 * time.Minute)
	s.must(s.poll())
	assert.Equal(t, s.now.Add(patch.LeaseTerm), lease(s).Expires)
	assert.Equal(t, "w", lease(s).Wave, "whoever takes it over finds the intents")

	s.table.put(patch.LeaseKey(s.target.Account, s.target.Region), patch.Lease{Run: "other", Fence: 9, Expires: s.now.Add(time.Hour)})
	s.must(s.poll())
	assert.Equal(t, patch.ReasonLease, s.row().Closed)
	assert.Equal(t, patch.RunID("other"), lease(s).Run, "another run's lease is not touched")
}

// An account that lets us in no more is followed until its commands are past help.
func TestPoll_lockedAccount(t *testing.T) {
	s := newSite(t, 2)
	s.answers = []answer{{}, {err: errNoAnswer}}
	s.sendAll()
	s.now = s.now.Add(4 * time.Minute)
	s.sendAll()
	require.Equal(t, 1, s.counters().Failures, "one send is lost")
	s.locked = kind(patch.ErrAccessDenied)
	assert.Equal(t, "wait", s.must(s.poll()).Next)
	assert.Equal(t, patch.ReasonAccount, s.row().Closed)
	s.now = s.began.Add(2 * time.Hour)
	for range 3 {
		s.must(s.poll())
	}
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Equal(t, 2, s.counters().Failures, "each counts once")
	assert.Empty(t, s.spoke.cancels)

	again := newSite(t, 1)
	again.sendAll()
	again.locked = kind(patch.ErrUnavailable)
	_, err := again.poll()
	assert.Equal(t, patch.ErrUnavailable, patch.KindOf(err))
	assert.Zero(t, again.row().Polls, "a look that failed changed nothing")
}

// A doubt in an account that lets us in no more comes to its end, too.
func TestPoll_lockedWithADoubt(t *testing.T) {
	s := newSite(t, 1)
	s.answers = []answer{{err: errNoAnswer}}
	s.must(s.send())
	s.locked = kind(patch.ErrAccessDenied)
	next := "wait"
	for range 50 {
		step := map[string]func() (task.Answer, error){"wait": s.poll, "send": s.send}[next]
		if step == nil {
			break
		}
		a := s.must(step())
		s.now = s.now.Add(time.Duration(a.Seconds) * time.Second)
		next = a.Next
	}
	assert.Equal(t, "verify", next)
	assert.Equal(t, 1, s.counters().Failures)
	assert.Len(t, s.sent, 1)
}

func TestPoll_boundedPolls(t *testing.T) {
	s := newSite(t, 4, serial)
	s.sendAll()
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Polls = r.MaxPolls - 2 })
	s.must(s.poll())
	assert.Equal(t, patch.ReasonStopped, s.row().Closed)
	assert.Contains(t, s.row().Reason, "history")
}

// The failures of a look are counted once for account, wave and run, by the
// call that wins the target's row.
func TestPoll_countsOnce(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "Failed")
	raced := false
	s.table.fail = func([]task.Write) error {
		if !raced {
			raced = true
			s.table.fail = nil
			s.must(s.poll())
		}
		return nil
	}
	_, err := s.poll()
	assert.ErrorIs(t, err, patch.ErrConflict)
	s.must(s.poll())
	for _, key := range []patch.Key{patch.CountersKey(siteRun, "w"), patch.CountersKey(siteRun, patch.WholeRun), patch.AccountCountersKey(s.target)} {
		var c patch.Counters
		s.load(key, &c)
		assert.Equal(t, 1, c.Failures, key.SK)
	}
}

// Two regions of an account whose failures cross its limit together count it as failed once, whoever comes first.
func TestPoll_accountCrossesOnce(t *testing.T) {
	limits := func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		w.PerAccount, w.FailLimit, w.AccountsMax = patch.Threshold{Value: 3}, 100, 5
	}
	own := func(s *site) (c patch.AccountCounters) {
		s.load(patch.AccountCountersKey(s.target), &c)
		return c
	}
	one := newSite(t, 4, limits)
	two := one.another(one.target.Account, "eu-west-1")
	one.sendAll()
	two.sendAll()
	for i := range 2 {
		one.ended(i+1, "Failed")
		two.ended(i+1, "Failed")
	}
	raced := false
	one.table.fail = func([]task.Write) error {
		if !raced {
			raced = true
			two.must(two.poll())
		}
		return nil
	}
	_, err := one.poll()
	require.ErrorIs(t, err, patch.ErrConflict, "both read the same counters")
	assert.Zero(t, one.counters().AccountsOver)
	one.must(one.poll())
	assert.Equal(t, patch.AccountCounters{Versioned: own(one).Versioned, Failures: 4, Over: true}, own(one))
	assert.Equal(t, 1, one.counters().AccountsOver)
	assert.Equal(t, 4, one.counters().Failures)
	one.ended(3, "Failed")
	one.must(one.poll())
	two.ended(3, "Failed")
	two.must(two.poll())
	assert.Equal(t, 1, one.counters().AccountsOver, "crossed once")
	assert.Equal(t, patch.ReasonBudget, one.row().Closed)
	assert.Equal(t, patch.ReasonBudget, two.row().Closed)
}

// An account counts as failed where ssm.maxErrors left something unsent, once, and only then.
func TestPoll_maxErrorsHoldsTheAccount(t *testing.T) {
	limits := func(l *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		l.ErrorLimit, w.FailLimit, w.AccountsMax = 0, 100, 5
	}
	left := newSite(t, 4, limits, wide(2))
	other := left.another(left.target.Account, "eu-west-1")
	for _, s := range []*site{left, other} {
		s.sendAll()
		s.ended(1, "Failed")
		s.must(s.poll())
		s.must(s.poll())
		assert.Equal(t, patch.ReasonBudget, s.row().Closed)
	}
	assert.Equal(t, 1, left.counters().AccountsOver)

	all := newSite(t, 4, limits)
	all.sendAll()
	all.ended(1, "Failed")
	all.must(all.poll())
	assert.Zero(t, all.counters().AccountsOver, "nothing was left unsent")
}

// Failures that a look at the host takes back are taken back from every counter, and so is the account's.
func TestVerify_takesFailuresBack(t *testing.T) {
	s := newSite(t, 2, func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		w.PerAccount, w.AccountsMax = patch.Threshold{Value: 0}, 5
	})
	s.answers = []answer{{err: errNoAnswer}}
	s.must(s.send())
	s.now = s.now.Add(4 * time.Minute)
	s.sendAll()
	require.Equal(t, 1, s.counters().Failures)
	require.Equal(t, 1, s.counters().AccountsOver)
	s.allEnded("Success")
	s.now = s.began.Add(20 * time.Minute)
	for range 3 {
		s.must(s.poll())
	}
	now := s.now
	s.now = s.began.Add(5 * time.Minute)
	s.patched(instance(0), instance(1))
	s.now = now
	s.verified()
	assert.Zero(t, s.row().Bad, "%v", s.row().Outcomes)
	assert.Zero(t, s.counters().Failures)
	assert.Zero(t, s.counters().AccountsOver)
	var own patch.AccountCounters
	s.load(patch.AccountCountersKey(s.target), &own)
	assert.False(t, own.Over)
	assert.Zero(t, own.Failures)
}

func TestPoll_intentGone(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	delete(s.table.rows, patch.SendKey(s.target, 1))
	s.ended(1, "Success")
	_, err := s.poll()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
}

// More intents than one call reads may be open; the fake refuses a call for more than a hundred rows.
func TestPoll_manyIntents(t *testing.T) {
	s := newSite(t, 150, func(_ *patch.Leaf, r *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { r.MaxPolls = 1000 })
	for i := range 150 {
		s.answers = append(s.answers, answer{}, answer{err: kind(patch.ErrThrottled)})
		if i == 149 {
			s.answers = nil
		}
		s.must(s.send())
	}
	require.Len(t, s.row().Open, 150)
	s.allEnded("Success")
	s.now = s.now.Add(10 * time.Minute)
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Equal(t, 150, s.row().Good)
}

// One look reads a bounded number of invocations, and the next one the rest.
func TestPoll_manyEnded(t *testing.T) {
	s := newSite(t, 1000, func(_ *patch.Leaf, r *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { r.MaxPolls = 1000 })
	s.sendAll()
	s.allEnded("Success")
	s.now = s.now.Add(10 * time.Minute)
	assert.Equal(t, 15, s.must(s.poll()).Seconds)
	assert.Len(t, s.spoke.reads, 400)
	s.must(s.poll())
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Len(t, s.spoke.reads, 1000)
	found, _ := s.lookedAt()
	assert.Len(t, found, 1000)
	for key, row := range s.table.rows {
		assert.Less(t, len(row), 400_000, key.SK)
	}
	assert.False(t, slices.ContainsFunc(s.actions(), func(a string) bool { return a == "CancelCommand" }))
}

// A target whose verification fails comes by the poll again and again. That is no progress: it is given up like any.
func TestPoll_handingOverIsNoProgress(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.allEnded("Success")
	p := &task.Poll{Table: s.table, Spokes: s, Alarms: s, Now: s.clock, PollInterval: 15 * time.Second}
	a, err := p.Handle(t.Context(), task.TargetInput{Target: s.target, Failures: 7})
	require.NoError(t, err)
	assert.Equal(t, task.Answer{Next: "verify", Failures: 7}, a)
}
