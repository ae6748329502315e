package audit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/audit"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

const run = patch.RunID("october")

// names of the chains of the story.
var (
	question = store.ApprovalSubject(decision.ApprovalID(run, "run"))
	target   = store.TargetSubject(patch.Target{Run: run, Account: "111111111111", Region: "us-east-1"})
	about    = store.RunSubject(run)
	sends    = store.Send.Chain(target)
)

// story is the audit of a run of one account-region.
func story(t *testing.T) *fake.Ledger {
	t.Helper()
	l := fake.NewLedger(time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC))
	index := plan.Index{Run: run, Waves: []plan.IndexWave{{Name: "w", Planned: 2, Targets: []plan.IndexTarget{
		{Account: "111111111111", Region: "us-east-1", Planned: 2}, {Account: "222222222222", Region: "us-east-1"},
	}}}}
	require.NoError(t, index.Seal())
	data, err := json.Marshal(index)
	require.NoError(t, err)
	l.Objects[store.IndexObject(run)] = data
	l.Append(store.Inventory, about, "plan", "RunOpened", "input 00", false)
	l.Note(store.Inventory, about,
		store.Note{Actor: "freeze", Action: "PlanFrozen", Detail: "2 instances", Binds: index.Digest}, true)
	l.Append(store.Request, question, "approval-request", "Asked", "round 1", true)
	l.Append(store.Callback, question, "approval-callback", "Decided", "approve by ann; approved", true)
	l.Append(store.Send, target, "send", "LeaseTaken", "fence 1", false)
	l.Append(store.Send, target, "send", "SendCommand", "m1, 1 instance: [i-1]", false)
	l.Append(store.Send, target, "send", "SendCommand", "m2, 1 instance: [i-2]", true)
	l.Append(store.Poll, target, "poll", "CancelCommand", "expired, 1 command: [c/i-2]", true)
	l.Bind(run, "judge", "Verdict", "wave w: good")
	l.Bind(run, "report", "RunEnded", "Succeeded")
	return l
}

func verdictOf(t *testing.T, l *fake.Ledger, without ...store.Writer) audit.Verdict {
	t.Helper()
	trail, err := audit.Read(t.Context(), l, run)
	require.NoError(t, err)
	keys := audit.Keys{}
	for w, pair := range l.Pairs {
		if !slices.Contains(without, w) {
			keys[w] = pair.PublicKey()
		}
	}
	return trail.Verify(keys)
}

func TestVerify(t *testing.T) {
	v := verdictOf(t, story(t))
	assert.Empty(t, v.Violations)
	assert.Empty(t, v.Unproven)
	assert.Equal(t, []string{
		"the account-regions looked at are those of the frozen plan",
		store.Callback.Chain(question) + ": entry 1, signed by CALLBACK",
		store.Inventory.Chain(about) + ": entries 1 to 2, signed by INVENTORY",
		store.Poll.Chain(target) + ": entry 1, signed by POLL",
		store.Request.Chain(question) + ": entry 1, signed by REQUEST",
		sends + ": entries 1 to 3, signed by SEND",
		store.Verify.Chain(about) + ": entries 1 to 2, signed by VERIFY",
	}, v.Proven)
}

func TestTrail_Entries(t *testing.T) {
	trail, err := audit.Read(t.Context(), story(t), run)
	require.NoError(t, err)
	var actions []string
	for _, e := range trail.Entries() {
		actions = append(actions, e.Action)
	}
	assert.Equal(t, []string{"RunOpened", "PlanFrozen", "Asked", "Decided", "LeaseTaken", "SendCommand", "SendCommand",
		"CancelCommand", "Verdict", "RunEnded"}, actions)
	assert.Equal(t, "111111111111 us-east-1", audit.Place(run, sends))
	assert.Empty(t, audit.Place(run, store.Callback.Chain(question)))
}

