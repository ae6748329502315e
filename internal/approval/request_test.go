package approval_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// asker is SendApprovalRequest on the same table as the page.
type asker struct {
	*approval.Requests
	*stand
	mails     *fake.Mail
	listeners int
	deaf      error // SNS does not say how many listen
	counted   map[string][]float64
}

func (a *asker) Listeners(context.Context) (int, error) { return a.listeners, a.deaf }

func (a *asker) Count(name, _ string, value float64, _ map[string]string) {
	a.counted[name] = append(a.counted[name], value)
}

func newAsker(t *testing.T, change ...func(*decision.Approval, *store.RunRow, *plan.Index)) *asker {
	t.Helper()
	a := &asker{stand: newStand(t, change...), mails: &fake.Mail{}, listeners: 1, counted: map[string][]float64{}}
	a.Requests = &approval.Requests{
		Table: a.table, Objects: a.objects, Mail: a.mails, Audience: a, Links: a.links,
		Seals: &fake.Key{Secret: "seal key"}, Decisions: a.signer, Metrics: a, Auditor: &fake.Auditor{},
		Now: func() time.Time {
			return a.now
		}, HubAccount: fake.StandHub, CallbackURL: "https://" + fake.StandHost + "/callback",
	}
	return a
}

func (a *asker) settle(t *testing.T) (approval.SettleOutput, error) {
	t.Helper()
	out,
		err := a.Requests.Handle(t.Context(), approval.RequestInput{Task: patch.TaskSettle, Run: fake.StandRun, Scope: "run"})
	settled, _ := out.(approval.SettleOutput)
	return settled, err
}

func (a *asker) ask(t *testing.T, token string) error {
	t.Helper()
	_,
		err := a.Requests.Handle(t.Context(),
		approval.RequestInput{Task: patch.TaskRequest, Run: fake.StandRun, Scope: "run", Token: token})
	return err
}

// sign puts a decision that bears a right seal into the table.
func (a *asker) sign(t *testing.T, d decision.Decision) {
	t.Helper()
	d.Approval = a.rec.ID
	mac, err := a.signer.MAC(t.Context(), a.rec.DecisionMessage(d))
	require.NoError(t, err)
	d.MAC = mac
	a.table.Put(store.DecisionKey(a.rec.ID, d.Identity), d)
}

func TestApprovals_Settle(t *testing.T) {
	approve := decision.Decision{Decision: decision.Approve, Identity: "link", Name: "Ann"}
	abort := func(t *testing.T, a *asker) {
		a.table.Put(store.AbortKey(fake.StandRun), store.Abort{By: fake.Operator, Reason: "fire"})
	}
	tests := []struct {
		name string
		set  func(t *testing.T, a *asker)
		want decision.Status
	}{
		{"nobody answered yet", func(*testing.T, *asker) {}, decision.ApprovalPending},
		{"approved", func(t *testing.T, a *asker) {
			approve := approve
			approve.At = a.now
			a.sign(t, approve)
		}, decision.ApprovalApproved},
		{"approved at the last moment", func(t *testing.T, a *asker) {
			approve := approve
			approve.At = a.rec.Expires.Add(-time.Millisecond)
			a.sign(t, approve)
		}, decision.ApprovalApproved},
		{"aborted while it was open", abort, decision.ApprovalRejected},
		{"aborted after the approval", func(t *testing.T, a *asker) {
			approve := approve
			approve.At = a.now
			a.sign(t, approve)
			abort(t, a)
		}, decision.ApprovalRejected},
		{"the run was closed after the approval", func(t *testing.T, a *asker) {
			approve := approve
			approve.At = a.now
			a.sign(t, approve)
			a.closeRun()
		}, decision.ApprovalRejected},
		{"past its deadline", func(_ *testing.T, a *asker) { a.now = a.rec.Expires }, decision.ApprovalExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAsker(t)
			tt.set(t, a)
			out, err := a.settle(t)
			require.NoError(t, err)
			assert.Equal(t, tt.want, out.Status)
			again, err := a.settle(t)
			require.NoError(t, err)
			assert.Equal(t, tt.want, again.Status, "settling twice says the same")
		})
	}
}

