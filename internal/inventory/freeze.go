package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/words"
)

// FreezeOutput is the plan as the state machine needs it: no list of instances
// or accounts, whatever the fleet's size.
type FreezeOutput struct {
	Run               patch.RunID  `json:"run"`
	Bucket            string       `json:"bucket"`
	RegionConcurrency int          `json:"regionConcurrency"`
	Waves             []FrozenWave `json:"waves"`
}

// FrozenWave is one item of the map over waves. A hundred of them must fit into
// one small payload.
type FrozenWave struct {
	Name           string       `json:"name"`
	MaxConcurrency int          `json:"maxConcurrency"`
	Ask            decision.Ask `json:"ask"`
}

// freeze turns the rows that discovery left into the plan, and seals it.
func (v *Inventory) freeze(ctx context.Context, run patch.RunID) (FreezeOutput, error) {
	input, inputDigest, err := plan.LoadInput(ctx, v.Objects, run)
	if err != nil {
		return FreezeOutput{}, err
	}
	input = v.Policy.Over(input)
	var row store.RunRow
	if err := v.Table.Load(ctx, &store.Row{Key: store.RunKey(run), Into: &row}); err != nil {
		return FreezeOutput{}, err
	}
	if row.Status != patch.RunRunning {
		return FreezeOutput{}, fmt.Errorf("%w: run %s has ended: %s", patch.ErrRefused, run, row.StatusReason)
	}
	if row.Digest != "" {
		index, err := plan.Load(ctx, v.Objects, run, row.Digest)
		if err != nil {
			return FreezeOutput{}, err
		}
		return v.frozen(input, index)
	}
	rows, err := target.LoadTargets(ctx, v.Table, run, "")
	if err != nil {
		return FreezeOutput{}, err
	}
	var last store.Series
	if err := v.Table.Load(ctx, &store.Row{Key: store.SeriesKey(input), Into: &last}); err != nil {
		return FreezeOutput{}, err
	}
	index := makeIndex(input, run, rows)
	index.Previous = last.Run
	v.estimate(input, &index, rows)
	index.InputDigest, index.DryRun = inputDigest, input.DryRun
	index.Frozen = v.Now().UTC()
	index.Terms = plan.TermsOf(input, v.Policy)
	for i, w := range index.Waves {
		index.Waves[i].AskScope = index.Asks(input.Approval, w)
	}
	if err := index.Seal(); err != nil {
		return FreezeOutput{}, err
	}
	blind, err := v.blindAlarms(ctx, run, input)
	if err != nil {
		return FreezeOutput{}, err
	}
	if err := v.guard(ctx, &row, index, append(v.overGuards(input, rows, index, last), blind...)); err != nil {
		return FreezeOutput{}, err
	}
	mine := index.Digest
	if index, err = v.freezeObjects(ctx, index); err != nil {
		return FreezeOutput{}, err
	}
	if index.Digest != mine {
		if err := v.guard(ctx, &row, index, v.overGuards(input, rows, index, last)); err != nil {
			return FreezeOutput{}, err
		}
	}
	out, err := v.frozen(input, index)
	if err != nil {
		return FreezeOutput{}, err
	}
	return out, v.freezeRows(ctx, input, row, index)
}

