package backing_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
)

const machineARN = "arn:aws:states:us-east-1:111111111111:stateMachine:orchestrator"

// asker is a host of the engine on a world's clock; it keeps the tokens it is given.
type asker struct {
	w      *world.World
	uuids  int
	tokens []string
}

func (h *asker) Now() time.Time { return h.w.Now() }

func (h *asker) After(d time.Duration, f func()) func() { return h.w.After(d, f) }

func (h *asker) Rand() *rand.Rand { return h.w.Rand("engine") }

func (h *asker) Authorize(string, string, string) *asl.Failure { return nil }

func (h *asker) UUID() string {
	h.uuids++
	return fmt.Sprintf("00000000-0000-0000-0000-%012d", h.uuids)
}

func (h *asker) Task(c asl.TaskCall, reply func(asl.TaskResult)) {
	h.tokens = append(h.tokens, c.Token)
	reply(asl.TaskResult{Output: json.RawMessage(`{}`)})
}

func (h *asker) GetObject(string, string, string) ([]byte, *asl.Failure) {
	return nil, &asl.Failure{Error: "none"}
}

func (h *asker) PutObject(string, string, string, []byte) *asl.Failure { return nil }

// waiting is a machine that waits for a token at most an hour.
const waiting = `{"StartAt":"Ask","States":{"Ask":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
"Parameters":{"FunctionName":"ask","Payload":{"token.$":"$$.Task.Token"}},"TimeoutSeconds":3600,"End":true}}}`

func newMachine(t *testing.T) (*world.World, *asker, *backing.SFN) {
	t.Helper()
	w, p := newHub()
	root, err := asl.ParseJSON([]byte(waiting))
	require.NoError(t, err)
	machine, err := asl.Load(root)
	require.NoError(t, err)
	h := &asker{w: w}
	w.PlugEngine(asl.NewEngine(h))
	w.AddMachine(backing.MachineSpec{Name: "orchestrator", ARN: machineARN, RoleARN: hubRole, Machine: machine})
	return w, h, w.SFN(p, hubRegion)
}

// shown lets the time pass that DescribeExecution takes to show an end.
func shown(t *testing.T, w *world.World) {
	t.Helper()
	over := false
	w.After(10*time.Second, func() { over = true })
	for !over {
		require.True(t, w.Step())
	}
}

func start(t *testing.T, c *backing.SFN, name, input string) (string, error) {
	t.Helper()
	out,
		err := c.StartExecution(t.Context(),
		&sfn.StartExecutionInput{StateMachineArn: aws.String(machineARN), Name: &name, Input: &input})
	if err != nil {
		return "", err
	}
	return *out.ExecutionArn, nil
}

// Source: B:StartExecution.
func TestSFN_StartExecution(t *testing.T) {
	w, _, c := newMachine(t)
	arn, err := start(t, c, "run", `{"a":1}`)
	require.NoError(t, err)
	again, err := start(t, c, "run", `{"a":1}`)
	require.NoError(t, err, "same name and input of a running execution")
	require.Equal(t, arn, again)
	_, err = start(t, c, "run", `{"a":2}`)
	var exists *sfntypes.ExecutionAlreadyExists
	require.ErrorAs(t, err, &exists)
	_, err = start(t, c, "a b", `{}`)
	var name *sfntypes.InvalidName
	require.ErrorAs(t, err, &name)
	_, err = start(t, c, "bad", `{`)
	var input *sfntypes.InvalidExecutionInput
	require.ErrorAs(t, err, &input)
	_, err = c.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(machineARN + "2")})
	var unknown *sfntypes.StateMachineDoesNotExist
	require.ErrorAs(t, err, &unknown)
	require.Len(t, w.Ledger.Mutating, 2)
}

// Source: B:stepfunctions operation error lists.
func TestSFN_TaskToken(t *testing.T) {
	w, h, c := newMachine(t)
	arn, err := start(t, c, "run", `{}`)
	require.NoError(t, err)
	for len(h.tokens) == 0 {
		require.True(t, w.Step())
	}
	token := aws.String(h.tokens[0])
	_, err = c.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: token})
	require.NoError(t, err)
	_, err = c.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: token, Output: aws.String("{")})
	var output *sfntypes.InvalidOutput
	require.ErrorAs(t, err, &output)
	_,
		err = c.SendTaskSuccess(t.Context(),
		&sfn.SendTaskSuccessInput{TaskToken: aws.String("forged"), Output: aws.String("{}")})
	var invalid *sfntypes.InvalidToken
	require.ErrorAs(t, err, &invalid)
	_,
		err = c.SendTaskFailure(t.Context(),
		&sfn.SendTaskFailureInput{TaskToken: token, Error: aws.String(strings.Repeat("x", 257))})
	requireCode(t, "ValidationException", err)
	_, err = c.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: token, Output: aws.String(`{"yes":true}`)})
	require.NoError(t, err)
	_, err = c.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: token})
	var closed *sfntypes.TaskTimedOut
	require.ErrorAs(t, err, &closed, "a second click")
	require.Contains(t, err.Error(), "Provided task does not exist anymore")

	shown(t, w)
	got, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	require.NoError(t, err)
	require.Equal(t, sfntypes.ExecutionStatusSucceeded, got.Status)
	require.JSONEq(t, `{"yes":true}`, *got.Output)
	require.NotNil(t, got.StopDate)
}

