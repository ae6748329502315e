package target_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

func TestVerify_good(t *testing.T) {
	s := site.Through(t, 2)
	s.Patched(site.Instance(0), site.Instance(1))
	s.Now = s.Now.Add(20 * time.Minute)
	s.Verified()
	row := s.Row()
	assert.Equal(t, target.TargetVerified, row.Status)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 2}, row.Outcomes)
	assert.Equal(t, patch.Digest(s.Bucket.Objects[s.ResultKey()]), row.ResultHash)
	assert.Equal(t, 1, s.Counters().Done)
	assert.Zero(t, s.Counters().Failures)
	assert.InDelta(t, 100, s.Metrics["PatchSuccessRate"], 0.01)
	assert.InDelta(t, 100, s.Metrics["InstanceAvailabilityBefore"], 0.01)
	assert.InDelta(t, 100, s.Metrics["InstanceAvailability"], 0.01)
	var lease target.Lease
	s.Read(store.LeaseKey(s.Target.Account, s.Target.Region), &lease)
	assert.Empty(t, lease.Run, "the lease is free again")
	assert.Equal(t, 1, lease.Fence, "and its fence stays")
	metricsBefore := s.Metrics["PatchSuccessRate"]
	s.Verified()
	assert.Equal(t, 1, s.Counters().Done, "a second attempt counts nothing")
	assert.InDelta(t, metricsBefore, s.Metrics["PatchSuccessRate"], 0.01)
}

// Availability is written before and after, side by side.
func TestVerify_availability(t *testing.T) {
	s := site.Through(t, 4)
	site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.Impaired = 1 })
	s.Patched(site.Instance(0), site.Instance(1), site.Instance(2), site.Instance(3))
	s.Now = s.Now.Add(20 * time.Minute)
	s.Verified()
	assert.InDelta(t, 75, s.Metrics["InstanceAvailabilityBefore"], 0.01)
	assert.InDelta(t, 100, s.Metrics["InstanceAvailability"], 0.01)
}

// What may still come right is looked at again until the deadline; what has
// settled is not.
func TestVerify_settles(t *testing.T) {
	s := site.Through(t, 2)
	s.Patched(site.Instance(0))
	s.Now = s.Now.Add(20 * time.Minute)
	begin := s.Now
	out, err := s.Verify("verify")
	require.NoError(t, err)
	assert.Equal(t, target.Answer{Next: patch.NextWait, Seconds: 150, Waited: 150}, out)
	assert.Equal(t, target.TargetPatching, s.Row().Status)

	delete(s.SSM.Known, site.Instance(0)) // it is settled: nobody looks any more
	s.Now = begin.Add(5 * time.Minute)
	late := s.SSM.Managed[site.Instance(1)]
	s.Now = s.Now.Add(-25 * time.Minute)
	s.Patched(site.Instance(1))
	s.Now = begin.Add(5 * time.Minute)
	assert.NotEqual(t, late, s.SSM.Managed[site.Instance(1)])
	s.Verified()
	assert.Equal(t, outcome.Patched, s.Outcome(site.Instance(0)).Outcome)
	assert.Equal(t, outcome.Patched, s.Outcome(site.Instance(1)).Outcome)
}

// What an earlier look has found counts only as that look wrote it: whatever else
// stands there, everything is looked at anew.
func TestVerify_editedLooks(t *testing.T) {
	tests := []struct {
		name string
		edit func(looks []byte) []byte
	}{
		{"made good", func(looks []byte) []byte {
			return bytes.ReplaceAll(looks, []byte(`"Failed"`), []byte(`"Patched"`))
		}},
		{"no looks at all", func([]byte) []byte { return []byte("x") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.Through(t, 2)
			s.Patched(site.Instance(0), site.Instance(1))
			five := 5
			state := s.SSM.States[site.Instance(0)]
			state.Failed = &five
			s.SSM.States[site.Instance(0)] = state
			back := s.SSM.Managed[site.Instance(1)]
			s.SSM.Managed[site.Instance(1)] = port.Agent{Platform: patch.Linux}
			s.Now = s.Now.Add(20 * time.Minute)
			out, err := s.Verify("verify")
			require.NoError(t, err)
			require.Equal(t, patch.NextWait, out.(target.Answer).Next)
			key := store.LooksObject(s.Target)
			looks := s.Bucket.Objects[key]
			s.Bucket.Objects[key] = test.edit(looks)
			require.NotEqual(t, looks, s.Bucket.Objects[key])
			s.SSM.Managed[site.Instance(1)] = back
			s.Verified()
			assert.Equal(t, map[outcome.Outcome]int{outcome.Failed: 1, outcome.Patched: 1}, s.Row().Outcomes)
		})
	}
}

