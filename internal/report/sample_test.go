package report_test

import (
	"fmt"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
)

var start = time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

func ptr[T any](v T) *T { return &v }

func state(missing, failed, pending, installed int) *outcome.PatchState {
	return &outcome.PatchState{
		Operation: patch.Install, Started: at(20), Ended: at(27), BaselineID: "pb-0123456789abcdef0",
		Missing: &missing, Failed: &failed, InstalledPendingReboot: &pending, Installed: &installed,
	}
}

// sample is a run with one of everything: two judged waves, one that was not
// reached, failures with output, approvals, and accounts that did not answer.
func sample() *report.Report {
	r := &report.Report{
		SchemaVersion: report.ReportSchema, Run: "december-2026", Status: patch.RunStopped,
		StatusReason: "wave main: 5 failures are more than its budget of 4 (10% of 40 instances)",
		PlanDigest:   "7f3c1a90b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e",
		RequestedBy:  "platform team", Reason: "monthly patches & the kernel fix",
		Terms:   []plan.Line{{Name: "Approval", Text: "once, as the hub demands (MinimumApproval); the input says none"}},
		Started: start, Ended: at(215),
		Approvals: []report.ApprovalReport{
			{Scope: "run", Status: "approved", Asked: at(2), Decided: at(31), Identity: "mail", Name: "A. Operator",
				Reason: "change 4711", PlanCount: 64, Needed: 2, Decisions: []report.DecisionReport{
					{Decision: decision.Approve, Identity: "arn:aws:sts::111111111111:assumed-role/Ops/b", Name: "B. Operator",
						At: at(9), Counted: true},
					{Decision: decision.Approve, Identity: "platform team", Reason: "mine", At: at(12),
						Ignored: "whoever requested the run does not count"},
					{Decision: decision.Approve, Identity: "mail", Name: "A. Operator", Reason: "change 4711", At: at(31),
						Counted: true},
				}},
			{Scope: "wave:main", Status: "approved", Asked: at(80), Decided: at(84),
				Identity: "arn:aws:sts::111111111111:assumed-role/Ops/b", PlanCount: 40, Needed: 1,
				Decisions: []report.DecisionReport{
					{Decision: decision.Approve, Identity: "arn:aws:sts::111111111111:assumed-role/Ops/b", At: at(84), Counted: true},
				}},
		},
		Unreachable: []plan.UnreachableAccount{{Account: "444444444444", Region: "eu-west-1",
			Reason: "AccessDenied: the role PatchExecRole cannot be assumed"}},
	}
	add := func(wave, account, name string, platform patch.Platform, o outcome.Outcome,
		change func(*outcome.InstanceReport)) {
		i := outcome.InstanceReport{
			InstanceID: patch.InstanceID(fmt.Sprintf("i-%017x", 0xabc000+len(r.Instances))), Account: patch.AccountID(account),
			Region: "us-east-1",
			Wave:   wave, Platform: platform, Name: name, Outcome: o,
		}
		if change != nil {
			change(&i)
		}
		r.Instances = append(r.Instances, i)
	}
	sent := func(i *outcome.InstanceReport) {
		i.CommandID, i.Status = "11111111-2222-3333-4444-555555555555", "Success"
		i.Before, i.After = state(12, 0, 0, 200), state(0, 0, 0, 212)
	}
	for n := range 10 {
		add("canary", "111111111111", fmt.Sprintf("web-%02d", n), patch.Linux, outcome.Patched, sent)
	}
	add("canary", "111111111111", "web-10", patch.Linux, outcome.Compliant, func(i *outcome.InstanceReport) {
		sent(i)
		i.Warning = "two baselines apply to it"
	})
	add("canary", "111111111111", "ad-01", patch.Windows, outcome.PatchedPendingReboot, func(i *outcome.InstanceReport) {
		sent(i)
		i.After = state(0, 0, 3, 80)
		i.Reason = "3 patches wait for a reboot"
	})
	for n := range 20 {
		add("main", "222222222222", fmt.Sprintf("api-%02d", n), patch.Linux, outcome.Patched, sent)
	}
	for n := range 4 {
		add("main", "333333333333", fmt.Sprintf("sql-%02d", n), patch.Windows, outcome.Failed,
			func(i *outcome.InstanceReport) {
				sent(i)
				i.Status, i.After = "Failed", state(9, 3, 0, 203)
				i.Reason = "the command failed (exit status 1)"
				if n == 0 {
					i.Patches, i.MorePatches = []outcome.NamedPatch{
						{State: outcome.PatchFailed, Title: "2026-11 Cumulative Update", KB: "KB5031234",
							Classification: "SecurityUpdates", Severity: "Critical", CVEs: []string{"CVE-2026-0001", "CVE-2026-0002"}},
						{State: outcome.PatchInstalled, Title: "Defender update", KB: "KB2267602", Classification: "DefinitionUpdates",
							Severity: "Unspecified", CVEs: []string{}, At: ptr(at(22))},
					}, 7
				}
				i.Output = "Operating System Version: 10.0.20348\nInstalling KB5031234 ...\nInstall failed: 0x80070070 there is " +
					"not enough space on the disk\nfailed to run commands: exit status 1"
			})
	}
	add("main", "333333333333", "sql-04", patch.Windows, outcome.Undeliverable, func(i *outcome.InstanceReport) {
		i.CommandID, i.Status, i.Reason = "11111111-2222-3333-4444-555555555555", "Undeliverable",
			"the agent did not fetch the command"
	})
	for n := range 15 {
		add("main", "333333333333", fmt.Sprintf("sql-%02d", n+5), patch.Windows, outcome.NotSent,
			func(i *outcome.InstanceReport) {
				i.Reason, i.Detail = string(outcome.ReasonBudget), "333333333333: 5 failed, limit 4 (budget.perAccount 10% of 40)"
			})
	}
	for n := range 12 {
		add("rest", "555555555555", fmt.Sprintf("batch-%02d", n), patch.Linux, outcome.NotSent,
			func(i *outcome.InstanceReport) {
				i.Reason = string(outcome.ReasonStopped)
			})
	}
	r.Excluded = []plan.ExcludedInstance{
		{InstanceID: "i-00000000000000f01", Account: "222222222222", Region: "us-east-1", Wave: "main",
			Outcome: outcome.Offline, Reason: "last ping 3 days ago"},
		{InstanceID: "i-00000000000000f02", Account: "222222222222", Region: "us-east-1", Wave: "main",
			Outcome: outcome.Excluded, Reason: "tag PatchExclude"},
		{InstanceID: "i-00000000000000f03", Account: "333333333333", Region: "us-east-1", Wave: "main",
			Outcome: outcome.Unmanaged, Reason: "no SSM agent has registered"},
	}
	r.Waves = []report.WaveReport{
		{Name: "canary", Verdict: patch.VerdictGood, Started: ptr(at(31)), Ended: ptr(at(80))},
		{Name: "main", Verdict: patch.VerdictStop, Reason: "5 failures are more than the budget of 4", Started: ptr(at(95)),
			Ended: ptr(at(214))},
		{Name: "rest"},
	}
	tally(r)
	return r
}

