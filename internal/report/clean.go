package report

import (
	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// inert is the instance with every text that the fleet or AWS wrote made safe.
func inert(i outcome.InstanceReport) outcome.InstanceReport {
	i.InstanceID = patch.InstanceID(words.Clean(string(i.InstanceID)))
	i.Platform, i.Wave = patch.Platform(words.Clean(string(i.Platform))), words.Clean(i.Wave)
	i.Name, i.Reason, i.Warning = words.Clean(i.Name), words.Clean(i.Reason), words.Clean(i.Warning)
	i.Detail = words.Clean(i.Detail)
	i.Status, i.CommandID = words.Clean(i.Status), patch.CommandID(words.Clean(string(i.CommandID)))
	i.Output = words.Clean(i.Output, words.Lines)
	i.Before, i.After = inertState(i.Before), inertState(i.After)
	if i.Patches != nil {
		i.Patches = each(i.Patches, inertPatch)
	}
	return i
}

func inertPatch(p outcome.NamedPatch) outcome.NamedPatch {
	p.State = outcome.NamedState(words.Clean(string(p.State)))
	p.Title, p.KB, p.Classification, p.Severity = words.Clean(p.Title), words.Clean(p.KB), words.Clean(p.Classification),
		words.Clean(p.Severity)
	p.CVEs = each(p.CVEs, line)
	return p
}

func inertState(p *outcome.PatchState) *outcome.PatchState {
	if p == nil {
		return nil
	}
	c := *p
	c.Operation = patch.Operation(words.Clean(string(c.Operation)))
	c.SnapshotID, c.BaselineID = words.Clean(c.SnapshotID), words.Clean(c.BaselineID)
	return &c
}

func inertExcluded(e plan.ExcludedInstance) plan.ExcludedInstance {
	e.InstanceID = patch.InstanceID(words.Clean(string(e.InstanceID)))
	e.Reason, e.Wave = words.Clean(e.Reason), words.Clean(e.Wave)
	return e
}

func inertUnreachable(u plan.UnreachableAccount) plan.UnreachableAccount {
	u.Reason = words.Clean(u.Reason)
	return u
}

func inertAccount(a patch.AccountID) patch.AccountID { return patch.AccountID(words.Clean(string(a))) }

func inertInactive(a runinput.InactiveAccount) runinput.InactiveAccount {
	a.Account, a.Wave, a.State = patch.AccountID(words.Clean(string(a.Account))), words.Clean(a.Wave), words.Clean(a.State)
	return a
}

func inertApproval(a ApprovalReport) ApprovalReport {
	a.Scope, a.Status = patch.Scope(words.Clean(string(a.Scope))), decision.Status(words.Clean(string(a.Status)))
	a.Identity, a.Name, a.Reason = words.Clean(a.Identity), words.Clean(a.Name), words.Clean(a.Reason)
	a.Decisions = each(a.Decisions, inertDecision)
	return a
}

func inertDecision(d DecisionReport) DecisionReport {
	d.Decision, d.Identity, d.Name = decision.Choice(words.Clean(string(d.Decision))), words.Clean(d.Identity),
		words.Clean(d.Name)
	d.Reason, d.Ignored = words.Clean(d.Reason), words.Clean(d.Ignored)
	return d
}

func line(s string) string { return words.Clean(s) }
