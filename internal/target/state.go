package target

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// TargetInput is the payload of Send, Poll and Verify.
type TargetInput struct {
	patch.Target
	// Started is what the target's execution was started with. Runs of releases without seals have none: their
	// state machine, which no function can change, starts targets without saying so.
	Started struct {
		Sealed bool `json:"sealed"`
	} `json:"started"`
	Waited   int `json:"waited"`   // seconds that the state machine has waited on this target
	Failures int `json:"failures"` // steps that failed beyond their retries since the last that got on
}

// state is what every step of a target reads first, in one call.
type state struct {
	target patch.Target
	row    TargetRow
	run    store.RunRow
	wave   store.WaveRow
	whole  store.WaveRow
	counts store.Counters        // of the wave
	total  store.Counters        // of the run
	own    store.AccountCounters // of the account in the wave
	abort  *store.Abort
	clock  // its Now is set by the step, when it reads the time

	lease      Lease
	leaseFound bool
	ownFound   bool

	watch      store.Watch // of the wave's alarms
	watchFound bool
}

func loadState(ctx context.Context, table store.Table, in TargetInput) (*state, error) {
	t := in.Target
	st := &state{target: t, clock: clock{store.Clock{Waited: in.Waited}}}
	var abort store.Abort
	target := &store.Row{Key: store.TargetKey(t), Into: &st.row}
	stop := &store.Row{Key: store.AbortKey(t.Run), Into: &abort}
	lease := &store.Row{Key: store.LeaseKey(t.Account, t.Region), Into: &st.lease}
	own := &store.Row{Key: store.AccountCountersKey(t), Into: &st.own}
	watch := &store.Row{Key: store.WatchKey(t.Run, t.Wave), Into: &st.watch}
	err := table.Load(ctx, target, stop, lease, own, watch,
		&store.Row{Key: store.RunKey(t.Run), Into: &st.run},
		&store.Row{Key: store.WaveKey(t.Run, t.Wave), Into: &st.wave},
		&store.Row{Key: store.WaveKey(t.Run, store.WholeRun), Into: &st.whole},
		&store.Row{Key: store.CountersKey(t.Run, t.Wave), Into: &st.counts},
		&store.Row{Key: store.CountersKey(t.Run, store.WholeRun), Into: &st.total})
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

// again reads everything once more, in the same step.
func (st *state) again(ctx context.Context, table store.Table) (*state, error) {
	now, err := loadState(ctx, table, TargetInput{Target: st.target, Waited: st.Waited})
	if err == nil {
		now.clock = st.clock
	}
	return now, err
}

// mustStop says why nothing more may be sent, or nothing.
func (st *state) mustStop(now time.Time) outcome.Reason {
	switch {
	case st.abort != nil:
		return outcome.ReasonAbort
	case st.run.Status != patch.RunRunning, st.wave.Verdict != "", st.row.Steps() >= st.row.MaxPolls, st.watch.Red():
		return outcome.ReasonStopped
	case st.overBudget():
		return outcome.ReasonBudget
	case st.row.Refused():
		return outcome.ReasonAccount
	case !st.row.Busy.IsZero() && now.Sub(st.row.Busy) > st.patience(now):
		return outcome.ReasonLease
	}
	return ""
}

// lostLease tells whether another run took the account-region over: ours is dead to it.
func (st *state) lostLease() bool { return st.row.Fence != 0 && !st.holdsLease() }

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

// stillMaySend makes conditions of what mustStop reads of the run and the wave: a step
// that read them before they changed writes nothing, and so sends nothing.
func (st *state) stillMaySend() []store.Write {
	return []store.Write{
		{How: store.Require, Key: store.RunKey(st.target.Run), Field: "runStatus", Value: string(patch.RunRunning)},
		{How: store.Require, Key: store.AbortKey(st.target.Run), Field: "pk"},
		{How: store.Require, Key: store.WaveKey(st.target.Run, st.target.Wave), Field: "verdict"},
	}
}

// save writes the target's row, and with it whatever must not happen without it.
func (st *state) save(ctx context.Context, table store.Table, more ...store.Write) error {
	was := st.row.Version
	st.row.Version++
	writes := append([]store.Write{{How: store.Replace, Key: store.TargetKey(st.target), Item: st.row, Was: was}}, more...)
	return table.Write(ctx, writes...)
}

// count adds to the counters of the account, the wave and the run.
func (st *state) count(add map[string]int) []store.Write {
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
func (st *state) counted(add map[string]int) []store.Write {
	t := st.target
	inWave := map[string]int{}
	maps.Copy(inWave, add)
	var writes []store.Write
	held := st.row.Closed == outcome.ReasonBudget && st.row.OverBudget() && st.row.Waiting() > 0
	over := held || st.own.Held || st.overAccount()
	if add["failures"] != 0 || held && !st.own.Held || over != st.own.Over {
		switch {
		case over && !st.own.Over:
			inWave["accountsOver"]++
		case !over && st.own.Over:
			inWave["accountsOver"]--
		}
		st.own.Held, st.own.Over = st.own.Held || held, over
		write := store.Write{How: store.Create, Key: store.AccountCountersKey(t)}
		if st.ownFound {
			write.How, write.Was = store.Replace, st.own.Version
		}
		st.own.Version++
		st.ownFound = true
		write.Item = st.own
		writes = append(writes, write)
	}
	st.counts.AccountsOver += inWave["accountsOver"]
	if len(inWave) > 0 {
		writes = append(writes, store.Write{How: store.Add, Key: store.CountersKey(t.Run, t.Wave), Add: inWave})
	}
	inRun := maps.Clone(add)
	delete(inRun, "sent") // it is never read, and every target adds to this row
	if len(inRun) > 0 {
		writes = append(writes, store.Write{How: store.Add, Key: store.CountersKey(t.Run, store.WholeRun), Add: inRun})
	}
	return writes
}

// audit makes the next entry of a writer's chain about the account-region.
func (st *state) audit(w store.Writer, action, detail string, now time.Time) store.AuditEntry {
	return st.row.Heads.Append(w, store.TargetSubject(st.target), actors[w], action, detail, now)
}

// signed makes the next entry with the writer's signature, which is of the whole chain up to it.
func (st *state) signed(
	ctx context.Context, key store.Signer, w store.Writer, action, detail string, now time.Time,
) (store.Write, error) {
	entry, err := st.audit(w, action, detail, now).Signed(ctx, key)
	return entry.Write(), err
}

// actors is what the entries of the writers about an account-region call who acted.
var actors = map[store.Writer]string{store.Send: "send", store.Poll: "poll", store.Verify: "close"}

// followUp finds the end of a writer's chain about the account-region, which an earlier wave of the run may have begun.
func (st *state) followUp(ctx context.Context, table store.Table, w store.Writer) error {
	if st.row.Heads[w].Seq > 0 {
		return nil
	}
	last, err := table.LastAudit(ctx, w.Chain(store.TargetSubject(st.target)))
	st.row.chain(w, last)
	return err
}

// Bind adds the ends of the chains about the targets to those that are bound.
func Bind(bound map[string]store.ChainHead, rows map[patch.Target]TargetRow) {
	for t, row := range rows {
		row.Heads.Bind(bound, store.TargetSubject(t))
	}
}

// LoadTargets reads the rows of all targets of a run, or of one wave.
func LoadTargets(
	ctx context.Context, table store.Table, run patch.RunID, wave string,
) (map[patch.Target]TargetRow, error) {
	prefix := "TARGET#"
	if wave != "" {
		prefix = store.TargetPrefix(wave)
	}
	rows := map[patch.Target]TargetRow{}
	err := table.Scan(ctx, store.RunKey(run).PK, prefix, func(sk string, decode func(any) error) error {
		parts := strings.Split(sk, "#")
		if len(parts) != 4 {
			return fmt.Errorf("%w: row %q is no target", patch.ErrInternal, sk)
		}
		var row TargetRow
		if err := decode(&row); err != nil {
			return err
		}
		t := patch.Target{Run: run, Wave: parts[1], Account: patch.AccountID(parts[2]), Region: patch.Region(parts[3])}
		rows[t] = row
		return nil
	})
	return rows, err
}

// LoadRows reads the rows of targets; one that does not exist stays empty.
func LoadRows(ctx context.Context, table store.Table, targets []patch.Target) (map[patch.Target]TargetRow, error) {
	all := make(map[patch.Target]TargetRow, len(targets))
	for some := range slices.Chunk(targets, store.MaxLoad) {
		found := make([]TargetRow, len(some))
		rows := make([]*store.Row, len(some))
		for i, t := range some {
			rows[i] = &store.Row{Key: store.TargetKey(t), Into: &found[i]}
		}
		if err := table.Load(ctx, rows...); err != nil {
			return nil, err
		}
		for i, t := range some {
			all[t] = found[i]
		}
	}
	return all, nil
}
