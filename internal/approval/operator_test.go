package approval_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

func TestOperator_Approve(t *testing.T) {
	s := newStand(t)
	status,
		out := s.operate(t, fake.Operator,
		map[string]any{"run": fake.StandRun, "action": "approve", "code": s.rec.Code(), "name": "Ann"})
	require.Equal(t, 200, status, out)
	assert.Equal(t, true, out["recorded"])
	question := out["approvals"].([]any)[0].(map[string]any)
	assert.Equal(t, "approved", question["status"])
	assert.Equal(t, fake.Operator, s.decisions(t)[0].Identity)
	assert.Equal(t, []string{"the-task-token"}, s.waiter.Tokens)
	assert.NotContains(t, fmt.Sprint(out), "the-task-token")

	status,
		out = s.operate(t, fake.Operator,
		map[string]any{"run": fake.StandRun, "action": "reject", "code": s.rec.Code(), "reason": "no"})
	assert.Equal(t, 409, status)
	assert.Equal(t, "already_decided", out["code"])
	question = out["state"].(map[string]any)["approvals"].([]any)[0].(map[string]any)
	assert.Equal(t, "approved", question["status"])
}

func TestOperator_NamesThePlan(t *testing.T) {
	tests := []struct {
		name   string
		field  string
		value  func(decision.Approval) string
		status int
		code   string
	}{
		{"by its code", "code", decision.Approval.Code, 200, ""},
		{"by the code in capitals", "code", func(a decision.Approval) string { return strings.ToUpper(a.Code()) }, 200, ""},
		{"by its digest", "digest", func(a decision.Approval) string { return a.Digest }, 200, ""},
		{"by the beginning of its digest", "digest", func(a decision.Approval) string { return a.Digest[:12] }, 200, ""},
		{"by too little of it", "digest", func(a decision.Approval) string { return a.Digest[:11] }, 400, "bad_request"},
		{"by another digest", "digest", func(decision.Approval) string { return strings.Repeat("0", 64) }, 422, "wrong_code"},
		{"by another code", "code", func(decision.Approval) string { return "1-0000" }, 422, "wrong_code"},
		{"not at all", "name", func(decision.Approval) string { return "Ann" }, 400, "bad_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t)
			status,
				out := s.operate(t, fake.Operator,
				map[string]any{"run": fake.StandRun, "action": "approve", tt.field: tt.value(s.rec)})
			assert.Equal(t, tt.status, status, out)
			if tt.code != "" {
				assert.Equal(t, tt.code, out["code"])
				assert.Empty(t, s.decisions(t))
			}
		})
	}
}

func TestOperator_Refusals(t *testing.T) {
	tests := []struct {
		name   string
		caller string
		body   map[string]any
		status int
		code   string
	}{
		{"unsigned", "", map[string]any{"run": fake.StandRun, "action": "abort", "reason": "x"}, 403, "forbidden"},
		{"signed in another account", strings.Replace(fake.Operator, "999999999999", "888888888888", 1),
			map[string]any{"run": fake.StandRun, "action": "abort", "reason": "x"}, 403, "forbidden"},
		{"signed with half an ARN", "arn:aws:sts::999999999999",
			map[string]any{"run": fake.StandRun, "action": "abort", "reason": "x"}, 403, "forbidden"},
		{"signed by nobody", "link", map[string]any{"run": fake.StandRun, "action": "abort", "reason": "x"}, 403,
			"forbidden"},
		{"another run", fake.Operator, map[string]any{"run": "other", "action": "status"}, 404, "not_found"},
		{"no run", fake.Operator, map[string]any{"action": "status"}, 400, "bad_request"},
		{"a path for a run", fake.Operator, map[string]any{"run": "../x", "action": "status"}, 400, "bad_request"},
		{"no action", fake.Operator, map[string]any{"run": fake.StandRun}, 400, "bad_request"},
		{"an unknown action", fake.Operator, map[string]any{"run": fake.StandRun, "action": "Approve"}, 400, "bad_request"},
		{"abort without reason", fake.Operator, map[string]any{"run": fake.StandRun, "action": "abort"}, 400, "bad_request"},
		{"reject without reason", fake.Operator, map[string]any{"run": fake.StandRun, "action": "reject", "code": "1"}, 400,
			"bad_request"},
		{"a scope that nobody asked about", fake.Operator,
			map[string]any{"run": fake.StandRun, "action": "approve", "scope": "wave:fleet", "code": "400-0000"}, 404,
			"not_found"},
		{"approve a run without question", fake.Operator, map[string]any{"run": "other", "action": "approve", "code": "1"},
			409, "nothing_pending"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t)
			s.unchanged(t, func() {
				status, out := s.operate(t, tt.caller, tt.body)
				assert.Equal(t, tt.status, status)
				assert.Equal(t, tt.code, out["code"])
				assert.NotEmpty(t, out["message"])
			})
		})
	}
	t.Run("too late", func(t *testing.T) {
		s := newStand(t)
		s.now = s.rec.Expires
		s.unchanged(t, func() {
			status,
				out := s.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "approve", "code": s.rec.Code()})
			assert.Equal(t, 410, status)
			assert.Equal(t, "expired", out["code"])
		})
	})
}

