package target_test

import (
	"fmt"
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

// left makes the account-region look as a dead run has left it: three commands that were sent a minute ago.
func left(t *testing.T, change func(s *site.Site, old *target.TargetRow, in *target.Intent)) *site.Site {
	t.Helper()
	s := site.New(t, 2)
	s.Now = s.Now.Add(24 * time.Hour)
	t0 := s.Now.Add(-time.Minute)
	old := s.Target
	old.Run, old.Wave = "other", "v"
	in := target.Intent{Batch: 7, Marker: plan.Marker(old, 7), TimeoutSeconds: 7200, Written: t0, Settled: true}
	row := target.TargetRow{Status: target.TargetPatching, Batches: 7}
	for i := range 3 {
		id := patch.CommandID(fmt.Sprintf("old-%d", i))
		in.IDs = append(in.IDs, site.Instance(i))
		in.Sends = append(in.Sends, target.Sent{Command: id, At: t0})
		row.Hold(7, i)
		s.SSM.Commands[id] = &site.Sent{Instance: site.Instance(i), Marker: plan.SendMarker(in.Marker, i), At: t0,
			Status: "InProgress"}
	}
	change(s, &row, &in)
	s.Table.Put(store.TargetKey(old), row)
	s.Table.Put(store.SendKey(old, 7), in)
	s.Table.Put(store.LeaseKey(s.Target.Account, s.Target.Region), target.Lease{
		Versioned: store.Versioned{Version: 4}, Run: "other", Wave: "v", Fence: 7, Expires: s.Now.Add(-time.Second),
	})
	return s
}

func TestLease_takeOver(t *testing.T) {
	none := func(*site.Site, *target.TargetRow, *target.Intent) {}
	all := func(s *site.Site, f func(c *site.Sent)) {
		for _, c := range s.SSM.Commands {
			f(c)
		}
	}
	const deadline = 2*time.Hour + 5*time.Minute
	tests := []struct {
		name    string
		left    func(s *site.Site, old *target.TargetRow, in *target.Intent)
		cancels []string      // of the first look
		waits   time.Duration // about as long as the taker waits
	}{
		{"all have ended", func(s *site.Site, _ *target.TargetRow, _ *target.Intent) {
			all(s, func(c *site.Sent) { c.Status = "Success" })
		}, nil, 0},
		{"the rows say that all have ended", func(_ *site.Site, old *target.TargetRow, _ *target.Intent) {
			old.Open = nil
		}, nil, 0},
		{"what runs within its time is waited for", none, nil, deadline},
		{"no list ends it", func(s *site.Site, _ *target.TargetRow, in *target.Intent) {
			all(s, func(c *site.Sent) { c.Unshown = true })
			in.Sends[0].At = s.Now.Add(-time.Hour)
			s.SSM.Commands["old-1"].Status, s.SSM.Commands["old-2"].Status = "Success", "Success"
		}, nil, deadline - time.Hour},
		{"nor does a missing invocation", func(s *site.Site, _ *target.TargetRow, _ *target.Intent) {
			all(s, func(c *site.Sent) { c.Unlisted = true })
		}, nil, deadline},
		{"what no agent has taken is cancelled", func(s *site.Site, _ *target.TargetRow, _ *target.Intent) {
			s.SSM.Commands["old-1"].Status, s.SSM.Commands["old-2"].Status = "Pending", "Delayed"
		}, []string{"old-1", "old-2"}, deadline},
		{"what is past its deadline is cancelled, and left five minutes later",
			func(s *site.Site, _ *target.TargetRow, in *target.Intent) {
				for i := range in.Sends {
					in.Sends[i].At = s.Now.Add(-2 * time.Hour)
				}
			}, []string{"old-0", "old-1", "old-2"}, 5 * time.Minute},
		{"a send in mid-step is looked for", func(_ *site.Site, old *target.TargetRow, in *target.Intent) {
			old.Pending, old.Open = 7, nil
			in.Settled, in.Sends = false, nil
		}, nil, deadline},
		{"one that may still be listed is waited for", func(s *site.Site, old *target.TargetRow, in *target.Intent) {
			old.Pending, old.Open = 7, nil
			in.Settled, in.Sends = false, nil
			all(s, func(c *site.Sent) { c.Unmarked = true })
		}, nil, 150 * time.Second},
		{"so is one in doubt", func(s *site.Site, old *target.TargetRow, in *target.Intent) {
			in.Sends[1].Command = ""
			old.Doubts = []int{7}
			all(s, func(c *site.Sent) { c.Status = "Success" })
			s.SSM.Commands["old-1"].Unmarked = true
		}, nil, 150 * time.Second},
		{"one that was given up is not", func(s *site.Site, _ *target.TargetRow, in *target.Intent) {
			in.Sends[1] = target.Sent{Lost: true}
			all(s, func(c *site.Sent) { c.Status = "Success" })
		}, nil, 0},
		{"what was refused or not tried is not", func(s *site.Site, old *target.TargetRow, in *target.Intent) {
			in.Sends = []target.Sent{in.Sends[0], {Refused: string(patch.ErrAccessDenied)}}
			old.Open = nil
			old.Hold(7, 0)
			s.SSM.Commands["old-0"].Status = "Success"
		}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := left(t, test.left)
			s.SSM.Cancelled = site.Because(patch.ErrInvalidInstance) // whatever it answers
			s.Must(s.Send())
			var cancels []string
			for _, id := range test.cancels {
				cancels = append(cancels, id+"/"+string(s.SSM.Commands[patch.CommandID(id)].Instance))
			}
			assert.Equal(t, cancels, s.SSM.Cancels)
			assert.Equal(t, len(cancels) > 0, s.CountOf("CancelCommand") > 0)
			waited, sent := s.Waits(6 * time.Hour)
			require.True(t, sent, "closed: %s", s.Row().Closed)
			assert.InDelta(t, test.waits.Seconds(), waited.Seconds(), 130)
			assert.Equal(t, 8, s.Row().Fence, "the fence only grows")
			assert.Equal(t, 1, s.CountOf("LeaseTakenOver"))
		})
	}
}