func TestSFN_StopAndList(t *testing.T) {
	w, _, c := newMachine(t)
	var arns []string
	for i := range 5 {
		arn, err := start(t, c, fmt.Sprintf("run%d", i), `{}`)
		require.NoError(t, err)
		arns = append(arns, arn)
	}
	_,
		err := c.StopExecution(t.Context(),
		&sfn.StopExecutionInput{ExecutionArn: &arns[1], Error: aws.String("Patch.Aborted"), Cause: aws.String("by hand")})
	require.NoError(t, err)
	got, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arns[1]})
	require.NoError(t, err)
	require.Equal(t, sfntypes.ExecutionStatusRunning, got.Status, "it takes its time to show")
	require.Nil(t, got.StopDate)
	shown(t, w)
	got, err = c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arns[1]})
	require.NoError(t, err)
	require.Equal(t, sfntypes.ExecutionStatusAborted, got.Status)
	require.Equal(t, "Patch.Aborted", *got.Error)

	var names []string
	in := &sfn.ListExecutionsInput{StateMachineArn: aws.String(machineARN), StatusFilter: sfntypes.ExecutionStatusRunning,
		MaxResults: 2}
	for range 3 {
		out, err := c.ListExecutions(t.Context(), in)
		require.NoError(t, err)
		for _, x := range out.Executions {
			names = append(names, *x.Name)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
		if len(names) == 2 {
			_, err = start(t, c, "later", `{}`)
			require.NoError(t, err)
		}
	}
	require.Equal(t, []string{"run4", "run3", "run2", "run0"}, names, "newest first; a new execution shifts no page")

	_, err = c.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: aws.String(arns[0] + "x")})
	var unknown *sfntypes.ExecutionDoesNotExist
	require.ErrorAs(t, err, &unknown)
	_,
		err = c.ListExecutions(t.Context(),
		&sfn.ListExecutionsInput{StateMachineArn: aws.String(machineARN), MaxResults: 1001})
	requireCode(t, "ValidationException", err)
}

func TestSFN_GetExecutionHistory(t *testing.T) {
	_, _, c := newMachine(t)
	arn, err := start(t, c, "run", `{"a":1}`)
	require.NoError(t, err)
	_, err = c.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn, Cause: aws.String("by hand")})
	require.NoError(t, err)
	var all []sfntypes.HistoryEvent
	in := &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 2}
	for range 20 {
		out, err := c.GetExecutionHistory(t.Context(), in)
		require.NoError(t, err)
		require.LessOrEqual(t, len(out.Events), 2)
		all = append(all, out.Events...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	require.Equal(t, sfntypes.HistoryEventTypeExecutionStarted, all[0].Type)
	require.JSONEq(t, `{"a":1}`, *all[0].ExecutionStartedEventDetails.Input)
	require.Equal(t, "Ask", *all[1].StateEnteredEventDetails.Name)
	require.Equal(t, "invoke.waitForTaskToken", *all[2].TaskScheduledEventDetails.Resource)
	last := all[len(all)-1]
	require.Equal(t, "by hand", *last.ExecutionAbortedEventDetails.Cause)

	out,
		err := c.GetExecutionHistory(t.Context(),
		&sfn.GetExecutionHistoryInput{ExecutionArn: &arn, ReverseOrder: true, IncludeExecutionData: aws.Bool(false)})
	require.NoError(t, err)
	require.Equal(t, last.Id, out.Events[0].Id)
	require.Nil(t, out.Events[len(out.Events)-1].ExecutionStartedEventDetails.Input)
}

func TestSFN_Permissions(t *testing.T) {
	_, _, c := newMachine(t)
	_, err := start(t, c, "run", `{}`)
	require.NoError(t, err)
	w, p := newJudgedHub(t, allow(`"states:StartExecution"`, `"`+machineARN+`"`, ""))
	w.PlugEngine(asl.NewEngine(&asker{w: w}))
	w.AddMachine(backing.MachineSpec{ARN: machineARN})
	_,
		err = w.SFN(p, hubRegion).SendTaskSuccess(t.Context(),
		&sfn.SendTaskSuccessInput{TaskToken: aws.String("x"), Output: aws.String("{}")})
	requireCode(t, "AccessDeniedException", err)
	require.Len(t, w.Ledger.Denied, 1)
}

// mapping is a machine of a distributed map over the items of its input.
const mapping = `{"StartAt":"Accounts","States":{"Accounts":{"Type":"Map","Label":"Accounts","ItemsPath":"$.items","MaxConcurrency":2,
"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"Rest",
"States":{"Rest":{"Type":"Wait","Seconds":60,"End":true}}},"End":true}}}`

// Source: B:stepfunctions/DescribeMapRun, ListMapRuns, ListExecutions.
func TestSFN_MapRun(t *testing.T) {
	w, p := newHub()
	root, err := asl.ParseJSON([]byte(mapping))
	require.NoError(t, err)
	machine, err := asl.Load(root)
	require.NoError(t, err)
	w.PlugEngine(asl.NewEngine(&asker{w: w}))
	w.AddMachine(backing.MachineSpec{Name: "orchestrator", ARN: machineARN, RoleARN: hubRole, Machine: machine})
	c := w.SFN(p, hubRegion)
	arn, err := start(t, c, "run", `{"items":[1,2,3]}`)
	require.NoError(t, err)
	for range 100 {
		if w.Now().Sub(hubStart()) > 30*time.Second || !w.Step() {
			break
		}
		list, err := c.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: aws.String(machineARN)})
		require.NoError(t, err)
		require.Len(t, list.Executions, 1, "children are not listed with the machine's executions")
	}
	runs, err := c.ListMapRuns(t.Context(), &sfn.ListMapRunsInput{ExecutionArn: &arn})
	require.NoError(t, err)
	require.Len(t, runs.MapRuns, 1)
	drain(t, w)
	got, err := c.DescribeMapRun(t.Context(), &sfn.DescribeMapRunInput{MapRunArn: runs.MapRuns[0].MapRunArn})
	require.NoError(t, err)
	require.Equal(t, sfntypes.MapRunStatusSucceeded, got.Status)
	require.EqualValues(t, 3, got.ExecutionCounts.Total)
	require.EqualValues(t, 3, got.ItemCounts.Succeeded)
	require.NotNil(t, got.StopDate)
	children, err := c.ListExecutions(t.Context(), &sfn.ListExecutionsInput{MapRunArn: runs.MapRuns[0].MapRunArn})
	require.NoError(t, err)
	require.Len(t, children.Executions, 3)
	_,
		err = c.DescribeMapRun(t.Context(), &sfn.DescribeMapRunInput{MapRunArn: aws.String(*runs.MapRuns[0].MapRunArn + "x")})
	var unknown *sfntypes.ResourceNotFound
	require.ErrorAs(t, err, &unknown)
}

