package task_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

func kind(k patch.Kind) error { return fmt.Errorf("send: %w: %w", k, errors.New("because")) }

var errNoAnswer = kind(patch.ErrUnavailable)

func TestSend_sendsThePlan(t *testing.T) {
	s := newSite(t, 3)
	a := s.sendAll()
	assert.Equal(t, "wait", a.Next)
	require.Len(t, s.sent, 3)
	for i, c := range s.sent {
		assert.Equal(t, instance(i), c.Instance, "in the order of the plan")
		assert.Equal(t, patch.Install, c.Operation)
		assert.Equal(t, patch.RebootIfNeeded, c.RebootOption)
		assert.Equal(t, s.leaf.SnapshotID, c.SnapshotID)
		assert.Equal(t, patch.SendMarker(patch.Marker(s.target, 1), i), c.Marker)
		assert.Equal(t, 900, c.DeliverySeconds, "nothing starts late")
	}
	assert.Equal(t, 3, s.counters().Sent)
	row := s.row()
	assert.Equal(t, patch.TargetPatching, row.Status)
	assert.Equal(t, 3, row.Sent)
	assert.Equal(t, 3, row.InFlight())
	assert.Zero(t, row.Pending)
	assert.Equal(t, s.now, row.FirstSent)
	assert.Equal(t, []string{"LeaseTaken", "SendCommand"}, s.actions(), "one entry a step")
	require.Len(t, s.intents(), 1)
	for i, x := range s.intents()[0].Sends {
		assert.Equal(t, patch.Sent{Command: patch.CommandID(fmt.Sprintf("cmd-%d", i+1)), At: s.now}, x)
	}
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.Equal(t, siteRun, lease.Run)
	assert.Equal(t, "w", lease.Wave)
	assert.Equal(t, 1, lease.Fence)
	assert.Equal(t, s.now.Add(patch.LeaseTerm), lease.Expires)
}

// A step fills up to 250 slots, through sessions of few instances, and its row stays small.
func TestSend_aStepOf250(t *testing.T) {
	s := newSite(t, 600)
	assert.Equal(t, task.Answer{Next: "send"}, s.must(s.send()))
	assert.Len(t, s.sent, patch.MaxSends)
	require.Len(t, s.opened, 11)
	for i, ids := range s.opened[:10] {
		assert.Len(t, ids, task.SessionInstances, "session %d", i)
	}
	assert.Len(t, s.opened[10], 10)
	row, err := json.Marshal(s.intents()[0])
	require.NoError(t, err)
	assert.Less(t, len(row), 60_000)
	assert.Equal(t, "wait", s.sendAll().Next)
	assert.Len(t, s.sentTimes(), 600)
	assert.Equal(t, 3, s.row().Batches)
	assert.Equal(t, 3, s.countOf("SendCommand"))
	assert.Equal(t, 600, s.counters().Sent)
}

// Never more are in flight than may be; a slot that comes free is filled with the next of the plan.
func TestSend_fillsFreeSlots(t *testing.T) {
	s := newSite(t, 10, wide(3))
	s.sendAll()
	assert.Len(t, s.sent, 3)
	s.ended(2, "Success")
	s.now = s.now.Add(10 * time.Minute)
	assert.Equal(t, "send", s.must(s.poll()).Next)
	assert.Equal(t, "wait", s.must(s.send()).Next)
	require.Len(t, s.sent, 4)
	assert.Equal(t, instance(3), s.sent[3].Instance)
	assert.Equal(t, 3, s.row().InFlight())
}

// A step ends well before the function's time does.
func TestSend_stepLimit(t *testing.T) {
	s := newSite(t, 100)
	s.each = 20 * time.Second
	assert.Equal(t, task.Answer{Next: "send"}, s.must(s.send()))
	assert.Len(t, s.sent, 4, "none begins after 75 s")
	assert.Zero(t, s.row().Pending)
	assert.Equal(t, 4, s.row().Next)
}

// Half way through a step the limits, the abort and the run are looked at again.
func TestSend_stopsInMidStep(t *testing.T) {
	s := newSite(t, 100)
	s.refuse = map[patch.InstanceID]error{}
	sender := s.sender()
	sender.Sender = during(s, func(n int) {
		if n == 30 {
			s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
		}
	})
	_, err := sender.Handle(t.Context(), task.TargetInput{Target: s.target})
	require.NoError(t, err)
	assert.Len(t, s.sent, 50)
	assert.Equal(t, 50, s.row().Next)
	s.sendAll()
	assert.Equal(t, patch.ReasonAbort, s.row().Closed)
	assert.Len(t, s.sent, 50)
}

// during calls f with the number of each send before it is made.
func during(s *site, f func(n int)) task.Sender { return senderFunc{s, f} }

type senderFunc struct {
	*site
	f func(int)
}

func (x senderFunc) Session(ctx context.Context, at patch.Target, ids []patch.InstanceID) (task.Session, error) {
	inner, err := x.site.Session(ctx, at, ids)
	return sendFunc{inner, x}, err
}

type sendFunc struct {
	task.Session
	of senderFunc
}

func (x sendFunc) Send(ctx context.Context, c task.Command) (patch.CommandID, error) {
	x.of.f(len(x.of.sent) + 1)
	return x.Session.Send(ctx, c)
}

