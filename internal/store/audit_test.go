package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

func chain(n int) []store.AuditEntry {
	var head store.ChainHead
	var all []store.AuditEntry
	for i := range n {
		var e store.AuditEntry
		e, head = head.Append("RUN#r", "send", "SendCommand", fmt.Sprint("batch ", i+1),
			beginning().Add(time.Duration(i)*time.Minute))
		all = append(all, e)
	}
	return all
}

// intact tells whether a chain is whole up to its known head.
func intact(all []store.AuditEntry, head store.ChainHead) bool {
	prev := store.ChainHead{}
	for _, e := range all {
		if e.Seq != prev.Seq+1 || e.Prev != prev.Hash || !e.Intact() {
			return false
		}
		prev = store.ChainHead{Seq: e.Seq, Hash: e.Hash}
	}
	return prev == head
}

func TestChainHead_Append(t *testing.T) {
	all := chain(5)
	head := store.ChainHead{Seq: 5, Hash: all[4].Hash}
	require.True(t, intact(all, head))
	assert.Equal(t, store.Key{PK: "RUN#r", SK: "00000003"}, all[2].Key(), "keys sort as numbers do")

	for i := range all {
		removed := append(append([]store.AuditEntry{}, all[:i]...), all[i+1:]...)
		assert.False(t, intact(removed, head), "entry %d can be removed unseen", i+1)
	}
	for i := 1; i < len(all); i++ {
		swapped := append([]store.AuditEntry{}, all...)
		swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
		assert.False(t, intact(swapped, head), "entries %d and %d can be swapped unseen", i, i+1)
	}
}

func TestAuditEntry_Intact(t *testing.T) {
	changes := map[string]func(*store.AuditEntry){
		"chain":  func(e *store.AuditEntry) { e.Chain = "RUN#s" },
		"seq":    func(e *store.AuditEntry) { e.Seq++ },
		"time":   func(e *store.AuditEntry) { e.At = e.At.Add(time.Nanosecond) },
		"actor":  func(e *store.AuditEntry) { e.Actor = "poll" },
		"action": func(e *store.AuditEntry) { e.Action = "CancelCommand" },
		"detail": func(e *store.AuditEntry) { e.Detail += " " },
		"prev":   func(e *store.AuditEntry) { e.Prev = "" },
		"hash":   func(e *store.AuditEntry) { e.Hash = patch.Digest(nil) },
	}
	for name, change := range changes {
		e := chain(3)[2]
		require.True(t, e.Intact())
		change(&e)
		assert.False(t, e.Intact(), "%s can be changed unseen", name)
	}
}

func TestChains_areApart(t *testing.T) {
	at := patch.Target{Run: "run-1", Wave: "canary", Account: "111111111111", Region: "us-east-1"}
	names := []string{store.RunSubject(at.Run), store.TargetSubject(at), store.ApprovalSubject("id")}
	assert.Equal(t, []string{"RUN#run-1", "RUN#run-1#111111111111#us-east-1", "APPROVAL#id"}, names)
	for _, w := range store.Writers() {
		for _, subject := range names {
			assert.Equal(t, string(w)+"#"+subject, w.Chain(subject), "the key of an entry begins with its writer")
			assert.Equal(t, w, store.WriterOf(w.Chain(subject)))
			assert.Empty(t, store.WriterOf(subject), "a chain of a release before names no writer")
		}
	}
}

func TestHeads_Append(t *testing.T) {
	var heads store.Heads
	first := heads.Append(store.Send, "RUN#r", "send", "LeaseTaken", "fence 1", beginning())
	copied := heads
	second := heads.Append(store.Send, "RUN#r", "send", "SendCommand", "x", beginning())
	other := heads.Append(store.Poll, "RUN#r", "poll", "CancelCommand", "y", beginning())
	assert.Equal(t, "SEND#RUN#r", first.Chain)
	assert.Equal(t, first.Hash, second.Prev)
	assert.Equal(t, 1, other.Seq, "each writer has a chain of its own")
	assert.Equal(t, store.Heads{store.Send: {Seq: 2, Hash: second.Hash}, store.Poll: {Seq: 1, Hash: other.Hash}}, heads)
	assert.Equal(t, store.Heads{store.Send: {Seq: 1, Hash: first.Hash}}, copied, "what was copied stays as it was")
	heads.Move(store.Send, store.ChainHead{Seq: 1, Hash: first.Hash})
	assert.Equal(t, 2, heads[store.Send].Seq, "a head never moves back")
}

// A signature changes no hash, so that rows of releases before keep theirs.
func TestAuditEntry_Signed(t *testing.T) {
	e := chain(1)[0]
	signed, err := e.Signed(t.Context(), &fake.Auditor{})
	require.NoError(t, err)
	assert.True(t, signed.Intact())
	assert.True(t, fake.Signed(signed))
	assert.False(t, fake.Signed(e))
	assert.Equal(t, e.Hash, signed.Hash)
	_, err = e.Signed(t.Context(), &fake.Auditor{Err: patch.ErrThrottled})
	assert.ErrorIs(t, err, patch.ErrThrottled)
}

func TestBindHeads(t *testing.T) {
	at := store.TargetSubject(patch.Target{Run: "r", Account: "111111111111", Region: "us-east-1"})
	bound := map[string]store.ChainHead{}
	store.Heads{store.Send: {Seq: 3, Hash: "cc"}, store.Poll: {Seq: 1, Hash: "aa"}}.Bind(bound, at)
	store.Heads{store.Send: {Seq: 2, Hash: "bb"}}.Bind(bound, at)
	objects := &fake.Bucket{Objects: fake.Objects{}}
	digest, err := store.BindHeads(t.Context(), objects, "r", bound)
	require.NoError(t, err)
	const list = `[{"chain":"POLL#RUN#r#111111111111#us-east-1","seq":1,"hash":"aa"},` +
		`{"chain":"SEND#RUN#r#111111111111#us-east-1","seq":3,"hash":"cc"}]`
	assert.JSONEq(t, list, string(objects.Objects[store.HeadsObject("r", digest)]))
	assert.Equal(t, patch.Digest([]byte(list)), digest)

	var heads store.Heads
	e := heads.Note(store.Verify, "RUN#r", store.Note{Actor: "judge", Action: "Verdict", Binds: digest}, beginning())
	assert.True(t, e.Intact())
	got, ok := store.BoundBy(e)
	assert.True(t, ok)
	assert.Equal(t, digest, got)
	_, ok = store.BoundBy(heads.Note(store.Callback, "APPROVAL#i", store.Note{Binds: digest}, beginning()))
	assert.False(t, ok, "no other writer binds heads")
	for _, change := range []func(e *store.AuditEntry){
		func(e *store.AuditEntry) { e.Binds = "x" }, func(e *store.AuditEntry) { e.Releases = true },
	} {
		changed := e
		change(&changed)
		assert.False(t, changed.Intact())
	}
}

// beginning is when a chain begins.
func beginning() time.Time { return time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC) }
