package target

import (
	"fmt"
	"time"

	"ec2patch/internal/store"
)

const (
	// leasePatience is how long a target waits for another run that is alive.
	leasePatience = 30 * time.Minute
	// followPatience is how long it waits for what a dead run left at work: as long as a command may take, which is
	// 16,200 seconds, and its cancel.
	followPatience = 5 * time.Hour
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
	return st.lease.Expires.Before(now.Add(LeaseTerm - LongestPollGap/3))
}

// renewLease extends the lease. It holds only if nobody touched the lease since it was read.
func (st *state) renewLease(now time.Time) store.Write {
	was := st.lease.Version
	st.lease.Version++
	st.lease.Expires = now.Add(LeaseTerm).UTC()
	return st.writeLease(was)
}

// patience is how long the target waits for the lease: for a run that is alive a while, and for what a dead run, or an
// earlier wave, left at work as long as that may take.
func (st *state) patience(now time.Time) time.Duration {
	if now.Before(st.lease.Expires) {
		return leasePatience
	}
	return followPatience
}

// releaseLease frees the account-region if it is still this run's. The fence stays and only grows.
func (st *state) releaseLease() (store.Write, bool) {
	if !st.holdsLease() {
		return store.Write{}, false
	}
	was := st.lease.Version
	st.lease.Version++
	st.lease.Run, st.lease.Wave = "", ""
	return st.writeLease(was), true
}

func (st *state) writeLease(was int) store.Write {
	key := store.LeaseKey(st.target.Account, st.target.Region)
	return store.Write{How: store.Replace, Key: key, Item: st.lease, Was: was}
}
