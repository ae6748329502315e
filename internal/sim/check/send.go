package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/core"
)

// sending is one accepted SendCommand.
type sending struct {
	At              time.Time
	run             *RunFacts
	wave            *waveFacts
	account, region string
	place           string // account/region
	ids             []string
	Command, marker string
	Intent          string // the marker of its intent
	nth             int    // its place in it
	install         bool
	timeout         time.Duration   // of its instance, from the acceptance
	cancelled       map[string]bool // by instance: it was at work
}

// allowed are the calls that may change anything anywhere: I-12.
func allowed() []string {
	return []string{
		"ssm:SendCommand", "ssm:CancelCommand", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:TransactWriteItems",
		"s3:PutObject", "s3:CreateMultipartUpload", "s3:UploadPart", "s3:CompleteMultipartUpload", "sns:Publish",
		"states:SendTaskSuccess", "states:StartExecution",
	}
}

// caller checks who changes what: only the listed calls (I-12), what belongs to
// the hub from the hub, and an instance only through the role of its own account
// in a session that is limited and short (I-11, I-60).
func (c *Checks) caller(e core.Entry) {
	if !contains(allowed(), e.Name) {
		c.Violate("I-12", "%s was called, and nothing of ours may", e.Name)
	}
	if !strings.HasPrefix(e.Name, "ssm:") {
		if e.Account != stage.HubAccount {
			c.Violate("I-11", "%s landed in account %s, not in the hub", e.Name, e.Account)
		}
		return
	}
	if e.Account == stage.HubAccount || !strings.Contains(e.Principal.RoleARN, ":"+e.Account+":role/") {
		c.Violate("I-11", "%s landed in account %s as %s", e.Name, e.Account, e.Principal.RoleARN)
	}
	if len(e.Principal.Session) == 0 || e.Principal.Expires.IsZero() || e.Principal.Expires.Sub(e.Time) > time.Hour {
		c.Violate("I-60", "%s was called in a session without a policy, or longer than an hour", e.Name)
	}
}

// ssm looks at what is asked of Run Command.
func (c *Checks) ssm(e core.Entry, operation string) {
	switch in := e.Input.(type) {
	case *ssm.SendCommandInput:
		c.sent(e, in)
	case *ssm.CancelCommandInput:
		c.cancelled(aws.ToString(in.CommandId), in.InstanceIds)
	default:
		c.Violate("I-12", "ssm:%s cannot be judged", operation)
	}
}

// sent checks one accepted command.
func (c *Checks) sent(e core.Entry, in *ssm.SendCommandInput) {
	s := &sending{
		At: e.Time, account: e.Account, region: e.Region, place: e.Account + "/" + e.Region,
		ids:    slices.Clone(in.InstanceIds),
		marker: aws.ToString(in.Comment), install: contains(in.Parameters["Operation"], "Install"),
		cancelled: map[string]bool{},
	}
	if out, ok := e.Output.(*ssm.SendCommandOutput); ok && out.Command != nil {
		s.Command = aws.ToString(out.Command.CommandId)
	}
	marker, nth, _ := strings.Cut(s.marker, ".")
	s.Intent = marker
	intent := c.Tables.Intents[marker]
	if s.nth, _ = strconv.Atoi(nth); !c.foretold(s, intent) || len(s.ids) == 0 {
		return
	}
	s.timeout = time.Duration(s.wave.input.CommandTimeoutSeconds) * time.Second
	c.LoadPlan(s.run)
	c.Commands[s.Command] = s
	c.inPlan(s)
	c.twice(s)
	c.parameters(s, in)
	c.permitted(s)
	c.stopped(s)
	c.whileRed(s)
	c.overLost(s)
	c.leased(s, intent)
	c.waveOrder(s)
	c.concurrency(s)
	if s.wave.first.IsZero() {
		s.wave.first = s.At
	}
}

// inPlan checks that a command names instances of the approved plan alone, each
// where and in the wave in which it is planned, and none that its owner has taken
// out or that does not run: rule 2, I-04, I-06, I-07.
func (c *Checks) inPlan(s *sending) {
	for _, id := range s.ids {
		if s.run.plan[id] != s.wave {
			c.Violate("R-02", "%s was sent to in wave %s, and is not in that wave's plan", id, s.wave.input.Name)
		}
		i, ok := c.Stage.World.Instance(id)
		switch {
		case !ok || i.Account != s.account || i.Region != s.region:
			c.Violate("I-11", "%s was sent to in %s, where it is not", id, s.place)
		case optedOut(i):
			c.Violate("R-02", "%s was sent to although its owner has taken it out", id)
		case i.State != "running":
			c.Violate("R-02", "%s was sent to although it is %s", id, i.State)
		}
	}
}

