package task_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// through is a site whose commands have all ended with success.
func through(t *testing.T, n int, change ...func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow)) *site {
	t.Helper()
	s := newSite(t, n, change...)
	s.sendAll()
	s.allEnded("Success")
	s.now = s.now.Add(20 * time.Minute)
	for range 5 {
		if s.must(s.poll()).Next == "verify" {
			break
		}
	}
	require.Empty(t, s.row().Open)
	s.now = s.now.Add(-20 * time.Minute)
	return s
}

// verified calls the verifier until the target is done, at most until its deadline.
func (s *site) verified() {
	s.t.Helper()
	for range 20 {
		out, err := s.verify("verify")
		require.NoError(s.t, err)
		a := out.(task.Answer)
		if a.Next == "done" {
			return
		}
		require.Equal(s.t, "wait", a.Next)
		s.now = s.now.Add(time.Duration(a.Seconds) * time.Second)
	}
	s.t.Fatal("verifying does not end")
}

// outcome is an instance's in the stored result.
func (s *site) outcome(id patch.InstanceID) patch.InstanceReport {
	s.t.Helper()
	var result task.TargetResult
	require.NoError(s.t, json.Unmarshal(s.bucket.localObjects[s.resultKey()], &result))
	var found []patch.InstanceReport
	for _, r := range result.Instances {
		if r.InstanceID == id {
			found = append(found, r)
		}
	}
	require.Len(s.t, found, 1, "each instance has one outcome")
	return found[0]
}

func TestVerify_good(t *testing.T) {
	s := through(t, 2)
	s.patched(instance(0), instance(1))
	s.now = s.now.Add(20 * time.Minute)
	s.verified()
	row := s.row()
	assert.Equal(t, patch.TargetVerified, row.Status)
	assert.Equal(t, map[patch.Outcome]int{patch.Patched: 2}, row.Outcomes)
	assert.Equal(t, patch.Digest(s.bucket.localObjects[s.resultKey()]), row.ResultHash)
	assert.Equal(t, 1, s.counters().Done)
	assert.Zero(t, s.counters().Failures)
	assert.InDelta(t, 100, s.metrics["PatchSuccessRate"], 0.01)
	assert.InDelta(t, 100, s.metrics["InstanceAvailabilityBefore"], 0.01)
	assert.InDelta(t, 100, s.metrics["InstanceAvailability"], 0.01)
	var lease patch.Lease
	s.load(patch.LeaseKey(s.target.Account, s.target.Region), &lease)
	assert.Empty(t, lease.Run, "the lease is free again")
	assert.Equal(t, 1, lease.Fence, "and its fence stays")
	metricsBefore := s.metrics["PatchSuccessRate"]
	s.verified()
	assert.Equal(t, 1, s.counters().Done, "a second attempt counts nothing")
	assert.InDelta(t, metricsBefore, s.metrics["PatchSuccessRate"], 0.01)
}

// Availability is written before and after, side by side.
func TestVerify_availability(t *testing.T) {
	s := through(t, 4)
	edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.Impaired = 1 })
	s.patched(instance(0), instance(1), instance(2), instance(3))
	s.now = s.now.Add(20 * time.Minute)
	s.verified()
	assert.InDelta(t, 75, s.metrics["InstanceAvailabilityBefore"], 0.01)
	assert.InDelta(t, 100, s.metrics["InstanceAvailability"], 0.01)
}

