package target_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

func TestSend_sendsThePlan(t *testing.T) {
	s := site.New(t, 3)
	a := s.SendAll()
	assert.Equal(t, patch.NextWait, a.Next)
	require.Len(t, s.Sent, 3)
	for i, c := range s.Sent {
		assert.Equal(t, site.Instance(i), c.Instance, "in the order of the plan")
		assert.Equal(t, patch.Install, c.Operation)
		assert.Equal(t, patch.RebootIfNeeded, c.RebootOption)
		assert.Equal(t, s.Leaf.SnapshotID, c.SnapshotID)
		assert.Equal(t, plan.SendMarker(plan.Marker(s.Target, 1), i), c.Marker)
		assert.Equal(t, 900, c.DeliverySeconds, "nothing starts late")
	}
	assert.Equal(t, 3, s.Counters().Sent)
	row := s.Row()
	assert.Equal(t, target.TargetPatching, row.Status)
	assert.Equal(t, 3, row.Sent)
	assert.Equal(t, 3, row.InFlight())
	assert.Zero(t, row.Pending)
	assert.Equal(t, s.Now, row.FirstSent)
	assert.Equal(t, []string{"LeaseTaken", "SendCommand"}, s.Actions(), "one entry a step")
	require.Len(t, s.Intents(), 1)
	for i, x := range s.Intents()[0].Sends {
		assert.Equal(t, target.Sent{Command: patch.CommandID(fmt.Sprintf("cmd-%d", i+1)), At: s.Now}, x)
	}
	var lease target.Lease
	s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
	assert.Equal(t, site.Run, lease.Run)
	assert.Equal(t, "w", lease.Wave)
	assert.Equal(t, 1, lease.Fence)
	assert.Equal(t, s.Now.Add(target.LeaseTerm), lease.Expires)
}

// A step fills up to 250 slots, through sessions of few instances, and its row stays small.
func TestSend_aStepOf250(t *testing.T) {
	s := site.New(t, 600)
	assert.Equal(t, target.Answer{Next: patch.NextSend}, s.Must(s.Send()))
	assert.Len(t, s.Sent, target.MaxSends)
	require.Len(t, s.Opened, 11)
	for i, ids := range s.Opened[:10] {
		assert.Len(t, ids, port.SessionInstances, "session %d", i)
	}
	assert.Len(t, s.Opened[10], 10)
	row, err := json.Marshal(s.Intents()[0])
	require.NoError(t, err)
	assert.Less(t, len(row), 60_000)
	assert.Equal(t, patch.NextWait, s.SendAll().Next)
	assert.Len(t, s.SentTimes(), 600)
	assert.Equal(t, 3, s.Row().Batches)
	assert.Equal(t, 3, s.CountOf("SendCommand"))
	assert.Equal(t, 600, s.Counters().Sent)
}

// Never more are in flight than may be; a slot that comes free is filled with the next of the plan.
func TestSend_fillsFreeSlots(t *testing.T) {
	s := site.New(t, 10, wide(3))
	s.SendAll()
	assert.Len(t, s.Sent, 3)
	s.Finish(2, "Success")
	s.Now = s.Now.Add(10 * time.Minute)
	assert.Equal(t, patch.NextSend, s.Must(s.Poll()).Next)
	assert.Equal(t, patch.NextWait, s.Must(s.Send()).Next)
	require.Len(t, s.Sent, 4)
	assert.Equal(t, site.Instance(3), s.Sent[3].Instance)
	assert.Equal(t, 3, s.Row().InFlight())
}

// A step ends well before the function's time does.
func TestSend_stepLimit(t *testing.T) {
	s := site.New(t, 100)
	s.Each = 20 * time.Second
	assert.Equal(t, target.Answer{Next: patch.NextSend}, s.Must(s.Send()))
	assert.Len(t, s.Sent, 4, "none begins after 75 s")
	assert.Zero(t, s.Row().Pending)
	assert.Equal(t, 4, s.Row().Next)
}

// Half way through a step the limits, the abort and the run are looked at again.
func TestSend_stopsInMidStep(t *testing.T) {
	s := site.New(t, 100)
	s.Refuse = map[patch.InstanceID]error{}
	sender := s.Sender()
	sender.Sender = during(s, func(n int) {
		if n == 30 {
			s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
		}
	})
	_, err := sender.Handle(t.Context(), s.SendInput())
	require.NoError(t, err)
	assert.Len(t, s.Sent, 50)
	assert.Equal(t, 50, s.Row().Next)
	s.SendAll()
	assert.Equal(t, outcome.ReasonAbort, s.Row().Closed)
	assert.Len(t, s.Sent, 50)
}

// during calls f with the number of each send before it is made.
func during(s *site.Site, f func(n int)) port.Sender { return senderFunc{s, f} }

type senderFunc struct {
	*site.Site
	f func(int)
}

func (x senderFunc) Session(ctx context.Context, at patch.Target, ids []patch.InstanceID) (port.Session, error) {
	inner, err := x.Site.Session(ctx, at, ids)
	return sendFunc{inner, x}, err
}

type sendFunc struct {
	port.Session
	of senderFunc
}

func (x sendFunc) Send(ctx context.Context, c port.Command) (patch.CommandID, error) {
	x.of.f(len(x.of.Sent) + 1)
	return x.Session.Send(ctx, c)
}