// twice checks that no instance is in two accepted commands of a run: rule 1, I-02.
func (c *Checks) twice(s *sending) {
	for _, id := range s.ids {
		if former := s.run.SentTo[id]; former != nil {
			c.Violate("R-01", "%s was sent a second command, %s after %s", id, s.Command, former.Command)
		}
		s.run.SentTo[id] = s
	}
}

// once checks that an agent begins one Install in a run at most, and none that
// nobody asked for: rule 1, I-01, I-10.
func (c *Checks) once(s *sending, e world.AgentEvent) {
	if e.Operation != "Install" {
		return
	}
	s.run.Installs[e.InstanceID]++
	if n := s.run.Installs[e.InstanceID]; n > 1 {
		c.Violate("R-01", "%s began Install number %d", e.InstanceID, n)
	}
	if op, _ := s.run.operation(s.wave); op != patch.Install {
		c.Violate("I-10", "%s began an Install in a wave that only scans", e.InstanceID)
	}
}

// longestDelivery is how many seconds SSM may try to deliver a command. Source: the design, docs/architecture.md.
const longestDelivery = 900

// parameters checks every field of a command against the input: I-05.
func (c *Checks) parameters(s *sending, in *ssm.SendCommandInput) {
	op, reboot := s.run.operation(s.wave)
	for _, name := range slices.Sorted(maps.Keys(in.Parameters)) {
		values := in.Parameters[name]
		want := map[string]string{"Operation": string(op), "RebootOption": string(reboot)}[name]
		switch {
		case name == "SnapshotId" && len(values) == 1 && len(values[0]) == 36:
			c.snapshot(s, values[0])
		case want == "" || len(values) != 1 || values[0] != want:
			c.Violate("I-05", "%s was sent with %s %q, the input means %q", s.Command, name, values, want)
		}
	}
	if len(in.Parameters) != 3 {
		c.Violate("I-05", "%s was sent with %d parameters, not 3", s.Command, len(in.Parameters))
	}
	other := in.DocumentVersion != nil || in.DocumentHash != nil || len(in.Targets) > 0 || in.AlarmConfiguration != nil ||
		in.NotificationConfig != nil || in.ServiceRoleArn != nil || in.OutputS3BucketName != nil ||
		in.CloudWatchOutputConfig != nil
	if aws.ToString(in.DocumentName) != "AWS-RunPatchBaseline" || other {
		c.Violate("I-05", "%s was sent with another document, or with fields that the plan does not have", s.Command)
	}
	if len(s.ids) != 1 || aws.ToString(in.MaxConcurrency) != "1" || aws.ToString(in.MaxErrors) != "0" {
		c.Violate("I-05", "%s was sent to %d instances with MaxConcurrency %q and MaxErrors %q", s.Command, len(s.ids),
			aws.ToString(in.MaxConcurrency), aws.ToString(in.MaxErrors))
	}
	if want := min(s.wave.input.CommandTimeoutSeconds, longestDelivery); int(aws.ToInt32(in.TimeoutSeconds)) != want {
		c.Violate("I-05", "%s may be delivered for %d s, the input means %d", s.Command, aws.ToInt32(in.TimeoutSeconds), want)
	}
}

// snapshot checks that a target has one snapshot, and no other target has it.
func (c *Checks) snapshot(s *sending, id string) {
	t := patch.Target{Run: s.run.ID, Wave: s.wave.input.Name, Account: patch.AccountID(s.account),
		Region: patch.Region(s.region)}
	if other, ok := s.run.snapshots[id]; ok && other != t {
		c.Violate("I-05", "%s was sent with the snapshot of %v", s.Command, other)
	}
	s.run.snapshots[id] = t
}

