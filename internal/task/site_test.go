package task_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// stateTable is the callback's table with the writes that only the other tasks
// need. A transaction happens as a whole or not at all.
type stateTable struct {
	*callbackTable
	fail func(writes []task.Write) error // before the effect
	lose func(writes []task.Write) error // after the effect
}

func newStateTable() *stateTable {
	return &stateTable{callbackTable: &callbackTable{rows: map[patch.Key]json.RawMessage{}, audits: map[patch.Key]patch.AuditEntry{}}}
}

func (t *stateTable) Write(_ context.Context, writes ...task.Write) error {
	if t.fail != nil {
		if err := t.fail(writes); err != nil {
			return err
		}
	}
	if err := t.apply(writes); err != nil {
		return err
	}
	if t.lose != nil {
		return t.lose(writes)
	}
	return nil
}

func (t *stateTable) apply(writes []task.Write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(writes) > 100 {
		return fmt.Errorf("%d writes in one transaction", len(writes))
	}
	seen := map[patch.Key]bool{}
	for _, w := range writes {
		if w.How != task.Audit && seen[w.Key] {
			return fmt.Errorf("two writes of one transaction touch %v", w.Key)
		}
		seen[w.Key] = true
		if w.How == task.Require {
			if err := t.requires(w); err != nil {
				return err
			}
		}
		if w.How == task.Create || w.How == task.Replace || w.How == task.Audit {
			if err := t.holds(w); err != nil {
				return err
			}
		}
	}
	for _, w := range writes {
		if err := t.effect(w); err != nil {
			return err
		}
	}
	t.writes++
	return nil
}

// requires holds the condition on a row that is not written.
func (t *stateTable) requires(w task.Write) error {
	fields := map[string]any{}
	if data, ok := t.rows[w.Key]; ok {
		if err := json.Unmarshal(data, &fields); err != nil {
			return err
		}
		fields["pk"] = w.Key.PK
	}
	value, there := fields[w.Field]
	if there == (w.Value == "") || there && value != w.Value {
		return fmt.Errorf("row %v: %s is %v: %w", w.Key, w.Field, value, patch.ErrConflict)
	}
	return nil
}

func (t *stateTable) effect(w task.Write) error {
	switch w.How {
	case task.Require:
		return nil
	case task.Audit:
		t.audits[w.Key] = w.Item.(patch.AuditEntry)
		return nil
	case task.Delete:
		delete(t.rows, w.Key)
		return nil
	case task.Add:
		counters := map[string]int{}
		if data, ok := t.rows[w.Key]; ok {
			if err := json.Unmarshal(data, &counters); err != nil {
				return err
			}
		}
		for k, n := range w.Add {
			counters[k] += n
		}
		w.Item = counters
	}
	data, err := json.Marshal(w.Item)
	t.rows[w.Key] = data
	return err
}

func (t *stateTable) LastAudit(_ context.Context, chain string) (patch.ChainHead, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var head patch.ChainHead
	for _, e := range t.audits {
		if e.Chain == chain && e.Seq > head.Seq {
			head = patch.ChainHead{Seq: e.Seq, Hash: e.Hash}
		}
	}
	return head, nil
}

// bucket keeps objects in memory.
type bucket struct {
	localObjects
	stored []string
}

func (b *bucket) Store(_ context.Context, key, _ string, data []byte) error {
	b.localObjects[key] = slices.Clone(data)
	b.stored = append(b.stored, key)
	return nil
}

func (b *bucket) Create(ctx context.Context, key, contentType string, data []byte) (bool, error) {
	if _, there := b.localObjects[key]; there {
		return false, nil
	}
	return true, b.Store(ctx, key, contentType, data)
}

// Begin is an object that appears when it is closed.
func (b *bucket) Begin(_ context.Context, key, _ string) io.WriteCloser {
	return &upload{bucket: b, key: key}
}

type upload struct {
	bytes.Buffer
	bucket *bucket
	key    string
}

func (u *upload) Close() error {
	return u.bucket.Store(context.Background(), u.key, "", u.Bytes())
}