// The intent, the audit entry and the journal are durable before each call is made.
func TestSend_writesBeforeItSends(t *testing.T) {
	s := site.New(t, 3)
	s.Refuse = map[patch.InstanceID]error{site.Instance(0): site.Because(patch.ErrAccessDenied)}
	checked := 0
	sender := s.Sender()
	sender.Sender = during(s, func(n int) {
		checked++
		require.Len(t, s.Intents(), 1)
		in := s.Intents()[0]
		assert.Equal(t, 1, s.Row().Pending)
		assert.Equal(t, plannedIDs(s), in.IDs)
		assert.False(t, in.Settled)
		assert.Empty(t, in.Sends)
		assert.Contains(t, s.Actions(), "SendCommand")
		for i := 1; i < n; i++ {
			var try target.Try
			s.Read(store.TryKey(s.Target, 1, i), &try)
			assert.Equal(t, i == 1, try.Before.Refused != "", "what became of the send before")
			assert.Equal(t, i == 2, try.Before.Command == "cmd-2")
		}
	})
	_, err := sender.Handle(t.Context(), s.SendInput())
	require.NoError(t, err)
	assert.Equal(t, 3, checked)
	for _, e := range s.Table.About(t, store.TargetSubject(s.Target)) {
		if e.Action == "SendCommand" {
			assert.Equal(t, fmt.Sprintf("%s, 3 instances, fence 1: %v", plan.Marker(s.Target, 1), plannedIDs(s)), e.Detail)
		}
	}
}

// plannedIDs are the instances of the plan, in its order.
func plannedIDs(s *site.Site) []patch.InstanceID {
	var ids []patch.InstanceID
	for _, p := range s.Leaf.Instances {
		ids = append(ids, p.ID)
	}
	return ids
}

// A write that fails before the send means that nothing is sent.
func TestSend_noRowNoSend(t *testing.T) {
	for _, failing := range []store.How{store.Audit, store.Create, store.Replace} {
		s := site.New(t, 2)
		s.Table.Fail = func(writes []store.Write) error {
			for _, w := range writes {
				if w.How == failing {
					return patch.ErrUnavailable
				}
			}
			return nil
		}
		_, err := s.Send()
		assert.ErrorIs(t, err, patch.ErrUnavailable)
		assert.Empty(t, s.Sent)
	}
}

// A refusal concerns its own instance: all others are sent, once.
func TestSend_refusalsOfSome(t *testing.T) {
	tests := []struct {
		kind   patch.Kind
		reason outcome.Reason
	}{
		{patch.ErrAccessDenied, outcome.ReasonOptedOut}, // the tag that the account's owner wants is missing
		{patch.ErrInvalidInstance, outcome.ReasonOffline},
		{patch.ErrRefusedCommand, outcome.ReasonAccount},
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			s := site.New(t, 10, site.Tolerant(0))
			s.Refuse = map[patch.InstanceID]error{site.Instance(0): site.Because(test.kind),
				site.Instance(4): site.Because(test.kind), site.Instance(9): site.Because(test.kind)}
			s.SendAll()
			assert.Len(t, s.Sent, 10)
			assert.Equal(t, 7, s.Row().Sent)
			assert.Equal(t, 7, s.Row().InFlight())
			assert.Empty(t, s.Row().Closed)
			assert.Zero(t, s.Row().Failures, "a refusal is no failure")
			s.AllEnded("Success")
			s.Now = s.Now.Add(10 * time.Minute)
			assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next)
			for i := range 10 {
				if s.Refuse[site.Instance(i)] == nil {
					s.Patched(site.Instance(i))
				}
			}
			s.Now = s.Now.Add(20 * time.Minute)
			s.Verified()
			assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 7, outcome.NotSent: 3}, s.Row().Outcomes)
			for _, i := range []int{0, 4, 9} {
				assert.Equal(t, test.reason, s.Outcome(site.Instance(i)).NotSent())
			}
			assert.Zero(t, s.Counters().Failures)
			assert.Len(t, s.SentTimes(), 10)
		})
	}
}

// An account-region is closed when its first ten sends, or all of fewer, were denied and none was accepted.
func TestSend_refusedAccount(t *testing.T) {
	first := func(n int) map[patch.InstanceID]error {
		refuse := map[patch.InstanceID]error{}
		for i := range n {
			refuse[site.Instance(i)] = site.Because(patch.ErrAccessDenied)
		}
		return refuse
	}
	tests := []struct {
		name            string
		planned, denied int
		wide            int
		closed          outcome.Reason
		tried           int
	}{
		{"the first ten of fifty", 50, 50, 50, outcome.ReasonAccount, 10},
		{"the first ten of fifty, one at a time", 50, 50, 1, outcome.ReasonAccount, 10},
		{"all of three", 3, 3, 3, outcome.ReasonAccount, 3},
		{"the only one", 1, 1, 1, outcome.ReasonAccount, 1},
		{"nine, and the tenth is accepted", 50, 9, 50, "", 50},
		{"two of three", 3, 2, 3, "", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, test.planned, wide(test.wide))
			s.Refuse = first(test.denied)
			a := s.SendAll()
			assert.Equal(t, test.closed, s.Row().Closed)
			assert.Len(t, s.Sent, test.tried)
			assert.Zero(t, s.Counters().Failures)
			if test.closed == "" {
				assert.Equal(t, patch.NextWait, a.Next)
				return
			}
			assert.Equal(t, patch.NextVerify, a.Next)
			s.Verified()
			assert.Equal(t, map[outcome.Outcome]int{outcome.NotSent: test.planned}, s.Row().Outcomes)
			for i := range test.planned {
				assert.Equal(t, outcome.ReasonAccount, s.Outcome(site.Instance(i)).NotSent())
			}
		})
	}
}

// wide sends to n instances at a time.
func wide(n int) func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow) {
	return func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) { l.Concurrency = n }
}

