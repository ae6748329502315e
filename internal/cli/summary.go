package cli

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/report"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/words"
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
	width := a.width(a.stdout)
	line(&b, width, "  ", "Rehearsal of %s with seed %d: no AWS call was made, nothing was patched.", name(s.file),
		s.res.Seed)
	fmt.Fprintln(&b)
	if err := report.Text(&b, reportOf(s.res), width, a.colour(a.stdout)); err != nil {
		return failed(err)
	}
	fmt.Fprintln(&b)
	printViolations(&b, s.res, s.replay, width)
	fmt.Fprintln(&b)
	line(&b, width, "  ", "Files in %s, which the next rehearsal there replaces:", s.dir)
	for _, f := range s.files {
		fmt.Fprintf(&b, "  %s\n", filepath.Join(s.dir, f))
	}
	if s.replay != "" {
		fmt.Fprintf(&b, "Repeat: %s\n", s.replay)
	}
	printTime(&b, s.res, width)
	printCost(&b, s.res, width)
	printCalls(&b, s.res, width)
	if _, err := a.stdout.Write(b.Bytes()); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}

// reportOf is the run's own report. A run that left none is shown by what the
// rehearsal counted.
func reportOf(res *sim.Result) *report.Report {
	if res.Report != nil {
		return res.Report
	}
	why := "the run left no report"
	if res.Failure != "" {
		why += ": " + words.Clean(res.Failure)
	}
	return &report.Report{
		Run: res.Run, Status: res.Status, StatusReason: why, Waves: res.Waves,
		Totals: report.Totals{Planned: res.Planned, Outcomes: res.Outcomes},
	}
}

// printCost lists what costs something. The columns are as wide as they must
// be; where the terminal is narrow, names and then units give way.
func printCost(b *bytes.Buffer, res *sim.Result, width int) {
	fmt.Fprintf(b, "\nOn AWS this run would cost about USD %.4f\n", res.EstimatedCostUSD)
	const (
		shortest = 8
		shown    = 0.00005 // what is less rounds to nothing
	)
	var rows [][4]string
	var wide [4]int
	for _, c := range res.Cost {
		if c.USD < shown {
			continue
		}
		row := [4]string{c.Name, quantity(c.Quantity), unit(c), fmt.Sprintf("USD %.4f", c.USD)}
		rows = append(rows, row)
		for i, cell := range row {
			wide[i] = max(wide[i], len(cell))
		}
	}
	for _, i := range []int{0, 2} {
		over := max(2+wide[0]+2+wide[1]+1+wide[2]+2+wide[3]-width, 0)
		wide[i] = min(wide[i], max(wide[i]-over, shortest))
	}
	for _, r := range rows {
		line := fmt.Sprintf("  %-*s  %*s %-*s  %*s", wide[0], cut(r[0], wide[0]), wide[1], r[1], wide[2], cut(r[2], wide[2]),
			wide[3], r[3])
		fmt.Fprintln(b, line)
	}
}

// unit is the unit of an item, in the singular for one.
func unit(c sim.CostItem) string {
	if quantity(c.Quantity) == "1" {
		return strings.TrimSuffix(c.Unit, "s")
	}
	return c.Unit
}

func quantity(q float64) string {
	if q == float64(int64(q)) {
		return words.Number(int64(q))
	}
	hundredths := int64(math.Round(q * 100))
	return fmt.Sprintf("%s.%02d", words.Number(hundredths/100), hundredths%100)
}

func printCalls(b *bytes.Buffer, res *sim.Result, width int) {
	total := 0
	for _, n := range res.APICalls {
		total += n
	}
	line(b, width, "    ", "  %s, %s, %s, %s", words.Count(res.StateTransitions, "state transition"),
		words.Count(res.LambdaInvocations, "Lambda invocation"),
		words.Count(total, "API call"), words.Count(res.Executions, "execution"))
	for _, line := range wrapped(tallies(res.APICalls), max(width-4, minWidth)) {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

// line writes one line, or several where the terminal is narrow.
func line(b *bytes.Buffer, width int, indent, format string, args ...any) {
	fmt.Fprintln(b, fold(fmt.Sprintf(format, args...), indent, max(width, minWidth)))
}

func printTime(b *bytes.Buffer, res *sim.Result, width int) {
	fmt.Fprintln(b)
	best := "" // what was not sent took no time, and a bound that is not met says nothing
	if res.Outcomes[outcome.NotSent] == 0 && res.IdealSeconds <= res.VirtualSeconds {
		best = "; at best, by the drawn times: " + seconds(res.IdealSeconds)
	}
	line(b, width, "  ", "Time: %s virtual%s", seconds(res.VirtualSeconds), best)
	if d := res.DetectionDelaySeconds; d != (sim.Quantiles{}) { // all zero: no command ended
		line(b, width, "    ", "  an ended command was noticed after %s in the median, %s at the 95th percentile, %s at most",
			seconds(d.P50), seconds(d.P95), seconds(d.Max))
	}
	line(b, width, "  ", "Limits: %s", limits(res.MaxHistoryEvents, res.MaxPayloadBytes))
	if len(res.Faults) > 0 {
		line(b, width, "  ", "Faults that struck: %s", strings.Join(tallies(res.Faults), ", "))
	}
}

// limits measures a rehearsal by what the product allows itself.
func limits(events, bytes int) string {
	return fmt.Sprintf("the longest history has %s of %s, the largest payload %s of %s",
		words.Number(events), words.Count(check.HistoryLimit, "event"), words.Number(bytes),
		words.Count(check.PayloadLimit, "byte"))
}

func printViolations(b *bytes.Buffer, res *sim.Result, replay string, width int) {
	if len(res.Violations) == 0 {
		fmt.Fprintln(b, "Rules: none broken")
		return
	}
	fmt.Fprintf(b, "RULES BROKEN: %s\n", words.Number(len(res.Violations)))
	for _, v := range res.Violations {
		line(b, width, "    ", "  %s at %s: %s", v.Rule, words.Clean(v.At), words.Clean(v.Detail))
	}
	if replay != "" {
		fmt.Fprintf(b, "  repeat it: %s\n", replay)
	}
}

// tallies is "name n" for each entry, in order of name.
func tallies(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+" "+words.Number(m[k]))
	}
	return out
}

// wrapped joins names with commas into lines of at most width characters.
func wrapped(names []string, width int) []string {
	var lines []string
	line := ""
	for _, w := range names {
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

func seconds[S int64 | float64](s S) string { return words.Duration(span(float64(s))) }

// wall is how long a rehearsal took those who waited for it.
func wall(seconds float64) string { return words.Measured(span(seconds)) }

func span(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
