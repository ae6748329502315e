package task_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// Whoever closes a run that nobody closed says how its execution ended.
func TestClose_missed(t *testing.T) {
	tests := []struct {
		ended  string
		status patch.RunStatus
		why    string
	}{
		{"ABORTED", patch.RunAborted, "the execution was stopped by hand"},
		{"TIMED_OUT", patch.RunFailed, "the execution took longer than an execution may"},
		{"FAILED", patch.RunFailed, "the execution ended FAILED"},
		{"", patch.RunFailed, "nobody knows how"},
	}
	for _, test := range tests {
		t.Run(test.ended, func(t *testing.T) {
			s := newSite(t, 2)
			s.must(s.send())
			s.exitAs = test.ended
			out, r := s.report(task.VerifyInput{Task: "close", Status: "MISSED"})
			assert.Equal(t, test.status, out.Status)
			assert.Equal(t, "Patch."+string(test.status), out.Error)
			assert.Contains(t, r.StatusReason, test.why)
			assert.NotContains(t, r.StatusReason, "MISSED")
		})
	}
}

// What is left to do when every wave was judged good.
func TestReport_completed(t *testing.T) {
	// change changes the target's result, as verify would have written another.
	change := func(s *site, outcome patch.Outcome, command patch.CommandID) {
		row := s.row()
		var result task.TargetResult
		decodeJSON(s.t, s.bucket.localObjects[patch.ResultObject(s.target, row.ResultHash)], &result)
		result.Instances[0].Outcome, result.Instances[0].CommandID = outcome, command
		data, err := patch.Canonical(result)
		require.NoError(s.t, err)
		hash := patch.Digest(data)
		s.bucket.localObjects[patch.ResultObject(s.target, hash)] = data
		edit(s, patch.TargetKey(s.target), func(r *patch.TargetRow) { r.ResultHash = hash })
	}
	reseal := func(s *site, f func(*patch.Index)) {
		f(&s.index)
		require.NoError(s.t, s.index.Seal())
		data, err := patch.Canonical(s.index)
		require.NoError(s.t, err)
		s.bucket.localObjects[patch.IndexObject(siteRun)] = data
		edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest = s.index.Digest })
	}
	another := func(allowed bool) func(*site) {
		return func(s *site) {
			reseal(s, func(x *patch.Index) {
				x.Waves = append(x.Waves, patch.IndexWave{Name: "typo", Filter: "PatchGroup = defualt", AllowEmpty: allowed,
					Targets: []patch.IndexTarget{{Account: s.target.Account, Region: s.target.Region}}})
			})
			s.table.put(patch.WaveKey(siteRun, "typo"), patch.WaveRow{Wave: "typo", Verdict: patch.VerdictGood})
		}
	}
	tests := []struct {
		name string
		set  func(*site)
		want patch.RunStatus
		why  string
	}{
		{"all of it is good", func(*site) {}, patch.RunSucceeded, ""},
		{"one failed", func(s *site) { change(s, patch.Failed, "cmd-1") }, patch.RunCompleted, "1 of 2 instances failed, 0 were not sent"},
		{"one was not sent", func(s *site) { change(s, patch.NotSent, "") }, patch.RunCompleted, "0 of 2 instances failed, 1 were not sent"},
		{"one was gone before the send", func(s *site) { change(s, patch.Gone, "") }, patch.RunSucceeded, ""},
		{"a scan found something", func(s *site) { change(s, patch.NonCompliant, "cmd-1") }, patch.RunSucceeded, ""},
		{"a wave matched nothing", another(false), patch.RunIncomplete, "wave typo matched nothing (looked for: PatchGroup = defualt)"},
		{"a wave may match nothing", another(true), patch.RunSucceeded, ""},
		{"all that matched is left out", func(s *site) {
			another(false)(s)
			reseal(s, func(x *patch.Index) { x.Waves[1].Excluded = 3 })
		}, patch.RunSucceeded, ""},
		{"an account-region was not reached", func(s *site) {
			reseal(s, func(x *patch.Index) {
				x.Unreachable = []patch.UnreachableAccount{{Account: "222222222222", Region: "us-east-1", Reason: "no role"}}
			})
		}, patch.RunIncomplete, "1 account-region could not be reached"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := judgedGood(t)
			test.set(s)
			out, r := s.report(task.VerifyInput{Task: "report"})
			assert.Equal(t, test.want, out.Status)
			assert.Contains(t, r.StatusReason, test.why)
			assert.True(t, out.Status.Good())
		})
	}
}
