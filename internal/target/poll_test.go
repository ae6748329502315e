package target_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

func TestPoll_follows(t *testing.T) {
	s := site.New(t, 2)
	s.SendAll()
	require.Len(t, s.Sent, 2)
	s.Finish(1, "InProgress")
	assert.Equal(t, patch.NextWait, s.Must(s.Poll()).Next)
	assert.Equal(t, 2, s.Row().InFlight())
	assert.Empty(t, s.SSM.Reads, "what executes is not read")

	s.Now = s.Now.Add(8 * time.Minute)
	s.Finish(1, "Success")
	took := s.Row().TookSeconds
	assert.Equal(t, patch.NextWait, s.Must(s.Poll()).Next)
	assert.Equal(t, []patch.CommandID{"cmd-1"}, s.SSM.Reads, "what ended is read")
	assert.Equal(t, 1, s.Row().InFlight())
	assert.Equal(t, 1, s.Row().Good)
	assert.Equal(t, (7*took+480)/8, s.Row().TookSeconds)

	s.Now = s.Now.Add(8 * time.Minute)
	s.Finish(2, "Success")
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	assert.Empty(t, s.Row().Open)
	assert.Zero(t, s.Counters().Failures)
	assert.Equal(t, 3, s.Row().Polls)
	assert.Equal(t, 2, s.Row().Looks, "a look that finds nothing leaves no row")
	found, _ := s.LookedAt()
	for i := range 2 {
		id := patch.CommandID(fmt.Sprintf("cmd-%d", i+1))
		assert.Equal(t, "Success", found[id].Status)
		assert.Equal(t, site.Instance(i), found[id].InstanceID)
	}
	assert.Equal(t, s.Now, found["cmd-2"].Seen)
}

// Where commands are short, nothing is looked for while nothing can have ended.
func TestPoll_foresight(t *testing.T) {
	for _, test := range []struct {
		name  string
		quick int // seconds of the first command
		age   time.Duration
		want  int
	}{
		{"nothing ends before the quickest", 55, 0, 40},
		{"some of that time is over", 55, 30 * time.Second, 10},
		{"all of it is over", 55, 50 * time.Second, 5},
		{"a long command is looked at by its share", 1255, 0, 107},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 40, site.Serial)
			s.SendAll()
			row := s.Row()
			row.TookSeconds, row.MaxPolls = test.quick, 9000
			s.Table.Put(store.TargetKey(s.Target), row)
			s.Now = s.Now.Add(time.Duration(test.quick) * time.Second)
			s.Finish(1, "Success")
			require.Equal(t, patch.NextSend, s.Must(s.Poll()).Next)
			require.LessOrEqual(t, s.Row().QuickestSeconds, test.quick-5)
			after := s.Must(s.Send())
			require.Equal(t, patch.NextWait, after.Next)
			s.Finish(2, "InProgress")
			s.Now = s.Now.Add(test.age)
			assert.Equal(t, test.want, s.Must(s.Poll()).Seconds)
		})
	}
}

// A command has ended when its invocation says so, and not when a list leaves it out.
func TestPoll_listsAreLate(t *testing.T) {
	tests := []struct {
		name string
		lie  func(c *site.Sent)
	}{
		{"it is not shown as executing", func(c *site.Sent) { c.Unshown, c.Status = true, "InProgress" }},
		{"nor is its invocation listed", func(c *site.Sent) { c.Unshown, c.Unlisted, c.Status = true, true, "InProgress" }},
		{"it has ended, and its invocation is not listed", func(c *site.Sent) { c.Unlisted, c.Status = true, "Success" }},
		{"its invocation is of another instance", func(c *site.Sent) { c.Instance, c.Status = "i-other", "Failed" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 1)
			s.SendAll()
			test.lie(s.SSM.Commands["cmd-1"])
			s.Now = s.Now.Add(20 * time.Minute)
			assert.Equal(t, patch.NextWait, s.Must(s.Poll()).Next)
			assert.Equal(t, 1, s.Row().InFlight())
			assert.Zero(t, s.Counters().Failures)
			assert.Empty(t, s.SSM.Cancels)
			s.SSM.Commands["cmd-1"] = &site.Sent{Instance: site.Instance(0), Status: "Success", At: s.Began}
			assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
			assert.Zero(t, s.Counters().Failures)
		})
	}
}

