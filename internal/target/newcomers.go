package target

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/words"
)

// describe asks EC2 of instances. A wave that selects by tags lists what it
// selects now, whatever has come since with it, so looking for newcomers costs no
// call of its own. What that listing lacks, because it is terminated or tagged
// otherwise, is asked for by id.
func (s *scene) describe(ctx context.Context, leaf plan.Leaf, ids []patch.InstanceID) error {
	listed := map[patch.InstanceID]port.Machine{}
	if leaf.Filters != nil {
		found, err := s.spoke.Matching(ctx, *leaf.Filters)
		if err != nil {
			return err
		}
		for _, m := range found {
			listed[m.ID] = m
		}
	}
	var left []patch.InstanceID
	for _, id := range ids {
		if _, ok := listed[id]; !ok {
			left = append(left, id)
		}
	}
	var err error
	if s.machines, err = s.spoke.Machines(ctx, left); err != nil {
		return err
	}
	maps.Copy(s.machines, listed)
	for _, p := range leaf.Instances {
		delete(listed, p.ID)
	}
	for _, id := range words.SortedKeys(listed) {
		s.strangers = append(s.strangers, listed[id])
	}
	return nil
}

// newcomers lists what the wave's filter selects now and was not seen when the plan
// was made: the successors that an Auto Scaling group launched, and what was
// tagged since. Nothing was sent to them, so nothing is said of their patches.
// Each is listed once a run, by the first target of its account and region that
// finds it.
func (v *Verify) newcomers(
	ctx context.Context, leaf plan.Leaf, s *scene, told []outcome.InstanceReport,
) ([]plan.ExcludedInstance, error) {
	if len(s.strangers) == 0 {
		return nil, nil
	}
	known, err := v.known(ctx, leaf.Target)
	if err != nil || known == nil {
		return nil, err
	}
	strangers := slices.DeleteFunc(s.strangers, func(m port.Machine) bool { return known[m.ID] || plan.OptedOut(m.Tags) })
	ids := make([]patch.InstanceID, len(strangers))
	for i, m := range strangers {
		ids[i] = m.ID
	}
	agents, err := s.spoke.Agents(ctx, ids)
	if err != nil {
		return nil, err
	}
	gone := goneOf(leaf, told)
	var all []plan.ExcludedInstance
	for _, m := range strangers {
		if slices.Contains(leaf.Filters.Platforms, port.PlatformOf(m, agents)) {
			all = append(all, plan.ExcludedInstance{
				InstanceID: m.ID, Account: leaf.Account, Region: leaf.Region, Wave: leaf.Wave,
				Outcome: outcome.Newcomer, Reason: arrival(m, gone[m.Tags[plan.GroupTag]]),
			})
		}
	}
	return all, nil
}

// known is what the run has seen of the account and region: when the plan was
// made, and when former waves were verified. It is nil if that is lost: then
// it cannot be told which are new.
func (v *Verify) known(ctx context.Context, t patch.Target) (map[patch.InstanceID]bool, error) {
	inv, err := plan.LoadInventory(ctx, v.Objects, t.Run, t.Account, t.Region)
	if err != nil || inv.Run != t.Run {
		return nil, patch.Without(err, patch.ErrInternal)
	}
	known, waves := map[patch.InstanceID]bool{}, map[string]bool{}
	for _, p := range inv.Planned {
		known[p.ID], waves[p.Wave] = true, true
	}
	for _, e := range inv.Excluded {
		known[e.InstanceID] = true
	}
	delete(waves, t.Wave)
	var others []patch.Target
	for _, wave := range words.SortedKeys(waves) {
		other := t
		other.Wave = wave
		others = append(others, other)
	}
	results, err := Proven(ctx, v.Table, v.Objects, others)
	if err != nil {
		return nil, err
	}
	for _, data := range results {
		result, err := DecodeResult(data)
		if err != nil {
			return nil, err
		}
		for _, n := range result.Newcomers {
			known[n.InstanceID] = true
		}
	}
	return known, nil
}

// goneOf lists the instances of the plan that are gone, by Auto Scaling group.
func goneOf(leaf plan.Leaf, told []outcome.InstanceReport) map[string][]string {
	groups := map[patch.InstanceID]string{}
	for _, p := range leaf.Instances {
		groups[p.ID] = p.Group
	}
	gone := map[string][]string{}
	for _, r := range told {
		if g := groups[r.InstanceID]; g != "" && r.Outcome == outcome.Gone {
			gone[g] = append(gone[g], string(r.InstanceID))
		}
	}
	return gone
}

// maxForerunners is how many instances a newcomer's reason names.
const maxForerunners = 3

// arrival says of a newcomer why it is here, as far as that can be told: which of
// a group's instances replaces which is not known.
func arrival(m port.Machine, gone []string) string {
	group := m.Tags[plan.GroupTag]
	switch n := len(gone); {
	case n == 0:
		return "not patched: it was not there, or not tagged, when the plan was made"
	case n > maxForerunners:
		gone = []string{fmt.Sprintf("one of %d instances that are gone", n)}
	}
	return fmt.Sprintf("not patched: Auto Scaling group %s put it in place of %s", group, strings.Join(gone, " or "))
}
