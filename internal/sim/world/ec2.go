package world

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// EC2 is an EC2 client of one principal in one region.
type EC2 struct {
	w      *World
	p      *core.Principal
	region string
}

// EC2 returns a client whose calls land in the principal's account.
func (w *World) EC2(p *core.Principal, region string) *EC2 { return &EC2{w, p, region} }

// Limits of the reads. Source: B:ec2; docs/aws-semantics.md 3 (5 to 1,000 is marked unconfirmed there).
const (
	minDescribed    = 5
	maxDescribed    = 1000
	maxFilterValues = 200
	maxStatusIDs    = 100
	// impairedAfter is how long a machine that is away is only initializing.
	impairedAfter = 10 * time.Minute
)

func (e *EC2) fleet() *fleet { return e.w.fleet(e.p.Account, e.region) }

func (e *EC2) call(operation string, in any) *core.Call {
	return &core.Call{
		Principal: e.p, Account: e.p.Account, Region: e.region, Service: "ec2", Operation: operation,
		Attempts: core.Attempts, Input: in,
		Access: []core.Access{{Action: "ec2:" + operation, Resources: []string{"*"}}},
	}
}

// DescribeInstances returns instances, each in a reservation of its own, in no stable order
// from one listing to the next. MaxResults cannot be sent with InstanceIds. Source: B:ec2; docs/aws-semantics.md 3.
func (e *EC2) DescribeInstances(ctx context.Context, in *ec2.DescribeInstancesInput,
	_ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	call := e.call("DescribeInstances", in)
	return core.Do(ctx, e.w.Core, call, func() (*ec2.DescribeInstancesOutput, error) {
		if in.DryRun != nil || in.IncludeManagedResources != nil {
			return nil, core.Unmodelled("DescribeInstances DryRun and IncludeManagedResources")
		}
		if in.MaxResults != nil && len(in.InstanceIds) > 0 {
			return nil,
				core.Refusal("InvalidParameterCombination",
					"The parameter instancesSet cannot be used with the parameter maxResults")
		}
		size, err := describedSize(in.MaxResults)
		if err != nil {
			return nil, err
		}
		match, err := instanceFilters(in.Filters)
		if err != nil {
			return nil, err
		}
		found, err := e.find(in.InstanceIds, match)
		if err != nil {
			return nil, err
		}
		cut, next, err := e.shuffled(found, e.w.PageOf(call, size), in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &ec2.DescribeInstancesOutput{NextToken: next}
		for _, i := range cut {
			out.Reservations = append(out.Reservations, ec2types.Reservation{
				OwnerId: aws.String(i.Account), ReservationId: aws.String("r-" + i.ID[2:]),
				Instances: []ec2types.Instance{i.describe()},
			})
		}
		return out, nil
	})
}

func describedSize(maxResults *int32) (int, error) {
	if maxResults == nil {
		return maxDescribed, nil
	}
	if n := *maxResults; n < minDescribed || n > maxDescribed {
		return 0,
			core.Refusal("InvalidParameterValue",
				"Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and 1000", n)
	}
	return int(*maxResults), nil
}

// find returns the instances that EC2 still knows, all or those with the ids.
func (e *EC2) find(ids []string, match func(*Instance) bool) ([]*Instance, error) {
	now := e.w.Now()
	for _, id := range ids {
		i, ok := e.w.instances[id]
		if !ok || i.Account != e.p.Account || i.Region != e.region || i.gone(now) {
			return nil, core.Refusal("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var found []*Instance
	for _, i := range e.fleet().instances {
		if (len(ids) == 0 || wanted[i.ID]) && !i.gone(now) && match(i) {
			found = append(found, i)
		}
	}
	return found, nil
}

// shuffled cuts a page out of the instances in the order of this listing. The order is the
// token's, so that the pages of one listing fit together although two listings differ.
// An instance that appears or goes between two pages may be seen twice or not at all, as on AWS.
func (e *EC2) shuffled(found []*Instance, size func(left int) int, token *string) ([]*Instance, *string, error) {
	order, from := e.w.lookups, 0
	if token != nil {
		var err error
		if order, from, err = parseOrder(*token); err != nil {
			return nil, nil, err
		}
	} else {
		e.w.lookups++
	}
	rng := core.Stream(e.w.Seed, "order/"+strconv.Itoa(order))
	rng.Shuffle(len(found), func(a, b int) { found[a], found[b] = found[b], found[a] })
	from = min(from, len(found))
	to := min(from+size(len(found)-from), len(found))
	var next *string
	if to < len(found) {
		next = aws.String(core.TokenOf(fmt.Sprintf("EC2.%d", order), to))
	}
	return found[from:to], next, nil
}

func parseOrder(token string) (order, from int, err error) {
	name, from, opened := core.OpenToken(token)
	number, cut := strings.CutPrefix(name, "EC2.")
	order, numErr := strconv.Atoi(number)
	if !opened || !cut || numErr != nil {
		return 0, 0, core.Refusal("InvalidNextToken", "The specified NextToken is not valid")
	}
	return order, from, nil
}

// instanceFilters compiles the filters: names AND, values OR, * and ? as wildcards.
func instanceFilters(filters []ec2types.Filter) (func(*Instance) bool, error) {
	for _, f := range filters {
		name := aws.ToString(f.Name)
		switch {
		case len(f.Values) == 0:
			return nil, core.Refusal("InvalidParameterValue", "The filter '%s' has no values", name)
		case len(f.Values) > maxFilterValues:
			return nil, core.Refusal("FilterLimitExceeded", "The maximum number of filter values is %d", maxFilterValues)
		case strings.HasPrefix(name, "tag:"):
		case slices.Contains([]string{"tag-key", "instance-state-name", "instance-id", "platform", "platform-details",
			"availability-zone"}, name):
		case slices.Contains([]string{"vpc-id", "instance-lifecycle", "subnet-id", "image-id"}, name):
			return nil, core.Unmodelled("the EC2 filter " + name)
		default:
			return nil, core.Refusal("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
	}
	return func(i *Instance) bool {
		for _, f := range filters {
			if !i.filtered(aws.ToString(f.Name), f.Values) {
				return false
			}
		}
		return true
	}, nil
}

func (i *Instance) filtered(name string, patterns []string) bool {
	var have []string
	switch name {
	case "tag-key":
		have = slices.Sorted(maps.Keys(i.Tags))
	case "instance-state-name":
		have = []string{i.State}
	case "instance-id":
		have = []string{i.ID}
	case "availability-zone":
		have = []string{i.Zone}
	case "platform":
		if i.Platform == fleetfile.Windows {
			have = []string{"windows"}
		}
	case "platform-details":
		have = []string{i.platformDetails()}
	default:
		if v, ok := i.Tags[strings.TrimPrefix(name, "tag:")]; ok {
			have = []string{v}
		}
	}
	for _, h := range have {
		for _, p := range patterns {
			if wild(p, h) {
				return true
			}
		}
	}
	return false
}

// wild matches * and ?; a backslash takes the next character literally.
func wild(pattern, text string) bool {
	if !strings.ContainsAny(pattern, `*?\`) {
		return pattern == text
	}
	p, t := []rune(pattern), []rune(text)
	at, star, mark := 0, -1, 0
	for n := 0; n < len(t); {
		switch {
		case at < len(p) && p[at] == '*':
			star, mark = at, n
			at++
		case at+1 < len(p) && p[at] == '\\' && p[at+1] == t[n]:
			at, n = at+2, n+1
		case at < len(p) && p[at] != '\\' && (p[at] == '?' || p[at] == t[n]):
			at, n = at+1, n+1
		case star >= 0:
			mark++
			at, n = star+1, mark
		default:
			return false
		}
	}
	for at < len(p) && p[at] == '*' {
		at++
	}
	return at == len(p)
}

func (i *Instance) platformDetails() string {
	if i.Platform == fleetfile.Windows {
		return "Windows"
	}
	return "Linux/UNIX"
}

func (i *Instance) describe() ec2types.Instance {
	d := ec2types.Instance{
		InstanceId: aws.String(i.ID), LaunchTime: aws.Time(i.Launched), PlatformDetails: aws.String(i.platformDetails()),
		Placement: &ec2types.Placement{AvailabilityZone: aws.String(i.Zone)},
		State:     i.instanceState(), InstanceType: ec2types.InstanceTypeM5Large,
		Architecture:     ec2types.ArchitectureValuesX8664,
		PrivateIpAddress: aws.String(i.address), PrivateDnsName: aws.String(i.hostName()),
	}
	if i.Platform == fleetfile.Windows {
		d.Platform = ec2types.PlatformValuesWindows
	}
	if i.State == stateStopped && !i.stopped.IsZero() {
		d.StateTransitionReason = aws.String("User initiated (" + i.stopped.UTC().Format("2006-01-02 15:04:05") + " GMT)")
	}
	if i.Platform == fleetfile.MacOS {
		d.InstanceType = ec2types.InstanceTypeMac2Metal
	}
	for _, k := range slices.Sorted(maps.Keys(i.Tags)) {
		d.Tags = append(d.Tags, ec2types.Tag{Key: aws.String(k), Value: aws.String(i.Tags[k])})
	}
	return d
}

func (i *Instance) instanceState() *ec2types.InstanceState {
	codes := map[string]int32{stateRunning: 16, stateShuttingDown: 32, stateTerminated: 48, stateStopped: 80}
	return &ec2types.InstanceState{Code: aws.Int32(codes[i.State]), Name: ec2types.InstanceStateName(i.State)}
}

// Described tells whether EC2 describes the instance now: not a hybrid node, nor one that is long gone.
func (w *World) Described(i *Instance) bool { return !i.gone(w.Now()) }
