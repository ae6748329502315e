package world

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Source: B:DescribeInstanceInformation; docs/aws-semantics.md 2.7.
func TestDescribeInstanceInformation(t *testing.T) {
	w, s,
		insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateOffline, fleetfile.FateStopped, fleetfile.FateUnmanaged,
		fleetfile.FateOldAgent)
	_,
		err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "win", Platform: fleetfile.Windows,
		Tags: map[string]string{"Team": "b"}})
	require.NoError(t, err)
	win := w.Instances()[5]
	by := func(key string, values ...string) []ssmtypes.InstanceInformationStringFilter {
		return []ssmtypes.InstanceInformationStringFilter{{Key: aws.String(key), Values: values}}
	}
	tests := []struct {
		name string
		in   ssm.DescribeInstanceInformationInput
		want []string
	}{
		{"no stopped and no unmanaged ones", ssm.DescribeInstanceInformationInput{},
			[]string{insts[0].ID, insts[1].ID, insts[4].ID, win.ID}},
		{"by ping status", ssm.DescribeInstanceInformationInput{Filters: by("PingStatus", "ConnectionLost")},
			[]string{insts[1].ID}},
		{"by platform", ssm.DescribeInstanceInformationInput{Filters: by("PlatformType", "Windows")}, []string{win.ID}},
		{"by tag", ssm.DescribeInstanceInformationInput{Filters: by("tag:Team", "a", "b")}, []string{win.ID}},
		{"by ids, an unregistered one gives no row",
			ssm.DescribeInstanceInformationInput{Filters: by("InstanceIds", insts[0].ID, insts[3].ID)}, []string{insts[0].ID}},
		{"the legacy list says PlatformTypes", ssm.DescribeInstanceInformationInput{
			InstanceInformationFilterList: []ssmtypes.InstanceInformationFilter{{Key: "PlatformTypes",
				ValueSet: []string{"Windows"}}},
		}, []string{win.ID}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := s.DescribeInstanceInformation(context.Background(), &tt.in)
			require.NoError(t, err)
			var got []string
			for _, i := range out.InstanceInformationList {
				got = append(got, *i.InstanceId)
			}
			require.ElementsMatch(t, tt.want, got)
		})
	}
	refused := []struct {
		name string
		in   ssm.DescribeInstanceInformationInput
		code string
	}{
		{"tag filters with others", ssm.DescribeInstanceInformationInput{Filters: append(by("tag:Team", "a"),
			by("PingStatus", "Online")...)}, "ValidationException"},
		{"both lists", ssm.DescribeInstanceInformationInput{Filters: by("PingStatus", "Online"),
			InstanceInformationFilterList: []ssmtypes.InstanceInformationFilter{{Key: "PingStatus",
				ValueSet: []string{"Online"}}}}, "ValidationException"},
		{"the legacy list with the new key", ssm.DescribeInstanceInformationInput{
			InstanceInformationFilterList: []ssmtypes.InstanceInformationFilter{{Key: "PlatformType",
				ValueSet: []string{"Linux"}}}}, "InvalidFilterKey"},
		{"four a page", ssm.DescribeInstanceInformationInput{MaxResults: aws.Int32(4)}, "ValidationException"},
		{"an unknown key", ssm.DescribeInstanceInformationInput{Filters: by("Colour", "red")}, "InvalidFilterKey"},
		{"a key that is not modelled", ssm.DescribeInstanceInformationInput{Filters: by("IamRole", "x")},
			"UnsupportedBySimulation"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.DescribeInstanceInformation(context.Background(), &tt.in)
			requireCode(t, err, tt.code)
		})
	}
}

// Source: docs/faults.md F-32: Systems Manager knows nodes that EC2 does not.
func TestDescribeInstanceInformation_Hybrid(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateHybrid)
	n := node(t, s, insts[0].ID)
	require.Regexp(t, "^mi-[0-9a-f]{17}$", *n.InstanceId)
	require.Equal(t, "ManagedInstance", string(n.ResourceType))
	out,
		err := w.EC2(testPrincipal(testAccount), testRegion).DescribeInstances(context.Background(),
		&ec2.DescribeInstancesInput{})
	require.NoError(t, err)
	require.Empty(t, out.Reservations)
	send(t, s, patching(insts[0].ID))
}

// Source: B:DescribeInstanceInformation, default page 10.
func TestDescribeInstanceInformation_Pages(t *testing.T) {
	_, s, _ := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 23)...)
	var sizes []int
	var token *string
	for {
		out,
			err := s.DescribeInstanceInformation(context.Background(), &ssm.DescribeInstanceInformationInput{NextToken: token})
		require.NoError(t, err)
		sizes = append(sizes, len(out.InstanceInformationList))
		if token = out.NextToken; token == nil {
			break
		}
	}
	require.Equal(t, []int{10, 10, 3}, sizes)
}

