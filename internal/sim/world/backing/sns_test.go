package backing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
)

const topicARN = "arn:aws:sns:us-east-1:111111111111:approvals"

func newTopic() (*world.World, *backing.SNS) {
	w, p := newHub()
	w.AddTopic(backing.TopicSpec{Name: "approvals", ARN: topicARN, Account: hubAccount, Region: hubRegion})
	w.Subscribe(topicARN, "ann@example.com", true)
	w.Subscribe(topicARN, "bob@example.com", false)
	return w, w.SNS(p, hubRegion)
}

func publish(t *testing.T, c *backing.SNS, in sns.PublishInput) error {
	t.Helper()
	if in.TopicArn == nil {
		in.TopicArn = aws.String(topicARN)
	}
	_, err := c.Publish(t.Context(), &in)
	return err
}

// drain runs the world until nothing is left to happen, within a bound.
func drain(t *testing.T, w *world.World) {
	t.Helper()
	for range 10_000 {
		if !w.Step() {
			return
		}
	}
	t.Fatal("the world does not come to rest")
}

// Source: D23:sns; only confirmed subscribers get mail.
func TestSNS_Publish(t *testing.T) {
	w, c := newTopic()
	var seen []backing.Mail
	w.OnMail = func(m backing.Mail) { seen = append(seen, m) }
	require.NoError(t, publish(t, c, sns.PublishInput{Subject: aws.String("Approve"), Message: aws.String("text")}))
	require.Empty(t, w.Mailbox("ann@example.com"), "mail takes a while")
	drain(t, w)
	got := w.Mailbox("ann@example.com")
	require.Len(t, got, 1)
	require.Equal(t, "Approve", got[0].Subject)
	require.Equal(t, "text", got[0].Body)
	require.Greater(t, got[0].Arrived.Sub(got[0].Sent), time.Second)
	require.Less(t, got[0].Arrived.Sub(got[0].Sent), 10*time.Second)
	require.Equal(t, got, seen)
	require.Empty(t, w.Mailbox("bob@example.com"))

	w.Unsubscribe(topicARN, "ann@example.com")
	require.NoError(t, publish(t, c, sns.PublishInput{Message: aws.String("text")}))
	drain(t, w)
	require.Len(t, w.Mailbox("ann@example.com"), 1)
}

// Source: B:sns/PublishInput.
func TestSNS_PublishRefusals(t *testing.T) {
	tests := []struct {
		name string
		in   sns.PublishInput
		want string
	}{
		{"subject of 99 characters", sns.PublishInput{Subject: aws.String(strings.Repeat("ä", 99)), Message: aws.String("m")},
			""},
		{"subject of 100 characters",
			sns.PublishInput{Subject: aws.String(strings.Repeat("x", 100)), Message: aws.String("m")}, "InvalidParameter"},
		{"subject with a line break", sns.PublishInput{Subject: aws.String("a\nb"), Message: aws.String("m")},
			"InvalidParameter"},
		{"empty subject", sns.PublishInput{Subject: aws.String(""), Message: aws.String("m")}, "InvalidParameter"},
		{"longest message", sns.PublishInput{Message: aws.String(strings.Repeat("x", 262_144))}, ""},
		{"message too long", sns.PublishInput{Message: aws.String(strings.Repeat("x", 262_145))}, "InvalidParameter"},
		{"empty message", sns.PublishInput{Message: aws.String("")}, "InvalidParameter"},
		{"unknown topic", sns.PublishInput{TopicArn: aws.String(topicARN + "2"), Message: aws.String("m")}, "NotFound"},
		{"topic of another region", sns.PublishInput{TopicArn: aws.String(strings.Replace(topicARN, "us-east-1", "eu-west-1",
			1)), Message: aws.String("m")}, "InvalidParameter"},
		{"json without default", sns.PublishInput{Message: aws.String(`{"email":"x"}`), MessageStructure: aws.String("json")}, "InvalidParameter"},
		{"no json", sns.PublishInput{Message: aws.String(`x`), MessageStructure: aws.String("json")}, "InvalidParameter"},
		{"phone number", sns.PublishInput{Message: aws.String(`x`), PhoneNumber: aws.String("1")}, "UnsupportedParameter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTopic()
			err := publish(t, c, tt.in)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			requireCode(t, tt.want, err)
		})
	}
}

