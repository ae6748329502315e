package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// DiscoverOutput is what one discovery tells the state machine: next to nothing.
type DiscoverOutput struct {
	Planned  int    `json:"planned"`
	Excluded int    `json:"excluded"`
	Status   string `json:"status"`
}

// discover looks at one account and region and classifies every instance that
// some wave matches. It writes the inventory, once, and makes of it for each wave
// the leaf of the plan and the target's row. Another attempt, however late, finds
// the inventory and makes the same of it; once the plan is frozen it does nothing.
func (v *Inventory) discover(ctx context.Context, in InventoryInput) (DiscoverOutput, error) {
	input, _, err := plan.LoadInput(ctx, v.Objects, in.Run)
	if err != nil {
		return DiscoverOutput{}, err
	}
	var run store.RunRow
	if err := v.Table.Load(ctx, &store.Row{Key: store.RunKey(in.Run), Into: &run}); err != nil {
		return DiscoverOutput{}, err
	}
	if run.Status != patch.RunRunning || run.Digest != "" {
		return DiscoverOutput{Status: "over"}, nil
	}
	at := patch.Target{Run: in.Run, Account: in.Account, Region: in.Region}
	found, err := v.look(ctx, at, input)
	if err == nil {
		err = v.compare(ctx, in.Previous, at, input, &found)
	}
	switch {
	case err == nil:
	case errors.Is(err, patch.ErrRegionDisabled):
		found = plan.Inventory{Unreachable: fmt.Sprintf("region %s is not enabled in account %s: enable it there, or "+
			"take it out of the wave", at.Region, at.Account)}
	case patch.KindOf(err) == patch.ErrAccessDenied:
		found = plan.Inventory{Unreachable: err.Error()}
	default:
		return DiscoverOutput{}, err
	}
	found.Run, found.Account, found.Region, found.Taken = in.Run, in.Account, in.Region, v.Now().UTC()
	if found, err = v.keep(ctx, at, found); err != nil {
		return DiscoverOutput{}, err
	}
	if err := v.store(ctx, input, at, found); err != nil {
		return DiscoverOutput{}, err
	}
	out := DiscoverOutput{Planned: len(found.Planned), Excluded: len(found.Excluded), Status: "found"}
	if found.Unreachable != "" {
		out.Status = "unreachable"
	}
	return out, nil
}

// look asks EC2 and SSM.
func (v *Inventory) look(ctx context.Context, at patch.Target, input runinput.Input) (plan.Inventory, error) {
	var inv plan.Inventory
	waves := wavesOf(input, at)
	spoke, err := v.Spokes.Spoke(ctx, at)
	if err != nil {
		return inv, err
	}
	matches, err := matching(ctx, spoke, waves)
	if err != nil {
		return inv, err
	}
	ids := idsOf(matches)
	agents, err := spoke.Agents(ctx, ids)
	if err != nil {
		return inv, err
	}
	nodes, err := spoke.Hybrids(ctx)
	if err != nil {
		return inv, err
	}
	for _, m := range matches {
		classify(&inv, at, m, agents, nodes)
	}
	if err := v.hybrids(ctx, spoke, at, waves, nodes, &inv); err != nil {
		return inv, err
	}
	if err := v.describe(ctx, spoke, &inv); err != nil {
		return inv, err
	}
	if err := v.resume(ctx, at, input, agents, &inv); err != nil {
		return inv, err
	}
	if input.Guards.MaxShare.Of(maxShareBase) < maxShareBase {
		all, err := spoke.Matching(ctx, runinput.Filters{})
		if err != nil {
			return inv, err
		}
		inv.Running = len(all)
	}
	return inv, nil
}

// maxShareBase is what a share of 100 % is of: a guard that allows all of it need not count.
const maxShareBase = 100

// describe adds what is known of the planned instances before the run.
func (v *Inventory) describe(ctx context.Context, spoke port.Spoke, inv *plan.Inventory) error {
	ids := make([]patch.InstanceID, len(inv.Planned))
	for i, p := range inv.Planned {
		ids[i] = p.ID
	}
	states, err := spoke.PatchStates(ctx, ids)
	if err != nil {
		return err
	}
	checks, err := spoke.Statuses(ctx, ids)
	if err != nil {
		return err
	}
	for i := range inv.Planned {
		p := &inv.Planned[i]
		p.Impaired = checks[p.ID].Impaired
		if s, ok := states[p.ID]; ok {
			p.Before = &s
		}
	}
	return nil
}

