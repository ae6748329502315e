package compose_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/fake"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

// An event of an end that comes after a redrive, or before the end can be seen,
// changes nothing: the execution goes on under the same name, and its own end will
// be told. Step Functions may only be late to show the end, so Lambda looks again.
func TestClose_executionGoesOn(t *testing.T) {
	s := site.New(t, 6, site.Serial)
	s.Must(s.Send())
	s.IsRunning = true
	before := s.Table.Snapshot()
	_, err := s.Verifier().Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "FAILED"})
	require.ErrorIs(t, err, patch.ErrUnavailable)
	out, err := s.Verifier().Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "MISSED"})
	require.NoError(t, err)
	assert.Equal(t, patch.NextDone, out.(compose.ReportOutput).Next)
	assert.Equal(t, before, s.Table.Snapshot())
	assert.Empty(t, s.SSM.Cancels)
}

// What a closed run had at work is cancelled again, whether or not its execution
// was redriven since: that sends nothing.
func TestClose_again(t *testing.T) {
	s := site.New(t, 6, site.Serial)
	s.Must(s.Send())
	_, first := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "FAILED"})
	s.IsRunning = true
	out, err := s.Verifier().Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "FAILED"})
	require.NoError(t, err)
	assert.Equal(t, compose.ReportOutput{Next: patch.NextDone, Status: first.Status}, out)
	assert.Equal(t, []string{s.Cut(1)}, slices.Compact(s.SSM.Cancels))
}

// A send whose answer was lost is cancelled too, if SSM lists it by now; if it
// does not, the intent keeps its marker for whoever takes the lease over.
func TestClose_lostSend(t *testing.T) {
	for _, dies := range []bool{false, true} { // in mid-step; else it settles the send as a doubt
		for _, listed := range []bool{true, false} {
			s := site.New(t, 1)
			s.Answers = []site.Answer{{ID: "cmd-7", Err: site.ErrNoAnswer}}
			if dies {
				s.DieAtSettle()
			}
			_, err := s.Send()
			require.Equal(t, dies, err != nil)
			s.Table.Fail = nil
			s.SSM.Commands["cmd-7"].Unmarked = !listed
			s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
			var lease target.Lease
			s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
			assert.Equal(t, site.Run, lease.Run)
			assert.Equal(t, "w", lease.Wave)
			assert.False(t, s.Now.Before(lease.Expires), "nobody has to wait for it")
			if listed {
				assert.Equal(t, []string{"cmd-7/" + string(site.Instance(0))}, s.SSM.Cancels)
				assert.Contains(t, s.Actions(), "CancelCommand")
			} else {
				assert.Empty(t, s.SSM.Cancels)
				assert.NotContains(t, s.Actions(), "CancelCommand", "nothing was cancelled")
			}
		}
	}
}

// A close takes back what no agent has taken, and what is past its deadline. What runs is left to end, and so is what
// may run; whatever CancelCommand answers.
func TestClose_runningIsNotCut(t *testing.T) {
	s := site.New(t, 5)
	s.SendAll()
	in := s.Intents()[0]
	in.Sends[3].At = s.Began.Add(-2 * time.Hour)
	s.Table.Put(store.SendKey(s.Target, 1), in)
	s.Finish(1, "InProgress")
	s.Finish(2, "Success")
	s.Finish(4, "InProgress")
	s.SSM.Commands["cmd-5"].Unlisted = true
	s.SSM.Cancelled = site.Because(patch.ErrInvalidInstance)
	s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
	assert.Equal(t, []string{s.Cut(3), s.Cut(4)}, s.SSM.Cancels)
	_, cancels := s.LookedAt()
	assert.Equal(t, []target.Cancel{
		{InstanceID: site.Instance(2), Command: "cmd-3", Why: outcome.ReasonAbort},
		{InstanceID: site.Instance(3), Command: "cmd-4", Why: outcome.ReasonExpired},
	}, cancels)
}

