package world

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"ec2patch/internal/sim/world/core"
)

// DescribeInstanceStatus returns the status checks of up to 100 ids, of running instances
// only unless IncludeAllInstances is set. A machine that is away after a patch operation or a start is initializing,
// after ten minutes impaired. An agent that was never connected says nothing about the checks. Source: B:ec2;
// docs/aws-semantics.md 3.
func (e *EC2) DescribeInstanceStatus(ctx context.Context, in *ec2.DescribeInstanceStatusInput,
	_ ...func(*ec2.Options)) (*ec2.DescribeInstanceStatusOutput, error) {
	call := e.call("DescribeInstanceStatus", in)
	return core.Do(ctx, e.w.Core, call, func() (*ec2.DescribeInstanceStatusOutput, error) {
		switch {
		case in.DryRun != nil || in.IncludeManagedResources != nil || len(in.Filters) > 0:
			return nil, core.Unmodelled("DescribeInstanceStatus with DryRun, IncludeManagedResources or Filters")
		case len(in.InstanceIds) > maxStatusIDs:
			return nil, core.Refusal("InvalidParameterValue", "at most 100 instance ids")
		case in.MaxResults != nil && len(in.InstanceIds) > 0:
			return nil,
				core.Refusal("InvalidParameterCombination",
					"The parameter instancesSet cannot be used with the parameter maxResults")
		}
		size, err := describedSize(in.MaxResults)
		if err != nil {
			return nil, err
		}
		all := aws.ToBool(in.IncludeAllInstances)
		found, err := e.find(in.InstanceIds, func(i *Instance) bool { return all || i.State == stateRunning })
		if err != nil {
			return nil, err
		}
		cut, next, err := e.shuffled(found, e.w.PageOf(call, size), in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &ec2.DescribeInstanceStatusOutput{NextToken: next}
		for _, i := range cut {
			out.InstanceStatuses = append(out.InstanceStatuses, e.w.status(i))
		}
		return out, nil
	})
}

func (w *World) status(i *Instance) ec2types.InstanceStatus {
	check, ebs := w.check(i), ec2types.StatusTypePassed
	status := ec2types.InstanceStatus{
		InstanceId: aws.String(i.ID), AvailabilityZone: aws.String(i.Zone), InstanceState: i.instanceState(),
		InstanceStatus: summary(check), SystemStatus: summary(ec2types.SummaryStatusOk),
		AttachedEbsStatus: &ec2types.EbsStatusSummary{
			Status:  ec2types.SummaryStatusOk,
			Details: []ec2types.EbsStatusDetails{{Name: ec2types.StatusNameReachability, Status: ebs}},
		},
	}
	if check == ec2types.SummaryStatusNotApplicable {
		status.SystemStatus = summary(check)
		status.AttachedEbsStatus = &ec2types.EbsStatusSummary{Status: check}
	}
	return status
}

// check is the instance status check: about the machine, not its agent.
func (w *World) check(i *Instance) ec2types.SummaryStatus {
	switch {
	case i.State != stateRunning:
		return ec2types.SummaryStatusNotApplicable
	case i.booting && w.Now().Sub(i.downSince) <= impairedAfter:
		return ec2types.SummaryStatusInitializing
	case i.booting:
		return ec2types.SummaryStatusImpaired
	}
	return ec2types.SummaryStatusOk
}

func summary(s ec2types.SummaryStatus) *ec2types.InstanceStatusSummary {
	out := &ec2types.InstanceStatusSummary{Status: s}
	if s == ec2types.SummaryStatusNotApplicable {
		return out
	}
	detail := ec2types.StatusType(strings.NewReplacer("ok", "passed", "impaired", "failed").Replace(string(s)))
	out.Details = []ec2types.InstanceStatusDetails{{Name: ec2types.StatusNameReachability, Status: detail}}
	return out
}
