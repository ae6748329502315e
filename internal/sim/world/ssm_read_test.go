package world

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Source: B:GetCommandInvocation, eventual consistency; docs/faults.md F-18.
func TestReads_LateVisibility(t *testing.T) {
	late, partial := 0, 0
	for seed := range uint64(60) {
		w, s, insts := newFleet(t, seed, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 5)...)
		w.SSMOptions.NoReadLag = false
		id := send(t, s, patching(ids(insts)...))
		list, err := s.ListCommands(context.Background(), &ssm.ListCommandsInput{})
		require.NoError(t, err)
		got := rows(t, s, id)
		_,
			err = s.GetCommandInvocation(context.Background(),
			&ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &insts[0].ID})
		if len(list.Commands) == 0 {
			late++
			require.Empty(t, got)
			requireCode(t, err, "InvocationDoesNotExist")
		}
		for range 60 {
			runFor(w, time.Second)
			if n := len(rows(t, s, id)); n > 0 && n < 5 {
				partial++
				break
			}
		}
		runFor(w, time.Minute)
		require.Len(t, rows(t, s, id), 5, "all rows are there after a minute")
	}
	require.InDelta(t, 30, late, 15)
	require.Positive(t, partial, "rows appear one after the other")
}

// Source: B:ListCommands, B:CommandFilter; docs/aws-semantics.md 2.5.
func TestListCommands_Filters(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK, fleetfile.FatePatchFails)
	first := send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	second := send(t, s, patching(insts[1].ID))
	runFor(w, time.Minute)
	middle := testStart().Add(30 * time.Minute).Format(time.RFC3339)
	filter := func(key ssmtypes.CommandFilterKey, value string) ssmtypes.CommandFilter {
		return ssmtypes.CommandFilter{Key: key, Value: aws.String(value)}
	}
	tests := []struct {
		name string
		in   ssm.ListCommandsInput
		want []string
	}{
		{"newest first", ssm.ListCommandsInput{}, []string{second, first}},
		{"by id", ssm.ListCommandsInput{CommandId: &first}, []string{first}},
		{"by instance", ssm.ListCommandsInput{InstanceId: &insts[1].ID}, []string{second}},
		{"invoked after", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("InvokedAfter", middle)}},
			[]string{second}},
		{"invoked before", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("InvokedBefore", middle)}},
			[]string{first}},
		{"by status", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("Status", "Success")}}, []string{first}},
		{"executing", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("ExecutionStage", "Executing")}},
			[]string{second}},
		{"by document", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("DocumentName", patchDocument)}},
			[]string{second, first}},
		{"two filters", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("InvokedAfter", middle),
			filter("Status", "Success")}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := s.ListCommands(context.Background(), &tt.in)
			require.NoError(t, err)
			var got []string
			for _, c := range out.Commands {
				got = append(got, *c.CommandId)
			}
			require.Equal(t, tt.want, got)
		})
	}
	refused := []struct {
		name string
		in   ssm.ListCommandsInput
		code string
	}{
		{"an unknown command", ssm.ListCommandsInput{CommandId: aws.String("0a1b2c3d-0000-4000-8000-000000000000")},
			"InvalidCommandId"},
		{"an unknown filter", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("Comment", "x")}},
			"InvalidFilterKey"},
		{"a time that is none", ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{filter("InvokedAfter", "today")}},
			"InvalidFilterValue"},
		{"instance and pending", ssm.ListCommandsInput{InstanceId: &insts[0].ID,
			Filters: []ssmtypes.CommandFilter{filter("Status", "Pending")}}, "InvalidFilterKey"},
		{"51 a page", ssm.ListCommandsInput{MaxResults: aws.Int32(51)}, "ValidationException"},
		{"a foreign token", ssm.ListCommandsInput{NextToken: aws.String("abc")}, "InvalidNextToken"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.ListCommands(context.Background(), &tt.in)
			requireCode(t, err, tt.code)
		})
	}
	_, err := s.ListCommandInvocations(context.Background(), &ssm.ListCommandInvocationsInput{
		Filters: []ssmtypes.CommandFilter{filter("ExecutionStage", "Complete")},
	})
	requireCode(t, err, "InvalidFilterKey")
}