func TestVerify_deadline(t *testing.T) {
	s := site.Through(t, 2)
	s.Patched(site.Instance(0))
	s.Now = s.Now.Add(20 * time.Minute)
	begin := s.Now
	s.Verified()
	assert.Equal(t, begin.Add(15*time.Minute), s.Now, "it waits for three pings, not longer")
	r := s.Outcome(site.Instance(1))
	assert.Equal(t, outcome.Unknown, r.Outcome, "success without evidence is never success")
	assert.NotContains(t, r.Output, "\x1b")
	assert.Contains(t, r.Output, "disk full")
	assert.Empty(t, s.Outcome(site.Instance(0)).Output, "a good instance needs no output")
	assert.Equal(t, 1, s.Row().Bad)
	assert.Equal(t, 1, s.Counters().Failures)
}

// The counters hold what the poll saw and what only the host shows, each once.
func TestVerify_correctsTheCounters(t *testing.T) {
	s := site.New(t, 2)
	s.SendAll()
	s.Finish(1, "Failed")
	s.Finish(2, "Success")
	s.Now = s.Now.Add(20 * time.Minute)
	s.Must(s.Poll())
	require.Equal(t, 1, s.Counters().Failures)
	delete(s.SSM.Known, s.Sent[1].Instance) // terminated after it was sent
	s.Verified()
	assert.Equal(t, 2, s.Counters().Failures)
	assert.Equal(t, map[outcome.Outcome]int{outcome.Failed: 1, outcome.Gone: 1}, s.Row().Outcomes)
}

// The process dies at each write: the target counts once.
func TestVerify_diesAnywhere(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := site.Through(t, 1)
		s.Patched(site.Instance(0))
		s.Now = s.Now.Add(20 * time.Minute)
		died := false
		strike := func([]store.Write) error {
			if died {
				return nil
			}
			died = true
			return patch.ErrUnavailable
		}
		if after {
			s.Table.Lose = strike
		} else {
			s.Table.Fail = strike
		}
		_, err := s.Verify("verify")
		require.Error(t, err)
		s.Verified()
		assert.Equal(t, 1, s.Counters().Done)
	}
}

func TestVerify_lockedAccount(t *testing.T) {
	s := site.Through(t, 1)
	s.Locked = site.Because(patch.ErrAccessDenied)
	s.Verified()
	assert.Equal(t, outcome.Unknown, s.Outcome(site.Instance(0)).Outcome)
	assert.Contains(t, s.Outcome(site.Instance(0)).Reason, "no longer")
}

func TestVerify_neverSent(t *testing.T) {
	s := site.New(t, 3)
	s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"})
	s.Must(s.Send())
	delete(s.SSM.Known, site.Instance(2))
	s.Verified()
	assert.Equal(t, map[outcome.Outcome]int{outcome.NotSent: 2, outcome.Gone: 1}, s.Row().Outcomes)
	assert.Equal(t, outcome.ReasonAbort, s.Outcome(site.Instance(0)).NotSent())
	assert.Zero(t, s.Counters().Failures, "nothing was sent, nothing failed")
}