// Whatever somebody changes who may write any row, and who makes all hashes anew, is noticed.
func TestVerify_attacks(t *testing.T) {
	tests := []struct {
		name  string
		touch func(l *fake.Ledger)
		want  string
	}{
		{"an entry is edited", func(l *fake.Ledger) {
			l.Chains[sends][1].Detail = "m1, 1 instance: [i-9]"
		}, "entry 2 was changed"},
		{"an entry is edited and its chain hashed anew", func(l *fake.Ledger) {
			l.Chains[sends][1].Detail = "m1, 1 instance: [i-9]"
			l.Rehash(sends)
		}, "entry 3 has a signature that is not of SEND"},
		{"the same, and the signature is left out", func(l *fake.Ledger) {
			l.Chains[sends][1].Detail = "m1, 1 instance: [i-9]"
			l.Chains[sends][2].Signature = nil
			l.Rehash(sends)
		}, "entry 3 is not the one that entry 1 of " + store.Verify.Chain(about) + " binds"},
		{"the end of a chain is cut off", func(l *fake.Ledger) {
			l.Chains[sends] = l.Chains[sends][:2]
		}, "entry 3 is bound by entry 1"},
		{"a chain is taken away", func(l *fake.Ledger) {
			delete(l.Chains, store.Poll.Chain(target))
		}, "entry 1 is bound by entry 1"},
		{"an entry is taken out", func(l *fake.Ledger) {
			l.Chains[sends] = slices.Delete(l.Chains[sends], 1, 2)
		}, "entry 3 follows entry 1"},
		{"a decision is forged", func(l *fake.Ledger) {
			chain := store.Callback.Chain(question)
			l.Chains[chain][0].Detail = "approve by eve; approved"
			l.Rehash(chain)
		}, "entry 1 has a signature that is not of CALLBACK"},
		{"a decision is forged without a signature", func(l *fake.Ledger) {
			chain := store.Callback.Chain(question)
			l.Chains[chain][0].Detail, l.Chains[chain][0].Signature = "approve by eve; approved", nil
			l.Rehash(chain)
		}, "entry 1 is not signed"},
		{"another role signs", func(l *fake.Ledger) {
			e, err := l.Chains[sends][2].Signed(t.Context(), l.Pairs[store.Poll])
			require.NoError(t, err)
			l.Chains[sends][2] = e
		}, "entry 3 has a signature that is not of SEND"},
		{"another role appends an entry without a signature", func(l *fake.Ledger) {
			chain := store.Poll.Chain(target)
			last := l.Chains[chain][0]
			e, _ := store.ChainHead{Seq: 1, Hash: last.Hash}.Append(chain, "poll", "CancelCommand", "forged", last.At)
			l.Chains[chain] = append(l.Chains[chain], e)
		}, "entry 2 is not signed"},
		{"an account-region is taken out of the plan's index", func(l *fake.Ledger) {
			l.Objects[store.IndexObject(run)] = []byte(`{"run":"october"}`)
		}, "the plan's index is not the one that was frozen"},
		{"a list of heads is changed", func(l *fake.Ledger) {
			for key := range l.Objects {
				if key != store.IndexObject(run) {
					l.Objects[key] = []byte("[]")
				}
			}
		}, "the list of heads that entry 1 binds was changed"},
		{"a row in the name of a release before", func(l *fake.Ledger) {
			e, _ := store.ChainHead{}.Append(about, "judge", "Verdict", "wave w: stop", time.Time{})
			l.Chains[about] = []store.AuditEntry{e}
		}, "nobody in this release writes to it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := story(t)
			tt.touch(l)
			assert.Contains(t, fmt.Sprint(verdictOf(t, l).Violations), tt.want)
		})
	}
}

// What nothing vouches for is named, and is no violation.
func TestVerify_unproven(t *testing.T) {
	late := story(t)
	late.Append(store.Send, target, "send", "CancelCommand", "left by run x", false)
	v := verdictOf(t, late)
	assert.Empty(t, v.Violations)
	assert.Equal(t, []string{sends + ": entry 4, neither signed nor bound"}, v.Unproven)

	v = verdictOf(t, story(t), store.Send)
	assert.Empty(t, v.Violations)
	assert.Equal(t, []string{sends + ": there is no public key of SEND, so no signature of it was checked"}, v.Unproven)
	assert.Contains(t, v.Proven, sends+": entries 1 to 3, bound by an entry that VERIFY signed")

	gone := story(t)
	clear(gone.Objects)
	v = verdictOf(t, gone)
	assert.Empty(t, v.Violations)
	assert.Len(t, v.Unproven, 3, "%v", v.Unproven)
}

// The chains of a release before are read, and their hashes checked.
func TestVerify_formerRelease(t *testing.T) {
	l := fake.NewLedger(time.Time{})
	var head store.ChainHead
	for _, action := range []string{"RunOpened", "PlanFrozen", "RunEnded"} {
		var e store.AuditEntry
		e, head = head.Append(about, "x", action, "", time.Time{})
		l.Chains[about] = append(l.Chains[about], e)
	}
	v := verdictOf(t, l)
	assert.Empty(t, v.Violations)
	assert.Contains(t, fmt.Sprint(v.Unproven), "entries 1 to 3, of a release before, which signed nothing: hashes alone")
	l.Chains[about][1].Detail = "x"
	assert.NotEmpty(t, verdictOf(t, l).Violations)

	_, err := audit.Read(t.Context(), fake.NewLedger(time.Time{}), run)
	assert.ErrorIs(t, err, audit.ErrNothing)
}

func TestFingerprint(t *testing.T) {
	pair := fake.NewPair("SEND")
	key, err := audit.ParseKey(pair.Public())
	require.NoError(t, err)
	assert.True(t, key.Equal(pair.PublicKey()))
	assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, audit.Fingerprint(pair.Public()))
	_, err = audit.ParseKey([]byte("x"))
	assert.Error(t, err)
}
