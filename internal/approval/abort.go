package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// abort raises the flag that every sender reads. The first abort stays. Its
// audit entry is a chain of its own with one entry, because the run's chain has
// another writer: the chain of the question "abort", which nobody is ever asked.
func (c *Callback) abort(ctx context.Context, in OperatorRequest, caller string) (OperatorAnswer, error) {
	for range decideAttempts {
		run, before, err := c.runOf(ctx, in.Run)
		if err != nil {
			return OperatorAnswer{}, err
		}
		if before != nil {
			out := operatorAnswer(run, before)
			out.Delayed = c.wake(ctx, in.Run) // again, in case the first call ended too early
			return out, nil
		}
		if !run.Ended.IsZero() {
			return OperatorAnswer{}, pageRunEnded
		}
		flag := store.Abort{By: caller, Reason: in.Reason, At: c.Now().UTC().Truncate(time.Millisecond),
			CancelInFlight: in.CancelInFlight}
		detail := fmt.Sprintf("run %s by %s, reason %q, cancel in flight %t", in.Run, caller, in.Reason, in.CancelInFlight)
		entry, err := c.audit(ctx, &decision.Approval{ID: decision.ApprovalID(in.Run, "abort")},
			store.Note{Action: "Aborted", Detail: detail})
		if err != nil {
			return OperatorAnswer{}, err
		}
		err = c.Table.Write(ctx, entry,
			store.Write{How: store.Create, Key: store.AbortKey(in.Run), Item: flag})
		if errors.Is(err, patch.ErrConflict) {
			continue
		}
		if err != nil {
			return OperatorAnswer{}, err
		}
		out := operatorAnswer(run, &flag)
		out.Recorded, out.Delayed = true, c.wake(ctx, in.Run)
		c.tellAbort(ctx, in.Run, flag)
		return out, nil
	}
	return OperatorAnswer{}, pageBusy
}

// wake ends the rounds in which the aborted run waits for an answer: what comes
// next sees the flag. Where it fails, the end of the round, mostly 15 minutes
// later, does the same.
func (c *Callback) wake(ctx context.Context, run patch.RunID) (slow bool) {
	recs, err := c.questions(ctx, run)
	if err != nil {
		slog.Warn("questions of an aborted run not read", "run", string(run), "err", err)
		return true
	}
	for _, rec := range recs {
		if rec.Status != decision.ApprovalPending || rec.Token == "" {
			continue
		}
		was := rec.Version
		rec.Version++
		entry,
			err := c.audit(ctx, &rec, store.Note{Action: "Release", Detail: "ends the wait of a run that is aborted",
			Releases: true})
		if err == nil {
			err = c.Table.Write(ctx, entry, store.Write{How: store.Replace, Key: store.ApprovalKey(rec.ID), Item: rec, Was: was})
		}
		if err != nil {
			slog.Warn("aborted run not told", "run", string(run), "err", err)
			slow = true
			continue
		}
		slow = c.free(ctx, rec) || slow
	}
	return slow
}

func (c *Callback) tellAbort(ctx context.Context, run patch.RunID, a store.Abort) {
	subject := fmt.Sprintf("ec2patch %s: abort", run)
	body := fmt.Sprintf("Run %s is being aborted: nothing more is sent.\n\nBy: %s\nReason: %s\nRunning commands are %s.\n",
		run, words.Clean(a.By, words.Mail), words.Clean(a.Reason, words.Mail),
		map[bool]string{true: "cancelled", false: "left to finish"}[a.CancelInFlight])
	if err := c.Notices.Send(ctx, subject[:min(port.MaxSubject, len(subject))], body); err != nil {
		slog.Warn("abort not mailed", "run", string(run), "err", err)
	}
}