// makeIndex folds the targets' rows. A target without a row was never
// discovered: it is unreachable.
func makeIndex(input runinput.Input, run patch.RunID, rows map[patch.Target]target.TargetRow) plan.Index {
	x := plan.Index{Run: run, Inactive: input.Inactive, Needed: input.RequireDistinct, RequestedBy: input.RequestedBy}
	told := map[plan.UnreachableAccount]bool{}
	for _, w := range input.Waves {
		iw := plan.IndexWave{
			Name: w.Name, Operation: w.SSM.Operation, RebootOption: w.SSM.RebootOption,
			Platforms:    map[patch.Platform]int{},
			AllInstances: len(w.Filters.Tags) == 0 && len(w.Filters.InstanceIDs) == 0, AllowEmpty: w.AllowEmpty,
		}
		for _, a := range w.Accounts {
			for _, r := range w.Regions {
				row, ok := rows[patch.Target{Run: run, Wave: w.Name, Account: a, Region: r}]
				if !ok {
					row = target.TargetRow{Status: target.TargetUnreachable, Reason: "discovery failed"}
				}
				if row.Status == target.TargetUnreachable {
					u := plan.UnreachableAccount{Account: a, Region: r, Reason: row.Reason}
					if !told[u] {
						told[u] = true
						x.Unreachable = append(x.Unreachable, u)
					}
				}
				iw.Planned += row.Planned
				iw.Excluded += row.Excluded
				iw.New += row.New
				iw.Vanished += row.Vanished
				iw.Impaired += row.Impaired
				for _, n := range row.Notable {
					n.Account, n.Region = a, r
					iw.Notable = append(iw.Notable, n)
				}
				for _, p := range []patch.Platform{patch.Linux, patch.Windows, patch.MacOS} {
					if row.Platforms[p] > 0 {
						iw.Platforms[p] += row.Platforms[p]
					}
				}
				iw.Targets = append(iw.Targets, plan.IndexTarget{
					Account: a, Region: r, Planned: row.Planned, Excluded: row.Excluded, Digest: row.LeafDigest,
				})
			}
		}
		if iw.Planned == 0 && (iw.Excluded > 0 || !w.AllowEmpty) {
			iw.Filter = w.Filters.Text()
		}
		iw.Notable = plan.FewNotable(iw.Notable, plan.NotableOfWave)
		iw.FailLimit = w.Budget.MaxFailedInstances.Limit(iw.Planned)
		iw.AccountsMax = w.Budget.MaxFailedAccounts.Limit(len(itemsOf(iw)))
		x.Waves = append(x.Waves, iw)
	}
	x.FailLimit = input.Budget.MaxFailedInstances.Limit(x.Planned())
	return x
}

// overGuards lists everything about the plan that the input or the hub does not allow.
func (v *Inventory) overGuards(input runinput.Input, rows map[patch.Target]target.TargetRow, x plan.Index,
	last store.Series) []string {
	var why []string
	if limit := v.Policy.MaxInstances; limit > 0 && x.Planned() > limit {
		why = append(why, plan.TooMany(x.Planned(), v.Policy))
	}
	if limit := input.Guards.MaxInstances; limit > 0 && x.Planned() > limit {
		why = append(why, fmt.Sprintf("the plan has %s, guards.maxInstances allows %d",
			words.BareCount(x.Planned(), "instance"), limit))
	}
	if len(x.Unreachable) > 0 && input.OnUnreachable == runinput.UnreachableStop {
		why = append(why, words.BareCount(len(x.Unreachable), "account-region")+
			" cannot be reached and onUnreachable is stop")
	}
	if limit := last.Planned + input.Guards.MaxGrowth.Of(last.Planned); last.Run != "" && x.Planned() > limit {
		why = append(why, fmt.Sprintf("the plan has %s, run %s had %d, guards.maxGrowth %s allows %d",
			words.BareCount(x.Planned(), "instance"), last.Run, last.Planned, input.Guards.MaxGrowth, limit))
	}
	return append(why, overShare(input, rows)...)
}

// overShare lists the accounts of which the plan takes a larger share than allowed.
func overShare(input runinput.Input, rows map[patch.Target]target.TargetRow) []string {
	planned, running := map[patch.AccountID]int{}, map[patch.AccountID]int{}
	counted := map[patch.Target]bool{}
	for t, row := range rows {
		planned[t.Account] += row.Planned
		at := patch.Target{Account: t.Account, Region: t.Region}
		if !counted[at] {
			counted[at] = true
			running[t.Account] += row.Running
		}
	}
	var why []string
	for _, a := range words.SortedKeys(planned) {
		limit := input.Guards.MaxShare.Of(running[a])
		if running[a] > 0 && planned[a] > limit {
			why = append(why, fmt.Sprintf("the plan has %d of the %s of account %s, guards.maxShare %s allows %d", planned[a],
				words.BareCount(running[a], "instance"), a, input.Guards.MaxShare, limit))
		}
	}
	return why
}