// What was not tried since the account is throttled waits again, in its place, with what was left out before it.
func TestSend_throttledInMidStep(t *testing.T) {
	s := site.New(t, 8)
	s.SSM.Known[site.Instance(1)] = port.Machine{State: "stopped"}
	s.SSM.Known[site.Instance(5)] = port.Machine{State: "stopped"}
	s.Answers = []site.Answer{{}, {}, {}, {Err: site.Because(patch.ErrThrottled)}} // 0, 2, 3, and 4
	assert.Equal(t, target.Answer{Next: patch.NextWait, Seconds: 30, Waited: 30}, s.Must(s.Send()))
	row := s.Row()
	assert.Equal(t, 4, row.Next)
	assert.Equal(t, 4, row.Waiting())
	assert.Equal(t, 1, row.Skipped, "the other one may be back")
	assert.Equal(t, 3, row.InFlight())
	assert.Len(t, s.Intents()[0].Sends, 3)
	assert.Equal(t, []target.Skip{{ID: site.Instance(1), Reason: outcome.ReasonOffline}}, s.Intents()[0].Skipped)

	s.SSM.Known[site.Instance(5)] = port.Machine{State: "running"}
	s.Now = s.Now.Add(30 * time.Second)
	s.SendAll()
	want := map[patch.InstanceID]int{site.Instance(4): 2} // the first of them was refused before it had any effect
	for _, i := range []int{0, 2, 3, 5, 6, 7} {
		want[site.Instance(i)] = 1
	}
	assert.Equal(t, want, s.SentTimes())
	assert.Equal(t, 7, s.Row().Sent)
	assert.NotEqual(t, s.Sent[3].Marker, s.Sent[4].Marker, "a new intent, a new marker")
	assert.Zero(t, s.Row().Waiting())
}

// A session that cannot be opened in mid-step loses nothing of what was sent.
func TestSend_sessionFails(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		next   patch.Next
		closed outcome.Reason
		fails  patch.Kind
	}{
		{"throttled", site.Because(patch.ErrThrottled), "wait", "", ""},
		{"denied", site.Because(patch.ErrAccessDenied), "wait", outcome.ReasonAccount, ""},
		{"a fault of ours", site.Because(patch.ErrInternal), "", "", patch.ErrInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 40)
			s.Closed = func(ids []patch.InstanceID) error {
				if ids[0] == site.Instance(0) {
					return nil
				}
				return test.err
			}
			a, err := s.Send()
			if test.fails != "" {
				assert.Equal(t, test.fails, patch.KindOf(err))
			} else {
				require.NoError(t, err)
				assert.Equal(t, test.next, a.Next)
			}
			row := s.Row()
			assert.Zero(t, row.Pending)
			assert.Equal(t, port.SessionInstances, row.Sent)
			assert.Equal(t, port.SessionInstances, row.InFlight())
			assert.Equal(t, port.SessionInstances, row.Next)
			assert.Equal(t, test.closed, row.Closed)
			s.Closed = nil
			s.SendAll()
			want := 40
			if test.closed != "" {
				want = port.SessionInstances
			}
			assert.Len(t, s.SentTimes(), want)
			assert.Len(t, s.Sent, want)
		})
	}
	t.Run("the first one is denied", func(t *testing.T) {
		s := site.New(t, 3)
		s.Closed = func([]patch.InstanceID) error { return site.Because(patch.ErrAccessDenied) }
		s.Must(s.Send())
		assert.Equal(t, patch.NextVerify, s.Must(s.Send()).Next)
		assert.Equal(t, outcome.ReasonAccount, s.Row().Closed)
		assert.Contains(t, s.Row().Reason, "because")
		assert.Empty(t, s.Sent)
	})
}

// A journal that cannot be written ends the step, and loses nothing that was sent.
func TestSend_journalFails(t *testing.T) {
	for _, err := range []error{patch.ErrUnavailable, patch.ErrConflict} {
		for _, after := range []bool{false, true} {
			s := site.New(t, 5)
			strike := func(writes []store.Write) error {
				if writes[0].Key == store.TryKey(s.Target, 1, 3) {
					return err
				}
				return nil
			}
			if after {
				s.Table.Lose = strike
			} else {
				s.Table.Fail = strike
			}
			assert.Equal(t, patch.NextSend, s.Must(s.Send()).Next)
			assert.Zero(t, s.Row().Pending)
			assert.Equal(t, 3, s.Row().Sent)
			s.SendAll()
			assert.Len(t, s.Sent, 5)
			assert.Zero(t, s.Row().Failures)
		}
	}
}

// A row that somebody changed in mid-step is no reason to look for what was sent.
func TestSend_settlesAfterAConflict(t *testing.T) {
	s := site.New(t, 2)
	raced := false
	s.Table.Fail = func(writes []store.Write) error {
		for _, w := range writes {
			if w.How == store.Replace && w.Key == store.SendKey(s.Target, 1) && !raced {
				raced = true
				site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Version++; r.Closed = outcome.ReasonAbort })
			}
		}
		return nil
	}
	s.Must(s.Send())
	assert.True(t, raced)
	assert.Zero(t, s.Row().Pending)
	assert.Equal(t, 2, s.Row().InFlight())
	assert.Equal(t, outcome.ReasonAbort, s.Row().Closed, "what the other one wrote stays")
	assert.Equal(t, 2, s.Counters().Sent)
}

