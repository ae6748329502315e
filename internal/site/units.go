package site

import (
	"encoding/json"
	"fmt"

	"ec2patch/internal/inventory"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
)

// Members are active accounts: from, from+1 and so on.
func Members(from, n int) []port.Member {
	all := make([]port.Member, n)
	for i := range all {
		all[i] = port.Member{Account: patch.AccountID(fmt.Sprintf("%012d", from+i)), State: "ACTIVE"}
	}
	return all
}

// PlanUnits starts a run of that name whose hub reads the organization.
func (s *Site) PlanUnits(run patch.RunID, organization port.Organization, input string) error {
	v := &inventory.Inventory{Table: s.Table, Objects: s.Bucket, Spokes: s, Now: s.Clock, Bucket: "data",
		RegionConcurrency: 4, Auditor: s.Auditor, Defaults: runinput.HubDefaults(), Runs: Executions{}, Units: organization}
	_,
		err := v.Handle(s.T.Context(),
		inventory.InventoryInput{Task: patch.TaskPlan, Run: run, ExecutionARN: "arn:" + string(run), StartedAt: s.Now,
			Input: json.RawMessage(input)})
	return err
}