// A final status stays, whatever SSM says later; one seen running has run.
func TestPoll_finalStatusesStay(t *testing.T) {
	s := site.New(t, 2)
	s.SendAll()
	s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
	s.Finish(1, "Failed")
	s.Finish(2, "InProgress")
	s.Must(s.Poll())
	assert.Equal(t, 1, s.Counters().Failures)
	s.Finish(1, "Success")
	s.Finish(2, "Cancelled")
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	found, _ := s.LookedAt()
	assert.Equal(t, "Failed", found["cmd-1"].Status)
	assert.Equal(t, "Cancelled", found["cmd-2"].Status)
	assert.True(t, found["cmd-2"].Ran)
	assert.Equal(t, 2, s.Counters().Failures, "each counts once; what ran and was cancelled is a failure")
	s.Must(s.Poll())
	assert.Equal(t, 2, s.Counters().Failures)
	assert.Empty(t, s.SSM.Cancels)
}

// A failure over the target's limit closes it and takes back what no agent has taken,
// but not what runs. The audit entry is there before the cancel.
func TestPoll_overBudget(t *testing.T) {
	s := site.New(t, 6, wide(3), site.Tolerant(0))
	s.SendAll()
	require.Len(t, s.Sent, 3)
	s.Finish(1, "Failed")
	s.Finish(2, "InProgress")
	s.SSM.OnCancel = func() { assert.Contains(t, s.Actions(), "CancelCommand") }
	s.Must(s.Poll())
	assert.Equal(t, outcome.ReasonBudget, s.Row().Closed)
	s.Must(s.Poll())
	assert.Equal(t, []string{s.Cut(3)}, s.SSM.Cancels)
	s.Finish(3, "Cancelled")
	s.Must(s.Poll())
	s.Finish(2, "Success")
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	s.SendAll()
	assert.Len(t, s.Sent, 3, "nothing more is sent")
	assert.Equal(t, 1, s.Counters().Failures, "what was taken back is no failure")
	assert.Equal(t, 1, s.Counters().AccountsOver, "its limit left something unsent")
	for _, e := range s.Table.About(t, store.TargetSubject(s.Target)) {
		if e.Action == "CancelCommand" {
			assert.Equal(t, fmt.Sprintf("budget, 1 command: [%s]", s.Cut(3)), e.Detail)
		}
	}
}

// What runs within its own time is cancelled by nothing but an explicit wish.
func TestPoll_runningIsNotCut(t *testing.T) {
	tests := []struct {
		name string
		stop func(s *site.Site)
		cut  bool
	}{
		{"an abort", func(s *site.Site) { s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"}) }, false},
		{"an abort that cancels", func(s *site.Site) {
			s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann", CancelInFlight: true})
		}, true},
		{"a budget", func(s *site.Site) {
			s.Table.Put(store.CountersKey(site.Run, "w"), store.Counters{Failures: 9})
		}, false},
		{"the budget of accounts", func(s *site.Site) {
			s.Table.Put(store.CountersKey(site.Run, "w"), store.Counters{AccountsOver: 9})
		}, false},
		{"the run's end", func(s *site.Site) {
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Status = patch.RunStopped })
		}, false},
		{"the wave's verdict", func(s *site.Site) {
			site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) { w.Verdict = patch.VerdictStop })
		}, false},
		{"no room for more steps", func(s *site.Site) {
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Polls = r.MaxPolls })
		}, false},
		{"another run's lease", func(s *site.Site) {
			s.Table.Put(store.LeaseKey(s.Target.Account, s.Target.Region),
				target.Lease{Run: "other", Fence: 9, Expires: s.Now.Add(time.Hour)})
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 4, wide(3))
			s.SendAll()
			test.stop(s)
			s.Finish(1, "InProgress")
			s.SSM.Commands["cmd-2"].Unlisted = true // nobody knows whether it runs
			for range 3 {
				s.Now = s.Now.Add(time.Minute)
				s.Must(s.Poll())
			}
			assert.NotEmpty(t, s.Row().Closed)
			assert.Contains(t, s.SSM.Cancels, s.Cut(3), "no agent has taken it")
			if test.cut {
				assert.Contains(t, s.SSM.Cancels, s.Cut(1))
			} else {
				assert.NotContains(t, s.SSM.Cancels, s.Cut(1))
				assert.NotContains(t, s.SSM.Cancels, s.Cut(2))
			}
			assert.Zero(t, s.Row().Failures)
			_, cancels := s.LookedAt()
			assert.Equal(t, s.CountOf("CancelCommand") > 0, len(cancels) > 0)
			s.Now = s.Began.Add(2 * time.Hour)
			s.Must(s.Poll())
			assert.Contains(t, s.SSM.Cancels, s.Cut(1), "past its deadline it is")
		})
	}
}

