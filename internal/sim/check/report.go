package check

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
)

// Report checks the report of a run: it exists (rule 12, I-40), it has every
// planned instance exactly once and adds up (rule 5, I-34, I-35), and what it
// says of each is what the world saw (rule 7, I-36 to I-39).
func (c *Checks) Report(r *RunFacts) *report.Report {
	data, ok := c.Stage.World.Object(c.Stage.Bucket(), store.ReportObject(r.ID, "json"))
	var rep report.Report
	if !ok || json.Unmarshal(data, &rep) != nil {
		c.Violate("R-12", "run %s ended without a report", r.ID)
		return nil
	}
	if rep.Run != r.ID || rep.Status == "" || rep.Status == patch.RunRunning {
		c.Violate("R-12", "the report of %s is of run %q, which is %q", r.ID, rep.Run, rep.Status)
	}
	c.everyone(r, &rep)
	c.newcomers(r, &rep)
	c.addsUp(&rep)
	c.forms(r, &rep)
	c.digests(r, &rep)
	for _, i := range rep.Instances {
		c.truth(r, i)
	}
	return &rep
}

// everyone checks that the plan's instances and the report's are the same.
func (c *Checks) everyone(r *RunFacts, rep *report.Report) {
	seen := map[string]int{}
	for _, i := range rep.Instances {
		seen[string(i.InstanceID)]++
		if w := r.plan[string(i.InstanceID)]; w == nil || w.input.Name != i.Wave {
			c.Violate("R-05", "%s is in the report in wave %s, and was not planned there", i.InstanceID, i.Wave)
		}
	}
	for _, leaf := range r.leaves() {
		for _, p := range leaf.Instances {
			if seen[string(p.ID)] != 1 {
				c.Violate("R-05", "%s is planned and %d times in the report", p.ID, seen[string(p.ID)])
			}
		}
	}
}

// leaves are the targets' plans, in the input's order.
func (r *RunFacts) leaves() []plan.Leaf {
	var all []plan.Leaf
	for _, w := range r.waves {
		for _, a := range w.input.Accounts {
			for _, region := range w.input.Regions {
				if leaf, ok := r.Targets[patch.Target{Run: r.ID, Wave: w.input.Name, Account: a, Region: region}]; ok {
					all = append(all, leaf)
				}
			}
		}
	}
	return all
}

// addsUp counts the report again.
func (c *Checks) addsUp(rep *report.Report) {
	total, waves := map[outcome.Outcome]int{}, map[string]map[outcome.Outcome]int{}
	for _, i := range rep.Instances {
		if !contains(outcomeSet(), string(i.Outcome)) {
			c.Violate("I-35", "%s is reported %q", i.InstanceID, i.Outcome)
		}
		total[i.Outcome]++
		if waves[i.Wave] == nil {
			waves[i.Wave] = map[outcome.Outcome]int{}
		}
		waves[i.Wave][i.Outcome]++
	}
	t := rep.Totals
	sum := 0
	for _, o := range outcomeSet() {
		sum += t.Outcomes[outcome.Outcome(o)]
		if t.Outcomes[outcome.Outcome(o)] != total[outcome.Outcome(o)] {
			c.Violate("R-05", "the report counts %d %s, it lists %d", t.Outcomes[outcome.Outcome(o)], o,
				total[outcome.Outcome(o)])
		}
		for _, w := range rep.Waves {
			if w.Outcomes[outcome.Outcome(o)] != waves[w.Name][outcome.Outcome(o)] {
				c.Violate("R-05", "the report counts %d %s in wave %s, it lists %d", w.Outcomes[outcome.Outcome(o)], o, w.Name,
					waves[w.Name][outcome.Outcome(o)])
			}
		}
	}
	if sum != len(rep.Instances) || t.Planned != sum || t.Good+t.Failures+t.Neutral != sum {
		c.Violate("R-05", "the report lists %d instances; planned %d, good %d, failures %d, neutral %d", len(rep.Instances),
			t.Planned, t.Good, t.Failures, t.Neutral)
	}
}