// A round that could not be asked is not asked again at once: what fails would
// fill the history.
func TestApprovals_NextRound(t *testing.T) {
	const minute, round = time.Minute, 15 * time.Minute
	for _, tt := range []struct {
		name                  string
		asked, began, expires time.Duration // before and after now
		want                  int
	}{
		{name: "the round ran its course", asked: 3 * time.Hour, began: round, expires: time.Hour, want: 0},
		{name: "and ended slowly", asked: 3 * time.Hour, began: round + 30*time.Second, expires: time.Hour, want: 0},
		{name: "the first one failed at once", asked: 0, began: 0, expires: time.Hour, want: 60},
		{name: "one failed before it was written down", asked: 16 * minute, began: 17 * minute, expires: time.Hour, want: 60},
		{name: "none was ever written down", asked: 16 * minute, began: 1e6 * time.Hour, expires: time.Hour, want: 60},
		{name: "it has failed for an hour", asked: time.Hour, began: time.Second, expires: time.Hour, want: 180},
		{name: "it has failed for days", asked: 72 * time.Hour, began: time.Second, expires: time.Hour, want: 900},
		{name: "never past the deadline", asked: time.Hour, began: time.Second, expires: 20 * time.Second, want: 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAsker(t)
			rec := a.rec
			rec.Asked, rec.RoundAt, rec.Expires = a.now.Add(-tt.asked), a.now.Add(-tt.began), a.now.Add(tt.expires)
			a.table.Put(store.ApprovalKey(rec.ID), rec)
			out, err := a.settle(t)
			require.NoError(t, err)
			assert.Equal(t, decision.ApprovalPending, out.Status)
			assert.Equal(t, tt.want, out.Seconds)
		})
	}
}

// closeRun closes the run as the event of its execution's end does.
func (a *asker) closeRun() {
	a.table.Put(store.RunKey(fake.StandRun),
		store.RunRow{Run: fake.StandRun, Status: patch.RunAborted, Digest: a.rec.Digest, Ended: a.now})
}

// A redrive that comes back to the question of a closed run mails nobody.
func TestApprovals_RequestOfAClosedRun(t *testing.T) {
	a := newAsker(t)
	a.closeRun()
	before := a.table.Snapshot()
	assert.ErrorIs(t, a.ask(t, "token"), patch.ErrConflict)
	assert.Empty(t, a.mails.Sent)
	assert.Equal(t, before, a.table.Snapshot())
}

// A seal does not make up for a time at which nobody could decide.
func TestT29_SignedAfterTheDeadline(t *testing.T) {
	for _, late := range []time.Duration{0, time.Millisecond, 24 * time.Hour} {
		a := newAsker(t)
		a.sign(t, decision.Decision{Decision: decision.Approve, Identity: "link", At: a.rec.Expires.Add(late)})
		_, err := a.settle(t)
		assert.ErrorIs(t, err, patch.ErrTampered, late)
		a.unchanged(t, func() {
			assert.Equal(t, 409, a.get(t, a.query()).Status)
			assert.Equal(t, 409, a.do(t, a.form("approve")).Status)
		})
	}
}

// Nothing that goes wrong is ever "approved".
func TestApprovals_SettleFails(t *testing.T) {
	tests := []struct {
		name string
		set  func(t *testing.T, a *asker)
		kind error
	}{
		{"table down", func(_ *testing.T, a *asker) { a.table.Down = patch.ErrUnavailable }, patch.ErrUnavailable},
		{"key down", func(t *testing.T, a *asker) {
			a.sign(t, decision.Decision{Decision: decision.Approve, Identity: "link", At: a.now})
			a.signer.Err = patch.ErrUnavailable
		}, patch.ErrUnavailable},
		{"another plan", func(_ *testing.T, a *asker) {
			rec := a.rec
			rec.Digest = strings.Repeat("0", 64)
			a.table.Put(store.ApprovalKey(rec.ID), rec)
		}, patch.ErrTampered},
		{"a seal of another key", func(t *testing.T, a *asker) {
			a.table.Put(store.DecisionKey(a.rec.ID, "link"),
				decision.Decision{Approval: a.rec.ID, Decision: decision.Approve, Identity: "link", At: a.now,
					MAC: make([]byte, 32)})
		}, patch.ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAsker(t)
			tt.set(t, a)
			out, err := a.settle(t)
			assert.ErrorIs(t, err, tt.kind)
			assert.NotEqual(t, decision.ApprovalApproved, out.Status)
		})
	}
}