func TestSNS_MessageStructure(t *testing.T) {
	w, c := newTopic()
	require.NoError(t, publish(t, c, sns.PublishInput{Message: aws.String(`{"default":"d","email":"e"}`), MessageStructure: aws.String("json")}))
	drain(t, w)
	require.Equal(t, "e", w.Mailbox("ann@example.com")[0].Body)
}

// F-54 and F-55: a lost answer sends the mail twice; mail is lost, doubled or late.
func TestSNS_Faults(t *testing.T) {
	tests := []struct {
		name   string
		faults func(*script)
		want   int
	}{
		{"answer lost", func(s *script) { s.after = map[string][]error{"sns:Publish": {lost()}} }, 2},
		{"request lost", func(s *script) { s.before = map[string][]error{"sns:Publish": {lost()}} }, 1},
		{"mail lost", func(s *script) { s.copies = 0 }, 0},
		{"mail doubled", func(s *script) { s.copies = 2 }, 2},
		{"mail late", func(s *script) { s.late = 5 * time.Hour }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, c := newTopic()
			faults := newScript()
			tt.faults(faults)
			w.Faults = faults
			require.NoError(t, publish(t, c, sns.PublishInput{Message: aws.String("m")}))
			drain(t, w)
			require.Len(t, w.Mailbox("ann@example.com"), tt.want)
			require.GreaterOrEqual(t, w.Now().Sub(hubStart()), faults.late)
		})
	}
}

// Source: B:sns/ListSubscriptionsByTopic: pages of 100, PendingConfirmation.
func TestSNS_Subscriptions(t *testing.T) {
	w, c := newTopic()
	for i := range 101 {
		w.Subscribe(topicARN, fmt.Sprintf("m%03d@example.com", i), true)
	}
	first,
		err := c.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(topicARN)})
	require.NoError(t, err)
	require.Len(t, first.Subscriptions, 100)
	require.Equal(t, "PendingConfirmation", *first.Subscriptions[1].SubscriptionArn)
	second,
		err := c.ListSubscriptionsByTopic(t.Context(),
		&sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(topicARN), NextToken: first.NextToken})
	require.NoError(t, err)
	require.Len(t, second.Subscriptions, 3)
	require.Nil(t, second.NextToken)
	about, err := c.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: aws.String(topicARN)})
	require.NoError(t, err)
	require.Equal(t, "102", about.Attributes["SubscriptionsConfirmed"])
	require.Equal(t, "1", about.Attributes["SubscriptionsPending"])
}

// Source: B:sns: wrong rights on the key are KMSAccessDenied at publish time.
func TestSNS_Encrypted(t *testing.T) {
	encrypted := func(t *testing.T, policy string) (*world.World, *backing.SNS) {
		w, p := newJudgedHub(t, policy)
		addKeys(t, w)
		w.AddTopic(backing.TopicSpec{Name: "approvals", ARN: topicARN, Account: hubAccount, Region: hubRegion,
			KMSKeyARN: dataKey})
		return w, w.SNS(p, hubRegion)
	}
	publishOnly := `{"Sid":"Publish","Effect":"Allow","Action":"sns:Publish","Resource":"` + topicARN + `"}`
	through := func(service string) string {
		return `{"Sid":"Key","Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"` + dataKey +
			`","Condition":{"StringEquals":{"kms:ViaService":"` + service + `.us-east-1.amazonaws.com"}}}`
	}
	document := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	message := sns.PublishInput{Message: aws.String("m")}
	_, c := encrypted(t, document(publishOnly))
	requireCode(t, "KMSAccessDenied", publish(t, c, message))
	_, c = encrypted(t, document(publishOnly, through("s3")))
	requireCode(t, "KMSAccessDenied", publish(t, c, message))
	_, c = encrypted(t, document(through("sns")))
	requireCode(t, "AuthorizationError", publish(t, c, message))
	w, c := encrypted(t, document(publishOnly, through("sns")))
	require.NoError(t, publish(t, c, message))
	w.SetKeyState(dataKey, kmstypes.KeyStateDisabled)
	requireCode(t, "KMSDisabled", publish(t, c, message))
}