// What may still come right is looked at again until the deadline; what has
// settled is not.
func TestVerify_settles(t *testing.T) {
	s := through(t, 2)
	s.patched(instance(0))
	s.now = s.now.Add(20 * time.Minute)
	begin := s.now
	out, err := s.verify("verify")
	require.NoError(t, err)
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 150, Waited: 150}, out)
	assert.Equal(t, patch.TargetPatching, s.row().Status)

	delete(s.spoke.machines, instance(0)) // it is settled: nobody looks any more
	s.now = begin.Add(5 * time.Minute)
	late := s.spoke.agents[instance(1)]
	s.now = s.now.Add(-25 * time.Minute)
	s.patched(instance(1))
	s.now = begin.Add(5 * time.Minute)
	assert.NotEqual(t, late, s.spoke.agents[instance(1)])
	s.verified()
	assert.Equal(t, patch.Patched, s.outcome(instance(0)).Outcome)
	assert.Equal(t, patch.Patched, s.outcome(instance(1)).Outcome)
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
			s := through(t, 2)
			s.patched(instance(0), instance(1))
			five := 5
			state := s.spoke.states[instance(0)]
			state.Failed = &five
			s.spoke.states[instance(0)] = state
			back := s.spoke.agents[instance(1)]
			s.spoke.agents[instance(1)] = task.Agent{Platform: patch.Linux}
			s.now = s.now.Add(20 * time.Minute)
			out, err := s.verify("verify")
			require.NoError(t, err)
			require.Equal(t, "wait", out.(task.Answer).Next)
			key := patch.LooksObject(s.target)
			looks := s.bucket.localObjects[key]
			s.bucket.localObjects[key] = test.edit(looks)
			require.NotEqual(t, looks, s.bucket.localObjects[key])
			s.spoke.agents[instance(1)] = back
			s.verified()
			assert.Equal(t, map[patch.Outcome]int{patch.Failed: 1, patch.Patched: 1}, s.row().Outcomes)
		})
	}
}

func TestVerify_deadline(t *testing.T) {
	s := through(t, 2)
	s.patched(instance(0))
	s.now = s.now.Add(20 * time.Minute)
	begin := s.now
	s.verified()
	assert.Equal(t, begin.Add(15*time.Minute), s.now, "it waits for three pings, not longer")
	r := s.outcome(instance(1))
	assert.Equal(t, patch.Unknown, r.Outcome, "success without evidence is never success")
	assert.NotContains(t, r.Output, "\x1b")
	assert.Contains(t, r.Output, "disk full")
	assert.Empty(t, s.outcome(instance(0)).Output, "a good instance needs no output")
	assert.Equal(t, 1, s.row().Bad)
	assert.Equal(t, 1, s.counters().Failures)
}

// The counters hold what the poll saw and what only the host shows, each once.
func TestVerify_correctsTheCounters(t *testing.T) {
	s := newSite(t, 2)
	s.sendAll()
	s.ended(1, "Failed")
	s.ended(2, "Success")
	s.now = s.now.Add(20 * time.Minute)
	s.must(s.poll())
	require.Equal(t, 1, s.counters().Failures)
	delete(s.spoke.machines, s.sent[1].Instance) // terminated after it was sent
	s.verified()
	assert.Equal(t, 2, s.counters().Failures)
	assert.Equal(t, map[patch.Outcome]int{patch.Failed: 1, patch.Gone: 1}, s.row().Outcomes)
}

// The process dies at each write: the target counts once.
func TestVerify_diesAnywhere(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := through(t, 1)
		s.patched(instance(0))
		s.now = s.now.Add(20 * time.Minute)
		died := false
		strike := func([]task.Write) error {
			if died {
				return nil
			}
			died = true
			return patch.ErrUnavailable
		}
		if after {
			s.table.lose = strike
		} else {
			s.table.fail = strike
		}
		_, err := s.verify("verify")
		require.Error(t, err)
		s.verified()
		assert.Equal(t, 1, s.counters().Done)
	}
}

func TestVerify_lockedAccount(t *testing.T) {
	s := through(t, 1)
	s.locked = kind(patch.ErrAccessDenied)
	s.verified()
	assert.Equal(t, patch.Unknown, s.outcome(instance(0)).Outcome)
	assert.Contains(t, s.outcome(instance(0)).Reason, "no more")
}