// The intent, the audit entry and the journal are durable before each call is made.
func TestSend_writesBeforeItSends(t *testing.T) {
	s := newSite(t, 3)
	s.refuse = map[patch.InstanceID]error{instance(0): kind(patch.ErrAccessDenied)}
	checked := 0
	sender := s.sender()
	sender.Sender = during(s, func(n int) {
		checked++
		require.Len(t, s.intents(), 1)
		in := s.intents()[0]
		assert.Equal(t, 1, s.row().Pending)
		assert.Equal(t, plannedIDs(s), in.IDs)
		assert.False(t, in.Settled)
		assert.Empty(t, in.Sends)
		assert.Contains(t, s.actions(), "SendCommand")
		for i := 1; i < n; i++ {
			var try patch.Try
			s.load(patch.TryKey(s.target, 1, i), &try)
			assert.Equal(t, i == 1, try.Before.Refused != "", "what became of the send before")
			assert.Equal(t, i == 2, try.Before.Command == "cmd-2")
		}
	})
	_, err := sender.Handle(t.Context(), task.TargetInput{Target: s.target})
	require.NoError(t, err)
	assert.Equal(t, 3, checked)
	for _, e := range s.table.chain(t, patch.TargetChain(s.target)) {
		if e.Action == "SendCommand" {
			assert.Equal(t, fmt.Sprintf("%s, 3 instances, fence 1: %v", patch.Marker(s.target, 1), plannedIDs(s)), e.Detail)
		}
	}
}

// plannedIDs are the instances of the plan, in its order.
func plannedIDs(s *site) []patch.InstanceID {
	var ids []patch.InstanceID
	for _, p := range s.leaf.Instances {
		ids = append(ids, p.ID)
	}
	return ids
}

// A write that fails before the send means that nothing is sent.
func TestSend_noRowNoSend(t *testing.T) {
	for _, failing := range []task.How{task.Audit, task.Create, task.Replace} {
		s := newSite(t, 2)
		s.table.fail = func(writes []task.Write) error {
			for _, w := range writes {
				if w.How == failing {
					return patch.ErrUnavailable
				}
			}
			return nil
		}
		_, err := s.send()
		assert.ErrorIs(t, err, patch.ErrUnavailable)
		assert.Empty(t, s.sent)
	}
}

// A refusal concerns its own instance: all others are sent, once.
func TestSend_refusalsOfSome(t *testing.T) {
	tests := []struct {
		kind   patch.Kind
		reason string
	}{
		{patch.ErrAccessDenied, patch.ReasonOptedOut}, // the tag that the account's owner wants is missing
		{patch.ErrInvalidInstance, patch.ReasonOffline},
		{patch.ErrRefusedCommand, patch.ReasonAccount},
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			s := newSite(t, 10, tolerant(0))
			s.refuse = map[patch.InstanceID]error{instance(0): kind(test.kind), instance(4): kind(test.kind), instance(9): kind(test.kind)}
			s.sendAll()
			assert.Len(t, s.sent, 10)
			assert.Equal(t, 7, s.row().Sent)
			assert.Equal(t, 7, s.row().InFlight())
			assert.Empty(t, s.row().Closed)
			assert.Zero(t, s.row().Failures, "a refusal is no failure")
			s.allEnded("Success")
			s.now = s.now.Add(10 * time.Minute)
			assert.Equal(t, "verify", s.must(s.poll()).Next)
			for i := range 10 {
				if s.refuse[instance(i)] == nil {
					s.patched(instance(i))
				}
			}
			s.now = s.now.Add(20 * time.Minute)
			s.verified()
			assert.Equal(t, map[patch.Outcome]int{patch.Patched: 7, patch.NotSent: 3}, s.row().Outcomes)
			for _, i := range []int{0, 4, 9} {
				assert.Equal(t, test.reason, s.outcome(instance(i)).Reason)
			}
			assert.Zero(t, s.counters().Failures)
			assert.Len(t, s.sentTimes(), 10)
		})
	}
}

// An account-region is closed when its first ten sends, or all of fewer, were denied and none was accepted.
func TestSend_refusedAccount(t *testing.T) {
	first := func(n int) map[patch.InstanceID]error {
		refuse := map[patch.InstanceID]error{}
		for i := range n {
			refuse[instance(i)] = kind(patch.ErrAccessDenied)
		}
		return refuse
	}
	tests := []struct {
		name            string
		planned, denied int
		wide            int
		closed          string
		tried           int
	}{
		{"the first ten of fifty", 50, 50, 50, patch.ReasonAccount, 10},
		{"the first ten of fifty, one at a time", 50, 50, 1, patch.ReasonAccount, 10},
		{"all of three", 3, 3, 3, patch.ReasonAccount, 3},
		{"the only one", 1, 1, 1, patch.ReasonAccount, 1},
		{"nine, and the tenth is accepted", 50, 9, 50, "", 50},
		{"two of three", 3, 2, 3, "", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, test.planned, wide(test.wide))
			s.refuse = first(test.denied)
			a := s.sendAll()
			assert.Equal(t, test.closed, s.row().Closed)
			assert.Len(t, s.sent, test.tried)
			assert.Zero(t, s.counters().Failures)
			if test.closed == "" {
				assert.Equal(t, "wait", a.Next)
				return
			}
			assert.Equal(t, "verify", a.Next)
			s.verified()
			assert.Equal(t, map[patch.Outcome]int{patch.NotSent: test.planned}, s.row().Outcomes)
			for i := range test.planned {
				assert.Equal(t, patch.ReasonAccount, s.outcome(instance(i)).Reason)
			}
		})
	}
}

