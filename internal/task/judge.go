package task

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ec2patch/internal/patch"
)

// JudgeOutput says whether the next wave may start, and when.
type JudgeOutput struct {
	Next    string      `json:"next"` // wait, next, ask or stop
	Seconds int         `json:"seconds"`
	Waited  int         `json:"waited"` // by the wave's judge so far, this wait included
	Ask     Ask         `json:"ask"`
	Verdict string      `json:"verdict"`
	Run     patch.RunID `json:"run"`
}

// alarmGap is how often the alarms of a health gate are looked at while a wave soaks.
const alarmGap = 2 * time.Minute

// judge looks at a wave whose targets are through. It is called again after
// each of its own waits, and its verdict does not change.
func (v *Verify) judge(ctx context.Context, in VerifyInput) (JudgeOutput, error) {
	out, err := v.weigh(ctx, in.Run, in.Wave, in.Waited)
	out.Waited = in.Waited
	if out.Next == "wait" {
		out.Waited += out.Seconds
	}
	return out, err
}

func (v *Verify) weigh(ctx context.Context, run patch.RunID, wave string, waited int) (JudgeOutput, error) {
	w, err := v.loadWave(ctx, run, wave)
	if err != nil {
		return JudgeOutput{}, err
	}
	now := v.Now().UTC()
	w.waited = waited
	if !w.row.Judged.Set() {
		w.row.Judged = patch.Mark{At: now, Waited: waited}
	}
	out := JudgeOutput{Run: run, Ask: Ask{Scope: "soak:" + wave, RoundSeconds: roundAt(w.run.Started, now)}}
	if w.run.Status != patch.RunRunning {
		return stopped(out), nil // closed while its execution was away: a redrive goes straight to the report
	}
	switch w.row.Verdict {
	case patch.VerdictGood:
		return v.pause(out, w, now), nil
	case patch.VerdictStop:
		return stopped(out), nil
	}
	verdict, why := w.consider()
	soak := time.Duration(w.row.SoakSeconds)*time.Second - w.row.Judged.Since(now, waited)
	if verdict != patch.VerdictStop {
		green, red, err := v.green(ctx, run, w.row.Alarms)
		if err != nil {
			return out, err
		}
		if green && soak > 0 {
			return v.soak(ctx, out, w, soak) // a doubt of another kind is asked about after it
		}
		if !green {
			verdict, why = patch.VerdictAsk, strings.TrimPrefix(why+"; "+red, "; ")
		}
	}
	if verdict == patch.VerdictAsk {
		if verdict, why, err = v.asked(ctx, w, why); err != nil {
			return out, err
		}
		switch {
		case verdict == patch.VerdictAsk:
			out.Next = "ask"
			return out, v.keep(ctx, w, why, now)
		case verdict == patch.VerdictGood && soak > 0:
			return v.soak(ctx, out, w, soak) // going on does not shorten the soak
		}
	}
	w.row.Verdict = verdict
	if err := v.keep(ctx, w, why, now); err != nil {
		return out, err
	}
	if verdict == patch.VerdictStop {
		return stopped(out), nil
	}
	return v.pause(out, w, now), nil
}

// judged is a wave as the judge sees it.
type judged struct {
	run     patch.RunRow
	row     patch.WaveRow
	whole   patch.WaveRow
	total   patch.Counters
	abort   bool
	targets map[patch.Target]patch.TargetRow
	index   patch.Index
	waited  int // seconds, by the state machine
}

func (v *Verify) loadWave(ctx context.Context, run patch.RunID, wave string) (*judged, error) {
	w := &judged{}
	var abort patch.Abort
	stop := &Row{Key: patch.AbortKey(run), Into: &abort}
	row := &Row{Key: patch.WaveKey(run, wave), Into: &w.row}
	err := v.Table.Load(ctx, row, stop,
		&Row{Key: patch.RunKey(run), Into: &w.run},
		&Row{Key: patch.WaveKey(run, patch.WholeRun), Into: &w.whole},
		&Row{Key: patch.CountersKey(run, patch.WholeRun), Into: &w.total})
	if err != nil {
		return nil, err
	}
	if !row.Found {
		return nil, fmt.Errorf("%w: run %s has no wave %q", patch.ErrInternal, run, wave)
	}
	w.abort = stop.Found
	if w.index, err = loadPlan(ctx, v.Objects, run, w.run.Digest); err != nil {
		return nil, err
	}
	w.targets, err = loadTargets(ctx, v.Table, run, wave)
	return w, err
}

