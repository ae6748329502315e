package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/patch"
	"ec2patch/internal/sim"
	"ec2patch/internal/words"
)

func (a *app) simulateSeeds(cmd *cobra.Command, file string, f *simulateFlags, o sim.Options) error {
	from, to, err := parseSeeds(cmd, f.seeds)
	if err != nil {
		return err
	}
	if o.Approve == sim.ApproveAsk {
		return usage(cmd, "--approve ask waits for a person; with --seeds allowed are auto, reject and timeout")
	}
	if f.out != "" {
		if err := writable(f.out); err != nil {
			return usage(cmd, fmt.Sprintf("no file can be written for --out: %v", err))
		}
	}
	shown := a.newSeedsView(int(to - from + 1))
	started := a.Now()
	res, err := interruptible(cmd.Context(), func() (*sim.SeedsResult, error) {
		return a.RehearseSeeds(o, from, to, shown.show)
	})
	if err != nil {
		return a.rehearsalError(file, f, err)
	}
	res.WallSeconds = a.Now().Sub(started).Seconds()
	if res.WallSeconds > 0 {
		res.SeedsPerSecond = float64(res.Seeds) / res.WallSeconds
	}
	for i := range res.Failed {
		res.Failed[i].Replay = a.replay(file, f, res.Failed[i].Seed)
	}
	if res.Failed == nil {
		res.Failed = []sim.FailedSeed{}
	}
	if f.out != "" {
		if err := writeSeeds(f.out, res); err != nil {
			return failed(err)
		}
	}
	if a.format == "json" {
		err = a.printJSON(printedSeeds{SchemaVersion: 1, Kind: "rehearsals", SeedsResult: res})
	} else {
		err = a.printSeeds(file, res)
	}
	if err != nil {
		return err
	}
	a.ended(res.WallSeconds, fmt.Sprintf("%.1f seeds a second, %s of real time", res.SeedsPerSecond,
		wall(res.WallSeconds)))
	if len(res.Failed) > 0 {
		return &ExitError{Code: ExitNotPatched}
	}
	return nil
}

func parseSeeds(cmd *cobra.Command, text string) (from, to uint64, err error) {
	a, b, found := strings.Cut(text, "-")
	from, errA := strconv.ParseUint(a, 10, 64)
	to, errB := strconv.ParseUint(b, 10, 64)
	if !found || errA != nil || errB != nil || to < from {
		return 0, 0, usage(cmd, fmt.Sprintf("--seeds is %q; allowed is a range, as 1-100", text))
	}
	if to-from >= maxSeeds {
		return 0, 0, usage(cmd, fmt.Sprintf("--seeds %s are more than %d", text, maxSeeds))
	}
	return from, to, nil
}

