package approval_test

import (
	"context"
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// stand is a hub with one run that waits for its approval.
type stand struct {
	*approval.Callback
	table   *fake.Table
	objects fake.Objects
	links   *fake.Key
	signer  *fake.Key
	waiter  *fake.Waiter
	mail    *fake.Mail
	now     time.Time
	rec     decision.Approval
	index   plan.Index
}

func newStand(tb testing.TB, change ...func(*decision.Approval, *store.RunRow, *plan.Index)) *stand {
	tb.Helper()
	s := &stand{
		table:   &fake.Table{Rows: map[store.Key]json.RawMessage{}, Audits: map[store.Key]store.AuditEntry{}},
		objects: fake.Objects{},
		links:   &fake.Key{Secret: "link key"}, signer: &fake.Key{Secret: "decision key"},
		waiter: &fake.Waiter{}, mail: &fake.Mail{},
		now: time.Date(2026, 12, 1, 10, 18, 0, 0, time.UTC),
	}
	s.index = plan.Index{Run: fake.StandRun, FailLimit: 41, InputDigest: patch.Digest([]byte("input")),
		Waves: []plan.IndexWave{
			{Name: "canary", Operation: patch.Install, RebootOption: patch.RebootIfNeeded, Planned: 12, Excluded: 1,
				FailLimit: 1, AccountsMax: 1,
				Platforms: map[patch.Platform]int{patch.Linux: 12}, ExpectedMinutes: 95,
				Targets: []plan.IndexTarget{{Account: "111111111111", Region: "us-east-1", Planned: 12, Excluded: 1,
					Digest: patch.Digest([]byte("leaf 1"))}}},
			{Name: "fleet", Operation: patch.Install, RebootOption: patch.NoReboot, Planned: 400, Excluded: 7,
				AllInstances: true, New: 9, Vanished: 2, Impaired: 1,
				FailLimit: 40, AccountsMax: 1, Notable: []plan.Notable{
					{ID: "i-0aaaaaaaaaaaaaaa1", Account: "222222222222", Region: "us-east-1", Platform: patch.Windows, Name: "sql-7",
						New: true, Impaired: true},
					{ID: "i-0aaaaaaaaaaaaaaa2", Account: "222222222222", Region: "us-east-1", Platform: patch.Linux, Name: "web-12",
						New: true},
					{ID: "i-0aaaaaaaaaaaaaaa3", Account: "333333333333", Region: "eu-west-1", Platform: patch.Linux, Gone: true},
				},
				Platforms: map[patch.Platform]int{patch.Linux: 250, patch.Windows: 150},
				Targets: []plan.IndexTarget{
					{Account: "222222222222", Region: "us-east-1", Planned: 300, Excluded: 7, Digest: patch.Digest([]byte("leaf 2"))},
					{Account: "333333333333", Region: "eu-west-1", Planned: 100, Digest: patch.Digest([]byte("leaf 3"))},
				}},
		},
		Unreachable: []plan.UnreachableAccount{{Account: "444444444444", Region: "us-east-1",
			Reason: "role cannot be assumed"}}}
	run := store.RunRow{
		Versioned: store.Versioned{Version: 2}, Run: fake.StandRun, Status: patch.RunRunning, RequireDistinct: 1,
		ExecutionARN: "arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:" + string(fake.StandRun),
		RequestedBy:  "platform-team", Reason: "monthly patches",
	}
	s.rec = decision.Approval{
		Versioned: store.Versioned{Version: 1}, Run: fake.StandRun, Scope: "run", HubAccount: fake.StandHub, Instances: 412,
		RequireDistinct: 1,
		RequestedBy:     "platform-team", Asked: s.now.Add(-18 * time.Minute), Expires: s.now.Add(222 * time.Minute),
		Round: 1, Token: "the-task-token", Status: decision.ApprovalPending,
	}
	s.index.Terms = terms()
	for _, f := range change {
		f(&s.rec, &run, &s.index)
	}
	s.index.Needed, s.index.RequestedBy = run.RequireDistinct, run.RequestedBy
	s.index.Terms.Distinct = run.RequireDistinct
	if err := s.index.Seal(); err != nil {
		panic(err)
	}
	s.seal(tb)
	s.rec.ID, s.rec.Digest, run.Digest = decision.ApprovalID(s.rec.Run, s.rec.Scope), s.index.Digest, s.index.Digest
	run.Planned = s.index.Planned()
	entry := s.rec.Heads.Append(store.Request, store.ApprovalSubject(s.rec.ID), "approval-request", "Asked", "round 1",
		s.rec.Asked)
	s.table.Audits[entry.Key()] = entry
	s.table.Put(store.RunKey(fake.StandRun), run)
	s.table.Put(store.ApprovalKey(s.rec.ID), s.rec)
	for _, w := range s.index.Waves {
		s.table.Put(store.WaveKey(fake.StandRun, w.Name), store.WaveRow{Wave: w.Name, AskScope: "run"})
	}
	data, err := patch.Canonical(s.index)
	require.NoError(tb, err)
	s.objects[store.IndexObject(fake.StandRun)] = data
	s.Callback = &approval.Callback{
		Table: s.table, Objects: s.objects, Links: s.links, Decisions: s.signer, Waiter: s.waiter, Notices: s.mail,
		Auditor: &fake.Auditor{},
		Now:     func() time.Time { return s.now }, HubAccount: fake.StandHub,
		StateMachineARN: "arn:aws:states:us-east-1:999999999999:stateMachine:ec2patch-orchestrator",
	}
	return s
}

// seal vouches for the stand's plan.
func (s *stand) seal(tb testing.TB) {
	tb.Helper()
	seal := decision.SealOf(&s.index, fake.StandHub)
	seal.At = s.now
	var err error
	seal.MAC, err = (&fake.Key{Secret: "seal key"}).MAC(context.Background(), seal.Message())
	require.NoError(tb, err)
	s.table.Put(store.SealKey(fake.StandRun), seal)
}

// query is the genuine link's.
func (s *stand) query() string { return s.queryFor(s.rec) }

func (s *stand) queryFor(rec decision.Approval) string {
	mac, err := (&fake.Key{Secret: "link key"}).MAC(context.Background(), rec.LinkMessage())
	if err != nil {
		panic(err)
	}
	return "a=" + rec.ID + "&c=" + decision.Capability(mac)
}

func (s *stand) do(tb testing.TB, r approval.HTTPRequest) approval.HTTPResponse {
	tb.Helper()
	res, err := s.Handle(tb.Context(), r)
	require.NoError(tb, err)
	return res
}

func (s *stand) get(tb testing.TB, query string) approval.HTTPResponse {
	tb.Helper()
	return s.do(tb, approval.HTTPRequest{Method: "GET", Path: "/callback", RawQuery: query,
		Header: map[string]string{"host": fake.StandHost}})
}

// form is what a person sends; each pair replaces a field, an empty value leaves it out.
func (s *stand) form(decision string, pairs ...string) approval.HTTPRequest {
	link, _ := url.ParseQuery(s.query())
	fields := url.Values{
		"a": link["a"], "c": link["c"], "decision": {decision}, "name": {"Ann"}, "reason": {"because"},
		"code": {s.rec.Code()},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			fields.Del(pairs[i])
		}
	}
	return approval.HTTPRequest{
		Method: "POST", Path: "/callback", Body: []byte(fields.Encode()), SourceIP: "198.51.100.7",
		Header: map[string]string{
			"host": fake.StandHost, "origin": "https://" + fake.StandHost, "sec-fetch-site": "same-origin",
			"content-type": "application/x-www-form-urlencoded", "user-agent": "Mozilla/5.0",
		},
	}
}