// spoke is one account and region as the test says it is. A call that is not
// planned here panics on the embedded interface.
type spoke struct {
	task.Spoke
	machines  map[patch.InstanceID]task.Machine
	agents    map[patch.InstanceID]task.Agent
	checks    map[patch.InstanceID]task.Checks
	states    map[patch.InstanceID]patch.PatchState
	commands  map[patch.CommandID]*ssmCommand
	began     map[patch.InstanceID]bool // of those that nobody saw running; SSM does not know the others
	cancels   []string                  // command/instance, as they were asked for
	cancelled error                     // the answer to a cancel
	onCancel  func()
	onAsk     func()            // before an answer about one instance
	reads     []patch.CommandID // whose invocations were read
	matching  []task.Machine    // what a wave's filter selects
	described []patch.InstanceID
	nodes     map[patch.InstanceID]task.Agent      // registered by an activation
	tagged    map[string]map[patch.InstanceID]bool // by the keys that are asked for
}

// ssmCommand is a command as SSM has it.
type ssmCommand struct {
	instance patch.InstanceID
	marker   string
	at       time.Time
	status   string
	details  string
	unlisted bool // its invocation is not listed
	unshown  bool // nor is it among those that execute
	unmarked bool // nor by its comment
}

func (s *spoke) Matching(context.Context, patch.Filters) ([]task.Machine, error) {
	return s.matching, nil
}

func (s *spoke) Machines(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]task.Machine, error) {
	s.described = append(s.described, ids...)
	return only(s.machines, ids), nil
}

func (s *spoke) Agents(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]task.Agent, error) {
	return only(s.agents, ids), nil
}

func (s *spoke) Hybrids(context.Context) (map[patch.InstanceID]task.Agent, error) {
	return s.nodes, nil
}

func (s *spoke) Tagged(_ context.Context, tags map[string][]string) (map[patch.InstanceID]bool, error) {
	return s.tagged[strings.Join(task.SortedKeys(tags), ",")], nil
}

func (s *spoke) Statuses(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]task.Checks, error) {
	return only(s.checks, ids), nil
}

func (s *spoke) PatchStates(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]patch.PatchState, error) {
	return only(s.states, ids), nil
}

func only[V any](all map[patch.InstanceID]V, ids []patch.InstanceID) map[patch.InstanceID]V {
	some := map[patch.InstanceID]V{}
	for _, id := range ids {
		if v, ok := all[id]; ok {
			some[id] = v
		}
	}
	return some
}

func (s *spoke) Executing(_ context.Context, since time.Time) (map[patch.CommandID]bool, error) {
	some := map[patch.CommandID]bool{}
	for id, c := range s.commands {
		if !(patch.Invocation{Status: c.status}).Terminal() && !c.unshown && !c.at.Before(since) {
			some[id] = true
		}
	}
	return some, nil
}

func (s *spoke) Invocation(_ context.Context, id patch.CommandID) (patch.Invocation, bool, error) {
	s.reads = append(s.reads, id)
	c, ok := s.commands[id]
	if !ok || c.unlisted {
		return patch.Invocation{}, false, nil
	}
	return patch.Invocation{InstanceID: c.instance, Command: id, Status: c.status, Details: c.details}, true, nil
}

func (s *spoke) Marked(_ context.Context, markers []string, since time.Time) (map[string]task.Accepted, error) {
	some := map[string]task.Accepted{}
	for id, c := range s.commands {
		marker, _, _ := strings.Cut(c.marker, ".")
		if slices.Contains(markers, marker) && !c.unmarked && !c.at.Before(since) {
			some[c.marker] = task.Accepted{ID: id, At: c.at}
		}
	}
	return some, nil
}

func (s *spoke) Began(_ context.Context, _ patch.CommandID, id patch.InstanceID, _ patch.Platform) (bool, error) {
	if s.onAsk != nil {
		s.onAsk()
	}
	began, known := s.began[id]
	if !known {
		return false, errors.New("InvocationDoesNotExist")
	}
	return began, nil
}