func TestVerify_neverSent(t *testing.T) {
	s := newSite(t, 3)
	s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"})
	s.must(s.send())
	delete(s.spoke.machines, instance(2))
	s.verified()
	assert.Equal(t, map[patch.Outcome]int{patch.NotSent: 2, patch.Gone: 1}, s.row().Outcomes)
	assert.Equal(t, patch.ReasonAbort, s.outcome(instance(0)).Reason)
	assert.Zero(t, s.counters().Failures, "nothing was sent, nothing failed")
}

func TestVerify_skippedAndRefused(t *testing.T) {
	s := newSite(t, 2, serial)
	s.spoke.machines[instance(0)] = task.Machine{State: "running", Tags: map[string]string{patch.ExclusionTag: ""}}
	s.answers = []answer{{err: kind(patch.ErrInvalidInstance)}}
	s.sendAll()
	s.verified()
	assert.Equal(t, patch.ReasonOptedOut, s.outcome(instance(0)).Reason)
	r := s.outcome(instance(1))
	assert.Equal(t, patch.NotSent, r.Outcome)
	assert.Equal(t, patch.ReasonOffline, r.Reason, "SSM takes no command for what it cannot reach")
}

func TestVerify_badPayload(t *testing.T) {
	s := newSite(t, 1)
	_, err := s.verify("guess")
	assert.Equal(t, patch.ErrInvalidInput, patch.KindOf(err))
	_, err = s.verifier().Handle(t.Context(), task.VerifyInput{Task: "judge", Run: "../x"})
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
			s := through(t, 2)
			s.patched(instance(0), instance(1))
			s.now = s.now.Add(20 * time.Minute)
			s.table.fail = func([]task.Write) error {
				s.table.fail = nil
				s.now = s.now.Add(time.Minute)
				s.spoke.machines = map[patch.InstanceID]task.Machine{} // all are gone now
				if test.dies {
					return patch.ErrUnavailable
				}
				out, err := s.verify("verify")
				require.NoError(t, err)
				assert.Equal(t, "done", out.(task.Answer).Next)
				return nil
			}
			_, err := s.verify("verify")
			assert.Error(t, err, "it is not the one that books")
			out, err := s.verify("verify")
			require.NoError(t, err)
			assert.Equal(t, "done", out.(task.Answer).Next)

			row := s.row()
			assert.Equal(t, map[patch.Outcome]int{patch.Gone: 2}, row.Outcomes)
			assert.Equal(t, patch.Digest(s.bucket.localObjects[s.resultKey()]), row.ResultHash)
			assert.Equal(t, 1, s.counters().Done, "counted once")
		})
	}
}

// What somebody put where the results stand counts for nothing: the result is what
// verify has seen.
func TestVerify_plantedResult(t *testing.T) {
	settled := func(s *site, instances ...patch.InstanceReport) []byte {
		data, err := patch.Canonical(task.TargetResult{Target: s.target, At: s.now, Settled: true, Instances: instances})
		require.NoError(s.t, err)
		return data
	}
	good := func(i int) patch.InstanceReport {
		return patch.InstanceReport{InstanceID: instance(i), Account: "111111111111", Region: "us-east-1", Wave: "w", Outcome: patch.Patched, CommandID: "c"}
	}
	tests := []struct {
		name    string
		planted func(s *site) []byte
	}{
		{"all of it good", func(s *site) []byte { return settled(s, good(0), good(1)) }},
		{"without its instances", func(s *site) []byte { return settled(s) }},
		{"of another target", func(s *site) []byte { s.target.Account = "222222222222"; return settled(s) }},
		{"no result at all", func(*site) []byte { return []byte("x") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := through(t, 2)
			five := 5
			s.patched(instance(0), instance(1))
			state := s.spoke.states[instance(0)]
			state.Failed = &five
			s.spoke.states[instance(0)] = state
			s.now = s.now.Add(20 * time.Minute)
			target := s.target
			data := test.planted(s)
			s.target = target
			s.table.fail = func([]task.Write) error { s.table.fail = nil; return patch.ErrUnavailable }
			_, err := s.verify("verify")
			require.Error(t, err, "this attempt writes its result and dies")
			for key := range s.bucket.localObjects {
				if strings.Contains(key, "/results/") {
					s.bucket.localObjects[key] = data
				}
			}
			s.bucket.localObjects[patch.ResultObject(target, patch.Digest(data))] = data
			s.bucket.localObjects[patch.Prefix(siteRun)+"results/w/111111111111/us-east-1.json"] = data
			s.verified()
			want := map[patch.Outcome]int{patch.Patched: 1, patch.Failed: 1}
			assert.Equal(t, want, s.row().Outcomes)
			assert.Equal(t, 1, s.row().Bad)
			_, r := s.report(task.VerifyInput{Task: "report"})
			assert.Equal(t, want, r.Totals.Outcomes)
		})
	}
}

