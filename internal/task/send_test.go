package task_test

import (
	"context"
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
	assert.Equal(t, map[patch.InstanceID]int{instance(0): 1, instance(1): 1, instance(2): 1}, s.sentTimes())
	c := s.sent[0]
	assert.Equal(t, patch.Install, c.Operation)
	assert.Equal(t, patch.RebootIfNeeded, c.RebootOption)
	assert.Equal(t, s.leaf.SnapshotID, c.SnapshotID)
	assert.Equal(t, patch.Marker(s.target, 1), c.Marker)
	assert.Equal(t, 3, s.counters().Sent)
	row := s.row()
	assert.Equal(t, patch.TargetPatching, row.Status)
	assert.Equal(t, 3, row.Sent)
	assert.Len(t, row.Open, len(s.sent))
	assert.Equal(t, s.now, row.FirstSent)
	assert.Equal(t, "LeaseTaken", s.actions()[0])
	assert.Equal(t, "SendCommand", s.actions()[1])
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.Equal(t, siteRun, lease.Run)
	assert.Equal(t, 1, lease.Fence)
	assert.Equal(t, s.now.Add(patch.LeaseTerm), lease.Expires)
}

// The intent and the audit entry are durable before the call is made.
func TestSend_writesBeforeItSends(t *testing.T) {
	s := newSite(t, 2)
	sender := s.sender()
	checked := false
	sender.Sender = senderFunc(func(c task.Command) (patch.CommandID, error) {
		checked = true
		require.Len(t, s.intents(), 1)
		in := s.intents()[0]
		assert.Equal(t, c.Marker, in.Marker)
		assert.Equal(t, c.IDs, in.IDs)
		assert.Empty(t, in.CommandID)
		assert.Contains(t, s.actions(), "SendCommand")
		return "cmd-1", nil
	})
	_, err := sender.Handle(t.Context(), task.TargetInput{Target: s.target})
	require.NoError(t, err)
	assert.True(t, checked)
}

type senderFunc func(task.Command) (patch.CommandID, error)

func (f senderFunc) Send(_ context.Context, _ patch.Target, c task.Command) (patch.CommandID, error) {
	return f(c)
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

// A refusal that names an instance is halved until the one that SSM does not
// take stands alone; all others are sent once.
func TestSend_bisects(t *testing.T) {
	s := newSite(t, 8, narrow)
	bad := instance(2)
	sender := s.sender()
	accepted := map[patch.InstanceID]int{}
	sender.Sender = senderFunc(func(c task.Command) (patch.CommandID, error) {
		for _, id := range c.IDs {
			if id == bad {
				return "", kind(patch.ErrInvalidInstance)
			}
		}
		for _, id := range c.IDs {
			accepted[id]++
		}
		return patch.CommandID("cmd-" + c.Marker), nil
	})
	for range 40 {
		a, err := sender.Handle(t.Context(), task.TargetInput{Target: s.target})
		require.NoError(t, err)
		if a.Next != "send" {
			break
		}
	}
	assert.Len(t, accepted, 7)
	for id, n := range accepted {
		assert.Equal(t, 1, n, "%s was accepted %d times", id, n)
	}
	assert.Zero(t, s.row().Waiting())
	assert.Zero(t, s.row().Failures, "a refusal is no failure")
}

// narrow sends in batches of many.
func narrow(leaf *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
	leaf.CommandTimeoutSeconds = 600
}

func TestSend_throttledIsQueuedAgain(t *testing.T) {
	s := newSite(t, 1)
	s.answers = []answer{{err: kind(patch.ErrThrottled)}}
	a := s.must(s.send())
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 30, Waited: 30}, a)
	assert.Equal(t, 1, s.row().Waiting())
	assert.Equal(t, string(patch.ErrThrottled), s.intents()[0].Rejected)
	s.now = s.now.Add(30 * time.Second)
	s.sendAll()
	require.Len(t, s.sent, 2)
	assert.NotEqual(t, s.sent[0].Marker, s.sent[1].Marker, "a new intent, a new marker")
	assert.Zero(t, s.row().Waiting())
}

