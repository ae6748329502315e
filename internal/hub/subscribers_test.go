package hub_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/hub"
)

// topic has a policy and a page for each subscriber.
type topic struct {
	t           *testing.T
	policy      string
	subscribers []string
}

const topicARN = "arn:aws:sns:us-east-1:999999999999:ec2patch-approvals"

func (f *topic) GetTopicAttributes(_ context.Context, in *sns.GetTopicAttributesInput, _ ...func(*sns.Options)) (
	*sns.GetTopicAttributesOutput, error,
) {
	assert.Equal(f.t, topicARN, aws.ToString(in.TopicArn))
	return &sns.GetTopicAttributesOutput{Attributes: map[string]string{"Policy": f.policy}}, nil
}

func (f *topic) ListSubscriptionsByTopic(_ context.Context, in *sns.ListSubscriptionsByTopicInput,
	_ ...func(*sns.Options)) (
	*sns.ListSubscriptionsByTopicOutput, error,
) {
	assert.Equal(f.t, topicARN, aws.ToString(in.TopicArn))
	n := len(aws.ToString(in.NextToken))
	out := &sns.ListSubscriptionsByTopicOutput{}
	if n < len(f.subscribers) {
		out.Subscriptions = []snstypes.Subscription{{
			Protocol: aws.String("email"), Endpoint: &f.subscribers[n], SubscriptionArn: aws.String("PendingConfirmation"),
		}}
		out.NextToken = aws.String("xxxxxxxxx"[:n+1])
	}
	return out, nil
}

func TestClient_Audience(t *testing.T) {
	m, err := hub.ParseMachine("arn:aws:states:us-east-1:999999999999:stateMachine:ec2patch-orchestrator")
	require.NoError(t, err)
	const deny = `{"Effect":"Deny","Principal":"*","Action":"sns:Subscribe","Condition":{"StringNotEquals":{"sns:Endpoint":`
	for name, tt := range map[string]struct {
		policy   string
		deployed []string
		closed   bool
	}{
		"closed":           {`{"Statement":[{"Effect":"Allow","Action":["sns:Subscribe"]},` + deny + `["ann@example.com","none"]}}}]}`, []string{"ann@example.com"}, true},
		"one text":         {`{"Statement":[` + deny + `"ann@example.com"}}}]}`, []string{"ann@example.com"}, true},
		"nobody":           {`{"Statement":[` + deny + `["","none"]}}}]}`, nil, true},
		"open":             {`{"Statement":[{"Effect":"Allow","Action":"sns:Subscribe"}]}`, nil, false},
		"with a loophole":  {`{"Statement":[` + deny + `"ann@example.com"},"Bool":{"aws:SecureTransport":"false"}}}]}`, nil, false},
		"no policy at all": {``, nil, false},
	} {
		c := &hub.Client{Machine: m,
			Topics: &topic{t: t, policy: tt.policy, subscribers: []string{"ann@example.com", "eve@example.com"}}}
		a, err := c.Audience(t.Context())
		require.NoError(t, err, name)
		assert.Len(t, a.Subscribers, 2, name)
		assert.Equal(t, tt.deployed, a.Deployed, name)
		assert.Equal(t, tt.closed, a.Closed, name)
		assert.Contains(t, a.Strangers(), hub.Subscriber{Protocol: "email", Endpoint: "eve@example.com"}, name)
		assert.Len(t, a.Strangers(), 2-len(tt.deployed), name)
	}
}