// A target is verified against the plan that was frozen: a leaf with a row to
// match it, or an index of its own, is no plan.
func TestVerify_tamperedPlan(t *testing.T) {
	tests := []struct {
		name string
		edit func(s *site)
	}{
		{"leaf and row", func(s *site) {
			s.leaf.Instances = s.leaf.Instances[:1]
			data, err := patch.Canonical(s.leaf)
			require.NoError(s.t, err)
			s.bucket.localObjects[patch.LeafObject(s.target)] = data
			edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.LeafDigest = patch.Digest(data) })
		}},
		{"index", func(s *site) {
			s.index.Waves[0].RebootOption = patch.NoReboot
			s.storeIndex(true)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := through(t, 2)
			s.patched(instance(0), instance(1))
			s.now = s.now.Add(20 * time.Minute)
			test.edit(s)
			_, err := s.verify("verify")
			assert.ErrorIs(t, err, patch.ErrTampered)
			assert.NotEqual(t, patch.TargetVerified, s.row().Status)
		})
	}
}

// What was cancelled between two looks is NotSent only where SSM says that its
// agent had not begun. The reason is why it was cancelled, and not what happened
// to its target since.
func TestVerify_cancelledUnseen(t *testing.T) {
	cancelled := func(change func(s *site)) *site {
		s := newSite(t, 2)
		s.sendAll()
		require.Len(t, s.sent, 2)
		change(s)
		s.ended(1, "Success")
		s.must(s.poll())
		s.ended(2, "Cancelled")
		s.must(s.poll())
		s.patched(s.sent[0].Instance)
		s.now = s.now.Add(20 * time.Minute)
		return s
	}
	abort := func(s *site) { s.table.put(patch.AbortKey(siteRun), patch.Abort{By: "ann"}) }
	late := func(s *site) { s.now = s.began.Add(2 * time.Hour) }
	byHand := func(*site) {}
	tests := []struct {
		name    string
		change  func(s *site)
		began   string // yes, no, or empty: SSM does not say
		outcome patch.Outcome
		reason  string
		short   int
	}{
		{"aborted before it began", abort, "no", patch.NotSent, patch.ReasonAbort, 1},
		{"past its command's time before it began", late, "no", patch.NotSent, patch.ReasonExpired, 1},
		{"cancelled by somebody else before it began", byHand, "no", patch.NotSent, patch.ReasonAbort, 1},
		{"aborted after it began", abort, "yes", patch.Interrupted, "cancelled by this run", 0},
		{"past its command's time after it began", late, "yes", patch.TimedOut, "past its deadline", 0},
		{"cancelled by somebody else after it began", byHand, "yes", patch.Interrupted, "cancelled by somebody else", 0},
		{"SSM does not say", abort, "", patch.Unknown, "SSM does not say", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := cancelled(test.change)
			id := s.sent[1].Instance
			if test.began != "" {
				s.spoke.began = map[patch.InstanceID]bool{id: test.began == "yes"}
			}
			s.verified()
			r := s.outcome(id)
			assert.Equal(t, test.outcome, r.Outcome)
			assert.Contains(t, r.Reason, test.reason)
			assert.Equal(t, test.short, s.row().CutShort, "the judge wants to know")
		})
	}
}