func (s *spoke) Output(context.Context, patch.CommandID, patch.InstanceID, patch.Platform, int) (string, error) {
	if s.onAsk != nil {
		s.onAsk()
	}
	return "error\x1b[31m: disk full\n", nil
}

func (s *spoke) Cancel(_ context.Context, id patch.CommandID, instance patch.InstanceID) error {
	if s.onCancel != nil {
		s.onCancel()
	}
	s.cancels = append(s.cancels, string(id)+"/"+string(instance))
	return s.cancelled
}

// site is a hub with a running run of one wave and one target, and everything
// that its tasks see of AWS.
type site struct {
	t       *testing.T
	table   *stateTable
	bucket  *bucket
	spoke   *spoke
	locked  error // the account's answer to whoever wants in
	key     *localKey
	mail    *localMail
	began   time.Time
	now     time.Time
	target  patch.Target
	leaf    patch.Leaf
	index   patch.Index
	sent    []task.Command
	opened  [][]patch.InstanceID               // the sessions for sending, by what they name
	answers []answer                           // of the next sends; then success
	refuse  map[patch.InstanceID]error         // the answer to every send to an instance
	closed  func(ids []patch.InstanceID) error // the answer to whoever wants a session for sending
	dead    bool                               // the process
	each    time.Duration                      // what a send takes
	metrics metrics
	red     map[string]string // alarms that are not OK
	unread  error             // the alarms cannot be read just now
	running bool              // the execution, whatever the run's row says
	exitAs  string            // how it ended, as Step Functions says; empty: forgotten
	alarms  int
}

// answer is what the next send gets.
type answer struct {
	id  patch.CommandID
	err error
}

type metrics map[string]float64

func (m metrics) Count(name, _ string, value float64, _ map[string]string) { m[name] += value }

func (s *site) Spoke(_ context.Context, at patch.Target) (task.Spoke, error) {
	require.Equal(s.t, s.target.Account, at.Account)
	require.Equal(s.t, s.target.Region, at.Region)
	return s.spoke, s.locked
}

// Session opens a session that can send to these instances only.
func (s *site) Session(_ context.Context, at patch.Target, ids []patch.InstanceID) (task.Session, error) {
	require.Equal(s.t, s.target, at)
	require.LessOrEqual(s.t, len(ids), task.SessionInstances)
	if s.closed != nil {
		if err := s.closed(ids); err != nil {
			return nil, err
		}
	}
	s.opened = append(s.opened, slices.Clone(ids))
	return &session{site: s, ids: s.opened[len(s.opened)-1]}, nil
}

type session struct {
	site *site
	ids  []patch.InstanceID
}

// Send takes a command as SSM does.
func (x *session) Send(_ context.Context, c task.Command) (patch.CommandID, error) {
	s := x.site
	require.Contains(s.t, x.ids, c.Instance, "outside of its session")
	s.now = s.now.Add(s.each)
	s.sent = append(s.sent, c)
	id := patch.CommandID("cmd-" + strconv.Itoa(len(s.sent)))
	var a answer
	if len(s.answers) > 0 {
		a = s.answers[0]
		s.answers = s.answers[1:]
	}
	if err := s.refuse[c.Instance]; err != nil {
		a = answer{err: err}
	}
	if a.err != nil && a.id == "" {
		return "", a.err
	}
	if a.id != "" {
		id = a.id
	}
	s.spoke.commands[id] = &ssmCommand{instance: c.Instance, marker: c.Marker, at: s.now, status: "Pending", details: "Pending"}
	if a.err != nil {
		return "", a.err
	}
	return id, nil
}

func (s *site) States(_ context.Context, _ patch.RunID, arns []string) ([]patch.AlarmState, error) {
	s.alarms++
	if s.unread != nil {
		return nil, s.unread
	}
	var states []patch.AlarmState
	for _, arn := range arns {
		states = append(states, patch.AlarmState{ARN: arn, State: cmp.Or(s.red[arn], patch.AlarmOK)})
	}
	return states, nil
}