// permitted checks that a person approved the wave before, in time, and nobody
// has rejected: rules 2 and 8, I-03, I-28, I-29, I-31.
func (c *Checks) permitted(s *sending) {
	r := s.run
	if !r.rejected.IsZero() {
		c.Violate("R-08", "a command was sent after a rejection")
	}
	if c.Stage.Demands.Seals && c.Tables.sealed[string(r.ID)] == "" {
		c.Violate("R-02", "a command was sent before the plan of %s was sealed", r.ID)
	}
	if r.Input.Approval == runinput.ApproveNone || !s.install {
		return
	}
	scope := patch.ScopeOfRun
	if r.Input.Approval == runinput.ApprovePerWave {
		scope = patch.ScopeOfWave(s.wave.input.Name)
	}
	id := decision.ApprovalID(r.ID, scope)
	at, ok := r.approved[id]
	timeout := time.Duration(r.Input.ApprovalTimeoutSeconds) * time.Second
	switch {
	case !ok:
		c.Violate("R-02", "a command was sent before anybody approved %s", scope)
	case at.After(r.asked[id].Add(timeout)):
		c.Violate("R-08", "a command was sent on an approval that came after its time")
	}
	if n := len(c.Tables.approvals[id]); n < max(r.Input.RequireDistinct, 1) {
		c.Violate("I-31", "a command was sent when %d people had approved %s, %d must", n, scope, r.Input.RequireDistinct)
	}
}

// Decided is told by the one who decides on the open question, from the moment
// the decision is on its way.
func (c *Checks) Decided(approve bool) {
	for _, r := range c.Order {
		for _, id := range sortedKeys(r.asked) {
			if c.Tables.States["approval "+id] == "pending" {
				c.DecidedOn(id, approve)
			}
		}
	}
}

// Rejecting is told by the one who rejects, as the answer is on its way: it may be taken though its own answer is lost.
func (c *Checks) Rejecting(approval string) {
	for _, r := range c.Order {
		if _, mine := r.asked[approval]; mine {
			r.rejecting = true
		}
	}
}

// DecidedOn is decided for one question out of several.
func (c *Checks) DecidedOn(approval string, approve bool) {
	for _, r := range c.Order {
		if _, mine := r.asked[approval]; !mine {
			continue
		}
		c.LoadPlan(r)
		_, before := r.approved[approval]
		switch {
		case approve && !before:
			r.approved[approval] = c.now()
		case !approve && (!before || c.Tables.States["approval "+approval] == "pending"): // one of two may have approved
			r.rejected, r.rejecting = c.now(), true
		}
	}
}

// Harmless checks that no request but the one that decides writes anything:
// rule 8, I-26.
func (c *Checks) Harmless(method string, before int) {
	if method != "POST" && c.Writes != before {
		c.Violate("R-08", "a %s of the approval page wrote %d times to the tables", method, c.Writes-before)
	}
}

// limit resolves the concurrency of a command's target.
func (c *Checks) limit(s *sending) int {
	t := patch.Target{Run: s.run.ID, Wave: s.wave.input.Name, Account: patch.AccountID(s.account),
		Region: patch.Region(s.region)}
	n := len(s.run.Targets[t].Instances)
	return max(min(resolve(s.wave.input.SSM.MaxConcurrency, n), n), 1)
}

// concurrency checks that no more commands of a wave's account-region are in flight than the input allows. A command
// is in flight until it has ended, or is past its time and was cancelled, whatever its agent does then: rule 3.
// A slow start allows fewer at first.
func (c *Checks) concurrency(s *sending) {
	slots := c.slots[s.scope()]
	if slots == nil {
		slots = map[string]bool{}
		c.slots[s.scope()] = slots
	}
	for _, id := range s.ids {
		slots[s.Command+"/"+id] = true
		c.used(s)
	}
	c.Stage.World.After(s.timeout-c.Skew-c.LateSend, func() { c.overdue(s) })
	if limit := c.slowLimit(s, c.limit(s)); len(slots) > limit {
		c.Violate("R-03", "%d commands in flight in %s, %d allowed", len(slots), s.place, limit)
	}
}

// closeSlot takes a command on an instance out of those in flight.
func (c *Checks) closeSlot(s *sending, id string) {
	if slots, key := c.slots[s.scope()], s.Command+"/"+id; slots[key] {
		delete(slots, key)
		c.freed(s)
	}
}

// overdue is called as the time of a command is over: whatever CancelCommand answers, and whatever its agent still
// does, the command is in flight and at work no more.
func (c *Checks) overdue(s *sending) {
	for _, id := range s.ids {
		c.closeSlot(s, id)
		if c.atWork[id] == s {
			c.rests(id)
		}
	}
}

// scope is the account-region of its wave.
func (s *sending) scope() string { return string(s.run.ID) + " " + s.wave.input.Name + " " + s.place }
