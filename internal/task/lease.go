package task

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ec2patch/internal/patch"
)

// holdsLease tells whether the account-region is still this run's, under the
// fence that it was taken with.
func (st *state) holdsLease() bool {
	return st.row.Fence != 0 && st.lease.Run == st.target.Run && st.lease.Fence == st.row.Fence
}

// heldBy says who has the account-region, for people.
func (st *state) heldBy() string {
	return fmt.Sprintf("the account-region was held by run %s", st.lease.Run)
}

// leaseIsOld tells whether the lease must be renewed to last past the longest
// gap between polls.
func (st *state) leaseIsOld(now time.Time) bool {
	return st.lease.Expires.Before(now.Add(patch.LeaseTerm - patch.LongestPollGap/3))
}

// renewLease extends the lease and lists the commands that are open. It holds
// only if nobody touched the lease since it was read.
func (st *state) renewLease(now time.Time) Write {
	was := st.lease.Version
	st.lease.Version++
	st.lease.Expires = now.Add(patch.LeaseTerm).UTC()
	st.lease.Commands, st.lease.Marker = nil, ""
	for _, c := range st.row.Open {
		st.lease.Commands = append(st.lease.Commands, c.ID)
	}
	return Write{How: Replace, Key: patch.LeaseKey(st.target.Account, st.target.Region), Item: st.lease, Was: was}
}

// takeLease takes the account-region for this run. held is false while another run has it.
func (s *Send) takeLease(ctx context.Context, st *state) (held bool, err error) {
	now := s.Now()
	foreign := st.lease.Run != "" && (st.lease.Run != st.target.Run || st.lease.Wave != st.target.Wave)
	if st.lease.Run != st.target.Run && foreign && now.Before(st.lease.Expires) {
		return false, nil // an earlier wave of this run is over: what it gave up is followed at once
	}
	if st.row.Audit.Seq == 0 {
		if st.row.Audit, err = s.Table.LastAudit(ctx, patch.TargetChain(st.target)); err != nil {
			return false, err
		}
	}
	if foreign {
		if still, err := s.followOld(ctx, st); err != nil || still {
			return false, err
		}
	}
	action := "LeaseTaken"
	if foreign {
		action = "LeaseTakenOver"
	}
	st.lease.Run, st.lease.Wave = st.target.Run, st.target.Wave
	st.lease.Fence++
	take := st.renewLease(now)
	if !st.leaseFound {
		take.How = Create
	}
	st.row.Fence, st.row.Busy, st.row.Reason = st.lease.Fence, time.Time{}, ""
	entry := st.audit("send", action, fmt.Sprintf("fence %d", st.lease.Fence), now)
	if err := st.save(ctx, s.Table, append(st.goesOn(), take, entry)...); err != nil {
		return false, err
	}
	return true, nil
}

// followOld looks at what a dead run left in the account-region: none of its
// commands may still be at work when the lease is taken over.
func (s *Send) followOld(ctx context.Context, st *state) (still bool, err error) {
	spoke, err := s.Spokes.Spoke(ctx, st.target)
	if err != nil {
		return false, err
	}
	// A command is gone five hours after it was sent, and the lease lists the latest.
	since := s.Now().Add(-patch.MaxCommandSeconds * time.Second * 2)
	progress, err := spoke.Progress(ctx, since, st.lease.Commands)
	if err != nil {
		return false, err
	}
	if progress == nil {
		progress = map[patch.CommandID]Progress{}
	}
	commands, err := s.markedToo(ctx, spoke, st, progress)
	if err != nil {
		return false, err
	}
	if commands == nil && st.lease.Marker != "" && s.Now().Before(st.lease.MarkedAt.Add(visibility)) {
		return true, nil // what was sent last may still appear
	}
	if commands == nil {
		commands = st.lease.Commands
	}
	var left []patch.CommandID
	var entries []Write
	for _, id := range commands {
		if p, found := progress[id]; !found || p.Ended {
			continue
		}
		left = append(left, id)
		entries = append(entries, st.audit("send", "CancelCommand", fmt.Sprintf("%s, left by run %s, whose lease has run out", id, st.lease.Run), s.Now()))
	}
	if len(left) == 0 {
		return false, nil
	}
	if err := st.save(ctx, s.Table, entries...); err != nil {
		return false, err
	}
	for _, id := range left {
		if err := spoke.Cancel(ctx, id, nil); err != nil {
			return false, err
		}
	}
	return true, nil
}

// markedToo lists the lease's commands, and the one that was sent last if nobody
// kept its id. It is nil while that one cannot be found.
func (s *Send) markedToo(ctx context.Context, spoke Spoke, st *state, progress map[patch.CommandID]Progress) ([]patch.CommandID, error) {
	if st.lease.Marker == "" {
		return st.lease.Commands, nil
	}
	since := st.lease.MarkedAt.Add(-patch.ListMargin)
	id, found, err := spoke.ByMarker(ctx, st.lease.Marker, since)
	if err != nil || !found {
		return nil, err
	}
	marked, err := spoke.Progress(ctx, since, []patch.CommandID{id})
	if err != nil {
		return nil, err
	}
	if p, ok := marked[id]; ok {
		progress[id] = p
	}
	return append(slices.Clone(st.lease.Commands), id), nil
}

// releaseLease frees the account-region if it is still this run's. The fence stays and only grows.
func (st *state) releaseLease() (Write, bool) {
	if !st.holdsLease() {
		return Write{}, false
	}
	was := st.lease.Version
	st.lease.Version++
	st.lease.Run, st.lease.Wave, st.lease.Commands = "", "", nil
	return Write{How: Replace, Key: patch.LeaseKey(st.target.Account, st.target.Region), Item: st.lease, Was: was}, true
}
