package inventory

import (
	"context"
	"fmt"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// hybrids lists what is registered with Systems Manager by an activation and
// would be matched otherwise: nodes outside of EC2, by the tags that Systems
// Manager has of them. Nothing is sent to them. Mostly there are none, and one
// call tells that.
func (v *Inventory) hybrids(ctx context.Context, spoke port.Spoke, at patch.Target, waves []runinput.Wave,
	nodes map[patch.InstanceID]port.Agent, inv *plan.Inventory) error {
	if len(nodes) == 0 {
		return nil
	}
	for _, w := range waves {
		if len(w.Filters.InstanceIDs) > 0 {
			continue
		}
		tagged := map[patch.InstanceID]bool{}
		if len(w.Filters.Tags) > 0 {
			var err error
			if tagged, err = spoke.Tagged(ctx, w.Filters.Tags); err != nil {
				return err
			}
		}
		for _, id := range words.SortedKeys(nodes) {
			if len(w.Filters.Tags) > 0 && !tagged[id] {
				continue
			}
			inv.Excluded = append(inv.Excluded, plan.ExcludedInstance{
				InstanceID: id, Account: at.Account, Region: at.Region, Wave: w.Name, Outcome: outcome.Hybrid,
				Reason: "is no EC2 instance: it is registered by a hybrid activation",
			})
		}
	}
	return nil
}

// registeredAs finds the hybrid node that an EC2 instance without an agent of its
// own seems to be: the one with its address. It says so, and no more: addresses of
// two networks may be alike.
func registeredAs(m port.Machine, nodes map[patch.InstanceID]port.Agent) (why string, found bool) {
	if m.Address == "" {
		return "", false
	}
	for _, id := range words.SortedKeys(nodes) {
		if nodes[id].Address == m.Address {
			return fmt.Sprintf("registered by a hybrid activation as %s (%s, address %s): "+
				"remove that registration and give the instance a profile for Systems Manager", id, nodes[id].Name,
				m.Address), true
		}
	}
	return "", false
}