// blindAlarms lists the alarms of the waves that are not there or that nobody lets
// us read: found now, and not after a wave was patched that nobody can judge. One
// that is red by now is no reason: that is what the waves will wait for.
func (v *Inventory) blindAlarms(ctx context.Context, run patch.RunID, input runinput.Input) ([]string, error) {
	waves := map[string]string{} // the first one that asks for it
	var arns []string
	for _, w := range input.Waves {
		for _, arn := range w.HealthGate.Alarms {
			if waves[arn] == "" {
				waves[arn] = w.Name
				arns = append(arns, arn)
			}
		}
	}
	if len(arns) == 0 {
		return nil, nil
	}
	states, err := v.Alarms.States(ctx, run, arns)
	if err != nil {
		return nil, err
	}
	var why []string
	for _, a := range states {
		switch a.State {
		case doubt.AlarmMissing:
			why = append(why, fmt.Sprintf("alarm %s of wave %s does not exist in account %s: create it, or correct "+
				"healthGate.alarms", a.ARN, waves[a.ARN], accountOf(a.ARN)))
		case doubt.AlarmUnreadable:
			why = append(why, fmt.Sprintf("alarm %s of wave %s cannot be read in account %s: deploy the spoke stack there, or "+
				"take it out of healthGate.alarms", a.ARN, waves[a.ARN], accountOf(a.ARN)))
		}
	}
	return why, nil
}

// accountOf is the account in an ARN.
func accountOf(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 4 {
		return parts[4]
	}
	return ""
}

// guard refuses a plan that is larger than the input allows, or that cannot be judged.
func (v *Inventory) guard(ctx context.Context, row *store.RunRow, x plan.Index, why []string) error {
	if len(why) == 0 {
		return nil
	}
	// The report of a refused plan tells what could not be reached.
	var first plan.Index
	if _, _, err := v.once(ctx, store.RefusedObject(x.Run), x, &first); err != nil {
		return err
	}
	reason := strings.Join(why, "; ")
	was := row.Version
	row.Status, row.StatusReason = patch.RunRefused, reason
	row.Version++
	entry, err := row.Heads.Append(store.Inventory, store.RunSubject(x.Run), "freeze", "PlanRefused", reason, v.Now()).
		Signed(ctx, v.Auditor)
	if err != nil {
		return err
	}
	err = v.Table.Write(ctx,
		entry.Write(),
		store.Write{How: store.Replace, Key: store.RunKey(x.Run), Item: *row, Was: was})
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", patch.ErrRefused, reason)
}

// freezeObjects writes the index, and then the waves' lists of accounts as the index that counts has them.
func (v *Inventory) freezeObjects(ctx context.Context, x plan.Index) (plan.Index, error) {
	var first plan.Index
	_, mine, err := v.once(ctx, store.IndexObject(x.Run), x, &first)
	if err != nil {
		return x, err
	}
	if !mine {
		if x, err = plan.Load(ctx, v.Objects, x.Run, first.Digest); err != nil {
			return x, err
		}
	}
	for _, w := range x.Waves {
		var items []plan.AccountItem
		_, mine, err := v.once(ctx, store.WaveAccountsObject(x.Run, w.Name), itemsOf(w), &items)
		if err != nil {
			return x, err
		}
		if !mine {
			return x, fmt.Errorf("%w: the accounts of wave %s are not those of the plan", patch.ErrTampered, w.Name)
		}
	}
	return x, nil
}

// itemsOf lists the accounts and regions of a wave that have something to patch.
func itemsOf(w plan.IndexWave) []plan.AccountItem {
	items := []plan.AccountItem{}
	for _, t := range w.Targets {
		if t.Planned == 0 {
			continue
		}
		if n := len(items); n == 0 || items[n-1].Account != t.Account {
			items = append(items, plan.AccountItem{Account: t.Account})
		}
		last := &items[len(items)-1]
		last.Regions = append(last.Regions, t.Region)
	}
	return items
}