// printSeeds writes the text form of many rehearsals.
func (a *app) printSeeds(file string, res *sim.SeedsResult) error {
	var b bytes.Buffer
	width := a.width(a.stdout)
	entry := func(format string, args ...any) {
		fmt.Fprintln(&b, hang(fmt.Sprintf(format, args...), "           ", max(width, minWidth)))
	}
	line(&b, width, "  ", "Rehearsals of %s with the seeds %d to %d: no AWS call was made, nothing was patched.",
		name(file), res.From, res.To)
	fmt.Fprintln(&b)
	statuses := map[string]int{}
	for s, n := range res.Statuses {
		statuses[string(s)] = n
	}
	outcomes := map[string]int{}
	for o, n := range res.Outcomes {
		outcomes[string(o)] = n
	}
	fmt.Fprintf(&b, "%s, %s\n", words.Count(res.Seeds, "rehearsal"), virtual(res))
	entry("Runs:      %s", strings.Join(tallies(statuses), ", "))
	for _, s := range slices.Sorted(maps.Keys(res.Ended)) {
		if s != patch.RunSucceeded {
			entry("           %s: %s", s, seedList(res.Ended[s]))
		}
	}
	planned := words.Number(res.Planned) + " planned"
	if len(outcomes) > 0 {
		planned += ": " + strings.Join(tallies(outcomes), ", ")
	}
	entry("Instances: %s", planned)
	entry("Faults:    %s", cmp.Or(strings.Join(tallies(res.Faults), ", "), "none"))
	entry("Limits:    %s", limits(res.MaxHistoryEvents, res.MaxPayloadBytes))
	if idle := idleRules(res.Premises); len(idle) > 0 {
		entry("Not tried: %s had nothing to say in these worlds", strings.Join(idle, ", "))
	}
	if len(res.Failed) == 0 {
		fmt.Fprintln(&b, "Rules:     none was broken")
	} else {
		fmt.Fprintf(&b, "\nSEEDS THAT BROKE A RULE OR FAILED: %s\n", words.Number(len(res.Failed)))
	}
	for _, f := range res.Failed {
		how := "broke " + f.Rule
		if f.Rule == "error" {
			how = "was not rehearsed"
		}
		line(&b, width, "    ", "  seed %d %s: %s", f.Seed, how, words.Clean(f.Detail))
		if f.Replay != "" {
			fmt.Fprintf(&b, "    repeat it: %s\n", f.Replay)
		}
	}
	if _, err := a.stdout.Write(b.Bytes()); err != nil {
		return failed(fmt.Errorf("write the result: %w", err))
	}
	return nil
}

// idleRules are the rules whose premise never held: that they were not broken says nothing about them.
func idleRules(premises map[string]int) []string {
	var idle []string
	for _, rule := range slices.Sorted(maps.Keys(premises)) {
		if premises[rule] == 0 {
			idle = append(idle, rule)
		}
	}
	return idle
}

// virtual is how much time was rehearsed.
func virtual(res *sim.SeedsResult) string {
	const least = 0.01 // of a year, which is what two decimals show
	if res.VirtualYears < least {
		return seconds(res.VirtualSeconds) + " virtual"
	}
	return fmt.Sprintf("%.2f virtual years", res.VirtualYears)
}

// maxSeedsNamed is how many seeds of one ending are named.
const maxSeedsNamed = 10

// seedList names the first seeds of a list.
func seedList(seeds []uint64) string {
	var names []string
	for _, s := range seeds[:min(len(seeds), maxSeedsNamed)] {
		names = append(names, strconv.FormatUint(s, 10))
	}
	text := "seeds " + strings.Join(names, ", ")
	if len(seeds) == 1 {
		text = "seed " + names[0]
	}
	if more := len(seeds) - maxSeedsNamed; more > 0 {
		text += " and " + words.Number(more) + " more"
	}
	return text
}

// seedsView counts rehearsals on stderr: on a terminal in place, elsewhere a line
// for each tenth.
type seedsView struct {
	out      io.Writer
	total    int
	redraw   bool
	lastStep int
}

func (a *app) newSeedsView(total int) *seedsView {
	v := &seedsView{out: a.stderr, total: total}
	if a.progress == "quiet" || a.progress == "json" {
		v.out = io.Discard
	}
	_, isTerminal := a.Terminal(a.stderr)
	v.redraw = a.progress == "tty" || a.progress == "auto" && isTerminal && a.env["TERM"] != "dumb"
	return v
}

func (v *seedsView) show(done int) {
	step := done * 10 / max(v.total, 1)
	switch {
	case v.redraw && (done == v.total || done%max(v.total/100, 1) == 0):
		fmt.Fprintf(v.out, "\r\x1b[K%s of %s", words.Number(done), words.Count(v.total, "rehearsal"))
		if done == v.total {
			fmt.Fprintln(v.out)
		}
	case !v.redraw && step > v.lastStep:
		v.lastStep = step
		fmt.Fprintf(v.out, "%s of %s\n", words.Number(done), words.Count(v.total, "rehearsal"))
	}
}
