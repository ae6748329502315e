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

// left makes the account-region look as a dead run has left it: three commands that were sent a minute ago.
func left(t *testing.T, change func(s *site, old *patch.TargetRow, in *patch.Intent)) *site {
	t.Helper()
	s := newSite(t, 2)
	s.now = s.now.Add(24 * time.Hour)
	t0 := s.now.Add(-time.Minute)
	old := s.target
	old.Run, old.Wave = "other", "v"
	in := patch.Intent{Batch: 7, Marker: patch.Marker(old, 7), TimeoutSeconds: 7200, Written: t0, Settled: true}
	row := patch.TargetRow{Status: patch.TargetPatching, Batches: 7}
	for i := range 3 {
		id := patch.CommandID(fmt.Sprintf("old-%d", i))
		in.IDs = append(in.IDs, instance(i))
		in.Sends = append(in.Sends, patch.Sent{Command: id, At: t0})
		row.Hold(7, i)
		s.spoke.commands[id] = &ssmCommand{instance: instance(i), marker: patch.SendMarker(in.Marker, i), at: t0, status: "InProgress"}
	}
	change(s, &row, &in)
	s.table.put(patch.TargetKey(old), row)
	s.table.put(patch.SendKey(old, 7), in)
	s.table.put(patch.LeaseKey(s.target.Account, s.target.Region), patch.Lease{
		Versioned: patch.Versioned{Version: 4}, Run: "other", Wave: "v", Fence: 7, Expires: s.now.Add(-time.Second),
	})
	return s
}

// waits tells how long a target waits for the account-region until it sends, if it does so within the time.
func (s *site) waits(limit time.Duration) (time.Duration, bool) {
	s.t.Helper()
	from := s.now
	for s.now.Sub(from) < limit {
		a := s.must(s.send())
		if len(s.sent) > 0 {
			return s.now.Sub(from), true
		}
		if a.Next == "verify" {
			return s.now.Sub(from), false
		}
		s.now = s.now.Add(time.Duration(a.Seconds) * time.Second)
	}
	return limit, false
}

func TestLease_takeOver(t *testing.T) {
	none := func(*site, *patch.TargetRow, *patch.Intent) {}
	all := func(s *site, f func(c *ssmCommand)) {
		for _, c := range s.spoke.commands {
			f(c)
		}
	}
	const deadline = 2*time.Hour + 5*time.Minute
	tests := []struct {
		name    string
		left    func(s *site, old *patch.TargetRow, in *patch.Intent)
		cancels []string      // of the first look
		waits   time.Duration // about as long as the taker waits
	}{
		{"all have ended", func(s *site, _ *patch.TargetRow, _ *patch.Intent) {
			all(s, func(c *ssmCommand) { c.status = "Success" })
		}, nil, 0},
		{"the rows say that all have ended", func(_ *site, old *patch.TargetRow, _ *patch.Intent) { old.Open = nil }, nil, 0},
		{"what runs within its time is waited for", none, nil, deadline},
		{"no list ends it", func(s *site, _ *patch.TargetRow, in *patch.Intent) {
			all(s, func(c *ssmCommand) { c.unshown = true })
			in.Sends[0].At = s.now.Add(-time.Hour)
			s.spoke.commands["old-1"].status, s.spoke.commands["old-2"].status = "Success", "Success"
		}, nil, deadline - time.Hour},
		{"nor does a missing invocation", func(s *site, _ *patch.TargetRow, _ *patch.Intent) { all(s, func(c *ssmCommand) { c.unlisted = true }) }, nil, deadline},
		{"what no agent has taken is cancelled", func(s *site, _ *patch.TargetRow, _ *patch.Intent) {
			s.spoke.commands["old-1"].status, s.spoke.commands["old-2"].status = "Pending", "Delayed"
		}, []string{"old-1", "old-2"}, deadline},
		{"what is past its deadline is cancelled, and left five minutes later", func(s *site, _ *patch.TargetRow, in *patch.Intent) {
			for i := range in.Sends {
				in.Sends[i].At = s.now.Add(-2 * time.Hour)
			}
		}, []string{"old-0", "old-1", "old-2"}, 5 * time.Minute},
		{"a send in mid-step is looked for", func(_ *site, old *patch.TargetRow, in *patch.Intent) {
			old.Pending, old.Open = 7, nil
			in.Settled, in.Sends = false, nil
		}, nil, deadline},
		{"one that may still be listed is waited for", func(s *site, old *patch.TargetRow, in *patch.Intent) {
			old.Pending, old.Open = 7, nil
			in.Settled, in.Sends = false, nil
			all(s, func(c *ssmCommand) { c.unmarked = true })
		}, nil, 150 * time.Second},
		{"so is one in doubt", func(s *site, old *patch.TargetRow, in *patch.Intent) {
			in.Sends[1].Command = ""
			old.Doubts = []int{7}
			all(s, func(c *ssmCommand) { c.status = "Success" })
			s.spoke.commands["old-1"].unmarked = true
		}, nil, 150 * time.Second},
		{"one that was given up is not", func(s *site, _ *patch.TargetRow, in *patch.Intent) {
			in.Sends[1] = patch.Sent{Lost: true}
			all(s, func(c *ssmCommand) { c.status = "Success" })
		}, nil, 0},
		{"what was refused or not tried is not", func(s *site, old *patch.TargetRow, in *patch.Intent) {
			in.Sends = []patch.Sent{in.Sends[0], {Refused: string(patch.ErrAccessDenied)}}
			old.Open = nil
			old.Hold(7, 0)
			s.spoke.commands["old-0"].status = "Success"
		}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := left(t, test.left)
			s.spoke.cancelled = kind(patch.ErrInvalidInstance) // whatever it answers
			s.must(s.send())
			var cancels []string
			for _, id := range test.cancels {
				cancels = append(cancels, id+"/"+string(s.spoke.commands[patch.CommandID(id)].instance))
			}
			assert.Equal(t, cancels, s.spoke.cancels)
			assert.Equal(t, len(cancels) > 0, s.countOf("CancelCommand") > 0)
			waited, sent := s.waits(6 * time.Hour)
			require.True(t, sent, "closed: %s", s.row().Closed)
			assert.InDelta(t, test.waits.Seconds(), waited.Seconds(), 130)
			assert.Equal(t, 8, s.row().Fence, "the fence only grows")
			assert.Equal(t, 1, s.countOf("LeaseTakenOver"))
		})
	}
}

