package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// STS is what Spokes uses of the SDK's client.
type STS interface {
	AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
}

// Connect opens the clients of one session in one region.
type Connect func(creds aws.Credentials, region string) Clients

// Clients are the SDK clients for one account and region.
type Clients struct {
	EC2        EC2
	SSM        SSM
	Sending    SendSSM // never tries a call twice
	CloudWatch CloudWatch
}

// Spokes opens sessions in spoke accounts. It is the one place that knows the
// roles and the external id. A role is its path and name, as in an ARN: /PatchExecRole.
type Spokes struct {
	STS        STS
	Connect    Connect
	Now        port.Clock
	Partition  string
	Reader     string // reads and cancels
	Sender     string // sends; empty in functions that do not
	ExternalID string

	readers map[session]aws.Credentials
}

// session is what credentials for reading are good for: every region of an account.
type session struct {
	run     patch.RunID
	account patch.AccountID
}

const (
	// sessionSeconds is the longest session of a chained role. Source: STS AssumeRole, role chaining, read 2026-11.
	sessionSeconds = 3600
	// sendSessionSeconds is the shortest session that STS gives: one send takes a second.
	sendSessionSeconds = 900
	// expiryMargin is how long before their end credentials are no longer used.
	expiryMargin = 5 * time.Minute
	// maxSessionName is STS's limit of a role session's name.
	maxSessionName = 64
)

// readPolicy limits a reader's session to what readers do.
const readPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` +
	`"ec2:DescribeInstances","ec2:DescribeInstanceStatus","ssm:DescribeInstanceInformation","ssm:DescribeInstancePatchStates",` +
	`"ssm:DescribeInstancePatches","ssm:ListCommands","ssm:ListCommandInvocations","ssm:GetCommandInvocation","ssm:CancelCommand","cloudwatch:DescribeAlarms"],"Resource":"*"}]}`

// Spoke opens a session for reading and cancelling. Its credentials are kept
// until shortly before they expire.
func (s *Spokes) Spoke(ctx context.Context, t patch.Target) (port.Spoke, error) {
	creds, err := s.reader(ctx, t.Run, t.Account)
	if err != nil {
		return nil, err
	}
	return &Spoke{clients: s.Connect(creds, string(t.Region)), Now: s.Now}, nil
}

func (s *Spokes) reader(ctx context.Context, run patch.RunID, account patch.AccountID) (aws.Credentials, error) {
	key := session{run, account}
	if c, ok := s.readers[key]; ok && s.Now().Before(c.Expires.Add(-expiryMargin)) {
		return c, nil
	}
	c, err := s.assume(ctx, s.Reader, run, account, readPolicy, sessionSeconds)
	if err != nil {
		return c, err
	}
	if s.readers == nil || len(s.readers) >= maxReaders {
		s.readers = map[session]aws.Credentials{}
	}
	s.readers[key] = c
	return c, nil
}

// maxReaders bounds the cache of one process.
const maxReaders = 2000

// assume opens a session of one of the spoke's roles.
func (s *Spokes) assume(
	ctx context.Context, role string, run patch.RunID, account patch.AccountID, policy string, duration int32,
) (aws.Credentials, error) {
	what := fmt.Sprintf("assume role %s in account %s", role[strings.LastIndex(role, "/")+1:], account)
	return assume(ctx, s.STS, run, what, &sts.AssumeRoleInput{
		RoleArn:    aws.String(fmt.Sprintf("arn:%s:iam::%s:role%s", s.Partition, account, role)),
		ExternalId: &s.ExternalID, DurationSeconds: &duration, Policy: &policy,
	})
}

// assume opens a session of a role. The run is in the session's name, so that
// the account's own trail tells it; what begins every error.
func assume(ctx context.Context, client STS, run patch.RunID, what string, in *sts.AssumeRoleInput) (aws.Credentials,
	error) {
	name := "ec2patch-" + string(run)
	in.RoleSessionName = aws.String(name[:min(len(name), maxSessionName)])
	out, err := client.AssumeRole(ctx, in)
	if err != nil {
		return aws.Credentials{}, wrap(err, "%s", what)
	}
	c := out.Credentials
	if c == nil || c.AccessKeyId == nil || c.SecretAccessKey == nil || c.SessionToken == nil || c.Expiration == nil {
		return aws.Credentials{}, fmt.Errorf("%s: %w: STS answered without credentials", what, patch.ErrUnavailable)
	}
	return aws.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		CanExpire: true, Expires: *c.Expiration, Source: "ec2patch",
	}, nil
}

// Spoke is one account and region through one session.
type Spoke struct {
	clients Clients
	Now     port.Clock
}

var _ port.Spokes = (*Spokes)(nil)