func TestOperator_Scope(t *testing.T) {
	s := newStand(t)
	second := s.rec
	second.Scope, second.Instances = "wave:fleet", 400
	second.ID = decision.ApprovalID(fake.StandRun, second.Scope)
	s.table.Put(store.ApprovalKey(second.ID), second)
	status,
		out := s.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "approve", "code": s.rec.Code()})
	assert.Equal(t, 409, status)
	assert.Equal(t, "scope_needed", out["code"])
	assert.Contains(t, out["message"], "run, wave:fleet")
	status,
		_ = s.operate(t, fake.Operator,
		map[string]any{"run": fake.StandRun, "action": "approve", "scope": "run", "code": s.rec.Code()})
	assert.Equal(t, 200, status)
	status,
		out = s.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "approve", "code": second.Code()})
	assert.Equal(t, 200, status, "the only open question is meant: %v", out)
}

func TestOperator_Status(t *testing.T) {
	s := newStand(t)
	s.do(t, s.form("reject", "reason", "not today"))
	s.unchanged(t, func() {
		status, out := s.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "status"})
		require.Equal(t, 200, status)
		assert.Equal(t, "Running", out["runStatus"])
		question := out["approvals"].([]any)[0].(map[string]any)
		assert.Equal(t, "rejected", question["status"])
		decision := question["decisions"].([]any)[0].(map[string]any)
		assert.Equal(t, "not today", decision["reason"])
		assert.NotContains(t, decision, "mac")
	})
}

func TestOperator_Abort(t *testing.T) {
	s := newStand(t)
	body := map[string]any{"run": fake.StandRun, "action": "abort", "reason": "fire", "cancelInFlight": true}
	s.table.Before = func() error {
		assert.Empty(t, s.mail.Sent)
		return nil
	}
	status, out := s.operate(t, fake.Operator, body)
	require.Equal(t, 200, status)
	assert.Equal(t, true, out["recorded"])
	assert.Equal(t, fake.Operator, out["aborted"].(map[string]any)["by"])
	chain := s.table.About(t, store.ApprovalSubject(decision.ApprovalID(fake.StandRun, "abort")))
	require.Len(t, chain, 1)
	assert.Contains(t, chain[0].Detail, `reason "fire", cancel in flight true`)
	require.Len(t, s.mail.Sent, 1)
	assert.Equal(t, []string{"the-task-token"}, s.waiter.Tokens, "the wait ends at once")
	assert.Equal(t, []string{"Asked", "Release"}, s.actions(t), "and that it does stands in the audit first")
	assert.Equal(t, decision.ApprovalPending, s.stored(t).Status)
	assert.Empty(t, s.stored(t).Token)

	s.unchanged(t, func() {
		body["reason"] = "flood"
		status, out = s.operate(t, fake.Operator+"2", body)
		assert.Equal(t, 200, status)
		assert.Equal(t, false, out["recorded"])
		assert.Equal(t, "fire", out["aborted"].(map[string]any)["reason"], "the first abort stays")
	})
	t.Run("at the same time", func(t *testing.T) {
		s := newStand(t)
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() { s.operate(t, fake.Operator, body) })
		}
		wait.Wait()
		assert.Len(t, s.table.About(t, store.ApprovalSubject(decision.ApprovalID(fake.StandRun, "abort"))), 1)
		assert.Len(t, s.mail.Sent, 1)
	})
	t.Run("the run cannot be told", func(t *testing.T) {
		s := newStand(t)
		s.waiter.Err = patch.ErrUnavailable
		_, out := s.operate(t, fake.Operator, body)
		assert.Equal(t, true, out["recorded"])
		assert.Equal(t, true, out["delayed"])
		assert.Equal(t, "the-task-token", s.stored(t).Token)

		s.waiter.Err = nil
		_, out = s.operate(t, fake.Operator, body)
		assert.NotContains(t, out, "delayed", "the next abort tells it")
		assert.Empty(t, s.stored(t).Token)
	})
	t.Run("after a decision", func(t *testing.T) {
		s := newStand(t)
		s.do(t, s.form("approve"))
		_, out := s.operate(t, fake.Operator, body)
		assert.Equal(t, true, out["recorded"])
		assert.Len(t, s.waiter.Tokens, 1, "only the decision told the run")
	})
	t.Run("after the end", func(t *testing.T) {
		s := newStand(t, func(_ *decision.Approval, run *store.RunRow, _ *plan.Index) {
			run.Ended = run.Ended.AddDate(1, 0, 0)
		})
		s.unchanged(t, func() {
			status, out := s.operate(t, fake.Operator, body)
			assert.Equal(t, 410, status)
			assert.Equal(t, "run_ended", out["code"])
		})
	})
}