// wide sends to n instances at a time.
func wide(n int) func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow) {
	return func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { l.Concurrency = n }
}

// What was not tried since the account is throttled waits again, in its place, with what was left out before it.
func TestSend_throttledInMidStep(t *testing.T) {
	s := newSite(t, 8)
	s.spoke.machines[instance(1)] = task.Machine{State: "stopped"}
	s.spoke.machines[instance(5)] = task.Machine{State: "stopped"}
	s.answers = []answer{{}, {}, {}, {err: kind(patch.ErrThrottled)}} // 0, 2, 3, and 4
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 30, Waited: 30}, s.must(s.send()))
	row := s.row()
	assert.Equal(t, 4, row.Next)
	assert.Equal(t, 4, row.Waiting())
	assert.Equal(t, 1, row.Skipped, "the other one may be back")
	assert.Equal(t, 3, row.InFlight())
	assert.Len(t, s.intents()[0].Sends, 3)
	assert.Equal(t, []patch.Skip{{ID: instance(1), Reason: patch.ReasonOffline}}, s.intents()[0].Skipped)

	s.spoke.machines[instance(5)] = task.Machine{State: "running"}
	s.now = s.now.Add(30 * time.Second)
	s.sendAll()
	want := map[patch.InstanceID]int{instance(4): 2} // the first of them was refused before it had any effect
	for _, i := range []int{0, 2, 3, 5, 6, 7} {
		want[instance(i)] = 1
	}
	assert.Equal(t, want, s.sentTimes())
	assert.Equal(t, 7, s.row().Sent)
	assert.NotEqual(t, s.sent[3].Marker, s.sent[4].Marker, "a new intent, a new marker")
	assert.Zero(t, s.row().Waiting())
}

// A session that cannot be opened in mid-step loses nothing of what was sent.
func TestSend_sessionFails(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		next   string
		closed string
		fails  patch.Kind
	}{
		{"throttled", kind(patch.ErrThrottled), "wait", "", ""},
		{"denied", kind(patch.ErrAccessDenied), "wait", patch.ReasonAccount, ""},
		{"a fault of ours", kind(patch.ErrInternal), "", "", patch.ErrInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 40)
			s.closed = func(ids []patch.InstanceID) error {
				if ids[0] == instance(0) {
					return nil
				}
				return test.err
			}
			a, err := s.send()
			if test.fails != "" {
				assert.Equal(t, test.fails, patch.KindOf(err))
			} else {
				require.NoError(t, err)
				assert.Equal(t, test.next, a.Next)
			}
			row := s.row()
			assert.Zero(t, row.Pending)
			assert.Equal(t, task.SessionInstances, row.Sent)
			assert.Equal(t, task.SessionInstances, row.InFlight())
			assert.Equal(t, task.SessionInstances, row.Next)
			assert.Equal(t, test.closed, row.Closed)
			s.closed = nil
			s.sendAll()
			want := 40
			if test.closed != "" {
				want = task.SessionInstances
			}
			assert.Len(t, s.sentTimes(), want)
			assert.Len(t, s.sent, want)
		})
	}
	t.Run("the first one is denied", func(t *testing.T) {
		s := newSite(t, 3)
		s.closed = func([]patch.InstanceID) error { return kind(patch.ErrAccessDenied) }
		s.must(s.send())
		assert.Equal(t, "verify", s.must(s.send()).Next)
		assert.Equal(t, patch.ReasonAccount, s.row().Closed)
		assert.Contains(t, s.row().Reason, "because")
		assert.Empty(t, s.sent)
	})
}

// A journal that cannot be written ends the step, and loses nothing that was sent.
func TestSend_journalFails(t *testing.T) {
	for _, err := range []error{patch.ErrUnavailable, patch.ErrConflict} {
		for _, after := range []bool{false, true} {
			s := newSite(t, 5)
			strike := func(writes []task.Write) error {
				if writes[0].Key == patch.TryKey(s.target, 1, 3) {
					return err
				}
				return nil
			}
			if after {
				s.table.lose = strike
			} else {
				s.table.fail = strike
			}
			assert.Equal(t, "send", s.must(s.send()).Next)
			assert.Zero(t, s.row().Pending)
			assert.Equal(t, 3, s.row().Sent)
			s.sendAll()
			assert.Len(t, s.sent, 5)
			assert.Zero(t, s.row().Failures)
		}
	}
}

