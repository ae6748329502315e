package task_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// plan starts a run of that name with the input. No other execution goes on.
func (s *site) plan(run patch.RunID, input string) error {
	return s.planBeside(nil, run, input)
}

// planBeside starts a run while other executions go on.
func (s *site) planBeside(others executions, run patch.RunID, input string) error {
	v := &task.Inventory{Table: s.table, Objects: s.bucket, Spokes: s, Now: s.clock, Bucket: "data", RegionConcurrency: 4, Defaults: patch.HubDefaults(), Runs: others}
	_, err := v.Handle(s.t.Context(), task.InventoryInput{Task: "plan", Run: run, ExecutionARN: arnOf(run), StartedAt: s.now, Input: json.RawMessage(input)})
	return err
}

func arnOf(run patch.RunID) string { return "arn:" + string(run) }

// end closes a run that was planned.
func (s *site) end(run patch.RunID, status patch.RunStatus) {
	edit(s, patch.RunKey(run), func(r *patch.RunRow) { r.Status, r.Ended, r.Digest = status, s.now, "frozen" })
}

func keyed(key string) string {
	return fmt.Sprintf(`{"runKey":%q,"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`, key)
}

// A schedule delivers at least once: the same runKey lets one run through.
func TestPlan_runKey(t *testing.T) {
	s := newSite(t, 1)
	open := executions{arnOf("first"): true}
	require.NoError(t, s.planBeside(open, "first", keyed("december")))
	require.NoError(t, s.planBeside(open, "first", keyed("december")), "a second attempt of the same run")
	start := s.now.UTC()

	s.now = s.now.Add(30 * time.Hour)
	err := s.planBeside(open, "second", keyed("december"))
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Contains(t, err.Error(), `run first keeps the key "december": it is open; the key becomes free when that run has ended, and after a good end not before `+
		start.Add(2*time.Hour).Format(time.RFC3339))
	require.NoError(t, s.planBeside(open, "other", keyed("january")))
	require.NoError(t, s.plan("third", keyed("december")), "its execution has ended, although its row does not know")
}

// How a run ended decides whether it keeps its key, and its start for how long.
func TestPlan_runKeyAfterTheEnd(t *testing.T) {
	for _, status := range []patch.RunStatus{patch.RunSucceeded, patch.RunCompleted, patch.RunIncomplete} {
		t.Run(string(status), func(t *testing.T) {
			s := newSite(t, 1)
			start := s.now
			require.NoError(t, s.plan("first", keyed("december")))
			s.now = start.Add(90 * time.Minute)
			s.end("first", status)
			s.now = start.Add(2*time.Hour - time.Second)
			err := s.plan("second", keyed("december"))
			require.ErrorIs(t, err, patch.ErrInvalidInput)
			assert.Contains(t, err.Error(), fmt.Sprintf(`run first keeps the key "december": it ended as %s; the key becomes free at %s, two hours after its start`,
				status, start.UTC().Add(2*time.Hour).Format(time.RFC3339)))
			s.now = start.Add(2 * time.Hour)
			require.NoError(t, s.plan("third", keyed("december")))
			s.end("third", status)
			require.ErrorIs(t, s.plan("fourth", keyed("december")), patch.ErrInvalidInput, "the next one keeps it, too")
		})
	}
	for _, status := range []patch.RunStatus{patch.RunFailed, patch.RunStopped, patch.RunRejected, patch.RunExpired, patch.RunAborted, patch.RunRefused, patch.RunPlanned} {
		t.Run(string(status), func(t *testing.T) {
			s := newSite(t, 1)
			require.NoError(t, s.plan("first", keyed("december")))
			s.end("first", status)
			require.NoError(t, s.plan("second", keyed("december")))
		})
	}
}

// A daily schedule with a constant key goes through each day: also when its start
// comes 20 seconds early, and after the night in which the clocks go forward.
func TestPlan_runKeyOfADailySchedule(t *testing.T) {
	for name, gap := range map[string]time.Duration{"20 seconds early": 24*time.Hour - 20*time.Second, "a day with 23 hours": 23 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, 1)
			require.NoError(t, s.plan("monday", keyed("daily")))
			s.end("monday", patch.RunSucceeded)
			s.now = s.now.Add(time.Minute)
			require.ErrorIs(t, s.plan("monday-again", keyed("daily")), patch.ErrInvalidInput, "the same start, delivered twice")
			s.now = s.now.Add(gap - time.Minute)
			require.NoError(t, s.plan("tuesday", keyed("daily")))
		})
	}
}

// A key that is made of the scheduled time is another one for each start.
func TestPlan_runKeyOfATime(t *testing.T) {
	s := newSite(t, 1)
	require.NoError(t, s.plan("first", keyed("2026-12-patch:2026-12-08T02:00:00Z")))
	s.end("first", patch.RunSucceeded)
	require.NoError(t, s.plan("second", keyed("2026-12-patch:2026-12-08T03:00:00Z")))
	require.ErrorIs(t, s.plan("third", keyed("2026-12-patch:2026-12-08T02:00:00Z")), patch.ErrInvalidInput)
}

// A key is never in the way of a run that resumes its holder, whatever became of
// that one; a run that resumes another is a second run like any other.
func TestPlan_runKeyOfAResumedRun(t *testing.T) {
	resume := func(run string) string {
		return strings.TrimSuffix(keyed("december"), "}") + `,"resume":"` + run + `"}`
	}
	s := newSite(t, 1)
	open := executions{arnOf("first"): true}
	require.NoError(t, s.planBeside(open, "first", keyed("december")))
	edit(s, patch.RunKey("first"), func(r *patch.RunRow) { r.Digest = "frozen" })
	require.ErrorContains(t, s.planBeside(open, "too-early", resume("first")), "resume: run first has not ended")

	s.end("first", patch.RunIncomplete)
	require.NoError(t, s.plan("second", resume("first")))
	s.end("second", patch.RunCompleted)
	err := s.plan("beside", resume("first"))
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Contains(t, err.Error(), `run second keeps the key "december"`)
	require.NoError(t, s.plan("third", resume("second")))
}

// Who started the run by another state machine stands in its row.
func TestPlan_startedBy(t *testing.T) {
	const monthly = "arn:aws:states:us-east-1:999999999999:execution:monthly:abc"
	s := newSite(t, 1)
	require.NoError(t, s.plan("nested", strings.TrimSuffix(keyed("december"), "}")+`,"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID":"`+monthly+`"}`))
	var run patch.RunRow
	s.load(patch.RunKey("nested"), &run)
	assert.Equal(t, monthly, run.StartedBy)
	var stored patch.Input
	require.NoError(t, json.Unmarshal(s.bucket.localObjects[patch.InputObject("nested")], &stored))
	assert.Equal(t, monthly, stored.StartedBy)
}

// However much is wrong with an input, what is kept of it is small.
func TestPlan_refusalIsShort(t *testing.T) {
	s := newSite(t, 1)
	accounts := `"1"` + strings.Repeat(`,"1"`, 20_000)
	err := s.plan("hostile", `{"waves":[{"accounts":[`+accounts+`],"regions":["us-east-1"]}]}`)
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Less(t, len(err.Error()), 5000)
	var run patch.RunRow
	s.load(patch.RunKey("hostile"), &run)
	assert.Equal(t, patch.RunRefused, run.Status)
	assert.Less(t, len(run.StatusReason), 5000)
}

// executions are those that go on, by ARN.
type executions map[string]bool

func (e executions) Running(_ context.Context, arn string) (bool, error) { return e[arn], nil }

func (e executions) Ended(_ context.Context, arn string) (string, bool, error) {
	return "", e[arn], nil
}
