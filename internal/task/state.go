package task

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ec2patch/internal/patch"
)

// TargetInput is the payload of Send, Poll and Verify.
type TargetInput struct {
	patch.Target
	Waited   int `json:"waited"`   // seconds that the state machine has waited on this target
	Failures int `json:"failures"` // steps that failed beyond their retries since the last that got on
}

// state is what every step of a target reads first, in one call.
type state struct {
	target patch.Target
	row    patch.TargetRow
	run    patch.RunRow
	wave   patch.WaveRow
	whole  patch.WaveRow
	counts patch.Counters        // of the wave
	total  patch.Counters        // of the run
	own    patch.AccountCounters // of the account in the wave
	waited int                   // seconds, by the state machine
	began  time.Time             // this step of Send
	abort  *patch.Abort

	lease      patch.Lease
	leaseFound bool
	ownFound   bool

	watch      patch.Watch // of the wave's alarms
	watchFound bool
}

func loadState(ctx context.Context, table Table, in TargetInput) (*state, error) {
	t := in.Target
	st := &state{target: t, waited: in.Waited}
	var abort patch.Abort
	target := &Row{Key: patch.TargetKey(t), Into: &st.row}
	stop := &Row{Key: patch.AbortKey(t.Run), Into: &abort}
	lease := &Row{Key: patch.LeaseKey(t.Account, t.Region), Into: &st.lease}
	own := &Row{Key: patch.AccountCountersKey(t), Into: &st.own}
	watch := &Row{Key: patch.WatchKey(t.Run, t.Wave), Into: &st.watch}
	err := table.Load(ctx, target, stop, lease, own, watch,
		&Row{Key: patch.RunKey(t.Run), Into: &st.run},
		&Row{Key: patch.WaveKey(t.Run, t.Wave), Into: &st.wave},
		&Row{Key: patch.WaveKey(t.Run, patch.WholeRun), Into: &st.whole},
		&Row{Key: patch.CountersKey(t.Run, t.Wave), Into: &st.counts},
		&Row{Key: patch.CountersKey(t.Run, patch.WholeRun), Into: &st.total})
	if err != nil {
		return nil, err
	}
	if !target.Found {
		return nil, fmt.Errorf("%w: %s/%s is no target of wave %s", patch.ErrInternal, t.Account, t.Region, t.Wave)
	}
	if stop.Found {
		st.abort = &abort
	}
	st.leaseFound, st.ownFound, st.watchFound = lease.Found, own.Found, watch.Found
	return st, nil
}

// mustStop says why nothing more may be sent, or nothing.
func (st *state) mustStop(now time.Time) string {
	switch {
	case st.abort != nil:
		return patch.ReasonAbort
	case st.run.Status != patch.RunRunning, st.wave.Verdict != "", st.row.Steps() >= st.row.MaxPolls, st.watch.Red():
		return patch.ReasonStopped
	case st.overBudget():
		return patch.ReasonBudget
	case st.row.Refused():
		return patch.ReasonAccount
	case !st.row.Busy.IsZero() && now.Sub(st.row.Busy) > st.patience(now):
		return patch.ReasonLease
	}
	return ""
}

// overBudget tells whether a limit of any scope is exceeded: of the account-region, the account, the wave, its
// accounts, or the run.
func (st *state) overBudget() bool {
	return st.row.OverBudget() || st.overAccount() ||
		st.counts.Failures > st.wave.FailLimit || st.counts.AccountsOver > st.wave.AccountsMax ||
		st.total.Failures > st.whole.FailLimit
}

// overAccount tells whether more of the account's planned instances have failed in
// this wave than may. How many are planned is what the sealed plan says.
func (st *state) overAccount() bool {
	return st.row.InAccount > 0 && st.own.Failures > st.wave.PerAccount.Limit(st.row.InAccount)
}

// goesOn makes conditions of what mustStop reads of the run and the wave: whoever
// read them before they changed writes nothing, and so sends nothing.
func (st *state) goesOn() []Write {
	return []Write{
		{How: Require, Key: patch.RunKey(st.target.Run), Field: "runStatus", Value: string(patch.RunRunning)},
		{How: Require, Key: patch.AbortKey(st.target.Run), Field: "pk"},
		{How: Require, Key: patch.WaveKey(st.target.Run, st.target.Wave), Field: "verdict"},
	}
}

