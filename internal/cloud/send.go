package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// SendSSM is the client that sends. It must never try a call twice:
// SendCommand takes no client token, so a second request is a second command.
type SendSSM interface {
	SendCommand(context.Context, *ssm.SendCommandInput, ...func(*ssm.Options)) (*ssm.SendCommandOutput, error)
}

// Send opens a session that can do nothing but send to this batch, and sends once.
func (s *Spokes) Send(ctx context.Context, t patch.Target, c task.Command) (patch.CommandID, error) {
	policy, err := s.sendPolicy(t, c.IDs)
	if err != nil {
		return "", err
	}
	creds, err := s.assume(ctx, t.Run, t.Account, policy, sendSessionSeconds)
	if err != nil {
		return "", refusedBefore(err)
	}
	out, err := s.Connect(creds, string(t.Region)).Sending.SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName:   aws.String(patch.Document),
		InstanceIds:    stringsOf(c.IDs),
		Comment:        &c.Marker,
		MaxConcurrency: aws.String(strconv.Itoa(c.MaxConcurrency)),
		MaxErrors:      aws.String(strconv.Itoa(c.MaxErrors)),
		TimeoutSeconds: aws.Int32(int32(c.TimeoutSeconds)),
		Parameters: map[string][]string{
			"Operation":    {string(c.Operation)},
			"RebootOption": {string(c.RebootOption)},
			"SnapshotId":   {c.SnapshotID},
		},
	})
	if err != nil {
		return "", sendError(err, t)
	}
	if out.Command == nil || aws.ToString(out.Command.CommandId) == "" {
		return "", fmt.Errorf("send to %s/%s: %w: SSM answered without a command id", t.Account, t.Region, patch.ErrUnavailable)
	}
	return patch.CommandID(*out.Command.CommandId), nil
}

// refusedBefore gives a failure before the send a definite kind: nothing was
// sent, whatever STS's trouble is.
func refusedBefore(err error) error {
	if patch.KindOf(err) == patch.ErrAccessDenied {
		return err
	}
	return fmt.Errorf("%w: %w", patch.ErrThrottled, err)
}

// sendError tells a definite refusal from silence.
func sendError(err error, t patch.Target) error {
	if !definite(err) {
		return fmt.Errorf("send to %s/%s: %w: %w", t.Account, t.Region, patch.ErrUnavailable, err)
	}
	switch kind := kindOf(err); kind {
	case patch.ErrThrottled, patch.ErrInvalidInstance, patch.ErrAccessDenied:
		return fmt.Errorf("send to %s/%s: %w: %w", t.Account, t.Region, kind, err)
	}
	return fmt.Errorf("send to %s/%s: %w: %w", t.Account, t.Region, patch.ErrRefusedCommand, err)
}

// maxSessionPolicy is STS's limit, in characters. Source: STS AssumeRole Policy, read 2026-11.
const maxSessionPolicy = 2048

// sendPolicy limits the session to the batch: its very instances while they fit,
// else the document and the instances of the account and region.
func (s *Spokes) sendPolicy(t patch.Target, ids []patch.InstanceID) (string, error) {
	document := fmt.Sprintf("arn:%s:ssm:%s::document/%s", s.Partition, t.Region, patch.Document)
	instance := fmt.Sprintf("arn:%s:ec2:%s:%s:instance/", s.Partition, t.Region, t.Account)
	exact := []string{document}
	for _, id := range ids {
		exact = append(exact, instance+string(id))
	}
	for _, resources := range [][]string{exact, {document, instance + "*"}} {
		policy, err := json.Marshal(map[string]any{
			"Version":   "2012-10-17",
			"Statement": []map[string]any{{"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": resources}},
		})
		if err != nil {
			return "", fmt.Errorf("%w: session policy: %w", patch.ErrInternal, err)
		}
		if len(policy) <= maxSessionPolicy {
			return string(policy), nil
		}
	}
	return "", fmt.Errorf("%w: session policy of %s/%s is too long", patch.ErrInternal, t.Account, t.Region)
}

var _ task.Sender = (*Spokes)(nil)