func TestSend_refusedForGood(t *testing.T) {
	for _, k := range []patch.Kind{patch.ErrAccessDenied, patch.ErrRefusedCommand} {
		s := newSite(t, 3)
		s.answers = []answer{{err: kind(k)}}
		a := s.must(s.send())
		assert.Equal(t, "verify", a.Next)
		assert.Equal(t, patch.ReasonAccount, s.row().Closed)
		assert.Contains(t, s.row().Reason, "because")
		s.sendAll()
		assert.Len(t, s.sent, 1, "a closed target is not sent to")
	}
}

// Without an answer nobody knows: it is waited for, looked for by its marker,
// and never sent again.
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
			s := newSite(t, 1)
			s.answers = []answer{test.answer}
			assert.Equal(t, task.Answer{Next: "wait", Seconds: 210, Waited: 210}, s.must(s.send()))
			assert.Equal(t, 1, s.row().Pending)

			s.now = s.now.Add(30 * time.Second)
			assert.Equal(t, task.Answer{Next: "wait", Seconds: 180, Waited: 210}, s.must(s.send()), "SSM may need a while to show it")
			assert.Equal(t, task.Answer{Next: "send"}, s.must(s.poll()), "only the sender may look for what it sent")

			s.now = s.now.Add(180 * time.Second)
			s.sendAll()
			assert.Len(t, s.sent, 1, "sent twice")
			row := s.row()
			assert.Zero(t, row.Pending)
			assert.Equal(t, test.failures, row.Failures)
			in := s.intents()[0]
			assert.Equal(t, !test.adopted, in.Lost)
			if test.adopted {
				assert.Equal(t, test.answer.id, in.CommandID)
				assert.Equal(t, 1, s.counters().Sent)
				return
			}
			assert.Contains(t, s.actions(), "SendLost")
			assert.Equal(t, 1, s.counters().Failures)
			assert.Zero(t, row.Free(), "what is lost keeps its slot")
		})
	}
}