// Running tells what Step Functions says of the execution.
func (s *site) Running(_ context.Context, executionARN string) (bool, error) {
	require.Equal(s.t, siteExecution, executionARN)
	return s.running, nil
}

// Ended tells how Step Functions says that the execution ended.
func (s *site) Ended(ctx context.Context, executionARN string) (string, bool, error) {
	running, err := s.Running(ctx, executionARN)
	return s.exitAs, running, err
}

const siteExecution = "arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:run-1"

const siteRun = patch.RunID("run-1")

// newSite freezes a plan of n instances that may be sent to.
func newSite(t *testing.T, n int, change ...func(*patch.Leaf, *patch.TargetRow, *patch.WaveRow, *patch.RunRow)) *site {
	t.Helper()
	began := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	s := &site{
		t: t, table: newStateTable(), bucket: &bucket{localObjects: localObjects{}}, key: &localKey{secret: "decisions"}, mail: &localMail{},
		began: began, now: began, metrics: metrics{},
		target: patch.Target{Run: siteRun, Wave: "w", Account: "111111111111", Region: "us-east-1"},
	}
	s.spoke = &spoke{
		machines: map[patch.InstanceID]task.Machine{}, agents: map[patch.InstanceID]task.Agent{}, checks: map[patch.InstanceID]task.Checks{},
		states: map[patch.InstanceID]patch.PatchState{}, commands: map[patch.CommandID]*ssmCommand{},
	}
	s.leaf = patch.Leaf{
		Target: s.target, Document: patch.Document, Operation: patch.Install, RebootOption: patch.RebootIfNeeded,
		SnapshotID: patch.SnapshotID(s.target), CommandTimeoutSeconds: 7200, Concurrency: n, ErrorLimit: n, OptOutTag: patch.ExclusionTag,
	}
	for i := range n {
		id := instance(i)
		s.leaf.Instances = append(s.leaf.Instances, patch.PlannedInstance{ID: id, Wave: "w", Platform: patch.Linux})
		s.spoke.machines[id] = task.Machine{ID: id, State: "running"}
		s.spoke.agents[id] = task.Agent{Platform: patch.Linux, Online: true, LastPing: s.now}
	}
	row := patch.TargetRow{Status: patch.TargetPlanned, Planned: n, MaxPolls: 100}
	wave := patch.WaveRow{Wave: "w", Planned: n, Targets: 1, Accounts: 1, FailLimit: n, AccountsMax: 1, PerAccount: patch.Threshold{Value: 100, Percent: true}, AskScope: "none"}
	run := patch.RunRow{Run: siteRun, Status: patch.RunRunning, Planned: n, ExecutionARN: siteExecution, Approval: patch.ApproveNone, Started: s.now}
	for _, f := range change {
		f(&s.leaf, &row, &wave, &run)
	}
	row.Concurrency, row.ErrorLimit = s.leaf.Concurrency, s.leaf.ErrorLimit
	data, err := patch.Canonical(s.leaf)
	require.NoError(t, err)
	row.LeafDigest = patch.Digest(data)
	s.bucket.localObjects[patch.LeafObject(s.target)] = data
	s.index = patch.Index{Run: siteRun, Waves: []patch.IndexWave{{
		Name: "w", Operation: s.leaf.Operation, RebootOption: s.leaf.RebootOption, Planned: n, AskScope: wave.AskScope,
		Targets: []patch.IndexTarget{{Account: s.target.Account, Region: s.target.Region, Planned: n, Digest: row.LeafDigest}},
	}}}
	require.NoError(t, s.index.Seal())
	run.Digest = s.index.Digest
	index, err := patch.Canonical(s.index)
	require.NoError(t, err)
	s.bucket.localObjects[patch.IndexObject(siteRun)] = index
	s.table.put(patch.RunKey(siteRun), run)
	s.table.put(patch.TargetKey(s.target), row)
	s.table.put(patch.WaveKey(siteRun, "w"), wave)
	s.table.put(patch.WaveKey(siteRun, patch.WholeRun), patch.WaveRow{Wave: patch.WholeRun, Planned: n, FailLimit: wave.FailLimit})
	s.spoke.Spoke = &naming{}
	return s
}