// An abort that cancels what runs may come after a stop that let it run.
func TestPoll_abortCancelsLater(t *testing.T) {
	s := site.New(t, 2, wide(1))
	s.SendAll()
	s.Finish(1, "InProgress")
	s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
	s.Must(s.Poll())
	s.Must(s.Poll())
	assert.Empty(t, s.SSM.Cancels)
	s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann", CancelInFlight: true})
	assert.Equal(t, 15, s.Must(s.Poll()).Seconds)
	assert.Equal(t, []string{s.Cut(1)}, s.SSM.Cancels)
	s.Finish(1, "Cancelled")
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	assert.Equal(t, 1, s.Counters().Failures, "it ran")
}

// Past its deadline a command is cancelled, again at each look, and given up
// when it does not even say so. Its slot is free as soon as the cancel was asked for.
func TestPoll_deadline(t *testing.T) {
	s := site.New(t, 3, site.Serial)
	s.SendAll()
	s.Finish(1, "InProgress")
	s.Now = s.Began.Add(2*time.Hour - time.Second)
	s.Must(s.Poll())
	assert.Empty(t, s.SSM.Cancels)
	assert.Equal(t, 1, s.Row().InFlight())
	s.Now = s.Now.Add(time.Second)
	assert.Equal(t, patch.NextSend, s.Must(s.Poll()).Next)
	assert.Equal(t, []string{s.Cut(1)}, s.SSM.Cancels)
	assert.Zero(t, s.Row().InFlight())
	s.Must(s.Send())
	assert.Len(t, s.Sent, 2)
	s.Finish(2, "InProgress")
	s.Must(s.Poll())
	assert.Equal(t, []string{s.Cut(1), s.Cut(1)}, s.SSM.Cancels, "asked again")
	assert.Equal(t, 1, s.CountOf("CancelCommand"), "noted once")
	assert.Equal(t, 1, s.Counters().Failures, "it counts as failed as soon as its slot is free")
	s.Now = s.Now.Add(5*time.Minute - time.Second)
	s.Must(s.Poll())
	assert.NotNil(t, s.Row().OpenOf(1))
	s.Now = s.Now.Add(time.Second)
	s.Must(s.Poll())
	assert.Equal(t, 1, s.Counters().Failures, "what never ended counts once")
	assert.Equal(t, 1, s.Row().InFlight())
	assert.Nil(t, s.Row().OpenOf(1))
	s.Must(s.Poll())
	assert.Equal(t, 1, s.Counters().Failures)
}

// What is found long past its deadline has the same time to say that it was cancelled.
func TestPoll_deadlineSeenLate(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	s.Finish(1, "InProgress")
	s.Now = s.Began.Add(3 * time.Hour)
	s.Must(s.Poll())
	assert.Equal(t, 1, s.Counters().Failures)
	assert.Equal(t, 1, s.Row().Errors)
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Poll())
	assert.Len(t, s.Row().Open, 1)
	s.Finish(1, "Success")
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	assert.Zero(t, s.Counters().Failures, "it ended well after all")
	assert.Zero(t, s.Row().Errors)
}

// A machine whose waits are shortened has waited for the deadline long before
// the clock comes to it; the grace of the cancellation goes the same way.
func TestPoll_deadlineWaited(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	s.Finish(1, "InProgress")
	p := &target.Poll{Table: s.Table, Spokes: s, Auditor: s.Auditor, Now: s.Clock, PollInterval: 15 * time.Second}
	after := func(waited int) patch.Next {
		s.Now = s.Now.Add(time.Second)
		a, err := p.Handle(t.Context(), target.TargetInput{Target: s.Target, Waited: waited})
		require.NoError(t, err)
		return a.Next
	}
	after(7199)
	assert.Empty(t, s.SSM.Cancels)
	assert.Equal(t, patch.NextWait, after(7200))
	assert.Len(t, s.SSM.Cancels, 1)
	assert.Equal(t, patch.NextWait, after(7499), "SSM may take its time")
	assert.Equal(t, patch.NextVerify, after(7500))
	assert.Equal(t, 1, s.Counters().Failures)
}

