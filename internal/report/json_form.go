package report

import (
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
)

// The forms below are report.json as other programs read it. Every field that the
// contract names is always there, and null where there is nothing; the others are
// left out where they are empty.

// reportForm is the whole of it, beside the two long lists.
func reportForm(r Report) any {
	return struct {
		SchemaVersion int                        `json:"schemaVersion"`
		Run           patch.RunID                `json:"run"`
		Status        *patch.RunStatus           `json:"status"`
		StatusReason  string                     `json:"statusReason,omitempty"`
		PlanDigest    *string                    `json:"planDigest"`
		DryRun        bool                       `json:"dryRun"`
		RequestedBy   string                     `json:"requestedBy,omitempty"`
		Reason        string                     `json:"reason,omitempty"`
		Started       time.Time                  `json:"started"`
		Ended         time.Time                  `json:"ended"`
		Waves         []any                      `json:"waves"`
		Totals        Totals                     `json:"totals"`
		Instances     []any                      `json:"instances"`
		Excluded      []any                      `json:"excluded"`
		Unreachable   []any                      `json:"unreachable"`
		Inactive      []runinput.InactiveAccount `json:"inactive,omitempty"`
		Approvals     []ApprovalReport           `json:"approvals"`
		Terms         []plan.Line                `json:"terms,omitempty"`
	}{
		r.SchemaVersion, r.Run, orNull(r.Status), r.StatusReason, orNull(r.PlanDigest), r.DryRun, r.RequestedBy, r.Reason,
		r.Started, r.Ended,
		forms(r.Waves, waveForm), r.Totals, []any{}, []any{}, forms(r.Unreachable,
			unreachableForm), r.Inactive, r.Approvals, r.Terms,
	}
}

func waveForm(w WaveReport) any {
	type plain WaveReport
	return struct {
		Name    string         `json:"name"`
		Verdict *patch.Verdict `json:"verdict"` // null for a wave that was not judged
		plain
	}{w.Name, orNull(w.Verdict), plain(w)}
}

func instanceForm(i outcome.InstanceReport) any {
	return struct {
		InstanceID  patch.InstanceID     `json:"instanceId"`
		Account     patch.AccountID      `json:"account"`
		Region      patch.Region         `json:"region"`
		Wave        string               `json:"wave"`
		Platform    *patch.Platform      `json:"platform"`
		Name        string               `json:"name,omitempty"`
		Outcome     outcome.Outcome      `json:"outcome"`
		Reason      *string              `json:"reason"`
		Down        outcome.Down         `json:"down,omitempty"`
		Since       *time.Time           `json:"since,omitempty"`
		Detail      string               `json:"detail,omitempty"`
		Warning     string               `json:"warning,omitempty"`
		CommandID   *patch.CommandID     `json:"commandId"`
		TookSeconds int                  `json:"tookSeconds,omitempty"`
		Status      string               `json:"status,omitempty"`
		Before      *outcome.PatchState  `json:"before"`
		After       *outcome.PatchState  `json:"after"`
		Output      *string              `json:"output"`
		Patches     []outcome.NamedPatch `json:"patches"` // null where they were not read
		MorePatches int                  `json:"morePatches,omitempty"`
	}{
		i.InstanceID, i.Account, i.Region, i.Wave, orNull(i.Platform), i.Name, i.Outcome, orNull(i.Reason), i.Down, i.Since,
		i.Detail, i.Warning,
		orNull(i.CommandID), i.TookSeconds, i.Status, i.Before, i.After, orNull(i.Output), i.Patches, i.MorePatches,
	}
}

func excludedForm(e plan.ExcludedInstance) any {
	type plain plan.ExcludedInstance
	return struct {
		plain
		Reason *string `json:"reason"`
	}{plain(e), orNull(e.Reason)}
}

func unreachableForm(u plan.UnreachableAccount) any {
	type plain plan.UnreachableAccount
	return struct {
		plain
		Region *patch.Region `json:"region"` // null for a whole account
		Reason *string       `json:"reason"`
	}{plain(u), orNull(u.Region), orNull(u.Reason)}
}

// orNull is nil for an empty text.
func orNull[S ~string](s S) *S {
	if s == "" {
		return nil
	}
	return &s
}

// forms maps a list; the result is never nil.
func forms[T any](in []T, f func(T) any) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