// Without an answer nobody knows: it is waited for, looked for by its marker,
// and never sent again. The others go on meanwhile.
func TestSend_noAnswer(t *testing.T) {
	tests := []struct {
		name     string
		answer   site.Answer
		adopted  bool
		failures int
	}{
		{"it was accepted", site.Answer{ID: "cmd-7", Err: site.ErrNoAnswer}, true, 0},
		{"it was lost", site.Answer{Err: site.ErrNoAnswer}, false, 1},
		{"an error of no kind", site.Answer{Err: errors.New("EOF")}, false, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 4)
			s.Answers = []site.Answer{{}, test.answer}
			assert.Equal(t, target.Answer{Next: patch.NextWait, Seconds: 30, Waited: 30}, s.Must(s.Send()))
			row := s.Row()
			assert.Zero(t, row.Pending)
			assert.Equal(t, []int{1}, row.Doubts)
			assert.Equal(t, 2, row.InFlight(), "what may be at work keeps its slot")
			assert.True(t, s.Intents()[0].Doubtful())

			s.Now = s.Now.Add(30 * time.Second)
			assert.Equal(t, patch.NextSend, s.Must(s.Poll()).Next)
			s.SendAll()
			assert.Len(t, s.Sent, 4, "the others go on")
			assert.Equal(t, []int{1}, s.Row().Doubts, "SSM may need a while to show it")

			s.Now = s.Now.Add(179 * time.Second)
			assert.Equal(t, target.Answer{Next: patch.NextWait, Seconds: 1, Waited: 210}, s.Must(s.Poll()))
			s.Now = s.Now.Add(time.Second)
			assert.Equal(t, target.Answer{Next: patch.NextSend, Waited: 210}, s.Must(s.Poll()),
				"only the sender may look for what it sent")
			s.SendAll()
			assert.Len(t, s.Sent, 4, "sent twice")
			row = s.Row()
			assert.Empty(t, row.Doubts)
			assert.Equal(t, test.failures, row.Failures)
			x := s.Intents()[0].Sends[1]
			assert.Equal(t, !test.adopted, x.Lost)
			assert.Equal(t, 4, row.InFlight(), "what is lost keeps its slot, too")
			assert.Equal(t, test.failures, s.Counters().Failures)
			if test.adopted {
				assert.Equal(t, test.answer.ID, x.Command)
				assert.Equal(t, 4, s.Counters().Sent)
				return
			}
			assert.Equal(t, 1, s.CountOf("SendLost"))
			s.AllEnded("Success")
			s.Now = s.Now.Add(10 * time.Minute)
			s.Must(s.Poll())
			assert.Equal(t, patch.NextVerify, s.Must(s.Poll()).Next, "it is not waited for when all else is over")
			assert.Equal(t, 1, s.Counters().Failures, "counted once")
		})
	}
}

// While twenty intents hold a doubt no further sends are made.
func TestSend_manyDoubts(t *testing.T) {
	s := site.New(t, 50)
	for range 60 {
		s.Answers = append(s.Answers, site.Answer{Err: site.ErrNoAnswer})
	}
	for range 100 {
		s.Must(s.Send())
	}
	assert.Len(t, s.Sent, target.MaxDoubts)
	assert.Len(t, s.Row().Doubts, target.MaxDoubts)
	s.Now = s.Now.Add(4 * time.Minute)
	s.Answers = nil
	s.SendAll()
	assert.Equal(t, target.MaxDoubts, s.Row().Failures)
	for id, n := range s.SentTimes() {
		assert.Equal(t, 1, n, id)
	}
}

