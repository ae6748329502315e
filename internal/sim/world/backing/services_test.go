package backing_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
)

const (
	hubAccount = "111111111111"
	hubRegion  = "us-east-1"
	hubRole    = "arn:aws:iam::" + hubAccount + ":role/Hub"
)

func hubStart() time.Time { return time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC) }

// newHub is a world that lets every call pass, and a principal in it.
func newHub() (*world.World, *core.Principal) {
	w := world.New(7, hubStart())
	w.IgnoreIAM, w.WholePages = true, true
	return w, &core.Principal{Account: hubAccount, RoleARN: hubRole, SessionName: "s"}
}

// newJudgedHub is a world whose one role has the given policy.
func newJudgedHub(t *testing.T, policy string) (*world.World, *core.Principal) {
	t.Helper()
	w := world.New(7, hubStart())
	w.AddRole(core.Role{ARN: hubRole, Policies: []*iam.Policy{mustPolicy(t, policy)}})
	p, err := w.Session(hubRole, "s")
	require.NoError(t, err)
	return w, p
}

func mustPolicy(t *testing.T, text string) *iam.Policy {
	t.Helper()
	p, err := iam.ParsePolicy("policy", []byte(text))
	require.NoError(t, err)
	return p
}

// allow is a policy of one statement.
func allow(actions, resources, more string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":` + actions + `,"Resource":` + resources + more + `}]}`
}

// keyPolicy lets the account's own policies decide about a key.
const keyPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"Account","Effect":"Allow",` +
	`"Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"kms:*","Resource":"*"}]}`

// requireCode wants an API error of that code.
func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	require.Error(t, err)
	var api smithy.APIError
	require.ErrorAs(t, err, &api, "%v", err)
	require.Equal(t, code, api.ErrorCode(), "%v", err)
}

// script is a Faults whose answers a test writes down: the n-th call of a name
// gets the n-th error, nil or none for no fault.
type script struct {
	before, after map[string][]error
	stale         time.Duration
	unprocessed   int
	arriving      int // of a body; negative for all
	copies        int // of a mail; negative for one
	late          time.Duration
}

func newScript() *script { return &script{arriving: -1, copies: -1} }

func (s *script) Before(c *core.Call) error { return pop(s.before, c.Name()) }

func (s *script) After(c *core.Call) error { return pop(s.after, c.Name()) }

func pop(answers map[string][]error, name string) error {
	if len(answers[name]) == 0 {
		return nil
	}
	err := answers[name][0]
	answers[name] = slices.Clone(answers[name][1:])
	return err
}

func (s *script) Stale(*core.Call) time.Duration { return s.stale }

func (s *script) Unprocessed(_ *core.Call, _ int) int { return s.unprocessed }

func (s *script) Deliver(backing.Mail) (int, time.Duration) { return s.mailCopies(), s.late }

func (s *script) Arriving(_ *core.Call, n int) int {
	if s.arriving < 0 {
		return n
	}
	return s.arriving
}

func (s *script) mailCopies() int {
	if s.copies < 0 {
		return 1
	}
	return s.copies
}

// lost is the loss of an answer: the SDK's retryer tries again.
func lost() error { return &core.ConnectionError{Call: "test"} }