// What CancelCommand answers changes no outcome: it is asked again while that may help.
func TestPoll_cancelRefused(t *testing.T) {
	for _, answer := range []error{nil, site.Because(patch.ErrInvalidInstance), errors.New("InvalidCommandId"),
		errors.New("DuplicateInstanceId"), patch.ErrThrottled} {
		s := site.New(t, 2)
		s.SendAll()
		s.SSM.Cancelled = answer
		s.Finish(1, "InProgress")
		s.Finish(2, "InProgress")
		s.Now = s.Began.Add(2 * time.Hour)
		s.Must(s.Poll())
		s.Finish(1, "Success")
		s.Now = s.Now.Add(time.Minute)
		s.Must(s.Poll())
		assert.Equal(t, []string{s.Cut(1), s.Cut(2), s.Cut(2)}, s.SSM.Cancels, "%v", answer)
		s.Now = s.Now.Add(4 * time.Minute)
		assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
		assert.Equal(t, 1, s.Counters().Failures, "%v", answer)
		assert.Equal(t, 1, s.CountOf("CancelCommand"))
	}
}

// The cancel that fails is asked for again: it is written down already.
func TestPoll_cancelLost(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	s.Finish(1, "InProgress")
	s.Now = s.Began.Add(2 * time.Hour)
	s.Table.Lose = func([]store.Write) error { return patch.ErrUnavailable }
	_, err := s.Poll()
	require.Error(t, err)
	assert.Empty(t, s.SSM.Cancels, "the process died before it asked")
	s.Table.Lose = nil
	s.Must(s.Poll())
	assert.Len(t, s.SSM.Cancels, 1)
}

// Cancels for different reasons are told apart.
func TestPoll_cancelReasons(t *testing.T) {
	s := site.New(t, 2, wide(2))
	s.SendAll()
	s.SSM.Commands["cmd-1"].At = s.Began
	s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
	in := s.Intents()[0]
	in.Sends[0].At = s.Began.Add(-2 * time.Hour)
	s.Table.Put(store.SendKey(s.Target, 1), in)
	s.Finish(1, "InProgress")
	s.Must(s.Poll())
	var details []string
	for _, e := range s.Table.About(t, store.TargetSubject(s.Target)) {
		if e.Action == "CancelCommand" {
			details = append(details, e.Detail)
		}
	}
	assert.Equal(t, []string{
		fmt.Sprintf("abort, 1 command: [%s]; %s, 1 command: [%s]", s.Cut(2), outcome.ReasonExpired, s.Cut(1)),
	}, details, "a step writes one entry")
}

func TestPoll_renewsTheLease(t *testing.T) {
	lease := func(s *site.Site) (l target.Lease) {
		s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &l)
		return l
	}
	s := site.New(t, 1)
	s.SendAll()
	before := lease(s)
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Poll())
	assert.Equal(t, before.Expires, lease(s).Expires, "a lease that is young is left alone")
	s.Now = s.Now.Add(10 * time.Minute)
	s.Must(s.Poll())
	assert.Equal(t, s.Now.Add(target.LeaseTerm), lease(s).Expires)
	assert.Equal(t, "w", lease(s).Wave, "whoever takes it over finds the intents")

	s.Table.Put(store.LeaseKey(s.Target.Account, s.Target.Region),
		target.Lease{Run: "other", Fence: 9, Expires: s.Now.Add(time.Hour)})
	s.Must(s.Poll())
	assert.Equal(t, outcome.ReasonLease, s.Row().Closed)
	assert.Equal(t, patch.RunID("other"), lease(s).Run, "another run's lease is not touched")
}

// An account that lets us in no more is followed until its commands are past help.
func TestPoll_lockedAccount(t *testing.T) {
	s := site.New(t, 2)
	s.Answers = []site.Answer{{}, {Err: site.ErrNoAnswer}}
	s.SendAll()
	s.Now = s.Now.Add(4 * time.Minute)
	s.SendAll()
	require.Equal(t, 1, s.Counters().Failures, "one send is lost")
	s.Locked = site.Because(patch.ErrAccessDenied)
	assert.Equal(t, patch.NextWait, s.Must(s.Poll()).Next)
	assert.Equal(t, outcome.ReasonAccount, s.Row().Closed)
	s.Now = s.Began.Add(2 * time.Hour)
	for range 3 {
		s.Must(s.Poll())
	}
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	assert.Equal(t, 2, s.Counters().Failures, "each counts once")
	assert.Empty(t, s.SSM.Cancels)

	again := site.New(t, 1)
	again.SendAll()
	again.Locked = site.Because(patch.ErrUnavailable)
	_, err := again.Poll()
	assert.Equal(t, patch.ErrUnavailable, patch.KindOf(err))
	assert.Zero(t, again.Row().Polls, "a look that failed changed nothing")
}

