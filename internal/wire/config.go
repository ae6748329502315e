package wire

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"ec2patch/internal/cloud"
	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
)

// config reads the environment and remembers everything that is wrong with it.
type config struct {
	env      Getenv
	problems []error
}

// err is all problems at once, or nothing.
func (c *config) err() error { return errors.Join(c.problems...) }

func (c *config) wrong(name, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("environment variable %s: %s", name, fmt.Sprintf(format, args...)))
}

func (c *config) text(name string) string {
	v := c.env(name)
	if v == "" {
		c.wrong(name, "is not set")
	}
	return v
}

func (c *config) number(name string, low, high int) int {
	v := c.text(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		c.wrong(name, "%q is no number from %d to %d", v, low, high)
	}
	return n
}

func (c *config) seconds(name string, low, high int) time.Duration {
	return time.Duration(c.number(name, low, high)) * time.Second
}

func (c *config) threshold(name string) patch.Threshold {
	v := c.text(name)
	if v == "" {
		return patch.Threshold{}
	}
	t, err := patch.ParseThreshold(v)
	if err != nil {
		c.wrong(name, "%v", err)
	}
	return t
}

func (c *config) flag(name string) bool {
	switch v := c.text(name); v {
	case "true":
		return true
	case "false", "":
	default:
		c.wrong(name, "%q is neither true nor false", v)
	}
	return false
}

// policy is what the hub demands of every run.
func (c *config) policy() runinput.Policy {
	p := runinput.Policy{
		MinimumApproval: runinput.ApprovalMode(c.text("MINIMUM_APPROVAL")),
		MinimumDistinct: c.number("MINIMUM_DISTINCT", 1, runinput.MaxRequireDistinct),
		MaxInstances:    c.number("MAX_INSTANCES", 0, math.MaxInt32),
	}
	switch p.MinimumApproval {
	case "", runinput.ApproveNone, runinput.ApproveOnce, runinput.ApprovePerWave:
	default:
		c.wrong("MINIMUM_APPROVAL", "%q is none of none, once, perWave", p.MinimumApproval)
	}
	return p
}

func (c *config) table(a AWS) *cloud.Table {
	return &cloud.Table{DynamoDB: a.DynamoDB, Now: a.Now, State: c.text("STATE_TABLE"), Audit: c.text("AUDIT_TABLE")}
}

func (c *config) objects(a AWS) *cloud.Objects {
	return &cloud.Objects{S3: a.S3, Bucket: c.text("DATA_BUCKET")}
}

func (c *config) mail(a AWS, topic string) *cloud.Mail {
	return &cloud.Mail{SNS: a.SNS, Topic: c.text(topic)}
}

func (c *config) key(a AWS, name string) *cloud.MACKey {
	return &cloud.MACKey{KMS: a.KMS, Key: c.text(name)}
}

func (c *config) auditor(a AWS) *cloud.AuditKey {
	return &cloud.AuditKey{KMS: a.KMS, Key: c.text("AUDIT_KEY_ID")}
}

// keys check with a key and, where one is given, with the key before it.
func (c *config) keys(a AWS, name string) port.Verifier {
	all := port.Verifiers{c.key(a, name)}
	if old := c.oldKey(a, name); old != nil {
		all = append(all, old)
	}
	return all
}

// oldKey is the key that was in use before, nil where none is given.
func (c *config) oldKey(a AWS, name string) *cloud.MACKey {
	if id := c.env("PREVIOUS_" + name); id != "" {
		return &cloud.MACKey{KMS: a.KMS, Key: id}
	}
	return nil
}

// people reads whose sessions are named after people; without it, those of Identity Center are.
func (c *config) people() decision.People {
	p, err := decision.ParsePeople(c.env("NAMED_SESSION_ROLES"))
	if err != nil {
		c.wrong("NAMED_SESSION_ROLES", "%v", err)
	}
	return p
}

// endpoints counts those that a hub was deployed with; nil where its template does not say.
func (c *config) endpoints() *int {
	list := c.env("APPROVAL_ENDPOINTS")
	if list == "" {
		return nil
	}
	n := 0
	for endpoint := range strings.SplitSeq(list, ",") {
		if endpoint != "" && endpoint != "none" {
			n++
		}
	}
	return &n
}

func (c *config) spokes(a AWS) *cloud.Spokes {
	return &cloud.Spokes{
		STS: a.STS, Connect: a.Connect, Now: a.Now,
		Partition: c.text("PARTITION"), Reader: c.text("SPOKE_READER"), ExternalID: c.text("EXTERNAL_ID"),
	}
}

// alarms reads the alarms of health gates, in the hub and through the spokes.
func (c *config) alarms(a AWS, spokes *cloud.Spokes) *cloud.Alarms {
	return &cloud.Alarms{Hub: a.CloudWatch, HubAccount: patch.AccountID(c.text("HUB_ACCOUNT_ID")), Spokes: spokes}
}
