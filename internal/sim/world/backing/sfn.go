package backing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"ec2patch/internal/asl"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/dynamo"
)

// MachineSpec declares a state machine that StartExecution can start.
type MachineSpec struct {
	Name    string
	ARN     string
	RoleARN string
	Machine *asl.Machine
}

// machines is the engine behind the Step Functions facade and what it can start.
type machines struct {
	engine *asl.Engine
	specs  []MachineSpec
}

// PlugEngine gives the Step Functions facade its engine. Without one every call
// of it is refused.
func (w *Services) PlugEngine(engine *asl.Engine) { w.machines.engine = engine }

// AddMachine declares a state machine. A machine declared twice is replaced.
func (w *Services) AddMachine(spec MachineSpec) {
	m := &w.machines
	i := slices.IndexFunc(m.specs, func(s MachineSpec) bool { return s.ARN == spec.ARN })
	if i < 0 {
		m.specs = append(m.specs, spec)
		return
	}
	m.specs[i] = spec
}

// SFN is a client of Step Functions in one region. It models executions of
// declared machines; not activities, aliases, versions or express
// executions. Lists are consistent here, in AWS only eventually.
type SFN struct{ seat }

// SFN is a client for a principal.
func (w *Services) SFN(p *core.Principal, region string) *SFN {
	return &SFN{seat{w, p, region, "states"}}
}

// sfnCall runs a call of the facade on the engine; wrong says what is wrong with
// the request itself.
func sfnCall[T any](ctx context.Context, c *SFN, op string, mutating bool, input any, wrong error, resources []string,
	effect func(*asl.Engine) (T, error)) (T, error) {
	call := c.call(op, mutating, input)
	engine := c.w.machines.engine
	if engine == nil {
		wrong = core.Refusal("UnsupportedService", "the simulation has no Step Functions engine")
	}
	if wrong != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[T](wrong))
	}
	call.Access = []core.Access{{Action: "states:" + op, Resources: resources}}
	return core.Do(ctx, c.w.Core, call, func() (T, error) {
		out, err := effect(engine)
		return out, sfnError(err)
	})
}

// sfnError gives an error of the engine its SDK type.
func sfnError(err error) error {
	var api asl.APIError
	if !errors.As(err, &api) {
		return err
	}
	text := &api.Message
	switch api.Code {
	case "TaskTimedOut":
		return &sfntypes.TaskTimedOut{Message: text}
	case "TaskDoesNotExist":
		return &sfntypes.TaskDoesNotExist{Message: text}
	case "InvalidToken":
		return &sfntypes.InvalidToken{Message: text}
	case "InvalidOutput":
		return &sfntypes.InvalidOutput{Message: text}
	case "ExecutionAlreadyExists":
		return &sfntypes.ExecutionAlreadyExists{Message: text}
	case "ExecutionDoesNotExist":
		return &sfntypes.ExecutionDoesNotExist{Message: text}
	case "ExecutionNotRedrivable":
		return &sfntypes.ExecutionNotRedrivable{Message: text}
	case "InvalidName":
		return &sfntypes.InvalidName{Message: text}
	case "InvalidArn":
		return &sfntypes.InvalidArn{Message: text}
	case "InvalidExecutionInput":
		return &sfntypes.InvalidExecutionInput{Message: text}
	}
	return core.Refusal(api.Code, "%s", api.Message)
}

// mine tells whether an ARN is one of the client's account and region.
func (c *SFN) mine(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	return len(parts) == 6 && parts[2] == "states" && parts[3] == c.region && parts[4] == c.principal.Account
}

func (c *SFN) machine(arn *string) (MachineSpec, error) {
	i := slices.IndexFunc(c.w.machines.specs, func(s MachineSpec) bool { return s.ARN == deref(arn) })
	if i < 0 || !c.mine(deref(arn)) {
		return MachineSpec{},
			&sfntypes.StateMachineDoesNotExist{Message: ptr("State Machine Does Not Exist: '" + deref(arn) + "'")}
	}
	return c.w.machines.specs[i], nil
}

