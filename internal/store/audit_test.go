package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	names := []string{store.RunChain(at.Run), store.TargetChain(at), store.ApprovalChain("id")}
	assert.Equal(t, []string{"RUN#run-1", "RUN#run-1#111111111111#us-east-1", "APPROVAL#id"}, names)
}

// beginning is when a chain begins.
func beginning() time.Time { return time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC) }