// tally fills in every count from the instances.
func tally(r *report.Report) {
	r.Totals = report.Totals{Planned: len(r.Instances), Excluded: len(r.Excluded), Unreachable: len(r.Unreachable),
		Outcomes: map[outcome.Outcome]int{}}
	for _, i := range r.Instances {
		r.Totals.Outcomes[i.Outcome]++
		switch i.Outcome.Class(patch.RebootIfNeeded, i.CommandID != "") {
		case outcome.Good:
			r.Totals.Good++
		case outcome.Neutral:
			r.Totals.Neutral++
		default:
			r.Totals.Failures++
		}
	}
	for n := range r.Waves {
		w := &r.Waves[n]
		w.Outcomes, w.Planned, w.Accounts = map[outcome.Outcome]int{}, 0, nil
		index := map[patch.AccountID]int{}
		for _, i := range r.Instances {
			if i.Wave != w.Name {
				continue
			}
			if _, ok := index[i.Account]; !ok {
				index[i.Account] = len(w.Accounts)
				w.Accounts = append(w.Accounts, report.AccountReport{Account: i.Account, Outcomes: map[outcome.Outcome]int{}})
			}
			a := &w.Accounts[index[i.Account]]
			a.Planned, w.Planned = a.Planned+1, w.Planned+1
			a.Outcomes[i.Outcome]++
			w.Outcomes[i.Outcome]++
		}
	}
}

// large is a run of n instances in n/100 accounts, one in fifty of them failed
// for a reason of its own.
func large(n int) *report.Report {
	r := &report.Report{SchemaVersion: 1, Run: "large", Status: patch.RunFailed, Started: start, Ended: at(400),
		PlanDigest: "00ff"}
	for k := range n {
		i := outcome.InstanceReport{
			InstanceID: patch.InstanceID(fmt.Sprintf("i-%017x", k)), Account: patch.AccountID(fmt.Sprintf("%012d", 1+k/100)),
			Region: "us-east-1",
			Wave:   fmt.Sprintf("wave-%d", k*4/n), Platform: patch.Linux, Outcome: outcome.Patched, CommandID: "c",
			Status: "Success",
			Before: state(3, 0, 0, 100), After: state(0, 0, 0, 103),
		}
		if k%50 == 7 {
			i.Outcome, i.Reason, i.Output = outcome.Failed, fmt.Sprintf("exit status %d", k),
				fmt.Sprintf("line one of %d\nline two", k)
		}
		r.Instances = append(r.Instances, i)
	}
	for w := range 4 {
		r.Waves = append(r.Waves, report.WaveReport{Name: fmt.Sprintf("wave-%d", w), Verdict: patch.VerdictGood,
			Started: ptr(at(w * 100)), Ended: ptr(at(w*100 + 90))})
	}
	tally(r)
	return r
}
