package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/asl"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/world"
)

// checks hold the run against the rules of docs/safety.md. They read what the
// agents and the API side of the world saw, and what the run wrote for people;
// never what the product believes.
type checks struct {
	s     *stage
	found []Violation

	installs map[string]int // by instance
	sends    []sending
	seen     int // entries of the ledger that were looked at

	plan     map[string]patch.Leaf // by instance
	planned  map[patch.Target]patch.Leaf
	busy     map[string]int // agents at work, by account/region
	lastBusy map[string]time.Time
	approved time.Time
	rejected bool
	audited  map[string]bool // markers of the sends that the audit table knows
	aborted  bool

	maxPayload    int
	transactItems int
}

// sending is one accepted SendCommand.
type sending struct {
	at      time.Time
	account string
	region  string
	ids     []string
	comment string
	install bool
}

const (
	// maxPayload is what a payload between states may measure, whatever the fleet's size.
	maxPayloadBytes = 16 << 10
	// maxHistory is half of what Step Functions allows.
	maxHistory = 12_500
)

func newChecks(s *stage) *checks {
	c := &checks{
		s: s, installs: map[string]int{}, plan: map[string]patch.Leaf{}, planned: map[patch.Target]patch.Leaf{},
		busy: map[string]int{}, lastBusy: map[string]time.Time{}, audited: map[string]bool{},
	}
	s.engine.OnEvent = c.event
	s.world.KeepInputs = true
	return c
}

func (c *checks) violate(rule, format string, args ...any) {
	if len(c.found) >= maxViolations {
		return
	}
	c.found = append(c.found, Violation{Rule: rule, At: c.s.world.Now().UTC().Format(time.RFC3339), Detail: fmt.Sprintf(format, args...)})
}

// maxViolations bounds what one rehearsal reports: after the first, the rest is noise.
const maxViolations = 100

// event is called after every event of every execution.
func (c *checks) event(x *asl.Execution, e *asl.Event) {
	c.ledger()
	size := 0
	for _, k := range []string{"input", "output"} {
		if raw, ok := e.Details[k].(json.RawMessage); ok {
			size = max(size, len(raw))
		}
	}
	if size <= c.maxPayload {
		return
	}
	// The execution's own input and Plan's copy of it are as large as the caller made them.
	if e.Type == "ExecutionStarted" || x.Parent == nil && fmt.Sprint(e.Details["name"]) == "PlanRun" && strings.HasSuffix(e.Type, "Entered") {
		return
	}
	c.maxPayload = size
	if size > maxPayloadBytes {
		c.violate("R-13", "%s of %s carries %d bytes", e.Type, x.Name, size)
	}
}

// ledger looks at what the API side accepted since the last look.
func (c *checks) ledger() {
	all := c.s.world.Ledger.Mutating
	for _, e := range all[c.seen:] {
		switch in := e.Input.(type) {
		case *dynamodb.TransactWriteItemsInput:
			c.transactItems += len(in.TransactItems)
			for _, a := range in.TransactItems {
				if a.Put != nil && strings.HasSuffix(*a.Put.TableName, "-audit") {
					marker, _, _ := strings.Cut(attribute(a.Put.Item, "detail"), ",")
					c.audited[marker] = true
				}
			}
		case *ssm.SendCommandInput:
			c.send(e, in)
		}
	}
	c.seen = len(all)
}

