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
	assert.Equal(t, []string{s.cut(1)}, slices.Compact(s.spoke.cancels))
}

// A send whose answer was lost is cancelled too, if SSM lists it by now; if it
// does not, the intent keeps its marker for whoever takes the lease over.
func TestClose_lostSend(t *testing.T) {
	for _, dies := range []bool{false, true} { // in mid-step; else it settles the send as a doubt
		for _, listed := range []bool{true, false} {
			s := newSite(t, 1)
			s.answers = []answer{{id: "cmd-7", err: errNoAnswer}}
			if dies {
				s.dieAtSettle()
			}
			_, err := s.send()
			require.Equal(t, dies, err != nil)
			s.table.fail = nil
			s.spoke.commands["cmd-7"].unmarked = !listed
			s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
			var lease patch.Lease
			s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
			assert.Equal(t, siteRun, lease.Run)
			assert.Equal(t, "w", lease.Wave)
			assert.False(t, s.now.Before(lease.Expires), "nobody has to wait for it")
			if listed {
				assert.Equal(t, []string{"cmd-7/" + string(instance(0))}, s.spoke.cancels)
				assert.Contains(t, s.actions(), "CancelCommand")
			} else {
				assert.Empty(t, s.spoke.cancels)
				assert.NotContains(t, s.actions(), "CancelCommand", "nothing was cancelled")
			}
		}
	}
}

// dieAtSettle lets the process die before the first step is settled.
func (s *site) dieAtSettle() {
	s.table.fail = func(writes []task.Write) error {
		for _, w := range writes {
			if w.How == task.Replace && w.Key == patch.SendKey(s.target, 1) {
				return patch.ErrUnavailable
			}
		}
		return nil
	}
}

// A close takes back what no agent has taken, and what is past its deadline. What runs is left to end, and so is what
// may run; whatever CancelCommand answers.
func TestClose_runningIsNotCut(t *testing.T) {
	s := newSite(t, 5)
	s.sendAll()
	in := s.intents()[0]
	in.Sends[3].At = s.began.Add(-2 * time.Hour)
	s.table.put(patch.SendKey(s.target, 1), in)
	s.ended(1, "InProgress")
	s.ended(2, "Success")
	s.ended(4, "InProgress")
	s.spoke.commands["cmd-5"].unlisted = true
	s.spoke.cancelled = kind(patch.ErrInvalidInstance)
	s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	assert.Equal(t, []string{s.cut(3), s.cut(4)}, s.spoke.cancels)
	_, cancels := s.lookedAt()
	assert.Equal(t, []patch.Cancel{
		{InstanceID: instance(2), Command: "cmd-3", Why: patch.ReasonAbort}, {InstanceID: instance(3), Command: "cmd-4", Why: patch.ReasonExpired},
	}, cancels)
}

// An account that does not answer keeps nobody from cancelling in the others, and none that lets nobody in
// keeps the run from its report.
func TestClose_oneAccountDoesNotAnswer(t *testing.T) {
	one := newSite(t, 2)
	two := one.another("222222222222", "us-east-1")
	one.sendAll()
	two.sendAll()
	v := one.verifier()
	v.Reports.Targets.Spokes = byAccount{one.target.Account: failing{kind(patch.ErrUnavailable)}, two.target.Account: two}
	_, err := v.Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "ABORTED"})
	require.ErrorIs(t, err, patch.ErrUnavailable)
	assert.Len(t, two.spoke.cancels, 2)
	v.Reports.Targets.Spokes = byAccount{one.target.Account: failing{kind(patch.ErrAccessDenied)}, two.target.Account: two}
	_, err = v.Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "ABORTED"})
	assert.NotErrorIs(t, err, patch.ErrAccessDenied)
	assert.Len(t, two.spoke.cancels, 4)
}

type byAccount map[patch.AccountID]task.Spokes

func (b byAccount) Spoke(ctx context.Context, t patch.Target) (task.Spoke, error) {
	return b[t.Account].Spoke(ctx, t)
}

type failing struct{ err error }

func (f failing) Spoke(context.Context, patch.Target) (task.Spoke, error) { return nil, f.err }

// Two waves of a run share the audit chain of an account-region: the former one is cancelled after the later has gone
// on with it.
func TestClose_chainOfLaterWave(t *testing.T) {
	s := newSite(t, 1)
	s.sendAll()
	for range 3 {
		edit(s, patch.TargetKey(s.target), func(*patch.TargetRow) {})
	}
	later := s.target
	later.Wave = "x"
	row := *s.row()
	entry, head := row.Audit.Append(patch.TargetChain(later), "send", "LeaseTakenOver", "fence 2", s.now)
	require.NoError(t, s.table.Write(t.Context(), task.Write{How: task.Audit, Key: entry.Key(), Item: entry}))
	s.table.put(patch.TargetKey(later), patch.TargetRow{Status: patch.TargetPatching, Audit: head})
	s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	assert.Equal(t, []string{s.cut(1)}, s.spoke.cancels)
	assert.Equal(t, []string{"LeaseTaken", "SendCommand", "LeaseTakenOver", "CancelCommand"}, s.actions())
}

// What a process that died in mid-step had sent is known by its journal.
func TestClose_journal(t *testing.T) {
	s := newSite(t, 4)
	s.refuse = map[patch.InstanceID]error{instance(1): kind(patch.ErrAccessDenied)}
	s.dieAtSettle()
	_, err := s.send()
	require.Error(t, err)
	s.table.fail = nil
	_, r := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	commands := map[patch.InstanceID]patch.CommandID{}
	for _, i := range r.Instances {
		commands[i.InstanceID] = i.CommandID
	}
	assert.Equal(t, map[patch.InstanceID]patch.CommandID{instance(0): "cmd-1", instance(1): "", instance(2): "cmd-3", instance(3): ""}, commands)
	assert.Equal(t, map[patch.Outcome]int{patch.Unknown: 3, patch.NotSent: 1}, r.Totals.Outcomes)
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
			s.must(s.send()) // one of six
			test.lose(s)
			out, r := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
			assert.Equal(t, "done", out.Next)
			assert.Equal(t, patch.RunFailed, r.Status)
			assert.Contains(t, r.StatusReason, "is not the plan that was frozen")
			assert.Contains(t, r.StatusReason, "stopped by hand")
			assert.Len(t, r.Instances, test.planned)
			assert.Equal(t, []string{s.cut(1)}, s.spoke.cancels)
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
	s.must(s.send()) // one of six
	_, written := s.report(task.VerifyInput{Task: "close", Status: "ABORTED"})
	s.running = true
	s.ended(1, "Success")
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
	v.Reports.Objects = locked{s.bucket}
	_, err := v.Handle(t.Context(), task.VerifyInput{Task: "close", Run: siteRun, Status: "ABORTED"})
	require.ErrorIs(t, err, patch.ErrAccessDenied)
	assert.Equal(t, []string{s.cut(1)}, s.spoke.cancels)
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.False(t, s.now.Before(lease.Expires))
}
