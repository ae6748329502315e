package site

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/fake"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
	"ec2patch/internal/wave"
	"ec2patch/internal/words"
)

func DecodeJSON(t *testing.T, data []byte, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, into))
}

func Because(k patch.Kind) error { return fmt.Errorf("send: %w: %w", k, errors.New("because")) }

var ErrNoAnswer = Because(patch.ErrUnavailable)

// Spoke is one account and region as the test says it is. A call that is not
// planned here panics on the embedded interface.
type Spoke struct {
	port.Spoke
	Known     map[patch.InstanceID]port.Machine
	Managed   map[patch.InstanceID]port.Agent
	checks    map[patch.InstanceID]port.Checks
	States    map[patch.InstanceID]outcome.PatchState
	Commands  map[patch.CommandID]*Sent
	BegunBy   map[patch.InstanceID]bool // of those that nobody saw running; SSM does not know the others
	Cancels   []string                  // command/instance, as they were asked for
	Cancelled error                     // the answer to a cancel
	OnCancel  func()
	OnAsk     func()            // before an answer about one instance
	Reads     []patch.CommandID // whose invocations were read
	Matches   []port.Machine    // what a wave's filter selects
	Described []patch.InstanceID
	Nodes     map[patch.InstanceID]port.Agent      // registered by an activation
	TaggedIDs map[string]map[patch.InstanceID]bool // by the keys that are asked for
}

// ssmCommand is a command as SSM has it.
type Sent struct {
	Instance patch.InstanceID
	Marker   string
	At       time.Time
	Status   string
	details  string
	Unlisted bool // its invocation is not listed
	Unshown  bool // nor is it among those that execute
	Unmarked bool // nor by its comment
}

func (s *Spoke) Matching(context.Context, runinput.Filters) ([]port.Machine, error) {
	return s.Matches, nil
}

func (s *Spoke) Machines(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]port.Machine, error) {
	s.Described = append(s.Described, ids...)
	return only(s.Known, ids), nil
}

func (s *Spoke) Agents(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]port.Agent, error) {
	return only(s.Managed, ids), nil
}

func (s *Spoke) Hybrids(context.Context) (map[patch.InstanceID]port.Agent, error) {
	return s.Nodes, nil
}

func (s *Spoke) Tagged(_ context.Context, tags map[string][]string) (map[patch.InstanceID]bool, error) {
	return s.TaggedIDs[strings.Join(words.SortedKeys(tags), ",")], nil
}

func (s *Spoke) Statuses(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]port.Checks, error) {
	return only(s.checks, ids), nil
}