// A row that somebody changed in mid-step is no reason to look for what was sent.
func TestSend_settlesAfterAConflict(t *testing.T) {
	s := newSite(t, 2)
	raced := false
	s.table.fail = func(writes []task.Write) error {
		for _, w := range writes {
			if w.How == task.Replace && w.Key == patch.SendKey(s.target, 1) && !raced {
				raced = true
				edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Version++; r.Closed = patch.ReasonAbort })
			}
		}
		return nil
	}
	s.must(s.send())
	assert.True(t, raced)
	assert.Zero(t, s.row().Pending)
	assert.Equal(t, 2, s.row().InFlight())
	assert.Equal(t, patch.ReasonAbort, s.row().Closed, "what the other one wrote stays")
	assert.Equal(t, 2, s.counters().Sent)
}

// Without an answer nobody knows: it is waited for, looked for by its marker,
// and never sent again. The others go on meanwhile.
func TestSend_noAnswer(t *testing.T) {
	tests := []struct {
		name     string
		answer   answer
		adopted  bool
		failures int
	}{
		{"it was accepted", answer{id: "cmd-7", err: errNoAnswer}, true, 0},
		{"it was lost", answer{err: errNoAnswer}, false, 1},
		{"an error of no kind", answer{err: errors.New("EOF")}, false, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 4)
			s.answers = []answer{{}, test.answer}
			assert.Equal(t, task.Answer{Next: "wait", Seconds: 30, Waited: 30}, s.must(s.send()))
			row := s.row()
			assert.Zero(t, row.Pending)
			assert.Equal(t, []int{1}, row.Doubts)
			assert.Equal(t, 2, row.InFlight(), "what may be at work keeps its slot")
			assert.True(t, s.intents()[0].Doubtful())

			s.now = s.now.Add(30 * time.Second)
			assert.Equal(t, "send", s.must(s.poll()).Next)
			s.sendAll()
			assert.Len(t, s.sent, 4, "the others go on")
			assert.Equal(t, []int{1}, s.row().Doubts, "SSM may need a while to show it")

			s.now = s.now.Add(179 * time.Second)
			assert.Equal(t, task.Answer{Next: "wait", Seconds: 1, Waited: 210}, s.must(s.poll()))
			s.now = s.now.Add(time.Second)
			assert.Equal(t, task.Answer{Next: "send", Waited: 210}, s.must(s.poll()), "only the sender may look for what it sent")
			s.sendAll()
			assert.Len(t, s.sent, 4, "sent twice")
			row = s.row()
			assert.Empty(t, row.Doubts)
			assert.Equal(t, test.failures, row.Failures)
			x := s.intents()[0].Sends[1]
			assert.Equal(t, !test.adopted, x.Lost)
			assert.Equal(t, 4, row.InFlight(), "what is lost keeps its slot, too")
			assert.Equal(t, test.failures, s.counters().Failures)
			if test.adopted {
				assert.Equal(t, test.answer.id, x.Command)
				assert.Equal(t, 4, s.counters().Sent)
				return
			}
			assert.Equal(t, 1, s.countOf("SendLost"))
			s.allEnded("Success")
			s.now = s.now.Add(10 * time.Minute)
			s.must(s.poll())
			assert.Equal(t, "verify", s.must(s.poll()).Next, "it is not waited for when all else is over")
			assert.Equal(t, 1, s.counters().Failures, "counted once")
		})
	}
}

// While twenty intents hold a doubt no further sends are made.
func TestSend_manyDoubts(t *testing.T) {
	s := newSite(t, 50)
	for range 60 {
		s.answers = append(s.answers, answer{err: errNoAnswer})
	}
	for range 100 {
		s.must(s.send())
	}
	assert.Len(t, s.sent, patch.MaxDoubts)
	assert.Len(t, s.row().Doubts, patch.MaxDoubts)
	s.now = s.now.Add(4 * time.Minute)
	s.answers = nil
	s.sendAll()
	assert.Equal(t, patch.MaxDoubts, s.row().Failures)
	for id, n := range s.sentTimes() {
		assert.Equal(t, 1, n, id)
	}
}

