package task_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// callbackTable is a table in memory that keeps rows as JSON and holds every
// condition. It is safe for many callers.
type callbackTable struct {
	mu     sync.Mutex
	rows   map[patch.Key]json.RawMessage
	audits map[patch.Key]patch.AuditEntry
	writes int
	loads  int // calls of Load and Scan

	before func() error // before a write: an error strikes before the effect
	after  func() error // after a write: the reply is lost
	down   error        // every call fails
}

func (t *callbackTable) Load(_ context.Context, rows ...*task.Row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loads++
	if t.down != nil {
		return t.down
	}
	if len(rows) > 100 {
		return fmt.Errorf("%d rows in one load", len(rows))
	}
	for _, row := range rows {
		data, ok := t.rows[row.Key]
		if row.Found = ok; !ok {
			continue
		}
		if err := json.Unmarshal(data, row.Into); err != nil {
			return err
		}
	}
	return nil
}

func (t *callbackTable) Scan(_ context.Context, pk, prefix string, each func(string, func(any) error) error) error {
	t.mu.Lock()
	t.loads++
	found := map[string]json.RawMessage{}
	for key, data := range t.rows {
		if key.PK == pk && strings.HasPrefix(key.SK, prefix) {
			found[key.SK] = data
		}
	}
	err := t.down
	t.mu.Unlock()
	if err != nil {
		return err
	}
	for _, sk := range slices.Sorted(maps.Keys(found)) {
		if err := each(sk, func(into any) error { return json.Unmarshal(found[sk], into) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *callbackTable) Write(_ context.Context, writes ...task.Write) error {
	if t.before != nil {
		if err := t.before(); err != nil {
			return err
		}
	}
	if err := t.write(writes); err != nil {
		return err
	}
	if t.after != nil {
		return t.after()
	}
	return nil
}

func (t *callbackTable) write(writes []task.Write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down != nil {
		return t.down
	}
	for _, w := range writes {
		if err := t.holds(w); err != nil {
			return err
		}
	}
	for _, w := range writes {
		if w.How == task.Audit {
			t.audits[w.Key] = w.Item.(patch.AuditEntry)
			continue
		}
		data, err := json.Marshal(w.Item)
		if err != nil {
			return err
		}
		t.rows[w.Key] = data
	}
	t.writes++
	return nil
}

func (t *callbackTable) holds(w task.Write) error {
	conflict := fmt.Errorf("row %v: %w", w.Key, patch.ErrConflict)
	switch w.How {
	case task.Audit:
		if _, there := t.audits[w.Key]; there {
			return conflict
		}
	case task.Create:
		if _, there := t.rows[w.Key]; there {
			return conflict
		}
	case task.Replace:
		var v patch.Versioned
		if err := json.Unmarshal(t.rows[w.Key], &v); err != nil || v.Version != w.Was {
			return conflict
		}
	default:
		return fmt.Errorf("the callback has no use for a write of kind %d", w.How)
	}
	return nil
}

func (t *callbackTable) LastAudit(context.Context, string) (patch.ChainHead, error) {
	return patch.ChainHead{}, errors.New("the callback never looks for the end of a chain")
}

// put writes a row as another task would, whatever is there.
func (t *callbackTable) put(key patch.Key, item any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, err := json.Marshal(item)
	if err != nil {
		panic(err)
	}
	t.rows[key] = data
}

// snapshot is everything that is stored.
func (t *callbackTable) snapshot() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	byKey := func(a, b patch.Key) int { return strings.Compare(a.PK+"\x00"+a.SK, b.PK+"\x00"+b.SK) }
	for _, key := range slices.SortedFunc(maps.Keys(t.rows), byKey) {
		fmt.Fprintf(&b, "%v %s\n", key, t.rows[key])
	}
	for _, key := range slices.SortedFunc(maps.Keys(t.audits), byKey) {
		fmt.Fprintf(&b, "%v %+v\n", key, t.audits[key])
	}
	return b.String()
}

// chain is an audit chain in order, checked link by link.
func (t *callbackTable) chain(tb testing.TB, name string) []patch.AuditEntry {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []patch.AuditEntry
	for key, e := range t.audits {
		if key.PK == name {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b patch.AuditEntry) int { return a.Seq - b.Seq })
	prev := ""
	for i, e := range all {
		require.Equal(tb, i+1, e.Seq, "the chain has a gap")
		require.Equal(tb, prev, e.Prev, "the chain is broken")
		require.True(tb, e.Intact())
		prev = e.Hash
	}
	return all
}

// localKey signs like a KMS key, with a secret of its own.
type localKey struct {
	secret string
	err    error
	calls  atomic.Int64
}

func (k *localKey) MAC(_ context.Context, message []byte) ([]byte, error) {
	k.calls.Add(1)
	if k.err != nil {
		return nil, k.err
	}
	h := hmac.New(sha256.New, []byte(k.secret))
	h.Write(message)
	return h.Sum(nil), nil
}

func (k *localKey) Check(ctx context.Context, message, mac []byte) (bool, error) {
	want, err := k.MAC(ctx, message)
	return err == nil && hmac.Equal(want, mac), err
}

type localObjects map[string][]byte

func (o localObjects) Store(context.Context, string, string, []byte) error {
	return errors.New("the callback stores nothing")
}

func (o localObjects) Create(context.Context, string, string, []byte) (bool, error) {
	return false, errors.New("the callback stores nothing")
}

func (o localObjects) Fetch(_ context.Context, key string) ([]byte, bool, error) {
	data, ok := o[key]
	return data, ok, nil
}

type localWaiter struct {
	mu     sync.Mutex
	tokens []string
	gone   bool
	err    error
	seen   func()
}

func (w *localWaiter) Release(_ context.Context, token string, output []byte) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen != nil {
		w.seen()
	}
	if string(output) != "{}" {
		return false, fmt.Errorf("output %q says something", output)
	}
	w.tokens = append(w.tokens, token)
	return w.gone, w.err
}

type localMail struct {
	mu   sync.Mutex
	sent []string
	err  error
}

func (m *localMail) Send(_ context.Context, subject, body string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, subject+"\n"+body)
	return m.err
}