func (s *Spoke) PatchStates(_ context.Context, ids []patch.InstanceID) (map[patch.InstanceID]outcome.PatchState,
	error) {
	return only(s.States, ids), nil
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

func (s *Spoke) Executing(_ context.Context, since time.Time) (map[patch.CommandID]bool, error) {
	some := map[patch.CommandID]bool{}
	for id, c := range s.Commands {
		if !(outcome.Invocation{Status: c.Status}).Terminal() && !c.Unshown && !c.At.Before(since) {
			some[id] = true
		}
	}
	return some, nil
}

func (s *Spoke) Invocation(_ context.Context, id patch.CommandID) (outcome.Invocation, bool, error) {
	s.Reads = append(s.Reads, id)
	c, ok := s.Commands[id]
	if !ok || c.Unlisted {
		return outcome.Invocation{}, false, nil
	}
	return outcome.Invocation{InstanceID: c.Instance, Command: id, Status: c.Status, Details: c.details}, true, nil
}

func (s *Spoke) Marked(_ context.Context, markers []string, since time.Time) (map[string]port.Accepted, error) {
	some := map[string]port.Accepted{}
	for id, c := range s.Commands {
		marker, _, _ := strings.Cut(c.Marker, ".")
		if slices.Contains(markers, marker) && !c.Unmarked && !c.At.Before(since) {
			some[c.Marker] = port.Accepted{ID: id, At: c.At}
		}
	}
	return some, nil
}

func (s *Spoke) Began(_ context.Context, _ patch.CommandID, id patch.InstanceID, _ patch.Platform) (bool, error) {
	if s.OnAsk != nil {
		s.OnAsk()
	}
	began, known := s.BegunBy[id]
	if !known {
		return false, errors.New("InvocationDoesNotExist")
	}
	return began, nil
}

func (s *Spoke) Output(context.Context, patch.CommandID, patch.InstanceID, patch.Platform, int) (string, error) {
	if s.OnAsk != nil {
		s.OnAsk()
	}
	return "error\x1b[31m: disk full\n", nil
}

func (s *Spoke) Cancel(_ context.Context, id patch.CommandID, instance patch.InstanceID) error {
	if s.OnCancel != nil {
		s.OnCancel()
	}
	s.Cancels = append(s.Cancels, string(id)+"/"+string(instance))
	return s.Cancelled
}

// Site is a hub with a running run of one wave and one target, and everything
// that its tasks see of AWS.
type Site struct {
	T         *testing.T
	Table     *fake.State
	Bucket    *fake.Bucket
	SSM       *Spoke
	Locked    error // the account's answer to whoever wants in
	Key       *fake.Key
	Sealer    *fake.Key // that plans are sealed with
	Unsealed  bool      // targets are started as by a release without seals
	Auditor   *fake.Auditor
	Mail      *fake.Mail
	Began     time.Time
	Now       time.Time
	Target    patch.Target
	Leaf      plan.Leaf
	Index     plan.Index
	Sent      []port.Command
	Opened    [][]patch.InstanceID               // the sessions for sending, by what they name
	Answers   []Answer                           // of the next sends; then success
	Refuse    map[patch.InstanceID]error         // the answer to every send to an instance
	Closed    func(ids []patch.InstanceID) error // the answer to whoever wants a session for sending
	Dead      bool                               // the process
	Each      time.Duration                      // what a send takes
	Metrics   Metrics
	Red       map[string]string // alarms that are not OK
	Unread    error             // the alarms cannot be read just now
	IsRunning bool              // the execution, whatever the run's row says
	ExitAs    string            // how it ended, as Step Functions says; empty: forgotten
	Alarms    int
	Policy    runinput.Policy // of the hub
}

// Answer is what the next send gets.
type Answer struct {
	ID  patch.CommandID
	Err error
}

type Metrics map[string]float64

func (m Metrics) Count(name, _ string, value float64, _ map[string]string) { m[name] += value }

func (s *Site) Spoke(_ context.Context, at patch.Target) (port.Spoke, error) {
	require.Equal(s.T, s.Target.Account, at.Account)
	require.Equal(s.T, s.Target.Region, at.Region)
	return s.SSM, s.Locked
}

// Session opens a session that can send to these instances only.
func (s *Site) Session(_ context.Context, at patch.Target, ids []patch.InstanceID) (port.Session, error) {
	require.Equal(s.T, s.Target, at)
	require.LessOrEqual(s.T, len(ids), port.SessionInstances)
	if s.Closed != nil {
		if err := s.Closed(ids); err != nil {
			return nil, err
		}
	}
	s.Opened = append(s.Opened, slices.Clone(ids))
	return &session{site: s, ids: s.Opened[len(s.Opened)-1]}, nil
}

type session struct {
	site *Site
	ids  []patch.InstanceID
}

// Send takes a command as SSM does.
func (x *session) Send(_ context.Context, c port.Command) (patch.CommandID, error) {
	s := x.site
	require.Contains(s.T, x.ids, c.Instance, "outside of its session")
	s.Now = s.Now.Add(s.Each)
	s.Sent = append(s.Sent, c)
	id := patch.CommandID("cmd-" + strconv.Itoa(len(s.Sent)))
	var a Answer
	if len(s.Answers) > 0 {
		a = s.Answers[0]
		s.Answers = s.Answers[1:]
	}
	if err := s.Refuse[c.Instance]; err != nil {
		a = Answer{Err: err}
	}
	if a.Err != nil && a.ID == "" {
		return "", a.Err
	}
	if a.ID != "" {
		id = a.ID
	}
	s.SSM.Commands[id] = &Sent{Instance: c.Instance, Marker: c.Marker, At: s.Now, Status: "Pending", details: "Pending"}
	if a.Err != nil {
		return "", a.Err
	}
	return id, nil
}

func (s *Site) States(_ context.Context, _ patch.RunID, arns []string) ([]doubt.AlarmState, error) {
	s.Alarms++
	if s.Unread != nil {
		return nil, s.Unread
	}
	var states []doubt.AlarmState
	for _, arn := range arns {
		states = append(states, doubt.AlarmState{ARN: arn, State: cmp.Or(s.Red[arn], doubt.AlarmOK)})
	}
	return states, nil
}

// Running tells what Step Functions says of the execution.
func (s *Site) Running(_ context.Context, executionARN string) (bool, error) {
	require.Equal(s.T, siteExecution, executionARN)
	return s.IsRunning, nil
}

// Ended tells how Step Functions says that the execution ended.
func (s *Site) Ended(ctx context.Context, executionARN string) (string, bool, error) {
	running, err := s.Running(ctx, executionARN)
	return s.ExitAs, running, err
}

const siteExecution = "arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:run-1"

const Run = patch.RunID("run-1")

// newSite freezes a plan of n instances that may be sent to.
func New(t *testing.T, n int, change ...func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow)) *Site {
	t.Helper()
	began := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	s := &Site{
		T: t, Table: fake.NewState(), Bucket: &fake.Bucket{Objects: fake.Objects{}},
		Auditor: &fake.Auditor{}, Key: &fake.Key{Secret: "decisions"}, Sealer: &fake.Key{Secret: "seals"}, Mail: &fake.Mail{},
		Began: began, Now: began, Metrics: Metrics{},
		Target: patch.Target{Run: Run, Wave: "w", Account: "111111111111", Region: "us-east-1"},
	}
	s.SSM = &Spoke{
		Known: map[patch.InstanceID]port.Machine{}, Managed: map[patch.InstanceID]port.Agent{},
		checks: map[patch.InstanceID]port.Checks{},
		States: map[patch.InstanceID]outcome.PatchState{}, Commands: map[patch.CommandID]*Sent{},
	}
	s.Leaf = plan.Leaf{
		Target: s.Target, Document: patch.Document, Operation: patch.Install, RebootOption: patch.RebootIfNeeded,
		SnapshotID: plan.SnapshotID(s.Target), CommandTimeoutSeconds: 7200, Concurrency: n, ErrorLimit: n,
		OptOutTag: plan.ExclusionTag,
	}
	for i := range n {
		id := Instance(i)
		s.Leaf.Instances = append(s.Leaf.Instances, outcome.PlannedInstance{ID: id, Wave: "w", Platform: patch.Linux})
		s.SSM.Known[id] = port.Machine{ID: id, State: "running"}
		s.SSM.Managed[id] = port.Agent{Platform: patch.Linux, Online: true, LastPing: s.Now}
	}
	row := target.TargetRow{Status: target.TargetPlanned, Planned: n, MaxPolls: 100}
	wave := store.WaveRow{Wave: "w", Planned: n, Targets: 1, Accounts: 1, FailLimit: n, AccountsMax: 1,
		PerAccount: patch.Threshold{Value: 100, Percent: true}, AskScope: patch.NoScope}
	run := store.RunRow{Run: Run, Status: patch.RunRunning, Planned: n, ExecutionARN: siteExecution,
		Approval: runinput.ApproveNone, Started: s.Now}
	for _, f := range change {
		f(&s.Leaf, &row, &wave, &run)
	}
	row.Concurrency, row.ErrorLimit = s.Leaf.Concurrency, s.Leaf.ErrorLimit
	data, err := patch.Canonical(s.Leaf)
	require.NoError(t, err)
	row.LeafDigest = patch.Digest(data)
	s.Bucket.Objects[store.LeafObject(s.Target)] = data
	s.Index = plan.Index{Run: Run, Terms: plan.Terms{Terms: runinput.Terms{Approval: run.Approval, Distinct: 1},
		Seconds: 14400}, Waves: []plan.IndexWave{{
		Name: "w", Operation: s.Leaf.Operation, RebootOption: s.Leaf.RebootOption, Planned: n, AskScope: wave.AskScope,
		Targets: []plan.IndexTarget{{Account: s.Target.Account, Region: s.Target.Region, Planned: n, Digest: row.LeafDigest}},
	}}}
	require.NoError(t, s.Index.Seal())
	run.Digest = s.Index.Digest
	index, err := patch.Canonical(s.Index)
	require.NoError(t, err)
	s.Bucket.Objects[store.IndexObject(Run)] = index
	s.Seal()
	s.Table.Put(store.RunKey(Run), run)
	s.Table.Put(store.TargetKey(s.Target), row)
	s.Table.Put(store.WaveKey(Run, "w"), wave)
	s.Table.Put(store.WaveKey(Run, store.WholeRun),
		store.WaveRow{Wave: store.WholeRun, Planned: n, FailLimit: wave.FailLimit})
	s.SSM.Spoke = &naming{}
	return s
}