// The process dies at any write, before or after its effect, or around any send, and is started again: every instance
// is sent at most once, none is forgotten, and at most one send has to be looked for.
func TestSend_diesAnywhere(t *testing.T) {
	errDied := errors.New("the process died")
	tests := []struct {
		name   string
		strike func(s *site, at int) (struck func() bool)
	}{
		{"before a write", func(s *site, at int) func() bool {
			n := 0
			s.table.fail = func([]task.Write) error {
				if n++; n == at {
					s.dead = true
				}
				if s.dead {
					return errDied
				}
				return nil
			}
			return func() bool { return n >= at }
		}},
		{"after a write", func(s *site, at int) func() bool {
			n := 0
			s.table.fail = func([]task.Write) error {
				if s.dead {
					return errDied
				}
				return nil
			}
			s.table.lose = func([]task.Write) error {
				if n++; n == at {
					s.dead = true
					return errDied
				}
				return nil
			}
			return func() bool { return n >= at }
		}},
	}
	for _, refused := range []bool{false, true} {
		for _, test := range tests {
			for at := 1; ; at++ {
				name := fmt.Sprintf("%s %d, with refusals %v", test.name, at, refused)
				s := newSite(t, 6, wide(4))
				refusals := 0
				if refused {
					refusals = 2
					s.refuse = map[patch.InstanceID]error{instance(0): kind(patch.ErrAccessDenied), instance(2): kind(patch.ErrAccessDenied)}
				}
				s.spoke.machines[instance(1)] = task.Machine{State: "stopped"}
				struck := test.strike(s, at)
				for range 60 {
					a, err := s.send()
					s.dead = false // a new process
					s.now = s.now.Add(time.Duration(a.Seconds) * time.Second)
					if err == nil && a.Next != "send" {
						s.allEnded("Success")
						_, err = s.poll()
						s.dead = false
					}
					if row := s.row(); err == nil && row.Waiting() == 0 && row.Pending == 0 && len(row.Open) == 0 {
						break
					}
				}
				if !struck() {
					require.Greater(t, at, 8, "the process died nowhere")
					break
				}
				for id, n := range s.sentTimes() {
					assert.Equal(t, 1, n, "%s: %s was sent %d times", name, id, n)
				}
				looked, tried := 0, map[patch.InstanceID]bool{}
				for _, in := range s.intents() {
					require.True(t, in.Settled, name)
					for i, x := range in.Sends {
						assert.False(t, tried[in.IDs[i]], "%s: %s is tried twice", name, in.IDs[i])
						tried[in.IDs[i]] = true
						assert.False(t, x.Doubtful(), name)
						if x.Lost {
							looked++
						}
						if x.Command != "" {
							assert.Equal(t, in.IDs[i], s.spoke.commands[x.Command].instance, "%s: another instance's command", name)
						}
					}
					for _, x := range in.Skipped {
						tried[x.ID] = true
					}
				}
				assert.LessOrEqual(t, looked, 1, "%s: at most the send in hand is given up", name)
				assert.Len(t, tried, 6, "%s: an instance was forgotten", name)
				assert.GreaterOrEqual(t, s.row().Sent+looked, 5-refusals, name)
				assert.Equal(t, looked, s.row().Failures, name)
				assert.Equal(t, s.row().Sent, s.counters().Sent, name)
				assert.NotEmpty(t, s.actions(), "the chain is whole")
			}
		}
	}
}

// Two sends at the same moment: one wins the row, the other sends nothing.
func TestSend_twoAtOnce(t *testing.T) {
	s := newSite(t, 1)
	raced := false
	s.table.fail = func(writes []task.Write) error {
		for _, w := range writes {
			if w.How == task.Create && w.Key == patch.SendKey(s.target, 1) && !raced {
				raced = true
				s.table.fail = nil
				s.must(s.send())
			}
		}
		return nil
	}
	_, err := s.send()
	assert.ErrorIs(t, err, patch.ErrConflict)
	assert.True(t, raced)
	assert.Len(t, s.sent, 1)
}

// Two executions of a target, as a second start of it leaves: one comes while the other is sending, and its own waits
// tell it that the other must be long dead. Whoever is found at work sends no further.
func TestSend_twoExecutions(t *testing.T) {
	for _, waited := range []int{0, 210, 3400, 3610} {
		for _, at := range []int{1, 2, 7, 10} {
			t.Run(fmt.Sprintf("waited %d, at send %d", waited, at), func(t *testing.T) {
				s := newSite(t, 10)
				s.now = s.now.Add(time.Hour)
				first := s.sender()
				first.Sender = during(s, func(n int) {
					if n != at {
						return
					}
					input := task.TargetInput{Target: s.target, Waited: waited}
					for range 5 {
						a, err := s.sender().Handle(t.Context(), input)
						require.NoError(t, err)
						if input.Waited = a.Waited; a.Next != "send" {
							break
						}
					}
				})
				_, err := first.Handle(t.Context(), task.TargetInput{Target: s.target, Waited: 3400})
				if err != nil {
					require.ErrorIs(t, err, patch.ErrConflict)
				}
				for range 5 {
					s.must(s.send())
					s.now = s.now.Add(4 * time.Minute)
				}
				times := s.sentTimes()
				for i := range 10 {
					assert.LessOrEqual(t, times[instance(i)], 1, "%s", instance(i))
				}
				assert.GreaterOrEqual(t, len(times), 9, "at most the one in hand is given up")
				assert.Equal(t, 10, s.row().Next)
			})
		}
	}
}

