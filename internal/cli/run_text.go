package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/hub"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// showRun says on stderr what is about to be started.
func (a *app) showRun(m hub.Machine, name string, in runinput.Input, said string) {
	line := func(indent, format string, args ...any) {
		fmt.Fprintln(a.stderr, fold(fmt.Sprintf(format, args...), indent, a.width(a.stderr)))
	}
	line("  ", "Run %s on hub %s of account %s in %s:", name, m.Name, m.Account, m.Region)
	for _, w := range in.Waves {
		line("    ", "- wave %s: %s", words.Clean(w.Name), waveText(w))
	}
	for _, warning := range in.Warnings {
		line("    ", "Warning: %s", words.Clean(warning))
	}
	if in.Resume != "" {
		line("  ", "It continues from run %s: what that one patched is left out.", words.Clean(string(in.Resume)))
	}
	line("  ", "%s", approvalText(in))
	if in.WavePauseSeconds > 0 && len(in.Waves) > 1 {
		line("  ", "Pause after each wave but the last: %s.", words.Duration(time.Duration(in.WavePauseSeconds)*time.Second))
	}
	line("  ", "%s", stopText(in))
	line("  ", "You are %s; the run is started in your name.", words.Clean(in.RequestedBy))
	if said != "" && said != in.RequestedBy {
		line("  ", "The input says requestedBy %q, which is not kept.", words.Clean(said))
	}
}

func waveText(w runinput.Wave) string {
	do := "install patches, reboot if needed"
	switch {
	case w.SSM.Operation == patch.Scan:
		do = "scan, install nothing"
	case w.SSM.RebootOption == patch.NoReboot:
		do = "install patches, never reboot"
	}
	var where []string
	if n := len(w.Accounts); n > 0 {
		where = append(where, words.Count(n, "account"))
	}
	if n := len(w.OrganizationalUnits); n > 0 {
		where = append(where, words.Count(n, "organizational unit"))
	}
	text := fmt.Sprintf("%s, on %s of %s in %s", do, matched(w.Filters), strings.Join(where, " and "),
		words.Count(len(w.Regions), "region"))
	return text + soakText(w.HealthGate) +
		fmt.Sprintf("; sends no more once failures exceed %s of its instances or %s of its accounts, and none in an "+
			"account once they exceed %s of its own",
			w.Budget.MaxFailedInstances, w.Budget.MaxFailedAccounts, w.Budget.PerAccount)
}

// soakText is what is waited for after a wave, before the next one.
func soakText(g runinput.HealthGate) string {
	soak, alarms := words.Duration(time.Duration(g.SoakSeconds)*time.Second), words.Count(len(g.Alarms), "alarm")
	switch {
	case len(g.Alarms) == 0 && g.SoakSeconds == 0:
		return ""
	case len(g.Alarms) == 0:
		return fmt.Sprintf("; then a pause of %s, no alarm is watched", soak)
	case g.SoakSeconds == 0:
		return "; then a look at " + alarms
	}
	return fmt.Sprintf("; then a soak of %s under %s", soak, alarms)
}

// matched says which instances a wave's filters mean.
func matched(f runinput.Filters) string {
	if n := len(f.InstanceIDs); n > 0 {
		return words.Count(n, "named instance")
	}
	var names []string
	for _, p := range f.Platforms {
		names = append(names, string(p))
	}
	what := strings.Join(names, " and ") + " instances"
	if len(f.Tags) == 0 {
		return "ALL " + what + " whatever their tags"
	}
	var tags []string
	for _, key := range slices.Sorted(maps.Keys(f.Tags)) {
		tags = append(tags, words.Clean(key+"="+strings.Join(f.Tags[key], "|")))
	}
	return what + " with " + strings.Join(tags, " and ")
}

func approvalText(in runinput.Input) string {
	open := fmt.Sprintf("open for %s", words.Duration(time.Duration(in.ApprovalTimeoutSeconds)*time.Second))
	switch {
	case !in.Installs():
		return "Approval: none is asked for a scan. The scan does run on the instances."
	case in.Approval == runinput.ApproveNone:
		return "Approval: NONE by this input, patching begins as soon as the plan is made, unless the hub demands more " +
			"(MinimumApproval)."
	case in.RequireDistinct > 1:
		open += fmt.Sprintf(", by %d different people, you not among them", in.RequireDistinct)
	}
	if in.Approval == runinput.ApprovePerWave {
		return "Approval: before each wave, " + open + "."
	}
	return "Approval: once, of the whole plan, " + open + "."
}

// stopText is what keeps the run from its next wave.
func stopText(in runinput.Input) string {
	what := "people are asked whether to continue"
	if in.Approval == runinput.ApproveNone {
		what = "the run stops"
	}
	text := fmt.Sprintf("Once failures exceed %s of the run's instances or a limit of their wave, %s.",
		in.Budget.MaxFailedInstances, what)
	if in.AbortOnIssues {
		text += " The run stops after a wave with any failure."
	}
	return text + refusedText(in)
}

// refusedText is what a plan is refused for, at the input's own wish.
func refusedText(in runinput.Input) string {
	var all []string
	if in.OnUnreachable == runinput.UnreachableStop {
		all = append(all, "that misses an account or a region")
	}
	if n := in.Guards.MaxInstances; n > 0 {
		all = append(all, fmt.Sprintf("that has more than %s", words.Count(n, "instance")))
	}
	if len(all) == 0 {
		return ""
	}
	return " A plan " + strings.Join(all, " or ") + " is refused."
}