// A former wave of the same run has given its target up: what it left is followed at once.
func TestLease_formerWave(t *testing.T) {
	s := left(t, func(s *site.Site, row *target.TargetRow, in *target.Intent) {
		old := s.Target
		old.Wave = "former"
		s.Table.Put(store.TargetKey(old), *row)
		s.Table.Put(store.SendKey(old, 7), *in)
	})
	s.Table.Put(store.LeaseKey(s.Target.Account, s.Target.Region), target.Lease{
		Versioned: store.Versioned{Version: 4}, Run: site.Run, Wave: "former", Fence: 7, Expires: s.Now.Add(time.Hour),
	})
	s.Must(s.Send())
	assert.Empty(t, s.Sent)
	s.AllEnded("Success")
	s.SendAll()
	assert.Len(t, s.Sent, 2)
}

// A dead run that had thousands at work costs each look a bounded number of reads.
func TestLease_manyLeft(t *testing.T) {
	s := left(t, func(s *site.Site, old *target.TargetRow, in *target.Intent) {
		in.IDs, in.Sends, old.Open = nil, nil, nil
		s.SSM.Commands = map[patch.CommandID]*site.Sent{}
		for i := range 1000 {
			id := patch.CommandID(fmt.Sprintf("old-%d", i))
			in.IDs = append(in.IDs, patch.InstanceID(fmt.Sprintf("i-%d", i)))
			in.Sends = append(in.Sends, target.Sent{Command: id, At: in.Written})
			old.Hold(7, i)
			s.SSM.Commands[id] = &site.Sent{Instance: in.IDs[i], At: in.Written, Status: "InProgress"}
		}
	})
	s.Must(s.Send())
	assert.Len(t, s.SSM.Reads, 400)
	assert.Empty(t, s.SSM.Cancels)
	waited, sent := s.Waits(6 * time.Hour)
	assert.True(t, sent)
	assert.InDelta(t, (2*time.Hour + 5*time.Minute).Seconds(), waited.Seconds(), 130)
}

// A run that still lives keeps its lease, whatever it has at work.
func TestLease_alive(t *testing.T) {
	s := left(t, func(*site.Site, *target.TargetRow, *target.Intent) {})
	site.Edit(s, store.LeaseKey(s.Target.Account, s.Target.Region), func(l *target.Lease) {
		l.Expires = s.Now.Add(10 * time.Hour)
	})
	waited, sent := s.Waits(6 * time.Hour)
	assert.False(t, sent)
	assert.InDelta(t, (30 * time.Minute).Seconds(), waited.Seconds(), 130)
	assert.Equal(t, outcome.ReasonLease, s.Row().Closed)
	assert.Empty(t, s.SSM.Cancels)
	assert.Equal(t, target.Answer{Next: patch.NextVerify}, target.Answer{Next: s.Must(s.Send()).Next})
}
