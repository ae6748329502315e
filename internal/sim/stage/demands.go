package stage

import (
	"strconv"

	"ec2patch/internal/cfn"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

// Demands are what the rehearsed hub's parameters demand of every run, as the checks know it: read from the parameters,
// and applied by other code than the product's. They hold for a run whose hub knows of them.
type Demands struct {
	Approval  string
	Distinct  int
	Instances int  // 0: no bound
	Seals     bool // plans are sealed before anything is sent
}

// demandsOf reads the parameters that a hub is deployed with.
func demandsOf(t *cfn.Template, given map[string]string) Demands {
	value := func(name, otherwise string) string {
		if v, ok := given[name]; ok || !t.Takes(name) {
			return v
		}
		return otherwise
	}
	d := Demands{Approval: value("MinimumApproval", "once"), Seals: t.Takes("MinimumApproval")}
	d.Distinct, _ = strconv.Atoi(value("MinimumDistinct", "1"))
	d.Instances, _ = strconv.Atoi(value("MaxInstances", "0"))
	return d
}

// Of is an input as the hub takes it.
func (d Demands) Of(in runinput.Input) runinput.Input {
	changes := false
	for _, w := range in.Waves {
		changes = changes || !in.DryRun && w.SSM.Operation != patch.Scan
	}
	if !changes {
		return in
	}
	if d.Approval == "perWave" || d.Approval == "once" && in.Approval == runinput.ApproveNone {
		in.Approval = runinput.ApprovalMode(d.Approval)
	}
	in.RequireDistinct = max(in.RequireDistinct, d.Distinct)
	return in
}