// Source: B:DescribeInstancePatchStates; docs/aws-semantics.md 2.8.
func TestDescribeInstancePatchStates(t *testing.T) {
	w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 12)...)
	describe := func(in ssm.DescribeInstancePatchStatesInput) (*ssm.DescribeInstancePatchStatesOutput, error) {
		return s.DescribeInstancePatchStates(context.Background(), &in)
	}
	out, err := describe(ssm.DescribeInstancePatchStatesInput{InstanceIds: ids(insts)})
	require.NoError(t, err)
	require.Len(t, out.InstancePatchStates, 10)
	out, err = describe(ssm.DescribeInstancePatchStatesInput{InstanceIds: ids(insts), NextToken: out.NextToken})
	require.NoError(t, err)
	require.Len(t, out.InstancePatchStates, 2)
	p := out.InstancePatchStates[0]
	require.Equal(t, scan, string(p.Operation), "before the run there is yesterday's scan")
	require.True(t, p.OperationEndTime.Before(w.Now()))
	require.Equal(t, "default", *p.PatchGroup)

	_, err = describe(ssm.DescribeInstancePatchStatesInput{})
	requireCode(t, err, "ValidationException")
	_, err = describe(ssm.DescribeInstancePatchStatesInput{InstanceIds: make([]string, 51)})
	requireCode(t, err, "ValidationException")
	_, err = describe(ssm.DescribeInstancePatchStatesInput{InstanceIds: ids(insts), MaxResults: aws.Int32(9)})
	requireCode(t, err, "ValidationException")
	out, err = describe(ssm.DescribeInstancePatchStatesInput{InstanceIds: []string{"i-0123456789abcdef0"}})
	require.NoError(t, err)
	require.Empty(t, out.InstancePatchStates, "never scanned nodes are missing")
}

// Source: AG platform_unix.go: what the agent reads; free text.
func TestDescribeInstanceInformation_Platform(t *testing.T) {
	w, s, _ := newFleet(t, 1)
	tests := []struct {
		spec          InstanceSpec
		name, version string
	}{
		{InstanceSpec{Name: "a"}, "Amazon Linux", "2023"},
		{InstanceSpec{Name: "b", Platform: fleetfile.Windows}, "Microsoft Windows Server 2022 Datacenter", "10.0.20348"},
		{InstanceSpec{Name: "c", PlatformName: "Bottlerocket"}, "Bottlerocket", ""},
		{InstanceSpec{Name: "d", PlatformName: "Ubuntu", PlatformVersion: "22.04"}, "Ubuntu", "22.04"},
	}
	for _, tt := range tests {
		tt.spec.Account, tt.spec.Region = testAccount, testRegion
		i, err := w.AddInstance(tt.spec)
		require.NoError(t, err)
		got := node(t, s, i.ID)
		require.Equal(t, []string{tt.name, tt.version},
			[]string{aws.ToString(got.PlatformName), aws.ToString(got.PlatformVersion)})
	}
}

// EC2 and Systems Manager know the same machine by two ids; address and host name are the same.
func TestHybridRegistered(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateHybridRegistered, fleetfile.FateHybrid, fleetfile.FateOK)
	require.True(t, strings.HasPrefix(insts[0].ID, "i-"))
	require.False(t, insts[0].Managed())
	require.Nil(t, node(t, s, insts[0].ID))
	out,
		err := w.EC2(testPrincipal(testAccount), testRegion).DescribeInstances(context.Background(),
		&ec2.DescribeInstancesInput{InstanceIds: []string{insts[0].ID}})
	require.NoError(t, err)
	machine := out.Reservations[0].Instances[0]
	list, err := s.DescribeInstanceInformation(context.Background(), &ssm.DescribeInstanceInformationInput{})
	require.NoError(t, err)
	same, others := 0, 0
	for _, info := range list.InstanceInformationList {
		if *info.IPAddress != *machine.PrivateIpAddress {
			others++
			continue
		}
		same++
		require.True(t, strings.HasPrefix(*info.InstanceId, "mi-"))
		require.Equal(t, *machine.PrivateDnsName, *info.ComputerName)
		require.Equal(t, ssmtypes.ResourceTypeManagedInstance, info.ResourceType)
		require.Equal(t, *info.InstanceId, *info.SourceId)
	}
	require.Equal(t, []int{1, 2}, []int{same, others})
}
