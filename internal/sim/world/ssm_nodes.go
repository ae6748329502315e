package world

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// DescribeInstanceInformation lists the registered nodes that are not stopped or
// terminated. Tag filters cannot be combined with other filters.
// Source: B:DescribeInstanceInformation; docs/aws-semantics.md 2.7.
func (s *SSM) DescribeInstanceInformation(ctx context.Context, in *ssm.DescribeInstanceInformationInput,
	_ ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error) {
	call := s.call("DescribeInstanceInformation", false, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.DescribeInstanceInformationOutput, error) {
		size, err := maxResults(in.MaxResults, 5, 50, 10)
		if err != nil {
			return nil, err
		}
		match, err := nodeFilters(in)
		if err != nil {
			return nil, err
		}
		var nodes []*Instance
		for _, i := range s.fleet().instances {
			if i.managed && i.State == stateRunning && match(i) {
				nodes = append(nodes, i)
			}
		}
		nodes, next, err := core.Page("DescribeInstanceInformation", nodes, s.w.PageOf(call, size), in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &ssm.DescribeInstanceInformationOutput{NextToken: next}
		for _, i := range nodes {
			info := s.w.information(i)
			if s.w.odd(call, i.ID) {
				oddInformation(&info)
			}
			out.InstanceInformationList = append(out.InstanceInformationList, info)
		}
		return out, nil
	})
}

func (w *World) information(i *Instance) ssmtypes.InstanceInformation {
	info := ssmtypes.InstanceInformation{
		InstanceId: aws.String(i.ID), AgentVersion: aws.String(i.AgentVersion), ComputerName: aws.String(i.hostName()),
		IPAddress:  aws.String(i.address),
		PingStatus: ssmtypes.PingStatus(i.ping()), LastPingDateTime: aws.Time(i.pinged(w.Now())),
		PlatformType: ssmtypes.PlatformType(i.Platform), PlatformName: core.Optional(i.PlatformName),
		PlatformVersion: core.Optional(i.PlatformVersion),
		ResourceType:    ssmtypes.ResourceType(i.resourceType()), SourceId: aws.String(i.ID),
		SourceType:        ssmtypes.SourceTypeAwsEc2Instance,
		AssociationStatus: aws.String("Success"),
	}
	if i.Fate == fleetfile.FateHybrid {
		info.SourceType = ssmtypes.SourceTypeAwsSsmManagedinstance
	}
	if i.Platform == fleetfile.Linux {
		info.IsLatestVersion = aws.Bool(i.Fate != fleetfile.FateOldAgent)
	}
	return info
}

// hostName is the fully qualified name of a machine: by its address in EC2, its own elsewhere. Source: EC2 User Guide,
// hostname types.
func (i *Instance) hostName() string {
	switch {
	case !i.inEC2:
		return i.Name
	case i.Region == "us-east-1":
		return "ip-" + strings.ReplaceAll(i.address, ".", "-") + ".ec2.internal"
	}
	return "ip-" + strings.ReplaceAll(i.address, ".", "-") + "." + i.Region + ".compute.internal"
}

func (i *Instance) ping() string {
	if i.online {
		return string(ssmtypes.PingStatusOnline)
	}
	return string(ssmtypes.PingStatusConnectionLost)
}

func (i *Instance) resourceType() string {
	if i.Fate == fleetfile.FateHybrid {
		return string(ssmtypes.ResourceTypeManagedInstance)
	}
	return string(ssmtypes.ResourceTypeEc2Instance)
}

// nodeFilters compiles the one of the two filter lists that is given.
func nodeFilters(in *ssm.DescribeInstanceInformationInput) (func(*Instance) bool, error) {
	if len(in.Filters) > 0 && len(in.InstanceInformationFilterList) > 0 {
		return nil, core.Refusal("ValidationException", "Filters and InstanceInformationFilterList cannot be used together")
	}
	filters := in.Filters
	for _, f := range in.InstanceInformationFilterList {
		key := string(f.Key)
		if key == "PlatformTypes" {
			key = "PlatformType"
		} else if key == "PlatformType" {
			return nil, &ssmtypes.InvalidFilterKey{Message: aws.String("the key is PlatformTypes here")}
		}
		filters = append(filters, ssmtypes.InstanceInformationStringFilter{Key: aws.String(key), Values: f.ValueSet})
	}
	tags := 0
	for _, f := range filters {
		key := aws.ToString(f.Key)
		switch {
		case len(f.Values) == 0 || len(f.Values) > 100:
			return nil, core.Invalid("filters.values", "length between 1 and 100")
		case strings.HasPrefix(key, "tag:") || key == "tag-key":
			tags++
		case slices.Contains([]string{"InstanceIds", "PingStatus", "PlatformType", "AgentVersion", "ResourceType"}, key):
		case slices.Contains([]string{"ActivationIds", "AssociationStatus", "IamRole", "SourceIds", "SourceTypes"}, key):
			return nil, core.Unmodelled("the DescribeInstanceInformation filter " + key)
		default:
			return nil, &ssmtypes.InvalidFilterKey{Message: aws.String(key)}
		}
	}
	if tags > 0 && tags < len(filters) {
		return nil, core.Refusal("ValidationException", "tag filters cannot be combined with other filters")
	}
	return func(i *Instance) bool {
		for _, f := range filters {
			if !i.isNode(aws.ToString(f.Key), f.Values) {
				return false
			}
		}
		return true
	}, nil
}

func (i *Instance) isNode(key string, values []string) bool {
	switch key {
	case "PingStatus":
		return slices.Contains(values, i.ping())
	case "PlatformType":
		return slices.Contains(values, i.Platform)
	case "AgentVersion":
		return slices.Contains(values, i.AgentVersion)
	case "ResourceType":
		return slices.Contains(values, i.resourceType())
	}
	return i.hit(key, values)
}

// DescribeInstancePatchStates returns the patch state records of up to 50 nodes.
// Nodes without a record are missing from the answer. Source: B:DescribeInstancePatchStates; docs/aws-semantics.md 2.8.
func (s *SSM) DescribeInstancePatchStates(ctx context.Context, in *ssm.DescribeInstancePatchStatesInput,
	_ ...func(*ssm.Options)) (*ssm.DescribeInstancePatchStatesOutput, error) {
	call := s.call("DescribeInstancePatchStates", false, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.DescribeInstancePatchStatesOutput, error) {
		if n := len(in.InstanceIds); n == 0 || n > maxIDs {
			return nil, core.Invalid("instanceIds", fmt.Sprintf("length between 1 and 50, not %d", n))
		}
		size, err := maxResults(in.MaxResults, 10, 100, 10)
		if err != nil {
			return nil, err
		}
		var known []*Instance
		for n, id := range in.InstanceIds {
			i, ok := s.w.instances[id]
			if ok && i.Account == s.p.Account && i.Region == s.region && i.record != nil &&
				!slices.Contains(in.InstanceIds[:n], id) {
				known = append(known, i)
			}
		}
		known, next, err := core.Page("DescribeInstancePatchStates", known, s.w.PageOf(call, size), in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &ssm.DescribeInstancePatchStatesOutput{NextToken: next}
		for _, i := range known {
			state := i.state()
			if s.w.odd(call, i.ID) {
				oddState(&state)
			}
			out.InstancePatchStates = append(out.InstancePatchStates, state)
		}
		return out, nil
	})
}
