package target

import (
	"context"
	"fmt"

	"ec2patch/internal/store"
)

// takeLease takes the account-region for this run. held is false while another run has it.
func (s *Send) takeLease(ctx context.Context, st *state) (held bool, err error) {
	now := s.Now()
	foreign := st.lease.Run != "" && (st.lease.Run != st.target.Run || st.lease.Wave != st.target.Wave)
	if st.lease.Run != st.target.Run && foreign && now.Before(st.lease.Expires) {
		return false, nil // of an earlier wave of this run, which is over, what it gave up is followed at once
	}
	if err := st.followUp(ctx, s.Table, store.Send); err != nil {
		return false, err
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
		take.How = store.Create
	}
	st.row.acquire(st.lease.Fence)
	entry := st.audit(store.Send, action, fmt.Sprintf("fence %d", st.lease.Fence), now)
	if err := st.save(ctx, s.Table, append(st.stillMaySend(), take, entry.Write())...); err != nil {
		return false, err
	}
	return true, nil
}

// followOld looks at what a dead run left in the account-region: none of its commands may still be at work when the
// lease is taken over. What no agent has taken is cancelled, and what is past its own deadline; what runs within its
// time is left to end, since a cancel would kill its package manager.
func (s *Send) followOld(ctx context.Context, st *state) (still bool, err error) {
	old := &state{target: st.target}
	old.target.Run, old.target.Wave = st.lease.Run, st.lease.Wave
	row := &store.Row{Key: store.TargetKey(old.target), Into: &old.row}
	if err := s.Table.Load(ctx, row); err != nil {
		return false, err
	}
	if !row.Found || !old.row.mayRun() {
		return false, nil
	}
	spoke, err := s.Spokes.Spoke(ctx, st.target)
	if err != nil {
		return false, err
	}
	left, err := old.atWork(ctx, s.Table, spoke, s.Now())
	if err != nil {
		return false, err
	}
	var cancels []Cancel
	for _, w := range left {
		still = still || !w.over
		if w.cancelled() && len(cancels) < MaxSends {
			cancels = append(cancels, Cancel{InstanceID: w.instance, Command: w.command})
		}
	}
	if len(cancels) == 0 {
		return still, nil
	}
	text := cancelledFor("left by run "+string(st.lease.Run), cancels)
	entry := st.audit(store.Send, "CancelCommand", text, s.Now())
	if err := st.save(ctx, s.Table, entry.Write()); err != nil {
		return false, err
	}
	cancelAll(ctx, spoke, st.target, cancels)
	return still, nil
}
