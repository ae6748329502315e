package cloud

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// SNS is what Mail uses of the SDK's client.
type SNS interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
	GetTopicAttributes(context.Context, *sns.GetTopicAttributesInput,
		...func(*sns.Options)) (*sns.GetTopicAttributesOutput, error)
}

// Mail sends plain text to a topic.
type Mail struct {
	SNS   SNS
	Topic string // ARN
}

// Send publishes one message. A retry may send it twice, which harms nobody.
func (m *Mail) Send(ctx context.Context, subject, body string) error {
	_, err := m.SNS.Publish(ctx, &sns.PublishInput{TopicArn: &m.Topic, Subject: &subject, Message: &body})
	return wrap(err, "publish to %s", m.Topic)
}

// Listeners counts the subscriptions of the topic that are confirmed. SNS says
// it some time after it changed, and knows of no mail that nobody reads.
func (m *Mail) Listeners(ctx context.Context) (int, error) {
	out, err := m.SNS.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &m.Topic})
	if err != nil {
		return 0, wrap(err, "look at %s", m.Topic)
	}
	n, err := strconv.Atoi(out.Attributes["SubscriptionsConfirmed"])
	if err != nil {
		return 0, fmt.Errorf("look at %s: confirmed subscriptions: %w", m.Topic, err)
	}
	return n, nil
}

// KMS is what MAC uses of the SDK's client.
type KMS interface {
	GenerateMac(context.Context, *kms.GenerateMacInput, ...func(*kms.Options)) (*kms.GenerateMacOutput, error)
	VerifyMac(context.Context, *kms.VerifyMacInput, ...func(*kms.Options)) (*kms.VerifyMacOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// AuditKey signs the audit of one writer with a key pair whose private half never leaves KMS.
type AuditKey struct {
	KMS KMS
	Key string // id or ARN
}

// Sign signs a SHA-256 digest with ECDSA on the curve P-256. The signature is in DER.
func (k *AuditKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	out, err := k.KMS.Sign(ctx, &kms.SignInput{
		KeyId: &k.Key, Message: digest, MessageType: kmstypes.MessageTypeDigest,
		SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return nil, wrap(err, "sign the audit")
	}
	return out.Signature, nil
}

// MACKey makes and checks MACs with a key that never leaves KMS.
type MACKey struct {
	KMS KMS
	Key string // id or ARN
}

// MAC makes an HMAC-SHA-256.
func (k *MACKey) MAC(ctx context.Context, message []byte) ([]byte, error) {
	out, err := k.KMS.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &k.Key, Message: message,
		MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256})
	if err != nil {
		return nil, wrap(err, "make a MAC")
	}
	return out.Mac, nil
}

// Check verifies an HMAC-SHA-256. KMS says that a MAC is wrong with an error of
// its own; any other error is none of the MAC's.
func (k *MACKey) Check(ctx context.Context, message, mac []byte) (bool, error) {
	if len(mac) == 0 {
		return false, nil
	}
	out, err := k.KMS.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &k.Key, Message: message, Mac: mac,
		MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256})
	var wrong *kmstypes.KMSInvalidMacException
	if errors.As(err, &wrong) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err, "check a MAC")
	}
	return out.MacValid, nil
}

// SFN is what StepFunctions uses of the SDK's client.
type SFN interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput,
		...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput,
		...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
}

// StepFunctions ends waiting tasks of the state machine, and reads its executions.
type StepFunctions struct{ SFN SFN }

// Release answers the token. A task that timed out or was answered is gone.
func (w *StepFunctions) Release(ctx context.Context, token string, output []byte) (gone bool, err error) {
	_, err = w.SFN.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token,
		Output: aws.String(string(output))})
	var timedOut *sfntypes.TaskTimedOut
	var missing *sfntypes.TaskDoesNotExist
	if errors.As(err, &timedOut) || errors.As(err, &missing) {
		return true, nil
	}
	return false, wrap(err, "answer the waiting task")
}

// Running tells whether an execution goes on. What is not known does not run.
func (w *StepFunctions) Running(ctx context.Context, executionARN string) (bool, error) {
	_, running, err := w.Ended(ctx, executionARN)
	return running, err
}

// Ended tells how an execution ended. Step Functions forgets executions 90 days
// after they ended; the status of one that it does not know is empty.
func (w *StepFunctions) Ended(ctx context.Context, executionARN string) (status string, running bool, err error) {
	out, err := w.SFN.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &executionARN})
	var missing *sfntypes.ExecutionDoesNotExist
	if errors.As(err, &missing) {
		return "", false, nil
	}
	if err != nil {
		return "", false, wrap(err, "read execution %s", executionARN)
	}
	return string(out.Status), out.Status == sfntypes.ExecutionStatusRunning ||
		out.Status == sfntypes.ExecutionStatusPendingRedrive, nil
}
