package world

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
)

// Limits of inline output. Source: B:GetCommandInvocation, B:CommandPlugin.
const (
	maxPluginOutput = 2500
	maxOutput       = 24000
	maxErrorOutput  = 8000
	maxListed       = 50
)

// ListCommands lists the commands of the region, newest first.
// Source: B:ListCommands; docs/aws-semantics.md 2.5.
func (s *SSM) ListCommands(ctx context.Context, in *ssm.ListCommandsInput,
	_ ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error) {
	call := s.call("ListCommands", false, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.ListCommandsOutput, error) {
		size, err := maxResults(in.MaxResults, 1, maxListed, maxListed)
		if err != nil {
			return nil, err
		}
		match, err := commandFilters(in.Filters, true)
		if err != nil {
			return nil, err
		}
		if in.InstanceId != nil && slices.ContainsFunc(in.Filters, func(f ssmtypes.CommandFilter) bool {
			return f.Key == ssmtypes.CommandFilterKeyStatus && aws.ToString(f.Value) == statusPending
		}) {
			return nil, &ssmtypes.InvalidFilterKey{Message: aws.String("InstanceId cannot be combined with Status Pending")}
		}
		newest, oldest, err := s.span(in.CommandId)
		if err != nil {
			return nil, err
		}
		if in.NextToken != nil {
			if newest, err = core.Untoken("ListCommands", *in.NextToken); err != nil {
				return nil, err
			}
		}
		return s.listCommands(call, in, match, size, newest, oldest), nil
	})
}

// span is where the commands stand that a list goes through, from the newest down to the oldest.
func (s *SSM) span(commandID *string) (newest, oldest int, err error) {
	if commandID == nil {
		return len(s.fleet().commands) - 1, 0, nil
	}
	c, err := s.command(commandID)
	if err != nil {
		return 0, 0, err
	}
	return c.seq, c.seq, nil
}

// listCommands finds one command more than a page holds, so that it knows whether there is another page.
func (s *SSM) listCommands(call *core.Call, in *ssm.ListCommandsInput, match commandMatch, size, newest,
	oldest int) *ssm.ListCommandsOutput {
	f, seen := s.fleet(), s.w.seenFrom(call)
	var found []*command
	for n := min(newest, len(f.commands)-1); n >= oldest && len(found) <= size; n-- {
		c := f.commands[n]
		if c.forgotten || seen.Before(c.visible) || in.InstanceId != nil && c.byInstance[*in.InstanceId] == nil {
			continue
		}
		c = c.asOf(seen)
		if status, detail := c.state(); match(c, status, detail) {
			found = append(found, c)
		}
	}
	out := &ssm.ListCommandsOutput{}
	size = s.w.SizeOf(call, size, len(found))
	for at, c := range found {
		if at == size {
			out.NextToken = aws.String(core.TokenOf("ListCommands", c.seq))
			break
		}
		out.Commands = append(out.Commands, *c.describe())
	}
	return out
}

// ListCommandInvocations lists invocations, command by command, newest command first.
// Rows of a fresh command appear late and one after the other. Source: B:ListCommandInvocations; docs/aws-semantics.md
// 2.5.
func (s *SSM) ListCommandInvocations(ctx context.Context, in *ssm.ListCommandInvocationsInput,
	_ ...func(*ssm.Options)) (*ssm.ListCommandInvocationsOutput, error) {
	call := s.call("ListCommandInvocations", false, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.ListCommandInvocationsOutput, error) {
		size, err := maxResults(in.MaxResults, 1, maxListed, maxListed)
		if err != nil {
			return nil, err
		}
		match, err := commandFilters(in.Filters, false)
		if err != nil {
			return nil, err
		}
		newest, oldest, err := s.span(in.CommandId)
		if err != nil {
			return nil, err
		}
		first := 0
		if in.NextToken != nil {
			at, err := core.Untoken("ListCommandInvocations", *in.NextToken)
			if err != nil {
				return nil, err
			}
			newest, first = at/rowsPerCommand, at%rowsPerCommand
		}
		return s.listInvocations(call, in, match, size, [3]int{newest, oldest, first}), nil
	})
}

