package backing

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
)

// TopicSpec declares an SNS topic.
type TopicSpec struct {
	Name      string
	ARN       string
	Account   string
	Region    string
	KMSKeyARN string
	Policy    *iam.Policy
}

type topic struct {
	spec          TopicSpec
	subscriptions []*subscription
}

// subscription is a mail address that asked for a topic's messages.
type subscription struct {
	endpoint  string
	confirmed bool
	arn       string
}

// Mail is one message as it arrives at an address.
type Mail struct {
	ID       string // of the message: copies share it
	TopicARN string
	Endpoint string
	Subject  string
	Body     string
	Sent     time.Time
	Arrived  time.Time
}

// AddTopic declares a topic. A topic declared twice is replaced and has no subscriber.
func (w *Services) AddTopic(spec TopicSpec) {
	w.topics[spec.ARN] = &topic{spec: spec}
	w.DeclarePolicy(spec.ARN, spec.Policy)
}

// Subscribe adds a mail address to a topic, or changes whether it is confirmed.
func (w *Services) Subscribe(topicARN, endpoint string, confirmed bool) {
	t := w.topics[topicARN]
	if t == nil {
		return
	}
	for _, s := range t.subscriptions {
		if s.endpoint == endpoint {
			s.confirmed = confirmed
			return
		}
	}
	arn := fmt.Sprintf("%s:%08d-0000-0000-0000-000000000000", topicARN, len(t.subscriptions)+1)
	t.subscriptions = append(t.subscriptions, &subscription{endpoint, confirmed, arn})
}

// Unsubscribe takes an address off a topic, as anybody can who holds a mail.
func (w *Services) Unsubscribe(topicARN, endpoint string) {
	t := w.topics[topicARN]
	if t == nil {
		return
	}
	for i, s := range t.subscriptions {
		if s.endpoint == endpoint {
			t.subscriptions = append(t.subscriptions[:i:i], t.subscriptions[i+1:]...)
			return
		}
	}
}

// Mailbox is what arrived at an address, in order.
func (w *Services) Mailbox(endpoint string) []Mail { return w.mailboxes[endpoint] }

// SNS is a client of SNS in one region. It models mail subscriptions of standard
// topics.
type SNS struct{ seat }

// SNS is a client for a principal.
func (w *Services) SNS(p *core.Principal, region string) *SNS { return &SNS{seat{w, p, region, "sns"}} }

func invalidParameter(format string, args ...any) error {
	return &snstypes.InvalidParameterException{Message: ptr("Invalid parameter: " + fmt.Sprintf(format, args...))}
}

func (c *SNS) topic(arn *string) (*topic, error) {
	t := c.w.topics[deref(arn)]
	switch {
	case arn == nil || !strings.HasPrefix(*arn, "arn:") || strings.Count(*arn, ":") != 5:
		return nil, invalidParameter("TopicArn")
	case strings.Split(*arn, ":")[3] != c.region:
		return nil, invalidParameter("TopicArn Reason: the topic is in another region")
	case t == nil:
		return nil, &snstypes.NotFoundException{Message: ptr("Topic does not exist")}
	}
	return t, nil
}

// Publish sends a message to every confirmed subscriber.
func (c *SNS) Publish(ctx context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	input := *in
	call := c.call("Publish", true, &input)
	t, body, err := c.checkPublish(in)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*sns.PublishOutput](err))
	}
	call.Access = []core.Access{{Action: "sns:Publish", Resources: []string{t.spec.ARN}}}
	if t.spec.KMSKeyARN != "" {
		about := map[string]string{"aws:sns:topicArn": t.spec.ARN}
		call.Access = append(call.Access, keyUse(c.seat, t.spec.KMSKeyARN, "kms:GenerateDataKey", about),
			keyUse(c.seat, t.spec.KMSKeyARN, "kms:Decrypt", about))
	}
	return core.Do(ctx, c.w.Core, call, func() (*sns.PublishOutput, error) {
		if err := c.keyError(t); err != nil {
			return nil, err
		}
		random := c.w.Rand("sns message id")
		id := fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
		for _, s := range t.subscriptions {
			if s.confirmed {
				c.w.deliverMail(Mail{ID: id, TopicARN: t.spec.ARN, Endpoint: s.endpoint, Subject: subject(in, t), Body: body,
					Sent: c.w.Now()})
			}
		}
		return &sns.PublishOutput{MessageId: ptr(id)}, nil
	})
}

// subject is what the mail says when the publisher gives none.
func subject(in *sns.PublishInput, t *topic) string {
	if in.Subject == nil {
		return "AWS Notification Message"
	}
	return *in.Subject
}

// Limits of a message. Source: B:sns/PublishInput.
const (
	maxSubject = 99 // "less than 100 characters"
	maxMessage = 262_144
)

func (c *SNS) checkPublish(in *sns.PublishInput) (*topic, string, error) {
	err := unsupported("Publish", param{"TargetArn", in.TargetArn != nil}, param{"PhoneNumber", in.PhoneNumber != nil},
		param{"MessageAttributes", len(in.MessageAttributes) > 0},
		param{"MessageGroupId and MessageDeduplicationId", in.MessageGroupId != nil || in.MessageDeduplicationId != nil})
	if err != nil {
		return nil, "", err
	}
	t, err := c.topic(in.TopicArn)
	if err != nil {
		return nil, "", err
	}
	switch {
	case deref(in.Message) == "":
		return nil, "", invalidParameter("Empty message")
	case len(*in.Message) > maxMessage:
		return nil, "", invalidParameter("Message too long")
	case !utf8.ValidString(*in.Message):
		return nil, "", invalidParameter("Message Reason: must be UTF-8")
	}
	if in.Subject != nil {
		if err := checkSubject(*in.Subject); err != nil {
			return nil, "", err
		}
	}
	body, err := mailBody(in)
	return t, body, err
}