// outcomeSet is the closed set of what a planned instance can be.
func outcomeSet() []string {
	return []string{"Patched", "Compliant", "PatchedPendingReboot", "NonCompliant", "Failed", "TimedOut", "Interrupted",
		"Undeliverable", "Unhealthy", "Unknown", "Gone", "NotSent"}
}

// forms checks that the table that people open has the same instances.
func (c *Checks) forms(r *RunFacts, rep *report.Report) {
	data, ok := c.Stage.World.Object(c.Stage.Bucket(), store.ReportObject(r.ID, "csv"))
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if !ok || err != nil {
		c.Violate("R-12", "run %s has no report.csv that can be read", r.ID)
		return
	}
	listed := map[string]bool{}
	for _, row := range rows {
		for _, cell := range row {
			if strings.HasPrefix(cell, "i-") {
				listed[cell] = true
			}
		}
	}
	for _, i := range rep.Instances {
		if !listed[string(i.InstanceID)] {
			c.Violate("R-05", "%s is not in report.csv", i.InstanceID)
		}
	}
}

// digests checks that the report is about the plan that people were asked
// about: I-30, I-33.
func (c *Checks) digests(r *RunFacts, rep *report.Report) {
	for _, m := range c.Stage.World.Mailbox(stage.Approver) {
		if _, ok := stage.Link(m.Body); !ok || !mentions(m.Body, string(r.ID)) {
			continue
		}
		if rep.PlanDigest == "" || !strings.Contains(m.Body, rep.PlanDigest) {
			c.Violate("I-33", "the report is about plan %q, the mail %q about another", rep.PlanDigest, m.Subject)
		}
	}
}

// mentions tells whether a text names a run, and not another one whose name only begins like it.
func mentions(text, run string) bool {
	return regexp.MustCompile(`(^|[^-\w])` + regexp.QuoteMeta(run) + `($|[^-\w])`).MatchString(text)
}

// truth holds one outcome against what the agent of the instance saw.
func (c *Checks) truth(r *RunFacts, i outcome.InstanceReport) {
	saw := c.sawOf(r, string(i.InstanceID))
	switch i.Outcome {
	case outcome.Patched, outcome.PatchedPendingReboot, outcome.Compliant, outcome.NonCompliant:
		c.success(r, i, saw)
		return
	case outcome.NotSent:
		if saw.started {
			c.Violate("R-05", "%s is reported NotSent (%s), and its agent began", i.InstanceID, i.Reason)
		}
	case outcome.Undeliverable:
		if saw.started {
			c.Violate("R-07", "%s is reported Undeliverable, and its agent began", i.InstanceID)
		}
	case outcome.Gone:
		if m, ok := c.Stage.World.Instance(string(i.InstanceID)); ok && m.State != "terminated" &&
			m.State != "shutting-down" {
			c.Violate("R-07", "%s is reported Gone, and is %s", i.InstanceID, m.State)
		}
	case outcome.Failed:
		c.disagreement(i, saw)
	}
	if i.Reason == "" {
		c.Violate("I-39", "%s is reported %s without a reason", i.InstanceID, i.Outcome)
	}
}

// saw is what the world knows of an instance's part in a run.
type saw struct {
	started  bool
	finish   *world.AgentEvent // the last end of an operation of ours
	record   *world.AgentEvent // the last patch state record that was written
	ours     bool              // by our command
	away     int               // reboots without return, at the end of the run
	recorded *world.AgentEvent // the last record that our command wrote
}

// toldPending tells whether the last record of ours says that a reboot is due: what an
// agent recorded before its reboot is all that anybody can read where it writes none after it.
func (s saw) toldPending() bool { return s.recorded != nil && s.recorded.Pending > 0 }

func (c *Checks) sawOf(r *RunFacts, id string) saw {
	var s saw
	sent := r.SentTo[id]
	for _, e := range c.Stage.World.AgentLog(id) {
		ours := sent != nil && e.CommandID == sent.Command
		switch {
		case e.Kind == world.AgentRecorded:
			s.record, s.ours = &e, ours
			if ours {
				s.recorded = &e
			}
		case !ours:
		case e.Kind == world.AgentStarted:
			s.started = true
		case e.Kind == world.AgentFinished:
			s.finish = &e
		case e.Kind == world.AgentRebooting:
			s.away++
		case e.Kind == world.AgentReturned:
			s.away--
		}
	}
	return s
}

