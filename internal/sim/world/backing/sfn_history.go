package backing

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"ec2patch/internal/asl"
)

// GetExecutionHistory lists the events of an execution, page by page.
func (c *SFN) GetExecutionHistory(ctx context.Context, in *sfn.GetExecutionHistoryInput,
	_ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	input := *in
	wrong := c.execution(in.ExecutionArn)
	if wrong == nil {
		wrong = checkPage(in.MaxResults, in.NextToken)
	}
	return sfnCall(ctx, c, "GetExecutionHistory", false, &input, wrong, []string{deref(in.ExecutionArn)},
		func(e *asl.Engine) (*sfn.GetExecutionHistoryOutput, error) {
			x, err := findExecution(e, *in.ExecutionArn)
			if err != nil {
				return nil, err
			}
			return historyPage(x.History(), in)
		})
}

func historyPage(events []asl.Event, in *sfn.GetExecutionHistoryInput) (*sfn.GetExecutionHistoryOutput, error) {
	if in.ReverseOrder {
		slices.Reverse(events)
	}
	from := 0
	if in.NextToken != nil {
		start, err := pageStart(*in.NextToken, len(events))
		if err != nil {
			return nil, err
		}
		from = start
	}
	to := min(len(events), from+sfnPage(in.MaxResults))
	withData := in.IncludeExecutionData == nil || *in.IncludeExecutionData
	out := &sfn.GetExecutionHistoryOutput{}
	for _, e := range events[from:to] {
		out.Events = append(out.Events, historyEvent(e, withData))
	}
	if to < len(events) {
		out.NextToken = ptr(pageToken(to))
	}
	return out, nil
}

// details reads the details of an event of the engine.
type details struct {
	all      map[string]any
	withData bool
}

func (d details) text(name string) *string {
	s, ok := d.all[name].(string)
	if !ok {
		return nil
	}
	return &s
}

// data is an input or output, nil when the caller asked for none.
func (d details) data(name string) *string {
	raw, ok := d.all[name].(json.RawMessage)
	if !ok || !d.withData {
		return nil
	}
	return ptr(string(raw))
}

func (d details) number(name string) int64 {
	n, _ := d.all[name].(int64)
	return n
}

func (d details) seconds(name string) *int64 {
	n, ok := d.all[name].(int64)
	if !ok {
		return nil
	}
	return &n
}

func notTruncated() *sfntypes.HistoryEventExecutionDataDetails {
	return &sfntypes.HistoryEventExecutionDataDetails{Truncated: false}
}

// historyEvent is an event in the SDK's shape.
func historyEvent(e asl.Event, withData bool) sfntypes.HistoryEvent {
	out := sfntypes.HistoryEvent{Id: e.ID, PreviousEventId: e.PreviousID, Timestamp: ptr(e.Time),
		Type: sfntypes.HistoryEventType(e.Type)}
	d := details{e.Details, withData}
	switch {
	case strings.HasPrefix(e.Type, "Execution"):
		d.execution(&out)
	case strings.HasPrefix(e.Type, "LambdaFunction"):
		d.lambda(&out)
	case strings.HasSuffix(e.Type, "StateEntered"):
		out.StateEnteredEventDetails = &sfntypes.StateEnteredEventDetails{Name: d.text("name"), Input: d.data("input"),
			InputDetails: notTruncated()}
	case strings.HasSuffix(e.Type, "StateExited"):
		out.StateExitedEventDetails = &sfntypes.StateExitedEventDetails{Name: d.text("name"), Output: d.data("output"),
			OutputDetails: notTruncated()}
	case strings.HasPrefix(e.Type, "Map"):
		d.mapped(&out)
	case strings.HasPrefix(e.Type, "Task"):
		d.task(&out)
	}
	return out
}

func (d details) execution(out *sfntypes.HistoryEvent) {
	switch out.Type {
	case sfntypes.HistoryEventTypeExecutionStarted:
		out.ExecutionStartedEventDetails = &sfntypes.ExecutionStartedEventDetails{Input: d.data("input"),
			InputDetails: notTruncated(), RoleArn: d.text("roleArn")}
	case sfntypes.HistoryEventTypeExecutionRedriven:
		out.ExecutionRedrivenEventDetails = &sfntypes.ExecutionRedrivenEventDetails{
			RedriveCount: ptr(int32(d.number("redriveCount"))),
		}
	case sfntypes.HistoryEventTypeExecutionSucceeded:
		out.ExecutionSucceededEventDetails = &sfntypes.ExecutionSucceededEventDetails{Output: d.data("output"),
			OutputDetails: notTruncated()}
	case sfntypes.HistoryEventTypeExecutionFailed:
		out.ExecutionFailedEventDetails = &sfntypes.ExecutionFailedEventDetails{Error: d.text("error"),
			Cause: d.text("cause")}
	case sfntypes.HistoryEventTypeExecutionTimedOut:
		out.ExecutionTimedOutEventDetails = &sfntypes.ExecutionTimedOutEventDetails{Error: d.text("error"),
			Cause: d.text("cause")}
	case sfntypes.HistoryEventTypeExecutionAborted:
		out.ExecutionAbortedEventDetails = &sfntypes.ExecutionAbortedEventDetails{Error: d.text("error"),
			Cause: d.text("cause")}
	}
}

