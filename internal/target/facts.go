package target

import (
	"cmp"
	"context"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// fact is what a target's rows tell of one instance: what Send wrote of its command, and what polls found of it.
type fact struct {
	notSent    outcome.Reason
	lost       bool // it cannot be known whether its command was accepted
	sent       time.Time
	command    patch.CommandID
	invocation outcome.Invocation
	cancelled  outcome.Reason // why we asked to cancel it, empty if we did not
	unsure     bool           // whether it began
}

// loadFacts makes one fact of each instance of the plan.
func loadFacts(ctx context.Context, table store.Table, leaf plan.Leaf, st *state) (map[patch.InstanceID]fact, error) {
	intents, err := loadIntents(ctx, table, st.target)
	if err != nil {
		return nil, err
	}
	for i := range intents {
		if in := &intents[i]; !in.Settled {
			if in.Sends, err = journal(ctx, table, st.target, in); err != nil {
				return nil, err
			}
		}
	}
	looks, err := loadLooks(ctx, table, st.target)
	if err != nil {
		return nil, err
	}
	facts := factsOf(intents, leaf, st)
	follow(facts, looks)
	return facts, nil
}

// factsOf turns intents into one fact an instance. What no intent has tried was not sent.
func factsOf(intents []Intent, leaf plan.Leaf, st *state) map[patch.InstanceID]fact {
	closed := cmp.Or(st.row.Closed, cmp.Or(st.mustStop(st.row.Verifying.At), outcome.ReasonStopped))
	facts := make(map[patch.InstanceID]fact, len(leaf.Instances))
	for _, p := range leaf.Instances {
		facts[p.ID] = fact{notSent: closed}
	}
	for _, in := range intents {
		for _, s := range in.Skipped {
			facts[s.ID] = fact{notSent: s.Reason}
		}
		for i, id := range in.IDs {
			x := Sent{At: in.Written} // the sender of an intent that is not settled may still be sending
			switch {
			case i < len(in.Sends):
				x = in.Sends[i]
			case in.Settled, st.row.Verifying.Set(): // verify has waited for the sender's end
				continue // not tried; a later intent may have been for it
			}
			f := fact{sent: x.At, command: x.Command, lost: x.Command == "", invocation: outcome.Invocation{InstanceID: id}}
			if x.Refused != "" {
				f = fact{notSent: whyRefused(patch.Kind(x.Refused), st.row.Sent > 0)}
			}
			facts[id] = f
		}
	}
	return facts
}

// follow takes over what polls found. What was seen running stays so.
func follow(facts map[patch.InstanceID]fact, looks []Look) {
	for _, l := range looks {
		for _, v := range l.Found {
			f, ok := facts[v.InstanceID]
			if !ok || f.command != v.Command {
				continue
			}
			v.Ran = v.Ran || f.invocation.Ran
			f.invocation = v
			facts[v.InstanceID] = f
		}
		for _, c := range l.Cancels {
			if f, ok := facts[c.InstanceID]; ok && f.command == c.Command && f.cancelled == "" {
				f.cancelled = c.Why
				facts[c.InstanceID] = f
			}
		}
	}
}

// whyRefused is why an instance whose command was refused was not sent to. Where the account takes commands for others,
// a denial is about this one: it does not have the tag that the account's owner wants. SSM takes no command for an
// instance that it cannot reach.
func whyRefused(kind patch.Kind, others bool) outcome.Reason {
	switch {
	case kind == patch.ErrInvalidInstance:
		return outcome.ReasonOffline
	case kind == patch.ErrAccessDenied && others:
		return outcome.ReasonOptedOut
	}
	return outcome.ReasonAccount
}

// Unverified is what the rows alone tell of a target's instances: what was not sent is NotSent, and the rest is Unknown
// for the reason given.
func Unverified(
	ctx context.Context, table store.Table, run store.RunRow, row TargetRow, leaf plan.Leaf, why string,
) ([]outcome.InstanceReport, error) {
	st := &state{target: leaf.Target, row: row, run: run}
	facts, err := loadFacts(ctx, table, leaf, st)
	if err != nil {
		return nil, err
	}
	all := make([]outcome.InstanceReport, 0, len(leaf.Instances))
	for _, p := range leaf.Instances {
		f := facts[p.ID]
		r := outcome.InstanceReport{
			InstanceID: p.ID, Account: leaf.Account, Region: leaf.Region, Wave: leaf.Wave, Platform: p.Platform, Name: p.Name,
			CommandID: f.command, Status: cmp.Or(f.invocation.Details, f.invocation.Status), Before: p.Before,
			Outcome: outcome.Unknown, Reason: why,
		}
		if f.notSent != "" {
			r.Outcome, r.Reason = outcome.NotSent, string(f.notSent)
		}
		all = append(all, r)
	}
	return all, nil
}