// consider weighs the outcomes. A target that never got through counts with all its instances.
func (w *judged) consider() (patch.Verdict, string) {
	var why []string
	if w.row.Planned == 0 {
		return patch.VerdictGood, "no instance was matched that can be patched"
	}
	bad, badAccounts, lost := w.failures()
	if w.abort {
		return patch.VerdictStop, "the run was aborted"
	}
	if bad > 0 && w.run.AbortOnIssues {
		return patch.VerdictStop, patch.Count(bad, "instance") + " failed and abortOnIssues is set"
	}
	if lost > 0 {
		why = append(why, patch.Count(lost, "account-region")+" could not be brought to an end")
	}
	if bad > w.row.FailLimit {
		why = append(why, fmt.Sprintf("%s failed, the wave's budget is %d", patch.Count(bad, "instance"), w.row.FailLimit))
	}
	if w.total.Failures > w.whole.FailLimit {
		why = append(why, fmt.Sprintf("%s of the run failed, its budget is %d", patch.Count(w.total.Failures, "instance"), w.whole.FailLimit))
	}
	if badAccounts > w.row.AccountsMax {
		why = append(why, fmt.Sprintf("%s over budget, the wave's limit is %d", patch.Count(badAccounts, "account"), w.row.AccountsMax))
	}
	if len(why) > 0 {
		return patch.VerdictStop, strings.Join(why, "; ")
	}
	if unsent := w.cutShort(); unsent > 0 {
		why := patch.Count(unsent, "instance") + " not sent because the account-region was cut short"
		if !w.installs() {
			return patch.VerdictGood, why // a scan that is not whole harms nobody
		}
		return patch.VerdictAsk, why
	}
	return patch.VerdictGood, ""
}

// failures counts the wave's bad instances, the accounts that have more of them
// than their share allows, and the targets that were never verified.
func (w *judged) failures() (bad, badAccounts, lost int) {
	perAccount := map[patch.AccountID]int{}
	planned := map[patch.AccountID]int{}
	for _, t := range w.planned() {
		row, ok := w.targets[t]
		n := row.Bad
		if !ok || row.Status != patch.TargetVerified {
			n = w.plannedOf(t)
			lost++
		}
		bad += n
		perAccount[t.Account] += n
		planned[t.Account] += w.plannedOf(t)
	}
	for _, a := range SortedKeys(perAccount) {
		if perAccount[a] > w.row.PerAccount.Limit(planned[a]) {
			badAccounts++
		}
	}
	return bad, badAccounts, lost
}

// planned lists the wave's targets that have something planned, from the index
// and not from the rows that happen to exist.
func (w *judged) planned() []patch.Target {
	var all []patch.Target
	for _, iw := range w.index.Waves {
		if iw.Name != w.row.Wave {
			continue
		}
		for _, t := range iw.Targets {
			if t.Planned > 0 {
				all = append(all, patch.Target{Run: w.index.Run, Wave: iw.Name, Account: t.Account, Region: t.Region})
			}
		}
	}
	return all
}

func (w *judged) plannedOf(t patch.Target) int {
	for _, iw := range w.index.Waves {
		if iw.Name != t.Wave {
			continue
		}
		for _, it := range iw.Targets {
			if it.Account == t.Account && it.Region == t.Region {
				return it.Planned
			}
		}
	}
	return 0
}

// cutShort counts the instances that were not sent though they could have been;
// one that was merely offline leaves no doubt about the others.
func (w *judged) cutShort() int {
	n := 0
	for _, row := range w.targets {
		n += row.CutShort
	}
	return n
}

func (w *judged) installs() bool { return w.index.Waves[w.row.Position].Operation == patch.Install }

// asked looks for a human's answer about a doubtful wave. With approval none
// there is nobody to ask, and doubt stops the run.
func (v *Verify) asked(ctx context.Context, w *judged, why string) (patch.Verdict, string, error) {
	if w.run.Approval == patch.ApproveNone {
		return patch.VerdictStop, why, nil
	}
	var rec patch.Approval
	row := &Row{Key: patch.ApprovalKey(patch.ApprovalID(w.run.Run, "soak:"+w.row.Wave)), Into: &rec}
	if err := v.Table.Load(ctx, row); err != nil {
		return "", "", err
	}
	if !row.Found {
		w.row.Asked = why
		return patch.VerdictAsk, why, nil
	}
	if !w.index.Asks(rec) {
		return "", "", fmt.Errorf("%w: the question %s was not asked on the plan's terms", patch.ErrTampered, rec.ID)
	}
	status, err := verifyApproval(ctx, v.Table, v.Decisions, rec, w.run.Digest)
	if err != nil {
		return "", "", err
	}
	switch status {
	case patch.ApprovalApproved:
		if !strings.Contains(w.row.Asked, why) {
			return patch.VerdictStop, why + "; people were asked about: " + w.row.Asked, nil
		}
		return patch.VerdictGood, why + "; approved", nil
	case patch.ApprovalPending:
		return patch.VerdictAsk, why, nil
	}
	return patch.VerdictStop, why + "; " + status, nil
}

