package cloud

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// SendSSM is the client that sends. It must never try a call twice:
// SendCommand takes no client token, so a second request is a second command.
type SendSSM interface {
	SendCommand(context.Context, *ssm.SendCommandInput, ...func(*ssm.Options)) (*ssm.SendCommandOutput, error)
}

// Session opens a session that can do nothing but send to these instances.
func (s *Spokes) Session(ctx context.Context, t patch.Target, ids []patch.InstanceID) (port.Session, error) {
	policy, err := s.sendPolicy(t, ids)
	if err != nil {
		return nil, err
	}
	creds, err := s.assume(ctx, s.Sender, t.Run, t.Account, policy, sendSessionSeconds)
	if err != nil {
		return nil, refusedBefore(err)
	}
	return &sending{target: t, client: s.Connect(creds, string(t.Region)).Sending}, nil
}

// sending is a session that sends.
type sending struct {
	target patch.Target
	client SendSSM
}

// Send sends one command to one instance, once. MaxConcurrency and MaxErrors mean nothing for a command of one
// instance; they are given so that the account's owner does not have to know their defaults.
func (s *sending) Send(ctx context.Context, c port.Command) (patch.CommandID, error) {
	out, err := s.client.SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName:   aws.String(patch.Document),
		InstanceIds:    []string{string(c.Instance)},
		Comment:        &c.Marker,
		MaxConcurrency: aws.String("1"),
		MaxErrors:      aws.String("0"),
		TimeoutSeconds: aws.Int32(int32(c.DeliverySeconds)),
		Parameters: map[string][]string{
			"Operation":    {string(c.Operation)},
			"RebootOption": {string(c.RebootOption)},
			"SnapshotId":   {c.SnapshotID},
		},
	})
	if err != nil {
		return "", sendError(err, s.target)
	}
	if out.Command == nil || aws.ToString(out.Command.CommandId) == "" {
		return "",
			fmt.Errorf("send to %s/%s: %w: SSM answered without a command id", s.target.Account, s.target.Region,
				patch.ErrUnavailable)
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
	kind := kindOf(err)
	if kind == patch.ErrUnavailable {
		kind = patch.ErrThrottled // the session or the request was too old: another one fares better
	}
	switch kind {
	case patch.ErrThrottled, patch.ErrInvalidInstance, patch.ErrAccessDenied:
		return fmt.Errorf("send to %s/%s: %w: %w", t.Account, t.Region, kind, err)
	}
	return fmt.Errorf("send to %s/%s: %w: %w", t.Account, t.Region, patch.ErrRefusedCommand, err)
}

// maxSessionPolicy is STS's limit, in characters. Source: STS AssumeRole Policy, read 2026-11.
const maxSessionPolicy = 2048

// sendPolicy limits the session to the patch document and these very instances.
func (s *Spokes) sendPolicy(t patch.Target, ids []patch.InstanceID) (string, error) {
	resources := []string{fmt.Sprintf("arn:%s:ssm:%s::document/%s", s.Partition, t.Region, patch.Document)}
	for _, id := range ids {
		resources = append(resources, fmt.Sprintf("arn:%s:ec2:%s:%s:instance/%s", s.Partition, t.Region, t.Account, id))
	}
	policy, err := json.Marshal(map[string]any{
		"Version":   "2012-10-17",
		"Statement": []map[string]any{{"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": resources}},
	})
	if err != nil || len(policy) > maxSessionPolicy {
		return "", fmt.Errorf("%w: session policy for %d instances of %s/%s has %d characters: %w",
			patch.ErrInternal, len(ids), t.Account, t.Region, len(policy), err)
	}
	return string(policy), nil
}

var _ port.Sender = (*Spokes)(nil)