// A former wave of the same run has given its target up: what it left is followed at once.
func TestLease_formerWave(t *testing.T) {
	s := left(t, func(s *site, row *patch.TargetRow, in *patch.Intent) {
		old := s.target
		old.Wave = "former"
		s.table.put(patch.TargetKey(old), *row)
		s.table.put(patch.SendKey(old, 7), *in)
	})
	s.table.put(patch.LeaseKey(s.target.Account, s.target.Region), patch.Lease{
		Versioned: patch.Versioned{Version: 4}, Run: siteRun, Wave: "former", Fence: 7, Expires: s.now.Add(time.Hour),
	})
	s.must(s.send())
	assert.Empty(t, s.sent)
	s.allEnded("Success")
	s.sendAll()
	assert.Len(t, s.sent, 2)
}

// A dead run that had thousands at work costs each look a bounded number of reads.
func TestLease_manyLeft(t *testing.T) {
	s := left(t, func(s *site, old *patch.TargetRow, in *patch.Intent) {
		in.IDs, in.Sends, old.Open = nil, nil, nil
		s.spoke.commands = map[patch.CommandID]*ssmCommand{}
		for i := range 1000 {
			id := patch.CommandID(fmt.Sprintf("old-%d", i))
			in.IDs = append(in.IDs, patch.InstanceID(fmt.Sprintf("i-%d", i)))
			in.Sends = append(in.Sends, patch.Sent{Command: id, At: in.Written})
			old.Hold(7, i)
			s.spoke.commands[id] = &ssmCommand{instance: in.IDs[i], at: in.Written, status: "InProgress"}
		}
	})
	s.must(s.send())
	assert.Len(t, s.spoke.reads, 400)
	assert.Empty(t, s.spoke.cancels)
	waited, sent := s.waits(6 * time.Hour)
	assert.True(t, sent)
	assert.InDelta(t, (2*time.Hour + 5*time.Minute).Seconds(), waited.Seconds(), 130)
}

// A run that still lives keeps its lease, whatever it has at work.
func TestLease_alive(t *testing.T) {
	s := left(t, func(*site, *patch.TargetRow, *patch.Intent) {})
	edit(s, patch.LeaseKey(s.target.Account, s.target.Region), func(l *patch.Lease) { l.Expires = s.now.Add(10 * time.Hour) })
	waited, sent := s.waits(6 * time.Hour)
	assert.False(t, sent)
	assert.InDelta(t, (30 * time.Minute).Seconds(), waited.Seconds(), 130)
	assert.Equal(t, patch.ReasonLease, s.row().Closed)
	assert.Empty(t, s.spoke.cancels)
	assert.Equal(t, task.Answer{Next: "verify"}, task.Answer{Next: s.must(s.send()).Next})
}
