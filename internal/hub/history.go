package hub

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"ec2patch/internal/follow"
)

const (
	// historyPage is the most that one call returns. Source: GetExecutionHistory, read 2026-11.
	historyPage = 1000
	// newest is how many events a look at a run asks for: more than a minute brings.
	newest = 60
	// maxPages bounds a look: no history is longer. Source: Step Functions quotas, 25,000 events, read 2026-11.
	maxPages = 25_000/newest + 1
)

// Events gives the events of a run after one of them (0: all), oldest first.
// The newest are asked for first, so that a look at a run costs one call.
func (c *Client) Events(ctx context.Context, run string, after int64) ([]follow.Event, error) {
	in := &sfn.GetExecutionHistoryInput{
		ExecutionArn: aws.String(c.Machine.Execution(run)), ReverseOrder: true, MaxResults: newest,
		IncludeExecutionData: aws.Bool(true),
	}
	if after == 0 {
		in.MaxResults = historyPage
	}
	var all []follow.Event
	for range maxPages {
		out, err := c.States.GetExecutionHistory(ctx, in)
		if err != nil {
			return nil, wrap(err, "read the history of run %s", run)
		}
		seen := false
		for _, e := range out.Events {
			if e.Id > after {
				all = append(all, event(e))
			} else {
				seen = true
			}
		}
		if seen || out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
	}
	slices.SortFunc(all, func(a, b follow.Event) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// event keeps what a follower reads. A task's parameters are not among it: those
// of an approval hold its token.
func event(e sfntypes.HistoryEvent) follow.Event {
	out := follow.Event{ID: e.Id, At: aws.ToTime(e.Timestamp).UTC(), Type: string(e.Type)}
	switch {
	case e.StateEnteredEventDetails != nil:
		out.State, out.Data = aws.ToString(e.StateEnteredEventDetails.Name), aws.ToString(e.StateEnteredEventDetails.Input)
	case e.StateExitedEventDetails != nil:
		out.State, out.Data = aws.ToString(e.StateExitedEventDetails.Name), aws.ToString(e.StateExitedEventDetails.Output)
	case e.TaskSucceededEventDetails != nil:
		out.Data = aws.ToString(e.TaskSucceededEventDetails.Output)
	case e.TaskSubmittedEventDetails != nil:
		out.Data = aws.ToString(e.TaskSubmittedEventDetails.Output)
	case e.MapRunStartedEventDetails != nil:
		out.MapRun = aws.ToString(e.MapRunStartedEventDetails.MapRunArn)
	case e.ExecutionFailedEventDetails != nil:
		out.Error, out.Cause = aws.ToString(e.ExecutionFailedEventDetails.Error),
			aws.ToString(e.ExecutionFailedEventDetails.Cause)
	case e.ExecutionAbortedEventDetails != nil:
		out.Error, out.Cause = aws.ToString(e.ExecutionAbortedEventDetails.Error),
			aws.ToString(e.ExecutionAbortedEventDetails.Cause)
	case e.ExecutionTimedOutEventDetails != nil:
		out.Error, out.Cause = aws.ToString(e.ExecutionTimedOutEventDetails.Error),
			aws.ToString(e.ExecutionTimedOutEventDetails.Cause)
	}
	return out
}
