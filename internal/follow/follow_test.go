package follow_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/follow"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

func ended(p follow.Progress) []string { return []string{string(p.Phase), p.Status, p.Error, p.Cause} }

func TestFollower_unknown(t *testing.T) {
	var f follow.Follower
	f.See([]follow.Event{
		{ID: 1, Type: "ExecutionStarted"}, {ID: 2, Type: "TaskStateEntered", State: "RequestApproval", Data: `{"ask":{"scope":"run"},"wave":{"name":"only"}}`},
		{ID: 3, Type: "TaskSubmitted", Data: `{"Payload":{"told":false}}`}, {ID: 4, Type: "SomethingNew", State: "x", Data: "no JSON"},
	})
	require.NotNil(t, f.Progress.Question.Told)
	assert.False(t, *f.Progress.Question.Told)
	f.See([]follow.Event{
		{ID: 4, Type: "ExecutionFailed"},
		{ID: 5, Type: "TaskStateEntered", State: "PatchAccounts", Data: "cut off {"},
	})
	assert.Equal(t, patch.PhasePatching, f.Progress.Phase)
	assert.True(t, f.Progress.Ended.IsZero(), "event 4 was seen before")
	f.See([]follow.Event{
		{ID: 6, Type: "MapRunStarted", MapRun: "arn:m"}, {ID: 7, Type: "TaskStateEntered", State: "JudgeWave"},
		{ID: 8, Type: "TaskSucceeded", Data: `{"Payload":{"next":"stop"}}`},
	})
	assert.Equal(t, []follow.Wave{{Name: "only", MapRun: "arn:m", Verdict: patch.VerdictStop}}, f.Progress.Waves)
	f.See([]follow.Event{{ID: 9, Type: "ExecutionAborted", Error: "E", Cause: "c"}})
	assert.Equal(t, []string{string(patch.PhaseDone), "ABORTED", "E", "c"}, ended(f.Progress))
	f.See([]follow.Event{{ID: 10, Type: "ExecutionRedriven"}})
	assert.Equal(t, []string{string(patch.PhasePlanning), "RUNNING", "", ""}, ended(f.Progress))
}

func TestFollower_At(t *testing.T) {
	start := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	var f follow.Follower
	assert.Zero(t, f.At(start).Elapsed, "no event was seen yet")
	f.Progress.Started = start
	assert.Equal(t, time.Hour, f.At(start.Add(time.Hour)).Elapsed)
	assert.Zero(t, f.At(start.Add(-time.Second)).Elapsed, "this machine's clock is behind")
	f.Progress.Ended = start.Add(time.Minute)
	assert.Equal(t, time.Minute, f.At(start.Add(time.Hour)).Elapsed)
}

// stored is a plan of one wave, and a target with two instances.
type stored struct{ frozen bool }

func (s *stored) Waves() []follow.Wave {
	if !s.frozen {
		return nil
	}
	return []follow.Wave{{Name: "only", Planned: 2, Accounts: follow.Accounts{Total: 1}}}
}

func (*stored) Outcomes(patch.Target) []outcome.Outcome {
	return []outcome.Outcome{outcome.Patched, outcome.Failed}
}

// What the functions answer tells how a rehearsal stands, and what of it somebody would look at.
func TestFollower_Answered(t *testing.T) {
	s := &stored{}
	f := follow.Follower{Stored: s}
	const target = `"run":"r","wave":"only","account":"111111111111","region":"us-east-1"`
	steps := []struct {
		name, binary, in, out string
		shown                 bool
		phase                 patch.Phase
		wave                  string
	}{
		{"a plan is made", lambdas.Inventory, `{"task":"plan"}`, `{}`, true, patch.PhasePlanning, ""},
		{"frozen by nobody yet", lambdas.Inventory, `{"task":"freeze"}`, `{}`, false, patch.PhasePlanning, ""},
		{"frozen", lambdas.Inventory, `{"task":"freeze"}`, `{}`, true, patch.PhasePlanning, ""},
		{"people are asked", lambdas.ApprovalRequest, `{"task":"request","scope":"wave:only"}`, `{}`, true, patch.PhaseWaiting, "only"},
		{"asked again", lambdas.ApprovalRequest, `{"task":"settle","scope":"wave:only"}`, `{"status":"pending"}`, true,
			patch.PhaseWaiting, "only"},
		{"settled", lambdas.ApprovalRequest, `{"task":"settle","scope":"wave:only"}`, `{"status":"approved"}`, false,
			patch.PhaseWaiting, "only"},
		{"a click", lambdas.ApprovalCallback, `{}`, `{}`, false, patch.PhaseWaiting, "only"},
		{"a send", lambdas.SendCommand, `{` + target + `}`, `{"next":"wait"}`, true, patch.PhasePatching, "only"},
		{"a poll", lambdas.Poll, `{` + target + `}`, `{"next":"verify"}`, true, patch.PhasePatching, "only"},
		{"not verified yet", lambdas.Verify, `{"task":"verify",` + target + `}`, `{"next":"wait"}`, true, patch.PhasePatching, "only"},
		{"verified", lambdas.Verify, `{"task":"verify",` + target + `}`, `{"next":"done"}`, true, patch.PhasePatching, "only"},
		{"verified again", lambdas.Verify, `{"task":"verify",` + target + `}`, `{"next":"done"}`, true, patch.PhasePatching, "only"},
		{"rolled up", lambdas.Verify, `{"task":"rollup","run":"r","wave":"only"}`, `{}`, true, patch.PhasePatching, "only"},
		{"soaking", lambdas.Verify, `{"task":"judge","wave":"only"}`, `{"next":"wait"}`, true, patch.PhaseSoaking, "only"},
		{"pausing", lambdas.Verify, `{"task":"judge","wave":"only"}`, `{"next":"wait","verdict":"good"}`, true, patch.PhasePausing, "only"},
		{"judged", lambdas.Verify, `{"task":"judge","wave":"only"}`, `{"next":"next","verdict":"good"}`, false, patch.PhasePausing, "only"},
		{"reported", lambdas.Verify, `{"task":"report","run":"r"}`, `{}`, true, patch.PhaseReporting, ""},
	}
	for _, step := range steps {
		s.frozen = step.name == "frozen"
		require.True(t, json.Valid([]byte(step.in)) && json.Valid([]byte(step.out)), step.name)
		assert.Equal(t, step.shown, f.Answered(step.binary, []byte(step.in), []byte(step.out)), step.name)
		assert.Equal(t, step.phase, f.Progress.Phase, step.name)
		assert.Equal(t, step.wave, f.Progress.Wave, step.name)
	}
	assert.Equal(t, []follow.Wave{{
		Name: "only", Planned: 2, Accounts: follow.Accounts{Total: 1, Done: 1}, Verdict: patch.VerdictGood,
		Outcomes: map[outcome.Outcome]int{outcome.Patched: 1, outcome.Failed: 1},
	}}, f.Progress.Waves)

	before := f.At(time.Time{})
	f.Progress.Waves[0].Outcomes[outcome.Patched]++
	f.Progress.Waves[0].Accounts.Done++
	assert.Equal(t, 1, before.Waves[0].Outcomes[outcome.Patched], "what was shown stays as it was")
	assert.Equal(t, 1, before.Waves[0].Accounts.Done)
}
