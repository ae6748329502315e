package world

import (
	"fmt"
	"strings"

	"ec2patch/internal/sim/world/fleetfile"
)

// output is what the document's script wrote, in the manner of AWS-RunPatchBaseline.
func (inv *invocation) output() string {
	if inv.start.IsZero() || inv.ended.IsZero() {
		return ""
	}
	c, i := inv.cmd, inv.inst
	var b strings.Builder
	fmt.Fprintf(&b, "Patch Summary for %s\nPatchGroup: %s\nBaselineId: pb-0123456789abcdef0\nSnapshotId: "+
		"%s\nRebootOption: %s\n",
		i.ID, i.patchGroup(), c.snapshot, c.reboot)
	if inv.agent == nil || inv.code != exitOK && inv.code != exitFailed {
		return b.String()
	}
	if inv.code == exitFailed || inv.counts.failed > 0 {
		for n := range 60 {
			fmt.Fprintf(&b, "package-%03d.x86_64 1.%d.%d-1 updates: dependency resolved, transaction prepared\n", n+1, n, i.runs)
		}
	}
	fmt.Fprintf(&b, "OperationType: %s\nOperationStartTime: %s\nOperationEndTime: %s\n",
		c.operation, inv.start.UTC().Format("2006-01-02T15:04:05Z"), inv.ended.UTC().Format("2006-01-02T15:04:05Z"))
	fmt.Fprintf(&b, "InstalledCount: %d\nInstalledOtherCount: 3\nFailedCount: %d\nInstalledPendingRebootCount: "+
		"%d\nMissingCount: %d\n",
		inv.counts.installed, inv.counts.failed, inv.counts.pending, inv.counts.missing)
	return b.String()
}

// errorOutput is what the script wrote to its error stream.
func (inv *invocation) errorOutput() string {
	if inv.ended.IsZero() || inv.start.IsZero() {
		return ""
	}
	switch inv.code {
	case exitFailed:
		if inv.inst.Fate == fleetfile.FateOldAgent {
			return "failed to run commands: the document needs SSM Agent 2.0.834.0 or later, this is " + inv.inst.AgentVersion +
				"\nexit status 1"
		}
		return "Unable to install package openssl-libs.x86_64: scriptlet failed, exit status 1\nfailed to run commands: " +
			"exit status 1"
	case exitCollision:
		return "Unable to extract tar file /var/log/amazon/ssm/patch-baseline-operations: file exists\nfailed to run " +
			"commands: exit status 155"
	case exitKilled:
		return "Timed out after 7200 seconds"
	}
	return ""
}
