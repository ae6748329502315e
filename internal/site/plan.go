package site

import (
	"context"
	"encoding/json"
	"fmt"

	"ec2patch/internal/inventory"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// Plan starts a run of that name with the input. No other execution goes on.
func (s *Site) Plan(run patch.RunID, input string) error {
	return s.PlanBeside(nil, run, input)
}

// PlanBeside starts a run while other executions go on.
func (s *Site) PlanBeside(others Executions, run patch.RunID, input string) error {
	v := &inventory.Inventory{Table: s.Table, Objects: s.Bucket, Spokes: s, Now: s.Clock, Bucket: "data",
		RegionConcurrency: 4, Auditor: s.Auditor, Policy: s.Policy, Defaults: runinput.HubDefaults(), Runs: others}
	_,
		err := v.Handle(s.T.Context(),
		inventory.InventoryInput{Task: patch.TaskPlan, Run: run, ExecutionARN: ArnOf(run), StartedAt: s.Now,
			Input: json.RawMessage(input)})
	return err
}

func ArnOf(run patch.RunID) string { return "arn:" + string(run) }

// End closes a run that was planned.
func (s *Site) End(run patch.RunID, status patch.RunStatus) {
	Edit(s, store.RunKey(run), func(r *store.RunRow) { r.Status, r.Ended, r.Digest = status, s.Now, "frozen" })
}

func Keyed(key string) string {
	return fmt.Sprintf(`{"runKey":%q,"waves":[{"accounts":["111111111111"],"regions":["us-east-1"]}]}`, key)
}

// Executions are those that go on, by ARN.
type Executions map[string]bool

func (e Executions) Running(_ context.Context, arn string) (bool, error) { return e[arn], nil }

func (e Executions) Ended(_ context.Context, arn string) (string, bool, error) {
	return "", e[arn], nil
}