// The process dies at any write, before or after its effect, or around any send, and is started again: every instance
// is sent at most once, none is forgotten, and at most one send has to be looked for.
func TestSend_diesAnywhere(t *testing.T) {
	errDied := errors.New("the process died")
	tests := []struct {
		name   string
		strike func(s *site.Site, at int) (struck func() bool)
	}{
		{"before a write", func(s *site.Site, at int) func() bool {
			n := 0
			s.Table.Fail = func([]store.Write) error {
				if n++; n == at {
					s.Dead = true
				}
				if s.Dead {
					return errDied
				}
				return nil
			}
			return func() bool { return n >= at }
		}},
		{"after a write", func(s *site.Site, at int) func() bool {
			n := 0
			s.Table.Fail = func([]store.Write) error {
				if s.Dead {
					return errDied
				}
				return nil
			}
			s.Table.Lose = func([]store.Write) error {
				if n++; n == at {
					s.Dead = true
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
				s := site.New(t, 6, wide(4))
				refusals := 0
				if refused {
					refusals = 2
					s.Refuse = map[patch.InstanceID]error{site.Instance(0): site.Because(patch.ErrAccessDenied),
						site.Instance(2): site.Because(patch.ErrAccessDenied)}
				}
				s.SSM.Known[site.Instance(1)] = port.Machine{State: "stopped"}
				struck := test.strike(s, at)
				for range 60 {
					a, err := s.Send()
					s.Dead = false // a new process
					s.Now = s.Now.Add(time.Duration(a.Seconds) * time.Second)
					if err == nil && a.Next != patch.NextSend {
						s.AllEnded("Success")
						_, err = s.Poll()
						s.Dead = false
					}
					if row := s.Row(); err == nil && row.Waiting() == 0 && row.Pending == 0 && len(row.Open) == 0 {
						break
					}
				}
				if !struck() {
					require.Greater(t, at, 8, "the process died nowhere")
					break
				}
				for id, n := range s.SentTimes() {
					assert.Equal(t, 1, n, "%s: %s was sent %d times", name, id, n)
				}
				looked, tried := 0, map[patch.InstanceID]bool{}
				for _, in := range s.Intents() {
					require.True(t, in.Settled, name)
					for i, x := range in.Sends {
						assert.False(t, tried[in.IDs[i]], "%s: %s is tried twice", name, in.IDs[i])
						tried[in.IDs[i]] = true
						assert.False(t, x.Doubtful(), name)
						if x.Lost {
							looked++
						}
						if x.Command != "" {
							assert.Equal(t, in.IDs[i], s.SSM.Commands[x.Command].Instance, "%s: another instance's command", name)
						}
					}
					for _, x := range in.Skipped {
						tried[x.ID] = true
					}
				}
				assert.LessOrEqual(t, looked, 1, "%s: at most the send in hand is given up", name)
				assert.Len(t, tried, 6, "%s: an instance was forgotten", name)
				assert.GreaterOrEqual(t, s.Row().Sent+looked, 5-refusals, name)
				assert.Equal(t, looked, s.Row().Failures, name)
				assert.Equal(t, s.Row().Sent, s.Counters().Sent, name)
				assert.NotEmpty(t, s.Actions(), "the chain is whole")
			}
		}
	}
}

// Two sends at the same moment: one wins the row, the other sends nothing.
func TestSend_twoAtOnce(t *testing.T) {
	s := site.New(t, 1)
	raced := false
	s.Table.Fail = func(writes []store.Write) error {
		for _, w := range writes {
			if w.How == store.Create && w.Key == store.SendKey(s.Target, 1) && !raced {
				raced = true
				s.Table.Fail = nil
				s.Must(s.Send())
			}
		}
		return nil
	}
	_, err := s.Send()
	assert.ErrorIs(t, err, patch.ErrConflict)
	assert.True(t, raced)
	assert.Len(t, s.Sent, 1)
}

// Two executions of a target, as a second start of it leaves: one comes while the other is sending, and its own waits
// tell it that the other must be long dead. Whoever is found at work sends no further.
func TestSend_twoExecutions(t *testing.T) {
	for _, waited := range []int{0, 210, 3400, 3610} {
		for _, at := range []int{1, 2, 7, 10} {
			t.Run(fmt.Sprintf("waited %d, at send %d", waited, at), func(t *testing.T) {
				s := site.New(t, 10)
				s.Now = s.Now.Add(time.Hour)
				first := s.Sender()
				first.Sender = during(s, func(n int) {
					if n != at {
						return
					}
					input := s.SendInput()
					input.Waited = waited
					for range 5 {
						a, err := s.Sender().Handle(t.Context(), input)
						require.NoError(t, err)
						if input.Waited = a.Waited; a.Next != patch.NextSend {
							break
						}
					}
				})
				late := s.SendInput()
				late.Waited = 3400
				_, err := first.Handle(t.Context(), late)
				if err != nil {
					require.ErrorIs(t, err, patch.ErrConflict)
				}
				for range 5 {
					s.Must(s.Send())
					s.Now = s.Now.Add(4 * time.Minute)
				}
				times := s.SentTimes()
				for i := range 10 {
					assert.LessOrEqual(t, times[site.Instance(i)], 1, "%s", site.Instance(i))
				}
				assert.GreaterOrEqual(t, len(times), 9, "at most the one in hand is given up")
				assert.Equal(t, 10, s.Row().Next)
			})
		}
	}
}

// Machines that went down since the plan cost the others no step each: the next that can be sent to is looked for, in
// the order of the plan, and no more are sent to than there are slots.
func TestSend_passesOverWhatIsDown(t *testing.T) {
	s := site.New(t, 200, func(leaf *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		leaf.Concurrency = 2
	})
	for i := range 120 {
		s.SSM.Managed[site.Instance(i)] = port.Agent{Platform: patch.Linux}
	}
	s.SSM.Managed[site.Instance(121)] = port.Agent{Platform: patch.Linux}
	s.Must(s.Send())
	require.Len(t, s.Sent, 2)
	assert.Equal(t, site.Instance(120), s.Sent[0].Instance)
	assert.Equal(t, site.Instance(122), s.Sent[1].Instance)
	assert.Equal(t, 1, s.Row().Batches)
	assert.Equal(t, 121, s.Row().Skipped)
	assert.Equal(t, 123, s.Row().Next)
}

func TestSend_stops(t *testing.T) {
	tests := []struct {
		name string
		set  func(*site.Site)
		want outcome.Reason
	}{
		{"aborted", func(s *site.Site) {
			s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
		}, outcome.ReasonAbort},
		{"the run is over", func(s *site.Site) {
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Status = patch.RunStopped })
		}, outcome.ReasonStopped},
		{"the target is over its errors", func(s *site.Site) {
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Failures, r.Errors = 5, 5 })
		}, outcome.ReasonBudget},
		{"the wave is over its budget", func(s *site.Site) {
			s.Table.Put(store.CountersKey(site.Run, "w"), store.Counters{Failures: 5})
		}, outcome.ReasonBudget},
		{"the run is over its budget", func(s *site.Site) {
			s.Table.Put(store.CountersKey(site.Run, store.WholeRun), store.Counters{Failures: 5})
		}, outcome.ReasonBudget},
		{"the account is over its budget", func(s *site.Site) {
			s.Table.Put(store.AccountCountersKey(s.Target), store.AccountCounters{Failures: 5})
		}, outcome.ReasonBudget},
		{"too many accounts of the wave have failed", func(s *site.Site) {
			s.Table.Put(store.CountersKey(site.Run, "w"), store.Counters{AccountsOver: 2})
		}, outcome.ReasonBudget},
		{"the target has taken all its steps", func(s *site.Site) {
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Polls, r.Batches = 60, 60 })
		}, outcome.ReasonStopped},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 4)
			test.set(s)
			assert.Equal(t, patch.NextVerify, s.Must(s.Send()).Next)
			assert.Equal(t, test.want, s.Row().Closed)
			assert.Empty(t, s.Sent)
			assert.Equal(t, patch.NextVerify, s.Must(s.Send()).Next, "a second attempt changes nothing")
		})
	}
}