// another is a second target of the wave, with as many instances as the first one has.
func (s *site) another(account patch.AccountID, region patch.Region) *site {
	s.t.Helper()
	o := *s
	o.target.Account, o.target.Region = account, region
	o.sent, o.opened = nil, nil
	spoke := *s.spoke
	spoke.commands, spoke.cancels, spoke.reads = map[patch.CommandID]*ssmCommand{}, nil, nil
	o.spoke = &spoke
	o.leaf.Target = o.target
	data, err := patch.Canonical(o.leaf)
	require.NoError(s.t, err)
	s.bucket.localObjects[patch.LeafObject(o.target)] = data
	s.table.put(patch.TargetKey(o.target), patch.TargetRow{
		Status: patch.TargetPlanned, Planned: len(o.leaf.Instances), MaxPolls: 100, Concurrency: o.leaf.Concurrency,
		ErrorLimit: o.leaf.ErrorLimit, LeafDigest: patch.Digest(data),
	})
	s.index.Waves[0].Targets = append(s.index.Waves[0].Targets, patch.IndexTarget{
		Account: account, Region: region, Planned: len(o.leaf.Instances), Digest: patch.Digest(data),
	})
	s.storeIndex(true)
	edit(s, patch.RunKey(siteRun), func(r *patch.RunRow) { r.Digest = s.index.Digest })
	o.index = s.index
	return &o
}

func instance(i int) patch.InstanceID { return patch.InstanceID(fmt.Sprintf("i-%017x", i+1)) }

func (s *site) clock() time.Time { return s.now }

// waited is what the state machine has waited: all the time that has passed.
func (s *site) waited() int { return int(s.now.Sub(s.began).Seconds()) }

func (s *site) sender() *task.Send {
	return &task.Send{Table: s.table, Objects: s.bucket, Spokes: s, Sender: s, Alarms: s, Decisions: s.key, Now: s.clock, HubAccount: standHub, PollInterval: 15 * time.Second}
}

func (s *site) send() (task.Answer, error) {
	return s.sender().Handle(s.t.Context(), task.TargetInput{Target: s.target, Waited: s.waited()})
}

func (s *site) poll() (task.Answer, error) {
	p := &task.Poll{Table: s.table, Spokes: s, Alarms: s, Now: s.clock, PollInterval: 15 * time.Second}
	return p.Handle(s.t.Context(), task.TargetInput{Target: s.target, Waited: s.waited()})
}

func (s *site) verifier() *task.PostVerify {
	return &task.PostVerify{
		Targets: task.Verify{Table: s.table, Objects: s.bucket, Spokes: s, Metrics: s.metrics, Now: s.clock},
		Waves:   task.Judge{Table: s.table, Objects: s.bucket, Alarms: s, Decisions: s.key, Now: s.clock},
		Reports: task.Reports{
			Table: s.table, Objects: s.bucket, Decisions: s.key, Runs: s, Notices: s.mail, Metrics: s.metrics, Now: s.clock,
			Targets: &task.Abandon{Table: s.table, Spokes: s, Now: s.clock},
		},
	}
}

// verify carries out one step of the verifier on the target.
func (s *site) verify(what string) (any, error) {
	return s.verifier().Handle(s.t.Context(), task.VerifyInput{
		Task: what, Run: siteRun, Wave: "w", Account: s.target.Account, Region: s.target.Region,
	})
}

// must takes an answer and no error.
func (s *site) must(a task.Answer, err error) task.Answer {
	s.t.Helper()
	require.NoError(s.t, err)
	return a
}

// row is the target as it is now.
func (s *site) row() *patch.TargetRow {
	s.t.Helper()
	var row patch.TargetRow
	s.load(patch.TargetKey(s.target), &row)
	return &row
}

func (s *site) load(key patch.Key, into any) {
	s.t.Helper()
	require.NoError(s.t, s.table.Load(s.t.Context(), &task.Row{Key: key, Into: into}))
}