// Machines that went down since the plan cost the others no step each: the next that can be sent to is looked for, in
// the order of the plan, and no more are sent to than there are slots.
func TestSend_passesOverWhatIsDown(t *testing.T) {
	s := newSite(t, 200, func(leaf *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { leaf.Concurrency = 2 })
	for i := range 120 {
		s.spoke.agents[instance(i)] = task.Agent{Platform: patch.Linux}
	}
	s.spoke.agents[instance(121)] = task.Agent{Platform: patch.Linux}
	s.must(s.send())
	require.Len(t, s.sent, 2)
	assert.Equal(t, instance(120), s.sent[0].Instance)
	assert.Equal(t, instance(122), s.sent[1].Instance)
	assert.Equal(t, 1, s.row().Batches)
	assert.Equal(t, 121, s.row().Skipped)
	assert.Equal(t, 123, s.row().Next)
}

func TestSend_stops(t *testing.T) {
	tests := []struct {
		name string
		set  func(*site)
		want string
	}{
		{"aborted", func(s *site) { s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"}) }, patch.ReasonAbort},
		{"the run is over", func(s *site) {
			edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Status = patch.RunStopped })
		}, patch.ReasonStopped},
		{"the target is over its errors", func(s *site) {
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Failures, r.Errors = 5, 5 })
		}, patch.ReasonBudget},
		{"the wave is over its budget", func(s *site) { s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{Failures: 5}) }, patch.ReasonBudget},
		{"the run is over its budget", func(s *site) {
			s.table.put(patch.CountersKey(siteRun, patch.WholeRun), patch.Counters{Failures: 5})
		}, patch.ReasonBudget},
		{"the account is over its budget", func(s *site) {
			s.table.put(patch.AccountCountersKey(s.target), patch.AccountCounters{Failures: 5})
		}, patch.ReasonBudget},
		{"too many accounts of the wave have failed", func(s *site) {
			s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{AccountsOver: 2})
		}, patch.ReasonBudget},
		{"the target has taken all its steps", func(s *site) {
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Polls, r.Batches = 60, 60 })
		}, patch.ReasonStopped},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 4)
			test.set(s)
			assert.Equal(t, "verify", s.must(s.send()).Next)
			assert.Equal(t, test.want, s.row().Closed)
			assert.Empty(t, s.sent)
			assert.Equal(t, "verify", s.must(s.send()).Next, "a second attempt changes nothing")
		})
	}
}

// What an account's failures may be follows from the sealed plan, and not from the
// list of accounts that the state machine reads: sender and poll see it alike.
func TestSend_accountLimit(t *testing.T) {
	tenth := func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		w.PerAccount = patch.Threshold{Value: 10, Percent: true}
	}
	fail := func(s *site, n int) {
		s.table.put(patch.AccountCountersKey(s.target), patch.AccountCounters{Failures: n})
	}
	for failures, want := range map[int]string{2: "", 3: patch.ReasonBudget} {
		s := newSite(t, 20, tenth)
		fail(s, failures)
		s.must(s.send())
		assert.Equal(t, want, s.row().Closed, "%d failures before the first send", failures)
		assert.Equal(t, want == "", len(s.sent) > 0)

		s = newSite(t, 20, tenth, serial)
		s.must(s.send())
		require.Len(t, s.sent, 1)
		fail(s, failures)
		s.must(s.poll())
		assert.Equal(t, want, s.row().Closed, "%d failures after it", failures)
	}
}

// A budget that is used up but not exceeded stops nothing.
func TestSend_atTheLimit(t *testing.T) {
	s := newSite(t, 4)
	s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{Failures: 4, AccountsOver: 1})
	s.sendAll()
	assert.Len(t, s.sentTimes(), 4)
}

func TestSend_approval(t *testing.T) {
	ask := func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, r *patch.RunRow) {
		w.AskScope, r.Approval = "run", patch.ApproveOnce
	}
	record := func(s *site) patch.Approval {
		return patch.Approval{
			ID: patch.ApprovalID(siteRun, "run"), Run: siteRun, Scope: "run", Digest: s.index.Digest, HubAccount: standHub,
			Instances: 2, RequireDistinct: 1, Status: patch.ApprovalApproved, Expires: s.now.Add(time.Hour),
		}
	}
	decide := func(s *site, rec patch.Approval, change func(*patch.Decision)) {
		d := patch.Decision{Approval: rec.ID, Decision: patch.Approve, Identity: "link", At: s.now}
		mac, err := s.key.MAC(s.t.Context(), rec.DecisionMessage(d))
		require.NoError(s.t, err)
		d.MAC = mac
		change(&d)
		s.table.put(patch.ApprovalKey(rec.ID), rec)
		s.table.put(patch.DecisionKey(rec.ID, d.Identity), d)
	}
	none := func(*patch.Decision) {}
	tests := []struct {
		name string
		set  func(*site)
		want patch.Kind
	}{
		{"approved", func(s *site) { decide(s, record(s), none) }, ""},
		{"never asked", func(*site) {}, patch.ErrTampered},
		{"asked, and the record alone says approved", func(s *site) { s.table.put(patch.ApprovalKey(record(s).ID), record(s)) }, patch.ErrTampered},
		{"rejected", func(s *site) { decide(s, record(s), func(d *patch.Decision) { d.Decision = patch.Reject }) }, patch.ErrTampered},
		{"a forged decision", func(s *site) { decide(s, record(s), func(d *patch.Decision) { d.MAC = []byte("forged") }) }, patch.ErrTampered},
		{"a decision whose name was changed", func(s *site) { decide(s, record(s), func(d *patch.Decision) { d.Name = "Eve" }) }, patch.ErrTampered},
		{"about another plan", func(s *site) {
			rec := record(s)
			rec.Digest = patch.Digest([]byte("other"))
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"a requester who is not the plan's", func(s *site) {
			rec := record(s)
			rec.RequestedBy = "somebody else"
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"a bar that was lowered after the decision", func(s *site) {
			rec := record(s)
			rec.RequireDistinct = 2
			decide(s, rec, none)
			rec.RequireDistinct = 1
			s.table.put(patch.ApprovalKey(rec.ID), rec)
		}, patch.ErrTampered},
		{"expired, whatever was decided", func(s *site) {
			rec := record(s)
			rec.Status = patch.ApprovalExpired
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"decided after it expired", func(s *site) {
			rec := record(s)
			rec.Expires = s.now.Add(-time.Second)
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"one of two", func(s *site) {
			rec := record(s)
			rec.RequireDistinct = 2
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"the key does not answer", func(s *site) {
			decide(s, record(s), none)
			s.key.err = patch.ErrUnavailable
		}, patch.ErrUnavailable},
		{"the leaf and its row were changed together", func(s *site) {
			decide(s, record(s), none)
			s.leaf.Instances[0].ID = "i-0000000000000eeee"
			data, err := patch.Canonical(s.leaf)
			require.NoError(s.t, err)
			s.bucket.localObjects[patch.LeafObject(s.target)] = data
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.LeafDigest = patch.Digest(data) })
		}, patch.ErrTampered},
		{"the wave's row says that nobody is asked", func(s *site) {
			edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) { w.AskScope = "none" })
		}, patch.ErrTampered},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 2, ask)
			test.set(s)
			_, err := s.send()
			if test.want == "" {
				require.NoError(t, err)
				assert.Len(t, s.sent, 2)
				return
			}
			assert.Equal(t, test.want, patch.KindOf(err))
			assert.Empty(t, s.sent)
			assert.Empty(t, s.intents())
		})
	}
}