// Seal vouches for the site's plan, as SendApprovalRequest does.
func (s *Site) Seal() {
	s.T.Helper()
	seal := decision.SealOf(&s.Index, fake.StandHub)
	seal.At = s.Now
	var err error
	seal.MAC, err = s.Sealer.MAC(s.T.Context(), seal.Message())
	require.NoError(s.T, err)
	s.Table.Put(store.SealKey(Run), seal)
}

// Another is a second target of the wave, with as many instances as the first one has.
func (s *Site) Another(account patch.AccountID, region patch.Region) *Site {
	s.T.Helper()
	o := *s
	o.Target.Account, o.Target.Region = account, region
	o.Sent, o.Opened = nil, nil
	spoke := *s.SSM
	spoke.Commands, spoke.Cancels, spoke.Reads = map[patch.CommandID]*Sent{}, nil, nil
	o.SSM = &spoke
	o.Leaf.Target = o.Target
	data, err := patch.Canonical(o.Leaf)
	require.NoError(s.T, err)
	s.Bucket.Objects[store.LeafObject(o.Target)] = data
	s.Table.Put(store.TargetKey(o.Target), target.TargetRow{
		Status: target.TargetPlanned, Planned: len(o.Leaf.Instances), MaxPolls: 100, Concurrency: o.Leaf.Concurrency,
		ErrorLimit: o.Leaf.ErrorLimit, LeafDigest: patch.Digest(data),
	})
	s.Index.Waves[0].Targets = append(s.Index.Waves[0].Targets, plan.IndexTarget{
		Account: account, Region: region, Planned: len(o.Leaf.Instances), Digest: patch.Digest(data),
	})
	s.StoreIndex(true)
	Edit(s, store.RunKey(Run), func(r *store.RunRow) { r.Digest = s.Index.Digest })
	o.Index = s.Index
	return &o
}

