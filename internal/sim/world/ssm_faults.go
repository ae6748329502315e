package world

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
)

// LostCancels is what Faults may also implement. It tells whether a CancelCommand
// is accepted for an instance and then comes to nothing.
type LostCancels interface {
	LosesCancel(c *core.Call, instanceID string) bool
}

// OddAnswers is what Faults may also implement. It tells whether the row of an instance in the
// answer of ListCommandInvocations, DescribeInstanceInformation or DescribeInstancePatchStates comes with members
// missing, an unknown enum value, zero times or a negative count.
type OddAnswers interface {
	Odd(c *core.Call, instanceID string) bool
}

// seenFrom is the moment whose statuses a read of Run Command shows: now, or earlier under StaleReads.
func (w *World) seenFrom(c *core.Call) time.Time {
	if f, ok := w.Faults.(core.StaleReads); ok {
		return w.Now().Add(-max(f.Stale(c), 0))
	}
	return w.Now()
}

func (w *World) losesCancel(c *core.Call, instanceID string) bool {
	f, ok := w.Faults.(LostCancels)
	return ok && f.LosesCancel(c, instanceID)
}

func (w *World) odd(c *core.Call, instanceID string) bool {
	f, ok := w.Faults.(OddAnswers)
	return ok && f.Odd(c, instanceID)
}

func oddInvocation(row *ssmtypes.CommandInvocation) {
	row.Status, row.StatusDetails, row.RequestedDateTime, row.CommandPlugins = "Reticulating", nil, nil, nil
}

func oddInformation(info *ssmtypes.InstanceInformation) {
	info.PingStatus, info.LastPingDateTime, info.AgentVersion, info.PlatformName = "Reticulating", nil, nil, nil
}

func oddState(s *ssmtypes.InstancePatchState) {
	s.MissingCount, s.FailedCount = -1, -1
	s.InstalledPendingRebootCount, s.InstalledRejectedCount, s.SnapshotId = nil, nil, nil
	s.OperationStartTime, s.OperationEndTime = aws.Time(time.Time{}), nil
}

// statusChange is one status that an invocation had.
type statusChange struct {
	at             time.Time
	status, detail string
}

// remember writes the status of now into the history of an invocation.
func (inv *invocation) remember(now time.Time) {
	inv.history = append(inv.history, statusChange{now, inv.status, inv.detail})
}

// asOf is the status that an invocation had at a moment, Pending before its first.
func (inv *invocation) asOf(t time.Time) (status, detail string) {
	status, detail = statusPending, statusPending
	for _, h := range inv.history {
		if h.at.After(t) {
			break
		}
		status, detail = h.status, h.detail
	}
	return status, detail
}

// asOf is what a command looked like at a moment: a copy whose invocations have the statuses of then.
func (c *command) asOf(t time.Time) *command {
	if !t.Before(c.w.Now()) {
		return c
	}
	old := *c
	old.done, old.errors, old.undelivered, old.invs = 0, 0, 0, nil
	old.cancelled = c.cancelled && !c.cancelledAt.After(t)
	for _, inv := range c.invs {
		then := *inv
		then.cmd = &old
		then.status, then.detail = inv.asOf(t)
		old.invs = append(old.invs, &then)
		if terminal(then.status) {
			old.count(then.detail)
		} else {
			then.ended = time.Time{}
		}
	}
	return &old
}

// ForgetCommands ends the retention of every command of a region: from now on their ids are invalid and
// no list has them. Source: docs/faults.md F-23; docs/aws-semantics.md 2.5, about 30 days.
func (w *World) ForgetCommands(account, region string) {
	f := w.fleet(account, region)
	for _, c := range f.commands {
		c.forgotten = true
		delete(f.byID, c.id)
	}
}
