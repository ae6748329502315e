package compose_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
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
		{"", patch.RunFailed, "not known how"},
	}
	for _, test := range tests {
		t.Run(test.ended, func(t *testing.T) {
			s := site.New(t, 2)
			s.Must(s.Send())
			s.ExitAs = test.ended
			out, r := s.Report(task.VerifyInput{Task: patch.TaskClose, Status: "MISSED"})
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
	change := func(s *site.Site, outcome outcome.Outcome, command patch.CommandID) {
		row := s.Row()
		var result target.TargetResult
		site.DecodeJSON(s.T, s.Bucket.Objects[store.ResultObject(s.Target, row.ResultHash)], &result)
		result.Instances[0].Outcome, result.Instances[0].CommandID = outcome, command
		data, err := patch.Canonical(result)
		require.NoError(s.T, err)
		hash := patch.Digest(data)
		s.Bucket.Objects[store.ResultObject(s.Target, hash)] = data
		site.Edit(s, store.TargetKey(s.Target), func(r *target.TargetRow) { r.ResultHash = hash })
	}
	reseal := func(s *site.Site, f func(*plan.Index)) {
		f(&s.Index)
		require.NoError(s.T, s.Index.Seal())
		data, err := patch.Canonical(s.Index)
		require.NoError(s.T, err)
		s.Bucket.Objects[store.IndexObject(site.Run)] = data
		site.Edit(s, store.RunKey(site.Run), func(r *store.RunRow) { r.Digest = s.Index.Digest })
	}
	another := func(allowed bool) func(*site.Site) {
		return func(s *site.Site) {
			reseal(s, func(x *plan.Index) {
				x.Waves = append(x.Waves, plan.IndexWave{Name: "typo", Filter: "PatchGroup = defualt", AllowEmpty: allowed,
					Targets: []plan.IndexTarget{{Account: s.Target.Account, Region: s.Target.Region}}})
			})
			s.Table.Put(store.WaveKey(site.Run, "typo"), store.WaveRow{Wave: "typo", Verdict: patch.VerdictGood})
		}
	}
	tests := []struct {
		name string
		set  func(*site.Site)
		want patch.RunStatus
		why  string
	}{
		{"all of it is good", func(*site.Site) {}, patch.RunSucceeded, ""},
		{"one failed", func(s *site.Site) {
			change(s, outcome.Failed, "cmd-1")
		}, patch.RunCompleted, "1 of 2 instances failed, 0 were not sent"},
		{"one was not sent", func(s *site.Site) {
			change(s, outcome.NotSent, "")
		}, patch.RunCompleted, "0 of 2 instances failed, 1 were not sent"},
		{"one was gone before the send", func(s *site.Site) { change(s, outcome.Gone, "") }, patch.RunSucceeded, ""},
		{"a scan found something", func(s *site.Site) { change(s, outcome.NonCompliant, "cmd-1") }, patch.RunSucceeded, ""},
		{"a wave matched nothing", another(false), patch.RunIncomplete,
			"wave typo matched nothing (looked for: PatchGroup = defualt)"},
		{"a wave may match nothing", another(true), patch.RunSucceeded, ""},
		{"all that matched is left out", func(s *site.Site) {
			another(false)(s)
			reseal(s, func(x *plan.Index) { x.Waves[1].Excluded = 3 })
		}, patch.RunSucceeded, ""},
		{"an account-region was not reached", func(s *site.Site) {
			reseal(s, func(x *plan.Index) {
				x.Unreachable = []plan.UnreachableAccount{{Account: "222222222222", Region: "us-east-1", Reason: "no role"}}
			})
		}, patch.RunIncomplete, "1 account-region could not be reached"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := site.JudgedGood(t)
			test.set(s)
			out, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
			assert.Equal(t, test.want, out.Status)
			assert.Contains(t, r.StatusReason, test.why)
			assert.True(t, out.Status.Good())
		})
	}
}
