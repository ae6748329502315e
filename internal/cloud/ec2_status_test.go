package cloud_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// hosts is EC2 with the status checks of some instances, and instances that it knows no more.
type hosts struct {
	cloud.EC2
	checks map[string]ec2types.InstanceStatus
	gone   []string
}

func (h hosts) DescribeInstanceStatus(_ context.Context, in *ec2.DescribeInstanceStatusInput,
	_ ...func(*ec2.Options)) (*ec2.DescribeInstanceStatusOutput, error) {
	out := &ec2.DescribeInstanceStatusOutput{}
	for _, id := range in.InstanceIds {
		if slices.Contains(h.gone, id) {
			return nil, &smithy.GenericAPIError{Code: "InvalidInstanceID.NotFound"}
		}
		if st, ok := h.checks[id]; ok {
			st.InstanceId = aws.String(id)
			out.InstanceStatuses = append(out.InstanceStatuses, st)
		}
	}
	return out, nil
}

func summaryOf(s ec2types.SummaryStatus, since ...time.Time) *ec2types.InstanceStatusSummary {
	out := &ec2types.InstanceStatusSummary{Status: s}
	for _, at := range since {
		out.Details = append(out.Details, ec2types.InstanceStatusDetails{ImpairedSince: aws.Time(at)})
	}
	return out
}

// Both checks count, the system's like the instance's, and the earlier one says since when.
func TestSpoke_statuses(t *testing.T) {
	early, late := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	ok := summaryOf(ec2types.SummaryStatusOk)
	s := place(t, cloud.Clients{EC2: hosts{checks: map[string]ec2types.InstanceStatus{
		"i-1": {InstanceStatus: ok, SystemStatus: ok},
		"i-2": {InstanceStatus: summaryOf(ec2types.SummaryStatusImpaired, late), SystemStatus: ok},
		"i-3": {InstanceStatus: ok, SystemStatus: summaryOf(ec2types.SummaryStatusImpaired, late)},
		"i-4": {InstanceStatus: summaryOf(ec2types.SummaryStatusImpaired, late),
			SystemStatus: summaryOf(ec2types.SummaryStatusImpaired, early)},
		"i-5": {InstanceStatus: ok, SystemStatus: summaryOf(ec2types.SummaryStatusInitializing)},
	}}})
	all, err := s.Statuses(t.Context(), []patch.InstanceID{"i-1", "i-2", "i-3", "i-4", "i-5", "i-6"})
	require.NoError(t, err)
	assert.Equal(t, map[patch.InstanceID]port.Checks{
		"i-1": {}, "i-2": {Impaired: true, Since: late}, "i-3": {Impaired: true, Since: late}, "i-4": {Impaired: true,
			Since: early}, "i-5": {Settling: true},
	}, all)
}

// EC2 answers for none where it knows one of them no more. The others are asked for without it, all of them.
func TestSpoke_statusesBesideOneThatIsGone(t *testing.T) {
	for n := range 12 {
		h := hosts{checks: map[string]ec2types.InstanceStatus{}}
		var ids []patch.InstanceID
		for i := range 12 {
			id := fmt.Sprintf("i-%02d", i)
			ids = append(ids, patch.InstanceID(id))
			h.checks[id] = ec2types.InstanceStatus{InstanceStatus: summaryOf(ec2types.SummaryStatusOk)}
		}
		h.gone = []string{string(ids[n])}
		all, err := place(t, cloud.Clients{EC2: h}).Statuses(t.Context(), ids)
		require.NoError(t, err)
		assert.Len(t, all, 11)
		assert.NotContains(t, all, ids[n])
	}
}