// save writes the target's row, and with it whatever must not happen without it.
func (st *state) save(ctx context.Context, table Table, more ...Write) error {
	was := st.row.Version
	st.row.Version++
	writes := append([]Write{{How: Replace, Key: patch.TargetKey(st.target), Item: st.row, Was: was}}, more...)
	return table.Write(ctx, writes...)
}

// count adds to the counters of the account, the wave and the run.
func (st *state) count(add map[string]int) []Write {
	st.fail(add["failures"])
	return st.counted(add)
}

// fail takes new failures into what this step knows of the counters.
func (st *state) fail(n int) {
	st.own.Failures += n
	st.counts.Failures += n
	st.total.Failures += n
}

// counted writes what was added to the counters. The one write by which the account comes to count as failed, or no
// longer does, adds that to the wave's counters as well: senders everywhere look at those.
func (st *state) counted(add map[string]int) []Write {
	t := st.target
	inWave := map[string]int{}
	maps.Copy(inWave, add)
	var writes []Write
	held := st.row.Closed == patch.ReasonBudget && st.row.OverBudget() && st.row.Waiting() > 0
	over := held || st.own.Held || st.overAccount()
	if add["failures"] != 0 || held && !st.own.Held || over != st.own.Over {
		switch {
		case over && !st.own.Over:
			inWave["accountsOver"]++
		case !over && st.own.Over:
			inWave["accountsOver"]--
		}
		st.own.Held, st.own.Over = st.own.Held || held, over
		write := Write{How: Create, Key: patch.AccountCountersKey(t)}
		if st.ownFound {
			write.How, write.Was = Replace, st.own.Version
		}
		st.own.Version++
		st.ownFound = true
		write.Item = st.own
		writes = append(writes, write)
	}
	st.counts.AccountsOver += inWave["accountsOver"]
	if len(inWave) > 0 {
		writes = append(writes, Write{How: Add, Key: patch.CountersKey(t.Run, t.Wave), Add: inWave})
	}
	inRun := maps.Clone(add)
	delete(inRun, "sent") // nobody asks for it, and every target adds to this row
	if len(inRun) > 0 {
		writes = append(writes, Write{How: Add, Key: patch.CountersKey(t.Run, patch.WholeRun), Add: inRun})
	}
	return writes
}

// audit makes the next entry of the target's chain.
func (st *state) audit(actor, action, detail string, now time.Time) Write {
	entry, head := st.row.Audit.Append(patch.TargetChain(st.target), actor, action, detail, now)
	st.row.Audit = head
	return Write{How: Audit, Key: entry.Key(), Item: entry}
}

// loadOpen reads the intents that hold open commands or doubts, by number.
func (st *state) loadOpen(ctx context.Context, table Table) (map[int]*patch.Intent, error) {
	want := map[int]bool{}
	for _, o := range st.row.Open {
		want[o.N] = true
	}
	for _, n := range st.row.Doubts {
		want[n] = true
	}
	if st.row.Pending != 0 {
		want[st.row.Pending] = true
	}
	return loadIntentsOf(ctx, table, st.target, slices.Sorted(maps.Keys(want)))
}

// rowsPerCall is how many rows one call reads. Source: DynamoDB BatchGetItem, read 2026-11.
const rowsPerCall = 100

func loadIntentsOf(ctx context.Context, table Table, t patch.Target, numbers []int) (map[int]*patch.Intent, error) {
	intents := map[int]*patch.Intent{}
	var rows []*Row
	for _, n := range numbers {
		intents[n] = &patch.Intent{}
		rows = append(rows, &Row{Key: patch.SendKey(t, n), Into: intents[n]})
	}
	for len(rows) > 0 {
		some := rows[:min(len(rows), rowsPerCall)]
		if err := table.Load(ctx, some...); err != nil {
			return nil, err
		}
		for _, r := range some {
			if !r.Found {
				return nil, fmt.Errorf("%w: row %s is missing", patch.ErrTampered, r.Key.SK)
			}
		}
		rows = rows[len(some):]
	}
	return intents, nil
}

// passed is how long ago a send was accepted. Its times are compared with the machine's waits, too, so that a machine
// with shortened waits meets them.
func passed(in *patch.Intent, s patch.Sent, now time.Time, waited int) time.Duration {
	return patch.Mark{At: s.At, Waited: in.Waited}.Since(now, waited)
}