// edit rewrites a row as another task might.
func edit[T any](s *site, key patch.Key, f func(*T)) {
	s.t.Helper()
	var row T
	s.load(key, &row)
	f(&row)
	s.table.put(key, row)
}

// sendAll sends until nothing more is sent now.
func (s *site) sendAll() task.Answer {
	s.t.Helper()
	for range 500 {
		if a := s.must(s.send()); a.Next != "send" {
			return a
		}
	}
	s.t.Fatal("sending does not end")
	return task.Answer{}
}

// ended gives a command this status, also one that is no end.
func (s *site) ended(command int, status string) {
	s.t.Helper()
	c := s.spoke.commands[patch.CommandID("cmd-"+strconv.Itoa(command))]
	require.NotNil(s.t, c, "command %d was never accepted", command)
	c.status, c.details = status, status
}

// allEnded gives all commands this status, if they have not ended.
func (s *site) allEnded(status string) {
	for _, c := range s.spoke.commands {
		if !(patch.Invocation{Status: c.status}).Terminal() {
			c.status, c.details = status, status
		}
	}
}

// cut is how a cancel of a command that was sent as the n-th is noted.
func (s *site) cut(n int) string {
	return fmt.Sprintf("cmd-%d/%s", n, s.sent[n-1].Instance)
}

// patched gives instances the evidence of a good patch.
func (s *site) patched(ids ...patch.InstanceID) {
	zero, some := 0, 12
	for _, id := range ids {
		s.spoke.states[id] = patch.PatchState{
			Operation: patch.Install, SnapshotID: s.leaf.SnapshotID, Started: s.now, Ended: s.now.Add(10 * time.Minute),
			Missing: &zero, Failed: &zero, InstalledPendingReboot: &zero, Installed: &some,
		}
		s.spoke.agents[id] = task.Agent{Platform: patch.Linux, Online: true, LastPing: s.now.Add(15 * time.Minute)}
	}
}

// actions lists what the target's audit chain says was done.
func (s *site) actions() []string {
	s.t.Helper()
	var all []string
	for _, e := range s.table.chain(s.t, patch.TargetChain(s.target)) {
		all = append(all, e.Action)
	}
	return all
}

// sentTimes counts the sends to each instance.
func (s *site) sentTimes() map[patch.InstanceID]int {
	n := map[patch.InstanceID]int{}
	for _, c := range s.sent {
		n[c.Instance]++
	}
	return n
}

// lookedAt is what polls have written down of each command, and asked to cancel.
func (s *site) lookedAt() (found map[patch.CommandID]patch.Invocation, cancels []patch.Cancel) {
	s.t.Helper()
	found = map[patch.CommandID]patch.Invocation{}
	err := s.table.Scan(s.t.Context(), patch.RunKey(siteRun).PK, patch.LookPrefix(s.target), func(_ string, decode func(any) error) error {
		var l patch.Look
		err := decode(&l)
		for _, v := range l.Found {
			found[v.Command] = v
		}
		cancels = append(cancels, l.Cancels...)
		return err
	})
	require.NoError(s.t, err)
	return found, cancels
}

// countOf counts the entries of the target's audit chain with this action.
func (s *site) countOf(action string) int {
	n := 0
	for _, a := range s.actions() {
		if a == action {
			n++
		}
	}
	return n
}

// resultKey is where the result is that the target's row names.
func (s *site) resultKey() string { return patch.ResultObject(s.target, s.row().ResultHash) }

// counters are those of the wave.
func (s *site) counters() patch.Counters {
	var c patch.Counters
	s.load(patch.CountersKey(siteRun, "w"), &c)
	return c
}

// intents are the target's intents by their batch.
func (s *site) intents() []patch.Intent {
	s.t.Helper()
	var all []patch.Intent
	err := s.table.Scan(s.t.Context(), patch.RunKey(siteRun).PK, patch.SendPrefix(s.target), func(_ string, decode func(any) error) error {
		var in patch.Intent
		err := decode(&in)
		all = append(all, in)
		return err
	})
	require.NoError(s.t, err)
	return all
}