// An account that does not answer keeps nobody from cancelling in the others, and none that lets nobody in
// keeps the run from its report.
func TestClose_oneAccountDoesNotAnswer(t *testing.T) {
	one := site.New(t, 2)
	two := one.Another("222222222222", "us-east-1")
	one.SendAll()
	two.SendAll()
	v := one.Verifier()
	v.Reports.Targets.Spokes = byAccount{one.Target.Account: failing{site.Because(patch.ErrUnavailable)},
		two.Target.Account: two}
	_, err := v.Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "ABORTED"})
	require.ErrorIs(t, err, patch.ErrUnavailable)
	assert.Len(t, two.SSM.Cancels, 2)
	v.Reports.Targets.Spokes = byAccount{one.Target.Account: failing{site.Because(patch.ErrAccessDenied)},
		two.Target.Account: two}
	_, err = v.Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "ABORTED"})
	assert.NotErrorIs(t, err, patch.ErrAccessDenied)
	assert.Len(t, two.SSM.Cancels, 4)
}

type byAccount map[patch.AccountID]port.Spokes

func (b byAccount) Spoke(ctx context.Context, t patch.Target) (port.Spoke, error) {
	return b[t.Account].Spoke(ctx, t)
}

type failing struct{ err error }

func (f failing) Spoke(context.Context, patch.Target) (port.Spoke, error) { return nil, f.err }

// Two waves of a run share the audit chain of an account-region: the former one is cancelled after the later has gone
// on with it.
func TestClose_chainOfLaterWave(t *testing.T) {
	s := site.New(t, 1)
	s.SendAll()
	for range 3 {
		site.Edit(s, store.TargetKey(s.Target), func(*target.TargetRow) {})
	}
	later := s.Target
	later.Wave = "x"
	row := *s.Row()
	entry := row.Heads.Append(store.Verify, store.TargetSubject(later), "close", "CancelCommand", "before", s.Now)
	require.NoError(t, s.Table.Write(t.Context(), entry.Write()))
	s.Table.Put(store.TargetKey(later), target.TargetRow{Status: target.TargetPatching, Heads: row.Heads})
	s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
	assert.Equal(t, []string{s.Cut(1)}, s.SSM.Cancels)
	assert.Equal(t, []string{"LeaseTaken", "SendCommand", "CancelCommand", "CancelCommand"}, s.Actions())
}

// What a process that died in mid-step had sent is known by its journal.
func TestClose_journal(t *testing.T) {
	s := site.New(t, 4)
	s.Refuse = map[patch.InstanceID]error{site.Instance(1): site.Because(patch.ErrAccessDenied)}
	s.DieAtSettle()
	_, err := s.Send()
	require.Error(t, err)
	s.Table.Fail = nil
	_, r := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
	commands := map[patch.InstanceID]patch.CommandID{}
	for _, i := range r.Instances {
		commands[i.InstanceID] = i.CommandID
	}
	assert.Equal(t, map[patch.InstanceID]patch.CommandID{site.Instance(0): "cmd-1", site.Instance(1): "",
		site.Instance(2): "cmd-3", site.Instance(3): ""}, commands)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Unknown: 3, outcome.NotSent: 1}, r.Totals.Outcomes)
}