func Instance(i int) patch.InstanceID { return patch.InstanceID(fmt.Sprintf("i-%017x", i+1)) }

func (s *Site) Clock() time.Time { return s.Now }

// Waited is what the state machine has waited: all the time that has passed.
func (s *Site) Waited() int { return int(s.Now.Sub(s.Began).Seconds()) }

func (s *Site) Sender() *target.Send {
	return &target.Send{Table: s.Table, Objects: s.Bucket, Spokes: s, Sender: s, Alarms: s, Decisions: s.Key,
		Seals: s.Sealer, Auditor: s.Auditor, Now: s.Clock, HubAccount: fake.StandHub, PollInterval: 15 * time.Second,
		Policy: s.Policy}
}

func (s *Site) Send() (target.Answer, error) {
	return s.Sender().Handle(s.T.Context(), s.SendInput())
}

// SendInput is what the state machine gives the sender.
func (s *Site) SendInput() target.TargetInput {
	in := target.TargetInput{Target: s.Target, Waited: s.Waited()}
	in.Started.Sealed = !s.Unsealed
	return in
}

func (s *Site) Poll() (target.Answer, error) {
	p := &target.Poll{Table: s.Table, Spokes: s, Alarms: s, Auditor: s.Auditor, Now: s.Clock,
		PollInterval: 15 * time.Second}
	return p.Handle(s.T.Context(), target.TargetInput{Target: s.Target, Waited: s.Waited()})
}

func (s *Site) Verifier() *task.PostVerify {
	return &task.PostVerify{
		Targets: target.Verify{Table: s.Table, Objects: s.Bucket, Spokes: s, Metrics: s.Metrics, Now: s.Clock},
		Waves: wave.Judge{Table: s.Table, Objects: s.Bucket, Alarms: s, Decisions: s.Key, Seals: s.Sealer,
			Auditor: s.Auditor, Now: s.Clock},
		Reports: compose.Reports{
			Table: s.Table, Objects: s.Bucket, Decisions: s.Key, Seals: s.Sealer, Runs: s, Notices: s.Mail,
			Metrics: s.Metrics, Auditor: s.Auditor, Now: s.Clock,
			Targets: &target.Abandon{Table: s.Table, Spokes: s, Auditor: s.Auditor, Now: s.Clock},
		},
	}
}

// Verify carries out one step of the verifier on the target.
func (s *Site) Verify(what patch.Task) (any, error) {
	return s.Verifier().Handle(s.T.Context(), task.VerifyInput{
		Task: what, Run: Run, Wave: "w", Account: s.Target.Account, Region: s.Target.Region,
	})
}

// Must takes an answer and no error.
func (s *Site) Must(a target.Answer, err error) target.Answer {
	s.T.Helper()
	require.NoError(s.T, err)
	return a
}

