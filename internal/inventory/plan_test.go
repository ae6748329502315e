package inventory_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
)

// A schedule delivers at least once: the same runKey lets one run through.
func TestPlan_runKey(t *testing.T) {
	s := site.New(t, 1)
	open := site.Executions{site.ArnOf("first"): true}
	require.NoError(t, s.PlanBeside(open, "first", site.Keyed("december")))
	require.NoError(t, s.PlanBeside(open, "first", site.Keyed("december")), "a second attempt of the same run")
	start := s.Now.UTC()

	s.Now = s.Now.Add(30 * time.Hour)
	err := s.PlanBeside(open, "second", site.Keyed("december"))
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Contains(t, err.Error(),
		`run first keeps the key "december": it is open; the key becomes free when that run has ended, and after a good end not before `+
			start.Add(2*time.Hour).Format(time.RFC3339))
	require.NoError(t, s.PlanBeside(open, "other", site.Keyed("january")))
	require.NoError(t, s.Plan("third", site.Keyed("december")),
		"its execution has ended, although its row does not know")
}

// How a run ended decides whether it keeps its key, and its start for how long.
func TestPlan_runKeyAfterTheEnd(t *testing.T) {
	for _, status := range []patch.RunStatus{patch.RunSucceeded, patch.RunCompleted, patch.RunIncomplete} {
		t.Run(string(status), func(t *testing.T) {
			s := site.New(t, 1)
			start := s.Now
			require.NoError(t, s.Plan("first", site.Keyed("december")))
			s.Now = start.Add(90 * time.Minute)
			s.End("first", status)
			s.Now = start.Add(2*time.Hour - time.Second)
			err := s.Plan("second", site.Keyed("december"))
			require.ErrorIs(t, err, patch.ErrInvalidInput)
			assert.Contains(t, err.Error(),
				fmt.Sprintf(
					`run first keeps the key "december": it ended as %s; the key becomes free at %s, two hours after its start`,
					status, start.UTC().Add(2*time.Hour).Format(time.RFC3339)))
			s.Now = start.Add(2 * time.Hour)
			require.NoError(t, s.Plan("third", site.Keyed("december")))
			s.End("third", status)
			require.ErrorIs(t, s.Plan("fourth", site.Keyed("december")), patch.ErrInvalidInput,
				"the next one keeps it, too")
		})
	}
	for _, status := range []patch.RunStatus{patch.RunFailed, patch.RunStopped, patch.RunRejected, patch.RunExpired,
		patch.RunAborted, patch.RunRefused, patch.RunPlanned} {
		t.Run(string(status), func(t *testing.T) {
			s := site.New(t, 1)
			require.NoError(t, s.Plan("first", site.Keyed("december")))
			s.End("first", status)
			require.NoError(t, s.Plan("second", site.Keyed("december")))
		})
	}
}

// A daily schedule with a constant key goes through each day: also when its start
// comes 20 seconds early, and after the night in which the clocks go forward.
func TestPlan_runKeyOfADailySchedule(t *testing.T) {
	for name, gap := range map[string]time.Duration{"20 seconds early": 24*time.Hour - 20*time.Second,
		"a day with 23 hours": 23 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := site.New(t, 1)
			require.NoError(t, s.Plan("monday", site.Keyed("daily")))
			s.End("monday", patch.RunSucceeded)
			s.Now = s.Now.Add(time.Minute)
			require.ErrorIs(t, s.Plan("monday-again", site.Keyed("daily")), patch.ErrInvalidInput,
				"the same start, delivered twice")
			s.Now = s.Now.Add(gap - time.Minute)
			require.NoError(t, s.Plan("tuesday", site.Keyed("daily")))
		})
	}
}

// A key that is made of the scheduled time is another one for each start.
func TestPlan_runKeyOfATime(t *testing.T) {
	s := site.New(t, 1)
	require.NoError(t, s.Plan("first", site.Keyed("2026-12-patch:2026-12-08T02:00:00Z")))
	s.End("first", patch.RunSucceeded)
	require.NoError(t, s.Plan("second", site.Keyed("2026-12-patch:2026-12-08T03:00:00Z")))
	require.ErrorIs(t, s.Plan("third", site.Keyed("2026-12-patch:2026-12-08T02:00:00Z")), patch.ErrInvalidInput)
}

// A key is never in the way of a run that resumes its holder, whatever became of
// that one; a run that resumes another is a second run like any other.
func TestPlan_runKeyOfAResumedRun(t *testing.T) {
	resume := func(run string) string {
		return strings.TrimSuffix(site.Keyed("december"), "}") + `,"resume":"` + run + `"}`
	}
	s := site.New(t, 1)
	open := site.Executions{site.ArnOf("first"): true}
	require.NoError(t, s.PlanBeside(open, "first", site.Keyed("december")))
	site.Edit(s, store.RunKey("first"), func(r *store.RunRow) { r.Digest = "frozen" })
	require.ErrorContains(t, s.PlanBeside(open, "too-early", resume("first")), "resume: run first has not ended")

	s.End("first", patch.RunIncomplete)
	require.NoError(t, s.Plan("second", resume("first")))
	s.End("second", patch.RunCompleted)
	err := s.Plan("beside", resume("first"))
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Contains(t, err.Error(), `run second keeps the key "december"`)
	require.NoError(t, s.Plan("third", resume("second")))
}

// Who started the run by another state machine stands in its row.
func TestPlan_startedBy(t *testing.T) {
	const monthly = "arn:aws:states:us-east-1:999999999999:execution:monthly:abc"
	s := site.New(t, 1)
	require.NoError(t, s.Plan("nested", strings.TrimSuffix(site.Keyed("december"),
		"}")+`,"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID":"`+monthly+`"}`))
	var run store.RunRow
	s.Read(store.RunKey("nested"), &run)
	assert.Equal(t, monthly, run.StartedBy)
	var stored runinput.Input
	require.NoError(t, json.Unmarshal(s.Bucket.Objects[store.InputObject("nested")], &stored))
	assert.Equal(t, monthly, stored.StartedBy)
}

// However much is wrong with an input, what is kept of it is small.
func TestPlan_refusalIsShort(t *testing.T) {
	s := site.New(t, 1)
	accounts := `"1"` + strings.Repeat(`,"1"`, 20_000)
	err := s.Plan("hostile", `{"waves":[{"accounts":[`+accounts+`],"regions":["us-east-1"]}]}`)
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Less(t, len(err.Error()), 5000)
	var run store.RunRow
	s.Read(store.RunKey("hostile"), &run)
	assert.Equal(t, patch.RunRefused, run.Status)
	assert.Less(t, len(run.StatusReason), 5000)
}
