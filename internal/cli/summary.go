package cli

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim"
)

// Limits of Step Functions that a rehearsal is measured against.
// Source: Step Functions quotas, read 2026-11.
const (
	historyLimit = 25_000
	payloadLimit = 262_144
)

// summary is what the text of one rehearsal is made of.
type summary struct {
	file   string
	res    *sim.Result
	dir    string
	files  []string
	replay string
}

// printResult writes the text form of a rehearsal. It holds no real time: the
// same seed gives the same bytes.
func (a *app) printResult(s summary) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Rehearsal of %s with seed %d: no AWS call was made, nothing was patched.\n\n", name(s.file), s.res.Seed)
	if err := report.Text(&b, reportOf(s.res), a.width(a.stdout), a.colour(a.stdout)); err != nil {
		return failed(err)
	}
	printCost(&b, s.res)
	printMeasures(&b, s.res)
	printViolations(&b, s.res, s.replay)
	fmt.Fprintf(&b, "\nFiles in %s:\n", s.dir)
	for _, f := range s.files {
		fmt.Fprintf(&b, "  %s\n", filepath.Join(s.dir, f))
	}
	if s.replay != "" {
		fmt.Fprintf(&b, "Repeat: %s\n", s.replay)
	}
	if _, err := a.stdout.Write(b.Bytes()); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}

// reportOf is the run's own report. A run that left none is shown by what the
// rehearsal counted.
func reportOf(res *sim.Result) *patch.Report {
	if res.Report != nil {
		return res.Report
	}
	return &patch.Report{
		Run: res.Run, Status: res.Status, StatusReason: "the run left no report", Waves: res.Waves,
		Totals: patch.Totals{Planned: res.Planned, Outcomes: res.Outcomes},
	}
}

func printCost(b *bytes.Buffer, res *sim.Result) {
	fmt.Fprintf(b, "\nOn AWS this run would cost about USD %.4f\n", res.EstimatedCostUSD)
	for _, c := range res.Cost {
		fmt.Fprintf(b, "  %-34s %14s %-14s USD %.4f\n", cut(c.Name, 34), quantity(c.Quantity), cut(c.Unit, 14), c.USD)
	}
}

func quantity(q float64) string {
	if q == float64(int64(q)) {
		return fmt.Sprintf("%d", int64(q))
	}
	return fmt.Sprintf("%.2f", q)
}

func printMeasures(b *bytes.Buffer, res *sim.Result) {
	total := 0
	for _, n := range res.APICalls {
		total += n
	}
	fmt.Fprintf(b, "  %s, %s, %s, %s\n", plural(res.StateTransitions, "state transition"), plural(res.LambdaInvocations, "Lambda invocation"),
		plural(total, "API call"), plural(res.Executions, "execution"))
	for _, line := range wrapped(tallies(res.APICalls), pipeWidth-4) {
		fmt.Fprintf(b, "    %s\n", line)
	}
	fmt.Fprintf(b, "\nTime: %s virtual, %s ideal\n", seconds(res.VirtualSeconds), seconds(res.IdealSeconds))
	d := res.DetectionDelaySeconds
	fmt.Fprintf(b, "  an ended command was noticed after %.0f s in the median, %.0f s at the 95th percentile, %.0f s at most\n", d.P50, d.P95, d.Max)
	fmt.Fprintf(b, "Limits: the longest history has %d of %d events, the largest payload %d of %d bytes\n",
		res.MaxHistoryEvents, historyLimit, res.MaxPayloadBytes, payloadLimit)
	if len(res.Faults) > 0 {
		fmt.Fprintf(b, "Faults that struck: %s\n", strings.Join(tallies(res.Faults), ", "))
	}
}

func printViolations(b *bytes.Buffer, res *sim.Result, replay string) {
	if len(res.Violations) == 0 {
		fmt.Fprintln(b, "Rules: none was broken")
		return
	}
	fmt.Fprintf(b, "\nRULES BROKEN: %d\n", len(res.Violations))
	for _, v := range res.Violations {
		fmt.Fprintf(b, "  %s at %s: %s\n", v.Rule, report.Line(v.At), report.Line(v.Detail))
	}
	if replay != "" {
		fmt.Fprintf(b, "  repeat it: %s\n", replay)
	}
}

// tallies is "name n" for each entry, in order of name.
func tallies(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s %d", k, m[k]))
	}
	return out
}

// wrapped joins words with commas into lines of at most width characters.
func wrapped(words []string, width int) []string {
	var lines []string
	line := ""
	for _, w := range words {
		switch {
		case line == "":
			line = w
		case len(line)+2+len(w) <= width:
			line += ", " + w
		default:
			lines = append(lines, line+",")
			line = w
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func seconds(s int64) string { return report.Duration(time.Duration(s) * time.Second) }
