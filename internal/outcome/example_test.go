package outcome_test

import (
	"fmt"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

// SSM calls the command a success in all three cases. What the instance itself reports decides.
func ExampleJudge() {
	sent := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	count := func(n int) *int { return &n }
	evidence := outcome.Evidence{
		Operation:    patch.Install,
		RebootOption: patch.RebootIfNeeded,
		SnapshotID:   "ours",
		Planned:      outcome.PlannedInstance{ID: "i-0123456789abcdef0", Wave: "canary", Platform: patch.Linux},
		Sent:         sent,
		Invocation:   outcome.Invocation{Status: "Success", Details: "Success", Ran: true},
		Presence:     outcome.Presence{Exists: true, Running: true, Online: true, LastPing: sent.Add(25 * time.Minute)},
		After: &outcome.PatchState{
			Operation: patch.Install, SnapshotID: "ours",
			Started: sent.Add(time.Minute), Ended: sent.Add(20 * time.Minute),
			Installed: count(43), Missing: count(0), Failed: count(0),
		},
	}
	show := func(f outcome.Finding) { fmt.Printf("%s: %q\n", f.Outcome, f.Reason) }
	show(outcome.Judge(evidence))

	evidence.After.Missing = count(2)
	show(outcome.Judge(evidence))

	evidence.Presence.Online, evidence.Presence.Running = false, false
	evidence.Presence.Stopped = sent.Add(31 * time.Minute)
	show(outcome.Judge(evidence))
	// Output:
	// Patched: ""
	// Failed: "2 patches still missing"
	// Unhealthy: "stopped since 2026-12-01 02:31 UTC; 2 patches missing, 0 patches failed"
}
