// Package wire puts the six tasks together from their environment and a set of
// AWS clients: the real ones in a Lambda, the simulated ones in a rehearsal.
package wire

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"ec2patch/internal/approval"
	"ec2patch/internal/cloud"
	"ec2patch/internal/inventory"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/runinput"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
	"ec2patch/internal/wave"
)

// AWS is everything that a task needs from outside.
type AWS struct {
	DynamoDB   cloud.DynamoDB
	S3         cloud.S3
	SNS        cloud.SNS
	KMS        cloud.KMS
	SFN        cloud.SFN
	STS        cloud.STS
	Connect    cloud.Connect
	CloudWatch func(region string) cloud.CloudWatch
	Units      func(creds aws.Credentials) cloud.Organizations
	Metrics    port.Metrics
	Now        port.Clock
}

// Getenv reads one environment variable, as os.Getenv does.
type Getenv func(string) string

// NewInventory wires PreEC2Inventory.
func NewInventory(env Getenv, a AWS) (*inventory.Inventory, error) {
	c := config{env: env}
	spokes := c.spokes(a)
	v := &inventory.Inventory{
		Table: c.table(a), Objects: c.objects(a), Spokes: spokes, Runs: &cloud.StepFunctions{SFN: a.SFN}, Now: a.Now,
		Alarms: c.alarms(a, spokes), Auditor: c.auditor(a),
		Bucket: c.text("DATA_BUCKET"), RegionConcurrency: c.number("REGION_CONCURRENCY", 1, 40),
		Defaults: runinput.Defaults{
			MaxConcurrency: c.threshold("SSM_MAX_CONCURRENCY"), MaxErrors: c.threshold("SSM_MAX_ERRORS"),
			MaxConcurrentAccounts:  c.number("MAX_WAVE_CONCURRENCY", 1, 1000),
			CommandTimeoutSeconds:  c.number("COMMAND_TIMEOUT_SECONDS", 60, 16200),
			ApprovalTimeoutSeconds: c.number("APPROVAL_TIMEOUT_SECONDS", 60, 604800),
		},
		Policy: c.policy(),
	}
	if role := env("ORGANIZATION_ROLE_ARN"); role != "" {
		v.Units = &cloud.Organization{STS: a.STS, Connect: a.Units, RoleARN: role, ExternalID: c.text("EXTERNAL_ID")}
	}
	return v, c.err()
}

// NewSend wires SendSsmCommand.
func NewSend(env Getenv, a AWS) (*target.Send, error) {
	c := config{env: env}
	spokes := c.spokes(a)
	spokes.Sender = c.text("SPOKE_SENDER")
	s := &target.Send{
		Table: c.table(a), Objects: c.objects(a), Spokes: spokes, Sender: spokes, Alarms: c.alarms(a, spokes),
		Decisions: c.keys(a, "DECISION_KEY_ID"),
		Seals:     c.key(a, "SEAL_KEY_ID"), People: c.people(), Auditor: c.auditor(a), Now: a.Now,
		HubAccount:   patch.AccountID(c.text("HUB_ACCOUNT_ID")),
		PollInterval: c.seconds("POLL_INTERVAL_SECONDS", 5, 300),
		Policy:       c.policy(),
	}
	return s, c.err()
}

// NewPoll wires PollSsmCommand.
func NewPoll(env Getenv, a AWS) (*target.Poll, error) {
	c := config{env: env}
	spokes := c.spokes(a)
	p := &target.Poll{
		Table: c.table(a), Spokes: spokes, Alarms: c.alarms(a, spokes), Auditor: c.auditor(a), Now: a.Now,
		PollInterval: c.seconds("POLL_INTERVAL_SECONDS", 5, 300),
	}
	return p, c.err()
}

// NewApprovals wires SendApprovalRequest.
func NewApprovals(env Getenv, a AWS) (*approval.Requests, error) {
	c := config{env: env}
	mail := c.mail(a, "APPROVAL_TOPIC_ARN")
	s := &approval.Requests{
		Table: c.table(a), Objects: c.objects(a), Mail: mail, Audience: mail, Links: c.key(a, "LINK_KEY_ID"),
		Seals: c.key(a, "SEAL_KEY_ID"), Decisions: c.keys(a, "DECISION_KEY_ID"), People: c.people(), Metrics: a.Metrics,
		Auditor: c.auditor(a), Now: a.Now,
		HubAccount: patch.AccountID(c.text("HUB_ACCOUNT_ID")), CallbackURL: c.text("CALLBACK_URL"),
		Policy: c.policy(), Deployed: c.endpoints(),
	}
	return s, c.err()
}

// NewCallback wires ApprovalCallback.
func NewCallback(env Getenv, a AWS) (*approval.Callback, error) {
	c := config{env: env}
	s := &approval.Callback{
		Table: c.table(a), Objects: c.objects(a), Links: c.keys(a, "LINK_KEY_ID"), Decisions: c.key(a, "DECISION_KEY_ID"),
		Waiter: &cloud.StepFunctions{SFN: a.SFN}, Notices: c.mail(a, "NOTICE_TOPIC_ARN"), People: c.people(),
		Auditor: c.auditor(a), Now: a.Now,
		HubAccount: patch.AccountID(c.text("HUB_ACCOUNT_ID")), StateMachineARN: c.text("STATE_MACHINE_ARN"),
	}
	if old := c.oldKey(a, "DECISION_KEY_ID"); old != nil {
		s.OldDecisions = old
	}
	return s, c.err()
}

// NewVerify wires PostEC2Verify.
func NewVerify(env Getenv, a AWS) (*task.PostVerify, error) {
	c := config{env: env}
	spokes := c.spokes(a)
	table, objects, decisions, seals := c.table(a), c.objects(a), c.keys(a, "DECISION_KEY_ID"), c.key(a, "SEAL_KEY_ID")
	auditor := c.auditor(a)
	people := c.people()
	v := &task.PostVerify{
		Targets: target.Verify{
			Table: table, Objects: objects, Spokes: spokes, Metrics: a.Metrics, Now: a.Now,
			DetailedMetrics: c.flag("DETAILED_METRICS"),
		},
		Waves: wave.Judge{Table: table, Objects: objects, Alarms: c.alarms(a, spokes), Decisions: decisions, People: people,
			Seals: seals, Auditor: auditor, Now: a.Now},
		Reports: compose.Reports{
			Table: table, Objects: objects, Decisions: decisions, People: people, Seals: seals,
			Runs:    &cloud.StepFunctions{SFN: a.SFN},
			Notices: c.mail(a, "NOTICE_TOPIC_ARN"), Metrics: a.Metrics, Auditor: auditor, Now: a.Now,
			Targets: &target.Abandon{Table: table, Spokes: spokes, Auditor: auditor, Now: a.Now},
		},
	}
	return v, c.err()
}

// Handler is a task with its types hidden: what the runtime, and the rehearsal, call.
type Handler func(ctx context.Context, payload []byte) ([]byte, error)

// credentials is a fixed session.
type credentials struct{ aws.Credentials }

func (c credentials) Retrieve(context.Context) (aws.Credentials, error) { return c.Credentials, nil }

// Static makes a provider of one session's credentials.
func Static(c aws.Credentials) aws.CredentialsProvider { return credentials{c} }