func TestVerify_skippedAndRefused(t *testing.T) {
	s := site.New(t, 2, site.Serial)
	s.SSM.Known[site.Instance(0)] = port.Machine{State: "running", Tags: map[string]string{plan.ExclusionTag: ""}}
	s.Answers = []site.Answer{{Err: site.Because(patch.ErrInvalidInstance)}}
	s.SendAll()
	s.Verified()
	assert.Equal(t, outcome.ReasonOptedOut, s.Outcome(site.Instance(0)).NotSent())
	r := s.Outcome(site.Instance(1))
	assert.Equal(t, outcome.NotSent, r.Outcome)
	assert.Equal(t, outcome.ReasonOffline, r.NotSent(), "SSM takes no command for what it cannot reach")
}

func TestVerify_badPayload(t *testing.T) {
	s := site.New(t, 1)
	_, err := s.Verify("guess")
	assert.Equal(t, patch.ErrInvalidInput, patch.KindOf(err))
	_, err = s.Verifier().Handle(t.Context(), task.VerifyInput{Task: patch.TaskJudge, Run: "../x"})
	assert.Equal(t, patch.ErrInvalidInput, patch.KindOf(err))
}

// Two attempts at once, and one after another that died: the first result that is
// booked stands, and the target's row has its hash, whatever else is written.
func TestVerify_firstBookingStands(t *testing.T) {
	tests := []struct {
		name string
		dies bool // the first attempt dies before it books; else the second one books meanwhile
	}{{"two at once", false}, {"the first one dies", true}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.Through(t, 2)
			s.Patched(site.Instance(0), site.Instance(1))
			s.Now = s.Now.Add(20 * time.Minute)
			s.Table.Fail = func([]store.Write) error {
				s.Table.Fail = nil
				s.Now = s.Now.Add(time.Minute)
				s.SSM.Known = map[patch.InstanceID]port.Machine{} // all are gone now
				if test.dies {
					return patch.ErrUnavailable
				}
				out, err := s.Verify("verify")
				require.NoError(t, err)
				assert.Equal(t, patch.NextDone, out.(target.Answer).Next)
				return nil
			}
			_, err := s.Verify("verify")
			assert.Error(t, err, "it is not the one that books")
			out, err := s.Verify("verify")
			require.NoError(t, err)
			assert.Equal(t, patch.NextDone, out.(target.Answer).Next)

			row := s.Row()
			assert.Equal(t, map[outcome.Outcome]int{outcome.Gone: 2}, row.Outcomes)
			assert.Equal(t, patch.Digest(s.Bucket.Objects[s.ResultKey()]), row.ResultHash)
			assert.Equal(t, 1, s.Counters().Done, "counted once")
		})
	}
}

// What somebody put where the results stand counts for nothing: the result is what
// verify has seen.
func TestVerify_plantedResult(t *testing.T) {
	settled := func(s *site.Site, instances ...outcome.InstanceReport) []byte {
		data, err := patch.Canonical(target.TargetResult{Target: s.Target, At: s.Now, Settled: true, Instances: instances})
		require.NoError(s.T, err)
		return data
	}
	good := func(i int) outcome.InstanceReport {
		return outcome.InstanceReport{InstanceID: site.Instance(i), Account: "111111111111", Region: "us-east-1", Wave: "w",
			Outcome: outcome.Patched, CommandID: "c"}
	}
	tests := []struct {
		name    string
		planted func(s *site.Site) []byte
	}{
		{"all of it good", func(s *site.Site) []byte { return settled(s, good(0), good(1)) }},
		{"without its instances", func(s *site.Site) []byte { return settled(s) }},
		{"of another target", func(s *site.Site) []byte { s.Target.Account = "222222222222"; return settled(s) }},
		{"no result at all", func(*site.Site) []byte { return []byte("x") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.Through(t, 2)
			five := 5
			s.Patched(site.Instance(0), site.Instance(1))
			state := s.SSM.States[site.Instance(0)]
			state.Failed = &five
			s.SSM.States[site.Instance(0)] = state
			s.Now = s.Now.Add(20 * time.Minute)
			target := s.Target
			data := test.planted(s)
			s.Target = target
			s.Table.Fail = func([]store.Write) error { s.Table.Fail = nil; return patch.ErrUnavailable }
			_, err := s.Verify("verify")
			require.Error(t, err, "this attempt writes its result and dies")
			for key := range s.Bucket.Objects {
				if strings.Contains(key, "/results/") {
					s.Bucket.Objects[key] = data
				}
			}
			s.Bucket.Objects[store.ResultObject(target, patch.Digest(data))] = data
			s.Bucket.Objects[store.Prefix(site.Run)+"results/w/111111111111/us-east-1.json"] = data
			s.Verified()
			want := map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 1}
			assert.Equal(t, want, s.Row().Outcomes)
			assert.Equal(t, 1, s.Row().Bad)
			_, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
			assert.Equal(t, want, r.Totals.Outcomes)
		})
	}
}