// stand is a hub with one run that waits for its approval.
type stand struct {
	*task.Callback
	table   *callbackTable
	objects localObjects
	links   *localKey
	signer  *localKey
	waiter  *localWaiter
	mail    *localMail
	now     time.Time
	rec     patch.Approval
	index   patch.Index
}

const (
	standRun  = patch.RunID("2026-12-patch")
	standHub  = patch.AccountID("999999999999")
	standHost = "abc123.execute-api.us-east-1.amazonaws.com"
	operator  = "arn:aws:sts::999999999999:assumed-role/Operators/ann"
)

func newStand(tb testing.TB, change ...func(*patch.Approval, *patch.RunRow, *patch.Index)) *stand {
	tb.Helper()
	s := &stand{
		table:   &callbackTable{rows: map[patch.Key]json.RawMessage{}, audits: map[patch.Key]patch.AuditEntry{}},
		objects: localObjects{},
		links:   &localKey{secret: "link key"}, signer: &localKey{secret: "decision key"},
		waiter: &localWaiter{}, mail: &localMail{},
		now: time.Date(2026, 12, 1, 10, 18, 0, 0, time.UTC),
	}
	s.index = patch.Index{Run: standRun, FailLimit: 41, InputDigest: patch.Digest([]byte("input")), Waves: []patch.IndexWave{
		{Name: "canary", Operation: patch.Install, RebootOption: patch.RebootIfNeeded, Planned: 12, Excluded: 1, FailLimit: 1, AccountsMax: 1,
			Platforms: map[patch.Platform]int{patch.Linux: 12}, ExpectedMinutes: 95,
			Targets: []patch.IndexTarget{{Account: "111111111111", Region: "us-east-1", Planned: 12, Excluded: 1, Digest: patch.Digest([]byte("leaf 1"))}}},
		{Name: "fleet", Operation: patch.Install, RebootOption: patch.NoReboot, Planned: 400, Excluded: 7, AllInstances: true, New: 9, Vanished: 2, Impaired: 1,
			FailLimit: 40, AccountsMax: 1, Notable: []patch.Notable{
				{ID: "i-0aaaaaaaaaaaaaaa1", Account: "222222222222", Region: "us-east-1", Platform: patch.Windows, Name: "sql-7", New: true, Impaired: true},
				{ID: "i-0aaaaaaaaaaaaaaa2", Account: "222222222222", Region: "us-east-1", Platform: patch.Linux, Name: "web-12", New: true},
				{ID: "i-0aaaaaaaaaaaaaaa3", Account: "333333333333", Region: "eu-west-1", Platform: patch.Linux, Gone: true},
			},
			Platforms: map[patch.Platform]int{patch.Linux: 250, patch.Windows: 150},
			Targets: []patch.IndexTarget{
				{Account: "222222222222", Region: "us-east-1", Planned: 300, Excluded: 7, Digest: patch.Digest([]byte("leaf 2"))},
				{Account: "333333333333", Region: "eu-west-1", Planned: 100, Digest: patch.Digest([]byte("leaf 3"))},
			}},
	}, Unreachable: []patch.UnreachableAccount{{Account: "444444444444", Region: "us-east-1", Reason: "role cannot be assumed"}}}
	run := patch.RunRow{
		Versioned: patch.Versioned{Version: 2}, Run: standRun, Status: patch.RunRunning, RequireDistinct: 1,
		ExecutionARN: "arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:" + string(standRun),
		RequestedBy:  "platform-team", Reason: "monthly patches",
	}
	s.rec = patch.Approval{
		Versioned: patch.Versioned{Version: 1}, Run: standRun, Scope: "run", HubAccount: standHub, Instances: 412, RequireDistinct: 1,
		RequestedBy: "platform-team", Asked: s.now.Add(-18 * time.Minute), Expires: s.now.Add(222 * time.Minute),
		Round: 1, Token: "the-task-token", Status: patch.ApprovalPending,
	}
	for _, f := range change {
		f(&s.rec, &run, &s.index)
	}
	s.index.Needed, s.index.RequestedBy = run.RequireDistinct, run.RequestedBy
	if err := s.index.Seal(); err != nil {
		panic(err)
	}
	s.rec.ID, s.rec.Digest, run.Digest = patch.ApprovalID(s.rec.Run, s.rec.Scope), s.index.Digest, s.index.Digest
	run.Planned = s.index.Planned()
	entry, head := patch.ChainHead{}.Append(patch.ApprovalChain(s.rec.ID), "approval-request", "Asked", "round 1", s.rec.Asked)
	s.rec.Audit = head
	s.table.audits[entry.Key()] = entry
	s.table.put(patch.RunKey(standRun), run)
	s.table.put(patch.ApprovalKey(s.rec.ID), s.rec)
	for _, w := range s.index.Waves {
		s.table.put(patch.WaveKey(standRun, w.Name), patch.WaveRow{Wave: w.Name, AskScope: "run"})
	}
	data, err := patch.Canonical(s.index)
	require.NoError(tb, err)
	s.objects[patch.IndexObject(standRun)] = data
	s.Callback = &task.Callback{
		Table: s.table, Objects: s.objects, Links: s.links, Decisions: s.signer, Waiter: s.waiter, Notices: s.mail,
		Now: func() time.Time { return s.now }, HubAccount: standHub,
		StateMachineARN: "arn:aws:states:us-east-1:999999999999:stateMachine:ec2patch-orchestrator",
	}
	return s
}

