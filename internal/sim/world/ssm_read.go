package world

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Limits of inline output. Source: B:GetCommandInvocation, B:CommandPlugin.
const (
	maxPluginOutput = 2500
	maxOutput       = 24000
	maxErrorOutput  = 8000
	maxListed       = 50
)

// ListCommands lists the commands of the region, newest first.
// Source: B:ListCommands; aws-facts 2.5.
func (s *SSM) ListCommands(ctx context.Context, in *ssm.ListCommandsInput, _ ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error) {
	return do(ctx, s.w, s.call("ListCommands", false, in), func() (*ssm.ListCommandsOutput, error) {
		size, err := maxResults(in.MaxResults, 1, maxListed, maxListed)
		if err != nil {
			return nil, err
		}
		match, err := commandFilters(in.Filters, true)
		if err != nil {
			return nil, err
		}
		for _, f := range in.Filters {
			if in.InstanceId != nil && f.Key == ssmtypes.CommandFilterKeyStatus && aws.ToString(f.Value) == statusPending {
				return nil, &ssmtypes.InvalidFilterKey{Message: aws.String("InstanceId cannot be combined with Status Pending")}
			}
		}
		f := s.fleet()
		newest := len(f.commands) - 1
		if in.CommandId != nil {
			c, err := s.command(in.CommandId)
			if err != nil {
				return nil, err
			}
			newest = c.seq
		}
		if in.NextToken != nil {
			if newest, err = untoken("ListCommands", *in.NextToken); err != nil {
				return nil, err
			}
		}
		out := &ssm.ListCommandsOutput{}
		for n := min(newest, len(f.commands)-1); n >= 0; n-- {
			c := f.commands[n]
			if in.CommandId != nil && c.id != *in.CommandId {
				break
			}
			if in.InstanceId != nil && c.byInstance[*in.InstanceId] == nil || s.w.Now().Before(c.visible) {
				continue
			}
			status, detail := c.state()
			if !match(c, status, detail) {
				continue
			}
			if len(out.Commands) == size {
				out.NextToken = aws.String(tokenOf("ListCommands", n))
				break
			}
			out.Commands = append(out.Commands, *c.describe())
		}
		return out, nil
	})
}

// ListCommandInvocations lists invocations, command by command, newest command first.
// Rows of a fresh command appear late and one after the other. Source: B:ListCommandInvocations; aws-facts 2.5.
func (s *SSM) ListCommandInvocations(ctx context.Context, in *ssm.ListCommandInvocationsInput, _ ...func(*ssm.Options)) (*ssm.ListCommandInvocationsOutput, error) {
	return do(ctx, s.w, s.call("ListCommandInvocations", false, in), func() (*ssm.ListCommandInvocationsOutput, error) {
		size, err := maxResults(in.MaxResults, 1, maxListed, maxListed)
		if err != nil {
			return nil, err
		}
		match, err := commandFilters(in.Filters, false)
		if err != nil {
			return nil, err
		}
		f := s.fleet()
		commands := f.commands
		if in.CommandId != nil {
			c, err := s.command(in.CommandId)
			if err != nil {
				return nil, err
			}
			commands = []*command{c}
		}
		skip := 0
		if in.NextToken != nil {
			if skip, err = untoken("ListCommandInvocations", *in.NextToken); err != nil {
				return nil, err
			}
		}
		out := &ssm.ListCommandInvocationsOutput{}
		at := 0 // counts hidden rows too, so that a token stays where it was
		for n := len(commands) - 1; n >= 0; n-- {
			for _, inv := range commands[n].invs {
				at++
				hidden := s.w.Now().Before(inv.visible) || in.InstanceId != nil && inv.inst.ID != *in.InstanceId
				if at <= skip || hidden || !match(inv.cmd, inv.status, inv.detail) {
					continue
				}
				if len(out.CommandInvocations) == size {
					out.NextToken = aws.String(tokenOf("ListCommandInvocations", at-1))
					return out, nil
				}
				out.CommandInvocations = append(out.CommandInvocations, inv.describe(in.Details))
			}
		}
		return out, nil
	})
}

// GetCommandInvocation returns one invocation. As the document has several
// steps, its output needs PluginName. Source: B:GetCommandInvocation.
func (s *SSM) GetCommandInvocation(ctx context.Context, in *ssm.GetCommandInvocationInput, _ ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error) {
	return do(ctx, s.w, s.call("GetCommandInvocation", false, in), func() (*ssm.GetCommandInvocationOutput, error) {
		if in.CommandId == nil || in.InstanceId == nil {
			return nil, invalid("commandId, instanceId", "a value")
		}
		c, err := s.command(in.CommandId)
		if err != nil {
			return nil, err
		}
		inv, ok := c.byInstance[*in.InstanceId]
		if !ok || s.w.Now().Before(inv.visible) {
			return nil, &ssmtypes.InvocationDoesNotExist{}
		}
		out := &ssm.GetCommandInvocationOutput{
			CommandId: aws.String(c.id), InstanceId: in.InstanceId, PluginName: in.PluginName,
			Comment: aws.String(c.request.comment), DocumentName: aws.String(c.request.document), DocumentVersion: aws.String(c.request.version),
			ResponseCode: -1, Status: ssmtypes.CommandInvocationStatus(inv.status), StatusDetails: aws.String(inv.detail),
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
		return nil, invalid("filters", "length less than or equal to 5")
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
			return nil, apiError("InvalidFilterValue", "%s is not an ISO-8601 time: %s", key, value)
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
