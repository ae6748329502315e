package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// serial sends to one instance at a time, two in a command.
func serial(leaf *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
	leaf.Concurrency = 1
}

// tolerant of n errors.
func tolerant(n int) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
	return func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { l.ErrorLimit = n }
}

func TestPoll_follows(t *testing.T) {
	s := newSite(t, 2, serial)
	s.sendAll()
	require.Len(t, s.sent, 1)
	assert.Equal(t, "wait", s.must(s.poll()).Next, "SSM does not list it yet: it is not done")
	assert.Len(t, s.row().Open, 1)
	assert.Zero(t, s.spoke.lists, "nothing changed, nothing is listed")

	s.now = s.now.Add(8 * time.Minute)
	s.ended(1, "Success", "InProgress")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2, Completed: 1}
	assert.Equal(t, "wait", s.must(s.poll()).Next)
	assert.Equal(t, 1, s.row().Open[0].Done)
	assert.Equal(t, 480, s.row().TookSeconds)

	s.now = s.now.Add(8 * time.Minute)
	s.ended(1, "Success", "Success")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Empty(t, s.row().Open)
	assert.True(t, s.intents()[0].Ended)
	assert.Zero(t, s.counters().Failures)
	assert.Equal(t, 3, s.row().Polls)
}

// A short list never makes a command done: every instance must have ended.
func TestPoll_shortList(t *testing.T) {
	s := newSite(t, 2, serial)
	s.sendAll()
	s.ended(1, "Success")
	s.spoke.progress["cmd-1"] = task.Progress{Ended: true, Targets: 2, Completed: 2}
	assert.Equal(t, "wait", s.must(s.poll()).Next)
	assert.Len(t, s.row().Open, 1)
}

// A final status stays, whatever SSM says later; one seen running has run.
func TestPoll_finalStatusesStay(t *testing.T) {
	s := newSite(t, 2, serial)
	s.sendAll()
	s.ended(1, "Failed", "InProgress")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2, Completed: 1}
	s.must(s.poll())
	assert.Equal(t, 1, s.counters().Failures)
	s.ended(1, "Success", "Cancelled")
	s.must(s.poll())
	in := s.intents()[0]
	assert.Equal(t, "Failed", in.Invocations[0].Status)
	assert.Equal(t, "Cancelled", in.Invocations[1].Status)
	assert.True(t, in.Invocations[1].Ran)
	assert.Equal(t, 2, s.counters().Failures, "each counts once; what ran and was cancelled is a failure")
	s.must(s.poll())
	assert.Equal(t, 2, s.counters().Failures)
}

// An invocation of an instance that we did not name is not ours.
func TestPoll_foreignInvocation(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "Success")
	s.spoke.invocations["cmd-1"] = append(s.spoke.invocations["cmd-1"], patch.Invocation{InstanceID: "i-other", Status: "Failed"})
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Len(t, s.intents()[0].Invocations, 1)
	assert.Zero(t, s.counters().Failures)
}

// A failure over the target's limit closes it and takes back what is queued,
// but not what runs. The audit entry is there before the cancel.
func TestPoll_overBudget(t *testing.T) {
	s := newSite(t, 6, serial, tolerant(0))
	s.sendAll()
	require.Len(t, s.sent, 1)
	s.ended(1, "Failed", "Pending")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2, Completed: 1}
	s.spoke.onCancel = func() { assert.Contains(t, s.actions(), "CancelCommand") }
	s.must(s.poll())
	assert.Equal(t, patch.ReasonBudget, s.row().Closed)
	s.must(s.poll())
	assert.Equal(t, []string{"cmd-1 [" + string(s.sent[0].IDs[1]) + "]"}, s.spoke.cancels)
	s.ended(1, "Failed", "Cancelled")
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	s.sendAll()
	assert.Len(t, s.sent, 1, "nothing more is sent")
	assert.Equal(t, 1, s.counters().Failures, "what was taken back is no failure")
}

func TestPoll_runningIsNotCut(t *testing.T) {
	s := newSite(t, 2, serial)
	s.sendAll()
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
	s.ended(1, "InProgress", "Pending")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2}
	s.must(s.poll())
	assert.Equal(t, patch.ReasonAbort, s.row().Closed)
	assert.Equal(t, []string{"cmd-1 [" + string(s.sent[0].IDs[1]) + "]"}, s.spoke.cancels)
}

func TestPoll_abortCancelsInFlight(t *testing.T) {
	s := newSite(t, 2, serial)
	s.sendAll()
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann", CancelInFlight: true})
	s.ended(1, "InProgress", "Pending")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2}
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 15, Waited: 15}, s.must(s.poll()))
	require.Len(t, s.spoke.cancels, 1)
	assert.Contains(t, s.spoke.cancels[0], string(s.sent[0].IDs[0]))
	assert.False(t, s.row().Open[0].Cancelled.IsZero())
}

// Past its deadline a command is cancelled, again at each look, and given up
// when it does not even say so.
func TestPoll_deadline(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "InProgress")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 1}
	s.now = s.row().Open[0].Deadline.Add(-time.Second)
	s.must(s.poll())
	assert.Empty(t, s.spoke.cancels)
	s.now = s.now.Add(time.Second)
	s.must(s.poll())
	s.must(s.poll())
	assert.Len(t, s.spoke.cancels, 2, "asked again")
	n := 0
	for _, a := range s.actions() {
		if a == "CancelCommand" {
			n++
		}
	}
	assert.Equal(t, 1, n, "noted once")
	s.now = s.now.Add(5 * time.Minute)
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Equal(t, 1, s.counters().Failures, "what never ended counts as failed")
	assert.Empty(t, s.row().Open)
}

