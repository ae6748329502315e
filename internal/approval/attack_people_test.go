package approval_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// The attacks of those who are let in: by one person in two guises, and by whoever uses one door where the other is
// shut.

const sts = "arn:aws:sts::999999999999:assumed-role/"

// twoPeople is a stand whose question needs two people.
func twoPeople(requestedBy string) func(*decision.Approval, *store.RunRow, *plan.Index) {
	return func(rec *decision.Approval, run *store.RunRow, _ *plan.Index) {
		rec.RequireDistinct, run.RequireDistinct = 2, 2
		rec.RequestedBy, run.RequestedBy = requestedBy, requestedBy
	}
}

// by answers by command, or by the form with a login or the mere link.
func (s *stand) by(t *testing.T, who, what string) int {
	t.Helper()
	switch {
	case who == "link":
		return s.do(t, s.form(what)).Status
	case len(who) > 4 && who[:4] == "arn:":
		status,
			_ := s.operate(t, who, map[string]any{"run": fake.StandRun, "action": what, "code": s.rec.Code(),
			"reason": "because"})
		return status
	}
	r := s.form(what)
	r.Subject = who
	return s.do(t, r).Status
}

func TestT47_LinkAndOwnIdentity(t *testing.T) {
	s := newStand(t, twoPeople(""))
	page := string(s.get(t, s.query()).Body)
	assert.NotContains(t, page, "<form", "a link is nobody in particular")
	assert.Contains(t, page, "ec2patch approve "+fake.StandRun)
	assert.Equal(t, 403, s.by(t, "link", "approve"))
	assert.Equal(t, 403, s.by(t, "link", "reject"))
	assert.Equal(t, 200, s.by(t, fake.Operator, "approve"))
	assert.Equal(t, 403, s.by(t, "link", "approve"))
	assert.Equal(t, decision.ApprovalPending, s.stored(t).Status, "one person with the link and an identity is one")
	assert.Empty(t, s.waiter.Tokens)
	assert.Equal(t, 303, s.by(t, "ann@example.com", "approve"), "a login counts")
	assert.Equal(t, decision.ApprovalApproved, s.stored(t).Status)
}

func TestT48_TwoSessionsOfOneRole(t *testing.T) {
	named, err := decision.ParsePeople("Oncall-*, Deputy")
	assert.NoError(t, err)
	tests := []struct {
		name, first, second string
		status              decision.Status
	}{
		{"a role whose sessions anybody names", sts + "Operators/ann", sts + "Operators/bob", decision.ApprovalPending},
		{"two such roles", sts + "Operators/ann", sts + "Deputies/ann", decision.ApprovalApproved},
		{"Identity Center", sts + "AWSReservedSSO_Ops_0123456789abcdef/ann", sts + "AWSReservedSSO_Ops_0123456789abcdef/bob",
			decision.ApprovalApproved},
		{"one user of two permission sets", sts + "AWSReservedSSO_Ops_0123456789abcdef/ann",
			sts + "AWSReservedSSO_Admin_fedcba9876543210/ann",
			decision.ApprovalPending},
		{"a role that is vouched for", sts + "Oncall-eu/ann", sts + "Oncall-eu/bob", decision.ApprovalApproved},
		{"one person of two such roles", sts + "Oncall-eu/ann", sts + "Deputy/ann", decision.ApprovalPending},
		{"a name that only begins like one", sts + "Deputy2/ann", sts + "Deputy2/bob", decision.ApprovalPending},
		{"a login and a session of the same name", "ann", sts + "AWSReservedSSO_Ops_0123456789abcdef/ann",
			decision.ApprovalPending},
		{"two names that one user gives himself", "arn:aws:sts::999999999999:federated-user/ann",
			"arn:aws:sts::999999999999:federated-user/bob",
			decision.ApprovalPending},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t, twoPeople(""))
			s.People = named
			assert.Less(t, s.by(t, tt.first, "approve"), 400)
			second := s.by(t, tt.second, "approve")
			assert.Equal(t, tt.status, s.stored(t).Status)
			assert.Equal(t, tt.status == decision.ApprovalApproved, second == 200, "%d", second)
		})
	}
	t.Run("any one still rejects", func(t *testing.T) {
		s := newStand(t, twoPeople(""))
		assert.Equal(t, 200, s.by(t, sts+"Operators/ann", "approve"))
		assert.Equal(t, 200, s.by(t, sts+"Operators/bob", "reject"))
		assert.Equal(t, decision.ApprovalRejected, s.stored(t).Status)
	})
	t.Run("where one is enough every session counts", func(t *testing.T) {
		s := newStand(t)
		assert.Equal(t, 200, s.by(t, sts+"Operators/ann", "approve"))
		assert.Equal(t, decision.ApprovalApproved, s.stored(t).Status)
	})
}