// A target is verified against the plan that was frozen: a leaf with a row to
// match it, or an index of its own, is no plan.
func TestVerify_tamperedPlan(t *testing.T) {
	tests := []struct {
		name string
		edit func(s *site.Site)
	}{
		{"leaf and row", func(s *site.Site) {
			s.Leaf.Instances = s.Leaf.Instances[:1]
			data, err := patch.Canonical(s.Leaf)
			require.NoError(s.T, err)
			s.Bucket.Objects[store.LeafObject(s.Target)] = data
			site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.LeafDigest = patch.Digest(data) })
		}},
		{"index", func(s *site.Site) {
			s.Index.Waves[0].RebootOption = patch.NoReboot
			s.StoreIndex(true)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.Through(t, 2)
			s.Patched(site.Instance(0), site.Instance(1))
			s.Now = s.Now.Add(20 * time.Minute)
			test.edit(s)
			_, err := s.Verify("verify")
			assert.ErrorIs(t, err, patch.ErrTampered)
			assert.NotEqual(t, target.TargetVerified, s.Row().Status)
		})
	}
}

// What was cancelled between two looks is NotSent only where SSM says that its
// agent had not begun. The reason is why it was cancelled, and not what happened
// to its target since.
func TestVerify_cancelledUnseen(t *testing.T) {
	cancelled := func(change func(s *site.Site)) *site.Site {
		s := site.New(t, 2)
		s.SendAll()
		require.Len(t, s.Sent, 2)
		change(s)
		s.Finish(1, "Success")
		s.Must(s.Poll())
		s.Finish(2, "Cancelled")
		s.Must(s.Poll())
		s.Patched(s.Sent[0].Instance)
		s.Now = s.Now.Add(20 * time.Minute)
		return s
	}
	abort := func(s *site.Site) { s.Table.Put(store.AbortKey(site.Run), store.Abort{By: "ann"}) }
	late := func(s *site.Site) { s.Now = s.Began.Add(2 * time.Hour) }
	byHand := func(*site.Site) {}
	tests := []struct {
		name    string
		change  func(s *site.Site)
		began   string // yes, no, or empty: SSM does not say
		outcome outcome.Outcome
		reason  string
		short   int
	}{
		{"aborted before it began", abort, "no", outcome.NotSent, string(outcome.ReasonAbort), 1},
		{"past its command's time before it began", late, "no", outcome.NotSent, string(outcome.ReasonExpired), 1},
		{"cancelled by someone else before it began", byHand, "no", outcome.NotSent, string(outcome.ReasonAbort), 1},
		{"aborted after it began", abort, "yes", outcome.Interrupted, "cancelled by this run", 0},
		{"past its command's time after it began", late, "yes", outcome.TimedOut, "past its deadline", 0},
		{"cancelled by someone else after it began", byHand, "yes", outcome.Interrupted, "cancelled by someone else", 0},
		{"SSM does not say", abort, "", outcome.Unknown, "SSM does not say", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := cancelled(test.change)
			id := s.Sent[1].Instance
			if test.began != "" {
				s.SSM.BegunBy = map[patch.InstanceID]bool{id: test.began == "yes"}
			}
			s.Verified()
			r := s.Outcome(id)
			assert.Equal(t, test.outcome, r.Outcome)
			assert.Contains(t, r.Reason, test.reason)
			assert.Equal(t, test.short, s.Row().CutShort, "the judge wants to know")
		})
	}
}