func TestApprovals_Request(t *testing.T) {
	a := newAsker(t)
	require.NoError(t, a.ask(t, "token-2"))
	rec := a.stored(t)
	assert.Equal(t, 2, rec.Round)
	assert.Equal(t, "token-2", rec.Token)
	assert.False(t, rec.Unheard)
	require.Len(t, a.mails.Sent, 1)
	assert.Contains(t, a.mails.Sent[0], "\nhttps://"+fake.StandHost+"/callback?"+a.query()+"\n",
		"the same link, on a line of its own")
	assert.NotContains(t, a.mails.Sent[0], "token")
	assert.Equal(t, []float64{0}, a.counted["ApprovalUnheard"])

	for _, want := range []string{
		"Decide until: 2026-12-01 14:00 UTC\n", "Instances: 412 (262 Linux, 150 Windows), in 3 accounts, 2 regions\n",
		"Expected: typically 1h35m",
		"Approval: perWave, as the hub demands (MinimumApproval); the input says once\n",
		"Plan digest: " + a.rec.Digest + "\n", "Requested by: platform-team (as the starter says)\nStarted by: not known\n",
		"Reason: monthly patches\n",
		"Wave canary: installs patches, instances restart if a patch needs it; 12 instances (12 Linux), in 1 account, 1 " +
			"region; typically 1h35m\n",
		"Wave fleet: installs patches, nothing restarts; 400 instances (250 Linux, 150 Windows), in 2 accounts, 2 regions\n",
		"  the filter names no tag: every instance\n", "  7 more matched and are left out\n",
		"  stops above 40 failed instances or 1 failed account\n",
		"  9 new since the last run, 2 gone since the last run, 1 already failing status checks\n",
		"  i-0aaaaaaaaaaaaaaa1 sql-7, Windows, 222222222222 us-east-1: new since the last run, and failing status checks\n",
		"  i-0aaaaaaaaaaaaaaa3, Linux, 333333333333 eu-west-1: gone since the last run\n",
		"\nNot reached, and not in the plan: 1 account-region\n", "\n    ec2patch approve 2026-12-patch\n",
	} {
		assert.Contains(t, a.mails.Sent[0], want)
	}

	t.Run("after a decision nobody is asked", func(t *testing.T) {
		a.do(t, a.form("approve"))
		assert.ErrorIs(t, a.ask(t, "token-3"), patch.ErrConflict)
		assert.Len(t, a.mails.Sent, 1)
	})
}

func TestApprovals_NobodyListens(t *testing.T) {
	a := newAsker(t)
	a.listeners = 0
	require.NoError(t, a.ask(t, "token-2"), "the run waits all the same")
	assert.True(t, a.stored(t).Unheard)
	assert.Equal(t, []float64{1}, a.counted["ApprovalUnheard"])
	chain := a.table.About(t, store.ApprovalSubject(a.rec.ID))
	assert.Contains(t, chain[len(chain)-1].Detail, "no one is notified")
	_, out := a.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "status"})
	assert.Equal(t, false, out["approvals"].([]any)[0].(map[string]any)["told"])

	a.deaf = errors.New("throttled")
	require.NoError(t, a.ask(t, "token-3"))
	assert.True(t, a.stored(t).Unheard, "what is not known is as it was")
	assert.Equal(t, []float64{1}, a.counted["ApprovalUnheard"], "and is not counted")

	a.deaf, a.listeners = nil, 2
	require.NoError(t, a.ask(t, "token-4"))
	assert.False(t, a.stored(t).Unheard)
	_, out = a.operate(t, fake.Operator, map[string]any{"run": fake.StandRun, "action": "status"})
	assert.Equal(t, true, out["approvals"].([]any)[0].(map[string]any)["told"])
}

// Whoever gets a request can decide, so more subscribers than were deployed are told of.
func TestApprovals_Strangers(t *testing.T) {
	for _, tt := range []struct {
		deployed, listeners int
		want                float64
	}{{1, 1, 0}, {2, 1, 0}, {1, 3, 2}, {0, 1, 1}} {
		a := newAsker(t)
		a.listeners, a.Deployed = tt.listeners, &tt.deployed
		require.NoError(t, a.ask(t, "token"))
		assert.Equal(t, []float64{tt.want}, a.counted["ApprovalStrangers"], "%+v", tt)
	}
	a := newAsker(t)
	require.NoError(t, a.ask(t, "token"))
	assert.Empty(t, a.counted["ApprovalStrangers"], "nothing is said where it is not told")
}
