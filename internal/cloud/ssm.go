package cloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/words"
)

// SSM is what a spoke reads and cancels with.
type SSM interface {
	DescribeInstanceInformation(context.Context, *ssm.DescribeInstanceInformationInput,
		...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error)
	DescribeInstancePatchStates(context.Context, *ssm.DescribeInstancePatchStatesInput,
		...func(*ssm.Options)) (*ssm.DescribeInstancePatchStatesOutput, error)
	DescribeInstancePatches(context.Context, *ssm.DescribeInstancePatchesInput,
		...func(*ssm.Options)) (*ssm.DescribeInstancePatchesOutput, error)
	ListCommands(context.Context, *ssm.ListCommandsInput, ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error)
	ListCommandInvocations(context.Context, *ssm.ListCommandInvocationsInput,
		...func(*ssm.Options)) (*ssm.ListCommandInvocationsOutput, error)
	GetCommandInvocation(context.Context, *ssm.GetCommandInvocationInput,
		...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error)
	CancelCommand(context.Context, *ssm.CancelCommandInput, ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error)
}

const (
	// ssmPage is the longest page, and the most ids, of the SSM calls below. Source: SSM API, read 2026-11.
	ssmPage = 50
	// statePage is the longest page of DescribeInstancePatchStates.
	statePage = 100
	// namedPage is the longest page of DescribeInstancePatches.
	namedPage = 100
	// maxNamedPages bounds the patches by name of one instance. What more there is
	// is said to be there.
	maxNamedPages = 20
	// maxSSMPages bounds a listing.
	maxSSMPages = 500
)

