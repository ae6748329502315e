package cloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// EC2 is what a spoke uses of the SDK's client.
type EC2 interface {
	DescribeInstances(context.Context, *ec2.DescribeInstancesInput,
		...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	DescribeInstanceStatus(context.Context, *ec2.DescribeInstanceStatusInput,
		...func(*ec2.Options)) (*ec2.DescribeInstanceStatusOutput, error)
}

const (
	// instancePage is the longest page of DescribeInstances. Source: EC2 DescribeInstances, read 2026-11.
	instancePage = 1000
	// filterValues is how many values one filter takes. Source: EC2 filters, read 2026-11.
	filterValues = 200
	// statusIDs is how many ids DescribeInstanceStatus takes.
	statusIDs = 100
	// maxEC2Pages bounds a listing.
	maxEC2Pages = 500
)

// Matching lists what a wave's filter selects, terminated instances aside.
func (s *Spoke) Matching(ctx context.Context, f runinput.Filters) ([]port.Machine, error) {
	alive := filter("instance-state-name", "pending", "running", "stopping", "stopped")
	if len(f.InstanceIDs) > 0 {
		var all []port.Machine
		for chunk := range slices.Chunk(f.InstanceIDs, filterValues) {
			found, err := s.instances(ctx, []types.Filter{alive, filter("instance-id", stringsOf(chunk)...)})
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
	filters := []types.Filter{alive}
	for _, key := range words.SortedKeys(f.Tags) {
		filters = append(filters, filter("tag:"+key, f.Tags[key]...))
	}
	return s.instances(ctx, filters)
}

// Machines describes the instances that still exist, whatever their state. A
// filter, unlike a list of ids, is no error when one of them is gone.
func (s *Spoke) Machines(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]port.Machine, error) {
	all := make(map[patch.InstanceID]port.Machine, len(ids))
	for chunk := range slices.Chunk(ids, filterValues) {
		found, err := s.instances(ctx, []types.Filter{filter("instance-id", stringsOf(chunk)...)})
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			all[m.ID] = m
		}
	}
	return all, nil
}

func (s *Spoke) instances(ctx context.Context, filters []types.Filter) ([]port.Machine, error) {
	var all []port.Machine
	var next *string
	for range maxEC2Pages {
		out, err := s.clients.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: filters,
			MaxResults: aws.Int32(instancePage), NextToken: next})
		if err != nil {
			return nil, s.explained(wrap(err, "list instances"))
		}
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				all = append(all, machine(i))
			}
		}
		if next = out.NextToken; aws.ToString(next) == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("list instances: %w: more than %d pages", patch.ErrInternal, maxEC2Pages)
}

// explained says of an error whether it is the region that is not enabled.
func (s *Spoke) explained(err error) error {
	if err == nil || !notEnabled(err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, patch.ErrRegionDisabled)
}

func machine(i types.Instance) port.Machine {
	m := port.Machine{
		ID: patch.InstanceID(aws.ToString(i.InstanceId)), Windows: i.Platform == types.PlatformValuesWindows,
		Address: aws.ToString(i.PrivateIpAddress), Tags: map[string]string{},
	}
	if i.State != nil {
		m.State = string(i.State.Name)
	}
	if i.State != nil && i.State.Name != types.InstanceStateNameRunning {
		m.Stopped = transition(aws.ToString(i.StateTransitionReason))
	}
	for _, t := range i.Tags {
		m.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

// transition is the time in EC2's reason of the last change of state, as in "User
// initiated (2026-12-01 02:31:07 GMT)"; zero if it names none.
// Source: EC2 Instance StateTransitionReason, read 2026-11.
func transition(reason string) time.Time {
	_, after, _ := strings.Cut(reason, "(")
	stamp, _, _ := strings.Cut(after, ")")
	at, err := time.Parse("2006-01-02 15:04:05 MST", stamp)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// Statuses reads EC2's status checks. An instance that is not running has none.
func (s *Spoke) Statuses(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]port.Checks, error) {
	all := make(map[patch.InstanceID]port.Checks, len(ids))
	for chunk := range slices.Chunk(ids, statusIDs) {
		in := &ec2.DescribeInstanceStatusInput{InstanceIds: stringsOf(chunk)}
		out, err := s.clients.EC2.DescribeInstanceStatus(ctx, in)
		if err != nil && gone(err) && len(chunk) > 1 {
			half := len(chunk) / 2
			for _, part := range [][]patch.InstanceID{chunk[:half], chunk[half:]} {
				some, err := s.Statuses(ctx, part)
				if err != nil {
					return nil, err
				}
				for id, c := range some {
					all[id] = c
				}
			}
			continue
		}
		if err != nil && gone(err) {
			continue
		}
		if err != nil {
			return nil, wrap(err, "read status checks")
		}
		for _, st := range out.InstanceStatuses {
			all[patch.InstanceID(aws.ToString(st.InstanceId))] = checks(st)
		}
	}
	return all, nil
}

// gone tells whether EC2 knows one of the ids no more.
func gone(err error) bool {
	c := code(err)
	return c == "InvalidInstanceID.NotFound" || c == "InvalidInstanceID.Malformed"
}

func checks(st types.InstanceStatus) port.Checks {
	var c port.Checks
	for _, summary := range []*types.InstanceStatusSummary{st.InstanceStatus, st.SystemStatus} {
		if summary == nil {
			continue
		}
		switch summary.Status {
		case types.SummaryStatusImpaired:
			c.Impaired = true
			c.Since = earliest(c.Since, summary.Details)
		case types.SummaryStatusInitializing, types.SummaryStatusInsufficientData:
			c.Settling = true
		}
	}
	return c
}

// earliest is since when a check fails, by the earliest that says so.
func earliest(since time.Time, details []types.InstanceStatusDetails) time.Time {
	for _, d := range details {
		if at := aws.ToTime(d.ImpairedSince).UTC(); d.ImpairedSince != nil && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	return since
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

func stringsOf[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}