// green looks at the alarms. Missing data or an error is not green.
func (v *Verify) green(ctx context.Context, run patch.RunID, alarms []string) (bool, string, error) {
	if len(alarms) == 0 {
		return true, "", nil
	}
	states, err := v.Alarms.States(ctx, run, alarms)
	if err != nil {
		return false, "", err
	}
	var red []string
	for _, a := range states {
		if a.Red() {
			red = append(red, fmt.Sprintf("alarm %s is %s", a.ARN, a.State))
		}
	}
	return red == nil, strings.Join(red, "; "), nil
}

// soak waits on, looking at the alarms now and then.
func (v *Verify) soak(ctx context.Context, out JudgeOutput, w *judged, left time.Duration) (JudgeOutput, error) {
	if len(w.row.Alarms) > 0 {
		left = min(left, alarmGap)
	}
	out.Next, out.Seconds = "wait", max(seconds(left), 1)
	return out, v.keep(ctx, w, "", v.Now().UTC())
}

// keep writes the wave's row and, with a verdict, the audit entry that binds
// the heads of all its targets' chains into the run's.
func (v *Verify) keep(ctx context.Context, w *judged, why string, now time.Time) error {
	was := w.row.Version
	w.row.Version++
	w.row.Reason = why
	writes := []Write{}
	if w.row.Verdict != "" {
		w.row.Decided = patch.Mark{At: now, Waited: w.waited}
		w.row.PauseSeconds = w.run.WavePauseSeconds
		if w.last() {
			w.row.PauseSeconds = 0
		}
		entry, head := w.run.Audit.Append(patch.RunChain(w.run.Run), "judge", "Verdict",
			fmt.Sprintf("wave %s: %s; %s; heads %s", w.row.Wave, w.row.Verdict, why, w.heads()), now)
		runWas := w.run.Version
		w.run.Version++
		w.run.Audit = head
		writes = append(writes,
			Write{How: Audit, Key: entry.Key(), Item: entry},
			Write{How: Replace, Key: patch.RunKey(w.run.Run), Item: w.run, Was: runWas})
	}
	writes = append(writes, Write{How: Replace, Key: patch.WaveKey(w.run.Run, w.row.Wave), Item: w.row, Was: was})
	return v.Table.Write(ctx, writes...)
}

// heads is one hash over the ends of the targets' audit chains.
func (w *judged) heads() string {
	var b strings.Builder
	for _, t := range w.planned() {
		h := w.targets[t].Audit
		fmt.Fprintf(&b, "%s/%s %d %s\n", t.Account, t.Region, h.Seq, h.Hash)
	}
	return patch.Digest([]byte(b.String()))
}

func (w *judged) last() bool { return w.row.Position == len(w.index.Waves)-1 }

// pause lets the next wave start when the pause is over. Where people are asked
// about the next wave, they are asked now, and the approval waits for the pause.
func (v *Verify) pause(out JudgeOutput, w *judged, now time.Time) JudgeOutput {
	out.Verdict = string(patch.VerdictGood)
	pause := time.Duration(w.row.PauseSeconds) * time.Second
	if left := pause - w.row.Decided.Since(now, w.waited); left > 0 && !w.nextIsAsked() {
		out.Next, out.Seconds = "wait", max(seconds(left), 1)
		return out
	}
	out.Next = "next"
	return out
}

func (w *judged) nextIsAsked() bool {
	next := w.row.Position + 1
	return w.run.Approval == patch.ApprovePerWave && next < len(w.index.Waves) &&
		w.index.Waves[next].Operation == patch.Install && w.index.Waves[next].Planned > 0
}

func stopped(out JudgeOutput) JudgeOutput {
	out.Next, out.Verdict = "stop", string(patch.VerdictStop)
	return out
}
