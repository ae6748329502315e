package check

import (
	"bytes"
	"encoding/csv"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/outcome"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/store"
)

// metric is one number that a function counted.
type metric struct {
	name  string
	value float64
	wave  string // of its dimensions
}

// metric takes one number. How long a question has waited is checked at once.
func (a *always) metric(name string, value float64, dimensions map[string]string) {
	if name == "PendingApprovals" && a.calm() && !a.waited(value) {
		a.Violate("R-05", "PendingApprovals is %.1f, and no question has waited so long", value)
	}
	a.numbers = append(a.numbers, metric{name, value, dimensions["Wave"]})
}

// waited tells whether a question was put to people that many minutes ago, or expired after as many.
func (a *always) waited(minutes float64) bool {
	for _, r := range a.Order {
		most := float64(r.Input.ApprovalTimeoutSeconds) / 60
		for _, asked := range r.asked {
			if since := min(a.now().Sub(asked).Minutes(), most); math.Abs(since-minutes) <= 1 {
				return true
			}
		}
	}
	return false
}

// measured checks the numbers that alarms and dashboards read against the report, where
// every target was verified by a function that lived to count it.
func (a *always) measured(r *RunFacts, rep *report.Report) {
	if !a.calm() || len(a.Order) > 1 || r.More > 0 {
		return
	}
	for _, w := range r.waves {
		if a.withoutResult(r, w) {
			continue
		}
		a.measuredWave(r, w, rep)
	}
}

func (a *always) measuredWave(r *RunFacts, w *waveFacts, rep *report.Report) {
	_, reboot := r.operation(w)
	failures, unhealthy, drift := 0, 0, 0
	good, tried := map[string]int{}, map[string]int{}
	for _, i := range rep.Instances {
		if i.Wave != w.input.Name {
			continue
		}
		place := string(i.Account) + "/" + string(i.Region)
		is := ClassOf(i.Outcome, reboot, r.SentTo[string(i.InstanceID)] != nil)
		if is == outcome.Failure {
			failures++
		}
		if is == outcome.Good {
			good[place]++
		}
		if is != outcome.Neutral {
			tried[place]++
		}
		switch i.Outcome {
		case outcome.Unhealthy:
			unhealthy++
		case outcome.NonCompliant:
			drift++
		}
	}
	rates := 0.0
	for place, n := range tried {
		rates += 100 * float64(good[place]) / float64(n)
	}
	want := map[string]float64{"PatchFailures": float64(failures), "InstancesUnhealthy": float64(unhealthy),
		"ComplianceDrift": float64(drift), "PatchSuccessRate": rates}
	for _, name := range sortedKeys(want) {
		sum := 0.0
		for _, m := range a.numbers {
			if m.name == name && m.wave == w.input.Name {
				sum += m.value
			}
		}
		if math.Abs(sum-want[name]) > 0.01 {
			a.Violate("R-05", "%s of wave %s adds up to %v, by the report it is %v", name, w.input.Name, sum, want[name])
		}
	}
}

// cells checks every row of the table that people open, and what a report says of each instance beside its outcome.
func (a *always) cells(r *RunFacts, rep *report.Report) {
	data, _ := a.Stage.World.Object(a.Stage.Bucket(), store.ReportObject(r.ID, "csv"))
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(rows) == 0 {
		return // said already
	}
	byID := map[string]map[string]string{}
	for _, row := range rows[1:] {
		cells := map[string]string{}
		for n, name := range rows[0] {
			cells[name] = row[n]
		}
		if cells["planned"] == "yes" {
			byID[cells["instanceId"]] = cells
		}
	}
	for _, i := range rep.Instances {
		a.row(r, i, byID[string(i.InstanceID)])
	}
}