// Source: B:RedriveExecution; Developer Guide, "Redriving Map Runs".
func TestSFN_Redrive(t *testing.T) {
	w, p := newHub()
	root, err := asl.ParseJSON([]byte(mapping))
	require.NoError(t, err)
	machine, err := asl.Load(root)
	require.NoError(t, err)
	w.PlugEngine(asl.NewEngine(&asker{w: w}))
	w.AddMachine(backing.MachineSpec{Name: "orchestrator", ARN: machineARN, RoleARN: hubRole, Machine: machine})
	c := w.SFN(p, hubRegion)
	arn, err := start(t, c, "run", `{"items":[1,2,3]}`)
	require.NoError(t, err)
	_, err = c.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn})
	var refused *sfntypes.ExecutionNotRedrivable
	require.ErrorAs(t, err, &refused, "it runs")
	for w.Now().Sub(hubStart()) < time.Minute && w.Step() {
	}
	_, err = c.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn})
	require.NoError(t, err)
	_, err = c.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn})
	require.NoError(t, err)
	runs, err := c.ListMapRuns(t.Context(), &sfn.ListMapRunsInput{ExecutionArn: &arn})
	require.NoError(t, err)
	require.Len(t, runs.MapRuns, 1)
	run, err := c.DescribeMapRun(t.Context(), &sfn.DescribeMapRunInput{MapRunArn: runs.MapRuns[0].MapRunArn})
	require.NoError(t, err)
	require.Equal(t, sfntypes.MapRunStatusRunning, run.Status)
	require.Nil(t, run.StopDate)
	drain(t, w)

	shown(t, w)
	got, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	require.NoError(t, err)
	require.Equal(t, sfntypes.ExecutionStatusSucceeded, got.Status)
	require.EqualValues(t, 1, *got.RedriveCount)
	require.NotNil(t, got.RedriveDate)
	run, err = c.DescribeMapRun(t.Context(), &sfn.DescribeMapRunInput{MapRunArn: runs.MapRuns[0].MapRunArn})
	require.NoError(t, err)
	require.Equal(t, sfntypes.MapRunStatusSucceeded, run.Status)
	require.EqualValues(t, 1, *run.RedriveCount)
	require.EqualValues(t, 3, run.ExecutionCounts.Succeeded)
	history, err := c.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	require.NoError(t, err)
	var counts []int32
	for _, e := range history.Events {
		if d := e.ExecutionRedrivenEventDetails; d != nil {
			counts = append(counts, *d.RedriveCount)
		}
		if d := e.MapRunRedrivenEventDetails; d != nil {
			require.Equal(t, runs.MapRuns[0].MapRunArn, d.MapRunArn)
			counts = append(counts, *d.RedriveCount)
		}
	}
	require.Equal(t, []int32{1, 1}, counts)
}