func (d details) lambda(out *sfntypes.HistoryEvent) {
	switch out.Type {
	case sfntypes.HistoryEventTypeLambdaFunctionScheduled:
		out.LambdaFunctionScheduledEventDetails = &sfntypes.LambdaFunctionScheduledEventDetails{
			Resource: d.text("resource"), Input: d.data("input"), InputDetails: notTruncated(),
			TimeoutInSeconds: d.seconds("timeoutInSeconds")}
	case sfntypes.HistoryEventTypeLambdaFunctionSucceeded:
		out.LambdaFunctionSucceededEventDetails = &sfntypes.LambdaFunctionSucceededEventDetails{Output: d.data("output"),
			OutputDetails: notTruncated()}
	case sfntypes.HistoryEventTypeLambdaFunctionFailed:
		out.LambdaFunctionFailedEventDetails = &sfntypes.LambdaFunctionFailedEventDetails{Error: d.text("error"),
			Cause: d.text("cause")}
	case sfntypes.HistoryEventTypeLambdaFunctionTimedOut:
		out.LambdaFunctionTimedOutEventDetails = &sfntypes.LambdaFunctionTimedOutEventDetails{Error: d.text("error"),
			Cause: d.text("cause")}
	}
}

func (d details) mapped(out *sfntypes.HistoryEvent) {
	iteration := &sfntypes.MapIterationEventDetails{Name: d.text("name"), Index: int32(d.number("index"))}
	switch out.Type {
	case sfntypes.HistoryEventTypeMapStateStarted:
		out.MapStateStartedEventDetails = &sfntypes.MapStateStartedEventDetails{Length: int32(d.number("length"))}
	case sfntypes.HistoryEventTypeMapRunStarted:
		out.MapRunStartedEventDetails = &sfntypes.MapRunStartedEventDetails{MapRunArn: d.text("mapRunArn")}
	case sfntypes.HistoryEventTypeMapRunRedriven:
		out.MapRunRedrivenEventDetails = &sfntypes.MapRunRedrivenEventDetails{MapRunArn: d.text("mapRunArn"),
			RedriveCount: ptr(int32(d.number("redriveCount")))}
	case sfntypes.HistoryEventTypeMapRunFailed:
		out.MapRunFailedEventDetails = &sfntypes.MapRunFailedEventDetails{Error: d.text("error"), Cause: d.text("cause")}
	case sfntypes.HistoryEventTypeMapIterationStarted:
		out.MapIterationStartedEventDetails = iteration
	case sfntypes.HistoryEventTypeMapIterationSucceeded:
		out.MapIterationSucceededEventDetails = iteration
	case sfntypes.HistoryEventTypeMapIterationFailed:
		out.MapIterationFailedEventDetails = iteration
	case sfntypes.HistoryEventTypeMapIterationAborted:
		out.MapIterationAbortedEventDetails = iteration
	}
}

func (d details) task(out *sfntypes.HistoryEvent) {
	resource, kind := d.text("resource"), d.text("resourceType")
	switch out.Type {
	case sfntypes.HistoryEventTypeTaskScheduled:
		out.TaskScheduledEventDetails = &sfntypes.TaskScheduledEventDetails{
			Resource: resource, ResourceType: kind, Region: d.text("region"), Parameters: d.data("parameters"),
			TimeoutInSeconds: d.seconds("timeoutInSeconds"), HeartbeatInSeconds: d.seconds("heartbeatInSeconds")}
	case sfntypes.HistoryEventTypeTaskStarted:
		out.TaskStartedEventDetails = &sfntypes.TaskStartedEventDetails{Resource: resource, ResourceType: kind}
	case sfntypes.HistoryEventTypeTaskSubmitted:
		out.TaskSubmittedEventDetails = &sfntypes.TaskSubmittedEventDetails{Resource: resource, ResourceType: kind,
			Output: d.data("output"), OutputDetails: notTruncated()}
	case sfntypes.HistoryEventTypeTaskSucceeded:
		out.TaskSucceededEventDetails = &sfntypes.TaskSucceededEventDetails{Resource: resource, ResourceType: kind,
			Output: d.data("output"), OutputDetails: notTruncated()}
	case sfntypes.HistoryEventTypeTaskFailed:
		out.TaskFailedEventDetails = &sfntypes.TaskFailedEventDetails{Resource: resource, ResourceType: kind,
			Error: d.text("error"), Cause: d.text("cause")}
	case sfntypes.HistoryEventTypeTaskTimedOut:
		out.TaskTimedOutEventDetails = &sfntypes.TaskTimedOutEventDetails{Resource: resource, ResourceType: kind,
			Error: d.text("error"), Cause: d.text("cause")}
	}
}