// query is the genuine link's.
func (s *stand) query() string { return s.queryFor(s.rec) }

func (s *stand) queryFor(rec patch.Approval) string {
	mac, err := (&localKey{secret: "link key"}).MAC(context.Background(), rec.LinkMessage())
	if err != nil {
		panic(err)
	}
	return "a=" + rec.ID + "&c=" + patch.Capability(mac)
}

func (s *stand) do(tb testing.TB, r task.HTTPRequest) task.HTTPResponse {
	tb.Helper()
	res, err := s.Handle(tb.Context(), r)
	require.NoError(tb, err)
	return res
}

func (s *stand) get(tb testing.TB, query string) task.HTTPResponse {
	tb.Helper()
	return s.do(tb, task.HTTPRequest{Method: "GET", Path: "/callback", RawQuery: query, Header: map[string]string{"host": standHost}})
}

// form is what a person sends; each pair replaces a field, an empty value leaves it out.
func (s *stand) form(decision string, pairs ...string) task.HTTPRequest {
	link, _ := url.ParseQuery(s.query())
	fields := url.Values{
		"a": link["a"], "c": link["c"], "decision": {decision}, "name": {"Ann"}, "reason": {"because"}, "code": {s.rec.Code()},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			fields.Del(pairs[i])
		}
	}
	return task.HTTPRequest{
		Method: "POST", Path: "/callback", Body: []byte(fields.Encode()), SourceIP: "198.51.100.7",
		Header: map[string]string{
			"host": standHost, "origin": "https://" + standHost, "sec-fetch-site": "same-origin",
			"content-type": "application/x-www-form-urlencoded", "user-agent": "Mozilla/5.0",
		},
	}
}

func (s *stand) operate(tb testing.TB, caller string, body map[string]any) (int, map[string]any) {
	tb.Helper()
	data, err := json.Marshal(body)
	require.NoError(tb, err)
	res := s.do(tb, task.HTTPRequest{
		Method: "POST", Path: "/operator", Caller: caller, Body: data, Header: map[string]string{"host": standHost, "content-type": "application/json"},
	})
	var out map[string]any
	require.NoError(tb, json.Unmarshal(res.Body, &out), "%s", res.Body)
	return res.Status, out
}

// stored is the record as it is now.
func (s *stand) stored(tb testing.TB) patch.Approval {
	tb.Helper()
	var rec patch.Approval
	require.NoError(tb, s.table.Load(tb.Context(), &task.Row{Key: patch.ApprovalKey(s.rec.ID), Into: &rec}))
	return rec
}

// decisions are the decisions as they are now.
func (s *stand) decisions(tb testing.TB) []patch.Decision {
	tb.Helper()
	var all []patch.Decision
	err := s.table.Scan(tb.Context(), patch.ApprovalKey(s.rec.ID).PK, "DECISION#", func(_ string, decode func(any) error) error {
		var d patch.Decision
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
	for _, e := range s.table.chain(tb, patch.ApprovalChain(s.rec.ID)) {
		all = append(all, e.Action)
	}
	return all
}

// unchanged runs f and fails if anything was stored, released or mailed.
func (s *stand) unchanged(tb testing.TB, f func()) {
	tb.Helper()
	before, released, mailed := s.table.snapshot(), len(s.waiter.tokens), len(s.mail.sent)
	f()
	require.Equal(tb, before, s.table.snapshot(), "something was stored")
	require.Len(tb, s.waiter.tokens, released, "a task was released")
	require.Len(tb, s.mail.sent, mailed, "a mail was sent")
}
