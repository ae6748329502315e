package world

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

func filter(name string, values ...string) ec2types.Filter {
	return ec2types.Filter{Name: aws.String(name), Values: values}
}

func described(out *ec2.DescribeInstancesOutput) []string {
	var all []string
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			all = append(all, *i.InstanceId)
		}
	}
	return all
}

// Source: B:ec2/DescribeInstances; docs/aws-semantics.md 3.
func TestDescribeInstances(t *testing.T) {
	w, _, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateStopped, fleetfile.FateUnmanaged)
	win,
		err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: "win", Platform: fleetfile.Windows,
		Tags: map[string]string{"Team": "billing"}})
	require.NoError(t, err)
	e := w.EC2(testPrincipal(testAccount), testRegion)
	tests := []struct {
		name string
		in   ec2.DescribeInstancesInput
		want []string
	}{
		{"all, the unmanaged too", ec2.DescribeInstancesInput{}, append(ids(insts), win.ID)},
		{"by ids", ec2.DescribeInstancesInput{InstanceIds: []string{insts[0].ID, win.ID}}, []string{insts[0].ID, win.ID}},
		{"by tag", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("tag:Team", "x", "billing")}},
			[]string{win.ID}},
		{"by a pattern", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("tag:Team", "b?ll*")}},
			[]string{win.ID}},
		{"by tag key", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("tag-key", "Team")}}, []string{win.ID}},
		{"by state", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("instance-state-name", "stopped")}},
			[]string{insts[1].ID}},
		{"by platform", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("platform", "windows")}},
			[]string{win.ID}},
		{"by instance id, unknown ones give no row", ec2.DescribeInstancesInput{
			Filters: []ec2types.Filter{filter("instance-id", insts[2].ID, "i-0123456789abcdef0")}}, []string{insts[2].ID}},
		{"filters are and", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("platform", "windows"),
			filter("instance-state-name", "stopped")}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := e.DescribeInstances(context.Background(), &tt.in)
			require.NoError(t, err)
			require.ElementsMatch(t, tt.want, described(out))
		})
	}
	refused := []struct {
		name string
		in   ec2.DescribeInstancesInput
		code string
	}{
		{"MaxResults with ids", ec2.DescribeInstancesInput{InstanceIds: ids(insts), MaxResults: aws.Int32(50)},
			"InvalidParameterCombination"},
		{"an unknown id", ec2.DescribeInstancesInput{InstanceIds: []string{"i-0123456789abcdef0"}},
			"InvalidInstanceID.NotFound"},
		{"1,001 a page", ec2.DescribeInstancesInput{MaxResults: aws.Int32(1001)}, "InvalidParameterValue"},
		{"an unknown filter", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("colour", "red")}},
			"InvalidParameterValue"},
		{"a filter that is not modelled", ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("vpc-id", "vpc-1")}},
			"UnsupportedBySimulation"},
		{"a token that is none", ec2.DescribeInstancesInput{NextToken: aws.String("x")}, "InvalidNextToken"},
		{"a dry run", ec2.DescribeInstancesInput{DryRun: aws.Bool(true)}, "UnsupportedBySimulation"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			_, err := e.DescribeInstances(context.Background(), &tt.in)
			requireCode(t, err, tt.code)
		})
	}
}

// The order is not stable between listings; the pages of one listing fit together. Source: B:ec2.
func TestDescribeInstances_OrderAndPages(t *testing.T) {
	w, _, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 12)...)
	e := w.EC2(testPrincipal(testAccount), testRegion)
	list := func() []string {
		var all []string
		var token *string
		for {
			out,
				err := e.DescribeInstances(context.Background(),
				&ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), NextToken: token})
			require.NoError(t, err)
			all = append(all, described(out)...)
			if token = out.NextToken; token == nil {
				return all
			}
		}
	}
	first, second := list(), list()
	require.ElementsMatch(t, ids(insts), first)
	require.ElementsMatch(t, ids(insts), second)
	require.NotEqual(t, first, second)
}

// Terminated instances linger for about an hour. Source: docs/aws-semantics.md 3.
func TestDescribeInstances_Terminated(t *testing.T) {
	w, _, insts := newFleet(t, 1, fleetfile.FateOK)
	e := w.EC2(testPrincipal(testAccount), testRegion)
	w.TerminateInstance(insts[0].ID)
	states := map[ec2types.InstanceStateName]bool{}
	for range 2 {
		out, err := e.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{})
		require.NoError(t, err)
		states[out.Reservations[0].Instances[0].State.Name] = true
		runFor(w, 2*time.Minute)
	}
	require.Equal(t, map[ec2types.InstanceStateName]bool{"shutting-down": true, "terminated": true}, states)
	runFor(w, time.Hour)
	out, err := e.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{})
	require.NoError(t, err)
	require.Empty(t, out.Reservations)
}

// Source: B:ec2/DescribeInstanceStatus; docs/aws-semantics.md 3.
func TestDescribeInstanceStatus(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FateNoReturn, fleetfile.FateStopped, fleetfile.FateAgentDies)
	w.SSMOptions.NoRamp = true
	e := w.EC2(testPrincipal(testAccount), testRegion)
	check := func(all bool) map[string]string {
		out,
			err := e.DescribeInstanceStatus(context.Background(),
			&ec2.DescribeInstanceStatusInput{InstanceIds: ids(insts), IncludeAllInstances: aws.Bool(all)})
		require.NoError(t, err)
		got := map[string]string{}
		for _, st := range out.InstanceStatuses {
			got[*st.InstanceId] = string(st.InstanceStatus.Status)
		}
		return got
	}
	send(t, s, patching(insts[0].ID, insts[1].ID, insts[3].ID))
	require.Equal(t, map[string]string{insts[0].ID: "ok", insts[1].ID: "ok", insts[3].ID: "ok"}, check(false))
	require.Equal(t, "not-applicable", check(true)[insts[2].ID])
	for range 90 {
		runFor(w, 30*time.Second)
		if !insts[0].Online() && !insts[1].Online() {
			break
		}
	}
	require.Equal(t, "initializing", check(false)[insts[0].ID])
	runFor(w, time.Hour)
	got := check(false)
	require.Equal(t, "ok", got[insts[0].ID])
	require.Equal(t, "impaired", got[insts[1].ID])
	require.Equal(t, "ok", got[insts[3].ID], "an agent that dies says nothing about its machine")

	_,
		err := e.DescribeInstanceStatus(context.Background(),
		&ec2.DescribeInstanceStatusInput{InstanceIds: make([]string, 101)})
	requireCode(t, err, "InvalidParameterValue")
}