func checkSubject(s string) error {
	n := utf8.RuneCountInString(s)
	bad := strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029
	})
	if n == 0 || n > maxSubject || bad || !utf8.ValidString(s) {
		return invalidParameter("Subject")
	}
	return nil
}

// mailBody is the text for mail: with MessageStructure json the member email,
// else the member default, which must be there.
func mailBody(in *sns.PublishInput) (string, error) {
	if in.MessageStructure == nil {
		return *in.Message, nil
	}
	if *in.MessageStructure != "json" {
		return "", invalidParameter("MessageStructure")
	}
	var parts map[string]any
	if err := json.Unmarshal([]byte(*in.Message), &parts); err != nil {
		return "", invalidParameter("Message Structure - JSON message body failed to parse")
	}
	fallback, ok := parts["default"].(string)
	if !ok {
		return "", invalidParameter("Message Structure - No default entry in JSON message body")
	}
	if mail, ok := parts["email"].(string); ok {
		return mail, nil
	}
	return fallback, nil
}

// keyError is SNS's answer when the topic's key cannot be used.
func (c *SNS) keyError(t *topic) error {
	if t.spec.KMSKeyARN == "" {
		return nil
	}
	code, text := c.w.keyTrouble(t.spec.KMSKeyARN)
	switch code {
	case "":
		return nil
	case "NotFoundException":
		return &snstypes.KMSNotFoundException{Message: &text}
	case "DisabledException":
		return &snstypes.KMSDisabledException{Message: &text}
	}
	return &snstypes.KMSInvalidStateException{Message: &text}
}

// Bounds of the time that a mail takes.
const (
	minMailDelay = 1 * time.Second
	maxMailDelay = 8 * time.Second
)

// deliverMail lets a mail arrive after a drawn delay, as often as the faults say.
func (w *Services) deliverMail(m Mail) {
	copies, late := 1, time.Duration(0)
	if f, ok := w.Faults.(MailFaults); ok {
		copies, late = f.Deliver(m)
	}
	for range copies {
		delay := minMailDelay + time.Duration(w.Rand("sns mail").Int64N(int64(maxMailDelay-minMailDelay)))
		w.After(delay+late, func() {
			arrived := m
			arrived.Arrived = w.Now()
			w.mailboxes[m.Endpoint] = append(w.mailboxes[m.Endpoint], arrived)
			if w.OnMail != nil {
				w.OnMail(arrived)
			}
		})
	}
}

// subscriptionPage is the length of a page. Source: B:sns/ListSubscriptionsByTopic.
const subscriptionPage = 100

// ListSubscriptionsByTopic lists the subscribers of a topic, page by page. One
// that has not confirmed shows PendingConfirmation for its ARN.
func (c *SNS) ListSubscriptionsByTopic(ctx context.Context, in *sns.ListSubscriptionsByTopicInput,
	_ ...func(*sns.Options)) (*sns.ListSubscriptionsByTopicOutput, error) {
	input := *in
	call := c.call("ListSubscriptionsByTopic", false, &input)
	t, err := c.topic(in.TopicArn)
	from := 0
	if err == nil && in.NextToken != nil {
		from, err = pageStart(*in.NextToken, len(t.subscriptions))
		if err != nil {
			err = invalidParameter("NextToken")
		}
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*sns.ListSubscriptionsByTopicOutput](err))
	}
	call.Access = []core.Access{{Action: "sns:ListSubscriptionsByTopic", Resources: []string{t.spec.ARN}}}
	return core.Do(ctx, c.w.Core, call, func() (*sns.ListSubscriptionsByTopicOutput, error) {
		out := &sns.ListSubscriptionsByTopicOutput{}
		to := min(len(t.subscriptions), from+subscriptionPage)
		for _, s := range t.subscriptions[min(from, to):to] {
			arn := s.arn
			if !s.confirmed {
				arn = "PendingConfirmation"
			}
			out.Subscriptions = append(out.Subscriptions, snstypes.Subscription{
				Endpoint: ptr(s.endpoint), Owner: ptr(t.spec.Account), Protocol: ptr("email"), SubscriptionArn: ptr(arn),
				TopicArn: ptr(t.spec.ARN),
			})
		}
		if to < len(t.subscriptions) {
			out.NextToken = ptr(pageToken(to))
		}
		return out, nil
	})
}

// GetTopicAttributes tells among others how many subscribers confirmed.
func (c *SNS) GetTopicAttributes(ctx context.Context, in *sns.GetTopicAttributesInput,
	_ ...func(*sns.Options)) (*sns.GetTopicAttributesOutput, error) {
	input := *in
	call := c.call("GetTopicAttributes", false, &input)
	t, err := c.topic(in.TopicArn)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*sns.GetTopicAttributesOutput](err))
	}
	call.Access = []core.Access{{Action: "sns:GetTopicAttributes", Resources: []string{t.spec.ARN}}}
	return core.Do(ctx, c.w.Core, call, func() (*sns.GetTopicAttributesOutput, error) {
		confirmed := 0
		for _, s := range t.subscriptions {
			if s.confirmed {
				confirmed++
			}
		}
		attributes := map[string]string{
			"TopicArn": t.spec.ARN, "Owner": t.spec.Account,
			"SubscriptionsConfirmed": fmt.Sprint(confirmed),
			"SubscriptionsPending":   fmt.Sprint(len(t.subscriptions) - confirmed),
			"SubscriptionsDeleted":   "0",
		}
		if t.spec.KMSKeyARN != "" {
			attributes["KmsMasterKeyId"] = t.spec.KMSKeyARN
		}
		return &sns.GetTopicAttributesOutput{Attributes: attributes}, nil
	})
}