// Agents describes the managed instances among ids. SSM documents an error for
// an id that it does not know; then it is asked for all that it does know.
func (s *Spoke) Agents(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]port.Agent, error) {
	all := make(map[patch.InstanceID]port.Agent, len(ids))
	for chunk := range slices.Chunk(ids, ssmPage) {
		filters := []types.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: stringsOf(chunk)}}
		err := s.agents(ctx, filters, all)
		if code(err) == "InvalidInstanceId" {
			return all, s.agents(ctx, nil, all)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Hybrids lists the nodes that are registered by an activation.
func (s *Spoke) Hybrids(ctx context.Context) (map[patch.InstanceID]port.Agent, error) {
	all := map[patch.InstanceID]port.Agent{}
	filters := []types.InstanceInformationStringFilter{{Key: aws.String("ResourceType"),
		Values: []string{string(types.ResourceTypeManagedInstance)}}}
	return all, s.agents(ctx, filters, all)
}

// tagValues is how many values one filter of managed instances takes.
// Source: SSM DescribeInstanceInformation, read 2026-11.
const tagValues = 100

// Tagged lists the nodes that have one of the values under every key. Each key is
// asked for by itself: SSM does not say that filters by tag can be combined.
func (s *Spoke) Tagged(ctx context.Context, tags map[string][]string) (map[patch.InstanceID]bool, error) {
	var all map[patch.InstanceID]bool
	for _, key := range words.SortedKeys(tags) {
		found := map[patch.InstanceID]port.Agent{}
		for values := range slices.Chunk(tags[key], tagValues) {
			filters := []types.InstanceInformationStringFilter{{Key: aws.String("tag:" + key), Values: values}}
			if err := s.agents(ctx, filters, found); err != nil {
				return nil, err
			}
		}
		both := map[patch.InstanceID]bool{}
		for id := range found {
			if all == nil || all[id] {
				both[id] = true
			}
		}
		all = both
	}
	return all, nil
}

func (s *Spoke) agents(ctx context.Context, filters []types.InstanceInformationStringFilter,
	into map[patch.InstanceID]port.Agent) error {
	var next *string
	for range maxSSMPages {
		out, err := s.clients.SSM.DescribeInstanceInformation(ctx,
			&ssm.DescribeInstanceInformationInput{Filters: filters, MaxResults: aws.Int32(ssmPage), NextToken: next})
		if err != nil {
			return s.explained(wrap(err, "list managed instances"))
		}
		for _, i := range out.InstanceInformationList {
			into[patch.InstanceID(aws.ToString(i.InstanceId))] = port.Agent{
				Platform: patch.Platform(i.PlatformType), System: aws.ToString(i.PlatformName),
				Release: aws.ToString(i.PlatformVersion),
				Version: aws.ToString(i.AgentVersion), Address: aws.ToString(i.IPAddress),
				Name:   aws.ToString(i.ComputerName),
				Online: i.PingStatus == types.PingStatusOnline, LastPing: aws.ToTime(i.LastPingDateTime),
			}
		}
		if next = out.NextToken; aws.ToString(next) == "" {
			return nil
		}
	}
	return fmt.Errorf("list managed instances: %w: more than %d pages", patch.ErrInternal, maxSSMPages)
}

// PatchStates reads the one record that SSM keeps of each instance. An instance
// that was never scanned has none.
func (s *Spoke) PatchStates(ctx context.Context,
	ids []patch.InstanceID) (map[patch.InstanceID]outcome.PatchState, error) {
	all := make(map[patch.InstanceID]outcome.PatchState, len(ids))
	for chunk := range slices.Chunk(ids, ssmPage) {
		var next *string
		for range maxSSMPages {
			out, err := s.clients.SSM.DescribeInstancePatchStates(ctx,
				&ssm.DescribeInstancePatchStatesInput{InstanceIds: stringsOf(chunk), MaxResults: aws.Int32(statePage),
					NextToken: next})
			if err != nil {
				return nil, wrap(err, "read patch states")
			}
			for _, st := range out.InstancePatchStates {
				all[patch.InstanceID(aws.ToString(st.InstanceId))] = patchState(st)
			}
			if next = out.NextToken; aws.ToString(next) == "" {
				break
			}
		}
	}
	return all, nil
}

// Patches lists the patches of one instance by name: those that are installed by
// its baseline, missing or failed, at most maxNamedPages of them.
func (s *Spoke) Patches(ctx context.Context, id patch.InstanceID) (outcome.NamedList, error) {
	var all outcome.NamedList
	in := &ssm.DescribeInstancePatchesInput{
		InstanceId: aws.String(string(id)), MaxResults: aws.Int32(namedPage),
		Filters: []types.PatchOrchestratorFilter{{Key: aws.String("State"), Values: stringsOf(outcome.NamedStates())}},
	}
	for range maxNamedPages {
		out, err := s.clients.SSM.DescribeInstancePatches(ctx, in)
		if err != nil {
			return outcome.NamedList{}, wrap(err, "list the patches of %s", id)
		}
		for _, p := range out.Patches {
			if n, known := namedPatch(p); known {
				all.Patches = append(all.Patches, n)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
	all.Cut = true
	return all, nil
}

// namedPatch reads one patch; known is false for a state that was not asked for.
// The states of answers are written in another way than those of filters, and the
// CVE ids are one string. Source: SSM PatchComplianceData, read 2026-11.
func namedPatch(p types.PatchComplianceData) (n outcome.NamedPatch, known bool) {
	n = outcome.NamedPatch{
		Title: aws.ToString(p.Title), KB: aws.ToString(p.KBId), Classification: aws.ToString(p.Classification),
		Severity: aws.ToString(p.Severity),
		CVEs:     strings.FieldsFunc(aws.ToString(p.CVEIds), func(r rune) bool { return r == ',' || r == ' ' }),
	}
	if at := aws.ToTime(p.InstalledTime).UTC(); at.Year() >= firstPatchYear {
		n.At = &at
	}
	switch p.State {
	case types.PatchComplianceDataStateInstalled:
		n.State = outcome.PatchInstalled
	case types.PatchComplianceDataStateInstalledPendingReboot:
		n.State = outcome.PatchPendingReboot
	case types.PatchComplianceDataStateInstalledRejected:
		n.State = outcome.PatchRejected
	case types.PatchComplianceDataStateMissing:
		n.State = outcome.PatchMissing
	case types.PatchComplianceDataStateFailed:
		n.State = outcome.PatchFailed
	}
	return n, n.State != ""
}

// firstPatchYear is before every patch. A system that does not keep the time
// answers with the beginning of its calendar.
const firstPatchYear = 1990

func patchState(st types.InstancePatchState) outcome.PatchState {
	return outcome.PatchState{
		Operation: patch.Operation(st.Operation), SnapshotID: aws.ToString(st.SnapshotId),
		BaselineID: aws.ToString(st.BaselineId),
		Started:    aws.ToTime(st.OperationStartTime).UTC(), Ended: aws.ToTime(st.OperationEndTime).UTC(),
		Installed: toInt(&st.InstalledCount), InstalledPendingReboot: toInt(st.InstalledPendingRebootCount),
		InstalledRejected: toInt(st.InstalledRejectedCount), Missing: toInt(&st.MissingCount),
		Failed: toInt(&st.FailedCount),
	}
}

// toInt keeps the difference between zero and not reported, where the SDK does:
// it gives installed, missing and failed as plain numbers.
func toInt[N ~int32 | ~int64](n *N) *int {
	if n == nil {
		return nil
	}
	v := int(*n)
	return &v
}

// Executing lists our commands that have not ended, as far as SSM shows it.
func (s *Spoke) Executing(ctx context.Context, since time.Time) (map[patch.CommandID]bool, error) {
	found := map[patch.CommandID]bool{}
	filters := append(patchCommandsSince(since), types.CommandFilter{Key: types.CommandFilterKeyExecutionStage,
		Value: aws.String("Executing")})
	err := s.commands(ctx, &ssm.ListCommandsInput{MaxResults: aws.Int32(ssmPage), Filters: filters},
		func(c types.Command) bool {
			if !ended(c.Status) {
				found[patch.CommandID(aws.ToString(c.CommandId))] = true
			}
			return false
		})
	return found, err
}

// commands lists commands, newest first, until each says that it has enough.
func (s *Spoke) commands(ctx context.Context, in *ssm.ListCommandsInput, each func(types.Command) (enough bool)) error {
	for range maxSSMPages {
		out, err := s.clients.SSM.ListCommands(ctx, in)
		if err != nil {
			return wrap(err, "list commands")
		}
		for _, c := range out.Commands {
			if each(c) {
				return nil
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		in.NextToken = out.NextToken
	}
	return fmt.Errorf("list commands: %w: more than %d pages", patch.ErrUnavailable, maxSSMPages)
}

// patchCommandsSince filters for commands of the patch document. SSM filters by
// document and time, not by comment.
func patchCommandsSince(since time.Time) []types.CommandFilter {
	return []types.CommandFilter{
		{Key: types.CommandFilterKeyInvokedAfter, Value: aws.String(since.UTC().Format(time.RFC3339))},
		{Key: types.CommandFilterKeyDocumentName, Value: aws.String(patch.Document)},
	}
}

// ended tells whether a command's status is final. Source: SSM Command.Status, read 2026-11.
func ended(s types.CommandStatus) bool {
	switch s {
	case types.CommandStatusSuccess, types.CommandStatusCancelled, types.CommandStatusFailed,
		types.CommandStatusTimedOut:
		return true
	}
	return false
}

// Invocation reads what a command does on its one instance. A page may be empty and not the last.
func (s *Spoke) Invocation(ctx context.Context, id patch.CommandID) (outcome.Invocation, bool, error) {
	var next *string
	for range maxSSMPages {
		out, err := s.clients.SSM.ListCommandInvocations(ctx,
			&ssm.ListCommandInvocationsInput{CommandId: aws.String(string(id)), MaxResults: aws.Int32(ssmPage),
				NextToken: next})
		if code(err) == "InvalidCommandId" {
			return outcome.Invocation{}, false, nil
		}
		if err != nil {
			return outcome.Invocation{}, false, wrap(err, "read command %s", id)
		}
		for _, i := range out.CommandInvocations {
			return outcome.Invocation{
				InstanceID: patch.InstanceID(aws.ToString(i.InstanceId)), Command: id, Status: string(i.Status),
				Details: strings.ReplaceAll(aws.ToString(i.StatusDetails), " ", ""),
			}, true, nil
		}
		if next = out.NextToken; aws.ToString(next) == "" {
			return outcome.Invocation{}, false, nil
		}
	}
	return outcome.Invocation{}, false, fmt.Errorf("read command %s: %w: more than %d pages", id,
		patch.ErrUnavailable, maxSSMPages)
}

// Marked looks for our commands by their comments among those requested since.
func (s *Spoke) Marked(ctx context.Context, markers []string, since time.Time) (map[string]port.Accepted, error) {
	found := map[string]port.Accepted{}
	in := &ssm.ListCommandsInput{MaxResults: aws.Int32(ssmPage), Filters: patchCommandsSince(since)}
	err := s.commands(ctx, in, func(c types.Command) bool {
		comment := aws.ToString(c.Comment)
		if marker, _, ok := strings.Cut(comment, "."); ok && slices.Contains(markers, marker) {
			found[comment] = port.Accepted{ID: patch.CommandID(aws.ToString(c.CommandId)),
				At: aws.ToTime(c.RequestedDateTime).UTC()}
		}
		return false
	})
	return found, err
}

// Output is the end of what the patch step of the instance's platform printed.
// Source: GetCommandInvocation needs PluginName for a document of several steps, read 2026-11.
func (s *Spoke) Output(ctx context.Context, id patch.CommandID, instance patch.InstanceID, platform patch.Platform,
	limit int) (string, error) {
	out, err := s.invocation(ctx, id, instance, platform)
	if err != nil {
		return "", err
	}
	text := []rune(aws.ToString(out.StandardOutputContent) + aws.ToString(out.StandardErrorContent))
	return string(text[max(0, len(text)-limit):]), nil
}

// notStarted is the response code of a step that has not started, or was not
// received. Source: SSM GetCommandInvocation ResponseCode, read 2026-11.
const notStarted = -1

// Began tells whether the agent has begun: SSM has a time at which it did, or a
// response.
func (s *Spoke) Began(ctx context.Context, id patch.CommandID, instance patch.InstanceID,
	platform patch.Platform) (bool, error) {
	out, err := s.invocation(ctx, id, instance, platform)
	if err != nil {
		return false, err
	}
	return out.ResponseCode != notStarted || aws.ToString(out.ExecutionStartDateTime) != "", nil
}

// invocation reads the step of the document that fits the platform.
func (s *Spoke) invocation(ctx context.Context, id patch.CommandID, instance patch.InstanceID,
	platform patch.Platform) (*ssm.GetCommandInvocationOutput, error) {
	out, err := s.clients.SSM.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{
		CommandId: aws.String(string(id)), InstanceId: aws.String(string(instance)),
		PluginName: aws.String("Patch" + string(platform)),
	})
	return out, wrap(err, "read command %s on %s", id, instance)
}

// Cancel asks SSM to stop a command on its instance.
func (s *Spoke) Cancel(ctx context.Context, id patch.CommandID, instance patch.InstanceID) error {
	_, err := s.clients.SSM.CancelCommand(ctx, &ssm.CancelCommandInput{CommandId: aws.String(string(id)),
		InstanceIds: []string{string(instance)}})
	return wrap(err, "cancel command %s", id)
}