// A doubt in an account that lets us in no more comes to its end, too.
func TestPoll_lockedWithADoubt(t *testing.T) {
	s := site.New(t, 1)
	s.Answers = []site.Answer{{Err: site.ErrNoAnswer}}
	s.Must(s.Send())
	s.Locked = site.Because(patch.ErrAccessDenied)
	next := patch.NextWait
	for range 50 {
		step := map[patch.Next]func() (target.Answer, error){patch.NextWait: s.Poll, patch.NextSend: s.Send}[next]
		if step == nil {
			break
		}
		a := s.Must(step())
		s.Now = s.Now.Add(time.Duration(a.Seconds) * time.Second)
		next = a.Next
	}
	assert.Equal(t, patch.NextVerify, next)
	assert.Equal(t, 1, s.Counters().Failures)
	assert.Len(t, s.Sent, 1)
}

func TestPoll_boundedPolls(t *testing.T) {
	s := site.New(t, 4, site.Serial)
	s.SendAll()
	site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Polls = r.MaxPolls - 2 })
	s.Must(s.Poll())
	assert.Equal(t, outcome.ReasonStopped, s.Row().Closed)
	assert.Contains(t, s.Row().Reason, "history")
}

// The failures of a look are counted once for account, wave and run, by the
// call that wins the target's row.
func TestPoll_countsOnce(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	s.Finish(1, "Failed")
	raced := false
	s.Table.Fail = func([]store.Write) error {
		if !raced {
			raced = true
			s.Table.Fail = nil
			s.Must(s.Poll())
		}
		return nil
	}
	_, err := s.Poll()
	assert.ErrorIs(t, err, patch.ErrConflict)
	s.Must(s.Poll())
	for _, key := range []store.Key{store.CountersKey(site.Run, "w"), store.CountersKey(site.Run, store.WholeRun),
		store.AccountCountersKey(s.Target)} {
		var c store.Counters
		s.Read(key, &c)
		assert.Equal(t, 1, c.Failures, key.SK)
	}
}

// Two regions of an account whose failures cross its limit together count it as failed once, whoever comes first.
func TestPoll_accountCrossesOnce(t *testing.T) {
	limits := func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		w.PerAccount, w.FailLimit, w.AccountsMax = patch.Threshold{Value: 3}, 100, 5
	}
	own := func(s *site.Site) (c store.AccountCounters) {
		s.Read(store.AccountCountersKey(s.Target), &c)
		return c
	}
	one := site.New(t, 4, limits)
	two := one.Another(one.Target.Account, "eu-west-1")
	one.SendAll()
	two.SendAll()
	for i := range 2 {
		one.Finish(i+1, "Failed")
		two.Finish(i+1, "Failed")
	}
	raced := false
	one.Table.Fail = func([]store.Write) error {
		if !raced {
			raced = true
			two.Must(two.Poll())
		}
		return nil
	}
	_, err := one.Poll()
	require.ErrorIs(t, err, patch.ErrConflict, "both read the same counters")
	assert.Zero(t, one.Counters().AccountsOver)
	one.Must(one.Poll())
	assert.Equal(t, store.AccountCounters{Versioned: own(one).Versioned, Failures: 4, Over: true}, own(one))
	assert.Equal(t, 1, one.Counters().AccountsOver)
	assert.Equal(t, 4, one.Counters().Failures)
	one.Finish(3, "Failed")
	one.Must(one.Poll())
	two.Finish(3, "Failed")
	two.Must(two.Poll())
	assert.Equal(t, 1, one.Counters().AccountsOver, "crossed once")
	assert.Equal(t, outcome.ReasonBudget, one.Row().Closed)
	assert.Equal(t, outcome.ReasonBudget, two.Row().Closed)
}

