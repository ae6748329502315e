package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
)

// TestSample judges every action of the catalogue on its samples, by a policy that allows everything and by one that
// allows the action alone: every row is whole, and no action is taken for another.
func TestSample(t *testing.T) {
	all := iam.Policies{Identity: statement(t, "all", `"Effect":"Allow","Action":"*","Resource":"*"`),
		Resource: statement(t, "own",
			`"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"*","Resource":"*"`)}
	for _, action := range iam.Actions() {
		t.Run(action, func(t *testing.T) {
			samples := iam.Sample(action, hub, "us-east-1")
			require.NotEmpty(t, samples)
			service, _, _ := strings.Cut(action, ":")
			for _, resource := range samples {
				d := one(hubSend, action, resource, nil, all)
				require.True(t, d.Allowed, d.Reason)
				doc := fmt.Sprintf(`"Effect":"Allow","Action":%q,"Resource":%q`, action, resource)
				require.True(t, one(hubSend, action, resource, nil, iam.Policies{Identity: statement(t, "one", doc),
					Resource: all.Resource}).Allowed)
				other := statement(t, "other", fmt.Sprintf(`"Effect":"Deny","Action":%q,"Resource":"*"`, service+":*"))
				require.Equal(t, "other/#0", one(hubSend, action, resource, nil,
					iam.Policies{Identity: append(other, all.Identity...)}).By)
			}
		})
	}
	require.Nil(t, iam.Sample("ssm:SendCommands", hub, "us-east-1"))
	require.True(t, slices.IsSorted(iam.Actions()))
}