// A machine whose waits are shortened has waited for the deadline long before
// the clock comes to it; the grace of the cancellation goes the same way.
func TestPoll_deadlineWaited(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "InProgress")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 1}
	open := s.row().Open[0]
	limit := int(open.Deadline.Sub(open.Sent).Seconds())
	p := &task.Poll{Table: s.table, Spokes: s, Now: s.clock, PollInterval: 15 * time.Second}
	after := func(waited int) string {
		s.now = s.now.Add(time.Second)
		a, err := p.Handle(t.Context(), task.TargetInput{Target: s.target, Waited: waited})
		require.NoError(t, err)
		return a.Next
	}
	after(limit - 1)
	assert.Empty(t, s.spoke.cancels)
	assert.Equal(t, "wait", after(limit))
	assert.Len(t, s.spoke.cancels, 1)
	assert.Equal(t, "wait", after(limit+299), "SSM may take its time")
	assert.Equal(t, "verify", after(limit+300))
	assert.Equal(t, 1, s.counters().Failures)
}

// What runs is cancelled at its own time limit, not at that of the whole
// command; what is queued behind it gets its turn.
func TestPoll_stalled(t *testing.T) {
	s := newSite(t, 2, serial)
	s.sendAll()
	open := s.row().Open[0]
	require.Less(t, open.Each, int(open.Deadline.Sub(open.Sent).Seconds()), "two rounds")
	s.ended(1, "InProgress", "Pending")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2}
	s.now = open.Sent.Add(time.Duration(open.Each)*time.Second - time.Second)
	s.must(s.poll())
	assert.Empty(t, s.spoke.cancels)
	s.now = s.now.Add(time.Second)
	s.must(s.poll())
	assert.Equal(t, []string{"cmd-1 [" + string(s.sent[0].IDs[0]) + "]"}, s.spoke.cancels)
	assert.True(t, s.row().Open[0].Cancelled.IsZero(), "the command itself goes on")
	s.ended(1, "Cancelled", "InProgress")
	s.spoke.progress["cmd-1"] = task.Progress{Targets: 2, Completed: 1}
	s.must(s.poll())
	assert.Len(t, s.spoke.cancels, 1, "the next one has its own time")
	assert.Equal(t, 1, s.counters().Failures)
}

// The cancel that fails is asked for again: it is written down already.
func TestPoll_cancelLost(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.ended(1, "InProgress")
	s.now = s.row().Open[0].Deadline
	s.table.lose = func([]task.Write) error { return patch.ErrUnavailable }
	_, err := s.poll()
	require.Error(t, err)
	assert.Empty(t, s.spoke.cancels, "the process died before it asked")
	s.table.lose = nil
	s.must(s.poll())
	assert.Len(t, s.spoke.cancels, 1)
}

// An instance whose agent is heard of again gives its slot back; the others
// keep theirs, and after a while the target is given up.
func TestPoll_heals(t *testing.T) {
	s := newSite(t, 4, serial)
	s.sendAll()
	s.ended(1, "Failed", "Failed")
	a := s.must(s.poll())
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 120, Waited: 120}, a, "failures hold the whole concurrency")
	s.now = s.now.Add(6 * time.Minute)
	for _, id := range s.sent[0].IDs {
		s.spoke.agents[id] = task.Agent{Online: true, LastPing: s.now}
	}
	assert.Equal(t, "send", s.must(s.poll()).Next)
	assert.Equal(t, 2, s.row().Healed)

	stuck := newSite(t, 4, serial)
	stuck.sendAll()
	stuck.ended(1, "Failed", "Failed")
	stuck.must(stuck.poll())
	stuck.now = stuck.now.Add(2 * time.Minute)
	stuck.must(stuck.poll())
	stuck.now = stuck.now.Add(15 * time.Minute)
	assert.Equal(t, "verify", stuck.must(stuck.poll()).Next)
	assert.Equal(t, patch.ReasonBudget, stuck.row().Closed)
	assert.Contains(t, stuck.row().Reason, "not back")
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
	assert.Equal(t, []patch.CommandID{"cmd-1"}, lease(s).Commands, "whoever takes it over finds the commands")

	s.table.put(patch.LeaseKey(s.target.Account, s.target.Region), patch.Lease{Run: "other", Fence: 9, Expires: s.now.Add(time.Hour)})
	s.must(s.poll())
	assert.Equal(t, patch.ReasonLease, s.row().Closed)
	assert.Equal(t, patch.RunID("other"), lease(s).Run, "another run's lease is not touched")
}

// An account that lets us in no more is followed until its commands are past help.
func TestPoll_lockedAccount(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	s.locked = kind(patch.ErrAccessDenied)
	assert.Equal(t, "wait", s.must(s.poll()).Next)
	assert.Equal(t, patch.ReasonAccount, s.row().Closed)
	s.now = s.row().Open[0].Deadline
	assert.Equal(t, "verify", s.must(s.poll()).Next)
	assert.Equal(t, 1, s.counters().Failures)

	again := newSite(t, 1)
	again.sendAll()
	again.locked = kind(patch.ErrUnavailable)
	_, err := again.poll()
	assert.Equal(t, patch.ErrUnavailable, patch.KindOf(err))
	assert.Zero(t, again.row().Polls, "a look that failed changed nothing")
}

func TestPoll_boundedPolls(t *testing.T) {
	s := newSite(t, 4, serial)
	s.sendAll()
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Polls = r.MaxPolls - 1 })
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

func TestPoll_intentGone(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	delete(s.table.rows, patch.SendKey(s.target, 1))
	s.ended(1, "Success")
	_, err := s.poll()
	assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
}