func TestT49_FalseRequester(t *testing.T) {
	const center = sts + "AWSReservedSSO_Ops_0123456789abcdef/"
	s := newStand(t, twoPeople(center+"ann"))
	assert.Equal(t, 403, s.by(t, center+"ann", "approve"), "whom the claim names does not count")
	assert.Equal(t, 403, s.by(t, sts+"AWSReservedSSO_Admin_fedcba9876543210/ann", "approve"), "in no guise")
	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, center+"ann (as the starter says)", "it may be somebody else who started the run")
	assert.Contains(t, page, "<dt>Started by</dt><dd>not known</dd>")
	assert.Equal(t, 200, s.by(t, center+"bob", "approve"))
	assert.Equal(t, 200, s.by(t, center+"cem", "approve"))
	assert.Equal(t, decision.ApprovalApproved, s.stored(t).Status)
}

// tamper changes what a question stands on after it was asked.
func (s *stand) tamper(t *testing.T, change func(*plan.Index)) {
	t.Helper()
	other := s.index
	change(&other)
	assert.NoError(t, other.Seal())
	data, err := patch.Canonical(other)
	assert.NoError(t, err)
	s.objects[store.IndexObject(fake.StandRun)] = data
}

// shut asks both doors, and wants one answer and nothing recorded.
func (s *stand) shut(t *testing.T, status int) {
	t.Helper()
	s.unchanged(t, func() {
		assert.Equal(t, status, s.get(t, s.query()).Status)
		for _, what := range []string{"approve", "reject"} {
			assert.Equal(t, status, s.by(t, "link", what), "the form takes: %s", what)
			assert.Equal(t, status, s.by(t, fake.Operator, what), "the command takes: %s", what)
		}
	})
}

func TestT50_FormWithATamperedPlan(t *testing.T) {
	s := newStand(t)
	s.tamper(t, func(x *plan.Index) { x.InputDigest = "x" })
	s.shut(t, http.StatusConflict)

	s = newStand(t)
	s.objects[store.IndexObject(fake.StandRun)] = []byte(`{"run":"other"}`)
	s.shut(t, http.StatusConflict)
}

func TestT51_FormWithAMissingPlan(t *testing.T) {
	s := newStand(t)
	delete(s.objects, store.IndexObject(fake.StandRun))
	s.shut(t, http.StatusConflict)
}

func TestT52_ApproveAfterAnAbort(t *testing.T) {
	s := newStand(t)
	s.table.Put(store.AbortKey(fake.StandRun), store.Abort{By: fake.Operator, At: s.now})
	s.shut(t, http.StatusGone)
	assert.Contains(t, string(s.get(t, s.query()).Body), "The run was aborted by "+fake.Operator)

	s = newStand(t)
	assert.Equal(t, 303, s.by(t, "link", "approve"))
	s.table.Put(store.AbortKey(fake.StandRun), store.Abort{By: fake.Operator, At: s.now})
	page := string(s.get(t, s.query()).Body)
	assert.Contains(t, page, "The run was aborted by "+fake.Operator)
	assert.NotContains(t, page, "The run goes on by itself")
}

