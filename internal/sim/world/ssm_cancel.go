package world

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// CancelCommand asks to cancel a command, whole or on up to 50 instances. Best effort:
// what was not sent is Cancelled two seconds later; what runs is Cancelling until its agent answers,
// and half the time its process runs on unseen; what finishes first ends as it would have. What it refuses:
// refusesCancel. Source: B:CancelCommand. No resource type: ssm:CancelCommand is judged on "*".
func (s *SSM) CancelCommand(ctx context.Context, in *ssm.CancelCommandInput,
	_ ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error) {
	call := s.call("CancelCommand", true, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.CancelCommandOutput, error) {
		if len(in.InstanceIds) > maxIDs {
			return nil, core.Invalid("instanceIds", "length less than or equal to 50")
		}
		c, err := s.command(in.CommandId)
		if err != nil {
			return nil, err
		}
		invs, err := s.cancelled(c, in.InstanceIds)
		if err != nil {
			return nil, err
		}
		if len(in.InstanceIds) == 0 {
			c.cancelled, c.cancelledAt = true, s.w.Now()
		}
		for _, inv := range invs {
			if !s.w.losesCancel(call, inv.inst.ID) {
				s.w.cancel(inv)
			}
		}
		return &ssm.CancelCommandOutput{}, nil
	})
}

// cancelled are the invocations that a cancel means, or why it is refused. Ids are all or nothing. Of a command that
// is cancelled whole, the nodes that would be refused are passed over, unless there are no others: no source says so.
func (s *SSM) cancelled(c *command, ids []string) ([]*invocation, error) {
	if c.done == len(c.invs) && s.w.reads(s.w.SSMOptions.CancelEnded, "cancel-ended") {
		return nil, invalidCommandID(c.id)
	}
	whole := len(ids) == 0
	if whole {
		for _, inv := range c.invs {
			ids = append(ids, inv.inst.ID)
		}
	}
	var invs []*invocation
	var bad []string
	for n, id := range ids {
		if !whole && slices.Contains(ids[:n], id) {
			return nil, duplicateInstanceID(id)
		}
		inv, ok := c.byInstance[id]
		if !ok || s.w.refusesCancel(inv.inst) {
			bad = append(bad, id)
			continue
		}
		invs = append(invs, inv)
	}
	if len(bad) > 0 && (!whole || len(invs) == 0) {
		return nil, invalidInstanceID(bad, s.p.Account)
	}
	return invs, nil
}

// refusesCancel tells whether CancelCommand answers InvalidInstanceId for a node: always for one that is shutting
// down or terminated, or not registered any more; for one whose agent is not running, as it is during a reboot, by
// SSMOptions.CancelDown. Source: B:InvalidInstanceId, which names all three for every call of Run Command;
// docs/aws-semantics.md 2.5.
func (w *World) refusesCancel(i *Instance) bool {
	switch {
	case i.State == stateShuttingDown || i.State == stateTerminated || !i.managed:
		return true
	case i.online:
		return false
	}
	return w.reads(w.SSMOptions.CancelDown, "cancel-down")
}

// command finds a command of this account and region by its id.
func (s *SSM) command(id *string) (*command, error) {
	c, ok := s.fleet().byID[aws.ToString(id)]
	if !ok {
		return nil, invalidCommandID(aws.ToString(id))
	}
	return c, nil
}

// cancelDelay is how long a cancel of something not running takes.
const cancelDelay = 2 * time.Second

func (w *World) cancel(inv *invocation) {
	if terminal(inv.status) || inv.cancel {
		return
	}
	inv.cancel = true
	if !inv.start.IsZero() {
		w.cancelRunning(inv)
		return
	}
	if !inv.sent.IsZero() {
		w.set(inv, statusCancelling, statusCancelling)
	}
	w.After(cancelDelay, func() {
		if inv.start.IsZero() {
			w.end(inv, statusCancelled, statusCancelled, -1)
		}
	})
}

// cancelRunning asks the agent to kill what it runs.
func (w *World) cancelRunning(inv *invocation) {
	w.set(inv, statusCancelling, statusCancelling)
	r := inv.agent
	if r == nil {
		return
	}
	r.leave()
	if r.dead || r.stubborn {
		return // Cancelling until the command expires
	}
	w.After(seconds(inv.inst.rng, 5*time.Second, 20*time.Second), func() { r.obey() })
}

// obey is the agent's answer to a cancel. An agent that is away answers when it is back.
func (r *agentRun) obey() {
	if r.dead || terminal(r.inv.status) {
		return
	}
	if !r.i.online {
		r.w.After(10*time.Second, func() { r.obey() })
		return
	}
	if r.i.rng.IntN(2) == 0 || r.i.Fate == fleetfile.FateHangs {
		r.kill(AgentCancelled)
	}
	r.w.end(r.inv, statusCancelled, statusCancelled, -1)
}