// Source: B:ListCommands, B:ListCommandInvocations, MaxResults and NextToken.
func TestReads_Pages(t *testing.T) {
	w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 7)...)
	for range 5 {
		send(t, s, patching(ids(insts)...))
		runFor(w, time.Hour)
	}
	id := *mustList(t, s, nil).Commands[0].CommandId
	var sizes []int
	seen := map[string]bool{}
	var token *string
	for {
		out,
			err := s.ListCommandInvocations(context.Background(),
			&ssm.ListCommandInvocationsInput{CommandId: &id, MaxResults: aws.Int32(3), NextToken: token})
		require.NoError(t, err)
		sizes = append(sizes, len(out.CommandInvocations))
		for _, r := range out.CommandInvocations {
			seen[*r.InstanceId] = true
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	require.Equal(t, []int{3, 3, 1}, sizes)
	require.Len(t, seen, 7)

	t.Run("a command sent between two pages shifts nothing", func(t *testing.T) {
		one := mustList(t, s, nil)
		send(t, s, patching(insts[0].ID))
		two := mustList(t, s, one.NextToken)
		require.NotEqual(t, *one.Commands[1].CommandId, *two.Commands[0].CommandId)
		require.True(t, two.Commands[0].RequestedDateTime.Before(*one.Commands[1].RequestedDateTime))
	})
}

func mustList(t *testing.T, s *SSM, token *string) *ssm.ListCommandsOutput {
	t.Helper()
	out, err := s.ListCommands(context.Background(), &ssm.ListCommandsInput{MaxResults: aws.Int32(2), NextToken: token})
	require.NoError(t, err)
	return out
}

// Source: B:CommandPlugin (2,500 characters), B:GetCommandInvocation (24,000; PluginName).
func TestReads_Output(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FatePatchFails)
	id := send(t, s, patching(insts[0].ID))
	get := func(plugin *string) (*ssm.GetCommandInvocationOutput, error) {
		return s.GetCommandInvocation(context.Background(),
			&ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &insts[0].ID, PluginName: plugin})
	}
	out, err := get(aws.String("PatchLinux"))
	require.NoError(t, err)
	require.EqualValues(t, -1, out.ResponseCode, "not started")
	runFor(w, time.Hour)

	out, err = get(nil)
	require.NoError(t, err)
	require.Empty(t, *out.StandardOutputContent, "several steps need PluginName")
	out, err = get(aws.String("PatchLinux"))
	require.NoError(t, err)
	require.EqualValues(t, 1, out.ResponseCode)
	require.Greater(t, len(*out.StandardOutputContent), maxPluginOutput)
	require.Contains(t, *out.StandardOutputContent, "FailedCount: 1")
	require.Contains(t, *out.StandardErrorContent, "exit status 1")
	_, err = get(aws.String("PatchBSD"))
	requireCode(t, err, "InvalidPluginName")

	list,
		err := s.ListCommandInvocations(context.Background(), &ssm.ListCommandInvocationsInput{CommandId: &id, Details: true})
	require.NoError(t, err)
	plugins := list.CommandInvocations[0].CommandPlugins
	require.Len(t, plugins, 3)
	require.Equal(t, "PatchLinux", *plugins[1].Name)
	require.Equal(t, "Failed", string(plugins[1].Status))
	require.LessOrEqual(t, len(*plugins[1].Output), maxPluginOutput)
	require.True(t, strings.HasSuffix(*plugins[1].Output, truncated))
	require.Equal(t, "Success", string(plugins[0].Status), "steps of other platforms are skipped")
}

// Commands belong to one region of one account.
func TestReads_OtherPlaces(t *testing.T) {
	w, s, insts := newFleet(t, 1, fleetfile.FateOK)
	id := send(t, s, patching(insts[0].ID))
	for _, other := range []*SSM{w.SSM(testPrincipal(testAccount), "eu-west-1"),
		w.SSM(testPrincipal("222222222222"), testRegion)} {
		_, err := other.ListCommandInvocations(context.Background(), &ssm.ListCommandInvocationsInput{CommandId: &id})
		requireCode(t, err, "InvalidCommandId")
		_, err = other.SendCommand(context.Background(), patching(insts[0].ID))
		require.Error(t, err)
	}
}

// A command of one instance is as its invocation is, whatever MaxErrors says, and ends with it.
func TestListCommands_OneInstance(t *testing.T) {
	for _, fate := range fleetfile.Fates() {
		for _, maxErrors := range []string{"0", "1", "100%"} {
			t.Run(string(fate)+" "+maxErrors, func(t *testing.T) {
				w, s, insts := newFleet(t, 3, fate)
				in := patching(insts[0].ID)
				in.MaxErrors = aws.String(maxErrors)
				if !w.sendable(insts[0]) {
					return
				}
				id := send(t, s, in)
				for range 60 {
					c := commandNow(t, s, id)
					want := rows(t, s, id)[insts[0].ID]
					if want == "Delayed/Delayed" {
						want = "InProgress/Delayed"
					}
					require.Equal(t, want, string(c.Status)+"/"+*c.StatusDetails)
					runFor(w, 11*time.Minute)
				}
				require.True(t, terminal(string(commandNow(t, s, id).Status)))
			})
		}
	}
}

// Stage, time and document together, in pages: what is asked of a region in which much goes on.
func TestListCommands_ExecutingInPages(t *testing.T) {
	for seed := range uint64(20) {
		w, s,
			insts := newFleet(t, seed, append(slices.Repeat([]fleetfile.Fate{fleetfile.FateOK, fleetfile.FateOffline,
			fleetfile.FateHangs}, 6), fleetfile.FateUndeliverable, fleetfile.FateInvalidPlatform)...)
		w.WholePages = false
		send(t, s, patching(insts[0].ID))
		runFor(w, 24*time.Hour)
		since := w.Now()
		byInstance := map[string]string{}
		for _, i := range insts {
			byInstance[i.ID] = send(t, s, patching(i.ID))
		}
		runFor(w, time.Hour)
		got := map[string]bool{}
		pages := 0
		var token *string
		for {
			out,
				err := s.ListCommands(context.Background(),
				&ssm.ListCommandsInput{NextToken: token, MaxResults: aws.Int32(50), Filters: []ssmtypes.CommandFilter{
					{Key: ssmtypes.CommandFilterKeyExecutionStage, Value: aws.String("Executing")},
					{Key: ssmtypes.CommandFilterKeyInvokedAfter, Value: aws.String(since.Format(time.RFC3339))},
					{Key: ssmtypes.CommandFilterKeyDocumentName, Value: aws.String(patchDocument)},
				}})
			require.NoError(t, err)
			for _, c := range out.Commands {
				require.False(t, got[*c.CommandId], "no command twice")
				got[*c.CommandId] = true
			}
			pages++
			if token = out.NextToken; token == nil {
				break
			}
		}
		for _, i := range insts {
			open := i.Fate == fleetfile.FateOffline || i.Fate == fleetfile.FateHangs
			require.Equal(t, open, got[byInstance[i.ID]], "%s", i.Fate)
		}
		require.Len(t, got, 12)
		require.Less(t, pages, 40)
	}
}