// StartExecution starts an execution. It is idempotent for a running execution
// of the same name and input. Source: B:StartExecution.
func (c *SFN) StartExecution(ctx context.Context, in *sfn.StartExecutionInput,
	_ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	input := *in
	wrong := unsupported("StartExecution", param{"TraceHeader", in.TraceHeader != nil})
	m, err := c.machine(in.StateMachineArn)
	wrong = cmp.Or(wrong, err)
	return sfnCall(ctx, c, "StartExecution", true, &input, wrong, []string{m.ARN},
		func(e *asl.Engine) (*sfn.StartExecutionOutput, error) {
			x, err := e.Start(asl.StartInput{
				Machine: m.Machine, MachineARN: m.ARN, MachineName: m.Name, RoleARN: m.RoleARN,
				Name: deref(in.Name), Input: json.RawMessage(deref(in.Input)),
			})
			if err != nil {
				return nil, err
			}
			return &sfn.StartExecutionOutput{ExecutionArn: ptr(x.ARN), StartDate: ptr(x.Start)}, nil
		})
}

// Limits of an error's name and cause. Source: B:SendTaskFailureInput, StopExecutionInput.
const (
	maxErrorName = 256
	maxCause     = 32_768
)

func checkFailure(errorName, cause *string) error {
	if len(deref(errorName)) > maxErrorName || len(deref(cause)) > maxCause {
		return core.Refusal("ValidationException",
			"1 validation error detected: error must have at most %d and cause at most %d characters", maxErrorName, maxCause)
	}
	return nil
}

// execution checks the ARN of an execution.
func (c *SFN) execution(arn *string) error {
	if !c.mine(deref(arn)) || !strings.Contains(*arn, ":execution:") {
		return &sfntypes.InvalidArn{Message: ptr("Invalid Arn: '" + deref(arn) + "'")}
	}
	return nil
}

func findExecution(e *asl.Engine, arn string) (*asl.Execution, error) {
	x, ok := e.Execution(arn)
	if !ok {
		return nil, &sfntypes.ExecutionDoesNotExist{Message: ptr("Execution Does Not Exist: '" + arn + "'")}
	}
	return x, nil
}

// StopExecution aborts an execution; one that is closed stays as it is.
func (c *SFN) StopExecution(ctx context.Context, in *sfn.StopExecutionInput,
	_ ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error) {
	input := *in
	wrong := cmp.Or(c.execution(in.ExecutionArn), checkFailure(in.Error, in.Cause))
	return sfnCall(ctx, c, "StopExecution", true, &input, wrong, []string{deref(in.ExecutionArn)},
		func(e *asl.Engine) (*sfn.StopExecutionOutput, error) {
			x, err := findExecution(e, *in.ExecutionArn)
			if err != nil {
				return nil, err
			}
			if err := e.Stop(x.ARN, deref(in.Error), deref(in.Cause)); err != nil {
				return nil, err
			}
			stopped := x.Stop
			if stopped.IsZero() {
				stopped = c.w.Now() // asked for in the middle of one of its own steps
			}
			return &sfn.StopExecutionOutput{StopDate: &stopped}, nil
		})
}

// RedriveExecution lets an execution that did not succeed go on where it stopped.
// A client token is accepted, and changes nothing: a second redrive of what runs
// is refused anyway.
func (c *SFN) RedriveExecution(ctx context.Context, in *sfn.RedriveExecutionInput,
	_ ...func(*sfn.Options)) (*sfn.RedriveExecutionOutput, error) {
	input := *in
	return sfnCall(ctx, c, "RedriveExecution", true, &input, c.execution(in.ExecutionArn),
		[]string{deref(in.ExecutionArn)}, func(e *asl.Engine) (*sfn.RedriveExecutionOutput, error) {
			if err := e.Redrive(*in.ExecutionArn); err != nil {
				return nil, err
			}
			return &sfn.RedriveExecutionOutput{RedriveDate: ptr(c.w.Now())}, nil
		})
}

// describeLag is how long an execution that has ended is still shown as running.
// DescribeExecution is eventually consistent and no figure is published; the
// event of the end comes sooner. Source: SFN API, DescribeExecution, read 2026-11.
const describeLag = 5 * time.Second