// send checks one accepted command.
func (c *checks) send(e world.Entry, in *ssm.SendCommandInput) {
	s := sending{at: e.Time, account: e.Account, region: e.Region, ids: slices.Clone(in.InstanceIds), install: slices.Contains(in.Parameters["Operation"], "Install")}
	if in.Comment != nil {
		s.comment = *in.Comment
	}
	c.sends = append(c.sends, s)
	c.loadPlan()
	for _, id := range s.ids {
		leaf, ok := c.plan[id]
		if !ok {
			c.violate("R-02", "%s is not in the plan and was sent to", id)
			continue
		}
		if string(leaf.Account) != s.account || string(leaf.Region) != s.region {
			c.violate("R-02", "%s was sent to in %s/%s, the plan has it in %s/%s", id, s.account, s.region, leaf.Account, leaf.Region)
		}
		if string(leaf.Operation) != in.Parameters["Operation"][0] {
			c.violate("R-02", "%s was sent %s, the plan says %s", id, in.Parameters["Operation"][0], leaf.Operation)
		}
	}
	if s.install && c.s.needsApproval() && c.approved.IsZero() {
		c.violate("R-02", "a command was sent before anybody approved")
	}
	if c.rejected {
		c.violate("R-04", "a command was sent after the rejection")
	}
	if !c.audited[s.comment] {
		c.violate("R-10", "no audit entry for %q stood before it was sent", s.comment)
	}
	c.waveOrder(s)
}

// waveOrder checks that the former waves are over, and the pause with them.
func (c *checks) waveOrder(s sending) {
	if len(s.ids) == 0 {
		return
	}
	mine := c.position(c.plan[s.ids[0]].Wave)
	pause := time.Duration(c.s.input.WavePauseSeconds) * time.Second
	for _, former := range c.sends {
		if len(former.ids) == 0 || c.position(c.plan[former.ids[0]].Wave) >= mine {
			continue
		}
		place := former.account + "/" + former.region
		if c.busy[place] > 0 && !c.sameLater(place, mine) {
			c.violate("R-06", "wave %d was sent to while %s of an earlier wave is still at work", mine+1, place)
			return
		}
		if last := c.lastBusy[place]; !last.IsZero() && s.at.Before(last.Add(pause)) && !c.sameLater(place, mine) {
			c.violate("R-06", "wave %d was sent to %s after the former one ended, the pause is %s", mine+1, s.at.Sub(last), pause)
			return
		}
	}
}

// sameLater tells whether the place is a target of this wave or a later one
// that was sent to already: then its agents are at work for that.
func (c *checks) sameLater(place string, position int) bool {
	for _, s := range c.sends {
		if s.account+"/"+s.region == place && len(s.ids) > 0 && c.position(c.plan[s.ids[0]].Wave) >= position {
			return true
		}
	}
	return false
}

func (c *checks) position(wave string) int {
	return slices.IndexFunc(c.s.input.Waves, func(w patch.Wave) bool { return w.Name == wave })
}

// loadPlan reads the plan as it was frozen: once, at the first send.
func (c *checks) loadPlan() {
	if len(c.plan) > 0 {
		return
	}
	for _, w := range c.s.input.Waves {
		for _, a := range w.Accounts {
			for _, r := range w.Regions {
				t := patch.Target{Run: c.s.options.RunID, Wave: w.Name, Account: a, Region: r}
				leaf, ok := c.s.leaf(t)
				if !ok {
					continue
				}
				c.planned[t] = leaf
				for _, p := range leaf.Instances {
					c.plan[string(p.ID)] = leaf
				}
			}
		}
	}
}

// leaf is a target's plan as it stands in the bucket.
func (s *stage) leaf(t patch.Target) (patch.Leaf, bool) {
	var leaf patch.Leaf
	data, ok := s.world.Object(s.bucket(), patch.LeafObject(t))
	if !ok || json.Unmarshal(data, &leaf) != nil {
		return leaf, false
	}
	return leaf, true
}

// needsApproval tells whether the input asks people.
func (s *stage) needsApproval() bool {
	return s.input.Approval != patch.ApproveNone && s.input.Installs()
}

// decided is told by the one who decided.
func (c *checks) decided(approved bool) {
	if approved && c.approved.IsZero() {
		c.approved = c.s.world.Now()
	}
	if !approved {
		c.rejected = true
	}
}

