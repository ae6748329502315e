package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// Topics is what a Client uses of the SDK's SNS client.
type Topics interface {
	GetTopicAttributes(context.Context, *sns.GetTopicAttributesInput, ...func(*sns.Options)) (
		*sns.GetTopicAttributesOutput, error)
	ListSubscriptionsByTopic(context.Context, *sns.ListSubscriptionsByTopicInput, ...func(*sns.Options)) (
		*sns.ListSubscriptionsByTopicOutput, error)
}

// Subscriber gets requests for approval, or is to confirm that.
type Subscriber struct {
	Protocol, Endpoint string
	Confirmed          bool
}

// Audience is who gets requests for approval, and who may.
type Audience struct {
	Subscribers []Subscriber
	Deployed    []string // the endpoints that the topic's policy lets subscribe
	Closed      bool     // the policy refuses all others
}

// Strangers are the subscribers that the hub was not deployed with.
func (a Audience) Strangers() []Subscriber {
	var out []Subscriber
	for _, s := range a.Subscribers {
		if !slices.Contains(a.Deployed, s.Endpoint) {
			out = append(out, s)
		}
	}
	return out
}

// maxSubscriberPages bounds the list of subscribers, a hundred a page.
const maxSubscriberPages = 10

// Audience looks at the approvals topic.
func (c *Client) Audience(ctx context.Context) (Audience, error) {
	arn := fmt.Sprintf("arn:%s:sns:%s:%s:%s-approvals", c.Machine.Partition, c.Machine.Region, c.Machine.Account,
		c.Machine.Prefix())
	topic, err := c.Topics.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil {
		return Audience{}, wrap(err, "look at the approvals topic")
	}
	var a Audience
	a.Deployed, a.Closed = mayListen(topic.Attributes["Policy"])
	in := &sns.ListSubscriptionsByTopicInput{TopicArn: &arn}
	for range maxSubscriberPages {
		page, err := c.Topics.ListSubscriptionsByTopic(ctx, in)
		if err != nil {
			return Audience{}, wrap(err, "list the subscribers of the approvals topic")
		}
		for _, s := range page.Subscriptions {
			arn := aws.ToString(s.SubscriptionArn)
			a.Subscribers = append(a.Subscribers, Subscriber{
				Protocol: aws.ToString(s.Protocol), Endpoint: aws.ToString(s.Endpoint), Confirmed: arn != "PendingConfirmation",
			})
		}
		if in.NextToken = page.NextToken; aws.ToString(in.NextToken) == "" {
			return a, nil
		}
	}
	return a, nil
}

// mayListen reads in a topic's policy which endpoints may subscribe; closed tells that it says so at all.
func mayListen(policy string) (endpoints []string, closed bool) {
	var p struct {
		Statement []struct {
			Effect    string
			Action    any
			Condition map[string]map[string]any
		}
	}
	if json.Unmarshal([]byte(policy), &p) != nil {
		return nil, false
	}
	for _, s := range p.Statement {
		if s.Effect != "Deny" || !slices.Contains(texts(s.Action), "sns:Subscribe") || len(s.Condition) != 1 {
			continue
		}
		if list, ok := s.Condition["StringNotEquals"]["sns:Endpoint"]; ok {
			for _, e := range texts(list) {
				if e != "" && e != "none" {
					endpoints = append(endpoints, e)
				}
			}
			return endpoints, true
		}
	}
	return nil, false
}

// texts is one text or a list of them, as policies have both.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