// A run whose plan somebody has removed or edited is brought to its end all the
// same: its commands are cancelled, its lease runs out, and its report says so.
func TestClose_planLost(t *testing.T) {
	tests := []struct {
		name    string
		lose    func(s *site.Site)
		planned int
	}{
		{"removed", func(s *site.Site) { delete(s.Bucket.Objects, store.IndexObject(site.Run)) }, 6},
		{"no plan at all", func(s *site.Site) { s.Bucket.Objects[store.IndexObject(site.Run)] = []byte("x") }, 6},
		{"another one, sealed", func(s *site.Site) {
			s.Index.Waves[0].Targets[0].Planned = 1
			s.StoreIndex(true)
		}, 6},
		{"index and leaf removed", func(s *site.Site) {
			delete(s.Bucket.Objects, store.IndexObject(site.Run))
			delete(s.Bucket.Objects, store.LeafObject(s.Target))
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.New(t, 6, site.Serial)
			s.Must(s.Send()) // one of six
			test.lose(s)
			out, r := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
			assert.Equal(t, patch.NextDone, out.Next)
			assert.Equal(t, patch.RunFailed, r.Status)
			assert.Contains(t, r.StatusReason, "is not the plan that was frozen")
			assert.Contains(t, r.StatusReason, "stopped by hand")
			assert.Len(t, r.Instances, test.planned)
			assert.Equal(t, []string{s.Cut(1)}, s.SSM.Cancels)
			var lease target.Lease
			s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
			assert.False(t, s.Now.Before(lease.Expires), "nobody has to wait for it")
			var run store.RunRow
			s.Read(store.RunKey(site.Run), &run)
			assert.Equal(t, patch.RunFailed, run.Status)
			assert.Equal(t, s.Now, run.Ended)
		})
	}
}

// A run that was closed and whose execution is redriven sends nothing more, asks
// nobody, and goes straight to the report that stands.
func TestClose_thenRedriven(t *testing.T) {
	s := site.New(t, 6, site.Serial)
	s.Must(s.Send()) // one of six
	_, written := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "ABORTED"})
	s.IsRunning = true
	s.Finish(1, "Success")
	s.Now = s.Now.Add(20 * time.Minute)

	next := patch.NextSend
	for range 20 {
		switch next {
		case patch.NextSend:
			next = s.Must(s.Send()).Next
		case patch.NextWait:
			s.Now = s.Now.Add(5 * time.Minute)
			next = s.Must(s.Poll()).Next
		}
	}
	assert.Equal(t, patch.NextVerify, next)
	s.Verified()
	assert.Len(t, s.Sent, 1, "nothing more is sent")
	out := s.Judge()
	assert.Equal(t, patch.NextStop, out.Next)
	assert.Empty(t, s.Wave().Verdict, "nobody judges a closed run")
	told,
		r := s.Report(task.VerifyInput{Task: patch.TaskReport, Failure: compose.Failure{Error: string(patch.ErrWaveStopped)}})
	assert.Equal(t, patch.NextDone, told.Next)
	assert.Equal(t, patch.RunAborted, told.Status)
	assert.Contains(t, told.Cause, "stopped by hand")
	assert.Equal(t, written, r, "a report is written once")
}

// A closed run is not frozen by a redrive that comes back to its plan.
func TestFreeze_closed(t *testing.T) {
	s := site.Discovered(t, "")
	site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) {
		r.Status, r.StatusReason, r.Ended = patch.RunAborted, "the execution was stopped by hand", s.Now
	})
	_, err := s.Freeze()
	require.ErrorIs(t, err, patch.ErrRefused)
	assert.ErrorContains(t, err, "stopped by hand")
	assert.Empty(t, s.Run().Digest)
	assert.NotContains(t, s.Bucket.Objects, store.IndexObject(site.Run))
}

// locked is a bucket whose plans cannot be read.
type locked struct{ *fake.Bucket }

func (l locked) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	if key == store.IndexObject(site.Run) {
		return nil, false, patch.ErrAccessDenied
	}
	return l.Bucket.Fetch(ctx, key)
}

// A close that cannot read the plan fails, and is called again. What is at work is
// cancelled all the same, and the lease let go.
func TestClose_planLocked(t *testing.T) {
	s := site.New(t, 6, site.Serial)
	s.Must(s.Send())
	v := s.Verifier()
	v.Reports.Objects = locked{s.Bucket}
	_, err := v.Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "ABORTED"})
	require.ErrorIs(t, err, patch.ErrAccessDenied)
	assert.Equal(t, []string{s.Cut(1)}, s.SSM.Cancels)
	var lease target.Lease
	s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
	assert.False(t, s.Now.Before(lease.Expires))
}