// agentEvent checks what an agent does.
func (c *checks) agentEvent(e world.AgentEvent) {
	place := e.Account + "/" + e.Region
	switch e.Kind {
	case world.AgentStarted:
		if e.Operation == "Install" {
			c.installs[e.InstanceID]++
			if n := c.installs[e.InstanceID]; n > 1 {
				c.violate("R-01", "%s began Install number %d", e.InstanceID, n)
			}
			if c.s.input.DryRun {
				c.violate("R-02", "%s began an Install in a dry run", e.InstanceID)
			}
		}
	}
	now, _ := c.s.world.InFlight(e.Account, e.Region)
	c.busy[place] = now
	if now > 0 || e.Kind == world.AgentFinished {
		c.lastBusy[place] = e.Time
	}
	if limit := c.limit(e.InstanceID); limit > 0 && now > limit {
		c.violate("R-03", "%d agents at work in %s, %d allowed", now, place, limit)
	}
}

// limit resolves the concurrency of an instance's target from the input, by a
// rounding of its own.
func (c *checks) limit(instance string) int {
	leaf, ok := c.plan[instance]
	if !ok {
		return 0
	}
	w := c.s.input.Waves[c.position(leaf.Wave)]
	n := len(leaf.Instances)
	limit := w.SSM.MaxConcurrency.Value
	if w.SSM.MaxConcurrency.Percent {
		limit = n * limit / 100
	}
	return max(limit, 1)
}

// attribute is a text attribute of an item.
func attribute(item map[string]types.AttributeValue, name string) string {
	v, _ := item[name].(*types.AttributeValueMemberS)
	if v == nil {
		return ""
	}
	return v.Value
}

// atEnd checks what can only be judged when everything is over.
func (c *checks) atEnd(r *rehearsal, res *Result) []Violation {
	c.ledger()
	c.loadPlan()
	c.report(res)
	c.denied(r)
	if n := res.MaxHistoryEvents; n > maxHistory {
		c.violate("R-13", "an execution has %d events, %d are ours to use", n, maxHistory)
	}
	if c.found == nil {
		return []Violation{}
	}
	return c.found
}

// report checks that each planned instance is in the report exactly once, and
// that no success stands there without the world having seen it.
func (c *checks) report(res *Result) {
	if res.Report == nil {
		c.violate("R-12", "the run ended without a report")
		return
	}
	seen := map[string]int{}
	for _, i := range res.Report.Instances {
		seen[string(i.InstanceID)]++
		c.success(i)
	}
	n := 0
	for _, leaf := range c.planned {
		n += len(leaf.Instances)
		for _, p := range leaf.Instances {
			if seen[string(p.ID)] != 1 {
				c.violate("R-05", "%s is planned and %d times in the report", p.ID, seen[string(p.ID)])
			}
		}
	}
	if n != len(res.Report.Instances) && len(res.Report.Instances) != 0 {
		c.violate("R-05", "%d instances are planned, %d are in the report", n, len(res.Report.Instances))
	}
}

// success holds one outcome against what the agent of the instance saw.
func (c *checks) success(i patch.InstanceReport) {
	id := string(i.InstanceID)
	switch i.Outcome {
	case patch.Patched, patch.PatchedPendingReboot:
		finished := slices.ContainsFunc(c.s.world.AgentLog(id), func(e world.AgentEvent) bool {
			return e.Kind == world.AgentFinished && e.Operation == "Install" && e.ExitCode == 0 && e.CommandID == string(i.CommandID)
		})
		if !finished {
			c.violate("R-07", "%s is reported %s, and its agent finished no Install of ours", id, i.Outcome)
		}
	case patch.NotSent:
		if len(c.s.world.Installs(id)) > 0 {
			c.violate("R-05", "%s is reported NotSent, and its agent began an Install", id)
		}
	}
}

// denied checks that the templates' policies allowed every call. Only accounts
// that let nobody in, and regions that are not enabled, may refuse.
func (c *checks) denied(r *rehearsal) {
	if len(r.faults.active()) > 0 {
		return // a session that expired, or was never opened, is refused too
	}
	for _, d := range r.world.Ledger.Denied {
		if strings.Contains(d, "sts:AssumeRole") || strings.Contains(d, "security token included in the request is invalid") {
			continue
		}
		c.violate("R-14", "%s", d)
	}
}