// match is one instance and the waves whose filters select it, in their order.
type match struct {
	machine port.Machine
	waves   []runinput.Wave
}

// matching lists the instances of all waves, each once, sorted by id. Waves
// with the same filter share one listing.
func matching(ctx context.Context, spoke port.Spoke, waves []runinput.Wave) ([]match, error) {
	byID := map[patch.InstanceID]*match{}
	listed := map[string][]port.Machine{}
	for _, w := range waves {
		key, err := patch.Canonical([]any{w.Filters.Tags, w.Filters.InstanceIDs})
		if err != nil {
			return nil, err
		}
		machines, ok := listed[string(key)]
		if !ok {
			if machines, err = spoke.Matching(ctx, w.Filters); err != nil {
				return nil, err
			}
			listed[string(key)] = machines
		}
		for _, m := range machines {
			if byID[m.ID] == nil {
				byID[m.ID] = &match{machine: m}
			}
			byID[m.ID].waves = append(byID[m.ID].waves, w)
		}
	}
	all := make([]match, 0, len(byID))
	for _, m := range byID {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b match) int { return cmp.Compare(a.machine.ID, b.machine.ID) })
	return all, nil
}

// classify puts one instance into the plan of the first wave that wants it, or
// says for each wave why it is not there.
func classify(inv *plan.Inventory, at patch.Target, m match, agents, nodes map[patch.InstanceID]port.Agent) {
	agent, managed := agents[m.machine.ID]
	platform := port.PlatformOf(m.machine, agents)
	node, asHybrid := registeredAs(m.machine, nodes)
	claimed := ""
	for _, w := range m.waves {
		exclude := func(outcome outcome.Outcome, reason string) {
			inv.Excluded = append(inv.Excluded, plan.ExcludedInstance{
				InstanceID: m.machine.ID, Account: at.Account, Region: at.Region, Wave: w.Name, Outcome: outcome,
				Reason: reason,
			})
		}
		switch {
		case claimed != "":
			exclude(outcome.Excluded, "claimed by wave "+claimed)
		case plan.OptedOut(m.machine.Tags):
			exclude(outcome.Excluded, "tag "+plan.ExclusionTag)
		case m.machine.State != "running":
			exclude(outcome.Offline, "instance is "+m.machine.State)
		case !managed && asHybrid:
			exclude(outcome.Hybrid, node)
		case !managed:
			exclude(outcome.Unmanaged, "no SSM agent is registered")
		case !slices.Contains(w.Filters.Platforms, platform):
			exclude(outcome.Excluded, "platform "+string(platform))
		case notPatchable(agent) != "":
			exclude(outcome.Excluded, notPatchable(agent))
		case !agent.Online:
			exclude(outcome.Offline, "the agent's connection is lost")
		case tooOld(agent.Version):
			exclude(outcome.Excluded, "agent "+agent.Version+" is older than "+oldestAgent)
		default:
			claimed = w.Name
			inv.Planned = append(inv.Planned, outcome.PlannedInstance{
				ID: m.machine.ID, Wave: w.Name, Platform: platform, Name: m.machine.Tags["Name"],
				Group: m.machine.Tags[plan.GroupTag],
			})
		}
	}
}

// oldestAgent is the first SSM agent that AWS-RunPatchBaseline works with.
// Source: Patch Manager prerequisites, read 2026-11.
const oldestAgent = "2.0.834.0"

// tooOld compares versions part by part; one that cannot be read is not judged.
func tooOld(version string) bool {
	have, want := strings.Split(version, "."), strings.Split(oldestAgent, ".")
	for i := range want {
		if i >= len(have) {
			return false
		}
		h, err := strconv.Atoi(have[i])
		w, wrong := strconv.Atoi(want[i])
		if err != nil || wrong != nil {
			return false
		}
		if h != w {
			return h < w
		}
	}
	return false
}

// keep writes the inventory, or reads the one that an earlier attempt wrote.
func (v *Inventory) keep(ctx context.Context, at patch.Target, inv plan.Inventory) (plan.Inventory, error) {
	var first plan.Inventory
	_, mine, err := v.once(ctx, store.InventoryObject(at.Run, at.Account, at.Region), inv, &first)
	if err != nil || mine {
		return inv, err
	}
	return first, nil
}

// maxRows bounds the rows of one transaction, which takes a hundred actions. Source: DynamoDB TransactWriteItems, read
// 2026-11.
const maxRows = 99