// A plan that is not byte for byte the one that was approved is not sent.
func TestSend_tamperedPlan(t *testing.T) {
	for name, data := range map[string][]byte{"changed": []byte(`{"instances":[{"id":"i-evil"}]}`), "gone": nil} {
		s := newSite(t, 2)
		if data == nil {
			delete(s.bucket.localObjects, patch.LeafObject(s.target))
		} else {
			s.bucket.localObjects[patch.LeafObject(s.target)] = data
		}
		_, err := s.send()
		assert.Equal(t, patch.ErrTampered, patch.KindOf(err), name)
		assert.Empty(t, s.sent, name)
	}
}

// What changed since the plan is left out; nothing is added.
func TestSend_recheckOnlyRemoves(t *testing.T) {
	s := newSite(t, 5)
	s.spoke.machines[instance(0)] = task.Machine{State: "running", Tags: map[string]string{patch.ExclusionTag: "yes"}}
	s.spoke.machines[instance(1)] = task.Machine{State: "stopped"}
	delete(s.spoke.machines, instance(2))
	s.spoke.agents[instance(3)] = task.Agent{}
	s.sendAll()
	assert.Equal(t, map[patch.InstanceID]int{instance(4): 1}, s.sentTimes())
	reasons := map[patch.InstanceID]string{}
	for _, in := range s.intents() {
		for _, skip := range in.Skipped {
			reasons[skip.ID] = skip.Reason
		}
	}
	assert.Equal(t, map[patch.InstanceID]string{
		instance(0): patch.ReasonOptedOut, instance(1): patch.ReasonOffline, instance(2): patch.ReasonOffline, instance(3): patch.ReasonOffline,
	}, reasons)
	assert.Equal(t, 4, s.row().Skipped)
}

func TestSend_lease(t *testing.T) {
	key := patch.LeaseKey("111111111111", "us-east-1")
	other := func(s *site, expires time.Duration) {
		s.table.put(key, patch.Lease{Versioned: patch.Versioned{Version: 4}, Run: "other", Wave: "v", Fence: 7, Expires: s.now.Add(expires)})
	}
	t.Run("busy: waits, then gives up", func(t *testing.T) {
		s := newSite(t, 2)
		other(s, time.Hour)
		for range 16 {
			assert.Equal(t, task.Answer{Next: "wait", Seconds: 120, Waited: s.waited() + 120}, s.must(s.send()))
			s.now = s.now.Add(2 * time.Minute)
		}
		assert.Equal(t, "verify", s.must(s.send()).Next)
		assert.Equal(t, patch.ReasonLease, s.row().Closed)
		assert.Empty(t, s.sent)
	})
	t.Run("left by a dead run without a target: taken over", func(t *testing.T) {
		s := newSite(t, 2)
		other(s, -time.Second)
		s.sendAll()
		assert.Len(t, s.sent, 2)
		assert.Equal(t, "LeaseTakenOver", s.actions()[0])
		assert.Equal(t, 8, s.row().Fence, "the fence only grows")
		assert.Empty(t, s.spoke.cancels)
	})
	t.Run("lost to another run: nothing more is sent", func(t *testing.T) {
		s := newSite(t, 4, serial)
		s.must(s.send())
		sent := len(s.sent)
		other(s, time.Hour)
		edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Open = nil })
		s.must(s.send())
		assert.Equal(t, patch.ReasonLease, s.row().Closed)
		assert.Len(t, s.sent, sent)
	})
	t.Run("the fence moved between look and intent", func(t *testing.T) {
		s := newSite(t, 1)
		s.table.fail = func(writes []task.Write) error {
			for _, w := range writes {
				if w.How == task.Create && w.Key == patch.SendKey(s.target, 1) {
					other(s, time.Hour)
				}
			}
			return nil
		}
		_, err := s.send()
		assert.ErrorIs(t, err, patch.ErrConflict)
		assert.Empty(t, s.sent)
	})
}