// The process dies at any write, before or after its effect, and is started
// again: no instance is ever in two sends.
func TestSend_diesAnywhere(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := range 12 {
			s := newSite(t, 4, narrow)
			n := 0
			strike := func([]task.Write) error {
				n++
				if n == at+1 {
					return errors.New("the process died")
				}
				return nil
			}
			if after {
				s.table.lose = strike
			} else {
				s.table.fail = strike
			}
			for range 60 {
				a, err := s.send()
				s.now = s.now.Add(time.Duration(a.Seconds) * time.Second)
				if err == nil && a.Next == "wait" && s.row().Pending == 0 && s.row().Waiting() == 0 {
					break
				}
			}
			for id, n := range s.sentTimes() {
				assert.Equal(t, 1, n, "write %d, after the effect %v: %s was sent %d times", at+1, after, id, n)
			}
			named := map[patch.InstanceID]int{}
			for _, in := range s.intents() {
				for _, id := range in.IDs {
					named[id]++
				}
				assert.True(t, in.CommandID != "" != in.Lost, "write %d, after %v: batch %d is neither sent nor lost", at+1, after, in.Batch)
			}
			assert.Len(t, named, 4, "write %d, after %v: an instance was forgotten", at+1, after)
			assert.GreaterOrEqual(t, len(s.sentTimes()), 3, "at most the batch in hand is given up")
			assert.NotEmpty(t, s.actions(), "the chain is whole")
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
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Failures = 5 })
		}, patch.ReasonBudget},
		{"the wave is over its budget", func(s *site) { s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{Failures: 5}) }, patch.ReasonBudget},
		{"the run is over its budget", func(s *site) {
			s.table.put(patch.CountersKey(siteRun, patch.WholeRun), patch.Counters{Failures: 5})
		}, patch.ReasonBudget},
		{"the account is over its budget", func(s *site) { s.table.put(patch.AccountCountersKey(s.target), patch.Counters{Failures: 5}) }, patch.ReasonBudget},
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
	fail := func(s *site, n int) { s.table.put(patch.AccountCountersKey(s.target), patch.Counters{Failures: n}) }
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
	s.table.put(patch.CountersKey(siteRun, "w"), patch.Counters{Failures: 4})
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
				assert.Len(t, s.sent, 1)
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
	s := newSite(t, 5, narrow)
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
	other := func(s *site, expires time.Duration, commands ...patch.CommandID) {
		s.table.put(key, patch.Lease{Versioned: patch.Versioned{Version: 4}, Run: "other", Fence: 7, Expires: s.now.Add(expires), Commands: commands})
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
	t.Run("left by a dead run: taken over", func(t *testing.T) {
		s := newSite(t, 2)
		other(s, -time.Second, "old-1")
		s.spoke.progress["old-1"] = task.Progress{Ended: true}
		s.sendAll()
		assert.NotEmpty(t, s.sent)
		assert.Equal(t, "LeaseTakenOver", s.actions()[0])
		assert.Equal(t, 8, s.row().Fence, "the fence only grows")
		assert.Empty(t, s.spoke.cancels)
	})
	t.Run("left with a send that nobody adopted: followed first", func(t *testing.T) {
		s := newSite(t, 2)
		s.table.put(key, patch.Lease{Versioned: patch.Versioned{Version: 4}, Run: "other", Fence: 7, Expires: s.now.Add(-time.Second), Marker: "old b3", MarkedAt: s.now.Add(-time.Minute)})
		s.must(s.send())
		assert.Empty(t, s.sent, "it may still appear")
		s.spoke.markers["old b3"] = "old-3"
		s.spoke.progress["old-3"] = task.Progress{Targets: 2}
		s.must(s.send())
		assert.Empty(t, s.sent)
		assert.Equal(t, []string{"old-3 []"}, s.spoke.cancels)
		s.spoke.progress["old-3"] = task.Progress{Ended: true, Targets: 2}
		s.sendAll()
		assert.NotEmpty(t, s.sent)
	})
	t.Run("left with a send that never came to anything: taken over when it can appear no more", func(t *testing.T) {
		s := newSite(t, 2)
		s.table.put(key, patch.Lease{Versioned: patch.Versioned{Version: 4}, Run: "other", Fence: 7, Expires: s.now.Add(-time.Second), Marker: "old b3", MarkedAt: s.now.Add(-4 * time.Minute)})
		s.sendAll()
		assert.NotEmpty(t, s.sent)
	})
	t.Run("left by a former wave of this run: followed first", func(t *testing.T) {
		s := newSite(t, 2)
		s.table.put(key, patch.Lease{Versioned: patch.Versioned{Version: 4}, Run: siteRun, Wave: "former", Fence: 7, Expires: s.now.Add(time.Hour), Commands: []patch.CommandID{"old-1"}})
		s.spoke.progress["old-1"] = task.Progress{Targets: 1}
		s.must(s.send())
		assert.Empty(t, s.sent)
		assert.Equal(t, []string{"old-1 []"}, s.spoke.cancels)
	})
	t.Run("left with a command at work: cancelled first", func(t *testing.T) {
		s := newSite(t, 2)
		other(s, -time.Second, "old-1")
		s.spoke.progress["old-1"] = task.Progress{}
		assert.Equal(t, "wait", s.must(s.send()).Next)
		assert.Empty(t, s.sent)
		assert.Equal(t, []string{"old-1 []"}, s.spoke.cancels)
		s.spoke.progress["old-1"] = task.Progress{Ended: true}
		s.sendAll()
		assert.NotEmpty(t, s.sent)
	})
	t.Run("lost to another run: nothing more is sent", func(t *testing.T) {
		s := newSite(t, 4, func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) { l.Concurrency = 1 })
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
	require.Equal(t, 210, s.must(s.send()).Seconds)
	s.began = s.now
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 210, Waited: 210}, s.must(s.send()))
	s.now = s.now.Add(210 * time.Second)
	s.sendAll()
	assert.Len(t, s.sent, 1)
	assert.True(t, s.intents()[0].Lost)
}
