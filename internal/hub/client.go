package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ec2patch/internal/follow"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// States is what a Client uses of the SDK's Step Functions client.
type States interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput,
		error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput,
		...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error)
	DescribeMapRun(context.Context, *sfn.DescribeMapRunInput, ...func(*sfn.Options)) (*sfn.DescribeMapRunOutput, error)
}

// Bucket is what a Client uses of the SDK's S3 client.
type Bucket interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Callers tells who signs. STS answers to anybody who has credentials.
type Callers interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput,
		error)
}

// Client speaks to one hub in the name of whoever's credentials its SDK clients have.
type Client struct {
	Machine  Machine
	States   States
	Machines Machines
	Alarms   Alarms
	Topics   Topics
	Bucket   Bucket
	Callers  Callers
	Tables   Tables
	Keys     PublicKeys
}

// Execution is how Step Functions sees a run.
type Execution struct {
	Run     string    `json:"run"`
	ARN     string    `json:"executionArn"`
	Status  string    `json:"executionStatus"` // RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Error   string    `json:"error,omitempty"`
	Cause   string    `json:"cause,omitempty"`
}

// Running tells whether the execution has not ended.
func (x Execution) Running() bool {
	return x.Status == string(sfntypes.ExecutionStatusRunning) ||
		x.Status == string(sfntypes.ExecutionStatusPendingRedrive)
}

// Caller is the ARN of the identity that signs.
func (c *Client) Caller(ctx context.Context) (string, error) {
	out, err := c.Callers.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", wrap(err, "ask who signs")
	}
	return aws.ToString(out.Arn), nil
}

// Start starts a run. A second call with the same name and input finds the first
// one's run while that runs. Its error is ErrNameTaken if a run of that name has
// ended, or has another input. Source: StartExecution, read 2026-11.
func (c *Client) Start(ctx context.Context, run string, input []byte) (Execution, error) {
	out,
		err := c.States.StartExecution(ctx,
		&sfn.StartExecutionInput{StateMachineArn: &c.Machine.ARN, Name: &run, Input: aws.String(string(input))})
	if err != nil {
		return Execution{}, wrap(err, "start run %s", run)
	}
	return Execution{Run: run, ARN: aws.ToString(out.ExecutionArn), Status: string(sfntypes.ExecutionStatusRunning),
		Started: aws.ToTime(out.StartDate).UTC()}, nil
}

// Describe tells how a run's execution stands.
func (c *Client) Describe(ctx context.Context, run string) (Execution, error) {
	arn := c.Machine.Execution(run)
	out,
		err := c.States.DescribeExecution(ctx,
		&sfn.DescribeExecutionInput{ExecutionArn: &arn, IncludedData: sfntypes.IncludedDataMetadataOnly})
	if err != nil {
		return Execution{}, wrap(err, "look at run %s", run)
	}
	return Execution{
		Run: run, ARN: arn, Status: string(out.Status), Started: aws.ToTime(out.StartDate).UTC(), Ended: utc(out.StopDate),
		Error: aws.ToString(out.Error), Cause: aws.ToString(out.Cause),
	}, nil
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// List gives the runs that go on and the newest of the others, newest first: as
// many as asked for (1 to 1,000) of each at most.
func (c *Client) List(ctx context.Context, atMost int) ([]Execution, error) {
	all := []Execution{}
	for _, status := range []sfntypes.ExecutionStatus{sfntypes.ExecutionStatusRunning, ""} {
		out,
			err := c.States.ListExecutions(ctx,
			&sfn.ListExecutionsInput{StateMachineArn: &c.Machine.ARN, StatusFilter: status, MaxResults: int32(atMost)})
		if err != nil {
			return nil, wrap(err, "list the runs")
		}
		for _, x := range out.Executions {
			one := Execution{
				Run: aws.ToString(x.Name), ARN: aws.ToString(x.ExecutionArn), Status: string(x.Status),
				Started: aws.ToTime(x.StartDate).UTC(), Ended: utc(x.StopDate),
			}
			if i := slices.IndexFunc(all, func(known Execution) bool { return known.ARN == one.ARN }); i < 0 {
				all = append(all, one)
			} else {
				all[i] = one // it was asked for a moment later
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Execution) int { return b.Started.Compare(a.Started) })
	return all, nil
}

// Accounts counts the children of a map run.
func (c *Client) Accounts(ctx context.Context, mapRun string) (follow.Accounts, error) {
	out, err := c.States.DescribeMapRun(ctx, &sfn.DescribeMapRunInput{MapRunArn: &mapRun})
	if err != nil {
		return follow.Accounts{}, wrap(err, "look at the accounts of a wave")
	}
	n := out.ItemCounts
	if n == nil {
		return follow.Accounts{}, nil
	}
	return follow.Accounts{Total: int(n.Total), Running: int(n.Running),
		Done: int(n.Succeeded + n.Failed + n.TimedOut + n.Aborted)}, nil
}

// maxReport bounds what is read of a report: more than one of 100,000 instances has.
const maxReport = 512 << 20

// Report fetches a run's report in one form: json, csv or html. Its error is
// ErrNotFound while there is none.
func (c *Client) Report(ctx context.Context, bucket, run, form string) ([]byte, error) {
	key := store.ReportObject(patch.RunID(run), form)
	out,
		err := c.Bucket.GetObject(ctx,
		&s3.GetObjectInput{Bucket: &bucket, Key: &key, ExpectedBucketOwner: &c.Machine.Account})
	if err != nil {
		return nil, c.noReport(wrap(err, "fetch s3://%s/%s", bucket, key))
	}
	defer out.Body.Close()
	data, err := io.ReadAll(io.LimitReader(out.Body, maxReport+1))
	if err != nil {
		return nil, fmt.Errorf("fetch s3://%s/%s: %w", bucket, key, err)
	}
	if len(data) > maxReport {
		return nil, fmt.Errorf("s3://%s/%s is larger than %d bytes", bucket, key, maxReport)
	}
	return data, nil
}

// noReport says what a refusal may mean: whoever may not list a bucket is told
// that he is denied, also of what does not exist. Source: S3 GetObject, read 2026-11.
func (c *Client) noReport(err error) error {
	if errors.Is(err, ErrDenied) {
		return fmt.Errorf("%w (or there is no report yet)", err)
	}
	return err
}
