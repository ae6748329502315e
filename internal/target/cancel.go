package target

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/words"
)

// stopping tells whether what no agent has taken must be taken back. An account
// whose role can no longer be assumed leaves nothing to cancel with.
func stopping(why outcome.Reason) bool {
	switch why {
	case outcome.ReasonBudget, outcome.ReasonAbort, outcome.ReasonStopped, outcome.ReasonLease:
		return true
	}
	return false
}

// untaken tells whether SSM says that no agent has taken the command yet. One whose invocation is not listed may run.
// Source: SSM CommandInvocation.Status, read 2026-11.
func untaken(v outcome.Invocation) bool { return v.Status == "Pending" || v.Status == "Delayed" }

// byReason sorts cancels into groups of one reason each.
func byReason(cancels []Cancel) [][]Cancel {
	groups := map[outcome.Reason][]Cancel{}
	for _, c := range cancels {
		groups[c.Why] = append(groups[c.Why], c)
	}
	var all [][]Cancel
	for _, why := range slices.Sorted(maps.Keys(groups)) {
		all = append(all, groups[why])
	}
	return all
}

// cancelText names what is cancelled, and why. A step writes one entry, whatever the reasons.
func cancelText(cancels []Cancel) string {
	var all []string
	for _, some := range byReason(cancels) {
		all = append(all, cancelledFor(string(some[0].Why), some))
	}
	return strings.Join(all, "; ")
}

// cancelledFor names what is cancelled for one reason.
func cancelledFor(why string, cancels []Cancel) string {
	names := make([]string, len(cancels))
	for i, c := range cancels {
		names[i] = string(c.Command) + "/" + string(c.InstanceID)
	}
	return fmt.Sprintf("%s, %s: %v", why, words.BareCount(len(cancels), "command"), names)
}

// cancelAll asks to cancel each command, and notes what was refused.
func cancelAll(ctx context.Context, spoke port.Spoke, t patch.Target, all []Cancel) {
	for _, c := range all {
		if err := spoke.Cancel(ctx, c.Command, c.InstanceID); err != nil {
			slog.Warn("not cancelled", "account", t.Account, "region", t.Region,
				"instance", c.InstanceID, "command", c.Command, "err", err)
		}
	}
}
