package task_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// An event of an end that comes after a redrive, or before the end can be seen,
// changes nothing: the execution goes on under the same name, and its own end will
// be told. Step Functions may only be late to show the end, so Lambda looks again.
func TestClose_executionGoesOn(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send())
	s.running = true
	before := s.table.snapshot()
	_, err := s.verifier().Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "FAILED"})
	require.ErrorIs(t, err, patch.ErrUnavailable)
	out, err := s.verifier().Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "MISSED"})
	require.NoError(t, err)
	assert.Equal(t, "done", out.(task.ReportOutput).Next)
	assert.Equal(t, before, s.table.snapshot())
	assert.Empty(t, s.spoke.cancels)
}

// What a closed run had at work is cancelled again, whether or not its execution
// was redriven since: that sends nothing.
func TestClose_again(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send())
	_, first := s.report(task.VerifyInput{Task: "close", Status: "FAILED"})
	s.running = true
	out, err := s.verifier().Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "FAILED"})
	require.NoError(t, err)
	assert.Equal(t, task.ReportOutput{Next: "done", Status: first.Status}, out)
	assert.Equal(t, []string{"cmd-1 []"}, slices.Compact(s.spoke.cancels))
}

// A send whose answer was lost is cancelled too, if SSM lists it by now; if it
// does not, the lease keeps its marker for whoever takes it over.
func TestClose_pendingSend(t *testing.T) {
	for _, listed := range []bool{true, false} {
		s := newSite(t, 1)
		s.answers = []answer{{id: "cmd-7", err: errNoAnswer}}
		s.must(s.send())
		marker := s.sent[0].Marker
		if !listed {
			delete(s.spoke.markers, marker)
		}
		s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
		var lease patch.Lease
		s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
		assert.Equal(t, marker, lease.Marker)
		assert.False(t, s.now.Before(lease.Expires), "nobody has to wait for it")
		if listed {
			assert.Equal(t, []string{"cmd-7 []"}, s.spoke.cancels)
			assert.Contains(t, s.actions(), "CancelCommand")
		} else {
			assert.Empty(t, s.spoke.cancels)
			assert.NotContains(t, s.actions(), "CancelCommand", "nothing was cancelled")
		}
	}
}

// A run whose plan somebody has removed or edited is brought to its end all the
// same: its commands are cancelled, its lease runs out, and its report says so.
func TestClose_planLost(t *testing.T) {
	tests := []struct {
		name    string
		lose    func(s *site)
		planned int
	}{
		{"removed", func(s *site) { delete(s.bucket.localObjects, patch.IndexObject(siteRun)) }, 6},
		{"no plan at all", func(s *site) { s.bucket.localObjects[patch.IndexObject(siteRun)] = []byte("x") }, 6},
		{"another one, sealed", func(s *site) {
			s.index.Waves[0].Targets[0].Planned = 1
			s.storeIndex(true)
		}, 6},
		{"index and leaf removed", func(s *site) {
			delete(s.bucket.localObjects, patch.IndexObject(siteRun))
			delete(s.bucket.localObjects, patch.LeafObject(s.target))
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, 6, serial)
			s.must(s.send()) // two of six
			test.lose(s)
			out, r := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
			assert.Equal(t, "done", out.Next)
			assert.Equal(t, patch.RunFailed, r.Status)
			assert.Contains(t, r.StatusReason, "is not the plan that was frozen")
			assert.Contains(t, r.StatusReason, "stopped by hand")
			assert.Len(t, r.Instances, test.planned)
			assert.Equal(t, []string{"cmd-1 []"}, s.spoke.cancels)
			var lease patch.Lease
			s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
			assert.False(t, s.now.Before(lease.Expires), "nobody has to wait for it")
			var run patch.RunRow
			s.load(patch.RunKey(siteRun), &run)
			assert.Equal(t, patch.RunFailed, run.Status)
			assert.Equal(t, s.now, run.Ended)
		})
	}
}

// A run that was closed and whose execution is redriven sends nothing more, asks
// nobody, and goes straight to the report that stands.
func TestClose_thenRedriven(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send()) // two of six
	_, written := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	s.running = true
	s.ended(1, "Success", "Success")
	s.now = s.now.Add(20 * time.Minute)

	next := "send"
	for range 20 {
		switch next {
		case "send":
			next = s.must(s.send()).Next
		case "wait":
			s.now = s.now.Add(5 * time.Minute)
			next = s.must(s.poll()).Next
		}
	}
	assert.Equal(t, "verify", next)
	s.verified()
	assert.Len(t, s.sent, 1, "nothing more is sent")
	out := s.judge()
	assert.Equal(t, "stop", out.Next)
	assert.Empty(t, s.wave().Verdict, "nobody judges a closed run")
	told, r := s.report(task.VerifyInput{Task: "report", Failure: task.Failure{Error: string(patch.ErrWaveStopped)}})
	assert.Equal(t, "done", told.Next)
	assert.Equal(t, patch.RunAborted, told.Status)
	assert.Contains(t, told.Cause, "stopped by hand")
	assert.Equal(t, written, r, "a report is written once")
}

// A closed run is not frozen by a redrive that comes back to its plan.
func TestFreeze_closed(t *testing.T) {
	s := discovered(t, "")
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) {
		r.Status, r.StatusReason, r.Ended = patch.RunAborted, "the execution was stopped by hand", s.now
	})
	_, err := s.freeze()
	require.ErrorIs(t, err, patch.ErrRefused)
	assert.ErrorContains(t, err, "stopped by hand")
	assert.Empty(t, s.run().Digest)
	assert.NotContains(t, s.bucket.localObjects, patch.IndexObject(siteRun))
}

// locked is a bucket whose plans cannot be read.
type locked struct{ *bucket }

func (l locked) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	if key == patch.IndexObject(siteRun) {
		return nil, false, patch.ErrAccessDenied
	}
	return l.bucket.Fetch(ctx, key)
}

// A close that cannot read the plan fails, and is called again. What is at work is
// cancelled all the same, and the lease let go.
func TestClose_planLocked(t *testing.T) {
	s := newSite(t, 6, serial)
	s.must(s.send())
	v := s.verifier()
	v.Objects = locked{s.bucket}
	_, err := v.Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "ABORTED"})
	require.ErrorIs(t, err, patch.ErrAccessDenied)
	assert.Equal(t, []string{"cmd-1 []"}, s.spoke.cancels)
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.False(t, s.now.Before(lease.Expires))
}
