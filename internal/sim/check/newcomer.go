package check

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
	"ec2patch/internal/store"
)

// longestCall is how long one call of a function may take: what it has seen when
// it writes a paper is not older. Source: Timeout in cloudformation/hub-cfn.yaml.
const longestCall = 5 * time.Minute

// wrotePaper notes when an object was first written.
func (c *Checks) wrotePaper(e core.Entry) {
	if in, ok := e.Input.(*s3.PutObjectInput); ok && c.papers[aws.ToString(in.Key)].IsZero() {
		c.papers[aws.ToString(in.Key)] = c.now()
	}
}

// newcomers checks that the report overlooks nobody, and that it takes nobody for
// a newcomer who was there or who was sent to: I-42, T-55.
func (c *Checks) newcomers(r *RunFacts, rep *report.Report) {
	known, came := map[string]bool{}, map[string]int{}
	for _, i := range rep.Instances {
		known[string(i.InstanceID)] = true
	}
	for _, e := range rep.Excluded {
		id := string(e.InstanceID)
		if e.Outcome != outcome.Newcomer {
			known[id] = true
			continue
		}
		came[id]++
		i, ok := c.Stage.World.Instance(id)
		planned := c.papers[store.InventoryObject(r.ID, e.Account, e.Region)]
		if !ok || arrived(i).Before(planned.Add(-longestCall)) || r.plan[id] != nil || r.SentTo[id] != nil || e.Reason == "" {
			c.Violate("I-42", "%s is reported as a newcomer (%s), and is none", id, e.Reason)
		}
	}
	for _, i := range c.Stage.World.Instances() {
		switch {
		case came[i.ID] > 1 || came[i.ID] == 1 && known[i.ID]:
			c.Violate("I-42", "%s is reported as a newcomer %d times, and otherwise: %v", i.ID, came[i.ID], known[i.ID])
		case came[i.ID] == 0 && !known[i.ID] && c.mustBeSeen(r, i):
			c.Violate("I-42", "%s came to the run after the plan, and the report does not tell of it", i.ID)
		}
	}
}

// arrived is since when an instance is what it is now.
func arrived(i *world.Instance) time.Time {
	if i.Tagged.After(i.Launched) {
		return i.Tagged
	}
	return i.Launched
}

// mustBeSeen tells whether a wave of the run selected the instance for as long as
// the call took that verified a target there.
func (c *Checks) mustBeSeen(r *RunFacts, i *world.Instance) bool {
	if i.Fate == fleetfile.FateHybrid || optedOut(i) {
		return false
	}
	for _, w := range r.waves {
		t := patch.Target{Run: r.ID, Wave: w.input.Name, Account: patch.AccountID(i.Account), Region: patch.Region(i.Region)}
		hash := c.Tables.ResultOf(t)
		if hash == "" || !selects(w.input.Filters, i) {
			continue
		}
		seen := c.papers[store.ResultObject(t, hash)]
		if arrived(i).Add(longestCall).Before(seen) && (i.Gone.IsZero() || i.Gone.After(seen)) {
			return true
		}
	}
	return false
}

// selects tells whether a filter by tags selects the instance.
func selects(f runinput.Filters, i *world.Instance) bool {
	for key, values := range f.Tags {
		if v, ok := i.Tags[key]; !ok || !slices.Contains(values, v) {
			return false
		}
	}
	return len(f.InstanceIDs) == 0 && slices.Contains(f.Platforms, patch.Platform(i.Platform))
}
