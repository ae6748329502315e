package world

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Without any fault a listing of a dozen comes in several pages in most worlds, sometimes with an empty one, and
// the pages have everything once.
func TestPages_ShortInCalmWorlds(t *testing.T) {
	several, empty := map[string]int{}, map[string]int{}
	for seed := range uint64(40) {
		w, s, insts := newFleet(t, seed, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 12)...)
		w.WholePages = false
		require.NoError(t, w.AddAlarm(testAccount, testRegion, "a"))
		require.NoError(t, w.AddAlarm(testAccount, testRegion, "b"))
		all := ids(insts)
		id := send(t, s, patching(all...))
		ctx := context.Background()
		lists := map[string]func(token *string) ([]string, *string, error){
			"ListCommandInvocations": func(token *string) (got []string, next *string, err error) {
				out, err := s.ListCommandInvocations(ctx, &ssm.ListCommandInvocationsInput{CommandId: &id, NextToken: token})
				if err == nil {
					next = out.NextToken
					for _, r := range out.CommandInvocations {
						got = append(got, *r.InstanceId)
					}
				}
				return got, next, err
			},
			"DescribeInstanceInformation": func(token *string) (got []string, next *string, err error) {
				out,
					err := s.DescribeInstanceInformation(ctx,
					&ssm.DescribeInstanceInformationInput{NextToken: token, MaxResults: aws.Int32(50)})
				if err == nil {
					next = out.NextToken
					for _, r := range out.InstanceInformationList {
						got = append(got, *r.InstanceId)
					}
				}
				return got, next, err
			},
			"DescribeInstancePatchStates": func(token *string) (got []string, next *string, err error) {
				out,
					err := s.DescribeInstancePatchStates(ctx,
					&ssm.DescribeInstancePatchStatesInput{InstanceIds: all, NextToken: token, MaxResults: aws.Int32(100)})
				if err == nil {
					next = out.NextToken
					for _, r := range out.InstancePatchStates {
						got = append(got, *r.InstanceId)
					}
				}
				return got, next, err
			},
			"DescribeInstances": func(token *string) (got []string, next *string, err error) {
				out,
					err := w.EC2(testPrincipal(testAccount), testRegion).DescribeInstances(ctx,
					&ec2.DescribeInstancesInput{NextToken: token})
				if err == nil {
					got, next = described(out), out.NextToken
				}
				return got, next, err
			},
			"DescribeAlarms": func(token *string) (got []string, next *string, err error) {
				out,
					err := w.CloudWatch(testPrincipal(testAccount), testRegion).DescribeAlarms(ctx,
					&cloudwatch.DescribeAlarmsInput{NextToken: token})
				if err == nil {
					next = out.NextToken
					for _, a := range out.MetricAlarms {
						got = append(got, *a.AlarmName)
					}
				}
				return got, next, err
			},
		}
		for _, name := range slices.Sorted(maps.Keys(lists)) {
			list, want := lists[name], all
			if name == "DescribeAlarms" {
				want = []string{"a", "b"}
			}
			got, pages, none := readAll(t, list)
			require.ElementsMatch(t, want, got, name)
			if pages > 1 {
				several[name]++
			}
			if none {
				empty[name]++
			}
		}
	}
	for _, name := range []string{"ListCommandInvocations", "DescribeInstanceInformation", "DescribeInstancePatchStates",
		"DescribeInstances", "DescribeAlarms"} {
		require.Greater(t, several[name], 3, name)
		require.Equal(t, name != "DescribeAlarms", empty[name] > 0, "%s: alarms never come in an empty page", name)
	}
}

// readAll reads pages up to the one without a token, and tells whether one was empty.
func readAll(t *testing.T, list func(token *string) ([]string, *string, error)) (all []string, pages int, empty bool) {
	t.Helper()
	var token *string
	for range 100 {
		got, next, err := list(token)
		require.NoError(t, err)
		all, pages = append(all, got...), pages+1
		empty = empty || len(got) == 0
		if token = next; aws.ToString(token) == "" {
			return all, pages, empty
		}
	}
	t.Fatal("the pages do not end")
	return nil, 0, false
}

// What a batch leaves unread is a third at most, so that 100 keys take six calls at the very most.
func TestPages_Unread(t *testing.T) {
	w := New(1, testStart())
	left := 0
	for range 1000 {
		keys, calls := 100, 0
		for keys > 0 {
			keys = w.Unread(keys)
			calls++
		}
		require.LessOrEqual(t, calls, 6)
		left += calls - 1
	}
	require.Greater(t, left, 500)
}
