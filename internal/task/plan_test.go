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

// plan starts a run of that name with the input.
func (s *site) plan(run patch.RunID, input string) error {
	v := &task.Inventory{Table: s.table, Objects: s.bucket, Spokes: s, Now: s.clock, Bucket: "data", RegionConcurrency: 4, Defaults: patch.HubDefaults(), Runs: nobody{}}
	_, err := v.Handle(s.t.Context(), task.InventoryInput{Task: "plan", Run: run, ExecutionARN: "arn:" + string(run), StartedAt: s.now, Input: json.RawMessage(input)})
	return err
}

func keyed(key string) string {
	return fmt.Sprintf(`{"runKey":%q,"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`, key)
}

// A schedule delivers at least once: the same runKey lets one run through.
func TestPlan_runKey(t *testing.T) {
	s := newSite(t, 1)
	require.NoError(t, s.plan("first", keyed("december")))
	require.NoError(t, s.plan("first", keyed("december")), "a second attempt of the same run")

	err := s.plan("second", keyed("december"))
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.Contains(t, err.Error(), `run first has the key "december"`)
	require.NoError(t, s.plan("other", keyed("january")))

	edit(s, patch.RunKey("first"), func(r *patch.RunRow) { r.Status, r.Ended = patch.RunSucceeded, s.now })
	s.now = s.now.Add(24*time.Hour - time.Second)
	require.ErrorIs(t, s.plan("third", keyed("december")), patch.ErrInvalidInput, "late deliveries end after a day")
	s.now = s.now.Add(time.Second)
	require.NoError(t, s.plan("fourth", keyed("december")))
	require.ErrorIs(t, s.plan("fifth", keyed("december")), patch.ErrInvalidInput)
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
	assert.Equal(t, patch.RunFailed, run.Status)
	assert.Less(t, len(run.StatusReason), 5000)
}

// nobody runs anything.
type nobody struct{}

func (nobody) Running(context.Context, string) (bool, error) { return false, nil }