// What an account's failures may be follows from the sealed plan, and not from the
// list of accounts that the state machine reads: sender and poll see it alike.
func TestSend_accountLimit(t *testing.T) {
	tenth := func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		w.PerAccount = patch.Threshold{Value: 10, Percent: true}
	}
	fail := func(s *site.Site, n int) {
		s.Table.Put(store.AccountCountersKey(s.Target), store.AccountCounters{Failures: n})
	}
	for failures, want := range map[int]outcome.Reason{2: "", 3: outcome.ReasonBudget} {
		s := site.New(t, 20, tenth)
		fail(s, failures)
		s.Must(s.Send())
		assert.Equal(t, want, s.Row().Closed, "%d failures before the first send", failures)
		assert.Equal(t, want == "", len(s.Sent) > 0)

		s = site.New(t, 20, tenth, site.Serial)
		s.Must(s.Send())
		require.Len(t, s.Sent, 1)
		fail(s, failures)
		s.Must(s.Poll())
		assert.Equal(t, want, s.Row().Closed, "%d failures after it", failures)
	}
}

// A budget that is used up but not exceeded stops nothing.
func TestSend_atTheLimit(t *testing.T) {
	s := site.New(t, 4)
	s.Table.Put(store.CountersKey(site.Run, "w"), store.Counters{Failures: 4, AccountsOver: 1})
	s.SendAll()
	assert.Len(t, s.SentTimes(), 4)
}

func TestSend_approval(t *testing.T) {
	ask := func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, r *store.RunRow) {
		w.AskScope, r.Approval = "run", runinput.ApproveOnce
	}
	record := func(s *site.Site) decision.Approval {
		return decision.Approval{
			ID: decision.ApprovalID(site.Run, "run"), Run: site.Run, Scope: "run", Digest: s.Index.Digest,
			HubAccount: fake.StandHub,
			Instances:  2, RequireDistinct: 1, Status: decision.ApprovalApproved, Expires: s.Now.Add(time.Hour),
		}
	}
	decide := func(s *site.Site, rec decision.Approval, change func(*decision.Decision)) {
		d := decision.Decision{Approval: rec.ID, Decision: decision.Approve, Identity: "link", At: s.Now}
		mac, err := s.Key.MAC(s.T.Context(), rec.DecisionMessage(d))
		require.NoError(s.T, err)
		d.MAC = mac
		change(&d)
		s.Table.Put(store.ApprovalKey(rec.ID), rec)
		s.Table.Put(store.DecisionKey(rec.ID, d.Identity), d)
	}
	none := func(*decision.Decision) {}
	tests := []struct {
		name string
		set  func(*site.Site)
		want patch.Kind
	}{
		{"approved", func(s *site.Site) { decide(s, record(s), none) }, ""},
		{"never asked", func(*site.Site) {}, patch.ErrTampered},
		{"asked, and the record alone says approved", func(s *site.Site) {
			s.Table.Put(store.ApprovalKey(record(s).ID), record(s))
		}, patch.ErrTampered},
		{"rejected", func(s *site.Site) {
			decide(s, record(s), func(d *decision.Decision) { d.Decision = decision.Reject })
		}, patch.ErrTampered},
		{"a forged decision", func(s *site.Site) {
			decide(s, record(s), func(d *decision.Decision) { d.MAC = []byte("forged") })
		}, patch.ErrTampered},
		{"a decision whose name was changed", func(s *site.Site) {
			decide(s, record(s), func(d *decision.Decision) { d.Name = "Eve" })
		}, patch.ErrTampered},
		{"about another plan", func(s *site.Site) {
			rec := record(s)
			rec.Digest = patch.Digest([]byte("other"))
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"a requester who is not the plan's", func(s *site.Site) {
			rec := record(s)
			rec.RequestedBy = "somebody else"
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"a bar that was lowered after the decision", func(s *site.Site) {
			rec := record(s)
			rec.RequireDistinct = 2
			decide(s, rec, none)
			rec.RequireDistinct = 1
			s.Table.Put(store.ApprovalKey(rec.ID), rec)
		}, patch.ErrTampered},
		{"expired, whatever was decided", func(s *site.Site) {
			rec := record(s)
			rec.Status = decision.ApprovalExpired
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"decided after it expired", func(s *site.Site) {
			rec := record(s)
			rec.Expires = s.Now.Add(-time.Second)
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"one of two", func(s *site.Site) {
			rec := record(s)
			rec.RequireDistinct = 2
			decide(s, rec, none)
		}, patch.ErrTampered},
		{"the key does not answer", func(s *site.Site) {
			decide(s, record(s), none)
			s.Key.Err = patch.ErrUnavailable
		}, patch.ErrUnavailable},
		{"the leaf and its row were changed together", func(s *site.Site) {
			decide(s, record(s), none)
			s.Leaf.Instances[0].ID = "i-0000000000000eeee"
			data, err := patch.Canonical(s.Leaf)
			require.NoError(s.T, err)
			s.Bucket.Objects[store.LeafObject(s.Target)] = data
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.LeafDigest = patch.Digest(data) })
		}, patch.ErrTampered},
		{"the wave's row says that nobody is asked", func(s *site.Site) {
			site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) { w.AskScope = "none" })
		}, patch.ErrTampered},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 2, ask)
			test.set(s)
			_, err := s.Send()
			if test.want == "" {
				require.NoError(t, err)
				assert.Len(t, s.Sent, 2)
				return
			}
			assert.Equal(t, test.want, patch.KindOf(err))
			assert.Empty(t, s.Sent)
			assert.Empty(t, s.Intents())
		})
	}
}