// Row is the target as it is now.
func (s *Site) Row() *target.TargetRow {
	s.T.Helper()
	var row target.TargetRow
	s.Read(store.TargetKey(s.Target), &row)
	return &row
}

func (s *Site) Read(key store.Key, into any) {
	s.T.Helper()
	require.NoError(s.T, s.Table.Load(s.T.Context(), &store.Row{Key: key, Into: into}))
}

// Edit rewrites a row as another task might.
func Edit[T any](s *Site, key store.Key, f func(*T)) {
	s.T.Helper()
	var row T
	s.Read(key, &row)
	f(&row)
	s.Table.Put(key, row)
}

// SendAll sends until nothing more is sent now.
func (s *Site) SendAll() target.Answer {
	s.T.Helper()
	for range 500 {
		if a := s.Must(s.Send()); a.Next != patch.NextSend {
			return a
		}
	}
	s.T.Fatal("sending does not end")
	return target.Answer{}
}

// ended gives a command this status, also one that is no end.
func (s *Site) Finish(command int, status string) {
	s.T.Helper()
	c := s.SSM.Commands[patch.CommandID("cmd-"+strconv.Itoa(command))]
	require.NotNil(s.T, c, "command %d was never accepted", command)
	c.Status, c.details = status, status
}

// AllEnded gives all commands this status, if they have not ended.
func (s *Site) AllEnded(status string) {
	for _, c := range s.SSM.Commands {
		if !(outcome.Invocation{Status: c.Status}).Terminal() {
			c.Status, c.details = status, status
		}
	}
}

// Cut is how a cancel of a command that was sent as the n-th is noted.
func (s *Site) Cut(n int) string {
	return fmt.Sprintf("cmd-%d/%s", n, s.Sent[n-1].Instance)
}

// Patched gives instances the evidence of a good patch.
func (s *Site) Patched(ids ...patch.InstanceID) {
	zero, some := 0, 12
	for _, id := range ids {
		s.SSM.States[id] = outcome.PatchState{
			Operation: patch.Install, SnapshotID: s.Leaf.SnapshotID, Started: s.Now, Ended: s.Now.Add(10 * time.Minute),
			Missing: &zero, Failed: &zero, InstalledPendingReboot: &zero, Installed: &some,
		}
		s.SSM.Managed[id] = port.Agent{Platform: patch.Linux, Online: true, LastPing: s.Now.Add(15 * time.Minute)}
	}
}

// Actions lists what the target's audit chain says was done.
func (s *Site) Actions() []string {
	s.T.Helper()
	var all []string
	for _, e := range s.Table.About(s.T, store.TargetSubject(s.Target)) {
		all = append(all, e.Action)
	}
	return all
}

// SentTimes counts the sends to each instance.
func (s *Site) SentTimes() map[patch.InstanceID]int {
	n := map[patch.InstanceID]int{}
	for _, c := range s.Sent {
		n[c.Instance]++
	}
	return n
}

// LookedAt is what polls have written down of each command, and asked to cancel.
func (s *Site) LookedAt() (found map[patch.CommandID]outcome.Invocation, cancels []target.Cancel) {
	s.T.Helper()
	found = map[patch.CommandID]outcome.Invocation{}
	err := s.Table.Scan(s.T.Context(), store.RunKey(Run).PK, store.LookPrefix(s.Target),
		func(_ string, decode func(any) error) error {
			var l target.Look
			err := decode(&l)
			for _, v := range l.Found {
				found[v.Command] = v
			}
			cancels = append(cancels, l.Cancels...)
			return err
		})
	require.NoError(s.T, err)
	return found, cancels
}

// CountOf counts the entries of the target's audit chain with this action.
func (s *Site) CountOf(action string) int {
	n := 0
	for _, a := range s.Actions() {
		if a == action {
			n++
		}
	}
	return n
}

// ResultKey is where the result is that the target's row names.
func (s *Site) ResultKey() string { return store.ResultObject(s.Target, s.Row().ResultHash) }

// Counters are those of the wave.
func (s *Site) Counters() store.Counters {
	var c store.Counters
	s.Read(store.CountersKey(Run, "w"), &c)
	return c
}

// Intents are the target's intents by their batch.
func (s *Site) Intents() []target.Intent {
	s.T.Helper()
	var all []target.Intent
	err := s.Table.Scan(s.T.Context(), store.RunKey(Run).PK, store.SendPrefix(s.Target),
		func(_ string, decode func(any) error) error {
			var in target.Intent
			err := decode(&in)
			all = append(all, in)
			return err
		})
	require.NoError(s.T, err)
	return all
}