// store writes leaves and rows: the same ones at every attempt, and none once the
// plan is frozen.
func (v *Inventory) store(ctx context.Context, input runinput.Input, at patch.Target, inv plan.Inventory) error {
	var writes []store.Write
	for _, w := range wavesOf(input, at) {
		t := at
		t.Wave = w.Name
		row, err := v.row(ctx, w, t, inv)
		if err != nil {
			return err
		}
		writes = append(writes, store.Write{How: store.Put, Key: store.TargetKey(t), Item: row})
	}
	open := store.Write{How: store.Require, Key: store.RunKey(at.Run), Field: "digest"}
	for rows := range slices.Chunk(writes, maxRows) {
		if err := v.Table.Write(ctx, append([]store.Write{open}, rows...)...); err != nil {
			return err
		}
	}
	return nil
}

// row makes the target's row, and stores its leaf if it has one.
func (v *Inventory) row(ctx context.Context, w runinput.Wave, t patch.Target,
	inv plan.Inventory) (target.TargetRow, error) {
	row := target.TargetRow{Status: target.TargetPlanned}
	if inv.Unreachable != "" {
		row.Status, row.Reason = target.TargetUnreachable, inv.Unreachable
		return row, nil
	}
	for _, x := range inv.Excluded {
		if x.Wave == w.Name {
			row.Excluded++
		}
	}
	leaf := plan.Leaf{
		Target: t, Document: patch.Document, Operation: w.SSM.Operation, RebootOption: w.SSM.RebootOption,
		SnapshotID: plan.SnapshotID(t), CommandTimeoutSeconds: w.CommandTimeoutSeconds, OptOutTag: plan.ExclusionTag,
	}
	if len(w.Filters.InstanceIDs) == 0 {
		leaf.Filters = &w.Filters
	}
	for _, p := range inv.Planned {
		if p.Wave == w.Name {
			leaf.Instances = append(leaf.Instances, p)
		}
	}
	if planned := len(leaf.Instances); planned > 0 {
		leaf.SlowStart = w.SlowStart
		leaf.Concurrency = w.SSM.MaxConcurrency.Concurrency(planned)
		leaf.ErrorLimit = w.SSM.MaxErrors.Limit(planned)
		var first plan.Leaf
		data, mine, err := v.once(ctx, store.LeafObject(t), leaf, &first)
		if err != nil {
			return row, err
		}
		if !mine {
			leaf = first
		}
		if leaf.Target != t {
			return row, fmt.Errorf("%w: the plan of %s/%s in wave %s is another target's", patch.ErrTampered, t.Account,
				t.Region, t.Wave)
		}
		row.LeafDigest = patch.Digest(data)
	}
	row.Running = inv.Running
	var notable []plan.Notable
	for _, p := range leaf.Instances {
		if row.Platforms == nil {
			row.Platforms = map[patch.Platform]int{}
		}
		row.Platforms[p.Platform]++
		if p.New {
			row.New++
		}
		if p.Impaired {
			row.Impaired++
		}
		if p.New || p.Impaired {
			notable = append(notable, plan.Notable{ID: p.ID, Platform: p.Platform, Name: p.Name, New: p.New,
				Impaired: p.Impaired})
		}
	}
	for _, x := range inv.Vanished {
		if x.Wave == w.Name {
			row.Vanished++
			notable = append(notable, plan.Notable{ID: x.ID, Platform: x.Platform, Name: x.Name, Gone: true})
		}
	}
	row.Notable = plan.FewNotable(notable, plan.NotableOfTarget)
	row.Planned = len(leaf.Instances)
	row.Matched = row.Planned + row.Excluded
	if row.Planned == 0 {
		return row, nil
	}
	row.Concurrency, row.ErrorLimit = leaf.Concurrency, leaf.ErrorLimit
	row.MaxPolls = maxPolls
	return row, nil
}

// maxPolls bounds the polls and sends of a target. Each target has an execution of
// its own, which it keeps below half of the 25,000 events that a history may have:
// a poll costs nine, and verifying needs the rest.
// Source: Step Functions quotas, read 2026-11.
const maxPolls = 12_000 / 9

// wavesOf lists the waves that want the account and region.
func wavesOf(in runinput.Input, at patch.Target) []runinput.Wave {
	var waves []runinput.Wave
	for _, w := range in.Waves {
		if slices.Contains(w.Accounts, at.Account) && slices.Contains(w.Regions, at.Region) {
			waves = append(waves, w)
		}
	}
	return waves
}

func idsOf(matches []match) []patch.InstanceID {
	ids := make([]patch.InstanceID, len(matches))
	for i, m := range matches {
		ids[i] = m.machine.ID
	}
	return ids
}