// success checks that an operation of ours ended well on the instance, wrote
// its record, left what the outcome says, and the machine came back.
func (c *Checks) success(r *RunFacts, i outcome.InstanceReport, s saw) {
	w := r.plan[string(i.InstanceID)]
	if w == nil {
		return // said already
	}
	op, _ := r.operation(w)
	switch {
	case s.finish == nil || s.finish.ExitCode != 0 || s.finish.Operation != string(op):
		c.Violate("R-07", "%s is reported %s, and its agent finished no %s of ours well", i.InstanceID, i.Outcome, op)
		return
	case s.recorded == nil:
		c.Violate("R-07", "%s is reported %s, and no record of our %s was ever written", i.InstanceID, i.Outcome, op)
	case s.away > 0:
		c.Violate("R-07", "%s is reported %s, and has not come back from its reboot", i.InstanceID, i.Outcome)
	case i.After == nil || i.After.Operation != op ||
		i.After.Started.Before(r.SentTo[string(i.InstanceID)].At.Add(-maxSkew)):
		c.Violate("R-07", "%s is reported %s, and the evidence in the report is not of our command", i.InstanceID, i.Outcome)
	}
	open := s.finish.Missing + s.finish.Failed
	wrong := false
	switch i.Outcome {
	case outcome.Patched:
		wrong = open+s.finish.Pending > 0 || op != patch.Install
	case outcome.Compliant:
		wrong = open+s.finish.Pending > 0
	case outcome.PatchedPendingReboot:
		wrong = open > 0 || s.finish.Pending == 0 && !s.toldPending() || op != patch.Install
	case outcome.NonCompliant:
		wrong = open+s.finish.Pending == 0 || op != patch.Scan
	}
	if wrong {
		c.Violate("R-07", "%s is reported %s, and after its %s %d patches were missing, %d failed, %d waited for a reboot",
			i.InstanceID, i.Outcome, op, s.finish.Missing, s.finish.Failed, s.finish.Pending)
	}
}

// maxSkew is how far the clock of a machine may be off.
const maxSkew = 5 * time.Minute

// disagreement checks that a command that failed although nothing is missing is
// reported with both: I-38.
func (c *Checks) disagreement(i outcome.InstanceReport, s saw) {
	if s.finish == nil || s.finish.ExitCode == 0 || s.record == nil || !s.ours || c.Skew > outcome.ClockSkew {
		return // by a clock that is off by more, the record is not of the command
	}
	if s.finish.Missing+s.finish.Failed+s.finish.Pending == 0 && !strings.Contains(i.Warning, "disagree") {
		c.Violate("I-38", "%s is reported %s, nothing is missing on it, and the report does not say that they disagree",
			i.InstanceID, i.Outcome)
	}
}

// intents checks that every command that was accepted has an intent, and that
// every intent ended: with its command, with a refusal, given up, or with its
// instances reported as unknown: I-46.
func (c *Checks) intents(r *RunFacts, rep *report.Report) {
	unknown := map[string]bool{}
	if rep != nil {
		for _, i := range rep.Instances {
			unknown[string(i.InstanceID)] = i.Outcome == outcome.Unknown || i.Outcome == outcome.Gone
		}
	}
	for _, key := range sortedKeys(c.Tables.byKey) {
		in := c.Tables.byKey[key]
		if in.run != string(r.ID) {
			continue
		}
		for i, id := range in.IDs {
			open := !in.settled // of what nobody settled nothing is known
			if i < len(in.Sends) {
				x := in.Sends[i]
				open = x.command == "" && !x.refused && !x.Lost
			}
			if open && !unknown[id] {
				c.Violate("I-46", "the send of %s has no outcome, and %s is not reported Unknown", plan.SendMarker(in.marker, i),
					id)
			}
		}
	}
}