// listInvocations finds one row more than a page holds. The span is the newest and the oldest command, and the
// first row of the newest.
func (s *SSM) listInvocations(call *core.Call, in *ssm.ListCommandInvocationsInput, match commandMatch, size int,
	span [3]int) *ssm.ListCommandInvocationsOutput {
	seen, f, first := s.w.seenFrom(call), s.fleet(), span[2]
	var found []*invocation
	var places []int
	for n := min(span[0], len(f.commands)-1); n >= span[1] && len(found) <= size; n-- {
		if f.commands[n].forgotten {
			continue
		}
		c := f.commands[n].asOf(seen)
		for at := first; at < len(c.invs) && len(found) <= size; at++ {
			inv := c.invs[at]
			if seen.Before(inv.visible) || in.InstanceId != nil && inv.inst.ID != *in.InstanceId ||
				!match(c, inv.status, inv.detail) {
				continue
			}
			found, places = append(found, inv), append(places, n*rowsPerCommand+at)
		}
		first = 0
	}
	out := &ssm.ListCommandInvocationsOutput{}
	size = s.w.SizeOf(call, size, len(found))
	for at, inv := range found {
		if at == size {
			out.NextToken = aws.String(core.TokenOf("ListCommandInvocations", places[at]))
			break
		}
		row := inv.describe(in.Details)
		if s.w.odd(call, inv.inst.ID) {
			oddInvocation(&row)
		}
		out.CommandInvocations = append(out.CommandInvocations, row)
	}
	return out
}

// rowsPerCommand bounds the invocations of a command in a token.
const rowsPerCommand = 1 << 20

// GetCommandInvocation returns one invocation. As the document has several
// steps, its output needs PluginName. Source: B:GetCommandInvocation.
func (s *SSM) GetCommandInvocation(ctx context.Context, in *ssm.GetCommandInvocationInput,
	_ ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error) {
	call := s.call("GetCommandInvocation", false, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.GetCommandInvocationOutput, error) {
		if in.CommandId == nil || in.InstanceId == nil {
			return nil, core.Invalid("commandId, instanceId", "a value")
		}
		c, err := s.command(in.CommandId)
		if err != nil {
			return nil, err
		}
		seen := s.w.seenFrom(call)
		inv, ok := c.byInstance[*in.InstanceId]
		if !ok || seen.Before(inv.visible) {
			return nil, &ssmtypes.InvocationDoesNotExist{}
		}
		then := *inv
		if then.status, then.detail = inv.asOf(seen); !terminal(then.status) {
			then.ended = time.Time{}
		}
		inv = &then
		out := &ssm.GetCommandInvocationOutput{
			CommandId: aws.String(c.id), InstanceId: in.InstanceId, PluginName: in.PluginName,
			Comment: aws.String(c.request.comment), DocumentName: aws.String(c.request.document),
			DocumentVersion: aws.String(c.request.version),
			ResponseCode:    -1, Status: ssmtypes.CommandInvocationStatus(inv.status), StatusDetails: aws.String(inv.detail),
			StandardOutputContent: aws.String(""), StandardErrorContent: aws.String(""),
			ExecutionStartDateTime: aws.String(""), ExecutionEndDateTime: aws.String(""), ExecutionElapsedTime: aws.String(""),
		}
		if !inv.start.IsZero() {
			out.ExecutionStartDateTime = aws.String(inv.start.UTC().Format(time.RFC3339))
		}
		if in.PluginName == nil {
			return out, nil
		}
		if !slices.Contains(plugins(), *in.PluginName) {
			return nil, &ssmtypes.InvalidPluginName{Message: aws.String("The plugin name " + *in.PluginName + " is not valid.")}
		}
		if *in.PluginName == inv.plugin() && !inv.ended.IsZero() {
			out.ResponseCode = int32(inv.code)
			out.StandardOutputContent = aws.String(truncate(inv.output(), maxOutput))
			out.StandardErrorContent = aws.String(truncate(inv.errorOutput(), maxErrorOutput))
			out.ExecutionEndDateTime = aws.String(inv.ended.UTC().Format(time.RFC3339))
		}
		return out, nil
	})
}

type commandMatch func(c *command, status, detail string) bool