func (s *stand) operate(tb testing.TB, caller string, body map[string]any) (int, map[string]any) {
	tb.Helper()
	data, err := json.Marshal(body)
	require.NoError(tb, err)
	res := s.do(tb, approval.HTTPRequest{
		Method: "POST", Path: "/operator", Caller: caller, Body: data,
		Header: map[string]string{"host": fake.StandHost, "content-type": "application/json"},
	})
	var out map[string]any
	require.NoError(tb, json.Unmarshal(res.Body, &out), "%s", res.Body)
	return res.Status, out
}

// stored is the record as it is now.
func (s *stand) stored(tb testing.TB) decision.Approval {
	tb.Helper()
	var rec decision.Approval
	require.NoError(tb, s.table.Load(tb.Context(), &store.Row{Key: store.ApprovalKey(s.rec.ID), Into: &rec}))
	return rec
}

// decisions are the decisions as they are now.
func (s *stand) decisions(tb testing.TB) []decision.Decision {
	tb.Helper()
	var all []decision.Decision
	err := s.table.Scan(tb.Context(), store.ApprovalKey(s.rec.ID).PK, "DECISION#",
		func(_ string, decode func(any) error) error {
			var d decision.Decision
			err := decode(&d)
			all = append(all, d)
			return err
		})
	require.NoError(tb, err)
	return all
}

func (s *stand) actions(tb testing.TB) []string {
	tb.Helper()
	var all []string
	for _, e := range s.table.About(tb, store.ApprovalSubject(s.rec.ID)) {
		all = append(all, e.Action)
	}
	return all
}

// unchanged runs f and fails if anything was stored, released or mailed.
func (s *stand) unchanged(tb testing.TB, f func()) {
	tb.Helper()
	before, released, mailed := s.table.Snapshot(), len(s.waiter.Tokens), len(s.mail.Sent)
	f()
	require.Equal(tb, before, s.table.Snapshot(), "something was stored")
	require.Len(tb, s.waiter.Tokens, released, "a task was released")
	require.Len(tb, s.mail.Sent, mailed, "a mail was sent")
}

// terms are those of an input that asked less than the hub demands.
func terms() plan.Terms {
	return plan.Terms{
		Terms: runinput.Terms{Approval: runinput.ApprovePerWave, Distinct: 1}, Seconds: 14400,
		Input: runinput.Terms{Approval: runinput.ApproveOnce, Distinct: 1},
		Hub:   runinput.Policy{MinimumApproval: runinput.ApprovePerWave, MinimumDistinct: 1},
	}
}