// Whoever calls Send past the state machine gets no wave before its turn.
func TestT57_LaterWaveSentEarly(t *testing.T) {
	for name, test := range map[string]struct {
		verdicts []patch.Verdict // of the two waves before, none: not judged
		sent     bool
	}{
		"before anything":        {[]patch.Verdict{"", ""}, false},
		"before the last":        {[]patch.Verdict{patch.VerdictGood, ""}, false},
		"while people are asked": {[]patch.Verdict{patch.VerdictGood, patch.VerdictAsk}, false},
		"after a stop":           {[]patch.Verdict{patch.VerdictGood, patch.VerdictStop}, false},
		"past an empty wave":     {[]patch.Verdict{"", patch.VerdictGood}, false},
		"in its turn":            {[]patch.Verdict{patch.VerdictGood, patch.VerdictGood}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := site.New(t, 2)
			before := []plan.IndexWave{{Name: "first", Operation: patch.Install, Planned: 1},
				{Name: "second", Operation: patch.Install}}
			s.Index.Waves = append(before, s.Index.Waves...)
			s.StoreIndex(true)
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Digest = s.Index.Digest })
			for i, w := range before {
				if v := test.verdicts[i]; v != "" {
					s.Table.Put(store.WaveKey(site.Run, w.Name), store.WaveRow{Wave: w.Name, Verdict: v})
				}
			}
			_, err := s.Send()
			if test.sent {
				require.NoError(t, err)
				assert.Len(t, s.Sent, 2)
				return
			}
			assert.Equal(t, patch.ErrTampered, patch.KindOf(err))
			assert.Empty(t, s.Sent)
			assert.Empty(t, s.Intents())
		})
	}
}

// A plan that is not byte for byte the one that was approved is not sent.
func TestSend_tamperedPlan(t *testing.T) {
	for name, data := range map[string][]byte{"changed": []byte(`{"instances":[{"id":"i-evil"}]}`), "gone": nil} {
		s := site.New(t, 2)
		if data == nil {
			delete(s.Bucket.Objects, store.LeafObject(s.Target))
		} else {
			s.Bucket.Objects[store.LeafObject(s.Target)] = data
		}
		_, err := s.Send()
		assert.Equal(t, patch.ErrTampered, patch.KindOf(err), name)
		assert.Empty(t, s.Sent, name)
	}
}

// What changed since the plan is left out; nothing is added.
func TestSend_recheckOnlyRemoves(t *testing.T) {
	s := site.New(t, 5)
	s.SSM.Known[site.Instance(0)] = port.Machine{State: "running", Tags: map[string]string{plan.ExclusionTag: "yes"}}
	s.SSM.Known[site.Instance(1)] = port.Machine{State: "stopped"}
	delete(s.SSM.Known, site.Instance(2))
	s.SSM.Managed[site.Instance(3)] = port.Agent{}
	s.SendAll()
	assert.Equal(t, map[patch.InstanceID]int{site.Instance(4): 1}, s.SentTimes())
	reasons := map[patch.InstanceID]outcome.Reason{}
	for _, in := range s.Intents() {
		for _, skip := range in.Skipped {
			reasons[skip.ID] = skip.Reason
		}
	}
	assert.Equal(t, map[patch.InstanceID]outcome.Reason{
		site.Instance(0): outcome.ReasonOptedOut, site.Instance(1): outcome.ReasonOffline,
		site.Instance(2): outcome.ReasonOffline, site.Instance(3): outcome.ReasonOffline,
	}, reasons)
	assert.Equal(t, 4, s.Row().Skipped)
}

func TestSend_lease(t *testing.T) {
	key := store.LeaseKey("111111111111", "us-east-1")
	other := func(s *site.Site, expires time.Duration) {
		s.Table.Put(key, target.Lease{Versioned: store.Versioned{Version: 4}, Run: "other", Wave: "v", Fence: 7,
			Expires: s.Now.Add(expires)})
	}
	t.Run("busy: waits, then gives up", func(t *testing.T) {
		s := site.New(t, 2)
		other(s, time.Hour)
		for range 16 {
			assert.Equal(t, target.Answer{Next: patch.NextWait, Seconds: 120, Waited: s.Waited() + 120}, s.Must(s.Send()))
			s.Now = s.Now.Add(2 * time.Minute)
		}
		assert.Equal(t, patch.NextVerify, s.Must(s.Send()).Next)
		assert.Equal(t, outcome.ReasonLease, s.Row().Closed)
		assert.Empty(t, s.Sent)
	})
	t.Run("left by a dead run without a target: taken over", func(t *testing.T) {
		s := site.New(t, 2)
		other(s, -time.Second)
		s.SendAll()
		assert.Len(t, s.Sent, 2)
		assert.Equal(t, "LeaseTakenOver", s.Actions()[0])
		assert.Equal(t, 8, s.Row().Fence, "the fence only grows")
		assert.Empty(t, s.SSM.Cancels)
	})
	t.Run("lost to another run: nothing more is sent", func(t *testing.T) {
		s := site.New(t, 4, site.Serial)
		s.Must(s.Send())
		sent := len(s.Sent)
		other(s, time.Hour)
		site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Open = nil })
		s.Must(s.Send())
		assert.Equal(t, outcome.ReasonLease, s.Row().Closed)
		assert.Len(t, s.Sent, sent)
	})
	t.Run("the fence moved between look and intent", func(t *testing.T) {
		s := site.New(t, 1)
		s.Table.Fail = func(writes []store.Write) error {
			for _, w := range writes {
				if w.How == store.Create && w.Key == store.SendKey(s.Target, 1) {
					other(s, time.Hour)
				}
			}
			return nil
		}
		_, err := s.Send()
		assert.ErrorIs(t, err, patch.ErrConflict)
		assert.Empty(t, s.Sent)
	})
}

