package backing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"ec2patch/internal/asl"
)

// mapRun is a Map Run as the history of its execution tells it.
type mapRun struct {
	arn    string
	parent *asl.Execution
	start  time.Time
	stop   time.Time // zero while it runs
	status sfntypes.MapRunStatus
	items  int64 // known at the start; 0 when an ItemReader reads them

	redrives int64
}

// mapRuns are the Map Runs of an execution in the order of their start.
func mapRuns(x *asl.Execution) []*mapRun {
	var runs []*mapRun
	byEvent := map[int64]*mapRun{}
	items := map[int64]int64{} // by the event that told the number
	for _, e := range x.History() {
		d := details{e.Details, false}
		run := byEvent[e.PreviousID]
		switch {
		case e.Type == "MapStateStarted":
			items[e.ID] = d.number("length")
		case e.Type == "MapRunStarted":
			run = &mapRun{arn: deref(d.text("mapRunArn")), parent: x, start: e.Time, status: sfntypes.MapRunStatusRunning,
				items: items[e.PreviousID]}
			byEvent[e.ID] = run
			runs = append(runs, run)
		case e.Type == "MapRunRedriven":
			i := slices.IndexFunc(runs, func(r *mapRun) bool { return r.arn == deref(d.text("mapRunArn")) })
			runs[i].stop, runs[i].status, runs[i].redrives = time.Time{}, sfntypes.MapRunStatusRunning, d.number("redriveCount")
			byEvent[e.ID] = runs[i]
		case run != nil && strings.HasPrefix(e.Type, "MapRun"):
			run.stop = e.Time
			run.status = sfntypes.MapRunStatus(strings.ToUpper(strings.TrimPrefix(e.Type, "MapRun")))
		}
	}
	return runs
}

// ListMapRuns lists the Map Runs of an execution, page by page.
func (c *SFN) ListMapRuns(ctx context.Context, in *sfn.ListMapRunsInput,
	_ ...func(*sfn.Options)) (*sfn.ListMapRunsOutput, error) {
	input := *in
	wrong := c.execution(in.ExecutionArn)
	if wrong == nil {
		wrong = checkPage(in.MaxResults, in.NextToken)
	}
	return sfnCall(ctx, c, "ListMapRuns", false, &input, wrong, []string{deref(in.ExecutionArn)},
		func(e *asl.Engine) (*sfn.ListMapRunsOutput, error) {
			x, err := findExecution(e, *in.ExecutionArn)
			if err != nil {
				return nil, err
			}
			runs := mapRuns(x)
			from := 0
			if in.NextToken != nil {
				if from, err = pageStart(*in.NextToken, len(runs)); err != nil {
					return nil, err
				}
			}
			to := min(len(runs), from+sfnPage(in.MaxResults))
			out := &sfn.ListMapRunsOutput{}
			for _, r := range runs[from:to] {
				out.MapRuns = append(out.MapRuns, sfntypes.MapRunListItem{
					ExecutionArn: ptr(x.ARN), MapRunArn: ptr(r.arn), StateMachineArn: ptr(x.MachineARN), StartDate: ptr(r.start),
					StopDate: moment(r.stop),
				})
			}
			if to < len(runs) {
				out.NextToken = ptr(pageToken(to))
			}
			return out, nil
		})
}

// DescribeMapRun counts the children of a Map Run. Items that an ItemReader has
// not handed out yet are not counted as pending; the run's concurrency and its
// tolerated failures are not modelled and read 0.
func (c *SFN) DescribeMapRun(ctx context.Context, in *sfn.DescribeMapRunInput,
	_ ...func(*sfn.Options)) (*sfn.DescribeMapRunOutput, error) {
	input := *in
	var wrong error
	if !c.mine(deref(in.MapRunArn)) || !strings.Contains(*in.MapRunArn, ":mapRun:") {
		wrong = &sfntypes.InvalidArn{Message: ptr("Invalid Arn: '" + deref(in.MapRunArn) + "'")}
	}
	return sfnCall(ctx, c, "DescribeMapRun", false, &input, wrong, []string{deref(in.MapRunArn)},
		func(e *asl.Engine) (*sfn.DescribeMapRunOutput, error) {
			all := e.Executions()
			run := findMapRun(all, *in.MapRunArn)
			if run == nil {
				return nil,
					&sfntypes.ResourceNotFound{Message: ptr("Map Run Does Not Exist: '" + *in.MapRunArn + "'"),
						ResourceName: in.MapRunArn}
			}
			counts := run.count(all)
			return &sfn.DescribeMapRunOutput{
				ExecutionArn: ptr(run.parent.ARN), MapRunArn: in.MapRunArn, Status: run.status, StartDate: ptr(run.start),
				StopDate:        moment(run.stop),
				ExecutionCounts: counts, ItemCounts: ptr(sfntypes.MapRunItemCounts(*counts)),
				RedriveCount: ptr(int32(run.redrives)),
			}, nil
		})
}

func findMapRun(all []*asl.Execution, arn string) *mapRun {
	for _, x := range all {
		runs := mapRuns(x)
		if i := slices.IndexFunc(runs, func(r *mapRun) bool { return r.arn == arn }); i >= 0 {
			return runs[i]
		}
	}
	return nil
}

func (r *mapRun) count(all []*asl.Execution) *sfntypes.MapRunExecutionCounts {
	n := &sfntypes.MapRunExecutionCounts{}
	started := int64(0)
	for _, x := range all {
		if x.MapRunARN != r.arn {
			continue
		}
		started++
		switch x.Status {
		case asl.Running:
			n.Running++
		case asl.Succeeded:
			n.Succeeded++
		case asl.Failed:
			n.Failed++
		case asl.TimedOut:
			n.TimedOut++
		case asl.Aborted:
			n.Aborted++
		}
	}
	n.Total = max(started, r.items)
	if r.stop.IsZero() {
		n.Pending = n.Total - started
	}
	return n
}