// An account that lets us in no more closes its target.
func TestSend_lockedAccount(t *testing.T) {
	s := newSite(t, 2)
	s.locked = kind(patch.ErrAccessDenied)
	assert.Equal(t, "verify", s.must(s.send()).Next)
	assert.Equal(t, patch.ReasonAccount, s.row().Closed)

	again := newSite(t, 2)
	again.locked = kind(patch.ErrThrottled)
	_, err := again.send()
	assert.Equal(t, patch.ErrThrottled, patch.KindOf(err), "trouble that passes is tried again")
	assert.Empty(t, again.row().Closed)
}

func TestSend_unknownTarget(t *testing.T) {
	s := newSite(t, 1)
	at := s.target
	at.Region = "eu-west-1"
	_, err := s.sender().Handle(t.Context(), task.TargetInput{Target: at})
	assert.Equal(t, patch.ErrInternal, patch.KindOf(err))
}

// A sender that read that the run goes on, and writes after it was ended, sends
// nothing: the transaction carries what it read as a condition.
func TestSend_lateSenderSendsNothing(t *testing.T) {
	ends := []struct {
		name   string
		end    func(s *site)
		closed string
	}{
		{"the run was closed", func(s *site) {
			edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Status = patch.RunFailed })
		}, patch.ReasonStopped},
		{"the run was aborted", func(s *site) { s.table.put(patch.AbortKey(siteRun), patch.Abort{Reason: "enough"}) }, patch.ReasonAbort},
		{"the wave was judged", func(s *site) {
			edit(s, patch.WaveKey(siteRun, "w"), func(w *patch.WaveRow) { w.Verdict = patch.VerdictStop })
		}, patch.ReasonStopped},
	}
	for _, end := range ends {
		for i, name := range []string{"before the lease", "before the intent"} {
			t.Run(end.name+" "+name, func(t *testing.T) {
				s := newSite(t, 2)
				writes := 0
				s.table.fail = func([]task.Write) error {
					if writes++; writes == i+1 {
						end.end(s)
					}
					return nil
				}
				a, err := s.send()
				if i == 0 {
					require.NoError(t, err)
					assert.Equal(t, "wait", a.Next, "as if another run were in the way")
				} else {
					assert.ErrorIs(t, err, patch.ErrConflict, "the state machine tries again")
				}
				assert.Empty(t, s.sent)
				assert.Empty(t, s.intents())
				assert.NotContains(t, s.actions(), "SendCommand")
				assert.Equal(t, "verify", s.sendAll().Next)
				assert.Empty(t, s.sent)
				assert.Equal(t, end.closed, s.row().Closed)
			})
		}
	}
}

// A redrive may count the machine's waits from nothing again: the window begins
// anew then, and is no longer for that.
func TestSend_lostBeforeARedrive(t *testing.T) {
	s := newSite(t, 1)
	s.now = s.now.Add(2 * time.Hour)
	s.answers = []answer{{err: errNoAnswer}}
	require.Equal(t, 30, s.must(s.send()).Seconds)
	s.began = s.now
	assert.Equal(t, "wait", s.must(s.send()).Next)
	s.now = s.now.Add(209 * time.Second)
	s.must(s.send())
	assert.Equal(t, []int{1}, s.row().Doubts)
	s.now = s.now.Add(time.Second)
	s.sendAll()
	assert.Len(t, s.sent, 1)
	assert.True(t, s.intents()[0].Sends[0].Lost)
}

// A target that starts slowly begins with a tenth, and goes on with four times what ended well.
func TestSend_slowStart(t *testing.T) {
	s := newSite(t, 100, func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
		l.Concurrency, l.SlowStart = 40, true
	})
	s.sendAll()
	assert.Len(t, s.sent, 4)
	for i := range 4 {
		s.ended(i+1, "Failed")
	}
	s.now = s.now.Add(time.Minute)
	assert.Equal(t, "send", s.must(s.poll()).Next)
	s.sendAll()
	assert.Len(t, s.sent, 8, "failures open nothing")
	for i := range 4 {
		s.ended(i+5, "Success")
	}
	s.now = s.now.Add(time.Minute)
	s.must(s.poll())
	s.sendAll()
	assert.Equal(t, 16, s.row().InFlight())
	s.allEnded("Success")
	s.now = s.now.Add(time.Minute)
	s.must(s.poll())
	s.sendAll()
	assert.Equal(t, 40, s.row().InFlight())
}

// The failures of one account that count it as failed stop the senders of another.
func TestSend_accountsOver(t *testing.T) {
	limits := func(_ *patch.Leaf, _ *patch.TargetRow, w *patch.WaveRow, _ *patch.RunRow) {
		w.AccountsMax, w.FailLimit, w.PerAccount = 0, 100, patch.Threshold{Value: 10, Percent: true}
	}
	s := newSite(t, 20, limits, wide(5))
	s.sendAll()
	for i := range 3 {
		s.ended(i+1, "Failed")
	}
	s.now = s.now.Add(time.Minute)
	s.must(s.poll())
	assert.Equal(t, 1, s.counters().AccountsOver)

	other := s.another("222222222222", "us-east-1")
	assert.Equal(t, "verify", other.must(other.send()).Next)
	assert.Equal(t, patch.ReasonBudget, other.row().Closed)
	assert.Empty(t, other.sent)
}