// An account that lets us in no more closes its target.
func TestSend_lockedAccount(t *testing.T) {
	s := site.New(t, 2)
	s.Locked = site.Because(patch.ErrAccessDenied)
	assert.Equal(t, patch.NextVerify, s.Must(s.Send()).Next)
	assert.Equal(t, outcome.ReasonAccount, s.Row().Closed)

	again := site.New(t, 2)
	again.Locked = site.Because(patch.ErrThrottled)
	_, err := again.Send()
	assert.Equal(t, patch.ErrThrottled, patch.KindOf(err), "trouble that passes is tried again")
	assert.Empty(t, again.Row().Closed)
}

func TestSend_unknownTarget(t *testing.T) {
	s := site.New(t, 1)
	at := s.Target
	at.Region = "eu-west-1"
	_, err := s.Sender().Handle(t.Context(), target.TargetInput{Target: at})
	assert.Equal(t, patch.ErrInternal, patch.KindOf(err))
}

// A sender that read that the run goes on, and writes after it was ended, sends
// nothing: the transaction carries what it read as a condition.
func TestSend_lateSenderSendsNothing(t *testing.T) {
	ends := []struct {
		name   string
		end    func(s *site.Site)
		closed outcome.Reason
	}{
		{"the run was closed", func(s *site.Site) {
			site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Status = patch.RunFailed })
		}, outcome.ReasonStopped},
		{"the run was aborted", func(s *site.Site) {
			s.Table.Put(store.AbortKey(site.Run), store.Abort{Reason: "enough"})
		}, outcome.ReasonAbort},
		{"the wave was judged", func(s *site.Site) {
			site.Edit(s, store.WaveKey(site.Run, "w"), func(w *store.WaveRow) { w.Verdict = patch.VerdictStop })
		}, outcome.ReasonStopped},
	}
	for _, end := range ends {
		for i, name := range []string{"before the lease", "before the intent"} {
			t.Run(end.name+" "+name, func(t *testing.T) {
				s := site.New(t, 2)
				writes := 0
				s.Table.Fail = func([]store.Write) error {
					if writes++; writes == i+1 {
						end.end(s)
					}
					return nil
				}
				a, err := s.Send()
				if i == 0 {
					require.NoError(t, err)
					assert.Equal(t, patch.NextWait, a.Next, "as if another run were in the way")
				} else {
					assert.ErrorIs(t, err, patch.ErrConflict, "the state machine tries again")
				}
				assert.Empty(t, s.Sent)
				assert.Empty(t, s.Intents())
				assert.NotContains(t, s.Actions(), "SendCommand")
				assert.Equal(t, patch.NextVerify, s.SendAll().Next)
				assert.Empty(t, s.Sent)
				assert.Equal(t, end.closed, s.Row().Closed)
			})
		}
	}
}

// A redrive may count the machine's waits from nothing again: the window begins
// anew then, and is no longer for that.
func TestSend_lostBeforeARedrive(t *testing.T) {
	s := site.New(t, 1)
	s.Now = s.Now.Add(2 * time.Hour)
	s.Answers = []site.Answer{{Err: site.ErrNoAnswer}}
	require.Equal(t, 30, s.Must(s.Send()).Seconds)
	s.Began = s.Now
	assert.Equal(t, patch.NextWait, s.Must(s.Send()).Next)
	s.Now = s.Now.Add(209 * time.Second)
	s.Must(s.Send())
	assert.Equal(t, []int{1}, s.Row().Doubts)
	s.Now = s.Now.Add(time.Second)
	s.SendAll()
	assert.Len(t, s.Sent, 1)
	assert.True(t, s.Intents()[0].Sends[0].Lost)
}

// A target that starts slowly begins with a tenth, and goes on with four times what ended well.
func TestSend_slowStart(t *testing.T) {
	s := site.New(t, 100, func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		l.Concurrency, l.SlowStart = 40, true
	})
	s.SendAll()
	assert.Len(t, s.Sent, 4)
	for i := range 4 {
		s.Finish(i+1, "Failed")
	}
	s.Now = s.Now.Add(time.Minute)
	assert.Equal(t, patch.NextSend, s.Must(s.Poll()).Next)
	s.SendAll()
	assert.Len(t, s.Sent, 8, "failures open nothing")
	for i := range 4 {
		s.Finish(i+5, "Success")
	}
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Poll())
	s.SendAll()
	assert.Equal(t, 16, s.Row().InFlight())
	s.AllEnded("Success")
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Poll())
	s.SendAll()
	assert.Equal(t, 40, s.Row().InFlight())
}

// The failures of one account that count it as failed stop the senders of another.
func TestSend_accountsOver(t *testing.T) {
	limits := func(_ *plan.Leaf, _ *target.TargetRow, w *store.WaveRow, _ *store.RunRow) {
		w.AccountsMax, w.FailLimit, w.PerAccount = 0, 100, patch.Threshold{Value: 10, Percent: true}
	}
	s := site.New(t, 20, limits, wide(5))
	s.SendAll()
	for i := range 3 {
		s.Finish(i+1, "Failed")
	}
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Poll())
	assert.Equal(t, 1, s.Counters().AccountsOver)

	other := s.Another("222222222222", "us-east-1")
	assert.Equal(t, patch.NextVerify, other.Must(other.Send()).Next)
	assert.Equal(t, outcome.ReasonBudget, other.Row().Closed)
	assert.Empty(t, other.Sent)
}