func TestT53_FoldedFieldNames(t *testing.T) {
	s := newStand(t)
	digest := s.index.Digest
	for name, body := range map[string]string{
		"long s":      `{"run":"R","action":"approve","digest":"D","reason":"a","rea\u017fon":"b"}`,
		"long s, raw": `{"run":"R","action":"approve","digest":"D","reason":"a","reaſon":"b"}`,
		"Kelvin sign": `{"run":"R","action":"abort","reason":"a","cancelInFlight":false,"cancelInFlight":true}`,
		"case":        `{"run":"R","action":"approve","digest":"D","reason":"a","REASON":"b"}`,
		"action":      `{"run":"R","action":"status","ACTION":"abort","reason":"x"}`,
		"scope":       `{"run":"R","action":"approve","digest":"D","scope":"run","\u017fcope":"wave:x"}`,
		"alone":       `{"run":"R","action":"approve","digest":"D","rea\u017fon":"b"}`,
	} {
		s.unchanged(t, func() {
			res := s.do(t, approval.HTTPRequest{
				Method: "POST", Path: "/operator", Caller: fake.Operator,
				Body:   []byte(strings.NewReplacer(`"R"`, `"`+string(fake.StandRun)+`"`, `"D"`, `"`+digest+`"`).Replace(body)),
				Header: map[string]string{"host": fake.StandHost, "content-type": "application/json"},
			})
			assert.Equal(t, 400, res.Status, "%s: %s", name, res.Body)
		})
	}
}

func TestT54_BareAddressesInMail(t *testing.T) {
	const evil = "see www.evil.example or evil.click, ask help@evil.example, mailto:help@evil.example"
	a := newAsker(t, func(rec *decision.Approval, run *store.RunRow, x *plan.Index) {
		run.RequestedBy, run.Reason = evil, evil
		x.Waves[0].Name = "evil.zip"
		x.Waves[1].Notable[0].Name = evil
	})
	require.NoError(t, a.ask(t, "token"))
	bare := regexp.MustCompile(`(?i)www\.|[a-z0-9]@|mailto:|[a-z0-9]\.[a-z]`)
	for line := range strings.Lines(a.mails.Sent[0]) {
		if !strings.HasPrefix(line, "https://"+fake.StandHost) {
			assert.NotRegexp(t, bare, line)
		}
	}
}

func TestT55_OversizeMail(t *testing.T) {
	a := newAsker(t, func(rec *decision.Approval, run *store.RunRow, x *plan.Index) {
		wave := x.Waves[1]
		wave.Filter, wave.Notable = strings.Repeat("k=v ", 20_000), nil
		for range 24 {
			wave.Notable = append(wave.Notable, plan.Notable{
				ID: "i-0aaaaaaaaaaaaaaa1", Account: "222222222222", Region: "us-east-1", Platform: patch.Windows,
				Name: strings.Repeat("n", 256), New: true,
			})
		}
		x.Waves = nil
		for i := range 100 {
			wave.Name = fmt.Sprintf("wave-%03d-%s", i, strings.Repeat("w", 200))
			x.Waves = append(x.Waves, wave)
			if i%2 == 0 { // an empty one says what it looked for
				x.Waves[i].Planned, x.Waves[i].Excluded, x.Waves[i].Targets, x.Waves[i].Notable = 0, 0, nil, nil
			}
		}
		rec.Instances = x.Planned()
		run.RequestedBy, run.Reason = strings.Repeat("r", 200), strings.Repeat("é", 100_000)
	})
	require.NoError(t, a.ask(t, "token"))
	mail := a.mails.Sent[0]
	assert.Less(t, len(mail), 200<<10)
	for _, want := range []string{
		`\n  and \d+ waves more; the page has all\n`, `\n  and [\d,]+ instances more; the page has all\n`,
		`\nhttps://` + fake.StandHost + `/callback\?a=`, `\n    ec2patch approve ` + string(fake.StandRun) + `\n`,
	} {
		assert.True(t, regexp.MustCompile(want).MatchString(mail), want)
	}

	a = newAsker(t)
	many := twoReds()
	for range 2000 {
		many.Causes = append(many.Causes, twoReds().Causes...)
	}
	a.table.Put(store.WaveKey(fake.StandRun, "canary"), store.WaveRow{Wave: "canary", Doubt: many})
	_,
		err := a.Requests.Handle(t.Context(),
		approval.RequestInput{Task: "request", Run: fake.StandRun, Scope: "soak:canary", Token: "t"})
	require.NoError(t, err)
	assert.Less(t, len(a.mails.Sent[0]), 200<<10)
	assert.Contains(t, a.mails.Sent[0], " causes more; the page has all\n")

	a = newAsker(t)
	a.mails.Err = patch.ErrInvalidInput
	require.Error(t, a.ask(t, "token"))
	assert.Equal(t, []float64{0, 1}, a.counted["ApprovalUnheard"], "the alarm hears of a mail that could not be sent")
}