// What is asked of each instance by itself has to fit into the function's time, however many there are. What a look
// does not get to is left to the next one, and outputs are left out.
func TestVerify_aLookIsBounded(t *testing.T) {
	for _, status := range []string{"Failed", "Cancelled"} {
		s := newSite(t, 600)
		s.sendAll()
		s.spoke.began = map[patch.InstanceID]bool{}
		for i := range 600 {
			s.spoke.began[instance(i)] = false
		}
		s.allEnded(status)
		for s.must(s.poll()).Next == "wait" {
			s.now = s.now.Add(time.Minute)
		}
		for _, a := range s.leaf.Instances {
			s.spoke.agents[a.ID] = task.Agent{Platform: patch.Linux, Online: true, LastPing: s.now.Add(time.Hour)}
		}
		s.spoke.onAsk = func() { s.now = s.now.Add(time.Second) }
		for range 10 {
			began := s.now
			a, err := s.verify("verify")
			require.NoError(t, err)
			assert.Less(t, s.now.Sub(began), 250*time.Second, "the function has 300 seconds")
			if a.(task.Answer).Next == "done" {
				break
			}
			s.now = s.now.Add(time.Duration(a.(task.Answer).Seconds) * time.Second)
		}
		row := s.row()
		require.Equal(t, patch.TargetVerified, row.Status)
		if status == "Failed" {
			assert.Equal(t, map[patch.Outcome]int{patch.Failed: 600}, row.Outcomes)
		} else {
			assert.Equal(t, map[patch.Outcome]int{patch.NotSent: 600}, row.Outcomes)
		}
	}
}

// A step that nobody settled is waited for as long as its sender may live, and
// not for ever: then its journal tells what was sent, and nobody knows of the last one.
func TestVerify_pendingSend(t *testing.T) {
	s := newSite(t, 4)
	s.dieAtSettle()
	s.answers = []answer{{}, {err: errNoAnswer}}
	_, err := s.send()
	require.Error(t, err)
	s.table.fail = nil
	require.Equal(t, 1, s.row().Pending)
	out, err := s.verify("verify")
	require.NoError(t, err)
	assert.Equal(t, task.Answer{Next: "wait", Seconds: 210, Waited: 210}, out)
	s.now = s.now.Add(210 * time.Second)
	s.verified()
	assert.Equal(t, "cmd-1", string(s.outcome(instance(0)).CommandID))
	assert.Equal(t, patch.Unknown, s.outcome(instance(0)).Outcome)
	assert.Equal(t, patch.Unknown, s.outcome(instance(1)).Outcome)
	assert.Equal(t, patch.NotSent, s.outcome(instance(2)).Outcome, "it was never tried")
	assert.Equal(t, patch.NotSent, s.outcome(instance(3)).Outcome)
	assert.Equal(t, 2, s.row().Bad)
	assert.Len(t, s.sent, 2)
}

// Other programs read a target's result where it always stands: the one that was
// booked, also when the attempt that booked it died before the copy.
func TestVerify_publicResult(t *testing.T) {
	for _, dies := range []bool{false, true} {
		s := through(t, 1)
		s.patched(instance(0))
		s.now = s.now.Add(20 * time.Minute)
		public := patch.PublicResultObject(s.target)
		if dies {
			s.table.lose = func([]task.Write) error { s.table.lose = nil; return patch.ErrUnavailable }
			_, err := s.verify("verify")
			require.Error(t, err)
			require.Equal(t, patch.TargetVerified, s.row().Status, "it booked")
			require.NotContains(t, s.bucket.localObjects, public)
			s.bucket.localObjects[public] = []byte("planted")
		}
		s.verified()
		assert.Equal(t, s.row().ResultHash, patch.Digest(s.bucket.localObjects[public]))
	}
}