// freezeRows writes the waves' rows and, last and by condition, the digest.
func (v *Inventory) freezeRows(ctx context.Context, input runinput.Input, row store.RunRow, x plan.Index) error {
	writes := []store.Write{{How: store.Put, Key: store.WaveKey(x.Run, store.WholeRun), Item: store.WaveRow{
		Wave: store.WholeRun, Planned: x.Planned(), FailLimit: x.FailLimit, MaxFailed: input.Budget.MaxFailedInstances,
	}}}
	for i, w := range x.Waves {
		writes = append(writes, store.Write{How: store.Put, Key: store.WaveKey(x.Run, w.Name), Item: waveRow(input, i, w, x)})
	}
	for len(writes) > 0 {
		n := min(len(writes), 50)
		if err := v.Table.Write(ctx, writes[:n]...); err != nil {
			return err
		}
		writes = writes[n:]
	}
	was := row.Version
	row.Version++
	row.Digest, row.Planned, row.Frozen, row.Unreachable = x.Digest, x.Planned(), x.Frozen, len(x.Unreachable)
	detail := fmt.Sprintf("digest %s, %s", x.Digest, words.BareCount(x.Planned(), "instance"))
	note := store.Note{Actor: "freeze", Action: "PlanFrozen", Detail: detail, Binds: x.Digest}
	entry, err := row.Heads.Note(store.Inventory, store.RunSubject(x.Run), note, v.Now()).
		Signed(ctx, v.Auditor)
	if err != nil {
		return err
	}
	err = v.Table.Write(ctx,
		entry.Write(),
		store.Write{How: store.Replace, Key: store.RunKey(x.Run), Item: row, Was: was})
	if errors.Is(err, patch.ErrConflict) {
		return fmt.Errorf("freeze run %s: %w", x.Run, err)
	}
	return err
}

func waveRow(input runinput.Input, i int, w plan.IndexWave, x plan.Index) store.WaveRow {
	in := input.Waves[i]
	items := itemsOf(w)
	targets := 0
	for _, a := range items {
		targets += len(a.Regions)
	}
	return store.WaveRow{
		Wave: w.Name, Position: i, Planned: w.Planned, Targets: targets, Accounts: len(items),
		FailLimit: w.FailLimit, AccountsMax: w.AccountsMax,
		PerAccount: in.Budget.PerAccount, MaxFailed: in.Budget.MaxFailedInstances, MaxAccounts: in.Budget.MaxFailedAccounts,
		MaxErrors:   in.SSM.MaxErrors,
		AskScope:    w.AskScope,
		SoakSeconds: in.HealthGate.SoakSeconds, Alarms: in.HealthGate.Alarms,
	}
}

// frozen is the output. Only the first wave asks for the whole run. A plan of other waves than the input's is none of
// this run.
func (v *Inventory) frozen(input runinput.Input, x plan.Index) (FreezeOutput, error) {
	out := FreezeOutput{Run: x.Run, Bucket: v.Bucket, RegionConcurrency: v.RegionConcurrency, Waves: []FrozenWave{}}
	same := slices.EqualFunc(x.Waves, input.Waves, func(w plan.IndexWave,
		in runinput.Wave) bool {
		return w.Name == in.Name
	})
	if !same {
		return out, fmt.Errorf("%w: the plan of run %s has other waves than its input", patch.ErrTampered, x.Run)
	}
	for i, w := range x.Waves {
		scope := w.AskScope
		if scope == patch.ScopeOfRun && i > 0 {
			scope = patch.NoScope
		}
		out.Waves = append(out.Waves, FrozenWave{
			Name: w.Name, MaxConcurrency: input.Waves[i].MaxConcurrentAccounts,
			Ask: decision.Ask{Scope: scope, RoundSeconds: min(decision.RoundSeconds, input.ApprovalTimeoutSeconds)},
		})
	}
	return out, nil
}