// DescribeExecution tells all about an execution but its history.
func (c *SFN) DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput,
	_ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	input := *in
	return sfnCall(ctx, c, "DescribeExecution", false, &input, c.execution(in.ExecutionArn),
		[]string{deref(in.ExecutionArn)},
		func(e *asl.Engine) (*sfn.DescribeExecutionOutput, error) {
			x, err := findExecution(e, *in.ExecutionArn)
			if err != nil {
				return nil, err
			}
			out := &sfn.DescribeExecutionOutput{
				ExecutionArn: ptr(x.ARN), StateMachineArn: ptr(x.MachineARN), Name: ptr(x.Name),
				MapRunArn: core.Optional(x.MapRunARN),
				Status:    sfntypes.ExecutionStatus(x.Status), StartDate: ptr(x.Start), StopDate: moment(x.Stop),
				Error: core.Optional(x.Error), Cause: core.Optional(x.Cause), RedriveCount: ptr(int32(x.Redrives)),
				RedriveDate: moment(x.Redriven),
			}
			if !x.Stop.IsZero() && c.w.Now().Sub(x.Stop) < describeLag {
				out.Status, out.StopDate, out.Error, out.Cause = sfntypes.ExecutionStatusRunning, nil, nil, nil
			}
			if in.IncludedData == sfntypes.IncludedDataMetadataOnly {
				return out, nil
			}
			out.Input, out.InputDetails = ptr(string(x.Input)), &sfntypes.CloudWatchEventsExecutionDataDetails{Included: true}
			if x.Output != nil && out.StopDate != nil {
				out.Output, out.OutputDetails = ptr(string(x.Output)),
					&sfntypes.CloudWatchEventsExecutionDataDetails{Included: true}
			}
			return out, nil
		})
}

// moment is a time, nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Lengths of a page. Source: B:stepfunctions/PageSize: 0 means 100, at most 1,000.
const (
	defaultPage = 100
	longestPage = 1000
)

func checkPage(size int32, token *string) error {
	if size < 0 || size > longestPage {
		return core.Refusal("ValidationException",
			"1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value "+
				"between 0 and %d", size, longestPage)
	}
	if token == nil {
		return nil
	}
	_, err := pageStart(*token, 1<<30)
	return err
}

func sfnPage(size int32) int {
	if size == 0 {
		return defaultPage
	}
	return int(size)
}

// ListExecutions lists the executions of a machine or of a Map Run, newest first.
func (c *SFN) ListExecutions(ctx context.Context, in *sfn.ListExecutionsInput,
	_ ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	input := *in
	wrong := cmp.Or(unsupported("ListExecutions", param{"RedriveFilter", in.RedriveFilter != ""}),
		checkPage(in.MaxResults, in.NextToken))
	if (in.StateMachineArn == nil) == (in.MapRunArn == nil) {
		wrong = cmp.Or(wrong, dynamo.Invalid("Exactly one of StateMachineArn and MapRunArn must be given"))
	}
	resource := deref(in.MapRunArn)
	if in.StateMachineArn != nil {
		m, err := c.machine(in.StateMachineArn)
		wrong, resource = cmp.Or(wrong, err), m.ARN
	} else {
		resource = mapRunMachine(resource)
	}
	return sfnCall(ctx, c, "ListExecutions", false, &input, wrong, []string{resource},
		func(e *asl.Engine) (*sfn.ListExecutionsOutput, error) {
			return listExecutions(e.Executions(), in)
		})
}

// mapRunMachine is the machine of a Map Run, from …:mapRun:MACHINE/LABEL:ID.
func mapRunMachine(arn string) string {
	head, rest, _ := strings.Cut(arn, ":mapRun:")
	name, _, _ := strings.Cut(rest, "/")
	return head + ":stateMachine:" + name
}