// An account counts as failed where ssm.maxErrors left something unsent, once, and only then.
func TestPoll_maxErrorsHoldsTheAccount(t *testing.T) {
	limits := func(l *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		l.ErrorLimit, w.FailLimit, w.AccountsMax = 0, 100, 5
	}
	left := site.New(t, 4, limits, wide(2))
	other := left.Another(left.Target.Account, "eu-west-1")
	for _, s := range []*site.Site{left, other} {
		s.SendAll()
		s.Finish(1, "Failed")
		s.Must(s.Poll())
		s.Must(s.Poll())
		assert.Equal(t, outcome.ReasonBudget, s.Row().Closed)
	}
	assert.Equal(t, 1, left.Counters().AccountsOver)

	all := site.New(t, 4, limits)
	all.SendAll()
	all.Finish(1, "Failed")
	all.Must(all.Poll())
	assert.Zero(t, all.Counters().AccountsOver, "nothing was left unsent")
}

// Failures that a look at the host takes back are taken back from every counter, and so is the account's.
func TestVerify_takesFailuresBack(t *testing.T) {
	s := site.New(t, 2, func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		w.PerAccount, w.AccountsMax = patch.Threshold{Value: 0}, 5
	})
	s.Answers = []site.Answer{{Err: site.ErrNoAnswer}}
	s.Must(s.Send())
	s.Now = s.Now.Add(4 * time.Minute)
	s.SendAll()
	require.Equal(t, 1, s.Counters().Failures)
	require.Equal(t, 1, s.Counters().AccountsOver)
	s.AllEnded("Success")
	s.Now = s.Began.Add(20 * time.Minute)
	for range 3 {
		s.Must(s.Poll())
	}
	now := s.Now
	s.Now = s.Began.Add(5 * time.Minute)
	s.Patched(site.Instance(0), site.Instance(1))
	s.Now = now
	s.Verified()
	assert.Zero(t, s.Row().Bad, "%v", s.Row().Outcomes)
	assert.Zero(t, s.Counters().Failures)
	assert.Zero(t, s.Counters().AccountsOver)
	var own store.AccountCounters
	s.Read(store.AccountCountersKey(s.Target), &own)
	assert.False(t, own.Over)
	assert.Zero(t, own.Failures)
}

func TestPoll_intentGone(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	delete(s.Table.Rows, store.SendKey(s.Target, 1))
	s.Finish(1, "Success")
	_, err := s.Poll()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
}

// More intents than one call reads may be open; the fake refuses a call for more than a hundred rows.
func TestPoll_manyIntents(t *testing.T) {
	s := site.New(t, 150, func(_ *plan.Leaf, r *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) { r.MaxPolls = 1000 })
	for i := range 150 {
		s.Answers = append(s.Answers, site.Answer{}, site.Answer{Err: site.Because(patch.ErrThrottled)})
		if i == 149 {
			s.Answers = nil
		}
		s.Must(s.Send())
	}
	require.Len(t, s.Row().Open, 150)
	s.AllEnded("Success")
	s.Now = s.Now.Add(10 * time.Minute)
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	assert.Equal(t, 150, s.Row().Good)
}

// One look reads a bounded number of invocations, and the next one the rest.
func TestPoll_manyEnded(t *testing.T) {
	s := site.New(t, 1000, func(_ *plan.Leaf, r *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		r.MaxPolls = 1000
	})
	s.SendAll()
	s.AllEnded("Success")
	s.Now = s.Now.Add(10 * time.Minute)
	assert.Equal(t, 15, s.Must(s.Poll()).Seconds)
	assert.Len(t, s.SSM.Reads, 400)
	s.Must(s.Poll())
	assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
	assert.Len(t, s.SSM.Reads, 1000)
	found, _ := s.LookedAt()
	assert.Len(t, found, 1000)
	for key, row := range s.Table.Rows {
		assert.Less(t, len(row), 400_000, key.SK)
	}
	assert.False(t, slices.ContainsFunc(s.Actions(), func(a string) bool { return a == "CancelCommand" }))
}

// A target whose verification fails comes by the poll again and again. That is no progress: it is given up like any.
func TestPoll_handingOverIsNoProgress(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	s.AllEnded("Success")
	p := &target.Poll{Table: s.Table, Spokes: s, Auditor: s.Auditor, Alarms: s, Now: s.Clock,
		PollInterval: 15 * time.Second}
	a, err := p.Handle(t.Context(), target.TargetInput{Target: s.Target, Failures: 7})
	require.NoError(t, err)
	assert.Equal(t, target.Answer{Next: patch.NextVerify, Failures: 7}, a)
}