// commandFilters compiles filters. Stage says whether ExecutionStage is allowed, as it is for ListCommands alone.
func commandFilters(filters []ssmtypes.CommandFilter, stage bool) (commandMatch, error) {
	if len(filters) > 5 {
		return nil, core.Invalid("filters", "length less than or equal to 5")
	}
	var all []commandMatch
	for _, f := range filters {
		value := aws.ToString(f.Value)
		one, err := commandFilter(f.Key, value, stage)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return func(c *command, status, detail string) bool {
		for _, m := range all {
			if !m(c, status, detail) {
				return false
			}
		}
		return true
	}, nil
}

func commandFilter(key ssmtypes.CommandFilterKey, value string, stage bool) (commandMatch, error) {
	switch key {
	case ssmtypes.CommandFilterKeyInvokedAfter, ssmtypes.CommandFilterKeyInvokedBefore:
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, core.Refusal("InvalidFilterValue", "%s is not an ISO-8601 time: %s", key, value)
		}
		after := key == ssmtypes.CommandFilterKeyInvokedAfter
		return func(c *command, _, _ string) bool { return c.at.Before(at) != after }, nil
	case ssmtypes.CommandFilterKeyDocumentName:
		return func(c *command, _, _ string) bool { return c.request.document == value }, nil
	case ssmtypes.CommandFilterKeyStatus:
		if value == "LimitExceeded" {
			value = detailRateExceeded
		}
		return func(_ *command, status, detail string) bool { return value == status || value == detail }, nil
	case ssmtypes.CommandFilterKeyExecutionStage:
		if !stage || value != "Executing" && value != "Complete" {
			break
		}
		return func(_ *command, status, _ string) bool { return terminal(status) == (value == "Complete") }, nil
	}
	return nil, &ssmtypes.InvalidFilterKey{Message: aws.String(string(key) + "=" + value)}
}

// describe is the command as ListCommands shows it now.
func (c *command) describe() *ssmtypes.Command {
	status, detail := c.state()
	return &ssmtypes.Command{
		CommandId: aws.String(c.id), Comment: aws.String(c.request.comment),
		DocumentName: aws.String(c.request.document), DocumentVersion: aws.String(c.request.version),
		ExpiresAfter: aws.Time(c.expires), RequestedDateTime: aws.Time(c.at),
		InstanceIds: slices.Clone(c.request.ids), Targets: slices.Clone(c.request.targets), Parameters: c.request.parameters,
		MaxConcurrency: aws.String(c.request.concurrency), MaxErrors: aws.String(c.request.errors),
		TimeoutSeconds: aws.Int32(int32(c.request.timeout / time.Second)),
		Status:         ssmtypes.CommandStatus(status), StatusDetails: aws.String(detail),
		TargetCount: int32(len(c.invs)), CompletedCount: int32(c.done), ErrorCount: int32(c.errors),
		DeliveryTimedOutCount: int32(c.undelivered),
	}
}

// describe is the invocation as ListCommandInvocations shows it now.
func (inv *invocation) describe(details bool) ssmtypes.CommandInvocation {
	c := inv.cmd
	row := ssmtypes.CommandInvocation{
		CommandId: aws.String(c.id), InstanceId: aws.String(inv.inst.ID), InstanceName: aws.String(""),
		Comment: aws.String(c.request.comment), DocumentName: aws.String(c.request.document),
		DocumentVersion: aws.String(c.request.version), RequestedDateTime: aws.Time(c.at),
		Status: ssmtypes.CommandInvocationStatus(inv.status), StatusDetails: aws.String(inv.detail),
		TraceOutput: aws.String(""),
	}
	if details && !inv.start.IsZero() {
		for _, name := range plugins() {
			row.CommandPlugins = append(row.CommandPlugins, inv.describePlugin(name))
		}
	}
	return row
}

// plugins are the steps of AWS-RunPatchBaseline. Source: TK.
func plugins() []string { return []string{"PatchWindows", "PatchLinux", "PatchMacOS"} }

// plugin is the step that runs on the instance; the others are skipped.
func (inv *invocation) plugin() string { return "Patch" + inv.inst.Platform }

func (inv *invocation) describePlugin(name string) ssmtypes.CommandPlugin {
	p := ssmtypes.CommandPlugin{
		Name: aws.String(name), Status: ssmtypes.CommandPluginStatusSuccess, StatusDetails: aws.String(statusSuccess),
		ResponseStartDateTime: aws.Time(inv.start), ResponseFinishDateTime: aws.Time(inv.start), Output: aws.String(""),
	}
	if name != inv.plugin() {
		p.Output = aws.String("Step execution skipped due to unsupported platform")
		return p
	}
	p.ResponseFinishDateTime = nil
	p.Status, p.StatusDetails, p.ResponseCode = pluginStatus(inv.status), aws.String(inv.detail), int32(inv.code)
	if !inv.ended.IsZero() {
		p.ResponseFinishDateTime = aws.Time(inv.ended)
		p.Output = aws.String(truncate(inv.output()+inv.errorOutput(), maxPluginOutput))
	}
	return p
}

func pluginStatus(status string) ssmtypes.CommandPluginStatus {
	switch status {
	case statusDelayed:
		return ssmtypes.CommandPluginStatusPending
	case statusCancelling:
		return ssmtypes.CommandPluginStatusInProgress
	}
	return ssmtypes.CommandPluginStatus(status)
}

const truncated = "\n---Output truncated---"

// truncate keeps the beginning, as the service does.
func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len(truncated)], "") + truncated
}