// row checks one instance of the report against the world, and its row in the table against the report.
func (a *always) row(r *RunFacts, i outcome.InstanceReport, row map[string]string) {
	id := string(i.InstanceID)
	m, ok := a.Stage.World.Instance(id)
	if !ok {
		return // not an instance: said already
	}
	if string(i.Account) != m.Account || string(i.Region) != m.Region || string(i.Platform) != m.Platform {
		a.Violate("R-05", "%s is reported as a %s machine of %s %s, and is a %s machine of %s %s", id, i.Platform, i.Account,
			i.Region, m.Platform, m.Account, m.Region)
	}
	if sent := r.SentTo[id]; sent != nil && a.calm() && string(i.CommandID) != sent.Command {
		a.Violate("R-05", "%s is reported with the command %q, it was %q", id, i.CommandID, sent.Command)
	}
	want := map[string]string{
		"run": string(r.ID), "wave": i.Wave, "account": string(i.Account), "region": string(i.Region),
		"platform": string(i.Platform),
		"outcome":  string(i.Outcome), "reason": i.Reason, "commandId": string(i.CommandID), "status": i.Status,
	}
	for prefix, s := range map[string]*outcome.PatchState{"before": i.Before, "after": i.After} {
		if s != nil {
			want[prefix+"Installed"], want[prefix+"Missing"], want[prefix+"Failed"] = cell(s.Installed), cell(s.Missing),
				cell(s.Failed)
			want[prefix+"PendingReboot"] = cell(s.InstalledPendingReboot)
		}
	}
	for _, name := range sortedKeys(want) {
		if is := row[name]; is != want[name] && !strings.ContainsAny(want[name], "=+-@;,|\t\n'") {
			a.Violate("R-05", "%s has %q in column %s of report.csv, and %q in the report", id, is, name, want[name])
		}
	}
}

func cell(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// session checks what the session can do that changes a spoke: send to the very
// instances of its step and nothing else, or cancel in the session of a reader of this
// very run, whose policy is always the same: I-60.
func (a *always) session(e core.Entry) {
	switch in := e.Input.(type) {
	case *ssm.SendCommandInput:
		a.sender(e, aws.ToString(in.Comment))
	case *ssm.CancelCommandInput:
		a.canceller(e, aws.ToString(in.CommandId))
	}
}

// sender checks that a session names no instance that its intent does not.
func (a *always) sender(e core.Entry, marker string) {
	intent := a.Tables.Intents[marker]
	if step, _, numbered := strings.Cut(marker, "."); intent == nil && numbered {
		intent = a.Tables.Intents[step]
	}
	if intent == nil {
		return // said already
	}
	for _, p := range e.Principal.Session {
		for _, arn := range p.Resources() {
			if _, id, isInstance := strings.Cut(arn, ":instance/"); (isInstance || arn == "*") && !contains(intent.IDs, id) {
				a.Violate("I-60", "a command was sent in a session that may send to %s, which its intent does not name", arn)
				return
			}
		}
	}
}

// canceller checks the session of a cancel, and notes what somebody else cancels.
func (a *always) canceller(e core.Entry, command string) {
	s := a.Commands[command]
	if s == nil {
		return
	}
	run, ours := strings.CutPrefix(e.Principal.SessionName, "ec2patch-")
	if !ours {
		for _, id := range s.ids {
			a.outside[id] = true
		}
		return
	}
	known := slices.ContainsFunc(a.Order, func(r *RunFacts) bool { return strings.HasPrefix(string(r.ID), run) })
	text := ""
	for _, p := range e.Principal.Session {
		for _, statement := range p.Statements {
			text += strings.Join(statement.Patterns, " ") + ";"
		}
	}
	if a.reads == "" {
		a.reads = text
	}
	if text != a.reads || !known {
		a.Violate("I-60", "a reader's session of %q may %s, others may %s", run, text, a.reads)
	}
}

// Reading checks that a function reads a spoke in a session of the run that it serves.
func (a *always) Reading(c *core.Call) {
	if c.Account == stage.HubAccount || c.Account == stage.Management || a.Stage.Serving == "" ||
		!contains([]string{"ec2", "ssm", "cloudwatch"}, c.Service) {
		return
	}
	name := "ec2patch-" + a.Stage.Serving
	if is := c.Principal.SessionName; is != name[:min(len(name), 64)] {
		a.Violate("I-60", "%s was called for run %s in the session %q", c.Name(), a.Stage.Serving, is)
	}
}