// What is asked of each instance by itself has to fit into the function's time, however many there are. What a look
// does not get to is left to the next one, and outputs are left out.
func TestVerify_aLookIsBounded(t *testing.T) {
	for _, status := range []string{"Failed", "Cancelled"} {
		s := site.New(t, 600)
		s.SendAll()
		s.SSM.BegunBy = map[patch.InstanceID]bool{}
		for i := range 600 {
			s.SSM.BegunBy[site.Instance(i)] = false
		}
		s.AllEnded(status)
		for s.Must(s.Poll()).Next == patch.NextWait {
			s.Now = s.Now.Add(time.Minute)
		}
		for _, a := range s.Leaf.Instances {
			s.SSM.Managed[a.ID] = port.Agent{Platform: patch.Linux, Online: true, LastPing: s.Now.Add(time.Hour)}
		}
		s.SSM.OnAsk = func() { s.Now = s.Now.Add(time.Second) }
		for range 10 {
			began := s.Now
			a, err := s.Verify("verify")
			require.NoError(t, err)
			assert.Less(t, s.Now.Sub(began), 250*time.Second, "the function has 300 seconds")
			if a.(target.Answer).Next == patch.NextDone {
				break
			}
			s.Now = s.Now.Add(time.Duration(a.(target.Answer).Seconds) * time.Second)
		}
		row := s.Row()
		require.Equal(t, target.TargetVerified, row.Status)
		if status == "Failed" {
			assert.Equal(t, map[outcome.Outcome]int{outcome.Failed: 600}, row.Outcomes)
		} else {
			assert.Equal(t, map[outcome.Outcome]int{outcome.NotSent: 600}, row.Outcomes)
		}
	}
}

// A step that nobody settled is waited for as long as its sender may live, and
// not for ever: then its journal tells what was sent, and nobody knows of the last one.
func TestVerify_pendingSend(t *testing.T) {
	s := site.New(t, 4)
	s.DieAtSettle()
	s.Answers = []site.Answer{{}, {Err: site.ErrNoAnswer}}
	_, err := s.Send()
	require.Error(t, err)
	s.Table.Fail = nil
	require.Equal(t, 1, s.Row().Pending)
	out, err := s.Verify("verify")
	require.NoError(t, err)
	assert.Equal(t, target.Answer{Next: patch.NextWait, Seconds: 210, Waited: 210}, out)
	s.Now = s.Now.Add(210 * time.Second)
	s.Verified()
	assert.Equal(t, "cmd-1", string(s.Outcome(site.Instance(0)).CommandID))
	assert.Equal(t, outcome.Unknown, s.Outcome(site.Instance(0)).Outcome)
	assert.Equal(t, outcome.Unknown, s.Outcome(site.Instance(1)).Outcome)
	assert.Equal(t, outcome.NotSent, s.Outcome(site.Instance(2)).Outcome, "it was never tried")
	assert.Equal(t, outcome.NotSent, s.Outcome(site.Instance(3)).Outcome)
	assert.Equal(t, 2, s.Row().Bad)
	assert.Len(t, s.Sent, 2)
}

// Other programs read a target's result where it always stands: the one that was
// booked, also when the attempt that booked it died before the copy.
func TestVerify_publicResult(t *testing.T) {
	for _, dies := range []bool{false, true} {
		s := site.Through(t, 1)
		s.Patched(site.Instance(0))
		s.Now = s.Now.Add(20 * time.Minute)
		public := store.PublicResultObject(s.Target)
		if dies {
			s.Table.Lose = func([]store.Write) error { s.Table.Lose = nil; return patch.ErrUnavailable }
			_, err := s.Verify("verify")
			require.Error(t, err)
			require.Equal(t, target.TargetVerified, s.Row().Status, "it booked")
			require.NotContains(t, s.Bucket.Objects, public)
			s.Bucket.Objects[public] = []byte("planted")
		}
		s.Verified()
		assert.Equal(t, s.Row().ResultHash, patch.Digest(s.Bucket.Objects[public]))
	}
}