// listExecutions walks backwards. The token counts from the oldest execution, so
// that new ones do not shift the pages.
func listExecutions(all []*asl.Execution, in *sfn.ListExecutionsInput) (*sfn.ListExecutionsOutput, error) {
	from := len(all)
	if in.NextToken != nil {
		start, err := pageStart(*in.NextToken, len(all))
		if err != nil {
			return nil, err
		}
		from = start
	}
	out := &sfn.ListExecutionsOutput{}
	for i := from - 1; i >= 0; i-- {
		x := all[i]
		if !listed(x, in) {
			continue
		}
		if len(out.Executions) == sfnPage(in.MaxResults) {
			out.NextToken = ptr(pageToken(i + 1))
			break
		}
		out.Executions = append(out.Executions, sfntypes.ExecutionListItem{
			ExecutionArn: ptr(x.ARN), Name: ptr(x.Name), StateMachineArn: ptr(x.MachineARN),
			MapRunArn: core.Optional(x.MapRunARN),
			Status:    sfntypes.ExecutionStatus(x.Status), StartDate: ptr(x.Start), StopDate: moment(x.Stop),
			RedriveCount: ptr(int32(x.Redrives)), RedriveDate: moment(x.Redriven),
		})
	}
	return out, nil
}

func listed(x *asl.Execution, in *sfn.ListExecutionsInput) bool {
	if in.StatusFilter != "" && string(in.StatusFilter) != string(x.Status) {
		return false
	}
	if in.MapRunArn != nil {
		return x.MapRunARN == *in.MapRunArn
	}
	return x.MapRunARN == "" && x.MachineARN == *in.StateMachineArn
}

// tokenResources are what SendTask* is judged on: the machine. Nobody can tell
// from outside to which machine a token belongs, so every machine of the account
// and region that gives tokens out must be allowed.
func (c *SFN) tokenResources() []string {
	var arns []string
	for _, s := range c.w.machines.specs {
		if c.mine(s.ARN) && givesTokens(s.Machine) {
			arns = append(arns, s.ARN)
		}
	}
	if len(arns) == 0 {
		return []string{"*"}
	}
	return arns
}

// givesTokens tells whether a machine has a task that waits for its token.
func givesTokens(m *asl.Machine) bool {
	return m == nil || slices.ContainsFunc(m.Resources(), func(r string) bool {
		return strings.HasSuffix(r, ".waitForTaskToken")
	})
}

// maxTaskToken is the length of a task token. Source: B:TaskToken.
const maxTaskToken = 2048

func checkTaskToken(token *string) error {
	if n := len(deref(token)); n == 0 || n > maxTaskToken {
		return core.Refusal("ValidationException",
			"1 validation error detected: Value at 'taskToken' failed to satisfy constraint: Member must have length between "+
				"1 and %d", maxTaskToken)
	}
	return nil
}

// SendTaskSuccess ends a task that waits for its token.
func (c *SFN) SendTaskSuccess(ctx context.Context, in *sfn.SendTaskSuccessInput,
	_ ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	input := *in
	return sfnCall(ctx, c, "SendTaskSuccess", true, &input, checkTaskToken(in.TaskToken), c.tokenResources(),
		func(e *asl.Engine) (*sfn.SendTaskSuccessOutput, error) {
			return &sfn.SendTaskSuccessOutput{}, e.SendTaskSuccess(*in.TaskToken, json.RawMessage(deref(in.Output)))
		})
}

// SendTaskFailure ends a task that waits for its token with an error.
func (c *SFN) SendTaskFailure(ctx context.Context, in *sfn.SendTaskFailureInput,
	_ ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error) {
	input := *in
	wrong := cmp.Or(checkTaskToken(in.TaskToken), checkFailure(in.Error, in.Cause))
	return sfnCall(ctx, c, "SendTaskFailure", true, &input, wrong, c.tokenResources(),
		func(e *asl.Engine) (*sfn.SendTaskFailureOutput, error) {
			return &sfn.SendTaskFailureOutput{}, e.SendTaskFailure(*in.TaskToken, deref(in.Error), deref(in.Cause))
		})
}

// SendTaskHeartbeat tells that a task that waits for its token is still alive.
func (c *SFN) SendTaskHeartbeat(ctx context.Context, in *sfn.SendTaskHeartbeatInput,
	_ ...func(*sfn.Options)) (*sfn.SendTaskHeartbeatOutput, error) {
	input := *in
	return sfnCall(ctx, c, "SendTaskHeartbeat", true, &input, checkTaskToken(in.TaskToken), c.tokenResources(),
		func(e *asl.Engine) (*sfn.SendTaskHeartbeatOutput, error) {
			return &sfn.SendTaskHeartbeatOutput{}, e.SendTaskHeartbeat(*in.TaskToken)
		})
}
